//! Instances of servers whose state belongs to one client (`share: session`).
//!
//! What such a server shows is known from the registry's own instance; a session's instance serves that session's calls and
//! ends with it.

use std::sync::Arc;

use tokio::sync::watch;

use super::Registry;
use crate::backend::{Backend, Extent, Lifecycle, Observer};
use crate::call::Audience;
use crate::catalog::Offering;
use crate::names::ServerName;
use crate::pipeline::Lane;
use crate::supervisor::Ending;

/// A server of one session. It ends when this is dropped.
pub struct Instance {
    /// The server, behind the stages of all its instances.
    pub lane: Lane,
    shutdown: watch::Sender<Option<Ending>>,
}

impl Registry {
    /// A further instance of the server at this place in the catalog, for this audience alone. It starts with its first call.
    pub fn instance(self: &Arc<Self>, index: usize, audience: Arc<dyn Audience>) -> Option<Instance> {
        let shared = self.lanes.get(index)?;
        // Where there are several addresses, sessions are spread over them.
        let known = shared.deal();
        let backend = Backend::new(known.config().clone(), audience);
        let (shutdown, ended) = watch::channel(None);
        let offering = self.offering(known.name()).map(|offering| (*offering).clone());
        let lifecycle = Lifecycle::new(
            Arc::clone(&backend),
            self.way(known.config()),
            self.verdicts.clone(),
            Arc::clone(&self.starts),
            Arc::new(Unheard),
            ended,
            offering,
        );
        let mut all = self.shutdown.subscribe();
        let ends = shutdown.clone();
        self.tasks.spawn(async move {
            let running = lifecycle.run();
            tokio::pin!(running);
            let ending = tokio::select! {
                () = &mut running => return,
                ending = all.wait_for(Option::is_some) => ending.map_or(Some(Ending::NOW), |ending| *ending),
            };
            // The end of everything is this one's too, with the same grace.
            ends.send_replace(ending);
            running.await;
        });
        Some(Instance { lane: shared.beside(backend), shutdown })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.shutdown.send_if_modified(|ending| {
            let is_first = ending.is_none();
            ending.get_or_insert(Ending::RELOAD);
            is_first
        });
    }
}

/// What an instance shows is not looked at.
struct Unheard;

impl Observer for Unheard {
    fn offering(&self, _: &ServerName, _: Offering, _: Extent) {}

    fn state_changed(&self, _: &ServerName) {}
}
