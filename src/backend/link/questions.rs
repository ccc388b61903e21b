//! Questions of the server: whose they are, and when their answers go back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use tokio::time::Instant;

use super::{Answer, Link, MAX_ASKS, OpenAsk, Owner, Whose};
use crate::backend::compose;
use crate::bridge::elicitation::CANCEL;
use crate::call::{AskKey, AskKind, Caller, InFlight};
use crate::wire::{Body, Id, Span};

/// What a server is told whose question nobody has answered in time.
const TOO_LATE: &[u8] = br#"{"code":-32603,"message":"the client did not answer in time"}"#;

impl Link {
    /// Notes a question of the server, and whose it is. `None` if it is of an earlier run, or one question too many.
    ///
    /// `about` is the call that the transport says it belongs to. Without that, it belongs to the caller whose calls are
    /// the only ones in flight. A question that names a `task` whose caller is known belongs to no call, so that its answer
    /// waits for nobody's turn.
    pub(in crate::backend) fn asked(
        &self,
        generation: u64,
        id: Id,
        kind: AskKind,
        about: Option<u64>,
        task: Option<&str>,
    ) -> Option<(AskKey, Whose)> {
        let mut inner = self.lock();
        let run = inner.run_of(generation)?;
        if run.asks.len() >= MAX_ASKS || run.asks.iter().any(|open| open.id == id) {
            return None;
        }
        let whose = match about {
            _ if task.is_some() => Whose::Nobodys,
            Some(flight) => run
                .caller_of(flight)
                .map_or(Whose::Nobodys, |(call, caller)| Whose::Ones(flight, call, caller)),
            None => run.only_caller(),
        };
        let flight = match &whose {
            Whose::Ones(flight, ..) => Some(*flight),
            Whose::Nobodys | Whose::Unclear => None,
        };
        run.asks.push(OpenAsk { id: id.clone(), kind, since: Instant::now(), whose: flight });
        Some((AskKey { server: self.server.clone(), generation, id }, whose))
    }

    /// Who waits for the result of this task of the server (MCP 2025-11-25), and under which ticket: he is to be asked there.
    pub(in crate::backend) fn awaits_task(&self, generation: u64, task: &str) -> Option<InFlight> {
        let mut inner = self.lock();
        let run = inner.run_of(generation)?;
        run.flights.values().find_map(|flight| match &flight.owner {
            Owner::Client(call) if call.waits_for_task() && call.label.as_str() == task => {
                Some((call.ticket, Arc::clone(&call.caller)))
            }
            Owner::Client(_) | Owner::Own(_) => None,
        })
    }

    /// Takes a question back: the server has withdrawn it, or it cannot be asked. Gives the caller who was asked.
    pub(in crate::backend) fn withdrawn(
        &self,
        generation: u64,
        id: &Id,
    ) -> Option<(AskKey, Option<Arc<dyn Caller>>)> {
        let mut inner = self.lock();
        let run = inner.run_of(generation)?;
        let whose = run.close_ask(id)?;
        let caller = whose.and_then(|flight| run.caller_of(flight)).map(|(_, caller)| caller);
        Some((AskKey { server: self.server.clone(), generation, id: id.clone() }, caller))
    }

    /// Answers the questions that have been open for this long in the client's place: nobody has answered. Gives those who
    /// were asked.
    pub(in crate::backend) fn expire_asks(
        &self,
        now: Instant,
        patience: Duration,
    ) -> Vec<(AskKey, Option<Arc<dyn Caller>>)> {
        let mut inner = self.lock();
        let Some(run) = &mut inner.run else { return Vec::new() };
        let late: Vec<(Id, AskKind)> = run
            .asks
            .iter()
            .filter(|ask| now - ask.since >= patience)
            .map(|ask| (ask.id.clone(), ask.kind))
            .collect();
        late.into_iter()
            .filter_map(|(id, kind)| {
                let whose = run.asks.iter().find(|ask| ask.id == id)?.whose;
                let caller = whose.and_then(|flight| run.caller_of(flight)).map(|(_, caller)| caller);
                let (text, is_result) = match kind {
                    AskKind::Elicitation => (CANCEL, true),
                    AskKind::Sampling | AskKind::Roots => (TOO_LATE, false),
                };
                let span = Span { start: 0, end: text.len() };
                let body = if is_result { Body::Result(span) } else { Body::Error(span) };
                let answer = Answer { id: id.clone(), text: Bytes::from_static(text), body };
                match whose {
                    Some(flight) => run.answer_in_turn(flight, answer),
                    None => run.send_answer(&answer),
                }
                Some((AskKey { server: self.server.clone(), generation: run.generation, id }, caller))
            })
            .collect()
    }

    /// Sends the answer to a question, if it is still open. Where the call rested meanwhile and others are at the server,
    /// the answer waits for them.
    pub(in crate::backend) fn answer(&self, key: &AskKey, text: &Bytes, body: Body) {
        let mut inner = self.lock();
        let Some(run) = inner.run_of(key.generation) else { return };
        let Some(whose) = run.asks.iter().find(|open| open.id == key.id).map(|open| open.whose) else {
            return;
        };
        let answer = Answer { id: key.id.clone(), text: text.clone(), body };
        match whose {
            Some(flight) => run.answer_in_turn(flight, answer),
            None => run.send_answer(&answer),
        }
    }

    /// The call in whose middle this was asked waits for its user. Unless the server is one that may ask something else
    /// meanwhile, others may go on.
    pub(in crate::backend) fn rests(&self, key: &AskKey) {
        if let Some(run) = self.lock().run_of(key.generation)
            && let Some(flight) = run.asks.iter().find(|open| open.id == key.id).and_then(|open| open.whose)
        {
            run.rest(flight);
        }
    }

    /// Everybody who has a call in flight, each caller once.
    pub(in crate::backend) fn callers(&self, generation: u64) -> Vec<InFlight> {
        let mut inner = self.lock();
        let Some(run) = inner.run_of(generation) else { return Vec::new() };
        let mut callers: Vec<InFlight> = Vec::new();
        for flight in run.flights.values() {
            if let Owner::Client(call) = &flight.owner
                && !callers.iter().any(|(_, known)| known.id() == call.caller.id())
            {
                callers.push((call.ticket, Arc::clone(&call.caller)));
            }
        }
        callers
    }

    /// Whose call has this id.
    pub(in crate::backend) fn caller_of(&self, generation: u64, flight: u64) -> Option<InFlight> {
        self.lock().run_of(generation)?.caller_of(flight)
    }

    /// Answers a request of the server that was never noted as a question.
    pub(in crate::backend) fn answer_locally(
        &self,
        generation: u64,
        id: &Id,
        member: &str,
        text: &Bytes,
        span: Span,
    ) {
        if let Some(run) = self.lock().run_of(generation) {
            run.outbox.push(|line| compose::answer(line, id.as_bytes(), member, text, span));
        }
    }
}
