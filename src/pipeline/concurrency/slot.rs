//! The slot of a call. While the call waits for its user to come back, others may have it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::call::{Ask, AskKey, Asker, Between, Caller, NotAsked, Ticket};
use crate::wire::Body;

/// See the module.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Semaphore>,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    over: CancellationToken,
}

impl Slot {
    pub(super) fn new(slots: &Arc<Semaphore>, permit: OwnedSemaphorePermit) -> Arc<Self> {
        let (slots, permit) = (Arc::clone(slots), Mutex::new(Some(permit)));
        Arc::new(Self { slots, permit, over: CancellationToken::new() })
    }

    fn permit(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the slot to others.
    fn lend(&self) {
        drop(self.permit().take());
    }

    /// Waits for a slot again, before all calls that have not begun yet come behind.
    async fn take_back(&self) {
        tokio::select! {
            permit = Arc::clone(&self.slots).acquire_owned() => {
                if !self.over.is_cancelled() {
                    *self.permit() = permit.ok();
                }
            }
            () = self.over.cancelled() => {}
        }
    }
}

/// The call of a slot; the slot is free when it is dropped.
pub(super) struct Occupied(pub(super) Arc<Slot>);

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.over.cancel();
        self.0.lend();
    }
}

/// The client of a call that has a slot.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) client: Arc<dyn Caller>,
    pub(super) slot: Arc<Slot>,
}

impl Between for Holder {
    fn client(&self) -> &Arc<dyn Caller> {
        &self.client
    }

    fn ask(&self, ticket: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        let asker = Arc::new(Resumes { asker: Arc::clone(&ask.asker), slot: Arc::clone(&self.slot) });
        self.client.ask(ticket, Ask { asker, ..ask })
    }
}

/// The server that asks, behind the slot of its call.
#[derive(Debug)]
struct Resumes {
    asker: Arc<dyn Asker>,
    slot: Arc<Slot>,
}

impl Asker for Resumes {
    fn answer(&self, key: &AskKey, line: &Bytes, body: Body) {
        if self.slot.permit().is_some() || self.slot.over.is_cancelled() {
            return self.asker.answer(key, line, body);
        }
        // With the answer the server goes on, so the call needs a slot first.
        let (asker, slot) = (Arc::clone(&self.asker), Arc::clone(&self.slot));
        let (key, line) = (key.clone(), line.clone());
        tokio::spawn(async move {
            slot.take_back().await;
            asker.answer(&key, &line, body);
        });
    }

    fn progress(&self, key: &AskKey, params: &[u8]) {
        self.asker.progress(key, params);
    }

    fn rests(&self, key: &AskKey) {
        self.slot.lend();
        self.asker.rests(key);
    }
}
