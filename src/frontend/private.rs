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
pub(super) struct Private(Mutex<HashMap<ServerName, Instance>>);

impl Private {
    fn instances(&self) -> MutexGuard<'_, HashMap<ServerName, Instance>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends them.
    pub(super) fn end(&self) {
        self.instances().clear();
    }

    pub(super) fn find(&self, server: &ServerName) -> Option<Lane> {
        self.instances().get(server).map(|instance| instance.lane.clone())
    }

    pub(super) fn all(&self) -> Vec<Arc<Backend>> {
        self.instances().values().map(|instance| Arc::clone(instance.lane.backend())).collect()
    }
}

impl Session {
    /// Puts the session's own instance in the place of a server that is not shared.
    #[inline]
    pub(super) fn own(self: &Arc<Self>, registry: &Arc<Registry>, lane: &mut Lane) {
        if lane.backend().config().share == Share::All || self.hall.is_sole() {
            return;
        }
        if let Some(own) = self.own_instance(registry, lane.backend().name()) {
            *lane = own;
        }
    }

    fn own_instance(self: &Arc<Self>, registry: &Arc<Registry>, name: &ServerName) -> Option<Lane> {
        if let Some(own) = self.private.find(name) {
            return Some(own);
        }
        let index = registry.backends().iter().position(|backend| backend.name() == name)?;
        let audience = Arc::new(Only(Arc::downgrade(self)));
        let instance = registry.instance(index, audience)?;
        if let Some(level) = self.level() {
            instance.lane.backend().set_level(level);
        }
        let own = instance.lane.clone();
        self.private.instances().insert(name.clone(), instance);
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
