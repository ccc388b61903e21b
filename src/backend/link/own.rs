//! Requests and notifications of our own.

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Flight, Link, OwnReply, Owner};
use crate::backend::compose;
use crate::failure::Failure;

impl Link {
    /// Sends a request of our own and hands out where its answer will come. `None` if the server is not running.
    pub(in crate::backend) fn request(
        &self,
        method: &str,
        params: Option<&[u8]>,
    ) -> Option<(u64, oneshot::Receiver<OwnReply>)> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.lock();
        let run = inner.run.as_mut()?;
        let id = run.fly(Owner::Own(sender), Instant::now());
        run.outbox.push(|line| compose::own_request(line, id, method, params));
        Some((id, receiver))
    }

    /// Gives up a request of our own.
    pub(in crate::backend) fn forget(&self, id: u64) {
        if let Some(run) = &mut self.lock().run {
            run.take(id);
        }
    }

    /// A request of our own gets no answer.
    pub(in crate::backend) fn end_own(&self, generation: u64, id: u64, failure: Failure) {
        let mut inner = self.lock();
        let Some(run) = inner.run_of(generation) else { return };
        let is_own = run.flights.get(&id).is_some_and(|flight| matches!(flight.owner, Owner::Own(_)));
        if is_own && let Some(Flight { owner: Owner::Own(sender), .. }) = run.take(id) {
            // Whoever asked may have given up.
            let _ = sender.send(Err(failure));
        }
    }

    /// Gives up a request of our own, and tells the server.
    pub(in crate::backend) fn abandon(&self, id: u64) {
        if let Some(run) = &mut self.lock().run
            && run.take(id).is_some()
        {
            run.cancel(id, None);
        }
    }

    /// Whether a request is open.
    pub(in crate::backend) fn is_open(&self, generation: u64, id: u64) -> bool {
        self.lock().run_of(generation).is_some_and(|run| run.flights.contains_key(&id))
    }

    /// Sends a request of our own whose answer does not matter.
    pub(in crate::backend) fn tell(&self, method: &str, params: &[u8]) {
        let _ = self.request(method, Some(params));
    }

    /// Sends a notification, if the server has been greeted.
    pub(in crate::backend) fn notify(&self, method: &str, params: Option<&[u8]>) {
        if let Some(run) = self.lock().run.as_ref().filter(|run| run.greeting.is_some()) {
            run.outbox.push(|line| compose::notification(line, method, params));
        }
    }
}
