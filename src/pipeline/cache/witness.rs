//! The client as the server sees it, with somebody who notes whether it is asked anything: then the answer is for this client
//! alone.

use std::sync::Arc;

use super::flight::Flight;
use crate::call::{Ask, Between, Caller, NotAsked, Ticket};

/// See the module.
#[derive(Debug)]
pub(super) struct Witness {
    pub(super) client: Arc<dyn Caller>,
    pub(super) flight: Arc<Flight>,
}

impl Between for Witness {
    fn client(&self) -> &Arc<dyn Caller> {
        &self.client
    }

    fn ask(&self, ticket: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        // Also if it cannot be asked: another client might have been.
        self.flight.part();
        self.client.ask(ticket, ask)
    }
}
