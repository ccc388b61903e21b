//! What is told without having been asked for: logs, and news of resources.

use bytes::Bytes;

use super::Session;
use super::closing::fits;
use crate::call::{Notice, Ticket};
use crate::frontend::Outlet;
use crate::names::ServerName;
use crate::protocol::Level;
use crate::wire::{LineWriter, Span, json};

/// So many bytes waiting, and log messages are dropped rather than put in front of answers.
const CROWDED: usize = 1 << 20;

impl Session {
    /// Whether news of this resource is for the client. What has changed may be a part of what it follows, under whatever URI;
    /// where others follow something at the same server, only a longer spelling of its own tells.
    pub(super) fn follows(&self, server: &ServerName, uri: &str) -> bool {
        let is_alone = self.hall.is_sole() || self.private.find(server).is_some();
        let state = self.state();
        let mut at_server = state.subscriptions.iter().filter(|(of, _)| of == server);
        at_server.any(|(_, followed)| is_alone || uri.starts_with(followed.as_str()))
    }

    /// Writes a notification whose parameters are `text` with some parts replaced. One that clients could not read is
    /// dropped.
    pub(in crate::frontend) fn send_notice(
        &self,
        out: &Outlet,
        method: &str,
        notice: &Notice<'_>,
        edits: &[(Span, &[u8])],
    ) {
        // Nobody waits for one of many clients that does not read; its answers wait, and the news is lost.
        if !self.hall.is_sole() && out.is_full() {
            return;
        }
        let added: usize = edits.iter().map(|(_, with)| with.len()).sum();
        if !fits(notice.params.len() + added) {
            return tracing::warn!(
                method,
                size = notice.params.len(),
                "a notification over the limit was dropped"
            );
        }
        out.push(|out| {
            out.copy(br#"{"jsonrpc":"2.0","method":""#);
            out.copy(method.as_bytes());
            out.copy(br#"","params":"#);
            write_edited(out, notice.line, notice.params, edits);
            out.copy(b"}");
        });
    }

    pub(in crate::frontend) fn outlet_of(&self, ticket: Ticket) -> Option<Outlet> {
        self.state().requests.get(ticket).map(|request| request.back.out.clone())
    }

    /// Passes a server's log message on, if the client wants such.
    pub(in crate::frontend) fn pass_log(
        &self,
        server: &ServerName,
        notice: &Notice<'_>,
        out: Option<&Outlet>,
    ) {
        let params = notice.params.of(notice.line);
        let level = json::get(params, "level").and_then(|span| json::string(span.of(params)));
        let wanted = self.state().level;
        let below =
            |wanted: Level| level.as_deref().and_then(Level::parse).is_some_and(|level| level < wanted);
        let out = out.unwrap_or(&self.out);
        if wanted.is_some_and(below) || out.waiting() > CROWDED {
            return;
        }
        let (place, name) = named_logger(server, notice);
        self.send_notice(out, "notifications/message", notice, &[(place, &name)]);
    }

    /// A log message of ours about a server.
    pub(in crate::frontend) fn say(&self, server: &ServerName, text: &str) {
        if self.state().level.is_some_and(|level| level > Level::Warning) {
            return;
        }
        self.out.push(|out| {
            out.copy(
                br#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"warning","logger":"#,
            );
            out.copy(&json::quote(server.as_str()));
            out.copy(br#","data":"#);
            out.copy(&json::quote(text));
            out.copy(b"}}");
        });
    }

    /// A resource of the server has changed: told to a client that follows something there. What changed may be a part
    /// of what it follows, so it is the client that compares.
    pub(in crate::frontend) fn updated(&self, server: &ServerName, notice: &Notice<'_>) {
        let Some(registry) = self.registry() else { return };
        let params = notice.params.of(notice.line);
        let Some(span) = json::get(params, "uri") else { return };
        let Some(uri) = json::string(span.of(params)) else { return };
        if !self.follows(server, &uri) {
            return;
        }
        let catalog = registry.catalog();
        match catalog.expose_uri(server, &uri) {
            exposed if exposed == uri => {
                self.send_notice(&self.out, "notifications/resources/updated", notice, &[])
            }
            exposed => {
                let edit = (span.shifted(notice.params.start), &*json::quote(&exposed));
                self.send_notice(&self.out, "notifications/resources/updated", notice, &[edit]);
            }
        }
    }

    pub(in crate::frontend) fn elicitation_complete(&self, notice: &Notice<'_>) {
        self.send_notice(&self.out, "notifications/elicitation/complete", notice, &[]);
    }
}

/// The edit that makes a log message name its server: where, and with what.
pub(in crate::frontend) fn named_logger(server: &ServerName, notice: &Notice<'_>) -> (Span, Vec<u8>) {
    let params = notice.params.of(notice.line);
    if let Some(span) = json::get(params, "logger") {
        let name = match json::string(span.of(params)) {
            Some(logger) => json::quote(&format!("{server}/{logger}")),
            None => json::quote(server.as_str()),
        };
        return (span.shifted(notice.params.start), name);
    }
    let at = notice.params.start + 1;
    let mut member = br#""logger":"#.to_vec();
    json::push_string(&mut member, server.as_str());
    if json::members(params).next().is_some() {
        member.push(b',');
    }
    (Span { start: at, end: at }, member)
}

/// Writes `span` of `text` with `edits` made, which are sorted.
pub(in crate::frontend) fn write_edited(
    out: &mut LineWriter<'_>,
    text: &Bytes,
    span: Span,
    edits: &[(Span, &[u8])],
) {
    let mut from = span.start;
    for (place, with) in edits {
        out.part(text, from, place.start);
        out.copy(with);
        from = place.end;
    }
    out.part(text, from, span.end);
}
