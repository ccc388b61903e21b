//! The live set of servers, what they show, and the catalog merged from it.
//!
//! In comes a resolved config, and another one whenever it changes; out goes the current [`Snapshot`]: backends by name behind
//! their lanes and the catalog, immutable, replaced as a whole. It decides when servers are started and ended and when a
//! first list is complete; it never looks at a call.

mod apply;
mod begin;
mod changes;
mod common;
mod instance;
mod leash;
mod merge;
mod servers;
mod shown;
mod trust;
mod waits;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::auth::AuthStore;
use crate::backend::{Backend, Verdicts};
use crate::call::Audience;
use crate::catalog::{Catalog, Offering, Store};
use crate::config::{Config, Problem};
use crate::interceptor::{HookTallies, Interceptor, Rules};
use crate::meter::Meters;
use crate::names::ServerName;
use crate::pipeline::{Auditor, Common, Journeys, Lane, Results};
use crate::policy::Policies;
use crate::protocol::Level;
use crate::supervisor::{Ending, Supervisor};
use crate::trace::Tracer;
use crate::transport::{AuthProvider, Transport};
use crate::trust::Keeper;

pub use changes::Changes;
pub use instance::Instance;
pub use servers::{Servers, Snapshot};

use servers::Slot;
use shown::{Known, Shown};

/// How long the disk may take for what the audit log has to say at the end.
const LAST_ENTRIES: Duration = Duration::from_millis(200);
/// How many servers may start at once.
const PARALLEL_STARTS: usize = 4;

/// The live set of servers.
pub struct Registry {
    shown: Mutex<Shown>,
    has_policies: AtomicBool,
    /// Held while another config is put in force.
    turn: Mutex<()>,
    /// Ways to servers that are not in the set any more and still have calls in flight.
    draining: Mutex<Vec<Lane>>,
    later: Mutex<Later>,
    journeys: Arc<Journeys>,
    meters: Arc<Meters>,
    tracer: Option<Arc<Tracer>>,
    audience: Arc<dyn Audience>,
    own_interceptors: Vec<(Rules, Arc<dyn Interceptor>)>,
    own_tools: Vec<Bytes>,
    store: Option<Store>,
    /// Counts changes of the catalog or of a server's state.
    changes: watch::Sender<u64>,
    shutdown: watch::Sender<Option<Ending>>,
    tasks: TaskTracker,
    supervisor: Supervisor,
    logins: AuthStore,
    verdicts: Verdicts,
    ways: Ways,
    starts: Arc<Semaphore>,
    /// What the client can do, from the moment it has said so.
    profile: OnceLock<String>,
}

/// What is kept for servers that come later, and of configs that were not put in force.
#[derive(Default)]
struct Later {
    /// The log level that servers have been told.
    level: Option<Level>,
    /// Until when announcements wait for servers that are new.
    settles_by: Option<Instant>,
    /// What is wrong with a config that was refused.
    refused: Vec<Problem>,
}

/// What the registry stands on.
pub struct Parts {
    /// What is meant to run.
    pub config: Config,
    /// What is wrong with the config.
    pub problems: Vec<Problem>,
    /// Who may call what; `None` if everybody may call everything.
    pub policies: Option<Arc<Policies>>,
    /// Where catalogs are kept; `None` keeps nothing.
    pub store: Option<Store>,
    /// Who starts processes.
    pub supervisor: Supervisor,
    /// The definitions of our own tools.
    pub own_tools: Vec<Bytes>,
    /// The folder of our state: logins, and what servers turned out to speak. `None` keeps nothing.
    pub state: Option<PathBuf>,
    /// What somebody else provides to reach servers by.
    pub ways: Ways,
    /// Who is told of every call.
    pub audit: Option<Arc<Auditor>>,
    /// Who is told what servers say outside of calls.
    pub audience: Arc<dyn Audience>,
    /// Who looks at calls, besides those that the config names.
    pub interceptors: Vec<(Rules, Arc<dyn Interceptor>)>,
    /// Who makes spans of calls.
    pub tracer: Option<Arc<Tracer>>,
}

/// What became of the entries of the audit log since we run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditTallies {
    /// Those that are in it.
    pub kept: u64,
    /// Those that could not be written.
    pub lost: u64,
    /// Whether something is wrong.
    pub is_broken: bool,
}

