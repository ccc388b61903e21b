//! The stages that all instances of a server share.

use std::sync::Arc;

use super::Common;
use crate::config::ServerConfig;
use crate::interceptor::{Phase, Recheck};
use crate::pipeline::audit::Audit;
use crate::pipeline::concurrency::Concurrency;
use crate::pipeline::hooks::Hooks;
use crate::pipeline::journey::Journeys;
use crate::pipeline::limit::Limit;
use crate::pipeline::log::Log;
use crate::pipeline::policy::Guard;
use crate::pipeline::rate_limit::RateLimit;
use crate::pipeline::redact::Redact;
use crate::pipeline::retry::Retry;
use crate::pipeline::transform::Transform;
use crate::pipeline::validate::Validate;
use crate::protocol::Method;

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Shared {
    pub(super) audit: Option<Arc<Audit>>,
    pub(super) log: Vec<Arc<Log>>,
    pub(super) redact: Vec<Arc<Redact>>,
    pub(super) policy: Option<Arc<Guard>>,
    pub(super) rate_limit: Option<Arc<RateLimit>>,
    pub(super) limit: Option<Arc<Limit>>,
    pub(super) validate: Option<Arc<Validate>>,
    pub(super) hooks: Option<Arc<Hooks>>,
    pub(super) retry: Option<Arc<Retry>>,
    pub(super) concurrency: Option<Arc<Concurrency>>,
    pub(super) transform: Option<Arc<Transform>>,
}

impl Shared {
    pub(super) fn new(server: &Arc<ServerConfig>, common: &Common, journeys: &Journeys) -> Self {
        let (name, config) = (&server.name, &server.stages);
        let limit = server.limits.result;
        let limit = limit.map(|limit| Limit::new(name.clone(), limit, Arc::clone(journeys.results())));
        let retry = config.retry.filter(|rules| rules.max_attempts > 1);
        let validate = config.validate.map(|rules| Arc::new(Validate::new(name.clone(), rules)));
        Self {
            audit: common.audit.clone().map(|auditor| Arc::new(Audit::new(name.clone(), auditor))),
            policy: common.policies.as_ref().map(|policies| Arc::new(Guard::new(policies, server))),
            rate_limit: config.rate_limit.map(|rules| Arc::new(RateLimit::new(name.clone(), rules))),
            log: config.built_ins.log.iter().map(|rules| Arc::new(Log::new(name.clone(), rules))).collect(),
            redact: config.built_ins.redact.iter().filter_map(Redact::new).map(Arc::new).collect(),
            limit: limit.map(Arc::new),
            hooks: common
                .interceptors
                .clone()
                .map(|all| Arc::new(Hooks::new(name.clone(), all, validate.as_ref().map(recheck)))),
            validate,
            retry: retry.map(|rules| Arc::new(Retry::new(name.clone(), rules))),
            concurrency: config.concurrency.map(|rules| Arc::new(Concurrency::new(name.clone(), rules))),
            transform: Transform::new(&server.tools).map(Arc::new),
        }
    }
}

/// What interceptors have changed is checked like what clients send. Their results pass the stage itself, which is further out.
fn recheck(validate: &Arc<Validate>) -> Recheck {
    let validate = Arc::clone(validate);
    Arc::new(move |call, phase, text| match (phase, call.method) {
        (Phase::Before, Method::ToolsCall) => validate.recheck(&call.original, &call.definition, text),
        _ => Ok(()),
    })
}
