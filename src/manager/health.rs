//! Asks servers now whether they are there.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Fault, Manager};
use crate::backend::{Backend, State};
use crate::config::Entry;
use crate::failure::{Code, Failure};
use crate::names::ServerName;
use crate::pipeline::Lane;

/// A server that has been reached gets this long to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What a check found.
#[derive(Clone, Debug)]
pub struct Health {
    /// The server.
    pub server: ServerName,
    /// Whether it answers: of several instances, whether one does.
    pub healthy: bool,
    /// When it was checked.
    pub at: SystemTime,
    /// How long the answer took, without the start of the server.
    pub took: Duration,
    /// Why it is not healthy, and what mends it.
    pub failure: Option<Failure>,
    /// Since when it runs.
    pub uptime: Option<Duration>,
}

impl Manager {
    /// Asks one server, or all that are switched on, whether they are there; starts those that do not run. They are asked at once.
    /// One that cannot be reached within its `timeouts.start` is not healthy.
    ///
    /// # Errors
    /// [`Code::ManageUnknown`]: there is no such server.
    pub async fn check(&self, name: Option<&str>) -> Result<Vec<Health>, Fault> {
        let servers = self.registry().servers();
        let wanted: Vec<&Entry> = match name {
            Some(name) => vec![self.entry(&servers, name)?],
            None => {
                let on = |entry: &&Entry| !matches!(entry, Entry::Disabled { .. } | Entry::LeftOut { .. });
                servers.entries().iter().filter(on).collect()
            }
        };
        let found = join_all(wanted.into_iter().map(|entry| self.check_entry(entry))).await;
        self.remember(&found);
        Ok(found)
    }

    async fn check_entry(&self, entry: &Entry) -> Health {
        let name = entry.name();
        let no = |failure: Failure| Health {
            server: name.clone(),
            healthy: false,
            at: SystemTime::now(),
            took: Duration::ZERO,
            failure: Some(failure),
            uptime: None,
        };
        match entry {
            Entry::Ready(_) => match self.registry().lane(name) {
                Some(lane) => self.check_lane(name, &lane).await,
                None => no(Failure::new(Code::CallUnavailable, "it has just been removed").of(name)),
            },
            Entry::Disabled { .. } => {
                no(Failure::new(Code::CallUnavailable, "it is switched off").of(name).remedy("Enable it"))
            }
            Entry::LeftOut { .. } => {
                no(Failure::new(Code::CallUnavailable, "the profile in force leaves it out").of(name))
            }
            Entry::NeedsConfig { problem, .. } | Entry::Broken { problem, .. } => no(problem.failure()),
        }
    }

    /// Of several instances, one that answers is enough.
    async fn check_lane(&self, name: &ServerName, lane: &Lane) -> Health {
        let found = join_all(lane.backends().map(|backend| self.check_instance(backend))).await;
        let mut best: Option<Result<Duration, Failure>> = None;
        for one in found {
            best = Some(match (best, one) {
                (Some(Ok(known)), Ok(new)) => Ok(known.min(new)),
                (Some(Ok(known)), Err(_)) => Ok(known),
                (_, one) => one,
            });
        }
        let now = Instant::now();
        let uptime = lane.backends().find_map(|backend| match backend.state() {
            State::Ready { since, .. } => Some(now - since),
            _ => None,
        });
        let (took, failure) = match best {
            Some(Ok(took)) => (took, None),
            Some(Err(failure)) => (Duration::ZERO, Some(failure)),
            None => (Duration::ZERO, Some(Failure::new(Code::CallUnavailable, "it has no instance"))),
        };
        let healthy = failure.is_none();
        Health { server: name.clone(), healthy, at: SystemTime::now(), took, failure, uptime }
    }

    async fn check_instance(&self, backend: &Arc<Backend>) -> Result<Duration, Failure> {
        if !self.registry().has_begun() {
            let cause = "no client has come yet, and servers are not started before one has";
            return Err(Failure::new(Code::CallUnavailable, cause).of(backend.name()));
        }
        let patience = backend.config().timeouts.start;
        self.reached(backend, Instant::now() + patience).await?;
        let asked = Instant::now();
        backend.check(ANSWER).await?;
        Ok(asked.elapsed())
    }

    /// Starts a server if need be, and waits until it is there.
    async fn reached(&self, backend: &Arc<Backend>, deadline: Instant) -> Result<(), Failure> {
        let mut changes = self.registry().changes();
        let starts = backend.tallies().starts;
        let mut is_asked = false;
        loop {
            changes.borrow_and_update();
            let is_new = backend.tallies().starts > starts;
            match backend.state() {
                State::Ready { .. } => return Ok(()),
                State::Ended => {
                    return Err(Failure::new(Code::CallShutdown, "it is ending").of(backend.name()));
                }
                State::Starting { .. } => {}
                // It is not tried again just because somebody asks, so nothing would change.
                State::Failed { failure, until } if until > Instant::now() => {
                    return Err(failure.of(backend.name()));
                }
                _ if !is_asked => {
                    backend.start();
                    is_asked = true;
                }
                State::Idle => {}
                // What it says of an attempt before ours may be over by now.
                state if is_new || matches!(state, State::CrashLooped { .. } | State::Waiting { .. }) => {
                    let unknown = || Failure::new(Code::CallUnavailable, "it is not running");
                    return Err(state.failure().cloned().unwrap_or_else(unknown).of(backend.name()));
                }
                _ => {}
            }
            if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                let why = backend.state().failure().cloned();
                let late = || Failure::new(Code::CallUnavailable, "it did not start in time");
                return Err(why.unwrap_or_else(late).of(backend.name()));
            }
        }
    }
}
