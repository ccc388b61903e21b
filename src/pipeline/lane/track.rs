//! The stages that the config asks for in front of one server, in their order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Common, Item};
use crate::backend::Backend;
use crate::call::Call;
use crate::config::{self, Effects, ServerConfig, Stages};
use crate::effect::{Claims, Effect};
use crate::interceptor::{Event, Phase, Recheck};
use crate::names::{ExposedName, ServerName};
use crate::pipeline::audit::Audit;
use crate::pipeline::cache::Cache;
use crate::pipeline::concurrency::Concurrency;
use crate::pipeline::group::Group;
use crate::pipeline::hooks::Hooks;
use crate::pipeline::journey::Journeys;
use crate::pipeline::limit::Limit;
use crate::pipeline::log::Log;
use crate::pipeline::policy::Guard;
use crate::pipeline::rate_limit::RateLimit;
use crate::pipeline::redact::Redact;
use crate::pipeline::retry::Retry;
use crate::pipeline::tasks::{Origins, Recall};
use crate::pipeline::transform::Transform;
use crate::pipeline::validate::Validate;
use crate::pipeline::{Request, Stage};
use crate::protocol::Method;
use crate::trace::Trace;

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

/// The stages that all instances of a server share.
#[derive(Clone, Default)]
pub(super) struct Shared {
    pub(super) audit: Option<Arc<Audit>>,
    pub(super) log: Vec<Arc<Log>>,
    pub(super) redact: Vec<Arc<Redact>>,
    pub(super) policy: Option<Arc<Guard>>,
    pub(super) rate_limit: Option<Arc<RateLimit>>,
    /// Which calls the server's tasks have come of, where a stage looks at results.
    pub(super) origins: Option<Arc<Origins>>,
    pub(super) limit: Option<Arc<Limit>>,
    pub(super) validate: Option<Arc<Validate>>,
    pub(super) hooks: Option<Arc<Hooks>>,
    pub(super) retry: Option<Arc<Retry>>,
    pub(super) concurrency: Option<Arc<Concurrency>>,
    pub(super) transform: Option<Arc<Transform>>,
}

/// The stages of one server.
pub(super) struct Track {
    /// The outermost first.
    pub(super) stages: Arc<[Arc<dyn Stage>]>,
    pub(super) shared: Shared,
    pub(super) cache: Option<Arc<Cache>>,
    /// The server's instances, behind all of them.
    pub(super) group: Arc<Group>,
    /// Whether nothing stands between a call and the only instance.
    pub(super) is_bare: bool,
    pub(super) effects: Effects,
    pub(super) trusts: bool,
    pub(super) total: Duration,
}

impl Shared {
    /// Those of this config. What counts or keeps something is the one that there was `before`, where its rules are the same.
    pub(super) fn new(
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
    pub(super) fn of_results(&self) -> Vec<Arc<dyn Stage>> {
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
pub(super) fn repeats(stages: &Stages) -> Option<config::Retry> {
    stages.retry.filter(|rules| rules.max_attempts > 1)
}

/// Whether the answers that one config lets us keep are good for the other: the server is sent the same arguments.
pub(super) fn answers_alike(old: &ServerConfig, new: &ServerConfig) -> bool {
    old.stages.cache == new.stages.cache && old.tools.overrides == new.tools.overrides
}

/// The instances of a server, of which nothing is known yet.
pub(super) fn group_of(
    config: &ServerConfig,
    backends: impl IntoIterator<Item = Arc<Backend>>,
) -> Arc<Group> {
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
    pub(super) fn new(
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

    pub(super) fn request(&self, call: Call, item: Option<Item>, trace: Option<Arc<Trace>>) -> Box<Request> {
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
