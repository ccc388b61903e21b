//! A task that runs where it is: begun on the stack of whoever begins it, continued on that of whoever brings what it waits for.
//!
//! A task of the runtime costs a turn of its queue when it begins, and another one each time it goes on. Most calls through stages
//! wait just once, for their server, and whoever reads the answer can as well go on with it. Whatever else such a task waits
//! for (a pause, its turn, another thread) wakes it in the usual way: then the runtime runs it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::Handle;
use tokio::task::unconstrained;

/// What is to be done.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// See the module.
pub(super) struct InlineTask {
    state: Mutex<State>,
    runtime: Handle,
}

enum State {
    /// It waits. Whether the runtime has been asked to run it.
    Waits {
        work: Work,
        is_called: bool,
    },
    /// Somebody runs it.
    Runs {
        /// It was woken meanwhile.
        again: bool,
        /// It was ended meanwhile.
        over: bool,
    },
    Over,
}

impl InlineTask {
    /// A task that has not begun: it is [run](Self::run) for the first time by whoever makes it, within a runtime.
    pub(super) fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        // How far one turn may go is counted for the task on whose stack we are: what it has used up must not stop this one, which
        // nobody would run again.
        let work = Box::pin(unconstrained(work));
        let state = State::Waits { work, is_called: false };
        Self { state: Mutex::new(state), runtime: Handle::current() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with it, here and now, until it waits. Does nothing if it is being run or has ended.
    pub(super) fn run(self: &Arc<Self>) {
        self.run_after(|| {});
    }

    /// Does something that may wake it, and then goes on with it, here and now. The caller must hold no lock that the work may
    /// want.
    pub(super) fn run_after(self: &Arc<Self>, cause: impl FnOnce()) {
        let work = self.take();
        cause();
        let Some(mut work) = work else { return };
        let waker = Waker::from(Arc::clone(self));
        let mut context = Context::from_waker(&waker);
        // Work that breaks down is dropped, like a task of the runtime; whoever waits for it learns it by that.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut context)));
        self.put_back(work, !matches!(polled, Ok(Poll::Pending)));
    }

    /// Takes the work, if it waits.
    fn take(&self) -> Option<Work> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Runs { again: false, over: false }) {
            State::Waits { work, .. } => Some(work),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Puts it back, or drops it if it is done.
    fn put_back(self: &Arc<Self>, work: Work, is_done: bool) {
        let mut state = self.state();
        let (again, over) = match *state {
            State::Runs { again, over } => (again, over),
            _ => (false, true),
        };
        if is_done || over {
            *state = State::Over;
            // What the work holds may wake others, or us, when it is dropped.
            drop(state);
            drop(work);
        } else {
            *state = State::Waits { work, is_called: again };
            drop(state);
            if again {
                self.call();
            }
        }
    }

    /// Has the runtime run it.
    fn call(self: &Arc<Self>) {
        let task = Arc::clone(self);
        // Not awaited by anybody: it is over as soon as the work waits again, and who owns the work awaits that.
        self.runtime.spawn(async move { task.run() });
    }

    /// Ends it wherever it is: what it holds is dropped.
    pub(super) fn abort(&self) {
        let mut state = self.state();
        match &mut *state {
            State::Runs { over, .. } => *over = true,
            _ => {
                let old = std::mem::replace(&mut *state, State::Over);
                drop(state);
                drop(old);
            }
        }
    }
}

/// Wakers may be called under locks of others and on other threads, so they leave it to the runtime.
impl Wake for InlineTask {
    fn wake(self: Arc<Self>) {
        match &mut *self.state() {
            State::Waits { is_called, .. } if !*is_called => *is_called = true,
            State::Runs { again, .. } => {
                *again = true;
                return;
            }
            State::Waits { .. } | State::Over => return,
        }
        self.call();
    }
}

impl std::fmt::Debug for InlineTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InlineTask").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::{Notify, oneshot};
    use tokio::task::yield_now;

    use super::*;

    /// Says when it is dropped.
    struct Guard(Arc<AtomicUsize>);

    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn it_begins_and_goes_on_without_a_turn_of_the_runtime() {
        let (sender, receiver) = oneshot::channel();
        let steps = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&steps);
        let task = Arc::new(InlineTask::new(async move {
            counted.fetch_add(1, Ordering::Relaxed);
            receiver.await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
        }));
        task.run();
        assert_eq!(steps.load(Ordering::Relaxed), 1);
        task.run();
        assert_eq!(steps.load(Ordering::Relaxed), 1, "there is nothing new");
        task.run_after(|| sender.send(()).unwrap());
        assert_eq!(steps.load(Ordering::Relaxed), 2);
        task.run();
        assert_eq!(steps.load(Ordering::Relaxed), 2, "it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn what_else_wakes_it_leaves_it_to_the_runtime() {
        let done = Arc::new(Notify::new());
        let told = Arc::clone(&done);
        let task = Arc::new(InlineTask::new(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let far = tokio::task::spawn_blocking(|| 7).await;
            assert_eq!(far.unwrap(), 7);
            yield_now().await;
            told.notify_one();
        }));
        task.run();
        done.notified().await;
        assert!(matches!(*task.state(), State::Over | State::Runs { .. }));
    }

    #[tokio::test]
    async fn work_that_wakes_itself_lets_others_in_between() {
        let mut left = 3;
        let done = Arc::new(AtomicUsize::new(0));
        let guard = Guard(Arc::clone(&done));
        let work = std::future::poll_fn(move |context| {
            left -= 1;
            context.waker().wake_by_ref();
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        let task = Arc::new(InlineTask::new(async move {
            work.await;
            drop(guard);
        }));
        task.run();
        assert_eq!(done.load(Ordering::Relaxed), 0);
        while done.load(Ordering::Relaxed) == 0 {
            yield_now().await;
        }
    }

    /// Whoever reads many answers in one turn uses up what the runtime allows it.
    #[tokio::test]
    async fn any_number_goes_on_in_one_turn_of_another_task() {
        let ended = Arc::new(AtomicUsize::new(0));
        std::future::poll_fn(|_| {
            for _ in 0..10_000 {
                let (sender, receiver) = oneshot::channel();
                let guard = Guard(Arc::clone(&ended));
                let task = Arc::new(InlineTask::new(async move {
                    receiver.await.unwrap();
                    drop(guard);
                }));
                task.run();
                task.run_after(|| sender.send(()).unwrap());
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(ended.load(Ordering::Relaxed), 10_000);
    }

    #[tokio::test]
    async fn aborted_or_broken_work_is_dropped_once() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let guard = Guard(Arc::clone(&dropped));
        let task = Arc::new(InlineTask::new(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        }));
        task.run();
        task.abort();
        task.abort();
        task.run();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);

        let guard = Guard(Arc::clone(&dropped));
        let task = Arc::new(InlineTask::new(async move {
            let _guard = guard;
            panic!("a scripted breakdown");
        }));
        task.run();
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        assert!(matches!(*task.state(), State::Over));
    }

    #[tokio::test]
    async fn work_may_end_itself() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let guard = Guard(Arc::clone(&dropped));
        let task = Arc::new_cyclic(|task: &std::sync::Weak<InlineTask>| {
            let task = task.clone();
            InlineTask::new(async move {
                let _guard = guard;
                task.upgrade().unwrap().abort();
                std::future::pending::<()>().await;
            })
        });
        task.run();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    }
}
