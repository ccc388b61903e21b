//! What servers hang on, so that one can end without the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::backend::Shutdown;
use crate::pipeline::Lane;
use crate::supervisor::Ending;

/// How long calls in flight at a server that is taken out may go on.
pub(super) const DRAIN: Duration = Duration::from_secs(30);
/// How often it is looked whether they have been answered.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug)]
pub(super) struct Leash {
    ends: watch::Sender<Option<Ending>>,
    retired: CancellationToken,
}

impl Default for Leash {
    fn default() -> Self {
        Self { ends: watch::Sender::new(None), retired: CancellationToken::new() }
    }
}

impl Leash {
    /// One that retires with this one, or before it.
    pub(super) fn child(&self) -> Self {
        Self { ends: watch::Sender::new(None), retired: self.retired.child_token() }
    }

    /// What ends with it.
    pub(super) fn shutdown(&self) -> Shutdown {
        self.ends.subscribe()
    }

    /// It takes no new calls, and ends when those in flight are answered.
    pub(super) fn retire(&self) {
        self.retired.cancel();
    }

    pub(super) async fn retired(&self) {
        self.retired.cancelled().await;
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.is_cancelled()
    }

    /// It ends now, with this grace, unless it is ending already.
    pub(super) fn end(&self, ending: Ending) {
        self.ends.send_if_modified(|known| {
            let is_first = known.is_none();
            known.get_or_insert(ending);
            is_first
        });
    }

    /// Lives as long as what hangs on it, which ends when everything ends, or when it has retired and `is_drained`.
    pub(super) async fn hold(
        self: Arc<Self>,
        mut all: Shutdown,
        hanging: impl Future<Output = ()>,
        is_drained: impl Fn() -> bool,
    ) {
        tokio::pin!(hanging);
        let drained = async {
            self.retired.cancelled().await;
            let deadline = Instant::now() + DRAIN;
            while !is_drained() && Instant::now() < deadline {
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = &mut hanging => return,
            ending = ordered(&mut all) => self.end(ending),
            () = drained => {
                self.end(Ending::RELOAD);
                tokio::select! {
                    () = &mut hanging => return,
                    // Who leaves in peace has to hurry when everything ends.
                    ending = ordered(&mut all) => drop(self.ends.send_replace(Some(ending))),
                }
            }
        }
        hanging.await;
    }
}

async fn ordered(all: &mut Shutdown) -> Ending {
    all.wait_for(Option::is_some).await.ok().and_then(|ending| *ending).unwrap_or(Ending::NOW)
}

/// Whether nobody has a call at a server.
pub(super) fn drained(lane: &Lane) -> impl Fn() -> bool + use<> {
    let lane = lane.clone();
    move || lane.is_drained()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A leash that something hangs on which ends when it is told to, and says when and how.
    fn held(leash: &Arc<Leash>, all: Shutdown, is_drained: &Arc<AtomicBool>) -> tokio::task::JoinHandle<()> {
        let mut told = leash.shutdown();
        let hanging = async move {
            let _ = told.wait_for(Option::is_some).await;
        };
        let is_drained = Arc::clone(is_drained);
        tokio::spawn(Arc::clone(leash).hold(all, hanging, move || is_drained.load(Ordering::Relaxed)))
    }

    #[tokio::test(start_paused = true)]
    async fn who_retires_ends_when_its_calls_are_answered() {
        let (leash, all) = (Arc::new(Leash::default()), watch::Sender::new(None));
        let drained = Arc::new(AtomicBool::new(false));
        let holding = held(&leash, all.subscribe(), &drained);
        leash.retire();
        sleep(Duration::from_secs(5)).await;
        assert!(!holding.is_finished() && leash.shutdown().borrow().is_none());
        drained.store(true, Ordering::Relaxed);
        assert!(holding.await.is_ok());
        assert_eq!(*leash.shutdown().borrow(), Some(Ending::RELOAD));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_are_never_answered_do_not_keep_it() {
        let (leash, all) = (Arc::new(Leash::default()), watch::Sender::new(None));
        let began = Instant::now();
        let holding = held(&leash, all.subscribe(), &Arc::default());
        leash.retire();
        assert!(holding.await.is_ok());
        assert_eq!(began.elapsed().as_secs(), DRAIN.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_everything_is_its_end() {
        let (leash, all) = (Arc::new(Leash::default()), watch::Sender::new(None));
        let child = Arc::new(leash.child());
        let holding = held(&child, all.subscribe(), &Arc::default());
        leash.retire();
        assert!(child.is_retired(), "what hangs below retires too");
        all.send_replace(Some(Ending::SHUTDOWN));
        assert!(holding.await.is_ok());
        assert_eq!(*child.shutdown().borrow(), Some(Ending::SHUTDOWN));
    }
}
