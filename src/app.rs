//! The one place that wires the rooms: a config becomes a running Switchboard behind a client.
//!
//! [`Switchboard`] is the whole without its outer pipes, so that the command line can talk to one in its own process
//! exactly as a client would. [`serve_stdio`] puts it on our own stdin and stdout.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin::{Desk, Surroundings, Tending};
use crate::audit::{Folder, Journal};
use crate::call::Audience;
use crate::catalog::Store;
use crate::config::{AdminConfig, AuditRules, Config, Loaded, Secret};
use crate::discovery::{LastRun, Register, Scout};
use crate::failure::Failure;
use crate::frontend::http::Face;
use crate::frontend::stdio::{Stdio, read_client};
use crate::frontend::{Front, Hall, Outlet, Session};
use crate::interceptor::{Interceptor, Rules};
use crate::manager::{Actor, Keep, Manager};
use crate::pipeline::{Auditor, HealthChecker};
use crate::policy::Policies;
use crate::registry::{Parts, Registry, Ways};
use crate::status;
use crate::supervisor::{Ending, Supervisor, SupervisorOptions};
use crate::telemetry::otlp::Exporter;
use crate::trace::Tracer;
use crate::transport::{AuthProvider, BoxFuture, Transport};
use crate::wire::Outbox;

/// How long calls in flight may go on after the client has closed its end.
const DRAIN: Duration = Duration::from_millis(1000);
/// When children are asked and killed, counted from the moment the client left (clients kill us two seconds after).
const TERM_AT: Duration = Duration::from_millis(1000);
const KILL_AT: Duration = Duration::from_millis(1400);
/// How long a client that still reads gets for its last answers; cutting them short would tear a line in two.
const LAST_LINES_AT: Duration = Duration::from_millis(1600);
/// When spans and numbers must have been handed to the collector.
const LAST_SPANS_AT: Duration = Duration::from_millis(1700);
/// The same when the servers took all the time.
const LEAST_LAST_LINES: Duration = Duration::from_millis(100);
/// The least time between closing a child's stdin and SIGTERM, when calls had to be waited for.
const LEAST_GRACE: Duration = Duration::from_millis(150);

/// How many bytes may wait for a client before servers pause.
const OUTBOX_LIMIT: usize = 32 << 20;

/// A Switchboard without pipes.
pub struct Switchboard {
    /// Told when serving begins to end: whoever only looks after us is sent away.
    closing: CancellationToken,
    hall: Arc<Hall>,
    registry: Arc<Registry>,
    /// Sends traces and metrics to a collector.
    exporter: Option<Exporter>,
    manager: Arc<Manager>,
    scout: Arc<Scout>,
    follows: bool,
}

/// Whom a Switchboard serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// One client, on pipes. Servers are introduced to it as it is.
    Sole,
    /// Whoever comes.
    Many,
}

/// Begins the audit log. Without a folder there is none, which is said.
fn auditor(rules: &AuditRules, secrets: &[Secret], state: Option<&Path>) -> Option<Arc<Auditor>> {
    let begun = match state {
        Some(state) => Journal::begin(Folder::new(state.join("audit")), rules.max_size, rules.keep),
        None => Err(io::Error::other("nothing is kept on disk here")),
    };
    let journal = begun
        .inspect_err(|error| tracing::error!(event = "audit.failed", %error, "there is no audit log"))
        .ok()?;
    Some(Arc::new(Auditor::new(journal, rules, secrets)))
}

/// Why serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client closed its end.
    ClientLeft,
    /// A signal of this number came.
    Signal(i32),
}

/// What a Switchboard is made of.
pub struct Builder {
    loaded: Loaded,
    state: Option<PathBuf>,
    clients: Clients,
    ways: Ways,
    interceptors: Vec<(Rules, Arc<dyn Interceptor>)>,
    follows: bool,
}

impl Builder {
    /// The folder of its state; without one, nothing is kept on disk.
    pub fn state(self, state: PathBuf) -> Self {
        Self { state: Some(state), ..self }
    }

