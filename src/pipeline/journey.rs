//! Calls on their way through stages: one task each, in one table.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Wake};

use ahash::HashMap;
use tokio_util::task::TaskTracker;

use super::group::{Destination, Group};
use super::inline::InlineTask;
use super::{Next, Outcome, Request, Results, Stage};
use crate::backend::Journey;
use crate::call::{Caller, CallerId, Reply, Ticket};
use crate::failure::{Code, Failure};

/// The journeys of a whole Switchboard.
#[derive(Debug, Default)]
pub struct Journeys {
    open: Mutex<HashMap<(CallerId, Ticket), Arc<InlineTask>>>,
    tracker: TaskTracker,
    is_ending: AtomicBool,
    results: Arc<Results>,
}

impl Journeys {
    fn open(&self) -> MutexGuard<'_, HashMap<(CallerId, Ticket), Arc<InlineTask>>> {
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
        self.is_ending.store(true, Ordering::Relaxed);
        self.tracker.close();
        // Each looks where it is.
        let open: Vec<Arc<InlineTask>> = self.open().values().cloned().collect();
        open.into_iter().for_each(Wake::wake);
    }

    /// Waits, after [`end`](Self::end), until every client has its answer.
    pub async fn ended(&self) {
        self.tracker.wait().await;
    }

    /// Begins a journey, and goes on with it until it waits, for its server most of the time.
    pub(super) fn begin(
        self: &Arc<Self>,
        stages: Arc<[Arc<dyn Stage>]>,
        group: Arc<Group>,
        request: Box<Request>,
    ) {
        let key = (request.call.caller.id(), request.call.ticket);
        let task = Arc::new_cyclic(|task| {
            InlineTask::new(Arc::clone(self).travel(key, stages, group, request, task.clone()))
        });
        // It takes itself out at its end, which may come at once.
        self.open().insert(key, Arc::clone(&task));
        task.run();
    }

    /// Ends a journey whose client no longer wants the answer.
    pub(super) fn cancel(&self, caller: CallerId, ticket: Ticket) {
        let task = self.open().remove(&(caller, ticket));
        if let Some(task) = task {
            task.abort();
        }
    }

    async fn travel(
        self: Arc<Self>,
        key: (CallerId, Ticket),
        stages: Arc<[Arc<dyn Stage>]>,
        group: Arc<Group>,
        request: Box<Request>,
        task: Weak<InlineTask>,
    ) {
        let _counted = self.tracker.token();
        let _on_the_way = group.members().first().map(|member| Journey::to(&member.server));
        let caller = Arc::clone(&request.call.caller);
        let mut client = Client { journeys: &self, key, caller, is_answered: false };
        let server = Destination::new(group, task);
        let outcome = self.outcome(&stages, &server, request).await;
        client.answer(outcome);
    }

    /// Takes the call to its end, or to ours.
    async fn outcome(
        &self,
        stages: &[Arc<dyn Stage>],
        server: &Destination,
        request: Box<Request>,
    ) -> Outcome {
        let label = request.call.label.clone();
        let mut run = Next::new(stages, server).run(request);
        poll_fn(|context| match run.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            // What is at a server that is ending too, that one knows best what to say of.
            Poll::Pending if server.is_busy() || !self.is_ending.load(Ordering::Relaxed) => Poll::Pending,
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
    is_answered: bool,
}

impl Client<'_> {
    fn answer(&mut self, outcome: Outcome) {
        self.is_answered = true;
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
        if !self.is_answered {
            let cause = "a stage in front of the server broke down; this is a fault of Switchboard";
            self.answer(Outcome::Failed(Failure::new(Code::CallUnavailable, cause)));
        }
    }
}
