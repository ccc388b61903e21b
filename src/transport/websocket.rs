//! Servers behind a WebSocket: one message, one text frame (RFC 6455; MCP names it as a custom transport).

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, USER_AGENT, WWW_AUTHENTICATE};
use ::http::{HeaderMap, HeaderValue, Uri};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::http::{chain, configured_headers, of_status, unreachable};
use super::tls::{self, Trust};
use super::{
    AuthProvider, BoxFuture, Challenge, Connection, Inbound, Opening, Over, Patience, Peer, Traffic,
    Transport, no_auth,
};
use crate::config::RemoteLaunch;
use crate::failure::{Code, Failure};
use crate::names::ServerName;
use crate::supervisor::Ending;

/// How often the other side is asked whether it is still there. It has as long again to say something, anything.
const PING: Duration = Duration::from_secs(30);
/// A message may be so many times as long as one that is handed on; a longer one ends the connection, because nothing
/// tells where it ends but reading it.
const FLOOD: usize = 4;
/// How much of a message that is too long is handed on from its beginning and from its end, in bytes.
const REMNANT: usize = 4 * 1024;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The way to a server behind a WebSocket.
pub(super) struct WebSocketTransport {
    url: Uri,
    /// The address for people: without the path, where secrets may stand.
    place: String,
    audience: String,
    headers: HeaderMap,
    tls: Arc<rustls::ClientConfig>,
    auth: Arc<dyn AuthProvider>,
    patience: Patience,
}

impl WebSocketTransport {
    pub(super) fn new(
        launch: &RemoteLaunch,
        auth: Arc<dyn AuthProvider>,
        patience: Patience,
    ) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::new(Code::ConfigValue, format!("`url` cannot be used: {why}"));
        let url: Uri = launch.url.parse().map_err(|error| wrong(format!("{error}")))?;
        let scheme = url.scheme_str().unwrap_or_default().to_owned();
        let host = url.host().ok_or_else(|| wrong("it names no host".to_owned()))?;
        let place = match url.port_u16() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        let trust = match (scheme.as_str(), &launch.ca) {
            ("wss", Some(file)) => Trust::SystemAnd(file),
            ("wss", None) => Trust::System,
            _ => Trust::Nothing,
        };
        let tls = Arc::new(tls::client_config(trust)?);
        let headers = configured_headers(launch)?;
        Ok(Self { url, place, audience: launch.url.clone(), headers, tls, auth, patience })
    }

    async fn open(&self, opening: Opening) -> Result<Connection, Failure> {
        let stream = self.dial(opening.max_message).await.map_err(|failure| failure.of(&opening.server))?;
        let (sink, stream) = stream.split();
        let (outgoing, messages) = mpsc::channel(64);
        let (hand_on, incoming) = mpsc::channel(64);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let over = Arc::new(watch::Sender::new(None));
        let reader = Reader {
            stream,
            hand_on,
            limit: opening.max_message,
            over: Arc::clone(&over),
            place: self.place.clone(),
        };
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(reader.run()).await });
        let writer = Writer { sink, messages, over: Arc::clone(&over), goodbye: self.patience.goodbye };
        tasks.spawn(writer.run(stop.clone()));
        let peer = SocketPeer {
            server: opening.server,
            over: over.subscribe(),
            tasks,
            _stop: stop.clone().drop_guard(),
            stop,
        };
        Ok(Connection { traffic: Traffic::Messages { outgoing, incoming }, peer: Box::new(peer) })
    }

    /// Connects, with what is needed to be let in.
    async fn dial(&self, max_message: usize) -> Result<Stream, Failure> {
        let mut with_protocol = true;
        let mut challenged = false;
        loop {
            let credentials = self.auth.authorize(&self.audience).await?;
            let sent =
                credentials.iter().find(|(name, _)| name == AUTHORIZATION).map(|(_, value)| value.clone());
            let mut headers = self.headers.clone();
            headers.extend(credentials.into_iter().map(|(name, value)| (Some(name), value)));
            let response = match self.shake_hands(headers, with_protocol, max_message).await {
                Ok(stream) => return Ok(stream),
                // Servers of one protocol often do not say which; the library takes that for a refusal.
                Err(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_))) if with_protocol => {
                    with_protocol = false;
                    continue;
                }
                Err(Error::Http(response)) => response,
                Err(error) => return Err(self.failed(error)),
            };
            let status = response.status();
            if !matches!(status.as_u16(), 401 | 403) {
                let body = response.body().as_deref().unwrap_or_default();
                return Err(of_status(status, None, body, &self.place).0);
            }
            if challenged {
                return Err(no_auth::refused(status.as_u16()));
            }
            let words = response.headers().get_all(WWW_AUTHENTICATE).iter();
            let challenge = Challenge {
                url: self.audience.clone(),
                status: status.as_u16(),
                www_authenticate: words
                    .map(|word| String::from_utf8_lossy(word.as_bytes()).into_owned())
                    .collect(),
                sent: sent.or_else(|| self.headers.get(AUTHORIZATION).cloned()),
            };
            self.auth.challenged(&challenge).await?;
            challenged = true;
        }
    }

    async fn shake_hands(
        &self,
        headers: HeaderMap,
        with_protocol: bool,
        max_message: usize,
    ) -> Result<Stream, Error> {
        let host = self.url.host().unwrap_or_default();
        let secure = self.url.scheme_str() == Some("wss");
        let port = self.url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let mut request = self.url.clone().into_client_request()?;
        let agent = HeaderValue::from_static(concat!("switchboard/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        request.headers_mut().extend(headers);
        if with_protocol {
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mcp"));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let late = || Error::Io(io::ErrorKind::TimedOut.into());
        let tcp =
            timeout(self.patience.connect, TcpStream::connect((bare, port))).await.map_err(|_| late())??;
        tcp.set_nodelay(true)?;
        let most = max_message.saturating_mul(FLOOD);
        let config = WebSocketConfig::default().max_message_size(Some(most)).max_frame_size(Some(most));
        let connector = if secure { Connector::Rustls(Arc::clone(&self.tls)) } else { Connector::Plain };
        let shaking = client_async_tls_with_config(request, tcp, Some(config), Some(connector));
        let (stream, _) = timeout(self.patience.head, shaking).await.map_err(|_| late())??;
        Ok(stream)
    }

    fn failed(&self, error: Error) -> Failure {
        let place = &self.place;
        match &error {
            Error::Io(io) if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                Failure::new(Code::NetTls, format!("the certificate of {place} was not accepted: {io}"))
                    .remedy("For a private authority set `tls: { ca: FILE }`")
            }
            Error::Tls(tls) => {
                Failure::new(Code::NetTls, format!("{place} does not speak TLS with us: {}", chain(tls)))
            }
            Error::Io(io) => unreachable(io, io.kind() == io::ErrorKind::TimedOut, place),
            _ => Failure::new(
                Code::NetProtocol,
                format!("{place} does not speak WebSocket: {}", chain(&error)),
            ),
        }
    }
}

impl Transport for WebSocketTransport {
    fn connect(&self, opening: Opening) -> BoxFuture<'_, Result<Connection, Failure>> {
        Box::pin(self.open(opening))
    }
}