    /// Whom it serves; without a word, one client on pipes.
    pub fn clients(self, clients: Clients) -> Self {
        Self { clients, ..self }
    }

    /// Reaches a server of the config by a transport of one's own. What else its entry says stays in force.
    pub fn transport(mut self, server: &str, transport: Arc<dyn Transport>) -> Self {
        self.ways.transports.insert(server.into(), transport);
        self
    }

    /// Shows a server of the config credentials of one's own.
    pub fn auth(mut self, server: &str, provider: Arc<dyn AuthProvider>) -> Self {
        self.ways.auth.insert(server.into(), provider);
        self
    }

    /// Asks somebody else whether the running instances of a server are well, as often as `health_check` of its entry says.
    pub fn health_check(mut self, server: &str, checker: Arc<dyn HealthChecker>) -> Self {
        self.ways.health.insert(server.into(), checker);
        self
    }

    /// Lets somebody look at calls who is not in the config. Of equal priority, these come before those of the config, in the order
    /// of these calls.
    pub fn interceptor(mut self, rules: Rules, interceptor: Arc<dyn Interceptor>) -> Self {
        self.interceptors.push((rules, interceptor));
        self
    }

    /// Follows the config file while it serves: what changes in it takes effect, without a restart and without losing a call.
    pub fn follow_config(self) -> Self {
        Self { follows: true, ..self }
    }

    /// Builds everything; starts no server. Must be called inside a runtime.
    pub fn build(self) -> Switchboard {
        Switchboard::new(self)
    }
}

impl Switchboard {
    /// Begins with a config.
    pub fn builder(loaded: Loaded) -> Builder {
        Builder {
            loaded,
            state: None,
            clients: Clients::Sole,
            ways: Ways::default(),
            interceptors: Vec::new(),
            follows: false,
        }
    }

    fn new(builder: Builder) -> Self {
        let Builder { loaded, state, clients, ways, interceptors, follows } = builder;
        let secrets = loaded.config.secrets().iter().map(|secret| secret.expose().to_owned()).collect();
        let supervisor = Supervisor::new(SupervisorOptions {
            logs: state.as_ref().map(|state| state.join("logs")),
            state: state.clone(),
            redact: secrets,
            ..SupervisorOptions::default()
        });
        let store = state.as_ref().and_then(|state| {
            Store::open(state.join("catalog"))
                .inspect_err(|error| tracing::warn!(%error, "catalogs cannot be kept on disk"))
                .ok()
        });
        for problem in &loaded.problems {
            tracing::warn!(event = "config.problem", "config: {}", problem.one_line());
        }
        let policies = Policies::open(&loaded.config);
        for problem in policies.iter().flat_map(|policies| policies.problems()) {
            tracing::warn!("policy: {}", problem.one_line());
        }
        let hall = Hall::new(clients == Clients::Sole);
        let audit = loaded
            .config
            .audit
            .as_ref()
            .and_then(|rules| auditor(rules, loaded.config.secrets(), state.as_deref()));
        let collector = loaded.config.telemetry.otlp.clone().map(|collector| (collector, Tracer::new()));
        let tracer = collector.as_ref().map(|(_, (tracer, _))| Arc::clone(tracer));
        let (recipe, files) = (loaded.recipe, loaded.files);
        let parts = Parts {
            config: loaded.config,
            problems: loaded.problems,
            policies,
            store,
            supervisor,
            own_tools: vec![Bytes::from(status::tool_definition())],
            state,
            ways,
            audit,
            audience: Arc::clone(&hall) as Arc<dyn Audience>,
            interceptors,
            tracer,
        };
        let registry = Registry::open(parts);
        hall.attach(Arc::clone(&registry));
        let environment = recipe.environment().clone();
        let manager = Manager::new(Arc::clone(&registry), recipe, files);
        let scout = Arc::new(Scout::new(environment, Arc::new(Managed(Arc::clone(&manager)))));
        let exporter = collector.map(|(collector, (tracer, spans))| {
            Exporter::start(collector, tracer, spans, Arc::downgrade(&registry))
        });
        Self { closing: CancellationToken::new(), hall, registry, exporter, manager, scout, follows }
    }

