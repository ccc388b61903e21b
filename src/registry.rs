//! The live set of servers, what they show, and the catalog merged from it.
//!
//! In comes a resolved config; out go backends by name and the current [`Catalog`], an immutable snapshot that is
//! replaced when a server shows something else. It decides when servers are started and when a first list is complete;
//! it never looks at a call.

mod instance;
mod trust;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::auth::{self, AuthStore};
use crate::backend::{Backend, Extent, Lifecycle, Observer, State, Verdicts, Way};
use crate::bridge::result::CacheHints;
use crate::call::{Audience, Introduction};
use crate::catalog::{
    self, ArgumentWish, Catalog, Offering, Options, Overrides, Remark, Source, Store, Stored,
};
use crate::config::{ArgumentRule, Config, Entry, Launch, Problem, ServerConfig, Start, ToolRules};
use crate::interceptor::{HookTallies, Interceptor, Interceptors, Rules, Surroundings};
use crate::names::ServerName;
use crate::pipeline::{self, Auditor, Common, HealthChecker, Journeys, Lane, Means, Results};
use crate::policy::Policies;
use crate::protocol::{Level, ListKind};
use crate::supervisor::{Ending, Supervisor};
use crate::transport::{self, AuthProvider, Patience, Transport};
use crate::trust::{Keeper, Neighbours};

pub use instance::Instance;

/// How long the disk may take for what the audit log has to say at the end.
const LAST_ENTRIES: Duration = Duration::from_millis(200);
/// How often the file of policies is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How many servers may start at once.
const PARALLEL_STARTS: usize = 4;

/// The live set of servers.
pub struct Registry {
    entries: Vec<Entry>,
    problems: Vec<Problem>,
    max_name: usize,
    /// In config order; the catalog's server indexes are places in it.
    backends: Vec<Arc<Backend>>,
    /// The ways to them, in the same order.
    lanes: Vec<Lane>,
    journeys: Arc<Journeys>,
    /// What stands before all servers.
    common: Common,
    by_name: HashMap<ServerName, usize>,
    shown: Mutex<Shown>,
    own_tools: Vec<Bytes>,
    store: Option<Store>,
    /// Whether definitions are still what they were.
    trust: Keeper,
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

struct Shown {
    catalog: Arc<Catalog>,
    offerings: HashMap<ServerName, Known>,
}

/// What a server showed, and where we have it from.
#[derive(Clone)]
struct Known {
    offering: Arc<Offering>,
    /// Shown in this run, not only found on disk.
    live: bool,
    /// All lists were asked for, for this client or one of the same abilities. Otherwise it bridges the time until they are.
    is_settled: bool,
    /// Every list could be fetched.
    is_complete: bool,
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
    /// Who looks at calls, besides those that the config names.
    pub interceptors: Vec<(Rules, Arc<dyn Interceptor>)>,
}

/// Ways to servers, and credentials for them, that do not come from the config. By the names of servers.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// Transports, instead of what the entry of the config says.
    pub transports: HashMap<ServerName, Arc<dyn Transport>>,
    /// Credentials, instead of those that we would look for.
    pub auth: HashMap<ServerName, Arc<dyn AuthProvider>>,
    /// Who says whether they are well, instead of what `health_check` of the entry says; that it is there is needed all the same.
    pub health: HashMap<ServerName, Arc<dyn HealthChecker>>,
}

