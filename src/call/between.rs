//! Who stands between a server and the client that called it: a caller that passes on what it does not care for.

use std::fmt::Debug;
use std::sync::Arc;

use super::{
    Ask, AskKey, Caller, CallerId, ClientInfo, Introduction, NotAsked, Notice, Progress, Reply, Ticket,
};
use crate::failure::Failure;
use crate::names::ServerName;
use crate::protocol::Level;

/// A caller in front of another one. Everything goes on to that one, unless a method says otherwise.
pub(crate) trait Between: Send + Sync + Debug {
    /// The one behind.
    fn client(&self) -> &Arc<dyn Caller>;

    /// See [`Caller::introduction`].
    fn introduction(&self) -> Introduction {
        self.client().introduction()
    }

    /// See [`Caller::hears_questions`].
    fn hears_questions(&self) -> bool {
        self.client().hears_questions()
    }

    /// See [`Caller::reply`].
    fn reply(&self, ticket: Ticket, reply: Reply<'_>) {
        self.client().reply(ticket, reply);
    }

    /// See [`Caller::fail`].
    fn fail(&self, ticket: Ticket, failure: Failure) {
        self.client().fail(ticket, failure);
    }

    /// See [`Caller::progress`].
    fn progress(&self, ticket: Ticket, progress: Progress<'_>) {
        self.client().progress(ticket, progress);
    }

    /// See [`Caller::log`].
    fn log(&self, ticket: Ticket, server: &ServerName, notice: Notice<'_>) {
        self.client().log(ticket, server, notice);
    }

    /// See [`Caller::ask`].
    fn ask(&self, ticket: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        self.client().ask(ticket, ask)
    }

    /// See [`Caller::withdraw`].
    fn withdraw(&self, key: &AskKey, reason: &str) {
        self.client().withdraw(key, reason);
    }
}

/// Every method is passed on, those with a default too.
impl<B: Between> Caller for B {
    fn id(&self) -> CallerId {
        Between::client(self).id()
    }

    fn introduction(&self) -> Introduction {
        Between::introduction(self)
    }

    fn principal(&self) -> Option<Arc<str>> {
        Between::client(self).principal()
    }

    fn profile(&self) -> Option<Arc<str>> {
        Between::client(self).profile()
    }

    fn client(&self) -> Option<Arc<ClientInfo>> {
        Between::client(self).client()
    }

    fn level(&self) -> Option<Level> {
        Between::client(self).level()
    }

    fn is_patient(&self) -> bool {
        Between::client(self).is_patient()
    }

    fn hears_questions(&self) -> bool {
        Between::hears_questions(self)
    }

    fn reply(&self, ticket: Ticket, reply: Reply<'_>) {
        Between::reply(self, ticket, reply);
    }

    fn fail(&self, ticket: Ticket, failure: Failure) {
        Between::fail(self, ticket, failure);
    }

    fn progress(&self, ticket: Ticket, progress: Progress<'_>) {
        Between::progress(self, ticket, progress);
    }

    fn log(&self, ticket: Ticket, server: &ServerName, notice: Notice<'_>) {
        Between::log(self, ticket, server, notice);
    }

    fn ask(&self, ticket: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        Between::ask(self, ticket, ask)
    }

    fn withdraw(&self, key: &AskKey, reason: &str) {
        Between::withdraw(self, key, reason);
    }
}
