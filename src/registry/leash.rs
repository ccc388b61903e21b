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
