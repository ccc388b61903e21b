//! Instances of servers whose state belongs to one client (`share: session`).
//!
//! What such a server shows is known from the registry's own instance; a session's instance serves that session's calls and
//! ends with it, or when its server is another one.

use std::sync::Arc;

use super::Registry;
use super::leash::{Leash, drained};
use crate::backend::{Backend, Extent, Lifecycle, Observer};
use crate::call::Audience;
use crate::catalog::Offering;
use crate::names::ServerName;
use crate::pipeline::Lane;
use crate::supervisor::Ending;

/// A server of one session. It ends when this is dropped.
#[derive(Debug)]
pub struct Instance {
    /// The server, behind the stages of all its instances.
    pub lane: Lane,
    /// The lane of the registry that it stands beside.
    shared: Lane,
    leash: Arc<Leash>,
}

impl Instance {
    /// Whether its server is another one by now: it takes no new calls, and ends when those in flight are answered.
    pub fn is_retired(&self) -> bool {
        self.leash.is_retired()
    }

    /// Puts it beside this lane, to the same server, if it does not stand there yet: behind the stages that are in force now.
    pub fn stand_beside(&mut self, shared: &Lane) {
        if !self.shared.is(shared) {
            self.lane = shared.beside_again(&self.lane);
            self.shared = shared.clone();
        }
    }
}

impl Registry {
    /// A further instance of the server that this lane leads to, for this audience alone. It starts with its first call.
    /// `None` if the lane leads nowhere any more.
    pub fn instance(self: &Arc<Self>, shared: &Lane, audience: Arc<dyn Audience>) -> Option<Instance> {
        let servers = self.servers();
        let slot = servers.slot(&shared.config().name).filter(|slot| slot.lane.is(shared))?;
        // Where there are several addresses, sessions are spread over them.
        let known = shared.deal();
        let backend = Backend::new(known.config().clone(), audience);
        let leash = Arc::new(slot.leash.child());
        let offering = self.offering(known.name()).map(|offering| (*offering).clone());
        let lifecycle = Lifecycle::new(
            Arc::clone(&backend),
            self.way(known.config()),
            self.verdicts.clone(),
            Arc::clone(&self.starts),
            Arc::new(Unheard),
            leash.shutdown(),
            offering,
        );
        let lane = shared.beside(backend);
        let hold = Arc::clone(&leash).hold(self.shutdown.subscribe(), lifecycle.run(), drained(&lane));
        self.tasks.spawn(hold);
        Some(Instance { lane, shared: shared.clone(), leash })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // One that has retired still has to answer.
        if !self.leash.is_retired() {
            self.leash.end(Ending::RELOAD);
        }
    }
}

/// What an instance shows is not looked at.
struct Unheard;

impl Observer for Unheard {
    fn offering(&self, _: &ServerName, _: Offering, _: Extent) {}

    fn state_changed(&self, _: &ServerName) {}
}
