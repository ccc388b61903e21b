//! Searches in a running Switchboard: one at a time, what they found kept, what a rule takes registered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::finder::Finder;
use super::finding::{Failed, Finding, Findings};
use super::found::Found;
use super::progress::Progress;
use super::rule;
use super::wishes::Wishes;
use crate::config::{Config, Environment};
use crate::failure::Failure;
use crate::transport::BoxFuture;

/// So long after the start the first search begins.
const START: Duration = Duration::from_secs(1);

/// Who has the servers of a running Switchboard, and takes further ones.
pub trait Register: Send + Sync {
    /// The config in force, with all servers that there are.
    fn config(&self) -> Arc<Config>;

    /// Resolves, again and again, when the config in force may have changed.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Serves another one from now on, as long as we run.
    fn register<'a>(&'a self, name: &'a str, entry: Value) -> BoxFuture<'a, Result<(), Failure>>;

    /// A search has ended; `None` if none of the places could be asked.
    fn searched(&self, last: Option<LastRun>) {
        let _ = last;
    }
}

/// Searches for servers in a running Switchboard.
pub struct Scout {
    environment: Environment,
    register: Arc<dyn Register>,
    found: Found,
    /// Searches wait for each other: two at once would knock at the same doors.
    running: tokio::sync::Mutex<()>,
    last: Mutex<Option<LastRun>>,
}

/// When the last search was, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// When it ended.
    pub at: SystemTime,
    /// How many servers it found.
    pub discovered: usize,
    /// How many of them were registered without asking.
    pub auto_registered: usize,
}

/// What came of one search.
#[derive(Debug, Default)]
pub struct Run {
    /// What it found.
    pub findings: Findings,
    /// The names of what was registered without asking.
    pub auto_registered: Vec<String>,
    /// What a rule takes and could not be registered, by name.
    pub not_registered: Vec<(String, Failure)>,
}

impl Scout {
    /// A scout that reads the configs of the user whose environment this is.
    pub fn new(environment: Environment, register: Arc<dyn Register>) -> Self {
        Self {
            environment,
            register,
            found: Found::default(),
            running: tokio::sync::Mutex::default(),
            last: Mutex::default(),
        }
    }

    /// What was found so far.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// When the last search was, and what came of it.
    pub fn last_run(&self) -> Option<LastRun> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Searches, after a search that is under way, and registers what the rule of the config takes. Dropping the future gives the
    /// search up.
    pub async fn look(&self, wishes: &Wishes, progress: impl Fn(Progress<'_>)) -> Run {
        let _alone = self.running.lock().await;
        let config = self.register.config();
        let rule =
            config.discovery.as_ref().map(|discovery| discovery.auto_register.clone()).unwrap_or_default();
        let findings = Finder::new(self.environment.clone(), &config.servers).run(wishes, progress).await;
        self.found.keep(&findings.servers, &findings.failed, SystemTime::now());
        let mut run = Run { findings, ..Run::default() };
        for finding in run.findings.servers.iter_mut().filter(|finding| rule::takes(&rule, finding)) {
            match self.register.register(&finding.name, finding.entry.clone()).await {
                Ok(()) => {
                    tracing::info!(event = "discovery.registered", server = %finding.name, endpoint = %finding.endpoint, "a found server is registered");
                    self.found.registered(&finding.key, &finding.name);
                    finding.known_as = Some(finding.name.clone());
                    run.auto_registered.push(finding.name.clone());
                }
                Err(failure) => {
                    tracing::warn!(event = "discovery.not_registered", server = %finding.name, %failure, "a found server could not be registered");
                    run.not_registered.push((finding.name.clone(), failure));
                }
            }
        }
        let last = LastRun {
            at: SystemTime::now(),
            discovered: run.findings.servers.len(),
            auto_registered: run.auto_registered.len(),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        let is_blind = run.findings.servers.is_empty() && !run.findings.failed.is_empty();
        self.register.searched((!is_blind).then_some(last));
        tracing::info!(
            event = "discovery.finished",
            discovered = last.discovered,
            failed = run.findings.failed.len(),
            auto_registered = last.auto_registered,
            "a search for servers has ended"
        );
        run
    }

    /// Searches as the config says, from a moment after the start on: then, whenever what it says of it has changed, and after
    /// every `interval` if there is one. Resolves when nobody changes the config any more.
    pub async fn follow(&self) {
        let mut changes = self.register.changes();
        // A client that only looks whether we are there is gone by then.
        tokio::time::sleep(START).await;
        loop {
            let said = self.register.config().discovery.clone();
            if let Some(discovery) = &said {
                self.look(&Wishes::from(discovery), |_| {}).await;
            }
            let interval = said.as_ref().and_then(|discovery| discovery.interval);
            let due = interval.map(|interval| Instant::now() + interval);
            while self.register.config().discovery == said {
                tokio::select! {
                    () = async { match due { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => break,
                    changed = changes.changed() => if changed.is_err() { return },
                }
            }
        }
    }
}

impl std::fmt::Debug for Scout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scout").field("last", &self.last_run()).finish_non_exhaustive()
    }
}

impl Run {
    /// The `data` of the mission's answer to `POST /proxy/discovery`, with what else is known beside it.
    pub fn to_json(&self) -> Value {
        let Findings { servers, failed, looked_at, is_partial } = &self.findings;
        let trouble = self
            .not_registered
            .iter()
            .map(|(name, failure)| json!({ "name": name, "error": failure.to_string() }));
        json!({
            "discovered_count": servers.len(),
            "servers": servers.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "auto_registered": self.auto_registered.len(),
            "failed_discoveries": failed.len(),
            "registered": self.auto_registered,
            "not_registered": trouble.collect::<Vec<_>>(),
            "failed": failed.iter().map(Failed::to_json).collect::<Vec<_>>(),
            "looked_at": looked_at,
            "partial": is_partial,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever serves spawns searches.
    #[test]
    fn searches_can_be_spawned() {
        fn is_send<T: Send>(_: &T) {}
        fn check(scout: &Scout, wishes: &Wishes) {
            is_send(&scout.look(wishes, |_| {}));
            is_send(&scout.follow());
        }
        let _: fn(&Scout, &Wishes) = check;
    }
}
