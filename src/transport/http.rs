//! Servers behind HTTP: Streamable HTTP of every revision, and HTTP with SSE where it is still spoken.
//!
//! In go messages; each becomes a POST. Requests are sent at once, side by side, but for those that change what later ones mean;
//! notifications and answers one after the other, in their order. What comes back is handed on as it came. Which revision is spoken is seen per message: a request
//! that carries its revision is a modern one and stands for itself; any other belongs to the session that `initialize`
//! opened. No message is ever sent twice, but after a refusal for want of credentials.
//!
//! Source: MCP 2025-11-25 "Transports" and 2026-07-28 "Streamable HTTP".

mod body;
mod client;
mod endpoint;
mod errors;
mod event_stream;
mod headers;
mod link;
mod listen;
mod message;
mod post;
mod streams;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;

pub use self::endpoint::{Endpoint, Undelivered};

use self::client::{Client, Request};
use self::headers::Session;
use self::link::{Link, Way};
use self::message::Outgoing;
use super::{AuthProvider, BoxFuture, Connection, Opening, Over, Patience, Peer, Traffic, Transport};
use crate::config::{RemoteKind, RemoteLaunch};
use crate::failure::Failure;
use crate::supervisor::Ending;

pub(super) use self::client::configured as configured_headers;
pub(super) use self::errors::{chain, of_status, unreachable};

/// So long messages wait for one before them that changes what they mean.
const SETTLING: Duration = Duration::from_secs(1);

/// The way to a server behind HTTP.
pub(super) struct HttpTransport {
    client: Arc<Client>,
    kind: RemoteKind,
    /// Whether the server was found to speak HTTP with SSE only.
    event_stream: Arc<AtomicBool>,
}

impl HttpTransport {
    pub(super) fn new(
        launch: &RemoteLaunch,
        auth: Arc<dyn AuthProvider>,
        patience: Patience,
    ) -> Result<Self, Failure> {
        let client = Arc::new(Client::new(launch, auth, patience)?);
        let event_stream = Arc::new(AtomicBool::new(launch.kind == RemoteKind::Sse));
        Ok(Self { client, kind: launch.kind, event_stream })
    }

    async fn open(&self, opening: Opening) -> Result<Connection, Failure> {
        let client = Arc::clone(&self.client);
        let fallback = (self.kind == RemoteKind::Auto).then(|| Arc::clone(&self.event_stream));
        let (link, incoming) = if self.event_stream.load(Ordering::Relaxed) {
            let opened = event_stream::open(&client, opening.max_message).await;
            let (endpoint, events) = opened.map_err(|refusal| {
                // The server may have learned the newer transport; the next connection finds out.
                self.event_stream.store(self.kind == RemoteKind::Sse, Ordering::Relaxed);
                refusal.failure.of(&opening.server)
            })?;
            let (link, incoming) = Link::new(client, opening, Way::EventStream(endpoint), fallback);
            let (stop, reading) = (link.stop.clone(), event_stream::read(Arc::clone(&link), events));
            link.tasks.spawn(async move { stop.run_until_cancelled(reading).await });
            (link, incoming)
        } else {
            // Nothing is asked before there is something to say: the first message finds out whether somebody is there.
            Link::new(client, opening, Way::Streamable(Session::default()), fallback)
        };
        let (outgoing, messages) = mpsc::channel(64);
        let (stop, driving) = (link.stop.clone(), drive(Arc::clone(&link), messages));
        link.tasks.spawn(async move { stop.run_until_cancelled(driving).await });
        let peer = HttpPeer { lost: link.watch(), _stop: link.stop.clone().drop_guard(), link };
        Ok(Connection { traffic: Traffic::Messages { outgoing, incoming }, peer: Box::new(peer) })
    }
}

impl Transport for HttpTransport {
    fn connect(&self, opening: Opening) -> BoxFuture<'_, Result<Connection, Failure>> {
        Box::pin(self.open(opening))
    }

    fn has_streams(&self) -> bool {
        !self.event_stream.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("place", &self.client.place).field("kind", &self.kind).finish()
    }
}

