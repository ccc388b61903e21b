//! The one task that starts, watches and ends a server's process, over and over.
//!
//! Each turn of [`Lifecycle::run`] is one generation. What can wake the task while a server runs stands in one enum,
//! [`Event`]; what is decided then stands in one function, [`Lifecycle::serve`].

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::backend::handshake::{self, Greeting};
use crate::backend::link::{Lost, OUTBOX_LIMIT};
use crate::backend::listing::{self, Listed};
use crate::backend::reader::{self, ReadEnd};
use crate::backend::{Backend, Observer, State, lock, show_duration};
use crate::catalog::Offering;
use crate::config::{Launch, Start, StdioLaunch};
use crate::failure::{Code, Failure};
use crate::protocol::ListKind;
use crate::supervisor::{
    Cause, Child, Decision, Ending, Exit, Process, RestartLimits, RestartPolicy, SpawnPlan, Supervisor,
};
use crate::wire::Outbox;

/// A process that exits gets this long to have its last lines read.
const LAST_LINES: Duration = Duration::from_millis(50);
/// A process whose stdout ends gets this long to exit by itself.
const AFTER_CLOSE: Duration = Duration::from_millis(100);
/// A server that takes longer to start no longer counts among those that may start at once.
const SLOW_START: Duration = Duration::from_secs(3);
/// Several notices of changed lists are one when they come within this time.
const REFRESH_PAUSE: Duration = Duration::from_millis(300);
/// A list that could not be fetched is asked for again after this pause, which doubles up to a minute.
const LIST_RETRY: Duration = Duration::from_secs(2);
/// A server that takes no byte for this long although some wait has stopped reading.
const WEDGED_AFTER: Duration = Duration::from_secs(10);

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

