//! Everybody who is connected: what servers say outside of calls is handed on here.
//!
//! On pipes there is one client, the *sole* one, and what a server says is his. Over HTTP there are many; then only he
//! hears of it who alone has a call at that server, or who has asked to hear.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bridge::capabilities::WIDEST;
use crate::call::{Ask, AskKey, AskKind, Audience, Caller, InFlight, Introduction, NotAsked, Notice};
use crate::catalog::Catalog;
use crate::frontend::modern::listen::Listener;
use crate::frontend::modern::lists::{PATIENCE, SHARED_PATIENCE};
use crate::frontend::modern::parked::Parked;
use crate::frontend::modern::seal::Seal;
use crate::frontend::session::Session;
use crate::frontend::tasks::Ledger;
use crate::frontend::view::Views;
use crate::meter::{Crowd, Present};
use crate::names::ServerName;
use crate::protocol::{Level, Revision, Tasks};
use crate::registry::Registry;
use crate::wire::{Body, Span, json};

/// See the module.
pub struct Hall {
    registry: OnceLock<Arc<Registry>>,
    introduction: OnceLock<Introduction>,
    /// Whether there is, and will be, only one client.
    is_sole: bool,
    sessions: Mutex<Vec<Weak<Session>>>,
    listeners: Mutex<Vec<Weak<Listener>>>,
    /// Until when first lists of modern clients wait for servers that have not shown anything yet.
    patience: OnceLock<Instant>,
    /// Calls of modern clients that wait for them to come back.
    pub(super) parked: Parked,
    pub(super) seal: Seal,
    /// What clients are shown, where policies decide that.
    pub(super) views: Views,
    /// The tasks of clients.
    pub(super) ledger: Ledger,
    pub(super) tasks: TaskTracker,
    pub(super) ended: CancellationToken,
}

impl Hall {
    /// A hall for one client, or for many.
    pub fn new(is_sole: bool) -> Arc<Self> {
        Arc::new(Self {
            registry: OnceLock::new(),
            introduction: OnceLock::new(),
            is_sole,
            sessions: Mutex::default(),
            listeners: Mutex::default(),
            patience: OnceLock::new(),
            parked: Parked::default(),
            seal: Seal::new(),
            views: Views::default(),
            ledger: Ledger::default(),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
        })
    }

    /// Whether there is, and will be, only one client.
    pub(super) fn is_sole(&self) -> bool {
        self.is_sole
    }

    /// Gives the hall its servers. Once, before the first client.
    pub fn attach(self: &Arc<Self>, registry: Arc<Registry>) {
        let me: Weak<Self> = Arc::downgrade(self);
        registry.meters().attach(me);
        let _ = self.registry.set(registry);
    }

    /// The servers; `None` only before [`attach`](Self::attach).
    pub(super) fn registry(&self) -> Option<&Arc<Registry>> {
        self.registry.get()
    }

    pub(super) fn catalog(&self) -> Option<Arc<Catalog>> {
        self.registry().map(|registry| registry.catalog())
    }

    /// The name of the profile by which the holder of a token is served, if by one.
    pub(super) fn profile_of(&self, token: Option<&str>) -> Option<Arc<str>> {
        self.registry()?.servers().config().profile_of(token).cloned()
    }

    /// Somebody needs servers: they are set going, introduced to the first client as he is, or, where there may be others, to
    /// anybody.
    pub(super) fn begin(&self, first: Introduction) {
        let introduction = if self.is_sole { first } else { anybody() };
        let introduction = self.introduction.get_or_init(|| introduction);
        self.patience.get_or_init(|| Instant::now() + if self.is_sole { PATIENCE } else { SHARED_PATIENCE });
        if let Some(registry) = self.registry() {
            registry.begin(introduction);
        }
    }

    /// Sets the servers going before anybody has come.
    pub fn open_doors(&self) {
        self.begin(anybody());
    }

    pub(super) fn enter(&self, session: &Arc<Session>) {
        let mut sessions = self.sessions();
        sessions.retain(|known| known.strong_count() > 0);
        sessions.push(Arc::downgrade(session));
    }

    pub(super) fn leave(&self, session: &Session) {
        self.sessions().retain(|known| known.upgrade().is_some_and(|known| !std::ptr::eq(&*known, session)));
    }

    /// The least severe log messages that anybody who is connected wants to see; `None` if nobody has said anything.
    pub(super) fn level(&self) -> Option<Level> {
        self.present().iter().filter_map(|session| session.level()).min()
    }

    /// Until when first lists wait for new servers, once anybody has needed them.
    pub(super) fn patience(&self) -> Option<Instant> {
        self.patience.get().copied()
    }

