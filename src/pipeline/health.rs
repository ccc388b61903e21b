//! Asks a running instance from time to time whether it is still there (`health_check`), in the way that its config says
//! ([`probe`]) or by a [`HealthChecker`] of one's own. Checks are no use of the server: one that sleeps is not woken, one that nobody needs goes to sleep all the same. An instance that fails
//! several times in a row counts as ill until a check goes well or it is started anew: its breaker opens, if it
//! has one, and it gets no calls while another instance can take them.

mod probe;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, sleep, timeout};

use super::breaker::{Breaker, Pass};
use super::group::Group;
use super::{BoxFuture, Trouble};
use crate::backend::{Backend, State, show_duration};
use crate::config::HealthCheck as Rules;
use crate::failure::{Code, Failure};
use crate::names::ServerName;

pub(crate) use probe::{Means, checker};

/// Says whether an instance of a server that runs is well.
///
/// What it does is bounded by the `timeout` of the server's `health_check`: the future is dropped then. It must not block the
/// thread. `examples/custom_health.rs` is a complete one.
pub trait HealthChecker: Send + Sync + fmt::Debug {
    /// Looks once. [`Backend::ask`] asks the server itself without waking it or keeping it from its `idle_stop`.
    ///
    /// # Errors
    /// It is not well, and why, in a sentence for people.
    fn check<'a>(&'a self, instance: &'a Backend) -> BoxFuture<'a, Result<(), Failure>>;
}

/// What the checks of one instance have shown.
#[derive(Debug)]
pub(super) struct Health {
    server: ServerName,
    rules: Rules,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    /// The run that this is about.
    generation: u64,
    /// Checks that failed in a row.
    failures: u32,
    /// How the last one failed.
    last: Option<Failure>,
    /// Since when it counts as ill.
    ill_since: Option<Instant>,
    /// The breaker as we opened it.
    opened: Option<Pass>,
}

impl Health {
    pub(super) fn new(server: ServerName, rules: Rules) -> Self {
        Self { server, rules, record: Mutex::default() }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a check of this run. Opens the breaker when there were enough that failed, and closes it again.
    pub(super) fn note(&self, generation: u64, checked: Result<(), Failure>, breaker: Option<&Breaker>) {
        let mut record = self.record();
        if record.generation != generation {
            *record = Record { generation, opened: record.opened, ..Record::default() };
        }
        match checked {
            Ok(()) => {
                if record.failures >= self.rules.max_failures {
                    tracing::info!(event = "health.recovered", server = %self.server, "an instance answers health checks again");
                }
                if let (Some(breaker), Some(pass)) = (breaker, record.opened.take()) {
                    breaker.mend(pass);
                }
                (record.failures, record.last, record.ill_since) = (0, None, None);
            }
            Err(failure) => {
                record.failures = record.failures.saturating_add(1);
                if record.failures == self.rules.max_failures {
                    record.ill_since = Some(Instant::now());
                    tracing::warn!(event = "health.failed", server = %self.server, %failure, "an instance fails its health checks");
                }
                if record.failures >= self.rules.max_failures
                    && let Some(pass) = breaker.and_then(|breaker| breaker.trip(&failure.cause))
                {
                    record.opened = Some(pass);
                }
                record.last = Some(failure);
            }
        }
    }

    /// Lets go of the breaker, because nobody checks by these rules any more: closes it if that is what checks have opened.
    pub(super) fn release(&self, breaker: &Breaker) {
        if let Some(pass) = self.record().opened.take() {
            breaker.mend(pass);
        }
    }

    /// Whether the instance counts as ill in this run.
    pub(super) fn is_ill(&self, generation: u64) -> bool {
        let record = self.record();
        record.generation == generation && record.failures >= self.rules.max_failures
    }

    /// Why the instance counts as ill in this run, if it does.
    pub(super) fn trouble(&self, generation: u64) -> Option<Trouble> {
        if !self.is_ill(generation) {
            return None;
        }
        let record = self.record();
        let cause = record.last.as_ref().map(|failure| failure.cause.as_str()).unwrap_or_default();
        let cause = format!("{} health checks in a row have failed: {cause}", record.failures);
        let failure = Failure::new(Code::HealthCheck, cause).of(&self.server);
        Some(Trouble {
            word: "unhealthy",
            refuses: true,
            since: record.ill_since.unwrap_or_else(Instant::now),
            failure: failure.remedy("It counts as well again as soon as a check succeeds"),
        })
    }
}

/// Checks one instance of a group, for ever.
pub(super) async fn watch(group: Arc<Group>, index: usize, checker: Arc<dyn HealthChecker>) {
    let Some(member) = group.members().get(index) else { return };
    let Some(health) = &member.health else { return };
    let Rules { interval, timeout: patience, .. } = health.rules;
    loop {
        // Not all instances at the same moment.
        sleep(interval.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
        let run = || match member.server.state() {
            State::Ready { generation, .. } => Some(generation),
            _ => None,
        };
        let Some(generation) = run() else { continue };
        let begun = Instant::now();
        let checked = timeout(patience, checker.check(&member.server)).await.unwrap_or_else(|_| {
            let cause = format!("its check was not done within {}", show_duration(patience));
            Err(Failure::new(Code::CallTimeout, cause))
        });
        tracing::debug!(server = %health.server, instance = index + 1, took = ?begun.elapsed(), well = checked.is_ok(), "health check");
        // One that has ended meanwhile is looked after elsewhere.
        if run() == Some(generation) {
            health.note(generation, checked, member.breaker.as_deref());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::BreakerRules;
    use crate::pipeline::testing::server;

    fn late() -> Result<(), Failure> {
        Err(Failure::new(Code::CallTimeout, "it did not answer `ping` within 5s"))
    }

    #[tokio::test(start_paused = true)]
    async fn several_failures_in_a_row_make_it_ill_and_one_success_well() {
        let rules = Rules { max_failures: 2, ..Rules::default() };
        let health = Health::new(server(), rules);
        let breaker = Breaker::new(server(), BreakerRules::default());
        let is_open = || breaker.trouble(Instant::now()).is_some();
        for checked in [late(), Ok(()), late()] {
            health.note(1, checked, Some(&breaker));
            assert!(health.trouble(1).is_none() && !is_open());
        }
        health.note(1, late(), Some(&breaker));
        let trouble = health.trouble(1).expect("it is ill");
        assert!(trouble.failure.to_string().contains("2 health checks in a row"), "{}", trouble.failure);
        assert!(is_open() && breaker.refuses(Instant::now()));
        health.note(1, Ok(()), Some(&breaker));
        assert!(health.trouble(1).is_none() && !is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_run_counts_from_nothing() {
        let health = Health::new(server(), Rules { max_failures: 1, ..Rules::default() });
        health.note(1, late(), None);
        assert!(health.trouble(1).is_some() && health.trouble(2).is_none());
        health.note(2, Ok(()), None);
        assert!(health.trouble(2).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_that_has_moved_on_is_not_closed_by_a_check() {
        let rules = BreakerRules { failure_threshold: 1, recovery_timeout: Duration::from_secs(1) };
        let breaker = Breaker::new(server(), rules);
        let pass = breaker.trip("ill").expect("it opens");
        assert!(breaker.trip("ill").is_none(), "it is open already");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!breaker.refuses(Instant::now()), "a trial is due");
        let later = breaker.trip("still ill");
        assert!(later.is_none(), "an open one stays as it is until somebody tries it");
        breaker.mend(pass);
        assert!(breaker.trouble(Instant::now()).is_none());
        breaker.mend(pass);
    }
}
