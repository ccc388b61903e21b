//! Where a message to a client goes: onto its one stream, or into the answer of the HTTP request it belongs to.

use std::sync::Arc;

use crate::wire::{LineWriter, Outbox};

/// See the module. Cheap to clone.
#[derive(Clone)]
pub enum Outlet {
    /// The stream of a client on pipes.
    Stream(Arc<Outbox>),
}

impl Outlet {
    /// Appends one message.
    #[inline]
    pub fn push(&self, write: impl FnOnce(&mut LineWriter<'_>)) {
        match self {
            Outlet::Stream(outbox) => outbox.push(write),
        }
    }

    /// How many bytes wait.
    pub fn waiting(&self) -> usize {
        match self {
            Outlet::Stream(outbox) => outbox.waiting(),
        }
    }

    /// Whether as much waits as may.
    pub fn is_full(&self) -> bool {
        match self {
            Outlet::Stream(outbox) => outbox.is_full(),
        }
    }

    /// Resolves when there is room again. Cancel safe.
    pub async fn room(&self) {
        match self {
            Outlet::Stream(outbox) => outbox.room().await,
        }
    }
}
