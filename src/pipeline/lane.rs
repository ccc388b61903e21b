//! One server as frontends call it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::cache::{Cache, CacheTallies};
use super::concurrency::Concurrency;
use super::journey::Journeys;
use super::rate_limit::RateLimit;
use super::retry::Retry;
use super::{Request, Stage};
use crate::backend::Backend;
use crate::call::{Call, CallerId, Ticket};
use crate::effect::{Claims, Effect};
use crate::failure::Failure;
use crate::names::ExposedName;

/// A server and the stages in front of it. Cheap to clone.
#[derive(Clone)]
pub struct Lane {
    backend: Arc<Backend>,
    track: Option<Arc<Track>>,
}

/// What clients know of what they call.
#[derive(Clone, Debug)]
pub struct Item {
    /// The name that they use.
    pub exposed: ExposedName,
    /// The definition that they see.
    pub definition: Bytes,
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
}

/// The stages that all instances of a server share.
#[derive(Clone, Default)]
struct Shared {
    rate_limit: Option<Arc<RateLimit>>,
    retry: Option<Arc<Retry>>,
    concurrency: Option<Arc<Concurrency>>,
}

/// The stages of one server.
struct Track {
    /// The outermost first.
    stages: Arc<[Arc<dyn Stage>]>,
    shared: Shared,
    cache: Option<Arc<Cache>>,
    breaker: Option<Arc<Breaker>>,
    effects: HashMap<String, Effect>,
    trusts: bool,
    total: Duration,
    journeys: Arc<Journeys>,
}

impl Lane {
    /// A lane to a server, with the stages that its config asks for.
    pub fn new(backend: Arc<Backend>, journeys: &Arc<Journeys>) -> Self {
        let (config, changes) = (backend.config(), backend.changes());
        let cache = config
            .stages
            .cache
            .clone()
            .zip(changes)
            .map(|(rules, changes)| Cache::new(config.name.clone(), rules, Arc::clone(changes)));
        let track = Track::new(&backend, Shared::new(&backend), cache, journeys);
        Self { backend, track }
    }

    /// The same for another instance of the server: it shares the stages, but has a health and answers of its own.
    pub fn beside(&self, backend: Arc<Backend>) -> Self {
        let track = self.track.as_ref().and_then(|track| {
            let cache = track.cache.as_ref().zip(backend.changes());
            let cache = cache.map(|(cache, changes)| cache.beside(Arc::clone(changes)));
            Track::new(&backend, track.shared.clone(), cache, &track.journeys)
        });
        Self { backend, track }
    }

    /// The server.
    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// Whether there are stages at all.
    pub fn has_stages(&self) -> bool {
        self.track.is_some()
    }

    /// What the stages want to know of a tool; nothing where there are none. `definition` is the one that clients see.
    pub fn item(&self, exposed: &ExposedName, definition: &Bytes) -> Option<Item> {
        self.has_stages().then(|| Item { exposed: exposed.clone(), definition: definition.clone() })
    }

    /// Takes a call to the server. The answer, or the failure, reaches the call's client.
    pub fn call(&self, call: Call, item: Option<Item>) {
        match &self.track {
            None => self.backend.call(call),
            Some(track) => {
                let request = track.request(call, item);
                track.journeys.begin(Arc::clone(&track.stages), Arc::clone(&self.backend), request);
            }
        }
    }

    /// The client no longer wants the answer: wherever the call is, it goes no further.
    pub fn cancel(&self, caller: CallerId, ticket: Ticket, reason: Option<&str>) {
        if let Some(track) = &self.track {
            track.journeys.cancel(caller, ticket);
        }
        self.backend.cancel(caller, ticket, reason);
    }

    /// What the cache has done and holds; `None` if there is none.
    pub fn cache(&self) -> Option<CacheTallies> {
        Some(self.track.as_ref()?.cache.as_ref()?.tallies())
    }

    /// Forgets the answers that are kept, for all instances of the server.
    pub fn clear_cache(&self) {
        if let Some(cache) = self.track.as_ref().and_then(|track| track.cache.as_ref()) {
            cache.clear();
        }
    }

    /// Why not all calls pass at the moment, if it is so.
    pub fn trouble(&self) -> Option<Trouble> {
        self.track.as_ref()?.breaker.as_ref()?.trouble(Instant::now())
    }
}

impl Shared {
    fn new(backend: &Backend) -> Self {
        let (name, config) = (backend.name(), &backend.config().stages);
        let retry = config.retry.filter(|rules| rules.max_attempts > 1);
        Self {
            rate_limit: config.rate_limit.map(|rules| Arc::new(RateLimit::new(name.clone(), rules))),
            retry: retry.map(|rules| Arc::new(Retry::new(name.clone(), rules))),
            concurrency: config.concurrency.map(|rules| Arc::new(Concurrency::new(name.clone(), rules))),
        }
    }
}

/// A stage, if there is one.
fn stage<S: Stage + 'static>(stage: &Option<Arc<S>>) -> Option<Arc<dyn Stage>> {
    stage.as_ref().map(|stage| Arc::clone(stage) as Arc<dyn Stage>)
}

impl Track {
    /// `None` if nothing is asked for.
    fn new(
        backend: &Backend,
        shared: Shared,
        cache: Option<Cache>,
        journeys: &Arc<Journeys>,
    ) -> Option<Arc<Self>> {
        let config = backend.config();
        let cache = cache.map(Arc::new);
        let breaker = config.stages.breaker.map(|rules| Arc::new(Breaker::new(config.name.clone(), rules)));
        // What is refused costs nothing further in; what is kept needs no attempt; an attempt leaves its place to others
        // while it pauses.
        let stages = [
            stage(&shared.rate_limit),
            stage(&cache),
            stage(&shared.retry),
            stage(&shared.concurrency),
            stage(&breaker),
        ];
        let stages: Arc<[_]> = stages.into_iter().flatten().collect();
        (!stages.is_empty()).then(|| {
            Arc::new(Self {
                stages,
                shared,
                cache,
                breaker,
                effects: config.stages.effects.iter().cloned().collect(),
                trusts: config.stages.trust_annotations,
                total: config.timeouts.total,
                journeys: Arc::clone(journeys),
            })
        })
    }

    fn request(&self, call: Call, item: Option<Item>) -> Request {
        let said = self.effects.get(call.label.as_str()).copied();
        let (exposed, definition) = match item {
            Some(item) => (item.exposed, item.definition),
            None => (ExposedName::from(call.label.as_str()), Bytes::new()),
        };
        let effect = Effect::of(call.method, said, Claims::of(&definition), self.trusts);
        let deadline = Instant::now() + self.total;
        Request { exposed, definition, effect, attempt: 1, deadline, call }
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stages = self.track.as_ref().map_or(&[][..], |track| &track.stages);
        f.debug_struct("Lane").field("server", self.backend.name()).field("stages", &stages).finish()
    }
}

#[cfg(test)]
mod tests;
