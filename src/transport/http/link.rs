//! What the tasks of one connection share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use reqwest::Url;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::{Client, Request, content_type};
use super::errors::Refusal;
use super::headers::{EVENT_STREAM, LAST_EVENT_ID, SESSION, Session};
use super::message::{self, Answer};
use super::streams::{Cursor, Events};
use crate::failure::{Code, Failure};
use crate::transport::{Fate, Inbound, Opening};

/// How messages reach the server.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// Streamable HTTP: each request has an answer of its own.
    Streamable(Session),
    /// HTTP with SSE (2024-11-05): messages go to this address, and answers come on the stream that named it.
    EventStream(Url),
}

/// A request that is on its way.
struct Open {
    modern: bool,
    stop: CancellationToken,
}

/// One connection.
pub(super) struct Link {
    pub client: Arc<Client>,
    pub opening: Opening,
    /// Whether HTTP with SSE is tried where Streamable HTTP is not spoken, and whether that has come so.
    pub fallback: Option<Arc<AtomicBool>>,
    /// Ends every task of the connection.
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
    way: Mutex<Way>,
    open: Mutex<HashMap<u64, Open>>,
    incoming: mpsc::Sender<Inbound>,
    lost: watch::Sender<Option<Failure>>,
    /// The server does not know the session any more.
    is_forgotten: AtomicBool,
    /// Told when a request has ended.
    ended: Notify,
}

