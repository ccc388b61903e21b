//! The last leg of a journey: to the server and back.
//!
//! To the backend a leg is a caller like any other. It keeps the end of the call for the stages; whatever the server says before
//! that goes to the client at once, under the client's own id and ticket, so that questions, progress and logs need not
//! know of stages.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::oneshot;

use super::inline::InlineTask;
use super::{Outcome, Request};
use crate::backend::Backend;
use crate::call::{Ask, Between, Call, Caller, CallerId, NotAsked, Notice, Progress, Reply, Ticket};
use crate::effect::Ran;
use crate::failure::{Code, Failure};
use crate::names::ServerName;
use crate::wire::json;

/// What the attempts of one journey share.
pub(super) struct Road {
    /// Whether the call is at a server now.
    is_busy: AtomicBool,
    /// How far servers said to be, in all attempts: what clients are told only rises (MCP "Progress").
    reached: Arc<Mutex<f64>>,
    /// The journey, which goes on with the answer.
    journey: Weak<InlineTask>,
}

impl Road {
    pub(super) fn of(journey: Weak<InlineTask>) -> Self {
        Self { is_busy: AtomicBool::new(false), reached: Arc::new(Mutex::new(f64::NEG_INFINITY)), journey }
    }

    /// Whether the call is at a server now, and not in a stage.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Relaxed)
    }

    /// Takes a call to this server and waits for the end. Dropping the future cancels the call there.
    pub(super) async fn visit(&self, backend: &Backend, request: Box<Request>) -> Outcome {
        let Request { call, trace, attempt, .. } = *request;
        let call = match trace {
            Some(trace) => trace.attempt(call, attempt, backend),
            None => call,
        };
        let (sender, answer) = oneshot::channel();
        let leg = Leg {
            client: Arc::clone(&call.caller),
            reached: Arc::clone(&self.reached),
            is_heard: AtomicBool::new(false),
            answer: Mutex::new(Some(sender)),
            journey: self.journey.clone(),
        };
        let mut visit =
            Visit { road: self, backend, caller: call.caller.id(), ticket: call.ticket, is_open: true };
        self.is_busy.store(true, Ordering::Relaxed);
        backend.call(Call { caller: Arc::new(leg), ..call });
        let outcome = answer.await;
        visit.is_open = false;
        // A call that was forgotten is a fault of ours; its client must not wait for ever.
        outcome.unwrap_or_else(|_| {
            Outcome::Failed(Failure::new(Code::CallUnavailable, "the call was given up").of(backend.name()))
        })
    }
}

/// A call at the server. Whoever drops it before its end cancels the call there.
struct Visit<'a> {
    road: &'a Road,
    backend: &'a Backend,
    caller: CallerId,
    ticket: Ticket,
    is_open: bool,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.road.is_busy.store(false, Ordering::Relaxed);
        if self.is_open {
            self.backend.cancel(self.caller, self.ticket, Some("the call was given up"));
        }
    }
}

/// See the module.
#[derive(Debug)]
struct Leg {
    client: Arc<dyn Caller>,
    reached: Arc<Mutex<f64>>,
    /// Whether the server has said anything in the call: then it has begun to run, whatever is said of its end.
    is_heard: AtomicBool,
    answer: Mutex<Option<oneshot::Sender<Outcome>>>,
    journey: Weak<InlineTask>,
}

impl Leg {
    fn end(&self, outcome: Outcome) {
        let sender = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Whoever waited may have given up.
            let _ = sender.send(outcome);
        }
    }

    fn heard(&self) {
        self.is_heard.store(true, Ordering::Relaxed);
    }

    /// Whether the progress goes beyond what an earlier attempt has reported. Notes it.
    fn rises(&self, progress: &Progress<'_>) -> bool {
        let params = progress.notice.params.of(progress.notice.line);
        let value = json::get(params, "progress").and_then(|span| std::str::from_utf8(span.of(params)).ok());
        let Some(value) = value.and_then(|text| text.parse::<f64>().ok()) else { return true };
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let rises = value > *reached;
        *reached = reached.max(value);
        rises
    }
}

impl Between for Leg {
    fn client(&self) -> &Arc<dyn Caller> {
        &self.client
    }

    fn reply(&self, _: Ticket, reply: Reply<'_>) {
        let Reply { line, body, revision } = reply;
        let outcome = Outcome::Reply { line: line.clone(), body, revision };
        // Whoever reads answers holds no lock, so the journey goes on here; whoever fails calls may hold some.
        match self.journey.upgrade() {
            Some(journey) => journey.run_after(|| self.end(outcome)),
            None => self.end(outcome),
        }
    }

    fn fail(&self, _: Ticket, failure: Failure) {
        let is_heard = self.is_heard.load(Ordering::Relaxed);
        self.end(Outcome::Failed(if is_heard { failure.ran(Ran::Unknown) } else { failure }));
    }

    fn progress(&self, ticket: Ticket, progress: Progress<'_>) {
        self.heard();
        if self.rises(&progress) {
            self.client.progress(ticket, progress);
        }
    }

    fn log(&self, ticket: Ticket, server: &ServerName, notice: Notice<'_>) {
        self.heard();
        self.client.log(ticket, server, notice);
    }

    fn ask(&self, ticket: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        self.heard();
        self.client.ask(ticket, ask)
    }
}
