//! The slot of a call. While the call waits for its user to come back, others may have it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::call::{Ask, AskKey, Asker, Between, Caller, NotAsked, Ticket};
use crate::wire::Body;

/// See the module. To the server it is the client of the call.
#[derive(Debug)]
pub(super) struct Slot {
    this: Weak<Slot>,
    client: Arc<dyn Caller>,
    slots: Arc<Semaphore>,
    state: Mutex<State>,
    over: Notify,
}

#[derive(Debug)]
enum State {
    Taken(#[expect(dead_code, reason = "it is given back when it is dropped")] OwnedSemaphorePermit),
    Lent,
    /// The call has ended.
    Over,
}

impl Slot {
    pub(super) fn new(
        slots: &Arc<Semaphore>,
        permit: OwnedSemaphorePermit,
        client: Arc<dyn Caller>,
    ) -> Arc<Self> {
        let (slots, state) = (Arc::clone(slots), Mutex::new(State::Taken(permit)));
        Arc::new_cyclic(|this| Self { this: this.clone(), client, slots, state, over: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the slot to others.
    fn lend(&self) {
        let mut state = self.state();
        let old = match *state {
            State::Taken(_) => std::mem::replace(&mut *state, State::Lent),
            State::Lent | State::Over => return,
        };
        drop(state);
        drop(old);
    }

    /// Waits for a slot again, before all calls that have not begun yet come behind.
    async fn take_back(&self) {
        let mut over = std::pin::pin!(self.over.notified());
        over.as_mut().enable();
        if !matches!(*self.state(), State::Lent) {
            return;
        }
        tokio::select! {
            permit = Arc::clone(&self.slots).acquire_owned() => {
                let mut state = self.state();
                if let (State::Lent, Ok(permit)) = (&*state, permit) {
                    *state = State::Taken(permit);
                }
            }
            () = over => {}
        }
    }
}

/// The call of a slot; the slot is free when it is dropped.
pub(super) struct Occupied(pub(super) Arc<Slot>);

impl Drop for Occupied {
    fn drop(&mut self) {
        let old = std::mem::replace(&mut *self.0.state(), State::Over);
        drop(old);
        self.0.over.notify_waiters();
    }
}

impl Between for Slot {
    fn client(&self) -> &Arc<dyn Caller> {
        &self.client
    }

    fn ask(&self, ticket: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        let Some(slot) = self.this.upgrade() else { return self.client.ask(ticket, ask) };
        let asker = Arc::new(Resumes { asker: Arc::clone(&ask.asker), slot });
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
        if !matches!(*self.slot.state(), State::Lent) {
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
