//! The one task that reaches a server, watches it and lets go of it, over and over.
//!
//! Each turn of [`Lifecycle::run`] is one generation: the connection and its tasks in [`run`], the first words in
//! [`greet`], what happens while the server is well in [`serve`], its end in [`finish`].

mod finish;
mod greet;
mod listen;
mod run;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use crate::backend::{Backend, Observer, State, Verdicts, Way};
use crate::catalog::Offering;
use crate::failure::{Code, Failure};
use crate::supervisor::{Cause, Decision, Ending, RestartLimits, RestartPolicy};
use crate::transport::HeaderParams;

use greet::{Greeted, Plan};

/// A server that takes longer to start no longer counts among those that may start at once.
const SLOW_START: Duration = Duration::from_secs(3);
/// A server that asks to be left alone for longer than this is asked again anyhow.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Longer than anybody waits.
const FOR_GOOD: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// A server that wants a login is tried again by itself after this pause, which doubles up to [`LOGIN_LONGEST`]: one whose
/// tools were never seen cannot be called.
const LOGIN_PAUSE: Duration = Duration::from_secs(5);
const LOGIN_LONGEST: Duration = Duration::from_secs(60);

/// How everything is told to end: `None` while we run, then the grace that is left to the processes.
pub type Shutdown = watch::Receiver<Option<Ending>>;

/// The task behind a backend.
pub struct Lifecycle {
    backend: Arc<Backend>,
    way: Way,
    /// Which arguments of the server's tools its transport must repeat in headers.
    header_params: Arc<HeaderParams>,
    /// Which era servers turned out to speak.
    verdicts: Verdicts,
    /// The server ended over the first words, in the era of the clients behind us; it may speak the other one.
    tries_other_era: bool,
    /// The pause before a server that wants a login is tried again, and when it ends.
    login: Option<(Duration, Instant)>,
    /// How many servers may start at once.
    starts: Arc<Semaphore>,
    observer: Arc<dyn Observer>,
    policy: RestartPolicy,
    shutdown: Shutdown,
    /// What the server showed last, for lists that cannot be fetched.
    offering: Option<Offering>,
}

/// How a run came to its end.
enum RunEnd {
    /// It could not be started, or it fell.
    Fell(Failure),
    /// We stopped it because nobody needs it, or it left by itself with nothing to do.
    Rests,
    /// We are ending.
    Shutdown,
}

impl Lifecycle {
    /// The task for `backend`; it does nothing until [`run`](Self::run) is spawned.
    pub fn new(
        backend: Arc<Backend>,
        way: Way,
        verdicts: Verdicts,
        starts: Arc<Semaphore>,
        observer: Arc<dyn Observer>,
        shutdown: Shutdown,
        offering: Option<Offering>,
    ) -> Self {
        let policy = RestartPolicy::new(RestartLimits::default());
        let header_params = Arc::new(HeaderParams::default());
        // Calls may come before the server has shown its tools again.
        if let Some(offering) = &offering {
            header_params.learn(&offering.tools);
        }
        Self {
            backend,
            way,
            header_params,
            verdicts,
            tries_other_era: false,
            login: None,
            starts,
            observer,
            policy,
            shutdown,
            offering,
        }
    }

    /// Lives until shutdown.
    pub async fn run(self) {
        let backend = Arc::clone(&self.backend);
        tokio::select! {
            () = self.generations() => {}
            () = backend.give_up_waiting() => {}
        }
    }

    async fn generations(mut self) {
        loop {
            if self.wait_for_demand().await.is_none() {
                break;
            }
            match self.one_run().await {
                RunEnd::Shutdown => break,
                RunEnd::Rests => {
                    self.policy.stopped(std::time::Instant::now());
                    self.set_state(State::Idle);
                }
                RunEnd::Fell(failure) if failure.code == Code::AuthNeedsLogin => self.needs_login(failure),
                RunEnd::Fell(failure) => {
                    if self.recover(failure).await.is_none() {
                        break;
                    }
                }
            }
        }
        let failure = self.backend.farewell();
        // A call that has found its way here before may still come, and nobody would ever answer it.
        self.backend.link.refuse(failure.clone(), Instant::now() + FOR_GOOD);
        self.backend.fail_waiting(self.backend.link.take_waiting(), &failure);
        self.backend.rounds.fail_all(&failure);
        self.backend.errands.fail_all(&failure);
        self.set_state(State::Ended);
    }

    fn set_state(&self, state: State) {
        let (server, word) = (self.backend.name(), state.word());
        match &state {
            State::Ready { pid, generation: 1, .. } => {
                tracing::info!(event = "server.started", %server, state = word, pid, "server state");
            }
            State::Ready { pid, generation, .. } => {
                tracing::info!(event = "server.restarted", %server, state = word, pid, generation, "server state");
            }
            _ => tracing::info!(event = "server.state", %server, state = word, "server state"),
        }
        self.backend.set_state(state);
        self.observer.state_changed(self.backend.name());
    }

    /// `None` means shutdown, here and below.
    async fn wait_for_demand(&mut self) -> Option<()> {
        loop {
            let pending = self.backend.orders.take();
            if pending.start || self.backend.link.has_waiting() {
                return Some(());
            }
            let login = self.login.filter(|_| matches!(self.backend.state(), State::NeedsLogin { .. }));
            let at = login.map_or_else(|| Instant::now() + LOGIN_LONGEST, |(_, at)| at);
            tokio::select! {
                () = self.backend.orders.given() => {}
                () = sleep_until(at), if login.is_some() => return Some(()),
                _ = shutdown_ordered(&mut self.shutdown) => return None,
            }
        }
    }

