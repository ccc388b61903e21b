//! How much is known of servers, and waiting for more.

use tokio::sync::watch;
use tokio::time::Instant;

use super::Registry;
use crate::bridge::result::CacheHints;
use crate::names::ServerName;
use crate::protocol::ListKind;

impl Registry {
    /// Resolves, again and again, when the catalog or a state has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Whether any server speaks a modern revision, as far as it has shown itself.
    pub fn has_modern(&self) -> bool {
        self.shown().offerings.values().any(|known| known.offering.revision().is_modern())
    }

    /// Whether a server has shown its lists in this run.
    pub fn is_live(&self, server: &ServerName) -> bool {
        self.shown().offerings.get(server).is_some_and(|known| known.live)
    }

    /// Whether what we know of a server was shown to this client or one of the same abilities, now or earlier.
    pub fn is_settled(&self, server: &ServerName) -> bool {
        self.shown().offerings.get(server).is_some_and(|known| known.is_settled)
    }

    /// Whether a server that has shown its lists in this run has shown all of them: false if one could not be fetched.
    pub fn has_shown_all(&self, server: &ServerName) -> bool {
        self.shown().offerings.get(server).is_some_and(|known| known.is_complete)
    }

    /// Whether all instances of a server have failed to start, or have ended without a list.
    pub fn has_given_up(&self, server: &ServerName) -> bool {
        self.lane(server).is_some_and(|lane| lane.backends().all(|instance| instance.has_given_up()))
    }

    /// Whether every server has shown what it has, now or in an earlier run, or cannot.
    pub fn is_complete(&self) -> bool {
        let shown = self.shown();
        shown.now.servers.lanes().all(|lane| {
            shown.offerings.get(lane.backend().name()).is_some_and(|known| known.is_settled)
                || lane.backends().all(|instance| instance.has_given_up())
        })
    }

    /// For how long the merged list may be kept: as long as every part of it may, if all are there.
    pub fn cache_hints(&self, kind: ListKind) -> CacheHints {
        if !self.is_complete() {
            return CacheHints::NONE;
        }
        let servers = self.servers();
        let parts = servers.lanes().map(|lane| lane.backend().cache_hints(kind));
        parts.reduce(CacheHints::and).unwrap_or(CacheHints::NONE)
    }

    /// Waits until [`is_complete`](Self::is_complete), but not beyond `deadline`.
    pub async fn complete_by(&self, deadline: Instant) {
        self.wait_until(deadline, Self::is_complete).await;
    }

    /// Waits, after servers were changed, until they have shown what they have, so that it can be told at once: for a moment, and
    /// not at all if none were changed lately.
    pub async fn settled(&self) {
        let settles_by = self.settles_by();
        if let Some(deadline) = settles_by {
            self.complete_by(deadline).await;
        }
    }

    /// Whether no server has told of a change that the catalog does not hold yet.
    pub fn is_current(&self) -> bool {
        !self.servers().lanes().any(|lane| lane.backend().is_stale())
    }

    /// Waits until [`is_current`](Self::is_current), but not beyond `deadline`.
    pub async fn current_by(&self, deadline: Instant) {
        self.wait_until(deadline, Self::is_current).await;
    }

    async fn wait_until(&self, deadline: Instant, holds: impl Fn(&Self) -> bool) {
        let mut changes = self.changes();
        let change = changes.wait_for(|_| holds(self));
        let _ = tokio::time::timeout_at(deadline, change).await;
    }
}
