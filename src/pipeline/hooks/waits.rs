//! The client as one who knows no tasks and waits: then the backend looks after what a server makes of the call, and its result comes
//! this way, past those who want to see it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::bridge::capabilities::takes_tasks;
use crate::call::{Between, Caller, Introduction};
use crate::protocol::meta;

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

impl Between for Waits {
    fn client(&self) -> &Arc<dyn Caller> {
        &self.client
    }

    fn introduction(&self) -> Introduction {
        Introduction { capabilities: self.capabilities.clone(), ..self.client.introduction() }
    }
}
