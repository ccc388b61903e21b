//! The client as the server sees it, with somebody who notes whether it is asked anything: then the answer is for this client
//! alone.

use std::sync::Arc;

use super::flight::Flight;
use crate::call::{
    Ask, AskKey, Caller, CallerId, ClientInfo, Introduction, NotAsked, Notice, Progress, Reply, Ticket,
};
use crate::failure::Failure;
use crate::names::ServerName;
use crate::protocol::Level;

/// See the module.
#[derive(Debug)]
pub(super) struct Witness {
    pub(super) client: Arc<dyn Caller>,
    pub(super) flight: Arc<Flight>,
}

/// Every method is passed on, those with a default too.
impl Caller for Witness {
    fn id(&self) -> CallerId {
        self.client.id()
    }

    fn introduction(&self) -> Introduction {
        self.client.introduction()
    }

    fn principal(&self) -> Option<Arc<str>> {
        self.client.principal()
    }

    fn client(&self) -> Option<Arc<ClientInfo>> {
        self.client.client()
    }

    fn level(&self) -> Option<Level> {
        self.client.level()
    }

    fn is_patient(&self) -> bool {
        self.client.is_patient()
    }

    fn reply(&self, ticket: Ticket, reply: Reply<'_>) {
        self.client.reply(ticket, reply);
    }

    fn fail(&self, ticket: Ticket, failure: Failure) {
        self.client.fail(ticket, failure);
    }

    fn progress(&self, ticket: Ticket, progress: Progress<'_>) {
        self.client.progress(ticket, progress);
    }

    fn log(&self, ticket: Ticket, server: &ServerName, notice: Notice<'_>) {
        self.client.log(ticket, server, notice);
    }

    fn ask(&self, ticket: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        // Also if it cannot be asked: another client might have been.
        self.flight.part();
        self.client.ask(ticket, ask)
    }

    fn withdraw(&self, key: &AskKey, reason: &str) {
        self.client.withdraw(key, reason);
    }
}
