//! What servers show: kept, looked at, merged anew when it changes.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::merge::merge;
use super::{Registry, Servers, Snapshot};
use crate::backend::{Backend, Extent, Observer, State};
use crate::catalog::{Offering, Stored};
use crate::config::ServerConfig;
use crate::names::ServerName;

/// What is shown now, and what it was made of.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) now: Arc<Snapshot>,
    pub(super) offerings: HashMap<ServerName, Known>,
}

/// What a server showed, and where we have it from.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) offering: Arc<Offering>,
    /// Shown in this run, not only found on disk.
    pub(super) live: bool,
    /// All lists were asked for, for this client or one of the same abilities. Otherwise it bridges the time until they are.
    pub(super) is_settled: bool,
    /// Every list could be fetched.
    pub(super) is_complete: bool,
}

impl Known {
    /// The same of a server that is started anew: it bridges the time until it has shown itself.
    pub(super) fn bridging(self) -> Self {
        Self { live: false, is_settled: false, ..self }
    }
}

impl Shown {
    pub(super) fn new(
        servers: Arc<Servers>,
        offerings: HashMap<ServerName, Known>,
        own: &[bytes::Bytes],
    ) -> Self {
        let now = Arc::new(Snapshot { catalog: merge(&servers, &offerings, own), servers });
        Self { now, offerings }
    }

    /// Merges the catalog anew.
    pub(super) fn merge(&mut self, own: &[bytes::Bytes]) {
        let servers = Arc::clone(&self.now.servers);
        self.now = Arc::new(Snapshot { catalog: merge(&servers, &self.offerings, own), servers });
    }
}

impl Registry {
    /// What is on disk of a server.
    pub(super) fn stored(&self, config: &ServerConfig) -> Option<Known> {
        let stored = self.store.as_ref()?.load(&config.name, &config.fingerprint(), self.profile.get()?)?;
        let Stored { offering, same_profile } = stored;
        Some(Known { offering: Arc::new(offering), live: false, is_settled: same_profile, is_complete: true })
    }

    fn show(self: &Arc<Self>, server: &ServerName, offering: Offering, extent: Extent) {
        let offering = Arc::new(offering);
        self.examine(server, &offering, extent == Extent::Whole);
        let (is_settled, is_complete) = (extent != Extent::Tools, extent == Extent::Whole);
        let known = Known { offering: Arc::clone(&offering), live: true, is_settled, is_complete };
        let mut shown = self.shown();
        let before = shown.offerings.insert(server.clone(), known);
        let same = before.as_ref().is_some_and(|before| *before.offering == *offering);
        if !same {
            shown.merge(&self.own_tools);
        }
        drop(shown);
        // What is kept is shown at the next start without asking, so it must not be less than the server has.
        let was_stored = same && before.is_some_and(|before| before.is_settled && before.is_complete);
        if !was_stored && is_complete {
            self.keep(server, offering);
        }
        self.changed();
    }

    fn keep(&self, server: &ServerName, offering: Arc<Offering>) {
        let Some(store) = self.store.clone() else { return };
        let Some(fingerprint) = self.lane(server).map(|lane| lane.config().fingerprint()) else { return };
        let Some(profile) = self.profile.get().cloned() else { return };
        let server = server.clone();
        self.tasks.spawn_blocking(move || {
            if let Err(error) = store.save(&server, &fingerprint, &profile, &offering) {
                tracing::warn!(%server, %error, "the catalog could not be stored");
            }
        });
    }

    /// As long as a server has shown nothing in this run and its first instance has failed, the next one is started, to show
    /// its lists instead.
    fn stand_in(&self, server: &ServerName) {
        let Some(lane) = self.lane(server).filter(|_| !self.is_live(server)) else { return };
        let next = lane.backends().enumerate().find(|(_, instance)| !instance.has_given_up());
        if let Some((1.., next)) = next
            && matches!(next.state(), State::Idle)
        {
            next.start();
        }
    }
}

/// Brings news of the backends to the registry, without keeping it alive.
pub(super) struct Watcher {
    pub(super) registry: Weak<Registry>,
    /// The first instance of the server.
    pub(super) first: Weak<Backend>,
    /// Whether it watches that one.
    pub(super) is_first: bool,
}

impl Watcher {
    /// The registry, and the first instance, as long as that is not one whose place another one has taken.
    fn current(&self, server: &ServerName) -> Option<(Arc<Registry>, Arc<Backend>)> {
        let registry = self.registry.upgrade()?;
        let first =
            registry.backend(server).filter(|first| Weak::ptr_eq(&Arc::downgrade(first), &self.first))?;
        Some((registry, first))
    }
}

impl Observer for Watcher {
    fn offering(&self, server: &ServerName, offering: Offering, extent: Extent) {
        let Some((registry, first)) = self.current(server) else { return };
        // Others stand in for the first instance only as long as it has shown nothing and while it is away.
        let is_away = || !registry.is_live(server) || !matches!(first.state(), State::Ready { .. });
        if self.is_first || is_away() {
            registry.show(server, offering, extent);
        }
    }

    fn state_changed(&self, server: &ServerName) {
        if let Some((registry, _)) = self.current(server) {
            registry.stand_in(server);
            registry.changed();
        }
    }
}
