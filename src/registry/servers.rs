//! The set of servers at one moment, and the catalog that goes with it.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::leash::Leash;
use crate::backend::Backend;
use crate::catalog::Catalog;
use crate::config::{Config, Entry, Problem, Profile};
use crate::interceptor::HookTallies;
use crate::names::ServerName;
use crate::pipeline::{Common, Lane};
use crate::policy::Policies;
use crate::trust::Keeper;

/// The servers and the catalog merged from them. It never changes: another one takes its place as a whole, so that the indexes
/// of a catalog always mean the lanes that it came with.
#[derive(Debug)]
pub struct Snapshot {
    /// What clients are shown.
    pub catalog: Arc<Catalog>,
    /// What it leads to.
    pub servers: Arc<Servers>,
}

impl Snapshot {
    /// The way to the server at this place in the catalog: what calls take.
    pub fn lane_at(&self, index: usize) -> Option<&Lane> {
        self.servers.slots.get(index).map(|slot| &slot.lane)
    }
}

/// A set of servers, as one config wants it. It never changes.
#[derive(Debug)]
pub struct Servers {
    config: Arc<Config>,
    problems: Vec<Problem>,
    /// In config order; the catalog's server indexes are places in it.
    slots: Vec<Slot>,
    by_name: HashMap<ServerName, usize>,
    pub(super) common: Common,
    /// What the interceptors hang on.
    pub(super) hooks: Arc<Leash>,
    /// Whether definitions are still what they were.
    trust: Arc<Keeper>,
    keeps_results: bool,
    /// Whether anybody is served by a profile of their own.
    has_selections: bool,
}

/// A server that can be started.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) lane: Lane,
    /// What its backends hang on.
    pub(super) leash: Arc<Leash>,
    /// Ends the health checks of the lane.
    pub(super) checks: CancellationToken,
}

impl Slot {
    pub(super) fn new(lane: Lane) -> Self {
        Self { lane, leash: Arc::default(), checks: CancellationToken::new() }
    }

    /// The same server behind another lane.
    pub(super) fn with(&self, lane: Lane) -> Self {
        Self { lane, leash: Arc::clone(&self.leash), checks: CancellationToken::new() }
    }
}

impl Servers {
    pub(super) fn new(
        config: Arc<Config>,
        problems: Vec<Problem>,
        slots: Vec<Slot>,
        (common, hooks): (Common, Arc<Leash>),
        trust: Arc<Keeper>,
    ) -> Self {
        let name = |slot: &Slot| slot.lane.config().name.clone();
        let by_name = slots.iter().enumerate().map(|(index, slot)| (name(slot), index)).collect();
        let keeps_results = slots.iter().any(|slot| slot.lane.config().limits.result.is_some());
        let has_selections = config.http.as_ref().is_ok_and(|http| !http.profiles.is_empty());
        Self { config, problems, slots, by_name, common, hooks, trust, keeps_results, has_selections }
    }

    /// The config in force.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Every entry of the config, in its order.
    pub fn entries(&self) -> &[Entry] {
        &self.config.servers
    }

    /// What is wrong with the config.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The ways to all servers that can be started, in config order.
    pub fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.slots.iter().map(|slot| &slot.lane)
    }

    /// Every instance of every server.
    pub fn instances(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.lanes().flat_map(Lane::backends)
    }

    /// The way to the server of this name.
    pub fn lane(&self, name: &ServerName) -> Option<&Lane> {
        self.slot(name).map(|slot| &slot.lane)
    }

    /// The place of a server in the catalog.
    pub fn index(&self, name: &ServerName) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn slot(&self, name: &ServerName) -> Option<&Slot> {
        self.slots.get(*self.by_name.get(name)?)
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn trust(&self) -> &Arc<Keeper> {
        &self.trust
    }

    /// Whether any server limits its results.
    pub(super) fn keeps_results(&self) -> bool {
        self.keeps_results
    }

    /// Whether anybody is served by a profile of their own.
    pub fn has_selections(&self) -> bool {
        self.has_selections
    }

    /// The profile by which the holder of a token is served, if it is not that of everybody: what is in force for everybody has made
    /// the servers what they are.
    pub fn selection(&self, token: Option<&str>) -> Option<&Arc<Profile>> {
        if self.has_selections { self.config.profile_of_token(token?) } else { None }
    }

    /// Whether a profile selects this server; one that cannot be started is selected by its name.
    pub fn is_selected(&self, profile: &Profile, server: &str) -> bool {
        let categories = self.lane(&server.into()).map(|lane| lane.config().categories.as_slice());
        profile.has_server(server, categories.unwrap_or_default())
    }

    /// Who may call what; `None` if everybody may call everything.
    pub fn policies(&self) -> Option<&Arc<Policies>> {
        self.common.policies.as_ref()
    }

    /// What interceptors have done since they were set up, in their order.
    pub fn interceptors(&self) -> Vec<HookTallies> {
        self.common.interceptors.as_ref().map(|interceptors| interceptors.tallies()).unwrap_or_default()
    }
}