/// Sends what comes out of the queue, until it is closed.
async fn drive(link: Arc<Link>, mut messages: mpsc::Receiver<Bytes>) {
    let (in_order, queue) = mpsc::channel(64);
    let (stop, sending) = (link.stop.clone(), send_in_order(Arc::clone(&link), queue));
    link.tasks.spawn(async move { stop.run_until_cancelled(sending).await });
    while let Some(text) = messages.recv().await {
        let Some(kind) = message::read(&text) else {
            tracing::warn!(server = %link.opening.server, "a message that cannot be sent over HTTP is dropped");
            continue;
        };
        match kind {
            Outgoing::Request(request) => {
                // Noted before anything else is read, so that a cancellation right behind it finds it.
                let stop = link.opened(request.id, request.is_modern());
                let changes_session = request.changes_session();
                let life = link.tasks.spawn(post::request(Arc::clone(&link), request, text, stop));
                if changes_session {
                    let _ = timeout(SETTLING, life).await;
                }
            }
            // What follows may depend on the server having taken it, so it is waited for.
            Outgoing::Initialized => initialized(&link, text).await,
            Outgoing::Cancel { id } => match (link.way(), link.is_modern(id)) {
                (Way::Streamable(_), None) => {}
                // The end of its stream is the cancellation, and the only one (MCP 2026-07-28, "Cancellation").
                (_, Some(true)) => link.cancel(id),
                (Way::EventStream(_), _) | (_, Some(false)) => {
                    let _ = in_order.send((text, Some(id))).await;
                }
            },
            Outgoing::Other => {
                let _ = in_order.send((text, None)).await;
            }
        }
    }
}

/// Tells the server that the handshake is done, and listens from then on: what it says before the stream is open may be lost,
/// so what would make it speak waits for that.
async fn initialized(link: &Arc<Link>, text: Bytes) {
    match post::plain(link, text).await {
        Ok(()) if matches!(link.way(), Way::Streamable(_)) => {
            let (asked, answered) = oneshot::channel();
            let (stop, listening) = (link.stop.clone(), listen::listen(Arc::clone(link), asked));
            link.tasks.spawn(async move { stop.run_until_cancelled(listening).await });
            let _ = timeout(SETTLING, answered).await;
        }
        Ok(()) => {}
        Err(refusal) if link.says_forgotten(&refusal, None) => link.forget(),
        Err(refusal) => {
            tracing::warn!(server = %link.opening.server, failure = %refusal.failure, "`notifications/initialized` was not taken");
        }
    }
}

/// Sends notifications and answers one after the other. A number beside one is the request that it cancels: its stream is
/// closed once the server knows, because to a legacy server a closed stream says nothing.
async fn send_in_order(link: Arc<Link>, mut queue: mpsc::Receiver<(Bytes, Option<u64>)>) {
    while let Some((text, cancels)) = queue.recv().await {
        let sent = post::plain(&link, text).await;
        if let Some(id) = cancels {
            link.cancel(id);
        }
        match sent {
            Ok(()) => {}
            Err(refusal) if link.says_forgotten(&refusal, None) => link.forget(),
            Err(refusal) => {
                tracing::debug!(server = %link.opening.server, failure = %refusal.failure, "a message was not taken");
            }
        }
    }
}

/// The other side of a connection over HTTP.
struct HttpPeer {
    link: Arc<Link>,
    lost: watch::Receiver<Option<Failure>>,
    /// Ends the tasks, should nobody end the connection.
    _stop: DropGuard,
}

impl Peer for HttpPeer {
    fn over(&mut self) -> BoxFuture<'_, Over> {
        Box::pin(async {
            match self.lost.wait_for(Option::is_some).await.map(|lost| lost.clone()) {
                Ok(Some(failure)) => Over::Lost(failure),
                // The sender lives in the link that we hold.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        })
    }

    fn end(self: Box<Self>, ending: Ending) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let link = Arc::clone(&self.link);
            link.stop.cancel();
            link.tasks.close();
            link.tasks.wait().await;
            let Way::Streamable(session @ Session { id: Some(_), .. }) = link.way() else { return };
            let client = &link.client;
            let (url, head) = (&client.url, client.patience.goodbye.min(ending.term_after));
            if link.is_lost() || head.is_zero() {
                return;
            }
            // A server that does not let us end the session says 405; either way we are gone.
            let goodbye = Request { method: Method::DELETE, url, headers: session.end(), body: None, head };
            let _ = timeout(head, client.send(goodbye)).await;
        })
    }
}
