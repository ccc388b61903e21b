//! `list_changed`: told once for many changes, and only if what the client can list has really changed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::frontend::session::Session;
use crate::protocol::ListKind;
use crate::registry::Registry;

/// Changes within this time are one.
const PAUSE: Duration = Duration::from_millis(250);
/// The least time between two announcements.
const SPACING: Duration = Duration::from_millis(750);

impl Session {
    /// Announces changes of the catalog until the session ends. One task per session.
    pub(super) async fn announce(self: Arc<Self>, registry: Arc<Registry>) {
        let mut changes = registry.changes();
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = self.ended.cancelled() => return,
            }
            if self.stale(&registry).is_empty() {
                continue;
            }
            tokio::select! {
                () = self.settled(&registry) => {}
                () = self.ended.cancelled() => return,
            }
            changes.mark_unchanged();
            for method in self.stale(&registry) {
                self.out.push(|out| {
                    out.copy(br#"{"jsonrpc":"2.0","method":""#);
                    out.copy(method.as_bytes());
                    out.copy(b"\"}");
                });
            }
            let shown = self.view(&registry).digests();
            self.state().announced = shown;
            tokio::select! {
                () = sleep(SPACING) => {}
                () = self.ended.cancelled() => return,
            }
            // What changed in the pause is looked at now; nobody else will wake us for it.
            if !self.stale(&registry).is_empty() {
                changes.mark_changed();
            }
        }
    }

    /// Waits for more changes to come. As long as first lists wait for new servers, nothing is announced: they will
    /// show it all.
    async fn settled(&self, registry: &Registry) {
        let patience = self.state().greeted.as_ref().map(|greeted| greeted.patience);
        if let Some(patience) = patience {
            registry.complete_by(patience).await;
        }
        // What was changed together is told together, too.
        registry.settled().await;
        sleep(PAUSE).await;
    }

    /// The notifications that are due: lists that differ from what the client knows.
    fn stale(&self, registry: &Registry) -> Vec<&'static str> {
        let now = self.view(registry).digests();
        let known = self.state().announced;
        let mut methods: Vec<&'static str> = ListKind::ALL
            .iter()
            .zip(now.iter().zip(&known))
            .filter(|(_, (now, known))| now != known)
            .map(|(kind, _)| kind.changed_notification())
            .collect();
        methods.dedup();
        methods
    }

    /// The client has been given this list.
    pub(super) fn has_seen(&self, kind: ListKind, digest: u64) {
        self.state().announced[kind as usize] = digest;
    }
}
