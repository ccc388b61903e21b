//! Sets servers going.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::Registry;
use super::leash::drained;
use super::servers::Slot;
use super::shown::{Known, Shown, Watcher};
use crate::auth;
use crate::backend::{Lifecycle, Way};
use crate::call::Introduction;
use crate::config::{Launch, ServerConfig, Start};
use crate::names::ServerName;
use crate::pipeline::{self, HealthChecker, Means};
use crate::transport::{self, AuthProvider, Patience};

/// How often the file of policies is looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Registry {
    /// Reads what the servers showed to such a client before, sets their tasks going, and starts those that are eager or
    /// have not shown anything to such a client yet.
    ///
    /// Called once the client has introduced itself: a probe must start nothing, and what servers show may depend on
    /// what the client can do.
    pub fn begin(self: &Arc<Self>, introduction: &Introduction) {
        let _turn = self.turn();
        if self.profile.set(introduction.profile()).is_err() {
            return;
        }
        let servers = self.servers();
        let stored = |slot: &Slot| {
            let config = slot.lane.config();
            Some((config.name.clone(), self.stored(config)?))
        };
        let known: HashMap<ServerName, Known> = servers.slots().iter().filter_map(stored).collect();
        for (server, known) in &known {
            self.examine(server, &known.offering, true);
        }
        *self.shown() = Shown::new(Arc::clone(&servers), known.clone(), &self.own_tools);
        // The first call should not have to wait for them.
        for server in servers.common.interceptors.iter().flat_map(|interceptors| interceptors.servers()) {
            server.start();
        }
        self.follow_policies();
        self.watch_pins();
        for slot in servers.slots() {
            let known = known.get(&slot.lane.config().name);
            // A server that showed nothing is asked every time: nobody could ever call it awake.
            if !known.is_some_and(|known| known.is_settled && !known.offering.is_empty()) {
                slot.lane.backend().start();
            }
            self.set_going(slot, known);
            self.set_checks_going(slot);
        }
    }

    /// Whether servers have been set going.
    pub fn has_begun(&self) -> bool {
        self.profile.get().is_some()
    }

    /// Begins the lives of a server's instances. `known` is what it showed before.
    pub(super) fn set_going(self: &Arc<Self>, slot: &Slot, known: Option<&Known>) {
        let first = Arc::downgrade(slot.lane.backend());
        let lives = slot.lane.backends().enumerate().map(|(index, instance)| {
            let watcher =
                Watcher { registry: Arc::downgrade(self), first: first.clone(), is_first: index == 0 };
            let lifecycle = Lifecycle::new(
                Arc::clone(instance),
                self.way(instance.config()),
                self.verdicts.clone(),
                Arc::clone(&self.starts),
                Arc::new(watcher),
                slot.leash.shutdown(),
                known.map(|known| (*known.offering).clone()),
            );
            if instance.config().start == Start::Eager {
                instance.start();
            }
            lifecycle.run()
        });
        let all = join_all(lives);
        let lives = async move { drop(all.await) };
        let hold = Arc::clone(&slot.leash).hold(self.shutdown.subscribe(), lives, drained(&slot.lane));
        let (registry, backend) = (Arc::downgrade(self), Arc::clone(slot.lane.backend()));
        self.tasks.spawn(async move {
            hold.await;
            if let Some(registry) = registry.upgrade() {
                registry.draining().retain(|lane| !Arc::ptr_eq(lane.backend(), &backend));
            }
        });
    }

    /// Begins the health checks of a lane.
    pub(super) fn set_checks_going(self: &Arc<Self>, slot: &Slot) {
        for check in slot.lane.checks(|instance| self.health_checker(instance)) {
            let end = slot.checks.clone();
            self.attend(async move {
                end.run_until_cancelled(check).await;
            });
        }
    }

    /// Does something until it is done or everything ends.
    pub fn attend(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut shutdown = self.shutdown.subscribe();
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                _ = shutdown.wait_for(Option::is_some) => {}
            }
        });
    }

    /// Looks after the file of policies until the end. What clients are shown may change with it.
    fn follow_policies(self: &Arc<Self>) {
        let registry = Arc::downgrade(self);
        self.attend(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(registry) = registry.upgrade() else { return };
                if registry.policies().is_some_and(|policies| policies.refresh()) {
                    registry.changed();
                }
            }
        });
    }

    /// How a server is reached.
    pub(super) fn way(&self, config: &ServerConfig) -> Way {
        let supervisor = self.supervisor.clone();
        if let Some(transport) = self.ways.transports.get(&config.name) {
            return Way::over(Arc::clone(transport), supervisor);
        }
        let Launch::Remote(launch) = &config.launch else { return Way::child(supervisor) };
        let auth = self.credentials(config);
        let patience = Patience::default().for_calls_of(config.timeouts.call, config.timeouts.total);
        match transport::remote(launch, auth, patience) {
            Ok(transport) => Way::over(transport, supervisor),
            Err(failure) => Way::none(failure, supervisor),
        }
    }
    /// What shows an address who we are.
    fn credentials(&self, config: &ServerConfig) -> Arc<dyn AuthProvider> {
        match self.ways.auth.get(&config.name) {
            Some(auth) => Arc::clone(auth),
            None => auth::provider_for(config, &self.logins),
        }
    }

    /// Who says whether an instance is well.
    fn health_checker(&self, config: &ServerConfig) -> Arc<dyn HealthChecker> {
        match self.ways.health.get(&config.name) {
            Some(checker) => Arc::clone(checker),
            None => pipeline::checker(
                config,
                &Means { supervisor: &self.supervisor, auth: &|| self.credentials(config) },
            ),
        }
    }
}
