//! One client: what it said of itself, what it has open, and the queue of lines to it.

mod caller;
mod closing;
mod notices;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::call::{Caller as _, CallerId, ClientInfo, Introduction, Ticket};
use crate::catalog::Catalog;
use crate::frontend::modern::scope::Scope;
use crate::frontend::pending::{Question, Requests};
use crate::frontend::private::Private;
use crate::frontend::view::View;
use crate::frontend::{Hall, Outlet};
use crate::interceptor::Asks;
use crate::names::ServerName;
use crate::pipeline::Lane;
use crate::policy::Client;
use crate::protocol::{Level, Revision};
use crate::registry::Registry;

pub(super) use closing::{fits, too_large};
pub(super) use notices::{named_logger, write_edited};

/// One client of ours that began with `initialize`, or may still do so.
pub struct Session {
    me: Weak<Session>,
    id: CallerId,
    /// Who the client is by its token, over HTTP.
    principal: Option<Arc<str>>,
    pub(super) hall: Arc<Hall>,
    /// Where everything goes that belongs to no request of the client.
    pub(super) out: Outlet,
    /// The requests of the modern era on the same connection.
    pub(super) scope: Arc<Scope>,
    /// The servers of this session alone.
    pub(super) private: Private,
    /// Questions that belong to no call, while interceptors look at them.
    pub(super) asks: Arc<Asks>,
    /// The revision of the client, once it has introduced itself.
    revision: OnceLock<&'static Revision>,
    pub(super) state: Mutex<State>,
    /// Told whenever a request is closed.
    closed: Notify,
    pub(super) tasks: TaskTracker,
    pub(super) ended: CancellationToken,
}

/// What changes while the session lives. Locked for a line at a time.
pub(super) struct State {
    pub(super) requests: Requests,
    pub(super) questions: HashMap<u64, Question>,
    pub(super) next_question: u64,
    pub(super) greeted: Option<Greeted>,
    pub(super) level: Option<Level>,
    /// Questions, by number, that came before the client was ready for any; `None` once it is.
    pub(super) held: Option<Vec<(u64, Vec<u8>)>>,
    /// The lists as the client knows them, for `list_changed`.
    pub(super) announced: [u64; 4],
    /// The resources that the client follows, in the servers' spelling.
    pub(super) subscriptions: HashSet<(ServerName, String)>,
}

/// What the client said in its `initialize`.
pub(super) struct Greeted {
    pub(super) client: Arc<ClientInfo>,
    pub(super) introduction: Introduction,
    /// Until when a first list waits for servers that have not shown anything yet.
    pub(super) patience: Instant,
    /// Whether we have declared that tools can be called as tasks.
    pub(super) tasks: bool,
}

impl Session {
    /// A session in a hall; what belongs to no request goes to `out`.
    pub fn new(hall: &Arc<Hall>, out: Outlet, principal: Option<Arc<str>>) -> Arc<Self> {
        let session = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            id: CallerId::fresh(),
            principal,
            hall: Arc::clone(hall),
            out,
            scope: Arc::default(),
            private: Private::default(),
            asks: Arc::default(),
            revision: OnceLock::new(),
            state: Mutex::new(State {
                requests: Requests::default(),
                questions: HashMap::new(),
                next_question: 1,
                greeted: None,
                level: None,
                held: Some(Vec::new()),
                announced: [0; 4],
                subscriptions: HashSet::new(),
            }),
            closed: Notify::new(),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
        });
        hall.enter(&session);
        session
    }

    /// The servers; `None` only before the hall has them.
    pub(super) fn registry(&self) -> Option<&Arc<Registry>> {
        self.hall.registry()
    }

    pub(super) fn catalog(&self) -> Option<Arc<Catalog>> {
        self.hall.catalog()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Its own reference.
    pub(super) fn me(&self) -> Option<Arc<Session>> {
        self.me.upgrade()
    }

    pub(super) fn caller_id(&self) -> CallerId {
        self.id
    }

    /// The revision of the client, once it has introduced itself.
    pub(super) fn revision(&self) -> Option<&'static Revision> {
        self.revision.get().copied()
    }

    /// What the client is shown now.
    pub(super) fn view(&self, registry: &Registry) -> View {
        self.hall.view(registry, || Client::of(self))
    }

    /// Notes how the client has introduced itself. Whether it was for the first time.
    pub(super) fn greet(&self, greeted: Greeted) -> bool {
        let _ = self.revision.set(greeted.introduction.revision);
        self.state().greeted.replace(greeted).is_none()
    }

    /// Whether so much waits for the client that nothing more should be read for it.
    pub fn is_full(&self) -> bool {
        self.out.is_full()
    }

    /// Resolves when the client has room again. Cancel safe.
    pub async fn room(&self) {
        self.out.room().await;
    }

    /// How many requests of the client are open.
    pub fn open_requests(&self) -> usize {
        self.state().requests.count() + self.scope.count()
    }

    /// Waits until no request is open. Cancel safe.
    pub async fn drained(&self) {
        loop {
            let (closed, modern) = (self.closed.notified(), self.scope.closed().notified());
            tokio::pin!(closed, modern);
            closed.as_mut().enable();
            modern.as_mut().enable();
            if self.open_requests() == 0 {
                return;
            }
            tokio::select! {
                () = closed => {}
                () = modern => {}
            }
        }
    }

    /// The client is gone and will not come back: whatever it has at servers ends.
    pub fn leave(&self) {
        self.scope.cancel_all("the client has left");
        let (requests, followed) = {
            let mut state = self.state();
            (state.requests.close_all(), std::mem::take(&mut state.subscriptions))
        };
        for (ticket, request) in requests {
            if let Some(server) = request.server {
                self.cancel_at(&server, ticket, Some("the client has left"));
            }
        }
        for (server, uri) in followed {
            if let Some(backend) = self.backend(&server) {
                backend.unsubscribed(&uri);
            }
        }
        self.hall.ledger.left(self);
        self.private.end();
        self.hall.leave(self);
        self.level_changed();
    }

    /// The server of this name, as this session calls it.
    pub(super) fn lane(&self, server: &ServerName) -> Option<Lane> {
        self.private.find(server).or_else(|| self.registry()?.lane(server))
    }

    /// Tells the server of this name that the answer to a request is not wanted any more; if it was started anew meanwhile, the
    /// one that was too.
    pub(super) fn cancel_at(&self, server: &ServerName, ticket: Ticket, reason: Option<&str>) {
        let left = self.registry().map(|registry| registry.left(server)).unwrap_or_default();
        for lane in self.lane(server).into_iter().chain(left).chain(self.private.left(server)) {
            lane.cancel(self.id, ticket, reason);
        }
    }

    /// The same, for what is no call.
    pub(super) fn backend(&self, server: &ServerName) -> Option<Arc<Backend>> {
        self.lane(server).map(|lane| Arc::clone(lane.backend()))
    }

    /// Tells servers how severe log messages must be that anybody wants.
    pub(super) fn level_changed(&self) {
        let (Some(registry), Some(level)) = (self.registry(), self.hall.level()) else { return };
        registry.set_level(level);
        for backend in self.private.all() {
            backend.set_level(self.level().unwrap_or(level));
        }
    }

    /// Ends the session's own tasks, and what it has at servers, and waits for the tasks.
    pub async fn end(&self) {
        self.hall.leave(self);
        self.ended.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id).finish_non_exhaustive()
    }
}
