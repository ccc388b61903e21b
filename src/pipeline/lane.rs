//! One server as frontends call it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::audit::{Audit, Auditor};
use super::cache::{Cache, CacheTallies};
use super::concurrency::Concurrency;
use super::group::Group;
use super::health::{self, HealthChecker};
use super::hooks::Hooks;
use super::journey::Journeys;
use super::limit::Limit;
use super::log::Log;
use super::policy::{self, Guard};
use super::rate_limit::RateLimit;
use super::redact::Redact;
use super::retry::Retry;
use super::tasks::{Origins, Recall};
use super::transform::Transform;
use super::validate::Validate;
use super::{Request, Stage};
use crate::backend::Backend;
use crate::call::{Call, CallerId, Ticket};
use crate::config::{self, Effects, ServerConfig, Stages};
use crate::effect::{Claims, Effect};
use crate::failure::Failure;
use crate::interceptor::{Event, Interceptors, Phase, Recheck};
use crate::meter::{Meter, Meters};
use crate::names::{ExposedName, ServerName};
use crate::policy::{Action, Policies, Thing};
use crate::protocol::Method;
use crate::trace::{Trace, Tracer};

/// The keys of the config that put something in the way of calls, in the order in which calls come there.
pub const ORDER: [&str; 10] = [
    "policy",
    "rate_limit",
    "validate",
    "interceptors",
    "cache",
    "retry",
    "concurrency",
    "balance",
    "breaker",
    "health_check",
];

/// A server and the stages in front of it. Cheap to clone.
#[derive(Clone)]
pub struct Lane(Arc<Inner>);

struct Inner {
    config: Arc<ServerConfig>,
    backend: Arc<Backend>,
    track: Option<Track>,
    journeys: Arc<Journeys>,
    /// Who counts its calls; `None` if nobody does.
    meter: Option<Arc<Meter>>,
    /// Who makes spans of them; `None` if nobody does.
    tracer: Option<Arc<Tracer>>,
}

/// What clients know of what they call.
#[derive(Clone, Debug)]
pub struct Item {
    /// The name that they use.
    pub exposed: ExposedName,
    /// The definition that they see.
    pub definition: Bytes,
    /// What the definition claims of its effect.
    pub claims: Claims,
}

/// Why not all calls through a lane pass, although the server's own state may be well.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// One word for tables.
    pub word: &'static str,
    /// Whether every call is refused now; otherwise one is let through.
    pub refuses: bool,
    /// What is wrong, and until when.
    pub failure: Failure,
    /// Since when.
    pub since: Instant,
}

/// What stands before all servers.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// Who is told of every call.
    pub audit: Option<Arc<Auditor>>,
    /// Who may call what.
    pub policies: Option<Arc<Policies>>,
    /// Who looks at calls and may change them.
    pub interceptors: Option<Arc<Interceptors>>,
    /// Who counts calls.
    pub meters: Arc<Meters>,
    /// Who makes spans of calls.
    pub tracer: Option<Arc<Tracer>>,
}

/// The stages that all instances of a server share.
#[derive(Clone, Default)]
struct Shared {
    audit: Option<Arc<Audit>>,
    log: Vec<Arc<Log>>,
    redact: Vec<Arc<Redact>>,
    policy: Option<Arc<Guard>>,
    rate_limit: Option<Arc<RateLimit>>,
    /// Which calls the server's tasks have come of, where a stage looks at results.
    origins: Option<Arc<Origins>>,
    limit: Option<Arc<Limit>>,
    validate: Option<Arc<Validate>>,
    hooks: Option<Arc<Hooks>>,
    retry: Option<Arc<Retry>>,
    concurrency: Option<Arc<Concurrency>>,
    transform: Option<Arc<Transform>>,
}

/// The stages of one server.
struct Track {
    /// The outermost first.
    stages: Arc<[Arc<dyn Stage>]>,
    shared: Shared,
    cache: Option<Arc<Cache>>,
    /// The server's instances, behind all of them.
    group: Arc<Group>,
    /// Whether nothing stands between a call and the only instance.
    is_bare: bool,
    effects: Effects,
    trusts: bool,
    total: Duration,
}