    /// Those who listen. Ones that have stopped are still among them, dead.
    pub(super) fn listeners(&self) -> MutexGuard<'_, Vec<Weak<Listener>>> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners
    }

    pub(super) fn present_listeners(&self) -> Vec<Arc<Listener>> {
        self.listeners().iter().filter_map(Weak::upgrade).collect()
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Weak<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those who are connected now.
    fn present(&self) -> Vec<Arc<Session>> {
        self.sessions().iter().filter_map(Weak::upgrade).collect()
    }

    /// The only client, if it has introduced itself.
    fn sole(&self) -> Option<Arc<Session>> {
        let session = self.is_sole.then(|| self.sessions().first().and_then(Weak::upgrade)).flatten()?;
        session.revision().is_some().then_some(session)
    }

    /// What a server says outside of calls, without what is hidden from clients; `None` if nothing of it is.
    pub(super) fn unhidden(&self, server: &ServerName, text: &[u8]) -> Option<Bytes> {
        self.registry()?.lane(server)?.unhidden(text)
    }

    /// Ends what we have under way and waits for it.
    pub async fn end(&self) {
        self.ended.cancel();
        self.ledger.end();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The introduction that fits whoever may come: there may be one who can be asked. Each question is then put only to a client
/// that has said so.
pub(super) fn anybody() -> Introduction {
    Introduction { revision: Revision::newest_modern(), capabilities: Bytes::from_static(WIDEST) }
}

impl std::fmt::Debug for Hall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hall").field("sessions", &self.sessions().len()).finish_non_exhaustive()
    }
}

impl Crowd for Hall {
    fn present(&self) -> Present {
        let sessions = self.present().iter().filter(|session| session.revision().is_some()).count();
        Present { sessions, parked: self.parked.count() }
    }
}

impl Audience for Hall {
    fn introduction(&self) -> Introduction {
        self.introduction.get().cloned().unwrap_or_else(anybody)
    }

    fn log(&self, server: &ServerName, notice: Notice<'_>, in_flight: &[InFlight]) {
        let told = self.unhidden(server, notice.params.of(notice.line));
        let notice = match &told {
            Some(text) => Notice { line: text, params: Span { start: 0, end: text.len() } },
            None => notice,
        };
        if let Some(sole) = self.sole() {
            sole.pass_log(server, &notice, None);
            let others = in_flight.iter().filter(|(_, caller)| caller.id() != sole.caller_id());
            return others.for_each(|(ticket, caller)| caller.log(*ticket, server, Notice { ..notice }));
        }
        // Of many callers nobody knows whose call is meant, and what it says may be nobody else's business.
        if let [(ticket, caller)] = in_flight {
            caller.log(*ticket, server, notice);
        }
    }

    fn say(&self, server: &ServerName, text: &str) {
        tracing::warn!(event = "server.remark", %server, text, "said about a server");
        if let Some(sole) = self.sole() {
            sole.say(server, text);
        }
    }

    fn updated(&self, server: &ServerName, notice: Notice<'_>) {
        for session in self.present() {
            session.updated(server, &notice);
        }
        let listeners = self.present_listeners();
        if listeners.is_empty() {
            return;
        }
        let params = notice.params.of(notice.line);
        let uri = json::get(params, "uri").and_then(|span| json::string(span.of(params)));
        if let (Some(uri), Some(catalog)) = (uri, self.catalog()) {
            let exposed = catalog.expose_uri(server, &uri);
            listeners.iter().for_each(|listener| listener.updated(&exposed));
        }
    }

    fn owner_of_task(&self, server: &ServerName, id: &str) -> Option<Arc<dyn Caller>> {
        self.ledger.owner(server, id).map(|session| session.asked_about_task(server))
    }

    fn task_changed(&self, server: &ServerName, form: Tasks, notice: Notice<'_>) {
        Hall::task_changed(self, server, form, &notice);
    }

    fn elicitation_complete(&self, notice: Notice<'_>) {
        for session in self.present() {
            session.elicitation_complete(&notice);
        }
    }

    fn ask(&self, ask: Ask<'_>) -> Result<(), NotAsked> {
        if let Some(sole) = self.sole() {
            return sole.put_outside(ask);
        }
        if ask.kind == AskKind::Roots {
            // Roots belong to a client, and no client is meant.
            let none = Bytes::from_static(br#"{"roots":[]}"#);
            let whole = Span { start: 0, end: none.len() };
            ask.asker.answer(&ask.key, &none, Body::Result(whole));
            return Ok(());
        }
        let why = format!("no client has a call here that `{}` could belong to", ask.kind.method());
        Err(NotAsked::Unsupported(why))
    }

    fn withdraw(&self, key: &AskKey, reason: &str) {
        for session in self.present() {
            session.take_back(key, reason);
        }
    }

    fn is_full(&self) -> bool {
        self.is_sole && self.sessions().first().and_then(Weak::upgrade).is_some_and(|sole| sole.is_full())
    }

    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let sole = self.sessions().first().and_then(Weak::upgrade);
        Box::pin(async move {
            if let Some(sole) = sole {
                sole.room().await;
            }
        })
    }
}
