//! The tasks that we know of: those that we keep ourselves, and whose those of servers are.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::kept::{Kept, Owner};
use crate::frontend::session::Session;
use crate::names::ServerName;

/// More tasks than this are not kept at once.
const MAX_KEPT: usize = 1000;
/// The results of those that have ended have at most so many bytes in all.
const MAX_SIZE: usize = 64 << 20;
/// Of so many tasks of servers we remember whose they are; after that the oldest are forgotten.
const MAX_OWNED: usize = 10_000;

/// See the module.
#[derive(Default)]
pub(in crate::frontend) struct Ledger {
    kept: Mutex<HashMap<u128, Arc<Kept>>>,
    owned: Mutex<VecDeque<Owned>>,
}

/// A task of a server that a session has begun.
struct Owned {
    server: ServerName,
    id: String,
    session: Weak<Session>,
}

impl Ledger {
    fn all(&self) -> MutexGuard<'_, HashMap<u128, Arc<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owned(&self) -> MutexGuard<'_, VecDeque<Owned>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for one more. Tasks that have ended make it, the oldest first.
    pub(super) fn makes_room(&self) -> bool {
        let mut all = self.all();
        let mut ended: Vec<_> = all
            .iter()
            .filter_map(|(number, kept)| Some((kept.created, *number, kept.state().end()?.size())))
            .collect();
        ended.sort_unstable();
        let mut size: usize = ended.iter().map(|(.., size)| size).sum();
        for (_, number, its) in ended {
            if all.len() < MAX_KEPT && size <= MAX_SIZE {
                break;
            }
            all.remove(&number);
            size -= its;
        }
        all.len() < MAX_KEPT
    }

    pub(super) fn keep(&self, number: u128, kept: &Arc<Kept>) {
        self.all().insert(number, Arc::clone(kept));
    }

    pub(super) fn find(&self, number: u128) -> Option<Arc<Kept>> {
        self.all().get(&number).cloned()
    }

    pub(super) fn forget(&self, number: u128) -> Option<Arc<Kept>> {
        self.all().remove(&number)
    }

    /// The kept tasks of a session, oldest first.
    pub(super) fn kept_of(&self, session: &Session) -> Vec<Arc<Kept>> {
        let mut kept: Vec<_> = self.all().values().filter(|kept| kept.is_of(session)).cloned().collect();
        kept.sort_by_key(|kept| kept.created);
        kept
    }

    /// A session has begun a task of a server.
    pub(super) fn own(&self, server: &ServerName, id: String, session: &Arc<Session>) {
        let mut owned = self.owned();
        if owned.len() >= MAX_OWNED {
            owned.pop_front();
        }
        owned.push_back(Owned { server: server.clone(), id, session: Arc::downgrade(session) });
    }

    /// The server has forgotten the task.
    pub(super) fn disown(&self, server: &ServerName, id: &str) {
        self.owned().retain(|owned| owned.server != *server || owned.id != id);
    }

    /// Whose task of this server it is.
    pub(in crate::frontend) fn owner(&self, server: &ServerName, id: &str) -> Option<Arc<Session>> {
        let owned = self.owned();
        owned.iter().find(|owned| owned.server == *server && owned.id == id)?.session.upgrade()
    }

    /// The tasks of servers that a session has begun, oldest first.
    pub(super) fn owned_by(&self, session: &Session) -> Vec<(ServerName, String)> {
        let owned = self.owned();
        let is_its = |owned: &&Owned| std::ptr::eq(owned.session.as_ptr(), session);
        owned.iter().filter(is_its).map(|owned| (owned.server.clone(), owned.id.clone())).collect()
    }

    /// A session has left, and so its tasks are nobody's: what we keep of them ends.
    pub(in crate::frontend) fn left(&self, session: &Session) {
        self.owned().retain(|owned| !std::ptr::eq(owned.session.as_ptr(), session));
        let kept: Vec<Arc<Kept>> =
            self.all().extract_if(|_, kept| kept.is_of(session)).map(|(_, kept)| kept).collect();
        for kept in kept {
            kept.cancel("the client has left");
        }
    }

    /// We are ending.
    pub(in crate::frontend) fn end(&self) {
        let kept: Vec<Arc<Kept>> = self.all().drain().map(|(_, kept)| kept).collect();
        for kept in kept {
            kept.cancel("Switchboard is ending");
        }
    }
}

impl Kept {
    fn is_of(&self, session: &Session) -> bool {
        matches!(&self.owner, Owner::Session(owner) if std::ptr::eq(owner.as_ptr(), session))
    }
}
