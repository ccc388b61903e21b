//! How one backend takes the place of another while calls are in flight.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::link::Link;
use super::{Backend, Wanted};
use crate::config::ServerConfig;
use crate::failure::{Code, Failure};

impl Backend {
    /// The same server with this config, not running, to take the place of this backend. The two count their generations
    /// together, so that no question of one is taken for a question of the other; what clients want of the server, and what
    /// happened so far, passes on.
    pub fn successor(&self, config: ServerConfig) -> Arc<Self> {
        let Wanted { level, subscriptions, .. } = self.wanted();
        let changes = config.stages.cache.is_some().then(Arc::default);
        let link = Link::beside(&self.link, config.questions);
        let mut successor = Self::with_link(link, config, Arc::clone(&self.audience), changes);
        successor.wanted = Wanted { level, subscriptions, ..Wanted::default() }.into();
        successor.earlier = self.tallies();
        Arc::new(successor)
    }

    /// The server is not for ever: from now on, whoever it leaves without an answer is told why.
    pub fn retires(&self, why: &'static str) {
        let _ = self.farewell.set(why);
    }

    /// What is said to those whom the end of the server leaves without an answer.
    pub(super) fn farewell(&self) -> Failure {
        let failure = match self.farewell.get() {
            Some(why) => Failure::new(Code::CallUnavailable, *why),
            None => Failure::new(Code::CallShutdown, "Switchboard is ending"),
        };
        failure.of(self.name())
    }

    /// Whether nobody has a call here, or on the way here.
    pub fn is_drained(&self) -> bool {
        self.open_calls() == 0 && self.journeys.load(Ordering::Relaxed) == 0
    }
}

/// A call on its way through stages to a server. It counts as long as this lives.
pub(crate) struct Journey(Arc<Backend>);

impl Journey {
    pub(crate) fn to(backend: &Arc<Backend>) -> Self {
        backend.journeys.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(backend))
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        self.0.journeys.fetch_sub(1, Ordering::Relaxed);
    }
}