impl Lane {
    /// A lane to a server, with the stages and the instances that its config asks for, behind what stands before all servers.
    /// `backend` is the first instance.
    pub fn new(backend: Arc<Backend>, common: &Common, journeys: &Arc<Journeys>) -> Self {
        let others = backend.config().others.iter().map(|launch| backend.beside(launch.clone()));
        let config = Arc::new(backend.config().clone());
        let group = group_of(&config, std::iter::once(Arc::clone(&backend)).chain(others));
        Self::around(config, backend, group, common, journeys, None)
    }

    /// A lane to the same instances with the stages that this config asks for, behind what stands before all servers now.
    /// What the stages have counted and kept, and what is known of the instances, goes on where the rules for it are the same.
    pub fn again(&self, config: Arc<ServerConfig>, common: &Common) -> Self {
        let Inner { config: old, backend, track, journeys, .. } = &*self.0;
        let group = match track {
            Some(track) => track.group.again(&old.stages, &config.stages),
            None => group_of(&config, [Arc::clone(backend)]),
        };
        let before = track.as_ref().map(|track| (&**old, track));
        Self::around(config, Arc::clone(backend), group, common, journeys, before)
    }

    fn around(
        config: Arc<ServerConfig>,
        backend: Arc<Backend>,
        group: Arc<Group>,
        common: &Common,
        journeys: &Arc<Journeys>,
        before: Option<(&ServerConfig, &Track)>,
    ) -> Self {
        let cache = match before.filter(|(old, _)| answers_alike(old, &config)) {
            Some((_, track)) => track.cache.clone(),
            None => config.stages.cache.clone().zip(backend.changes()).map(|(rules, changes)| {
                Arc::new(Cache::new(backend.name().clone(), rules, Arc::clone(changes)))
            }),
        };
        let shared = Shared::new(&config, common, journeys, before.map(|(old, track)| (old, &track.shared)));
        let track = Track::new(&config, group, shared, cache);
        let (meter, tracer) = (common.meters.of(backend.name()), common.tracer.clone());
        Self(Arc::new(Inner { config, backend, track, journeys: Arc::clone(journeys), meter, tracer }))
    }

    /// The same for another instance of the server: it shares the stages, but has a health and answers of its own.
    pub fn beside(&self, backend: Arc<Backend>) -> Self {
        self.aside(backend, None)
    }

    /// The lane of such an instance, beside this one of the same server: it shares the stages of this one, and what is known of
    /// the instance goes on where the rules for it are the same.
    pub fn beside_again(&self, instance: &Self) -> Self {
        self.aside(Arc::clone(&instance.0.backend), Some(&instance.0))
    }

    fn aside(&self, backend: Arc<Backend>, before: Option<&Inner>) -> Self {
        let Inner { config, track, journeys, .. } = &*self.0;
        let old = before.and_then(|inner| Some((&inner.config, inner.track.as_ref()?)));
        let track = track.as_ref().and_then(|track| {
            let own = old.and_then(|(_, old)| old.cache.as_ref());
            let cache = track.cache.as_ref().zip(backend.changes()).map(|(cache, changes)| {
                let own = own.filter(|own| own.is_beside(cache));
                own.map_or_else(|| Arc::new(cache.beside(Arc::clone(changes))), Arc::clone)
            });
            let group = match old {
                Some((old, track)) => track.group.again(&old.stages, &config.stages),
                None => group_of(config, [Arc::clone(&backend)]),
            };
            Track::new(config, group, track.shared.clone(), cache)
        });
        Self(Arc::new(Inner {
            config: Arc::clone(config),
            backend,
            track,
            journeys: Arc::clone(journeys),
            meter: self.0.meter.clone(),
            tracer: self.0.tracer.clone(),
        }))
    }

