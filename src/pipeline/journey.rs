//! Calls on their way through stages: one task each, in one table.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::group::{Destination, Group};
use super::{Next, Outcome, Request, Results, Stage};
use crate::backend::Journey;
use crate::call::{Caller, CallerId, Reply, Ticket};
use crate::failure::{Code, Failure};

/// The journeys of a whole Switchboard.
#[derive(Debug, Default)]
pub struct Journeys {
    open: Mutex<HashMap<(CallerId, Ticket), AbortHandle>>,
    tracker: TaskTracker,
    ended: CancellationToken,
    results: Arc<Results>,
}

impl Journeys {
    fn open(&self) -> MutexGuard<'_, HashMap<(CallerId, Ticket), AbortHandle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls are on their way.
    pub fn count(&self) -> usize {
        self.open().len()
    }

    /// What was too large for clients to get at once.
    pub fn results(&self) -> &Arc<Results> {
        &self.results
    }

    /// From now on nobody waits in a stage: what is not at its server fails, and what comes back from there is not sent again.
    pub fn end(&self) {
        self.ended.cancel();
        self.tracker.close();
    }

    /// Waits, after [`end`](Self::end), until every client has its answer.
    pub async fn ended(&self) {
        self.tracker.wait().await;
    }

    /// Begins a journey.
    pub(super) fn begin(
        self: &Arc<Self>,
        stages: Arc<[Arc<dyn Stage>]>,
        group: Arc<Group>,
        request: Request,
    ) {
        let key = (request.call.caller.id(), request.call.ticket);
        // Locked until the journey stands in the table: it takes itself out at its end.
        let mut open = self.open();
        let journeys = Arc::clone(self);
        let on_the_way = group.members().first().map(|member| Journey::to(&member.server));
        let task = self.tracker.spawn(async move {
            journeys.travel(key, &stages, group, request).await;
            drop(on_the_way);
        });
        open.insert(key, task.abort_handle());
    }

    /// Ends a journey whose client no longer wants the answer.
    pub(super) fn cancel(&self, caller: CallerId, ticket: Ticket) {
        let task = self.open().remove(&(caller, ticket));
        if let Some(task) = task {
            task.abort();
        }
    }

    async fn travel(
        &self,
        key: (CallerId, Ticket),
        stages: &[Arc<dyn Stage>],
        group: Arc<Group>,
        request: Request,
    ) {
        let client = Client { journeys: self, key, caller: Arc::clone(&request.call.caller) };
        let server = Destination::new(group);
        let outcome = self.outcome(stages, &server, request).await;
        client.answer(outcome);
    }

    /// Takes the call to its end, or to ours.
    async fn outcome(&self, stages: &[Arc<dyn Stage>], server: &Destination, request: Request) -> Outcome {
        let label = request.call.label.clone();
        let mut run = pin!(Next::new(stages, server).run(request));
        tokio::select! {
            biased;
            outcome = &mut run => return outcome,
            () = self.ended.cancelled() => {}
        }
        poll_fn(|context| match run.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            // Its server is ending too, and knows what to say of it.
            Poll::Pending if server.is_busy() => Poll::Pending,
            Poll::Pending => {
                let cause = format!("Switchboard is ending, and `{label}` was waiting");
                Poll::Ready(Outcome::Failed(Failure::new(Code::CallShutdown, cause)))
            }
        })
        .await
    }
}

/// The client at the end of a journey. It gets exactly one answer, also if a stage breaks down; none if it has cancelled.
struct Client<'a> {
    journeys: &'a Journeys,
    key: (CallerId, Ticket),
    caller: Arc<dyn Caller>,
}

impl Client<'_> {
    fn answer(&self, outcome: Outcome) {
        if self.journeys.open().remove(&self.key).is_none() {
            return;
        }
        let (_, ticket) = self.key;
        match outcome {
            Outcome::Reply { line, body, revision } => {
                self.caller.reply(ticket, Reply { line: &line, body, revision });
            }
            Outcome::Failed(failure) => self.caller.fail(ticket, failure),
        }
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        let cause = "a stage in front of the server broke down; this is a fault of Switchboard";
        self.answer(Outcome::Failed(Failure::new(Code::CallUnavailable, cause)));
    }
}
