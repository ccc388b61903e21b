//! The client as one who knows no tasks and waits: then the backend looks after what a server makes of the call, and its result comes
//! this way, past those who want to see it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::bridge::capabilities::takes_tasks;
use crate::call::{Ask, AskKey, Caller, CallerId, Introduction, NotAsked, Notice, Progress, Reply, Ticket};
use crate::failure::Failure;
use crate::names::ServerName;
use crate::protocol::{Level, meta};

/// See the module.
#[derive(Debug)]
pub(super) struct Waits {
    client: Arc<dyn Caller>,
    capabilities: Bytes,
}

impl Waits {
    /// The same client, if it does not know tasks anyway.
    pub(super) fn of(client: Arc<dyn Caller>) -> Arc<dyn Caller> {
        let declared = client.introduction().capabilities;
        if !takes_tasks(&declared) {
            return client;
        }
        let capabilities = without_tasks(&declared).unwrap_or_else(|| Bytes::from_static(b"{}"));
        Arc::new(Self { client, capabilities })
    }
}

fn without_tasks(capabilities: &[u8]) -> Option<Bytes> {
    let mut capabilities: Value = serde_json::from_slice(capabilities).ok()?;
    capabilities.get_mut("extensions")?.as_object_mut()?.shift_remove(meta::TASKS);
    Some(serde_json::to_vec(&capabilities).ok()?.into())
}

/// Every method is passed on, those with a default too.
impl Caller for Waits {
    fn id(&self) -> CallerId {
        self.client.id()
    }

    fn introduction(&self) -> Introduction {
        Introduction { capabilities: self.capabilities.clone(), ..self.client.introduction() }
    }

    fn principal(&self) -> Option<Arc<str>> {
        self.client.principal()
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
        self.client.ask(ticket, ask)
    }

    fn withdraw(&self, key: &AskKey, reason: &str) {
        self.client.withdraw(key, reason);
    }
}
