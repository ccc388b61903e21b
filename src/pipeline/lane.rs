//! One server as frontends call it.

mod tallies;
#[cfg(test)]
mod tests;
mod told;
mod track;

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::audit::Auditor;
use super::cache::{Cache, CacheTallies};
use super::group::Group;
use super::health::{self, HealthChecker};
use super::journey::Journeys;
use super::policy;
use crate::backend::Backend;
use crate::call::{Call, CallerId, Ticket};
use crate::config::ServerConfig;
use crate::effect::Claims;
use crate::failure::Failure;
use crate::interceptor::Interceptors;
use crate::meter::{Meter, Meters};
use crate::names::ExposedName;
use crate::policy::{Action, Policies, Thing};
use crate::trace::Tracer;

pub use tallies::{BreakerState, LaneTallies};
pub use track::ORDER;
use track::{Shared, Track, answers_alike, group_of};

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

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stages = self.0.track.as_ref().map_or(&[][..], |track| &track.stages);
        f.debug_struct("Lane").field("server", self.0.backend.name()).field("stages", &stages).finish()
    }
}