impl Registry {
    /// Prepares a backend for every server. Nothing is started, and nothing is known of any server yet.
    ///
    /// Must be called inside a tokio runtime.
    pub fn open(parts: Parts, audience: &Arc<dyn Audience>) -> Arc<Self> {
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
            interceptors,
        } = parts;
        let backends: Vec<Arc<Backend>> =
            config.ready().map(|server| Backend::new(server.clone(), Arc::clone(audience))).collect();
        let by_name =
            backends.iter().enumerate().map(|(index, backend)| (backend.name().clone(), index)).collect();
        let journeys = Arc::new(Journeys::default());
        let (changes, shutdown, tasks) =
            (watch::Sender::new(0), watch::Sender::new(None), TaskTracker::new());
        let surroundings = Surroundings {
            supervisor: supervisor.clone(),
            tasks: tasks.clone(),
            shutdown: shutdown.subscribe(),
            changes: changes.subscribe(),
            backends: &backends,
        };
        let trust = Keeper::new(config.ready(), state.as_deref());
        let interceptors = Interceptors::new(interceptors, config.interceptors, &surroundings);
        let common = Common { audit, policies, interceptors };
        let lanes =
            backends.iter().map(|backend| Lane::new(Arc::clone(backend), &common, &journeys)).collect();
        let offerings = HashMap::new();
        let catalog = Arc::new(merge(&backends, &offerings, &own_tools, config.expose.max_name, &trust));
        Arc::new(Self {
            max_name: config.expose.max_name,
            entries: config.servers,
            problems,
            backends,
            lanes,
            journeys,
            common,
            by_name,
            shown: Mutex::new(Shown { catalog, offerings }),
            own_tools,
            store,
            trust,
            changes,
            shutdown,
            tasks,
            supervisor,
            logins: state.as_deref().map_or_else(AuthStore::nowhere, AuthStore::new),
            verdicts: state.as_deref().map_or_else(Verdicts::default, Verdicts::open),
            ways,
            starts: Arc::new(Semaphore::new(PARALLEL_STARTS)),
            profile: OnceLock::new(),
        })
    }

    /// Reads what the servers showed to such a client before, sets their tasks going, and starts those that are eager or
    /// have not shown anything to such a client yet.
    ///
    /// Called once the client has introduced itself: a probe must start nothing, and what servers show may depend on
    /// what the client can do.
    pub fn begin(self: &Arc<Self>, introduction: &Introduction) {
        let profile = introduction.profile();
        if self.profile.set(profile).is_err() {
            return;
        }
        let known: HashMap<ServerName, Known> =
            self.backends.iter().filter_map(|backend| self.stored(backend.config())).collect();
        for (server, known) in &known {
            self.examine(server, &known.offering, true);
        }
        let catalog = Arc::new(self.merge(&known));
        *self.shown() = Shown { catalog, offerings: known.clone() };
        // The first call should not have to wait for them.
        for server in self.common.interceptors.iter().flat_map(|interceptors| interceptors.servers()) {
            server.start();
        }
        self.follow_policies();
        if !self.trust.is_idle() {
            self.tasks.spawn(Arc::clone(self).watch_pins());
        }
        for (backend, lane) in self.backends.iter().zip(&self.lanes) {
            let known = known.get(backend.name());
            // A server that showed nothing is asked every time: nobody could ever call it awake.
            let is_known = known.is_some_and(|known| known.is_settled && !known.offering.is_empty());
            if !is_known {
                backend.start();
            }
            for (index, instance) in lane.backends().enumerate() {
                let lifecycle = Lifecycle::new(
                    Arc::clone(instance),
                    self.way(instance.config()),
                    self.verdicts.clone(),
                    Arc::clone(&self.starts),
                    Arc::new(Watcher { registry: Arc::downgrade(self), is_first: index == 0 }),
                    self.shutdown.subscribe(),
                    known.map(|known| (*known.offering).clone()),
                );
                self.tasks.spawn(lifecycle.run());
                if instance.config().start == Start::Eager {
                    instance.start();
                }
            }
            for check in lane.checks(|instance| self.health_checker(instance)) {
                let mut shutdown = self.shutdown.subscribe();
                self.tasks.spawn(async move {
                    tokio::select! {
                        () = check => {}
                        _ = shutdown.wait_for(Option::is_some) => {}
                    }
                });
            }
        }
    }

    /// Looks after the file of policies until the end. What clients are shown may change with it.
    fn follow_policies(self: &Arc<Self>) {
        let Some(policies) = self.common.policies.clone() else { return };
        let (registry, mut shutdown) = (Arc::downgrade(self), self.shutdown.subscribe());
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    _ = shutdown.wait_for(Option::is_some) => return,
                }
                let Some(registry) = registry.upgrade() else { return };
                if policies.refresh() {
                    registry.changed();
                }
            }
        });
    }

    /// How a server is reached.
    fn way(&self, config: &ServerConfig) -> Way {
        let supervisor = self.supervisor.clone();
        if let Some(transport) = self.ways.transports.get(&config.name) {
            return Way::over(Arc::clone(transport), supervisor);
        }
        let Launch::Remote(launch) = &config.launch else { return Way::child(supervisor) };
        let auth = self.credentials(config);
        let patience = Patience::default().for_calls_of(config.timeouts.call, config.timeouts.total);
        match transport::remote(launch, auth, patience) {
            Ok(transport) => Way::over(transport, supervisor),
            Err(failure) => Way::none(failure, supervisor),
        }
    }

    /// What shows an address who we are.
    fn credentials(&self, config: &ServerConfig) -> Arc<dyn AuthProvider> {
        match self.ways.auth.get(&config.name) {
            Some(auth) => Arc::clone(auth),
            None => auth::provider_for(config, &self.logins),
        }
    }

    /// Who says whether an instance is well.
    fn health_checker(&self, config: &ServerConfig) -> Arc<dyn HealthChecker> {
        match self.ways.health.get(&config.name) {
            Some(checker) => Arc::clone(checker),
            None => pipeline::checker(
                config,
                &Means { supervisor: &self.supervisor, auth: &|| self.credentials(config) },
            ),
        }
    }

    fn stored(&self, config: &ServerConfig) -> Option<(ServerName, Known)> {
        let stored = self.store.as_ref()?.load(&config.name, &config.fingerprint(), self.profile.get()?)?;
        let Stored { offering, same_profile } = stored;
        let known =
            Known { offering: Arc::new(offering), live: false, is_settled: same_profile, is_complete: true };
        Some((config.name.clone(), known))
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current catalog.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.shown().catalog)
    }

    /// What a server showed last, in this run or before.
    pub fn offering(&self, server: &ServerName) -> Option<Arc<Offering>> {
        self.shown().offerings.get(server).map(|known| Arc::clone(&known.offering))
    }

    /// Whether any server speaks a modern revision, as far as it has shown itself.
    pub fn has_modern(&self) -> bool {
        self.shown().offerings.values().any(|known| known.offering.revision().is_modern())
    }

    /// Whether a server has shown its lists in this run.
    pub fn is_live(&self, server: &ServerName) -> bool {
        self.shown().offerings.get(server).is_some_and(|known| known.live)
    }

    /// Whether what we know of a server was shown to this client or one of the same abilities, now or earlier.
    pub fn is_settled(&self, server: &ServerName) -> bool {
        self.shown().offerings.get(server).is_some_and(|known| known.is_settled)
    }

    /// Whether a server that has shown its lists in this run has shown all of them: false if one could not be fetched.
    pub fn has_shown_all(&self, server: &ServerName) -> bool {
        self.shown().offerings.get(server).is_some_and(|known| known.is_complete)
    }

    /// What is wrong with the audit log, in a sentence.
    pub fn audit_trouble(&self) -> Option<String> {
        let (why, lost) = self.common.audit.as_ref()?.journal().trouble()?;
        Some(format!("The audit log cannot be written ({why}): {lost} calls are not in it"))
    }

    /// Every entry of the config, in its order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is wrong with the config.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Who may call what; `None` if everybody may call everything.
    pub fn policies(&self) -> Option<&Arc<Policies>> {
        self.common.policies.as_ref()
    }

    /// Every server that can be started, in config order.
    pub fn backends(&self) -> &[Arc<Backend>] {
        &self.backends
    }

    /// The server at this place in the catalog.
    pub fn backend_at(&self, index: usize) -> Option<&Arc<Backend>> {
        self.backends.get(index)
    }

    /// The server of this name.
    pub fn backend(&self, name: &ServerName) -> Option<&Arc<Backend>> {
        self.backends.get(*self.by_name.get(name)?)
    }

    /// The way to the server at this place in the catalog: what calls take.
    pub fn lane_at(&self, index: usize) -> Option<&Lane> {
        self.lanes.get(index)
    }

    /// The way to the server of this name.
    pub fn lane(&self, name: &ServerName) -> Option<&Lane> {
        self.lanes.get(*self.by_name.get(name)?)
    }

    /// What was too large for clients to get at once; `None` if no server limits its results.
    pub fn results(&self) -> Option<&Results> {
        let limits = |lane: &Lane| lane.backend().config().limits.result.is_some();
        self.lanes.iter().any(limits).then(|| &**self.journeys.results())
    }

    /// Where the server's stderr is kept.
    pub fn log_path(&self, server: &ServerName) -> Option<std::path::PathBuf> {
        self.supervisor.log_path(server)
    }

    /// What interceptors have done since we run, in their order.
    pub fn interceptors(&self) -> Vec<HookTallies> {
        self.common.interceptors.as_ref().map(|interceptors| interceptors.tallies()).unwrap_or_default()
    }

    /// Who looks at calls, lists and questions; `None` if nobody does.
    pub(crate) fn hooks(&self) -> Option<&Arc<Interceptors>> {
        self.common.interceptors.as_ref()
    }

    /// Resolves, again and again, when the catalog or a state has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whether all instances of a server have failed to start, or have ended without a list.
    pub fn has_given_up(&self, server: &ServerName) -> bool {
        self.lane(server).is_some_and(|lane| lane.backends().all(|instance| instance.has_given_up()))
    }

    /// Whether every server has shown what it has, now or in an earlier run, or cannot.
    pub fn is_complete(&self) -> bool {
        let shown = self.shown();
        self.lanes.iter().all(|lane| {
            shown.offerings.get(lane.backend().name()).is_some_and(|known| known.is_settled)
                || lane.backends().all(|instance| instance.has_given_up())
        })
    }

    /// For how long the merged list may be kept: as long as every part of it may, if all are there.
    pub fn cache_hints(&self, kind: ListKind) -> CacheHints {
        if !self.is_complete() {
            return CacheHints::NONE;
        }
        let parts = self.backends.iter().map(|backend| backend.cache_hints(kind));
        parts.reduce(CacheHints::and).unwrap_or(CacheHints::NONE)
    }

    /// Waits until [`is_complete`](Self::is_complete), but not beyond `deadline`.
    pub async fn complete_by(&self, deadline: Instant) {
        self.wait_until(deadline, Self::is_complete).await;
    }

    /// Whether no server has told of a change that the catalog does not hold yet.
    pub fn is_current(&self) -> bool {
        !self.backends.iter().any(|backend| backend.is_stale())
    }

    /// Waits until [`is_current`](Self::is_current), but not beyond `deadline`.
    pub async fn current_by(&self, deadline: Instant) {
        self.wait_until(deadline, Self::is_current).await;
    }

    async fn wait_until(&self, deadline: Instant, holds: impl Fn(&Self) -> bool) {
        let mut changes = self.changes();
        let change = changes.wait_for(|_| holds(self));
        let _ = tokio::time::timeout_at(deadline, change).await;
    }

    /// The log level of every server from now on.
    pub fn set_level(&self, level: Level) {
        for backend in self.lanes.iter().flat_map(Lane::backends) {
            backend.set_level(level);
        }
    }

    /// Sends a notification to every running server.
    pub fn notify_all(&self, method: &str, params: Option<&[u8]>) {
        for backend in self.lanes.iter().flat_map(Lane::backends) {
            backend.notify(method, params);
        }
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
        if let Some(audit) = &self.common.audit {
            audit.journal().finish(LAST_ENTRIES).await;
        }
    }

    fn show(self: &Arc<Self>, server: &ServerName, offering: Offering, extent: Extent) {
        let offering = Arc::new(offering);
        self.examine(server, &offering, extent == Extent::Whole);
        let (is_settled, is_complete) = (extent != Extent::Tools, extent == Extent::Whole);
        let known = Known { offering: Arc::clone(&offering), live: true, is_settled, is_complete };
        let mut shown = self.shown();
        let before = shown.offerings.insert(server.clone(), known);
        let same = before.as_ref().is_some_and(|before| *before.offering == *offering);
        if !same {
            shown.catalog = Arc::new(self.merge(&shown.offerings));
        }
        drop(shown);
        // What is kept is shown at the next start without asking, so it must not be less than the server has.
        let was_stored = same && before.is_some_and(|before| before.is_settled && before.is_complete);
        if !was_stored && is_complete {
            self.keep(server, offering);
        }
        self.changed();
    }

    fn keep(&self, server: &ServerName, offering: Arc<Offering>) {
        let Some(store) = self.store.clone() else { return };
        let Some(fingerprint) = self.backend(server).map(|backend| backend.config().fingerprint()) else {
            return;
        };
        let Some(profile) = self.profile.get().cloned() else { return };
        let server = server.clone();
        self.tasks.spawn_blocking(move || {
            if let Err(error) = store.save(&server, &fingerprint, &profile, &offering) {
                tracing::warn!(%server, %error, "the catalog could not be stored");
            }
        });
    }

    /// As long as a server has shown nothing in this run and its first instance has failed, the next one is started, to show
    /// its lists instead.
    fn stand_in(&self, server: &ServerName) {
        let Some(lane) = self.lane(server).filter(|_| !self.is_live(server)) else { return };
        let next = lane.backends().enumerate().find(|(_, instance)| !instance.has_given_up());
        if let Some((1.., next)) = next
            && matches!(next.state(), State::Idle)
        {
            next.start();
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn merge(&self, offerings: &HashMap<ServerName, Known>) -> Catalog {
        merge(&self.backends, offerings, &self.own_tools, self.max_name, &self.trust)
    }
}

fn merge(
    backends: &[Arc<Backend>],
    offerings: &HashMap<ServerName, Known>,
    own_tools: &[Bytes],
    max_name: usize,
    trust: &Keeper,
) -> Catalog {
    let nothing = Offering::default();
    let neighbours =
        if trust.wants_neighbours() { trust::neighbours(backends, offerings) } else { Neighbours::default() };
    let rules: Vec<OwnersRules<'_>> = backends
        .iter()
        .map(|backend| OwnersRules::new(&backend.config().tools, trust.remarks(backend.name(), &neighbours)))
        .collect();
    let sources: Vec<Source<'_>> = backends
        .iter()
        .zip(&rules)
        .map(|(backend, rules)| Source {
            name: backend.name(),
            prefix: &backend.config().prefix,
            rules,
            offering: offerings.get(backend.name()).map_or(&nothing, |known| &known.offering),
        })
        .collect();
    Catalog::build(&sources, own_tools, Options { max_name, ..Options::default() })
}

/// The config's wishes, in the form in which the catalog asks for them.
struct OwnersRules<'a> {
    rules: &'a ToolRules,
    annotations: HashMap<&'a str, Vec<u8>>,
    arguments: HashMap<&'a str, Vec<(String, ArgumentWish)>>,
    remarks: HashMap<(ListKind, usize), Vec<Remark>>,
}