impl fmt::Debug for WebSocketTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketTransport").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Hands on what comes.
struct Reader {
    stream: SplitStream<Stream>,
    hand_on: mpsc::Sender<Inbound>,
    limit: usize,
    over: Arc<watch::Sender<Option<Failure>>>,
    place: String,
}

impl Reader {
    async fn run(mut self) {
        let place = self.place.clone();
        let lost = loop {
            // Whoever lives has answered a ping by then.
            let text = match timeout(2 * PING, self.stream.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => Bytes::from(text),
                Ok(Some(Ok(Message::Binary(text)))) => text,
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => continue,
                Ok(Some(Ok(Message::Close(frame)))) => {
                    let why =
                        frame.map(|frame| format!(": {} {}", frame.code, frame.reason)).unwrap_or_default();
                    break Failure::new(Code::NetLost, format!("{place} closed the connection{why}"));
                }
                Ok(Some(Err(Error::Capacity(CapacityError::MessageTooLong { size, .. })))) => {
                    break Failure::new(Code::NetProtocol, format!("{place} sent a message of {size} bytes"));
                }
                Ok(Some(Err(error))) => {
                    break Failure::new(
                        Code::NetLost,
                        format!("the connection to {place} broke: {}", chain(&error)),
                    );
                }
                Ok(None) => break Failure::new(Code::NetLost, format!("{place} closed the connection")),
                Err(_) => break Failure::new(Code::NetTimeout, format!("{place} does not answer any more")),
            };
            let inbound = if text.len() > self.limit {
                let ends =
                    [text.slice(..REMNANT.min(text.len())), text.slice(text.len().saturating_sub(REMNANT)..)];
                // Copies, so that the two ends do not keep the whole.
                let ends = ends.map(|end| Bytes::copy_from_slice(&end));
                Inbound::TooLong { about: None, ends, length: text.len() as u64 }
            } else {
                Inbound::Message { text, about: None }
            };
            if self.hand_on.send(inbound).await.is_err() {
                return;
            }
        };
        lose(&self.over, lost);
    }
}

/// Sends what comes out of the queue, and pings.
struct Writer {
    sink: SplitSink<Stream, Message>,
    messages: mpsc::Receiver<Bytes>,
    over: Arc<watch::Sender<Option<Failure>>>,
    goodbye: Duration,
}

impl Writer {
    async fn run(mut self, stop: CancellationToken) {
        let failed = stop.run_until_cancelled(self.send_all()).await;
        match failed {
            Some(Err(error)) => {
                lose(&self.over, Failure::new(Code::NetLost, format!("the connection broke: {error}")))
            }
            Some(Ok(())) | None => {
                let _ = timeout(self.goodbye, self.sink.close()).await;
            }
        }
    }

    /// Ends when the queue is closed.
    async fn send_all(&mut self) -> Result<(), Error> {
        let mut ping = interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                text = self.messages.recv() => match text {
                    // Our own messages are UTF-8; a stranger's transport object may be given anything.
                    Some(text) => Utf8Bytes::try_from(text.clone()).map_or(Message::Binary(text), Message::Text),
                    None => return Ok(()),
                },
                _ = ping.tick() => Message::Ping(Bytes::new()),
            };
            self.sink.send(message).await?;
        }
    }
}

fn lose(over: &watch::Sender<Option<Failure>>, failure: Failure) {
    over.send_if_modified(|over| {
        let first = over.is_none();
        over.get_or_insert(failure);
        first
    });
}

struct SocketPeer {
    server: ServerName,
    over: watch::Receiver<Option<Failure>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop: DropGuard,
}

impl Peer for SocketPeer {
    fn over(&mut self) -> BoxFuture<'_, Over> {
        Box::pin(async {
            let failure = match self.over.wait_for(Option::is_some).await {
                Ok(failure) => failure.clone(),
                Err(_) => None,
            };
            let failure = failure.unwrap_or_else(|| Failure::new(Code::NetLost, "the connection has ended"));
            Over::Lost(failure.of(&self.server))
        })
    }

    fn end(self: Box<Self>, ending: Ending) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.stop.cancel();
            self.tasks.close();
            // The writer says goodbye before it ends; when there is no time for that, it ends a little later than we say.
            let _ = timeout(ending.term_after, self.tasks.wait()).await;
        })
    }
}

#[cfg(test)]
mod tests;
