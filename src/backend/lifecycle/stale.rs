//! What has become old while a server runs: lists that it said have changed, and bytes that it does not take.

use std::time::Duration;

use tokio::time::Instant;

use crate::protocol::ListKind;
use crate::wire::Outbox;

/// The first notice after some quiet is looked at almost at once: somebody may have made what it is about and look for it.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Several notices of changed lists are one when they come within this time.
pub(super) const REFRESH_PAUSE: Duration = Duration::from_millis(300);
/// A list that could not be fetched is asked for again after this pause, which doubles up to a minute.
pub(super) const LIST_RETRY: Duration = Duration::from_secs(2);
/// A server that takes no byte for this long although some wait has stopped reading.
pub(super) const WEDGED_AFTER: Duration = Duration::from_secs(10);

/// The lists that have to be fetched again, and when.
#[derive(Default)]
pub(super) struct Stale {
    pub(super) kinds: Vec<ListKind>,
    /// When they were fetched last.
    looked: Option<Instant>,
    pub(super) due: Option<Instant>,
    /// How often in a row something could not be fetched.
    failures: u32,
}

impl Stale {
    pub(super) fn add(&mut self, kinds: &[ListKind], pause: Duration) {
        for kind in kinds {
            if !self.kinds.contains(kind) {
                self.kinds.push(*kind);
            }
        }
        if !kinds.is_empty() {
            self.due.get_or_insert_with(|| Instant::now() + pause);
        }
    }

    /// The server has told of changes.
    pub(super) fn told(&mut self, kinds: &[ListKind]) {
        let is_first = self.looked.is_none_or(|looked| looked.elapsed() > 2 * REFRESH_PAUSE);
        self.add(kinds, if is_first { FIRST_PAUSE } else { REFRESH_PAUSE });
    }

    pub(super) fn take(&mut self) -> Vec<ListKind> {
        self.due = None;
        self.looked = Some(Instant::now());
        std::mem::take(&mut self.kinds)
    }

    /// A list that could not be fetched is asked for again, with growing pauses.
    pub(super) fn retry(&mut self, failed: &[ListKind]) {
        self.failures = if failed.is_empty() { 0 } else { (self.failures + 1).min(6) };
        self.add(failed, LIST_RETRY * 2u32.pow(self.failures.saturating_sub(1)));
    }
}

/// Notices that a server takes nothing although something waits for it.
#[derive(Default)]
pub(super) struct Stall {
    taken: u64,
    since: Option<Instant>,
}

impl Stall {
    pub(super) fn lasts(&mut self, outbox: &Outbox, now: Instant) -> bool {
        let taken = outbox.taken();
        if outbox.waiting() == 0 || taken != self.taken {
            self.taken = taken;
            self.since = None;
            return false;
        }
        now - *self.since.get_or_insert(now) >= WEDGED_AFTER
    }
}
