//! Puts another config in force while calls are in flight.
//!
//! All that is needed is prepared beside what is in force, and takes its place in one moment. What goes on running is only put
//! behind another lane; what has to be another thing begins anew, and what it replaces answers what it has been asked
//! before it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Registry;
use super::changes::{self, Changes, can_go_on, is_same};
use super::common;
use super::servers::{Servers, Slot};
use super::shown::{Known, Shown};
use crate::backend::{Backend, State};
use crate::config::{Config, Problem, Secret, ServerConfig};
use crate::names::ServerName;
use crate::pipeline::Lane;

/// So long it is waited with announcements until servers that are new have shown themselves.
const SETTLE: Duration = Duration::from_secs(2);

/// What a server that is left is told, for those who have calls there.
const REMOVED: &str = "the server was taken out of Switchboard";
const REPLACED: &str = "the server was ended to be started anew";

/// What becomes of a server of the new config.
enum Fate<'a> {
    /// It goes on running.
    GoesOn(&'a Slot),
    /// It begins, in the place of another one if there was one.
    Begins(Arc<Backend>, Option<&'a Slot>),
}

/// A server that begins.
struct Begun {
    slot: Slot,
    /// What the one was doing whose place it takes.
    before: Option<State>,
}

impl Fate<'_> {
    fn backend(&self) -> &Arc<Backend> {
        match self {
            Fate::GoesOn(slot) => slot.lane.backend(),
            Fate::Begins(backend, _) => backend,
        }
    }
}

impl Registry {
    /// Puts this config in force. Servers that are not in it any more end when their calls are answered; so do those that run as
    /// another config wants, and begin anew. All others go on running.
    ///
    /// Must be called inside a tokio runtime.
    pub fn apply(self: &Arc<Self>, config: Config, problems: Vec<Problem>) -> Changes {
        self.put_in_force(Arc::new(config), problems, None)
    }

    /// Starts a server anew; what runs ends when its calls are answered. False if there is no such server that can be started.
    pub fn restart(self: &Arc<Self>, server: &ServerName) -> bool {
        let servers = self.servers();
        if servers.lane(server).is_none() {
            return false;
        }
        self.put_in_force(Arc::clone(servers.config()), servers.problems().to_vec(), Some(server));
        true
    }