    /// Whether both are the very same.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The server's config. What concerns its process is that of the [backend](Self::backend) too.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.0.config
    }

    /// The server; of several instances the first, whose lists are shown and which gets what is no call.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.0.backend
    }

    /// All instances of the server, the first one included.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        let members = self.0.track.as_ref().map(|track| track.group.members()).unwrap_or_default();
        let only = members.is_empty().then_some(&self.0.backend);
        only.into_iter().chain(members.iter().map(|member| &member.server))
    }

    /// Whether no call is at any of its instances, or on the way there.
    pub fn is_drained(&self) -> bool {
        self.backends().all(|backend| backend.is_drained())
    }

    /// The instance that has this task of the server.
    pub fn holder_of_task(&self, id: &str) -> &Arc<Backend> {
        let member = self.0.track.as_ref().and_then(|track| {
            let group = &track.group;
            group.members().get(group.holder_of_task(id))
        });
        member.map_or(&self.0.backend, |member| &member.server)
    }

    /// The instance to model one on that is for one session alone: each time another.
    pub fn deal(&self) -> &Arc<Backend> {
        let member = self.0.track.as_ref().and_then(|track| {
            let group = &track.group;
            group.members().get(group.deal()?)
        });
        member.map_or(&self.0.backend, |member| &member.server)
    }

    /// The health checks that the config asks for, each by the one that `checker` gives for its instance. They never end by
    /// themselves.
    pub fn checks(
        &self,
        checker: impl Fn(&ServerConfig) -> Arc<dyn HealthChecker>,
    ) -> impl Iterator<Item = impl Future<Output = ()> + Send + 'static> {
        let group = self.0.track.as_ref().map(|track| &track.group);
        let group = group.filter(|_| self.0.config.stages.health_check.is_some());
        let members = group
            .into_iter()
            .flat_map(|group| group.members().iter().enumerate().map(move |one| (group, one)));
        members.map(move |(group, (index, member))| {
            health::watch(Arc::clone(group), index, checker(member.server.config()))
        })
    }

    /// Whether there are stages at all.
    pub fn has_stages(&self) -> bool {
        self.0.track.as_ref().is_some_and(|track| !track.is_bare)
    }

    /// What stages and traces want to know of what is called, as `item` tells it; nothing where there are none.
    pub fn item(&self, item: impl FnOnce() -> Item) -> Option<Item> {
        let is_wanted = self.has_stages() || self.0.tracer.is_some();
        is_wanted.then(item)
    }

    /// Something of the server as policies see it: a tool or prompt by the name and the definition that clients see, or a
    /// resource by the server's own URI.
    pub fn thing<'a>(
        &'a self,
        action: Action,
        name: &'a str,
        original: &'a str,
        definition: &'a [u8],
    ) -> Thing<'a> {
        policy::thing(&self.0.config, action, name, original, definition)
    }

    /// Takes a call to the server. The answer, or the failure, reaches the call's client.
    pub fn call(&self, call: Call, item: Option<Item>) {
        let Inner { backend, track, journeys, meter, tracer, .. } = &*self.0;
        let call = match meter {
            Some(meter) => meter.watch(call),
            None => call,
        };
        let (call, trace) = match tracer {
            Some(tracer) => tracer.begin(call, item.as_ref().map(|item| &item.exposed), backend),
            None => (call, None),
        };
        match (track, trace) {
            (Some(track), trace) if !track.is_bare => {
                let request = track.request(call, item, trace);
                journeys.begin(Arc::clone(&track.stages), Arc::clone(&track.group), request);
            }
            (_, Some(trace)) => backend.call(trace.attempt(call, 1, backend)),
            (_, None) => backend.call(call),
        }
    }

    /// The client no longer wants the answer: wherever the call is, it goes no further.
    pub fn cancel(&self, caller: CallerId, ticket: Ticket, reason: Option<&str>) {
        // First at the server, which is told the reason.
        for backend in self.backends() {
            backend.cancel(caller, ticket, reason);
        }
        // It may have begun before the stages were taken away.
        self.0.journeys.cancel(caller, ticket);
    }

    /// What the server says outside of calls (a log message, a question), without what is hidden from clients; `None` if nothing
    /// of it is.
    pub fn unhidden(&self, text: &[u8]) -> Option<Bytes> {
        let rules = self.0.track.as_ref().map(|track| &track.shared.redact[..]).unwrap_or_default();
        rules.iter().fold(None, |changed: Option<Bytes>, rules| {
            rules.outside(changed.as_deref().unwrap_or(text)).or(changed)
        })
    }

    /// For each instance, why it gets no calls at the moment although its own state may be well.
    pub fn troubles(&self) -> Vec<Option<Trouble>> {
        self.0.track.as_ref().map_or_else(|| vec![None], |track| track.group.troubles())
    }

    /// Closes the breakers of all instances. Whether any was open; `None` if there are none.
    pub fn reset_breakers(&self) -> Option<bool> {
        let members = self.0.track.as_ref().map(|track| track.group.members()).unwrap_or_default();
        let breakers = members.iter().filter_map(|member| member.breaker.as_ref());
        breakers.map(|breaker| breaker.reset()).reduce(|one, other| one | other)
    }

    /// What the cache has done and holds; `None` if there is none.
    pub fn cache(&self) -> Option<CacheTallies> {
        Some(self.0.track.as_ref()?.cache.as_ref()?.tallies())
    }

    /// Forgets the answers that are kept, for all instances of the server.
    pub fn clear_cache(&self) {
        if let Some(cache) = self.0.track.as_ref().and_then(|track| track.cache.as_ref()) {
            cache.clear();
        }
    }
}