    /// The live set of servers.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Who puts servers in and takes them out while it runs.
    pub fn manager(&self) -> &Arc<Manager> {
        &self.manager
    }

    /// Who looks for further servers.
    pub fn scout(&self) -> &Arc<Scout> {
        &self.scout
    }

    /// Follows what changes while it serves, if it is to.
    fn follow(&self) {
        if self.follows {
            self.manager.follow();
            let scout = Arc::clone(&self.scout);
            self.registry.attend(async move { scout.follow().await });
        }
    }

    /// Sets the servers going before any client has come.
    pub fn open_doors(&self) {
        self.hall.open_doors();
    }

    /// Ends everything in order, for programs that serve nobody themselves. Calls in flight are told.
    pub async fn end(&self) {
        self.registry.shutdown(ending(Duration::ZERO)).await;
        self.hall.end().await;
    }

    /// What the HTTP face shows its clients into.
    pub fn front(&self) -> Arc<Front> {
        Arc::new(Front(Arc::clone(&self.hall)))
    }

    /// Opens the doors for those who look after it, until it ends. `opened` is told where they lead in.
    pub fn tend(
        &self,
        config: AdminConfig,
        around: Surroundings,
        opened: impl FnOnce(&str) + Send + 'static,
    ) -> Tending {
        let desk = Desk::new(Arc::clone(&self.manager), self.front(), Arc::clone(&self.scout), around);
        Tending::begin(&desk, config, &self.closing, opened)
    }

    /// Serves one client on these pipes until it leaves or `signal` resolves, then ends everything in order.
    pub async fn serve<R, W>(self, input: R, mut output: W, signal: impl Future<Output = i32>) -> Ended
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        self.follow();
        let outbox = Arc::new(Outbox::new(OUTBOX_LIMIT));
        let session = Session::new(&self.hall, Outlet::Stream(Arc::clone(&outbox)), None);
        let writing = {
            let outbox = Arc::clone(&outbox);
            tokio::spawn(async move { outbox.write_to(&mut output).await })
        };
        let reading = {
            let session = Arc::clone(&session);
            tokio::spawn(async move { read_client(&session, input).await })
        };
        tokio::pin!(writing, reading);
        let ended = tokio::select! {
            _ = &mut reading => Ended::ClientLeft,
            // The client no longer reads: nothing that we could still say would reach it.
            _ = &mut writing => Ended::ClientLeft,
            signal = signal => Ended::Signal(signal),
        };
        let left = Instant::now();
        self.closing.cancel();
        reading.abort();
        if ended == Ended::ClientLeft && !writing.is_finished() {
            let drained = async {
                session.drained().await;
                outbox.flushed().await;
            };
            let _ = tokio::time::timeout(DRAIN, drained).await;
        }
        self.registry.shutdown(ending(left.elapsed())).await;
        session.end().await;
        self.hall.end().await;
        outbox.close();
        // Whatever the collector does, the client gets its last lines.
        let exported = self.exporter.map(|exporter| exporter.finish(last_words(left.elapsed())));
        if !writing.is_finished() {
            let patience = LAST_LINES_AT.saturating_sub(left.elapsed()).max(LEAST_LAST_LINES);
            let _ = tokio::time::timeout(patience, &mut writing).await;
            writing.abort();
        }
        if let Some(exported) = exported {
            exported.await;
        }
        ended
    }
}

/// The manager, as who looks for servers needs it.
struct Managed(Arc<Manager>);

impl Register for Managed {
    fn config(&self) -> Arc<Config> {
        Arc::clone(self.0.registry().servers().config())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.registry().changes()
    }

    fn register<'a>(&'a self, name: &'a str, entry: Value) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let who = Actor::new("auto_register", "discovery");
            self.0.register(&who, name, entry, Keep::Running).await.map(drop).map_err(|fault| fault.failure)
        })
    }

    fn searched(&self, last: Option<LastRun>) {
        let meters = self.0.registry().meters();
        match last {
            Some(LastRun { discovered, auto_registered, .. }) => {
                meters.record_discovery(discovered as u64, auto_registered as u64);
            }
            None => meters.record_failed_discovery(),
        }
    }
}