/// How long the connection stays after the server has forgotten the session: so long may the refusals of what else was on
/// its way take. Whatever was refused waits for that.
const LAST_REFUSALS: Duration = Duration::from_millis(500);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    pub(super) fn new(
        client: Arc<Client>,
        opening: Opening,
        way: Way,
        fallback: Option<Arc<AtomicBool>>,
    ) -> (Arc<Self>, mpsc::Receiver<Inbound>) {
        // Whoever reads slowly makes the streams wait, not the memory grow.
        let (incoming, receiver) = mpsc::channel(64);
        let link = Self {
            client,
            opening,
            fallback,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            way: Mutex::new(way),
            open: Mutex::default(),
            incoming,
            lost: watch::Sender::new(None),
            is_forgotten: AtomicBool::new(false),
            ended: Notify::new(),
        };
        (Arc::new(link), receiver)
    }

    // --- the way and the session ---

    pub(super) fn way(&self) -> Way {
        lock(&self.way).clone()
    }

    /// From now on messages go this way.
    pub(super) fn turn(&self, way: Way) {
        if let (Way::EventStream(_), Some(remembered)) = (&way, &self.fallback) {
            remembered.store(true, Ordering::Relaxed);
        }
        *lock(&self.way) = way;
    }

    /// Takes what an answer to `initialize` says about the session.
    pub(super) fn begin(&self, id: Option<HeaderValue>, answer: &[u8]) {
        // Visible ASCII only: that is what an id may hold, and what another header line cannot be made of.
        let id = id.filter(|id| !id.is_empty() && id.as_bytes().iter().all(u8::is_ascii_graphic));
        let Some(revision) = message::negotiated(answer) else { return };
        let revision = HeaderValue::from_str(&revision).ok();
        if let Way::Streamable(session) = &mut *lock(&self.way) {
            *session = Session { id, revision };
        }
    }

    /// Whether a refusal means that the server does not know the session any more.
    ///
    /// 404 says so by the rules. Servers that keep sessions in a table often say 400 and "No valid session ID" instead.
    pub(super) fn says_forgotten(&self, refusal: &Refusal, id: Option<u64>) -> bool {
        if matches!(self.way(), Way::Streamable(Session { id: None, .. })) {
            return false;
        }
        let answers = id.is_some_and(|id| message::look(&refusal.body, id) == Answer::Ours);
        let speaks_of_it = || {
            let body = refusal.body.to_ascii_lowercase();
            memchr::memmem::find(&body, b"session").is_some()
        };
        match refusal.status {
            Some(StatusCode::NOT_FOUND) => !answers || speaks_of_it(),
            Some(StatusCode::BAD_REQUEST) => !answers && speaks_of_it(),
            _ => false,
        }
    }

    /// The server does not know the session any more, so that the connection is over: when everything on its way has been
    /// refused too, which tells that it was not run, or after a moment.
    pub(super) fn forget(self: &Arc<Self>) {
        if self.is_forgotten.swap(true, Ordering::Relaxed) {
            return;
        }
        let (link, stop) = (Arc::clone(self), self.stop.clone());
        let waiting = async move {
            let _ = tokio::time::timeout(LAST_REFUSALS, link.all_ended()).await;
            link.lose(link.forgotten());
        };
        self.tasks.spawn(async move { stop.run_until_cancelled(waiting).await });
    }

    /// Whether the server does not know the session any more: nothing needs to be sent to it.
    pub(super) fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Ordering::Relaxed)
    }

    async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if lock(&self.open).is_empty() {
                return;
            }
            ended.await;
        }
    }

    // --- requests on their way ---

    /// Notes a request. What it gives ends when the request is cancelled, or the connection ends.
    pub(super) fn opened(&self, id: u64, modern: bool) -> CancellationToken {
        let stop = self.stop.child_token();
        lock(&self.open).insert(id, Open { modern, stop: stop.clone() });
        stop
    }

    /// A request has ended.
    pub(super) fn closed(&self, id: u64) {
        lock(&self.open).remove(&id);
        self.ended.notify_one();
    }

    /// Whether this request is on its way, and is a modern one.
    pub(super) fn is_modern(&self, id: u64) -> Option<bool> {
        lock(&self.open).get(&id).map(|open| open.modern)
    }

    /// Lets go of a request: its stream closes, and nothing more comes of it.
    pub(super) fn cancel(&self, id: u64) {
        if let Some(open) = lock(&self.open).remove(&id) {
            open.stop.cancel();
            self.ended.notify_one();
        }
    }

    // --- what comes back ---

    /// Hands a message on. If nobody takes messages any more, the connection is about to end anyway.
    pub(super) async fn hand_on(&self, text: Bytes, about: Option<u64>) {
        let _ = self.incoming.send(Inbound::Message { text, about }).await;
    }

    pub(super) async fn hand_on_ends(&self, ends: [Bytes; 2], length: u64, about: Option<u64>) {
        let _ = self.incoming.send(Inbound::TooLong { about, ends, length }).await;
    }

    /// A request gets no answer.
    pub(super) async fn fail(&self, id: u64, failure: Failure, fate: Fate) {
        let failure = failure.of(&self.opening.server);
        let _ = self.incoming.send(Inbound::Failed { id, failure, fate }).await;
    }

    /// The connection is over.
    pub(super) fn lose(&self, failure: Failure) {
        tracing::debug!(server = %self.opening.server, %failure, "connection lost");
        self.lost.send_if_modified(|lost| {
            let first = lost.is_none();
            lost.get_or_insert_with(|| failure.of(&self.opening.server));
            first
        });
    }

    /// The request belongs to a session that the server does not know any more.
    pub(super) async fn fail_forgotten(&self, id: u64) {
        self.fail(id, self.forgotten(), Fate::SendAgain).await;
    }

    fn forgotten(&self) -> Failure {
        Failure::new(Code::NetLost, format!("{} has forgotten the session", self.client.place))
    }

    pub(super) fn watch(&self) -> watch::Receiver<Option<Failure>> {
        self.lost.subscribe()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.borrow().is_some()
    }

    // --- streams ---

    /// Opens a stream of the session by GET: the one for what belongs to no request, or one that broke.
    pub(super) async fn listen(&self, session: &Session, cursor: &Cursor) -> Result<Events, Refusal> {
        let mut headers = session.listen();
        if let Some(last) = &cursor.last {
            headers.insert(LAST_EVENT_ID, last.clone());
        }
        let client = &self.client;
        let head = client.patience.head;
        let request = Request { method: Method::GET, url: &client.url, headers, body: None, head };
        let response = client.send(request).await?;
        if content_type(&response) != EVENT_STREAM {
            let cause = format!("{} answered a request for a stream with something else", client.place);
            let status = Some(response.status());
            return Err(Refusal {
                status,
                ..Refusal::of(Fate::Unknown, Failure::new(Code::NetProtocol, cause))
            });
        }
        Ok(self.events(response, Some(client.patience.quiet)))
    }

    pub(super) fn events(&self, response: reqwest::Response, quiet: Option<Duration>) -> Events {
        let client = &self.client;
        Events::new(response, self.opening.max_message, quiet, &client.patience, &client.place)
    }
}

/// The session id of an answer.
pub(super) fn session_id(response: &reqwest::Response) -> Option<HeaderValue> {
    response.headers().get(SESSION).cloned().map(|mut id| {
        id.set_sensitive(true);
        id
    })
}
