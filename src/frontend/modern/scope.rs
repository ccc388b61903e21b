//! What one connection of a modern client has open, and the right to answer it.
//!
//! On pipes the connection is the process' stdin and stdout; over HTTP each request is a connection of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::frontend::Outlet;
use crate::frontend::answer::Answer;
use crate::wire::{Id, LineWriter};

/// Something that is open and can be given up.
pub(in crate::frontend) trait Open: Send + Sync {
    /// The client no longer wants the answer; there will be none.
    fn cancelled(&self, reason: Option<&str>);

    /// Whether it goes on until somebody ends it: nobody waits for it.
    fn is_lasting(&self) -> bool {
        false
    }
}

/// See the module.
#[derive(Default)]
pub(in crate::frontend) struct Scope {
    open: Mutex<Requests>,
    closed: Notify,
}

#[derive(Default)]
struct Requests {
    by_id: HashMap<Id, (u64, Option<Arc<dyn Open>>)>,
    /// How many there ever were: tells a request from a later one with the same id.
    count: u64,
}

impl Scope {
    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request; `None` if one with this id is open.
    pub(in crate::frontend) fn open(self: &Arc<Self>, id: Id, out: Outlet) -> Option<Responder> {
        let mut requests = self.requests();
        if requests.by_id.contains_key(&id) {
            return None;
        }
        requests.count += 1;
        let serial = requests.count;
        requests.by_id.insert(id.clone(), (serial, None));
        drop(requests);
        Some(Responder { scope: Arc::clone(self), id, serial, out })
    }

    /// Gives up the request of this id. Whether it was open.
    pub(in crate::frontend) fn cancel(&self, id: &Id, reason: Option<&str>) -> bool {
        let removed = self.requests().by_id.remove(id);
        let Some((_, open)) = removed else { return false };
        self.closed.notify_waiters();
        if let Some(open) = open {
            open.cancelled(reason);
        }
        true
    }

    /// Gives up everything: the client is gone.
    pub(in crate::frontend) fn cancel_all(&self, reason: &str) {
        let all: Vec<Id> = self.requests().by_id.keys().cloned().collect();
        for id in all {
            self.cancel(&id, Some(reason));
        }
    }

    /// How many requests will be answered yet, without those that last.
    pub(in crate::frontend) fn count(&self) -> usize {
        let lasts = |open: &Option<Arc<dyn Open>>| open.as_ref().is_some_and(|open| open.is_lasting());
        self.requests().by_id.values().filter(|(_, open)| !lasts(open)).count()
    }

    /// Resolves, again and again, when a request is closed.
    pub(in crate::frontend) fn closed(&self) -> &Notify {
        &self.closed
    }
}

/// The right to answer one request, once. Dropping it leaves the request without an answer.
pub(in crate::frontend) struct Responder {
    scope: Arc<Scope>,
    id: Id,
    serial: u64,
    out: Outlet,
}

impl Responder {
    /// The request's id.
    pub(in crate::frontend) fn id(&self) -> &Id {
        &self.id
    }

    /// From now on, whoever gives the request up is handed to `open`. False if it was given up already.
    #[must_use]
    pub(in crate::frontend) fn watch(&self, open: Arc<dyn Open>) -> bool {
        let mut requests = self.scope.requests();
        let slot = requests.by_id.get_mut(&self.id).filter(|(serial, _)| *serial == self.serial);
        let is_open = slot.is_some();
        if let Some((_, slot)) = slot {
            *slot = Some(open);
        }
        is_open
    }

    /// Whether the client still waits.
    pub(in crate::frontend) fn is_open(&self) -> bool {
        self.scope.requests().by_id.get(&self.id).is_some_and(|(serial, _)| *serial == self.serial)
    }

    /// Sends a message that belongs to the request, if it is still open.
    pub(in crate::frontend) fn send(&self, write: impl FnOnce(&mut LineWriter<'_>)) {
        if self.is_open() {
            self.out.push(write);
        }
    }

    /// How many bytes wait for the client.
    pub(in crate::frontend) fn waiting(&self) -> usize {
        self.out.waiting()
    }

    fn close(&self) -> bool {
        let mut requests = self.scope.requests();
        let is_open = requests.by_id.get(&self.id).is_some_and(|(serial, _)| *serial == self.serial);
        if is_open {
            requests.by_id.remove(&self.id);
            drop(requests);
            self.scope.closed.notify_waiters();
        }
        is_open
    }

    /// Answers the request with something of ours.
    pub(in crate::frontend) fn answer(self, answer: &Answer) {
        if self.close() {
            self.out.push(|line| answer.write(line, self.id.as_bytes()));
        }
    }

    /// Answers the request with a part of `text`: `member` is `result` or `error`.
    pub(in crate::frontend) fn relay(self, member: &str, text: &Bytes, span: crate::wire::Span) {
        if self.close() {
            self.out.push(|out| {
                out.copy(br#"{"jsonrpc":"2.0","id":"#);
                out.copy(self.id.as_bytes());
                out.copy(b",\"");
                out.copy(member.as_bytes());
                out.copy(b"\":");
                out.part(text, span.start, span.end);
                out.copy(b"}");
            });
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.close();
    }
}
