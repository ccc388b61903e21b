//! What one client has open: its requests, and the questions that servers have put to it.

use std::sync::Arc;

use ahash::HashMap;
use bytes::Bytes;

use crate::call::{AskKey, AskKind, Asker, Ticket};
use crate::frontend::Outlet;
use crate::frontend::batch::Batch;
use crate::names::ServerName;
use crate::protocol::{Method, Revision};
use crate::wire::outbox::render;
use crate::wire::{Id, LineWriter};

/// An open request of the client.
pub(super) struct Request {
    pub(super) id: Id,
    pub(super) method: Method,
    /// The client's own progress token, as it spelt it.
    pub(super) token: Option<Box<[u8]>>,
    /// Where it went; `None` while we answer it ourselves.
    pub(super) server: Option<ServerName>,
    /// Whether the answer may hold URIs that clients know under other spellings.
    pub(super) rewrites: bool,
    /// Whether the answer may tell of a task.
    pub(super) task: bool,
    /// The largest result to pass on, in bytes.
    pub(super) limit: usize,
    /// The resource of a subscription, in the server's spelling.
    pub(super) uri: Option<Box<str>>,
    /// Where its answer goes.
    pub(super) back: Back,
}

/// The way back of what a client sent: where answers to it go.
#[derive(Clone)]
pub(super) struct Back {
    /// The stream or the HTTP answer.
    pub(super) out: Outlet,
    /// The batch it came in.
    pub(super) batch: Option<Arc<Batch>>,
}

impl Back {
    /// Sends the answer: by itself, or with the batch that it belongs to.
    #[inline]
    pub(super) fn send(&self, write: impl FnOnce(&mut LineWriter<'_>)) {
        match &self.batch {
            None => self.out.push(write),
            Some(batch) => self.gather(batch, Some(&render(write))),
        }
    }

    /// There will be no answer.
    pub(super) fn nothing(&self) {
        if let Some(batch) = &self.batch {
            self.gather(batch, None);
        }
    }

    fn gather(&self, batch: &Batch, answer: Option<&[u8]>) {
        batch.add(answer, |array| self.out.push(|line| line.copy(&array)));
    }
}

/// A question of a server that the client has not answered.
pub(super) struct Question {
    pub(super) key: AskKey,
    /// Who wants the answer.
    pub(super) asker: Arc<dyn Asker>,
    /// What was asked.
    pub(super) kind: AskKind,
    /// The revision in which it was asked, and will be answered.
    pub(super) revision: &'static Revision,
    /// The server's own progress token.
    pub(super) token: Option<Bytes>,
    /// The request in whose middle it was asked, if it is known.
    pub(super) whose: Option<Ticket>,
    /// Where it went.
    pub(super) out: Outlet,
}

/// Open requests by ticket and by id.
///
/// A ticket is a slot and how often the slot was used, so that a late answer never meets a younger request.
#[derive(Default)]
pub(super) struct Requests {
    slots: Vec<(u32, Option<Request>)>,
    free: Vec<u32>,
    by_id: HashMap<Id, Ticket>,
}

impl Requests {
    /// Notes a request; `None` if one with this id is open.
    pub(super) fn open(&mut self, request: Request) -> Option<Ticket> {
        let slot = self.free.last().copied().unwrap_or(self.slots.len() as u32);
        let uses = self.slots.get(slot as usize).map_or(0, |(uses, _)| *uses);
        let ticket = Ticket(u64::from(uses) << 32 | u64::from(slot));
        match self.by_id.entry(request.id.clone()) {
            std::collections::hash_map::Entry::Occupied(_) => return None,
            std::collections::hash_map::Entry::Vacant(vacant) => vacant.insert(ticket),
        };
        match self.slots.get_mut(slot as usize) {
            Some(place) => {
                self.free.pop();
                place.1 = Some(request);
            }
            None => self.slots.push((0, Some(request))),
        }
        Some(ticket)
    }

    /// The request of a ticket, if it is still open.
    pub(super) fn get(&self, ticket: Ticket) -> Option<&Request> {
        let (uses, request) = self.slots.get(ticket.0 as u32 as usize)?;
        request.as_ref().filter(|_| u64::from(*uses) == ticket.0 >> 32)
    }

    /// Takes the request of a ticket.
    #[inline]
    pub(super) fn close(&mut self, ticket: Ticket) -> Option<Request> {
        let slot = ticket.0 as u32;
        let (uses, place) = self.slots.get_mut(slot as usize)?;
        if u64::from(*uses) != ticket.0 >> 32 {
            return None;
        }
        let request = place.take()?;
        *uses = uses.wrapping_add(1);
        self.free.push(slot);
        self.by_id.remove(&request.id);
        Some(request)
    }

    /// Takes all of them.
    pub(super) fn close_all(&mut self) -> Vec<(Ticket, Request)> {
        let tickets: Vec<Ticket> = self.by_id.values().copied().collect();
        tickets.into_iter().filter_map(|ticket| Some((ticket, self.close(ticket)?))).collect()
    }

    /// The ticket of an id.
    pub(super) fn ticket(&self, id: &Id) -> Option<Ticket> {
        self.by_id.get(id).copied()
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str) -> Request {
        Request {
            id: Id::new(id.as_bytes()).unwrap(),
            method: Method::Ping,
            token: None,
            server: None,
            rewrites: false,
            task: false,
            limit: usize::MAX,
            uri: None,
            back: Back { out: Outlet::Stream(Arc::new(crate::wire::Outbox::new(1))), batch: None },
        }
    }

    #[test]
    fn a_slot_that_is_used_again_does_not_answer_to_its_old_ticket() {
        let mut requests = Requests::default();
        let first = requests.open(request("1")).unwrap();
        assert!(requests.open(request("1")).is_none(), "the id is open");
        assert!(requests.open(request("\"1\"")).is_some(), "a string is another id");
        assert!(requests.close(first).is_some());
        assert!(requests.close(first).is_none());
        let again = requests.open(request("1")).unwrap();
        assert_ne!(first, again);
        assert!(requests.get(first).is_none());
        assert!(requests.get(again).is_some());
        assert_eq!(requests.count(), 2);
    }
}