    fn put_in_force(
        self: &Arc<Self>,
        config: Arc<Config>,
        problems: Vec<Problem>,
        again: Option<&ServerName>,
    ) -> Changes {
        let _turn = self.turn();
        let old = self.servers();
        let mut changes = Changes {
            keys: changes::keys(old.config(), &config),
            at_next_start: changes::at_next_start(old.config(), &config),
            ..Changes::default()
        };
        let fates: Vec<(Fate<'_>, &ServerConfig)> =
            config.ready().map(|server| (self.fate(&old, server, again), server)).collect();
        let backends: Vec<Arc<Backend>> = fates.iter().map(|(fate, _)| Arc::clone(fate.backend())).collect();
        self.supervisor.redact_too(config.secrets().iter().map(Secret::expose));
        let (common, hooks) = self.common_for(&old, &config, &backends);
        let is_common = common::is_same(&old.common, &common);
        let trust = Arc::new(old.trust().next(config.ready()));

        let mut slots = Vec::with_capacity(fates.len());
        let mut begun = Vec::new();
        let mut retired = Vec::new();
        for (fate, server) in fates {
            let name = server.name.clone();
            let slot = match fate {
                Fate::GoesOn(slot) => {
                    let is_same = is_same(slot.lane.config(), server);
                    if !is_same {
                        changes.adjusted.push(name);
                    }
                    if is_same && is_common {
                        slot.clone()
                    } else {
                        slot.checks.cancel();
                        let new = slot.with(slot.lane.again(Arc::new(server.clone()), &common));
                        if self.has_begun() {
                            self.set_checks_going(&new);
                        }
                        new
                    }
                }
                Fate::Begins(backend, before) => {
                    let slot = Slot::new(Lane::new(backend, &common, &self.journeys));
                    begun.push(Begun {
                        slot: slot.clone(),
                        before: before.map(|before| before.lane.backend().state()),
                    });
                    if let Some(before) = before {
                        changes.restarted.push(name);
                        retired.push((before.clone(), REPLACED));
                    }
                    slot
                }
            };
            slots.push(slot);
        }
        for slot in old.slots() {
            let name = &slot.lane.config().name;
            if !config.ready().any(|server| server.name == *name) {
                retired.push((slot.clone(), REMOVED));
            }
        }
        changes.compare_entries(old.entries(), &config.servers);

        let servers = Servers::new(config, problems, slots, (common, hooks), trust);
        let starts = self.swap(Arc::new(servers), &old, &begun, again.is_some());
        if !Arc::ptr_eq(&old.hooks, &self.servers().hooks) {
            old.hooks.retire();
        }
        if self.has_begun() {
            for (Begun { slot, .. }, start) in begun.iter().zip(starts) {
                let known = self.known(&slot.lane.config().name);
                self.set_going(slot, known.as_ref());
                self.set_checks_going(slot);
                if start {
                    slot.lane.backend().start();
                }
            }
        }
        retired.into_iter().for_each(|(slot, why)| self.retire(&slot, why));
        for key in &changes.at_next_start {
            tracing::warn!("config: `{key}` has changed; that takes effect at the next start of Switchboard");
        }
        if !changes.is_empty() || again.is_some() {
            tracing::info!(event = "config.reloaded", %changes, "another config is in force");
        }
        self.changed();
        changes
    }

    fn fate<'a>(&self, old: &'a Servers, server: &ServerConfig, again: Option<&ServerName>) -> Fate<'a> {
        let level = self.level();
        match old.slot(&server.name) {
            Some(slot) if can_go_on(slot.lane.config(), server) && again != Some(&server.name) => {
                Fate::GoesOn(slot)
            }
            Some(slot) => Fate::Begins(slot.lane.backend().successor(server.clone()), Some(slot)),
            None => {
                let backend = Backend::new(server.clone(), Arc::clone(&self.audience));
                level.into_iter().for_each(|level| backend.set_level(level));
                Fate::Begins(backend, None)
            }
        }
    }

    /// The moment of change. Says of each server that begins whether it is to be started at once.
    fn swap(
        self: &Arc<Self>,
        servers: Arc<Servers>,
        old: &Servers,
        begun: &[Begun],
        is_ordered: bool,
    ) -> Vec<bool> {
        let mut shown = self.shown();
        let mut offerings = std::mem::take(&mut shown.offerings);
        offerings.retain(|name, _| servers.lane(name).is_some());
        let mut starts = Vec::with_capacity(begun.len());
        for Begun { slot, before } in begun {
            let config = slot.lane.config();
            let shows_the_same = old
                .lane(&config.name)
                .is_some_and(|lane| lane.config().fingerprint() == config.fingerprint());
            let stored = if shows_the_same { None } else { self.stored(config) };
            let known = match (stored, offerings.remove(&config.name)) {
                (Some(stored), _) => Some(stored),
                (None, Some(known)) if shows_the_same => Some(known),
                (None, known) => known.map(Known::bridging),
            };
            let is_known = known.as_ref().is_some_and(|known| known.is_settled && !known.offering.is_empty());
            // A server that nobody has needed yet need not be started because of a new password.
            let was_idle =
                matches!(before, None | Some(State::Idle)) && !slot.lane.backend().has_subscriptions();
            let start = is_ordered || !was_idle || !is_known;
            let known = if start { known.map(Known::bridging) } else { known };
            known.and_then(|known| offerings.insert(config.name.clone(), known));
            starts.push(start);
        }
        // Nothing is shown that was not looked at, where that is wanted.
        for (name, known) in &offerings {
            if !servers.trust().watches_alike(old.trust(), name) {
                self.examine_by(servers.trust(), name, &known.offering, known.is_complete);
            }
        }
        if starts.contains(&true) {
            self.set_settles_by(Instant::now() + SETTLE);
        }
        self.has_policies.store(servers.policies().is_some(), Ordering::Relaxed);
        *shown = Shown::new(servers, offerings, &self.own_tools);
        starts
    }

    /// Lets a server go: those who have calls there get their answers.
    fn retire(&self, slot: &Slot, why: &'static str) {
        slot.checks.cancel();
        slot.lane.backends().for_each(|backend| backend.retires(why));
        if self.has_begun() {
            self.draining().push(slot.lane.clone());
        }
        slot.leash.retire();
    }
}
