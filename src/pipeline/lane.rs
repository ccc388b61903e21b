//! One server as frontends call it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::Breaker;
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
    /// What the definition that they see says of its effect.
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
}

/// The stages of one server.
struct Track {
    /// The outermost first: what all instances of the server share, then what each has for itself.
    stages: Arc<[Arc<dyn Stage>]>,
    /// How many of them are shared.
    shared: usize,
    breaker: Option<Arc<Breaker>>,
    effects: HashMap<String, Effect>,
    trusts: bool,
    total: Duration,
    journeys: Arc<Journeys>,
}

impl Lane {
    /// A lane to a server, with the stages that its config asks for.
    pub fn new(backend: Arc<Backend>, journeys: &Arc<Journeys>) -> Self {
        let shared = shared(&backend);
        let track = Track::new(&backend, &shared, journeys);
        Self { backend, track }
    }

    /// The same for another instance of the server: it shares the stages, but has a health of its own.
    pub fn beside(&self, backend: Arc<Backend>) -> Self {
        let track = self.track.as_ref().and_then(|track| {
            let shared = track.stages.get(..track.shared).unwrap_or_default();
            Track::new(&backend, shared, &track.journeys)
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
    pub fn item(&self, exposed: &ExposedName, definition: &[u8]) -> Option<Item> {
        self.has_stages().then(|| Item { exposed: exposed.clone(), claims: Claims::of(definition) })
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

    /// Why not all calls pass at the moment, if it is so.
    pub fn trouble(&self) -> Option<Trouble> {
        self.track.as_ref()?.breaker.as_ref()?.trouble(Instant::now())
    }
}

/// The stages that all instances of a server share, in their order: what is refused costs nothing further in; an attempt
/// leaves its place to others while it pauses.
fn shared(backend: &Backend) -> Vec<Arc<dyn Stage>> {
    let (name, config) = (backend.name(), &backend.config().stages);
    let mut stages: Vec<Arc<dyn Stage>> = Vec::new();
    if let Some(rules) = config.rate_limit {
        stages.push(Arc::new(RateLimit::new(name.clone(), rules)));
    }
    if let Some(rules) = config.retry.filter(|rules| rules.max_attempts > 1) {
        stages.push(Arc::new(Retry::new(name.clone(), rules)));
    }
    if let Some(rules) = config.concurrency {
        stages.push(Arc::new(Concurrency::new(name.clone(), rules)));
    }
    stages
}

impl Track {
    /// `None` if nothing is asked for.
    fn new(backend: &Backend, shared: &[Arc<dyn Stage>], journeys: &Arc<Journeys>) -> Option<Arc<Self>> {
        let config = backend.config();
        let mut stages = shared.to_vec();
        let breaker = config.stages.breaker.map(|rules| Arc::new(Breaker::new(config.name.clone(), rules)));
        if let Some(breaker) = &breaker {
            stages.push(Arc::clone(breaker) as Arc<dyn Stage>);
        }
        (!stages.is_empty()).then(|| {
            Arc::new(Self {
                stages: stages.into(),
                shared: shared.len(),
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
        let claims = item.as_ref().map(|item| item.claims).unwrap_or_default();
        let effect = Effect::of(call.method, said, claims, self.trusts);
        let exposed = item.map_or_else(|| ExposedName::from(call.label.as_str()), |item| item.exposed);
        Request { exposed, effect, attempt: 1, deadline: Instant::now() + self.total, call }
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
