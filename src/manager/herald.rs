//! Tells of servers whose state has changed. Costs nothing until somebody wants to hear it.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Event, Manager};
use crate::names::ServerName;
use crate::status::{self, Level};

impl Manager {
    /// From now on every change of a state is an event.
    pub(super) fn tell_states(self: &Arc<Self>) {
        if self.tells_states.set(()).is_err() {
            return;
        }
        let manager = Arc::downgrade(self);
        let mut changes = self.registry().changes();
        let mut known = self.states();
        self.registry().attend(async move {
            while changes.changed().await.is_ok() {
                let Some(manager) = manager.upgrade() else { return };
                let now = manager.states();
                for (server, (state, level)) in &now {
                    if known.get(server) != Some(&(*state, *level)) {
                        manager.send(Event::State { server: server.clone(), state, level: *level });
                    }
                }
                known = now;
            }
        });
    }

    fn states(&self) -> HashMap<ServerName, (&'static str, Level)> {
        let of = |report: status::Report| (report.server.as_str().into(), (report.state, report.level));
        status::reports(self.registry()).into_iter().map(of).collect()
    }
}