    /// Nothing but a login helps, and that costs nothing to look for: every call tries again.
    fn needs_login(&mut self, failure: Failure) {
        tracing::warn!(event = "server.needs_login", server = %self.backend.name(), %failure, "server wants a login");
        self.policy.forgiven();
        self.backend.fail_waiting(self.backend.link.take_waiting(), &failure);
        self.backend.orders.take();
        let pause = self.login.map_or(LOGIN_PAUSE, |(last, _)| (2 * last).min(LOGIN_LONGEST));
        self.login = Some((pause, Instant::now() + pause));
        self.set_state(State::NeedsLogin { failure });
    }

    /// Decides what follows a fall, and waits until it is time for it.
    async fn recover(&mut self, failure: Failure) -> Option<()> {
        tracing::warn!(event = "server.exited", server = %self.backend.name(), %failure, "server fell");
        let now = Instant::now();
        let at_least = failure.retry_after.unwrap_or_default().min(LONGEST_PAUSE);
        let decision = self.policy.ended(now.into_std(), Cause::from(failure.code), fastrand::f64());
        match decision {
            // A call that came while it fell, or comes during the pause, waits for the next start.
            Decision::Wait(pause) => {
                let until = now + pause.max(at_least);
                self.set_state(State::Waiting { failure, until });
                self.pause_until(until).await?;
                self.backend.start();
            }
            Decision::CrashLooped { probe_in } => {
                let until = now + probe_in.max(at_least);
                self.refuse(failure.clone(), until, "it keeps ending right after its start");
                self.set_state(State::CrashLooped { failure, until });
                self.pause_until(until).await?;
                self.backend.start();
            }
            Decision::OnDemand { not_before } => {
                let until = now + not_before.max(at_least);
                self.refuse(failure.clone(), until, "it cannot be started");
                self.set_state(if self.policy.is_crash_looped() {
                    State::CrashLooped { failure, until }
                } else {
                    State::Failed { failure, until }
                });
                self.pause_until(until).await?;
            }
        }
        Some(())
    }

    /// Answers what waits, and what comes before `until`, with the reason.
    fn refuse(&self, failure: Failure, until: Instant, what: &str) {
        let refusal = Failure { cause: format!("{what}: {}", failure.cause), ..failure };
        self.backend.link.refuse(refusal.clone(), until);
        self.backend.fail_waiting(self.backend.link.take_waiting(), &refusal);
        self.backend.orders.take();
    }

    /// Orders that come meanwhile are void: a call waits or is refused, and whoever pauses decides what follows.
    async fn pause_until(&mut self, until: Instant) -> Option<()> {
        tokio::select! {
            () = sleep_until(until) => {}
            _ = shutdown_ordered(&mut self.shutdown) => return None,
        }
        self.backend.orders.take();
        Some(())
    }

    async fn one_run(&mut self) -> RunEnd {
        let permit = tokio::select! {
            permit = Arc::clone(&self.starts).acquire_owned() => permit.ok(),
            _ = shutdown_ordered(&mut self.shutdown) => return RunEnd::Shutdown,
        };
        let mut permit = Permit(permit, Instant::now() + SLOW_START);
        let mut plan = Plan::of(self);
        loop {
            self.policy.started(std::time::Instant::now());
            self.backend.tally(|tallies| tallies.starts += 1);
            self.set_state(State::Starting { since: Instant::now() });
            let mut run = match self.reach().await {
                Ok(run) => run,
                Err(failure) => return self.never_greeted(RunEnd::Fell(failure)),
            };
            let greeted = permit.holding(self.greet(&mut run, plan)).await;
            let end = match greeted {
                Greeted::Well(greeting) => {
                    drop(permit);
                    self.serve(&mut run, greeting).await
                }
                Greeted::Again(other, end) => {
                    // It ended over a question, or is told to: that says nothing of how well it is.
                    self.policy.forgiven();
                    self.finish(run, end).await;
                    plan = other;
                    continue;
                }
                Greeted::Not(end) => self.never_greeted(end),
            };
            return self.finish(run, end).await;
        }
    }

    /// A server that did not come up is tried again, but nobody is left waiting for that: its callers learn the cause
    /// at once. (Calls that come while a server that *was* up restarts do wait.)
    fn never_greeted(&self, end: RunEnd) -> RunEnd {
        if let RunEnd::Fell(failure) = &end {
            self.backend.fail_waiting(self.backend.link.take_waiting(), failure);
        }
        end
    }

    /// Adds what the server said on stderr, or wrongly on stdout, to the cause.
    fn with_last_words(&self, mut failure: Failure) -> Failure {
        let mut words = self.backend.last_words(3);
        if words.is_empty() {
            words = self.backend.noise();
        }
        if !words.is_empty() {
            let words: String = words.join(" / ").chars().take(400).collect();
            failure.cause = format!("{}; its last words: {words}", failure.cause);
        }
        failure
    }
}

/// The right to start, held only as long as starting may cost the machine something: servers that hang in their start must
/// not keep all others from theirs.
struct Permit(Option<OwnedSemaphorePermit>, Instant);

impl Permit {
    async fn holding<T>(&mut self, start: impl Future<Output = T>) -> T {
        tokio::pin!(start);
        if self.0.is_some() {
            tokio::select! {
                done = &mut start => return done,
                () = sleep_until(self.1) => self.0 = None,
            }
        }
        start.await
    }
}

async fn shutdown_ordered(shutdown: &mut Shutdown) -> Ending {
    match shutdown.wait_for(Option::is_some).await {
        Ok(ending) => ending.unwrap_or(Ending::NOW),
        // Whoever could order it is gone: that is an order too.
        Err(_) => Ending::NOW,
    }
}
