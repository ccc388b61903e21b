//! What a backend's task is asked to do.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::protocol::ListKind;

/// What the lifecycle is asked to do. A flag that is set twice is one order.
#[derive(Default)]
pub(super) struct Orders {
    pending: Mutex<Pending>,
    given: Notify,
}

#[derive(Default)]
pub(super) struct Pending {
    pub(super) start: bool,
    pub(super) refresh: Vec<ListKind>,
    /// Other resources are followed than before.
    pub(super) follow: bool,
    /// The server has agreed to tell what the request of this id asked it to.
    pub(super) acknowledged: Option<u64>,
    /// The server no longer speaks the revision that it spoke.
    pub(super) renegotiate: bool,
}

impl Orders {
    pub(super) fn give(&self, order: impl FnOnce(&mut Pending)) {
        order(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        self.given.notify_one();
    }

    pub(super) fn wants_refresh(&self) -> bool {
        !self.pending.lock().unwrap_or_else(PoisonError::into_inner).refresh.is_empty()
    }

    pub(super) fn take(&self) -> Pending {
        std::mem::take(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when there may be an order. Cancel safe.
    pub(super) async fn given(&self) {
        self.given.notified().await;
    }
}
