//! The one task that starts, watches and ends a server's process, over and over.
//!
//! Each turn of [`Lifecycle::run`] is one generation: start and handshake here, what happens while the server is well in
//! [`serve`], its end in [`finish`].

mod finish;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::backend::handshake::{self, Greeting};
use crate::backend::link::OUTBOX_LIMIT;
use crate::backend::reader::{self, ReadEnd};
use crate::backend::{Backend, Observer, State, lock, show_duration};
use crate::catalog::Offering;
use crate::config::{Launch, StdioLaunch};
use crate::failure::{Code, Failure};
use crate::supervisor::{
    Cause, Child, Decision, Ending, Exit, Process, RestartLimits, RestartPolicy, SpawnPlan, Supervisor,
};
use crate::wire::Outbox;

/// A process whose stdout ends gets this long to exit by itself.
const AFTER_CLOSE: Duration = Duration::from_millis(100);
/// A server that takes longer to start no longer counts among those that may start at once.
const SLOW_START: Duration = Duration::from_secs(3);

/// How everything is told to end: `None` while we run, then the grace that is left to the processes.
pub type Shutdown = watch::Receiver<Option<Ending>>;

/// The task behind a backend.
pub struct Lifecycle {
    backend: Arc<Backend>,
    supervisor: Supervisor,
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

/// One process with all that hangs on it.
struct Run {
    generation: u64,
    process: Process,
    outbox: Arc<Outbox>,
    reader: JoinHandle<ReadEnd>,
    writer: JoinHandle<()>,
    started: Instant,
}

impl Lifecycle {
    /// The task for `backend`; it does nothing until [`run`](Self::run) is spawned.
    pub fn new(
        backend: Arc<Backend>,
        supervisor: Supervisor,
        starts: Arc<Semaphore>,
        observer: Arc<dyn Observer>,
        shutdown: Shutdown,
        offering: Option<Offering>,
    ) -> Self {
        let policy = RestartPolicy::new(RestartLimits::default());
        Self { backend, supervisor, starts, observer, policy, shutdown, offering }
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
                RunEnd::Fell(failure) => {
                    if self.recover(failure).await.is_none() {
                        break;
                    }
                }
            }
        }
        let failure = Failure::new(Code::CallShutdown, "Switchboard is ending").of(self.backend.name());
        self.backend.fail_all(self.backend.link.take_waiting(), &failure);
        self.set_state(State::Ended);
    }

    fn set_state(&self, state: State) {
        tracing::info!(server = %self.backend.name(), state = state.word(), "server state");
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
            tokio::select! {
                () = self.backend.orders.given() => {}
                _ = shutdown_ordered(&mut self.shutdown) => return None,
            }
        }
    }

    /// Decides what follows a fall, and waits until it is time for it.
    async fn recover(&mut self, failure: Failure) -> Option<()> {
        tracing::warn!(server = %self.backend.name(), %failure, "server fell");
        let now = Instant::now();
        let decision = self.policy.ended(now.into_std(), Cause::from(failure.code), fastrand::f64());
        match decision {
            // A call that came while it fell, or comes during the pause, waits for the next start.
            Decision::Wait(pause) => {
                self.set_state(State::Waiting { failure, until: now + pause });
                self.pause_until(now + pause).await?;
                self.backend.start();
            }
            Decision::CrashLooped { probe_in } => {
                let until = now + probe_in;
                self.refuse(failure.clone(), until, "it keeps ending right after its start");
                self.set_state(State::CrashLooped { failure, until });
                self.pause_until(until).await?;
                self.backend.start();
            }
            Decision::OnDemand { not_before } => {
                let until = now + not_before;
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
        self.backend.fail_all(self.backend.link.take_waiting(), &refusal);
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
        self.policy.started(std::time::Instant::now());
        self.backend.tally(|tallies| tallies.starts += 1);
        self.set_state(State::Starting { since: Instant::now() });
        let mut run = match self.launch().await {
            Ok(run) => run,
            Err(failure) => return self.never_greeted(RunEnd::Fell(failure)),
        };
        let end = match self.greet_holding(permit, &mut run).await {
            Ok(greeting) => self.serve(&mut run, greeting).await,
            Err(end) => self.never_greeted(end),
        };
        self.finish(run, end).await
    }

    /// A server that did not come up is tried again, but nobody is left waiting for that: its callers learn the cause
    /// at once. (Calls that come while a server that *was* up restarts do wait.)
    fn never_greeted(&self, end: RunEnd) -> RunEnd {
        if let RunEnd::Fell(failure) = &end {
            self.backend.fail_all(self.backend.link.take_waiting(), failure);
        }
        end
    }

    async fn launch(&mut self) -> Result<Run, Failure> {
        let config = self.backend.config();
        let launch = match &config.launch {
            Launch::Stdio(launch) => launch,
            Launch::Remote(_) => {
                let failure =
                    Failure::new(Code::TransportPlanned, "this version reaches servers over stdio only");
                return Err(failure
                    .of(&config.name)
                    .remedy("Use a stdio bridge for it, or wait for the next version"));
            }
        };
        let generation = self.backend.link.next_generation();
        let plan = spawn_plan(&self.backend, generation, launch);
        let Child { mut stdin, stdout, noise, process } = self.supervisor.spawn(plan).await?;
        *lock(&self.backend.stderr) = Some(process.stderr());
        let outbox = Arc::new(Outbox::new(OUTBOX_LIMIT));
        self.backend.link.attach(generation, Arc::clone(&outbox), false);
        let writer = tokio::spawn({
            let (outbox, backend) = (Arc::clone(&outbox), Arc::clone(&self.backend));
            async move {
                // Its end closes the server's stdin.
                if let Err(error) = outbox.write_to(&mut stdin).await {
                    tracing::debug!(server = %backend.name(), %error, "the server closed its stdin");
                }
            }
        });
        let reader = tokio::spawn(reader::read(Arc::clone(&self.backend), generation, stdout, noise));
        Ok(Run { generation, process, outbox, reader, writer, started: Instant::now() })
    }

    /// Greets the server and holds the permit as long as starting may cost the machine something: servers that hang
    /// in their start must not keep all others from theirs.
    async fn greet_holding(
        &mut self,
        permit: Option<OwnedSemaphorePermit>,
        run: &mut Run,
    ) -> Result<Greeting, RunEnd> {
        let greeting = self.greet(run);
        tokio::pin!(greeting);
        if let Ok(greeting) = timeout(SLOW_START, &mut greeting).await {
            return greeting;
        }
        drop(permit);
        greeting.await
    }

    async fn greet(&mut self, run: &mut Run) -> Result<Greeting, RunEnd> {
        let patience = self.backend.config().timeouts.start;
        let backend = Arc::clone(&self.backend);
        let params = handshake::params(&backend.audience.introduction(), &backend.config().protocol);
        let answer = backend.ask_server("initialize", Some(&params), patience);
        tokio::pin!(answer);
        let early = tokio::select! {
            answer = &mut answer => match answer {
                Ok((line, body)) => return handshake::greeting(&line, body).map_err(|failure| {
                    RunEnd::Fell(self.with_last_words(failure.of(backend.name())))
                }),
                Err(failure) if failure.code == Code::CallTimeout => Err(Failure::new(
                    Code::HandshakeTimeout,
                    format!("it did not answer `initialize` within {}", show_duration(patience)),
                ).remedy("Raise `timeouts.start`, or run `switchboard check` to see where it hangs")),
                Err(failure) => Err(failure),
            },
            exit = run.process.wait() => Ok(exit),
            end = &mut run.reader => {
                let end = end.unwrap_or(ReadEnd::Closed);
                exit_after(&end, &mut run.process).await.ok_or_else(|| reading_ended(end))
            }
            _ = &mut run.writer => {
                timeout(AFTER_CLOSE, run.process.wait()).await.map_err(|_| stdin_closed())
            }
            _ = shutdown_ordered(&mut self.shutdown) => return Err(RunEnd::Shutdown),
        };
        let failure = early.map_or_else(
            |failure| failure,
            |exit| {
                Failure::new(Code::ProcessExitedEarly, format!("it {exit} before it finished its handshake"))
            },
        );
        Err(RunEnd::Fell(self.with_last_words(failure.of(backend.name()))))
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

fn spawn_plan(backend: &Backend, generation: u64, launch: &StdioLaunch) -> SpawnPlan {
    SpawnPlan {
        server: backend.name().clone(),
        generation,
        command: launch.command.clone(),
        args: launch.args.clone(),
        env: launch.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
        inherit_env: launch.inherit_env.clone(),
        cwd: launch.cwd.clone(),
        redact: launch.env.iter().map(|(_, value)| value.expose().to_owned()).collect(),
    }
}

/// How the process ends by itself after its stdout did. Where we closed it, because of a line without end, an exit
/// would only be the consequence.
async fn exit_after(end: &ReadEnd, process: &mut Process) -> Option<Exit> {
    match end {
        ReadEnd::Closed => timeout(AFTER_CLOSE, process.wait()).await.ok(),
        ReadEnd::Flood => None,
    }
}

fn stdin_closed() -> Failure {
    Failure::new(Code::ProcessExited, "it closed its stdin and went on running")
}

fn reading_ended(end: ReadEnd) -> Failure {
    match end {
        ReadEnd::Closed => Failure::new(Code::ProcessExited, "it closed its stdout and went on running"),
        ReadEnd::Flood => Failure::new(Code::ProcessFlood, "it wrote a line that does not end"),
    }
}

async fn shutdown_ordered(shutdown: &mut Shutdown) -> Ending {
    match shutdown.wait_for(Option::is_some).await {
        Ok(ending) => ending.unwrap_or(Ending::NOW),
        // Whoever could order it is gone: that is an order too.
        Err(_) => Ending::NOW,
    }
}