/// The grace of the children, when so much of ours has passed.
fn ending(passed: Duration) -> Ending {
    let term_after = TERM_AT.saturating_sub(passed).max(LEAST_GRACE);
    Ending { term_after, kill_after: KILL_AT.saturating_sub(passed).max(term_after + LEAST_GRACE) }
}

/// How long the collector gets for what is left, when so much of the time has passed.
fn last_words(passed: Duration) -> Duration {
    LAST_SPANS_AT.saturating_sub(passed).max(LEAST_LAST_LINES)
}

/// Serves clients over HTTP, and one on our own stdin and stdout if there is one, until a signal comes.
///
/// # Errors
/// Signals cannot be listened to.
pub async fn serve_http(
    switchboard: Switchboard,
    face: Face,
    stdio: Option<Stdio>,
    tending: Tending,
) -> io::Result<Ended> {
    let mut signal = Box::pin(signals()?);
    switchboard.follow();
    let Switchboard { closing, hall, registry, exporter, .. } = switchboard;
    let shutdown = CancellationToken::new();
    // Nobody probes a server that listens: its servers may as well be ready when the first client comes.
    hall.open_doors();
    let serving = tokio::spawn(face.run(shutdown.clone()));
    let beside = stdio.map(|stdio| {
        let hall = Arc::clone(&hall);
        tokio::spawn(async move { beside(hall, stdio).await })
    });
    let ended = Ended::Signal((&mut signal).await);
    let left = Instant::now();
    closing.cancel();
    shutdown.cancel();
    let _ = serving.await;
    if let Some(beside) = beside {
        beside.abort();
    }
    registry.shutdown(ending(left.elapsed())).await;
    hall.end().await;
    if let Some(exporter) = exporter {
        exporter.finish(last_words(left.elapsed())).await;
    }
    tending.ended().await;
    Ok(ended)
}

/// Serves a client on pipes that is one of many: its end is nobody else's.
async fn beside(hall: Arc<Hall>, stdio: Stdio) {
    let Stdio { input, mut output, flags } = stdio;
    let outbox = Arc::new(Outbox::new(OUTBOX_LIMIT));
    let session = Session::new(&hall, Outlet::Stream(Arc::clone(&outbox)), None);
    let writing = async { outbox.write_to(&mut output).await };
    let reading = async {
        let read = read_client(&session, input).await;
        let drained = async {
            session.drained().await;
            outbox.flushed().await;
        };
        let _ = tokio::time::timeout(DRAIN, drained).await;
        read
    };
    tokio::select! {
        _ = writing => {}
        _ = reading => {}
    }
    session.leave();
    session.end().await;
    drop(flags);
}

/// Serves the client on our own stdin and stdout.
///
/// # Errors
/// Signals cannot be listened to.
pub async fn serve_stdio(switchboard: Switchboard, stdio: Stdio, tending: Tending) -> io::Result<Ended> {
    let signal = signals()?;
    let Stdio { input, output, flags } = stdio;
    let ended = switchboard.serve(input, output, signal).await;
    tending.ended().await;
    drop(flags);
    Ok(ended)
}

/// Resolves with the first signal that asks us to end. A second one ends us at once; the supervisor's nets catch the
/// children.
#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = i32>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut sender = Some(sender);
        loop {
            let number = tokio::select! {
                Some(()) = terminate.recv() => 15,
                Some(()) = interrupt.recv() => 2,
                Some(()) = hangup.recv() => 1,
                else => return,
            };
            match sender.take() {
                Some(sender) => drop(sender.send(number)),
                None => std::process::exit(128 + number),
            }
        }
    });
    Ok(async move {
        match receiver.await {
            Ok(number) => number,
            Err(_) => std::future::pending().await,
        }
    })
}

#[cfg(not(unix))]
fn signals() -> io::Result<impl Future<Output = i32>> {
    Ok(async {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 2,
            Err(_) => std::future::pending().await,
        }
    })
}