impl<'a> OwnersRules<'a> {
    fn new(rules: &'a ToolRules, remarks: HashMap<(ListKind, usize), Vec<Remark>>) -> Self {
        let annotations = rules
            .overrides
            .iter()
            .filter(|(_, words)| !words.annotations.is_empty())
            .filter_map(|(tool, words)| Some((tool.as_str(), serde_json::to_vec(&words.annotations).ok()?)))
            .collect();
        let arguments = rules
            .overrides
            .iter()
            .map(|(tool, words)| {
                let wishes = words.arguments.iter().map(|(name, rule)| (name.clone(), wish(rule)));
                (tool.as_str(), wishes.collect())
            })
            .collect();
        Self { rules, annotations, arguments, remarks }
    }
}

/// What clients see of an argument with this rule.
fn wish(rule: &ArgumentRule) -> ArgumentWish {
    match rule {
        ArgumentRule::Fixed(_) => ArgumentWish::Hidden,
        ArgumentRule::Open { rename, default } => ArgumentWish::Shown {
            name: rename.clone(),
            default: default.as_ref().and_then(|value| serde_json::to_vec(value).ok()).map(Bytes::from),
        },
    }
}

impl catalog::Rules for OwnersRules<'_> {
    fn allows(&self, original: &str) -> bool {
        self.rules.allows(original)
    }

    fn rename(&self, original: &str) -> Option<&str> {
        self.rules.renamed(original)
    }

    fn overrides(&self, original: &str) -> Option<Overrides<'_>> {
        let words = self.rules.override_of(original)?;
        Some(Overrides {
            title: words.title.as_deref(),
            description: words.description.as_deref(),
            annotations: self.annotations.get(original).map(Vec::as_slice),
            arguments: self.arguments.get(original).map(Vec::as_slice).unwrap_or_default(),
        })
    }

    fn remarks(&self, kind: ListKind, index: usize) -> Vec<Remark> {
        self.remarks.get(&(kind, index)).cloned().unwrap_or_default()
    }
}

/// Brings news of the backends to the registry, without keeping it alive.
struct Watcher {
    registry: Weak<Registry>,
    /// Whether it watches the first instance of its server.
    is_first: bool,
}

impl Observer for Watcher {
    fn offering(&self, server: &ServerName, offering: Offering, extent: Extent) {
        let Some(registry) = self.registry.upgrade() else { return };
        // Others stand in for the first instance only as long as it has shown nothing and while it is away.
        let is_away = || {
            let first = registry.backend(server).map(|first| first.state());
            !registry.is_live(server) || !matches!(first, Some(State::Ready { .. }))
        };
        if self.is_first || is_away() {
            registry.show(server, offering, extent);
        }
    }

    fn state_changed(&self, server: &ServerName) {
        if let Some(registry) = self.registry.upgrade() {
            registry.stand_in(server);
            registry.changed();
        }
    }
}
