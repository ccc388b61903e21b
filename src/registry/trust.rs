//! How the registry keeps an eye on definitions that change: what servers show is looked at before it is merged, and
//! approvals are noticed while we run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::shown::Known;
use super::{Registry, Servers};
use crate::catalog::Offering;
use crate::names::ServerName;
use crate::trust::{Definition, Keeper, Neighbours};
use crate::wire::json;

/// How often files are looked at while a definition waits for somebody.
const LOOK: Duration = Duration::from_secs(1);

impl Registry {
    /// Looks at what a server shows. What is new is put on disk by another thread.
    pub(super) fn examine(self: &Arc<Self>, server: &ServerName, offering: &Offering, is_whole: bool) {
        self.examine_by(self.servers().trust(), server, offering, is_whole);
    }

    /// The same by a keeper that may not be in force yet.
    pub(super) fn examine_by(
        self: &Arc<Self>,
        trust: &Arc<Keeper>,
        server: &ServerName,
        offering: &Offering,
        is_whole: bool,
    ) {
        if trust.is_idle() || !trust.look(server, offering, is_whole) {
            return;
        }
        let (registry, trust, server) = (Arc::clone(self), Arc::clone(trust), server.clone());
        self.tasks.spawn_blocking(move || {
            if trust.save(&server) {
                registry.remerge();
            }
        });
    }

    /// Looks whether somebody has approved something, as the answer to a call of what is held back needs it. True if that
    /// makes a difference. Costs a look at one file per server that is watched.
    pub fn look_for_approvals(&self) -> bool {
        let differs = self.servers().trust().refresh();
        if differs {
            self.remerge();
        }
        differs
    }

    /// Whether somebody has approved this very definition.
    pub fn is_approved(&self, server: &ServerName, definition: &Definition) -> bool {
        self.servers().trust().is_approved(server, definition)
    }

    /// The tools of all servers by name, as far as they are known.
    pub fn neighbours(&self) -> Neighbours {
        let shown = self.shown();
        neighbours(&shown.now.servers, &shown.offerings)
    }

    fn remerge(&self) {
        self.shown().merge(&self.own_tools);
        self.changed();
    }

    /// Notices approvals as long as something waits for one, until the end.
    pub(super) fn watch_pins(self: &Arc<Self>) {
        let registry = Arc::downgrade(self);
        let mut changes = self.changes();
        self.attend(async move {
            loop {
                let waits =
                    |_: &u64| registry.upgrade().is_some_and(|registry| registry.servers().trust().waits());
                if changes.wait_for(waits).await.is_err() {
                    return;
                }
                tokio::time::sleep(LOOK).await;
                let Some(registry) = registry.upgrade() else { return };
                registry.look_for_approvals();
            }
        });
    }
}

/// The tools of all servers, by name.
pub(super) fn neighbours(servers: &Servers, offerings: &HashMap<ServerName, Known>) -> Neighbours {
    let mut neighbours = Neighbours::default();
    for config in servers.lanes().map(|lane| lane.config()) {
        let Some(known) = offerings.get(&config.name) else { continue };
        for tool in &known.offering.tools {
            if let Some(name) = json::get(tool, "name").and_then(|span| json::string(span.of(tool))) {
                neighbours.add(&config.name, &config.prefix, &name);
            }
        }
    }
    neighbours
}