/// Everything that can wake us while a server runs.
enum Event {
    Exited(Exit),
    StdoutEnded(ReadEnd),
    StdinClosed,
    Ordered,
    RefreshDue,
    Listed(Box<Listed>),
    Tick,
    Shutdown,
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

type Listing = Pin<Box<dyn Future<Output = Listed> + Send>>;

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
    pub async fn run(mut self) {
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
            if pending.start || pending.restart || self.backend.link.has_waiting() {
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

    async fn pause_until(&mut self, until: Instant) -> Option<()> {
        loop {
            tokio::select! {
                () = sleep_until(until) => return Some(()),
                _ = shutdown_ordered(&mut self.shutdown) => return None,
                () = self.backend.orders.given() => {
                    // Only a deliberate restart cuts a pause short; a call waits or is refused.
                    if self.backend.orders.take().restart {
                        return Some(());
                    }
                }
            }
        }
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
            Launch::Http { .. } => {
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
        self.backend.link.attach(generation, Arc::clone(&outbox));
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
        let params = handshake::params(&backend.client.introduction(), &backend.config().protocol);
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

    /// Lives as long as the server is well.
    async fn serve(&mut self, run: &mut Run, greeting: Greeting) -> RunEnd {
        let backend = Arc::clone(&self.backend);
        let greeting = Arc::new(greeting);
        self.welcome(run, &greeting);
        let mut listing: Option<Listing> = Some(self.list(&greeting, ListKind::ALL.to_vec()));
        let mut stale = Stale::default();
        let mut stall = Stall::default();
        let tick =
            (backend.config().timeouts.call / 8).clamp(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            let event = tokio::select! {
                exit = run.process.wait() => Event::Exited(exit),
                end = &mut run.reader => Event::StdoutEnded(end.unwrap_or(ReadEnd::Closed)),
                _ = &mut run.writer => Event::StdinClosed,
                _ = shutdown_ordered(&mut self.shutdown) => Event::Shutdown,
                () = backend.orders.given() => Event::Ordered,
                () = due(stale.due), if listing.is_none() => Event::RefreshDue,
                lists = listed(&mut listing) => Event::Listed(Box::new(lists)),
                () = tokio::time::sleep(tick) => Event::Tick,
            };
            match event {
                Event::Exited(exit) => {
                    backend.link.closes(run.generation);
                    // What it wrote before it went may still stand in the pipe, answers among it.
                    let _ = timeout(LAST_LINES, &mut run.reader).await;
                    return self.left(run, exit);
                }
                Event::StdoutEnded(end) => {
                    return match exit_after(&end, &mut run.process).await {
                        Some(exit) => self.left(run, exit),
                        None => RunEnd::Fell(self.with_last_words(reading_ended(end).of(backend.name()))),
                    };
                }
                Event::StdinClosed => {
                    backend.link.closes(run.generation);
                    return match timeout(AFTER_CLOSE, run.process.wait()).await {
                        Ok(exit) => {
                            let _ = timeout(LAST_LINES, &mut run.reader).await;
                            self.left(run, exit)
                        }
                        Err(_) => RunEnd::Fell(self.with_last_words(stdin_closed().of(backend.name()))),
                    };
                }
                Event::Shutdown => return RunEnd::Shutdown,
                Event::Ordered => {
                    let pending = backend.orders.take();
                    if pending.restart {
                        backend.start();
                        return RunEnd::Rests;
                    }
                    stale.add(&pending.refresh, REFRESH_PAUSE);
                }
                Event::RefreshDue => listing = Some(self.list(&greeting, stale.take())),
                Event::Listed(lists) => {
                    listing = None;
                    let Listed { offering, failed } = *lists;
                    stale.retry(&failed);
                    self.offering = Some(offering.clone());
                    self.observer.offering(backend.name(), offering, failed.is_empty());
                }
                Event::Tick => {
                    let now = Instant::now();
                    self.expire_calls(now);
                    if stall.lasts(&run.outbox, now) {
                        let cause = format!("it took no byte for {}", show_duration(WEDGED_AFTER));
                        return RunEnd::Fell(Failure::new(Code::ProcessWedged, cause).of(backend.name()));
                    }
                    if self.is_idle(run, now) && listing.is_none() {
                        return RunEnd::Rests;
                    }
                }
            }
        }
    }

    /// Tells a new generation what the one before knew, and lets calls pass.
    fn welcome(&mut self, run: &Run, greeting: &Arc<Greeting>) {
        let backend = &self.backend;
        run.outbox.push(|line| super::compose::notification(line, "notifications/initialized", None));
        let wanted = backend.wanted();
        if let Some(level) = wanted.level.filter(|_| greeting.logging) {
            backend.link.tell("logging/setLevel", &handshake::level_params(level));
        }
        for uri in &wanted.subscriptions {
            let mut params = br#"{"uri":"#.to_vec();
            crate::wire::json::push_string(&mut params, uri);
            params.push(b'}');
            backend.link.tell("resources/subscribe", &params);
        }
        for (call, failure) in backend.link.open(Arc::clone(greeting)) {
            call.client.fail(call.ticket, failure);
        }
        self.policy.ready(std::time::Instant::now());
        self.set_state(State::Ready {
            since: Instant::now(),
            pid: run.process.pid(),
            generation: run.generation,
        });
    }

    /// Fetches the lists of these kinds and keeps the others.
    fn list(&self, greeting: &Arc<Greeting>, kinds: Vec<ListKind>) -> Listing {
        let (backend, greeting, known) =
            (Arc::clone(&self.backend), Arc::clone(greeting), self.offering.clone());
        Box::pin(async move { listing::fetch(&backend, &greeting, &kinds, known.as_ref()).await })
    }

    fn expire_calls(&self, now: Instant) {
        let timeouts = &self.backend.config().timeouts;
        for Lost { ticket, client, label, after, .. } in
            self.backend.link.expire(now, timeouts.call, timeouts.total)
        {
            self.backend.tally(|tallies| tallies.failures += 1);
            let cause = if after >= timeouts.total {
                format!(
                    "`{label}` was not done within {} (`timeouts.total`) and was cancelled",
                    show_duration(timeouts.total)
                )
            } else {
                format!(
                    "`{label}` gave no sign of life for {} (`timeouts.call`) and was cancelled",
                    show_duration(timeouts.call)
                )
            };
            let failure = Failure::new(Code::CallTimeout, cause).of(self.backend.name());
            client.fail(ticket, failure.remedy("It may still have taken effect; look before you repeat it"));
        }
    }

    fn is_idle(&self, run: &Run, now: Instant) -> bool {
        let config = self.backend.config();
        let Some(patience) = config.timeouts.idle_stop.filter(|_| config.start == Start::Lazy) else {
            return false;
        };
        let since = self.backend.link.last_used().map_or(run.started, |used| used.max(run.started));
        now - since >= patience && self.backend.open_calls() == 0 && !self.backend.has_subscriptions()
    }

    /// What an exit means: a server that leaves in peace, with nothing to do, comes back when it is needed.
    fn left(&self, run: &Run, exit: Exit) -> RunEnd {
        let in_peace = exit == Exit::Code(0) && self.backend.open_calls() == 0;
        if in_peace && self.backend.config().start == Start::Lazy && !self.backend.has_subscriptions() {
            return RunEnd::Rests;
        }
        let cause = format!("it {exit}, {} after its start", show_duration(run.started.elapsed()));
        RunEnd::Fell(self.with_last_words(Failure::new(Code::ProcessExited, cause).of(self.backend.name())))
    }

    /// Answers what was in flight, ends the process and everything below it.
    async fn finish(&mut self, run: Run, end: RunEnd) -> RunEnd {
        let remains = self.backend.link.detach();
        for lost in remains.lost {
            self.fail_lost(lost, &end);
        }
        for key in remains.asks {
            self.backend.client.withdraw(&key, "the server that asked has ended");
        }
        run.outbox.close();
        let ending = match &end {
            RunEnd::Shutdown => self.shutdown.borrow().unwrap_or(Ending::SHUTDOWN),
            RunEnd::Rests => Ending::RELOAD,
            RunEnd::Fell(failure) if failure.code == Code::ProcessWedged => Ending::NOW,
            RunEnd::Fell(failure)
                if matches!(failure.code, Code::ProcessExited | Code::ProcessExitedEarly) =>
            {
                Ending::NOW
            }
            RunEnd::Fell(_) => Ending::SHUTDOWN,
        };
        let mut shutdown = self.shutdown.clone();
        let hurry = async {
            // A graceful end that meets the shutdown has to hurry like the others.
            let ending = shutdown_ordered(&mut shutdown).await;
            tokio::time::sleep(ending.kill_after).await;
        };
        tokio::pin!(hurry);
        let is_shutdown = matches!(end, RunEnd::Shutdown);
        tokio::select! {
            _ = run.process.end(ending) => {}
            () = &mut hurry, if !is_shutdown => {}
        }
        run.reader.abort();
        run.writer.abort();
        end
    }

    fn fail_lost(&self, lost: Lost, end: &RunEnd) {
        self.backend.tally(|tallies| tallies.failures += 1);
        let (why, code) = match end {
            RunEnd::Fell(failure) => (failure.cause.as_str(), failure.code),
            RunEnd::Rests => ("it was stopped", Code::ProcessExited),
            RunEnd::Shutdown => ("Switchboard is ending", Code::CallShutdown),
        };
        let Lost { ticket, client, label, after, was_written } = lost;
        let after = show_duration(after);
        let failure = if !was_written {
            Failure::new(Code::CallUnavailable, format!("`{label}` was not sent: {why}"))
                .remedy("It did not run; call again")
        } else if code == Code::CallShutdown {
            Failure::new(code, format!("`{label}` had been running for {after}: {why}"))
        } else {
            let cause = format!("the outcome of `{label}` is unknown: {after} after it was sent, {why}");
            Failure::new(Code::CallOutcomeUnknown, cause)
                .remedy("Look whether it took effect before you repeat it")
        };
        client.fail(ticket, failure.of(self.backend.name()));
    }
}

/// The lists that have to be fetched again, and when.
#[derive(Default)]
struct Stale {
    kinds: Vec<ListKind>,
    due: Option<Instant>,
    /// How often in a row something could not be fetched.
    failures: u32,
}

impl Stale {
    fn add(&mut self, kinds: &[ListKind], pause: Duration) {
        for kind in kinds {
            if !self.kinds.contains(kind) {
                self.kinds.push(*kind);
            }
        }
        if !kinds.is_empty() {
            self.due.get_or_insert_with(|| Instant::now() + pause);
        }
    }

    fn take(&mut self) -> Vec<ListKind> {
        self.due = None;
        std::mem::take(&mut self.kinds)
    }

    /// A list that could not be fetched is asked for again, with growing pauses.
    fn retry(&mut self, failed: &[ListKind]) {
        self.failures = if failed.is_empty() { 0 } else { (self.failures + 1).min(6) };
        self.add(failed, LIST_RETRY * 2u32.pow(self.failures.saturating_sub(1)));
    }
}

/// Notices that a server takes nothing although something waits for it.
#[derive(Default)]
struct Stall {
    taken: u64,
    since: Option<Instant>,
}

impl Stall {
    fn lasts(&mut self, outbox: &Outbox, now: Instant) -> bool {
        let taken = outbox.taken();
        if outbox.waiting() == 0 || taken != self.taken {
            self.taken = taken;
            self.since = None;
            return false;
        }
        now - *self.since.get_or_insert(now) >= WEDGED_AFTER
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

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn listed(listing: &mut Option<Listing>) -> Listed {
    match listing {
        Some(listing) => listing.as_mut().await,
        None => std::future::pending().await,
    }
}