/// Ways to servers, and credentials for them, that do not come from the config. By the names of servers.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// Transports, instead of what the entry of the config says.
    pub transports: HashMap<ServerName, Arc<dyn Transport>>,
    /// Credentials, instead of those that we would look for.
    pub auth: HashMap<ServerName, Arc<dyn AuthProvider>>,
}

impl Registry {
    /// Prepares a backend for every server. Nothing is started, and nothing is known of any server yet.
    ///
    /// Must be called inside a tokio runtime.
    pub fn open(parts: Parts) -> Arc<Self> {
        let Parts {
            config,
            problems,
            policies,
            store,
            supervisor,
            own_tools,
            state,
            ways,
            audit,
            audience,
            interceptors,
            tracer,
        } = parts;
        let meters = Arc::new(Meters::new(config.telemetry.metrics));
        let state = state.as_deref();
        // Nothing is in it: the config is put in force like every later one.
        let trust = Arc::new(Keeper::new(std::iter::empty(), state));
        let config = Arc::new(config);
        let nothing =
            Servers::new(Arc::clone(&config), Vec::new(), Vec::new(), Default::default(), Arc::clone(&trust));
        let registry = Arc::new(Self {
            shown: Mutex::new(Shown::new(Arc::new(nothing), HashMap::new(), &own_tools)),
            has_policies: AtomicBool::new(policies.is_some()),
            turn: Mutex::default(),
            draining: Mutex::default(),
            later: Mutex::default(),
            journeys: Arc::default(),
            meters: Arc::clone(&meters),
            tracer: tracer.clone(),
            audience,
            own_interceptors: interceptors,
            own_tools,
            store,
            changes: watch::Sender::new(0),
            shutdown: watch::Sender::new(None),
            tasks: TaskTracker::new(),
            supervisor,
            logins: state.map_or_else(AuthStore::nowhere, AuthStore::new),
            verdicts: state.map_or_else(Verdicts::default, Verdicts::open),
            ways,
            starts: Arc::new(Semaphore::new(PARALLEL_STARTS)),
            profile: OnceLock::new(),
        });
        let backends: Vec<Arc<Backend>> = config
            .ready()
            .map(|server| Backend::new(server.clone(), Arc::clone(&registry.audience)))
            .collect();
        let (interceptors, hooks) = registry.make_interceptors(&config, &backends);
        let common = Common { audit, policies, interceptors, meters, tracer };
        let slot = |backend| Slot::new(Lane::new(backend, &common, &registry.journeys));
        let slots = backends.into_iter().map(slot).collect();
        let trust = Arc::new(trust.next(config.ready()));
        let servers = Servers::new(config, problems, slots, (common, hooks), trust);
        *registry.shown() = Shown::new(Arc::new(servers), HashMap::new(), &registry.own_tools);
        registry
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        lock(&self.shown)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.turn)
    }

    fn draining(&self) -> MutexGuard<'_, Vec<Lane>> {
        lock(&self.draining)
    }

    // === what there is ===

    /// What is in force now. Whoever serves a request takes it once, so that all that it sees goes together.
    pub fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shown().now)
    }

    /// The current catalog.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.shown().now.catalog)
    }

    /// The current set of servers.
    pub fn servers(&self) -> Arc<Servers> {
        Arc::clone(&self.shown().now.servers)
    }

    /// The way to the server of this name.
    pub fn lane(&self, name: &ServerName) -> Option<Lane> {
        self.shown().now.servers.lane(name).cloned()
    }

    /// The server of this name; of several instances the first.
    pub fn backend(&self, name: &ServerName) -> Option<Arc<Backend>> {
        self.shown().now.servers.lane(name).map(|lane| Arc::clone(lane.backend()))
    }

    /// Every server that can be started, in config order; of several instances the first.
    pub fn backends(&self) -> Vec<Arc<Backend>> {
        self.servers().lanes().map(|lane| Arc::clone(lane.backend())).collect()
    }

    /// The ways to servers of this name that take no new calls, and have some in flight.
    pub fn left(&self, name: &ServerName) -> Vec<Lane> {
        self.draining().iter().filter(|lane| lane.config().name == *name).cloned().collect()
    }

    /// What a server showed last, in this run or before.
    pub fn offering(&self, server: &ServerName) -> Option<Arc<Offering>> {
        self.shown().offerings.get(server).map(|known| Arc::clone(&known.offering))
    }

    /// Who counts calls.
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// Who makes spans of calls; `None` if nobody does.
    pub fn tracer(&self) -> Option<&Arc<Tracer>> {
        self.tracer.as_ref()
    }

    /// How many calls are on their way through stages.
    pub fn journeys(&self) -> usize {
        self.journeys.count()
    }

    /// How many calls are in the audit log of this run, how many it lacks, and whether it can be written now; `None` if there is
    /// no audit log.
    pub fn audit_tallies(&self) -> Option<AuditTallies> {
        let audit = self.audit()?;
        let (kept, trouble) = (audit.journal().kept(), audit.journal().trouble());
        let lost = trouble.as_ref().map_or(0, |(_, lost)| *lost);
        Some(AuditTallies { kept, lost, is_broken: trouble.is_some() })
    }

    fn known(&self, server: &ServerName) -> Option<Known> {
        self.shown().offerings.get(server).cloned()
    }

    /// Who may call what; `None` if everybody may call everything.
    pub fn policies(&self) -> Option<Arc<Policies>> {
        self.shown().now.servers.policies().cloned()
    }

    /// Whether there are policies. Costs less than to ask for them.
    pub fn has_policies(&self) -> bool {
        self.has_policies.load(Ordering::Relaxed)
    }

    /// What was too large for clients to get at once; `None` if no server limits its results.
    pub fn results(&self) -> Option<&Results> {
        self.shown().now.servers.keeps_results().then(|| &**self.journeys.results())
    }

    /// What interceptors have done since they were set up, in their order.
    pub fn interceptors(&self) -> Vec<HookTallies> {
        self.servers().interceptors()
    }

    /// Where the server's stderr is kept.
    pub fn log_path(&self, server: &ServerName) -> Option<PathBuf> {
        self.supervisor.log_path(server)
    }

    /// The audit log, if there is one.
    pub fn audit(&self) -> Option<Arc<Auditor>> {
        self.shown().now.servers.common.audit.clone()
    }

    /// What is wrong with the audit log, in a sentence.
    pub fn audit_trouble(&self) -> Option<String> {
        let (why, lost) = self.audit()?.journal().trouble()?;
        Some(format!("The audit log cannot be written ({why}): {lost} calls are not in it"))
    }

    /// What is wrong with the config file as it is now, if it is not the one in force.
    pub fn refused(&self) -> Vec<Problem> {
        lock(&self.later).refused.clone()
    }

    /// Notes what is wrong with a config that was not put in force.
    pub fn set_refused(&self, problems: Vec<Problem>) {
        lock(&self.later).refused = problems;
    }

    fn level(&self) -> Option<Level> {
        lock(&self.later).level
    }

    fn settles_by(&self) -> Option<Instant> {
        lock(&self.later).settles_by
    }

    fn set_settles_by(&self, deadline: Instant) {
        lock(&self.later).settles_by = Some(deadline);
    }

    // === what is done to all ===

    /// The log level of every server from now on.
    pub fn set_level(&self, level: Level) {
        lock(&self.later).level = Some(level);
        self.servers().instances().for_each(|backend| backend.set_level(level));
    }

    /// Sends a notification to every running server.
    pub fn notify_all(&self, method: &str, params: Option<&[u8]>) {
        self.servers().instances().for_each(|backend| backend.notify(method, params));
    }

    /// Ends every server within the given grace, all at once, and waits for that.
    pub async fn shutdown(&self, ending: Ending) {
        self.journeys.end();
        self.shutdown.send_replace(Some(ending));
        self.tasks.close();
        let all = async {
            self.tasks.wait().await;
            self.journeys.ended().await;
        };
        if timeout(ending.kill_after + Duration::from_millis(250), all).await.is_err() {
            tracing::warn!("servers are late to end; the reaper takes care of them");
        }
        if let Some(audit) = self.audit() {
            audit.journal().finish(LAST_ENTRIES).await;
        }
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("now", &self.now()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
