//! What stands before all servers, made anew where the config wants another thing.

use std::sync::{Arc, Weak};

use tokio::time::{Instant, sleep};

use super::Registry;
use super::leash::{DRAIN, LOOK, Leash};
use super::servers::Servers;
use crate::backend::Backend;
use crate::config::{Config, InterceptorConfig, InterceptorWay};
use crate::interceptor::{Interceptors, Surroundings};
use crate::pipeline::Common;
use crate::policy::Policies;
use crate::supervisor::Ending;

/// Whether both are the very same.
pub(super) fn is_same(one: &Common, other: &Common) -> bool {
    fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
        one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
    }
    same(one.audit.as_ref(), other.audit.as_ref())
        && same(one.policies.as_ref(), other.policies.as_ref())
        && same(one.interceptors.as_ref(), other.interceptors.as_ref())
}

impl Registry {
    /// What stands before the servers of this config: what is in force already, as far as it is what the config wants.
    pub(super) fn common_for(
        &self,
        old: &Servers,
        config: &Config,
        backends: &[Arc<Backend>],
    ) -> (Common, Arc<Leash>) {
        let has_same_policy = old.config().policy.as_ref().ok() == config.policy.as_ref().ok();
        let policies = if has_same_policy { old.common.policies.clone() } else { Policies::open(config) };
        let has_same_secrets = old.config().secrets() == config.secrets();
        let audit = old.common.audit.as_ref().map(|audit| match has_same_secrets {
            true => Arc::clone(audit),
            false => Arc::new(audit.hiding(config.secrets())),
        });
        let uses_others = |entry: &InterceptorConfig| {
            let InterceptorWay::Server { name, .. } = &entry.way else { return false };
            let new = backends.iter().find(|backend| backend.name() == name);
            let known = old.lane(name).map(|lane| lane.backend());
            new.map(Arc::as_ptr) != known.map(Arc::as_ptr)
        };
        let has_same_hooks =
            old.config().interceptors == config.interceptors && !config.interceptors.iter().any(uses_others);
        let (interceptors, hooks) = match has_same_hooks {
            true => (old.common.interceptors.clone(), Arc::clone(&old.hooks)),
            false => {
                let made = self.make_interceptors(config, backends);
                if self.has_begun() {
                    made.0.iter().flat_map(|all| all.servers()).for_each(|server| server.start());
                }
                made
            }
        };
        let (meters, tracer) = (Arc::clone(&self.meters), self.tracer.clone());
        (Common { audit, policies, interceptors, meters, tracer }, hooks)
    }

    /// The interceptors of this config, and what they hang on.
    pub(super) fn make_interceptors(
        &self,
        config: &Config,
        backends: &[Arc<Backend>],
    ) -> (Option<Arc<Interceptors>>, Arc<Leash>) {
        let leash = Arc::new(Leash::default());
        let surroundings = Surroundings {
            supervisor: self.supervisor.clone(),
            tasks: self.tasks.clone(),
            shutdown: leash.shutdown(),
            changes: self.changes(),
            backends,
        };
        let own = self.own_interceptors.clone();
        let interceptors = Interceptors::new(own, config.interceptors.clone(), &surroundings);
        if let Some(interceptors) = &interceptors {
            self.hold_interceptors(&leash, Arc::downgrade(interceptors));
        }
        (interceptors, leash)
    }

    /// They end with everything, or when others have taken their place and no call needs them any more.
    fn hold_interceptors(&self, leash: &Arc<Leash>, interceptors: Weak<Interceptors>) {
        let (leash, mut all) = (Arc::clone(leash), self.shutdown.subscribe());
        self.tasks.spawn(async move {
            let unneeded = async {
                leash.retired().await;
                let deadline = Instant::now() + DRAIN;
                while interceptors.strong_count() > 0 && Instant::now() < deadline {
                    sleep(LOOK).await;
                }
            };
            let ending = tokio::select! {
                ending = all.wait_for(Option::is_some) => ending.ok().and_then(|ending| *ending),
                () = unneeded => Some(Ending::RELOAD),
            };
            leash.end(ending.unwrap_or(Ending::NOW));
        });
    }
}
