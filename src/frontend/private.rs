//! The servers of one session alone (`share: session`).
//!
//! To such a server the session is the only client there is: it is introduced as it is, and whatever the server says
//! outside of calls is its own.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::backend::Backend;
use crate::call::{Ask, AskKey, Audience, Caller, InFlight, Introduction, NotAsked, Notice};
use crate::config::Share;
use crate::frontend::session::Session;
use crate::names::ServerName;
use crate::pipeline::Lane;
use crate::protocol::Tasks;
use crate::registry::{Instance, Registry};
use crate::wire::Span;

/// See the module. They end with it.
#[derive(Default)]
pub(super) struct Private(Mutex<Instances>);

#[derive(Default)]
struct Instances {
    of: HashMap<ServerName, Instance>,
    /// Those whose place others have taken, and that may still have calls to answer.
    left: Vec<Instance>,
}

impl Private {
    fn instances(&self) -> MutexGuard<'_, Instances> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends them.
    pub(super) fn end(&self) {
        *self.instances() = Instances::default();
    }

    pub(super) fn find(&self, server: &ServerName) -> Option<Lane> {
        self.instances().of.get(server).map(|instance| instance.lane.clone())
    }

    /// Those that others have taken the place of, and that may still have calls to answer.
    pub(super) fn left(&self, server: &ServerName) -> Vec<Lane> {
        let instances = self.instances();
        let lanes = instances.left.iter().map(|instance| &instance.lane);
        lanes.filter(|lane| lane.config().name == *server).cloned().collect()
    }

    fn put(&self, instance: Instance) {
        let mut instances = self.instances();
        let before = instances.of.insert(instance.lane.config().name.clone(), instance);
        instances.left.retain(|left| !left.lane.is_drained());
        instances.left.extend(before);
    }

    pub(super) fn all(&self) -> Vec<Arc<Backend>> {
        self.instances().of.values().map(|instance| Arc::clone(instance.lane.backend())).collect()
    }
}

impl Session {
    /// Puts the session's own instance in the place of a server that is not shared.
    #[inline]
    pub(super) fn own(self: &Arc<Self>, registry: &Arc<Registry>, lane: &mut Lane) {
        if lane.config().share == Share::All || self.hall.is_sole() {
            return;
        }
        if let Some(own) = self.own_instance(registry, lane) {
            *lane = own;
        }
    }

    fn own_instance(self: &Arc<Self>, registry: &Arc<Registry>, shared: &Lane) -> Option<Lane> {
        let name = &shared.config().name;
        let mut instances = self.private.instances();
        if let Some(known) = instances.of.get_mut(name).filter(|known| !known.is_retired()) {
            known.stand_beside(shared);
            return Some(known.lane.clone());
        }
        drop(instances);
        let audience = Arc::new(Only(Arc::downgrade(self)));
        let instance = registry.instance(shared, audience)?;
        if let Some(level) = self.level() {
            instance.lane.backend().set_level(level);
        }
        let own = instance.lane.clone();
        self.private.put(instance);
        Some(own)
    }
}

/// A session as the whole audience.
struct Only(Weak<Session>);

impl std::fmt::Debug for Only {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Only").field(&self.0.upgrade()).finish()
    }
}

impl Audience for Only {
    fn introduction(&self) -> Introduction {
        self.0.upgrade().map_or_else(super::hall::anybody, |session| session.introduction())
    }

    fn log(&self, server: &ServerName, notice: Notice<'_>, in_flight: &[InFlight]) {
        match (in_flight.first(), self.0.upgrade()) {
            (Some((ticket, caller)), _) => caller.log(*ticket, server, notice),
            (None, Some(session)) => match session.hall.unhidden(server, notice.params.of(notice.line)) {
                Some(text) => {
                    let params = Span { start: 0, end: text.len() };
                    session.pass_log(server, &Notice { line: &text, params }, None);
                }
                None => session.pass_log(server, &notice, None),
            },
            (None, None) => {}
        }
    }

    fn say(&self, server: &ServerName, text: &str) {
        if let Some(session) = self.0.upgrade() {
            session.say(server, text);
        }
    }

    fn updated(&self, server: &ServerName, notice: Notice<'_>) {
        if let Some(session) = self.0.upgrade() {
            session.updated(server, &notice);
        }
    }

    fn owner_of_task(&self, server: &ServerName, id: &str) -> Option<Arc<dyn Caller>> {
        self.0.upgrade()?.hall.owner_of_task(server, id)
    }

    fn task_changed(&self, server: &ServerName, form: Tasks, notice: Notice<'_>) {
        if let Some(session) = self.0.upgrade() {
            session.hall.task_changed(server, form, &notice);
        }
    }

    fn elicitation_complete(&self, notice: Notice<'_>) {
        if let Some(session) = self.0.upgrade() {
            session.elicitation_complete(&notice);
        }
    }

    fn ask(&self, ask: Ask<'_>) -> Result<(), NotAsked> {
        match self.0.upgrade() {
            Some(session) => session.put_outside(ask),
            None => Err(NotAsked::Unsupported("the client has left".to_owned())),
        }
    }

    fn withdraw(&self, key: &AskKey, reason: &str) {
        if let Some(session) = self.0.upgrade() {
            session.take_back(key, reason);
        }
    }

    fn is_full(&self) -> bool {
        false
    }

    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}
