//! How the registry keeps an eye on definitions that change: what servers show is looked at before it is merged, and
//! approvals are noticed while we run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Known, Registry};
use crate::backend::Backend;
use crate::catalog::{Catalog, Offering};
use crate::names::ServerName;
use crate::trust::{Definition, Neighbours};
use crate::wire::json;

/// How often files are looked at while a definition waits for somebody.
const LOOK: Duration = Duration::from_secs(1);

impl Registry {
    /// Looks at what a server shows. What is new is put on disk by another thread.
    pub(super) fn examine(self: &Arc<Self>, server: &ServerName, offering: &Offering, is_whole: bool) {
        if self.trust.is_idle() || !self.trust.look(server, offering, is_whole) {
            return;
        }
        let (registry, server) = (Arc::clone(self), server.clone());
        self.tasks.spawn_blocking(move || {
            if registry.trust.save(&server) {
                registry.remerge();
            }
        });
    }

    /// Looks whether somebody has approved something, as the answer to a call of what is held back needs it. True if that
    /// makes a difference. Costs a look at one file per server that is watched.
    pub fn look_for_approvals(&self) -> bool {
        let differs = self.trust.refresh();
        if differs {
            self.remerge();
        }
        differs
    }

    /// Whether somebody has approved this very definition.
    pub fn is_approved(&self, server: &ServerName, definition: &Definition) -> bool {
        self.trust.is_approved(server, definition)
    }

    /// The tools of all servers by name, as far as they are known.
    pub fn neighbours(&self) -> Neighbours {
        neighbours(&self.backends, &self.shown().offerings)
    }

    fn remerge(&self) {
        let mut shown = self.shown();
        shown.catalog = Arc::new(self.merge(&shown.offerings)) as Arc<Catalog>;
        drop(shown);
        self.changed();
    }

    /// Notices approvals as long as something waits for one.
    pub(super) async fn watch_pins(self: Arc<Self>) {
        let (mut changes, mut shutdown) = (self.changes(), self.shutdown.subscribe());
        let ended = shutdown.wait_for(Option::is_some);
        tokio::pin!(ended);
        loop {
            let look = async {
                let _ = changes.wait_for(|_| self.trust.waits()).await;
                tokio::time::sleep(LOOK).await;
            };
            tokio::select! {
                () = look => drop(self.look_for_approvals()),
                _ = &mut ended => return,
            }
        }
    }
}

/// The tools of all servers, by name.
pub(super) fn neighbours(backends: &[Arc<Backend>], offerings: &HashMap<ServerName, Known>) -> Neighbours {
    let mut neighbours = Neighbours::default();
    for backend in backends {
        let Some(known) = offerings.get(backend.name()) else { continue };
        for tool in &known.offering.tools {
            if let Some(name) = json::get(tool, "name").and_then(|span| json::string(span.of(tool))) {
                neighbours.add(backend.name(), &backend.config().prefix, &name);
            }
        }
    }
    neighbours
}
