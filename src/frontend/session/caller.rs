//! What servers say to the caller that a session is.

use std::sync::Arc;

use bytes::Bytes;

use super::Session;
use super::closing::fits;
use crate::bridge;
use crate::call::{
    Ask, AskKey, Caller, CallerId, ClientInfo, Introduction, NotAsked, Notice, Progress, Reply, Ticket,
};
use crate::failure::Failure;
use crate::frontend::answer::Answer;
use crate::names::ServerName;
use crate::protocol::{Level, Revision};
use crate::wire::{Body, Span, json};

impl Caller for Session {
    fn id(&self) -> CallerId {
        self.id
    }

    fn introduction(&self) -> Introduction {
        match &self.state().greeted {
            Some(greeted) => greeted.introduction.clone(),
            None => {
                Introduction { revision: Revision::newest_legacy(), capabilities: Bytes::from_static(b"{}") }
            }
        }
    }

    fn principal(&self) -> Option<Arc<str>> {
        self.principal.clone()
    }

    fn profile(&self) -> Option<Arc<str>> {
        self.hall.profile_of(self.principal.as_deref())
    }

    fn client(&self) -> Option<Arc<ClientInfo>> {
        self.state().greeted.as_ref().map(|greeted| Arc::clone(&greeted.client))
    }

    fn level(&self) -> Option<Level> {
        self.state().level
    }

    fn reply(&self, ticket: Ticket, reply: Reply<'_>) {
        let Some(request) = self.close(ticket) else { return };
        match reply.body {
            Body::Result(span) => {
                self.note_subscription(&request);
                self.result(&request, reply.line, span, reply.revision);
            }
            Body::Error(span) if !fits(span.len()) => self.refuse_size(&request, span.len()),
            Body::Error(span) => match self.translated_error(&request, span.of(reply.line), reply.revision) {
                Some(text) => self.relay(&request, &text, "error", Span { start: 0, end: text.len() }),
                None => self.relay(&request, reply.line, "error", span),
            },
        }
    }

    fn fail(&self, ticket: Ticket, failure: Failure) {
        let Some(method) = self.state().requests.get(ticket).map(|request| request.method) else { return };
        self.answer(ticket, &Answer::failure(method, &failure));
    }

    fn progress(&self, ticket: Ticket, progress: Progress<'_>) {
        let Progress { notice, token, revision } = progress;
        let found = self
            .state()
            .requests
            .get(ticket)
            .map(|request| (request.token.clone(), request.back.out.clone()));
        let Some((Some(own), out)) = found else { return };
        let send = |notice: &Notice<'_>, token| {
            self.send_notice(&out, "notifications/progress", notice, &[(token, &own)]);
        };
        // What the first revision lacks stands in every notification of the others; those of its own servers pass as they are.
        let older = self.revision().filter(|own| !own.progress_message && revision.progress_message);
        let Some(text) =
            older.and_then(|own| bridge::request::notification(notice.params.of(notice.line), true, own))
        else {
            return send(&notice, token);
        };
        if let Some(token) = json::get(&text, "progressToken") {
            send(&Notice { line: &text, params: Span { start: 0, end: text.len() } }, token);
        }
    }

    fn log(&self, ticket: Ticket, server: &ServerName, notice: Notice<'_>) {
        self.pass_log(server, &notice, self.outlet_of(ticket).as_ref());
    }

    fn ask(&self, ticket: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        self.put(ask, Some(ticket))
    }

    fn withdraw(&self, key: &AskKey, reason: &str) {
        self.take_back(key, reason);
    }
}
