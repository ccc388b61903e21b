//! What the server says to the caller of an exchange.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::question::Question;
use super::{Client, Exchange, Phase};
use crate::bridge::{self, question};
use crate::call::{
    Ask, AskKey, Caller, CallerId, ClientInfo, Introduction, NotAsked, Notice, Progress, Reply, Ticket,
};
use crate::failure::Failure;
use crate::frontend::MAX_MESSAGE;
use crate::frontend::answer::Answer;
use crate::frontend::modern::rounds;
use crate::frontend::modern::scope::Responder;
use crate::frontend::session::{fits, named_logger, write_edited};
use crate::names::ServerName;
use crate::protocol::{Level, Revision};
use crate::wire::{Body, LineWriter, Span, json};

/// Questions that come within this time of each other are put together.
const GATHER: Duration = Duration::from_millis(30);
/// More questions than this at once are refused.
const MAX_QUESTIONS: usize = 64;
/// So many bytes waiting, and log messages are dropped rather than put in front of answers.
const CROWDED: usize = 1 << 20;

impl Caller for Exchange {
    fn id(&self) -> CallerId {
        self.id
    }

    fn introduction(&self) -> Introduction {
        self.introduction.clone()
    }

    fn principal(&self) -> Option<Arc<str>> {
        self.principal.clone()
    }

    fn profile(&self) -> Option<Arc<str>> {
        self.hall.profile_of(self.principal.as_deref())
    }

    fn client(&self) -> Option<Arc<ClientInfo>> {
        self.client.clone()
    }

    fn level(&self) -> Option<Level> {
        self.level
    }

    fn reply(&self, _: Ticket, reply: Reply<'_>) {
        match reply.body {
            Body::Result(span) => self.result(span.of(reply.line), reply.revision),
            Body::Error(span) => self.error(span.of(reply.line), reply.revision),
        }
    }

    fn fail(&self, _: Ticket, failure: Failure) {
        self.finish_with(&Answer::failure(self.method, &failure));
    }

    fn progress(&self, _: Ticket, progress: Progress<'_>) {
        let Progress { notice, token, .. } = progress;
        let state = self.state();
        // The servers of many wait for nobody who does not read.
        if let Phase::Open(Client { responder, token: Some(own), .. }) = &state.phase
            && (self.hall.is_sole() || responder.waiting() <= CROWDED)
        {
            send_notice(responder, "notifications/progress", &notice, &[(token, own)]);
        }
    }

    fn log(&self, _: Ticket, server: &ServerName, notice: Notice<'_>) {
        let Some(wanted) = self.level else { return };
        let params = notice.params.of(notice.line);
        let level = json::get(params, "level").and_then(|span| json::string(span.of(params)));
        if level.as_deref().and_then(Level::parse).is_some_and(|level| level < wanted) {
            return;
        }
        let state = self.state();
        if let Phase::Open(client) = &state.phase
            && client.responder.waiting() <= CROWDED
        {
            let (place, name) = named_logger(server, &notice);
            send_notice(&client.responder, "notifications/message", &notice, &[(place, &name)]);
        }
    }

    fn ask(&self, _: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        let raw = ask.params.map(|span| span.of(ask.line)).unwrap_or(b"{}");
        let own = Revision::newest_modern();
        let declared = &self.introduction.capabilities;
        if let Err(refusal) = bridge::capabilities::check(ask.kind, raw, declared, own) {
            self.state().missing = Some(bridge::capabilities::required(ask.kind, raw));
            return Err(refusal);
        }
        let translated = question::params(ask.kind, raw, ask.revision, own, declared, "")?;
        let params = translated.unwrap_or_else(|| Bytes::copy_from_slice(raw));
        let params = rounds::name_server(ask.kind, self.server(), &params).unwrap_or(params);
        if !fits(params.len()) {
            return Err(NotAsked::Unacceptable(format!(
                "the question has more than {} MiB",
                MAX_MESSAGE >> 20
            )));
        }
        let mut state = self.state();
        if state.questions.len() >= MAX_QUESTIONS {
            return Err(NotAsked::Unacceptable("the client has too many open questions".to_owned()));
        }
        let gathers = match &mut state.phase {
            Phase::Open(client) => std::mem::replace(&mut client.gathers, true),
            // It is put when the client comes back with the answers to the others.
            Phase::Parked => true,
            Phase::Answered(..) | Phase::Closed => {
                return Err(NotAsked::Unacceptable("the call that this belongs to is over".to_owned()));
            }
        };
        let name = format!("question-{}", self.hall.parked.next_question());
        state.questions.push(Question {
            key: ask.key.clone(),
            asker: Arc::clone(&ask.asker),
            kind: ask.kind,
            revision: ask.revision,
            params,
            name,
        });
        drop(state);
        if !gathers && let Some(exchange) = self.me.upgrade() {
            self.hall.tasks.spawn(async move {
                tokio::time::sleep(GATHER).await;
                exchange.park();
            });
        }
        Ok(())
    }

    fn withdraw(&self, key: &AskKey, _: &str) {
        self.state().questions.retain(|question| question.key != *key);
    }
}

fn send_notice(responder: &Responder, method: &str, notice: &Notice<'_>, edits: &[(Span, &[u8])]) {
    if !fits(notice.params.len()) {
        return tracing::warn!(
            method,
            size = notice.params.len(),
            "a notification over the limit was dropped"
        );
    }
    responder.send(|out: &mut LineWriter<'_>| {
        out.copy(br#"{"jsonrpc":"2.0","method":""#);
        out.copy(method.as_bytes());
        out.copy(br#"","params":"#);
        write_edited(out, notice.line, notice.params, edits);
        out.copy(b"}");
    });
}
