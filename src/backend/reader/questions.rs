//! What a server asks: the client's user or model, through the caller in whose call it asks.

use std::sync::Arc;

use bytes::Bytes;

use super::Reader;
use crate::backend::link::Whose;
use crate::bridge::tasks;
use crate::call::{Ask, AskKind, Asker, InFlight, NotAsked, Ticket};
use crate::protocol::codes;
use crate::wire::{Id, Span, json};

/// A ticket that no call has.
const NO_CALL: Ticket = Ticket(u64::MAX);

impl Reader {
    pub(super) fn request(&self, line: &Bytes, id: Span, method: &str, params: Option<Span>) {
        let Some(id) = Id::new(id.of(line)) else { return };
        if self.is_modern() {
            // Such servers ask by their results, and take no answers (MCP 2026-07-28, "stdio").
            return tracing::debug!(server = %self.backend.name(), method, "a request of a modern server was dropped");
        }
        if method == "ping" {
            return self.answer(&id, "result", "{}");
        }
        let Some(kind) = AskKind::parse(method) else {
            return self.refuse(&id, codes::METHOD_NOT_FOUND, &format!("Method not found: {method}"));
        };
        let task = params.and_then(|params| tasks::related(params.of(line)));
        let of_task = task.as_deref().and_then(|task| self.caller_of_task(task));
        let task = task.as_deref().filter(|_| of_task.is_some());
        let Some((key, whose)) = self.backend.link.asked(self.generation, id.clone(), kind, self.about, task)
        else {
            return self.refuse(
                &id,
                codes::INVALID_REQUEST,
                "too many open requests, or one with this id is open",
            );
        };
        let Some(greeting) = self.backend.link.greeting() else {
            self.backend.link.withdrawn(self.generation, &id);
            return self.refuse(&id, codes::INVALID_REQUEST, "questions come after the handshake");
        };
        let asker = Arc::clone(&self.backend) as Arc<dyn Asker>;
        let ask = Ask { key, asker, revision: greeting.revision, kind, line, params };
        let asked = match whose {
            _ if of_task.is_some() => of_task.map_or(Ok(()), |(ticket, caller)| caller.ask(ticket, ask)),
            Whose::Ones(_, ticket, caller) => caller.ask(ticket, ask),
            Whose::Nobodys => self.backend.audience.ask(ask),
            Whose::Unclear => Err(NotAsked::Unacceptable(
                "several clients have calls in flight here, and it cannot be told whose question this is"
                    .to_owned(),
            )),
        };
        if let Err(refusal) = asked {
            self.backend.link.withdrawn(self.generation, &id);
            match refusal {
                NotAsked::Unsupported(why) => self.refuse(&id, codes::METHOD_NOT_FOUND, &why),
                NotAsked::Unacceptable(why) => self.refuse(&id, codes::INVALID_PARAMS, &why),
            }
        }
    }

    /// Whose task it is: one that we look after, one whose result somebody waits for here, or one that somebody has begun. The
    /// request that it was has been answered already, so nothing else tells.
    fn caller_of_task(&self, task: &str) -> Option<InFlight> {
        let backend = &self.backend;
        if let Some(errand) = backend.errands.of_task(task) {
            return Some((errand.call().ticket, Arc::clone(&errand.call().caller)));
        }
        let waits = backend.link.awaits_task(self.generation, task);
        waits.or_else(|| Some((NO_CALL, backend.audience.owner_of_task(backend.name(), task)?)))
    }

    fn answer(&self, id: &Id, member: &str, text: &str) {
        let text = Bytes::copy_from_slice(text.as_bytes());
        let span = Span { start: 0, end: text.len() };
        self.backend.link.answer_locally(self.generation, id, member, &text, span);
    }

    fn refuse(&self, id: &Id, code: i32, message: &str) {
        let message = String::from_utf8_lossy(&json::quote(message)).into_owned();
        self.answer(id, "error", &format!(r#"{{"code":{code},"message":{message}}}"#));
    }

    pub(super) fn withdrawal(&self, line: &Bytes, params: Option<Span>) {
        let Some(params) = params.map(|span| span.of(line)) else { return };
        let Some(id) = json::get(params, "requestId").and_then(|span| Id::new(span.of(params))) else {
            return;
        };
        let reason = json::get(params, "reason").and_then(|span| json::string(span.of(params)));
        let reason = reason.as_deref().unwrap_or("the server withdrew its question");
        match self.backend.link.withdrawn(self.generation, &id) {
            Some((key, Some(caller))) => caller.withdraw(&key, reason),
            Some((key, None)) => self.backend.audience.withdraw(&key, reason),
            None => {}
        }
    }
}