impl Shared {
    /// Those of this config. What counts or keeps something is the one that there was `before`, where its rules are the same.
    fn new(
        server: &Arc<ServerConfig>,
        common: &Common,
        journeys: &Journeys,
        before: Option<(&ServerConfig, &Shared)>,
    ) -> Self {
        let (name, config) = (&server.name, &server.stages);
        let limit = server.limits.result;
        let limit = limit.map(|limit| Limit::new(name.clone(), limit, Arc::clone(journeys.results())));
        let validate = lasting(server, before, |stages| stages.validate, |old| &old.validate, Validate::new);
        let redact: Vec<Arc<Redact>> =
            config.built_ins.redact.iter().filter_map(Redact::new).map(Arc::new).collect();
        let looks_at_results = limit.is_some() || validate.is_some() || !redact.is_empty();
        // Of which call a task has come is known as long as anybody wants to know.
        let origins = before.and_then(|(_, shared)| shared.origins.clone());
        Self {
            audit: common.audit.clone().map(|auditor| Arc::new(Audit::new(name.clone(), auditor))),
            policy: common.policies.as_ref().map(|policies| Arc::new(Guard::new(policies, server))),
            rate_limit: lasting(
                server,
                before,
                |stages| stages.rate_limit,
                |old| &old.rate_limit,
                RateLimit::new,
            ),
            log: config.built_ins.log.iter().map(|rules| Arc::new(Log::new(name.clone(), rules))).collect(),
            redact,
            origins: looks_at_results.then(|| origins.unwrap_or_default()),
            limit: limit.map(Arc::new),
            hooks: common
                .interceptors
                .clone()
                .map(|all| Arc::new(Hooks::new(name.clone(), all, validate.as_ref().map(recheck)))),
            validate,
            retry: lasting(server, before, repeats, |old| &old.retry, Retry::new),
            concurrency: lasting(
                server,
                before,
                |stages| stages.concurrency,
                |old| &old.concurrency,
                Concurrency::new,
            ),
            transform: Transform::new(&server.tools).map(Arc::new),
        }
    }

    /// The stages that look at results, and what they need to know of tasks. The order is theirs on the way of calls.
    fn of_results(&self) -> Vec<Arc<dyn Stage>> {
        let recall = self.origins.as_ref().map(|origins| Arc::new(Recall::new(Arc::clone(origins))));
        let redact = self.redact.iter().map(|redact| Some(Arc::clone(redact) as Arc<dyn Stage>));
        let outer = [stage(&recall), stage(&self.limit)].into_iter();
        outer.chain(redact).chain([stage(&self.validate)]).flatten().collect()
    }
}

/// The stage for these rules: the one that there was, if it had the same.
fn lasting<S, R: PartialEq>(
    server: &ServerConfig,
    before: Option<(&ServerConfig, &Shared)>,
    rules: fn(&Stages) -> Option<R>,
    stage: fn(&Shared) -> &Option<Arc<S>>,
    new: fn(ServerName, R) -> S,
) -> Option<Arc<S>> {
    let wanted = rules(&server.stages);
    match before.filter(|(old, _)| rules(&old.stages) == wanted) {
        Some((_, shared)) => stage(shared).clone(),
        None => wanted.map(|rules| Arc::new(new(server.name.clone(), rules))),
    }
}

