//! Lets so many calls at a time to a server; others wait for their turn in the order in which they came, or are refused. A call that
//! waits for its user to come back leaves its place to others meanwhile.

mod slot;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::{BoxFuture, Next, Outcome, Request, Stage};
use crate::backend::show_duration;
use crate::call::Caller;
use crate::config::Concurrency as Rules;
use crate::failure::{Code, Failure};
use crate::names::ServerName;
use slot::{Occupied, Slot};

/// See the module.
#[derive(Debug)]
pub(super) struct Concurrency {
    server: ServerName,
    rules: Rules,
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// How many calls of a server take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// Those that are at the server.
    pub running: usize,
    /// Those that wait for their turn.
    pub waiting: usize,
    /// How many may be at the server.
    pub most: usize,
}

impl Concurrency {
    pub(super) fn new(server: ServerName, rules: Rules) -> Self {
        let slots = Arc::new(Semaphore::new(rules.max.min(Semaphore::MAX_PERMITS)));
        Self { server, rules, slots, waiting: AtomicUsize::new(0) }
    }

    /// How many calls are at the server, how many wait for their turn, and how many may be there.
    pub(super) fn tallies(&self) -> Turns {
        let most = self.rules.max.min(Semaphore::MAX_PERMITS);
        let running = most.saturating_sub(self.slots.available_permits());
        Turns { running, waiting: self.waiting.load(Ordering::Relaxed), most }
    }

    async fn run(&self, mut request: Box<Request>, next: Next<'_>) -> Outcome {
        let slot = match self.slot(&request).await {
            Ok(permit) => Slot::new(&self.slots, permit, Arc::clone(&request.call.caller)),
            Err(failure) => return Outcome::Failed(failure),
        };
        request.call.caller = Arc::clone(&slot) as Arc<dyn Caller>;
        let slot = Occupied(slot);
        let outcome = next.run(request).await;
        drop(slot);
        outcome
    }

    async fn slot(&self, request: &Request) -> Result<OwnedSemaphorePermit, Failure> {
        let Rules { max, queue, wait } = self.rules;
        // Nobody is overtaken: what becomes free belongs to whoever waits.
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(slot);
        }
        let refused = |code, why: String| {
            let cause = format!("`{}` was refused: {why}", request.call.label);
            Failure::new(code, cause).of(&self.server).not_run()
        };
        let Some(_place) = Place::take(&self.waiting, queue) else {
            let why = format!("{max} calls are running and {queue} wait for their turn (`concurrency`)");
            return Err(refused(Code::LimitQueue, why)
                .remedy("It did not run; call again when some of them are done"));
        };
        let until = (Instant::now() + wait).min(request.deadline);
        match timeout_at(until, Arc::clone(&self.slots).acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => {
                let why =
                    format!("its turn did not come within {} (`concurrency.wait`)", show_duration(wait));
                Err(refused(Code::LimitWait, why).remedy("It did not run; call again later"))
            }
        }
    }
}

/// A place in the queue, free again when it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let one_more = |count: usize| (count < most).then_some(count + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_| Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stage for Concurrency {
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(self.run(request, next))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::pipeline::Bottom;
    use crate::pipeline::testing::{reply, request, server};

    /// A server that takes a second for each call, and notes their order and how many were there at once.
    #[derive(Default)]
    struct Slow {
        order: Mutex<Vec<String>>,
        inside: AtomicUsize,
        most: AtomicUsize,
    }

    impl Bottom for Slow {
        fn send(&self, request: Box<Request>) -> BoxFuture<'_, Outcome> {
            Box::pin(async move {
                self.order.lock().unwrap().push(request.call.label.to_string());
                let inside = self.inside.fetch_add(1, Ordering::Relaxed) + 1;
                self.most.fetch_max(inside, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.inside.fetch_sub(1, Ordering::Relaxed);
                reply()
            })
        }
    }

    fn stage(max: usize, queue: usize, wait: u64) -> Arc<Concurrency> {
        Arc::new(Concurrency::new(server(), Rules { max, queue, wait: Duration::from_millis(wait) }))
    }

    /// Calls one after the other without waiting for answers.
    async fn call_all(
        stage: &Arc<Concurrency>,
        slow: &Arc<Slow>,
        count: usize,
    ) -> Vec<tokio::task::JoinHandle<Outcome>> {
        let mut calls = Vec::new();
        for name in 0..count {
            let (stage, slow) = (Arc::clone(stage), Arc::clone(slow));
            calls.push(tokio::spawn(async move {
                stage.around(request(&name.to_string()), Next::new(&[], &*slow)).await
            }));
            tokio::task::yield_now().await;
        }
        calls
    }

    async fn codes(calls: Vec<tokio::task::JoinHandle<Outcome>>) -> Vec<Option<Code>> {
        let mut codes = Vec::new();
        for call in calls {
            codes.push(match call.await.unwrap() {
                Outcome::Failed(failure) => {
                    assert_eq!(failure.ran, crate::effect::Ran::No, "{failure}");
                    Some(failure.code)
                }
                Outcome::Reply { .. } => None,
            });
        }
        codes
    }

    #[tokio::test(start_paused = true)]
    async fn calls_take_turns_in_their_order_and_the_rest_is_refused() {
        let (stage, slow) = (stage(2, 3, 60_000), Arc::new(Slow::default()));
        let calls = call_all(&stage, &slow, 7).await;
        let full = Some(Code::LimitQueue);
        assert_eq!(codes(calls).await, [None, None, None, None, None, full, full]);
        assert_eq!(*slow.order.lock().unwrap(), ["0", "1", "2", "3", "4"]);
        assert_eq!(slow.most.load(Ordering::Relaxed), 2);
        assert_eq!(stage.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_does_not_come_is_a_refusal_of_its_own() {
        let (stage, slow) = (stage(1, 10, 1500), Arc::new(Slow::default()));
        let calls = call_all(&stage, &slow, 4).await;
        let late = Some(Code::LimitWait);
        assert_eq!(codes(calls).await, [None, None, late, late]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_queue_makes_room_and_never_reaches_the_server() {
        let (stage, slow) = (stage(1, 1, 60_000), Arc::new(Slow::default()));
        let mut calls = call_all(&stage, &slow, 2).await;
        calls.remove(1).abort();
        tokio::task::yield_now().await;
        assert_eq!(stage.waiting.load(Ordering::Relaxed), 0);
        // One that is given up at the server frees its slot, too.
        calls.remove(0).abort();
        tokio::task::yield_now().await;
        assert_eq!(codes(call_all(&stage, &slow, 2).await).await, [None, None]);
        assert_eq!(*slow.order.lock().unwrap(), ["0", "0", "1"]);
    }
}