/// When calls are sent again, if they ever are.
fn repeats(stages: &Stages) -> Option<config::Retry> {
    stages.retry.filter(|rules| rules.max_attempts > 1)
}

/// Whether the answers that one config lets us keep are good for the other: the server is sent the same arguments.
fn answers_alike(old: &ServerConfig, new: &ServerConfig) -> bool {
    old.stages.cache == new.stages.cache && old.tools.overrides == new.tools.overrides
}

/// The instances of a server, of which nothing is known yet.
fn group_of(config: &ServerConfig, backends: impl IntoIterator<Item = Arc<Backend>>) -> Arc<Group> {
    let Stages { breaker, health_check, balance, .. } = &config.stages;
    Arc::new(Group::new(&config.name, backends, *breaker, health_check.clone(), *balance))
}

/// What interceptors have changed is checked like what clients send. Their results pass the stage itself, which is further out.
fn recheck(validate: &Arc<Validate>) -> Recheck {
    let validate = Arc::clone(validate);
    Arc::new(move |call, phase, text| match (phase, call.event) {
        (Phase::Before, Event::Request(Method::ToolsCall)) => {
            validate.recheck(&call.original, &call.definition, text)
        }
        _ => Ok(()),
    })
}

/// A stage, if there is one.
fn stage<S: Stage + 'static>(stage: &Option<Arc<S>>) -> Option<Arc<dyn Stage>> {
    stage.as_ref().map(|stage| Arc::clone(stage) as Arc<dyn Stage>)
}

impl Track {
    /// `None` if nothing is asked for.
    fn new(
        config: &ServerConfig,
        group: Arc<Group>,
        shared: Shared,
        cache: Option<Arc<Cache>>,
    ) -> Option<Self> {
        // Every end is noted and logged, refusals too. Who may not call learns of no limit and gets no answer that was kept. What
        // is refused costs nothing further in; what is handed out, and what is looked at further in, has no secrets; what is kept
        // is shown to interceptors each time it is given, and needs no attempt; an attempt leaves its place to others while it
        // pauses.
        let log = shared.log.iter().map(|log| Some(Arc::clone(log) as Arc<dyn Stage>));
        let stages = std::iter::once(stage(&shared.audit))
            .chain(log)
            .chain([stage(&shared.policy), stage(&shared.rate_limit)])
            .chain(shared.of_results().into_iter().map(Some))
            .chain([
                stage(&shared.hooks),
                stage(&cache),
                stage(&shared.retry),
                stage(&shared.concurrency),
                stage(&shared.transform),
            ])
            .flatten();
        let stages: Arc<[_]> = stages.collect();
        let is_bare = stages.is_empty() && config.stages.breaker.is_none() && group.members().len() == 1;
        (!is_bare || config.stages.health_check.is_some()).then(|| Self {
            stages,
            shared,
            cache,
            group,
            is_bare,
            effects: config.stages.effects.clone(),
            trusts: config.stages.trust_annotations,
            total: config.timeouts.total,
        })
    }

    fn request(&self, call: Call, item: Option<Item>, trace: Option<Arc<Trace>>) -> Box<Request> {
        let said = self.effects.of(call.label.as_str());
        let Item { exposed, definition, claims } = item.unwrap_or_else(|| Item {
            exposed: ExposedName::from(call.label.as_str()),
            definition: Bytes::new(),
            claims: Claims::default(),
        });
        let effect = Effect::of(call.method, said, claims, self.trusts);
        let deadline = Instant::now() + self.total;
        Box::new(Request { exposed, definition, effect, attempt: 1, deadline, trace, call })
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stages = self.0.track.as_ref().map_or(&[][..], |track| &track.stages);
        f.debug_struct("Lane").field("server", self.0.backend.name()).field("stages", &stages).finish()
    }
}

mod tallies;
#[cfg(test)]
mod tests;
mod told;

pub use tallies::{BreakerState, LaneTallies};
