//! The other side: an HTTP server that does what a test says, and our side of a connection to it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::{RemoteKind, RemoteLaunch, Secret};
use crate::failure::Failure;
use crate::supervisor::Ending;
use crate::transport::{
    AuthProvider, Connection, HeaderParams, Inbound, NoAuth, Opening, Over, Patience, Peer, Traffic,
    Transport, remote,
};

/// Long enough for anything here, even on a machine that is busy with other things.
const DEADLINE: Duration = Duration::from_secs(20);

/// What the server was asked.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub method: String,
    pub path: String,
    pub headers: http::HeaderMap,
    pub body: String,
}

impl Seen {
    /// A header, or nothing.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `method` and the `id` of the message.
    pub(super) fn message(&self) -> (String, u64) {
        let value: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        (value["method"].as_str().unwrap_or_default().to_owned(), value["id"].as_u64().unwrap_or_default())
    }
}

pub(super) type Reply = http::Response<BoxBody<Bytes, io::Error>>;

/// A body that is written while it is read. Dropping the sender ends it; an error breaks the connection.
pub(super) type Writer = mpsc::UnboundedSender<io::Result<Bytes>>;

/// An answer with this body.
pub(super) fn reply(status: u16, kind: &str, body: impl Into<Bytes>) -> Reply {
    let (response, writer) = streamed(status, kind);
    writer.send(Ok(body.into())).unwrap();
    response
}

/// An answer whose body comes bit by bit.
pub(super) fn streamed(status: u16, kind: &str) -> (Reply, Writer) {
    let (writer, mut pieces) = mpsc::unbounded_channel::<io::Result<Bytes>>();
    let pieces = stream::poll_fn(move |context| {
        pieces.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    });
    let body = BodyExt::boxed(StreamBody::new(pieces));
    let mut response = http::Response::builder().status(status);
    if !kind.is_empty() {
        response = response.header("content-type", kind);
    }
    (response.body(body).unwrap(), writer)
}

pub(super) fn json(body: impl Into<Bytes>) -> Reply {
    reply(200, "application/json", body)
}

pub(super) fn events(body: impl Into<Bytes>) -> Reply {
    reply(200, "text/event-stream", body)
}

pub(super) fn accepted() -> Reply {
    reply(202, "", "")
}

pub(super) fn with(mut reply: Reply, header: &'static str, value: &str) -> Reply {
    reply.headers_mut().insert(header, value.parse().unwrap());
    reply
}

/// What a legacy server says to `initialize`.
pub(super) fn initialized(id: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-06-18","capabilities":{{}},"serverInfo":{{"name":"s","version":"1"}}}}}}"#
    )
}

pub(super) fn result(id: u64, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// An event with this data.
pub(super) fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

/// A server that does what a test says.
pub(super) struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub(super) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, record) = (Arc::new(script), Arc::clone(&seen));
        let accepting = tokio::spawn(async move {
            // Ends all connections with the server.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&record)));
            }
        });
        Self { address, seen, accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until what was seen satisfies a condition.
    pub(super) async fn until(&self, condition: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        until(|| condition(&self.seen.lock().unwrap())).await;
        self.seen()
    }
}

/// Waits for a condition.
pub(super) async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("the condition comes true");
}

/// Serves one connection.
pub(super) async fn serve<S>(
    stream: S,
    script: Arc<impl Fn(&Seen) -> Reply + Send + Sync + 'static>,
    record: Arc<Mutex<Vec<Seen>>>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (script, record) = (Arc::clone(&script), Arc::clone(&record));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let seen = Seen {
                method: head.method.to_string(),
                path: head.uri.to_string(),
                headers: head.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            record.lock().unwrap().push(seen.clone());
            Ok::<_, Infallible>(script(&seen))
        }
    });
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// How our side is set up.
pub(super) struct Setup {
    pub launch: RemoteLaunch,
    pub auth: Arc<dyn AuthProvider>,
    pub patience: Patience,
    pub max_message: usize,
    pub header_params: Arc<HeaderParams>,
}

impl Setup {
    pub(super) fn new(url: impl Into<String>) -> Self {
        Self {
            launch: RemoteLaunch { url: url.into(), kind: RemoteKind::Auto, headers: Vec::new(), ca: None },
            auth: Arc::new(NoAuth),
            patience: Patience { retry: Duration::from_millis(5), ..Patience::default() },
            max_message: 1 << 20,
            header_params: Arc::default(),
        }
    }

    pub(super) fn kind(mut self, kind: RemoteKind) -> Self {
        self.launch.kind = kind;
        self
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.launch.headers.push((name.to_owned(), Secret::new(value)));
        self
    }

    pub(super) fn transport(&self) -> Result<Arc<dyn Transport>, Failure> {
        remote(&self.launch, Arc::clone(&self.auth), self.patience)
    }

    pub(super) async fn connect(&self) -> Talk {
        Talk::over(&*self.transport().unwrap(), self).await.unwrap()
    }
}

/// Our side of a connection.
pub(super) struct Talk {
    pub outgoing: mpsc::Sender<Bytes>,
    incoming: mpsc::Receiver<Inbound>,
    pub peer: Box<dyn Peer>,
}

impl Talk {
    pub(super) async fn over(transport: &dyn Transport, setup: &Setup) -> Result<Self, Failure> {
        let opening = Opening {
            server: "s".into(),
            generation: 1,
            max_message: setup.max_message,
            header_params: Arc::clone(&setup.header_params),
        };
        let Connection { traffic, peer } = transport.connect(opening).await?;
        let Traffic::Messages { outgoing, incoming } = traffic else { panic!("messages travel one by one") };
        Ok(Self { outgoing, incoming, peer })
    }

    pub(super) async fn say(&self, text: impl Into<Bytes>) {
        self.outgoing.send(text.into()).await.unwrap();
    }

    /// Sends a legacy request.
    pub(super) async fn ask(&self, id: u64, method: &str) {
        self.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{}}}}"#)).await;
    }

    /// Sends a modern request.
    pub(super) async fn ask_modern(&self, id: u64, method: &str, params: &str) {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        self.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{meta}}}}}"#))
            .await;
    }

    pub(super) async fn cancel(&self, id: u64) {
        self.say(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        ))
        .await;
    }

    /// The legacy handshake.
    pub(super) async fn shake_hands(&mut self) {
        self.ask(1, "initialize").await;
        assert_eq!(self.hear().await, format!("1: {}", initialized(1)));
        self.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    }

    /// What comes next, as one line: `ABOUT: TEXT`, `ID failed, FATE: FAILURE`, `ABOUT: too long, LENGTH`.
    pub(super) async fn hear(&mut self) -> String {
        let about = |about: Option<u64>| about.map_or("-".to_owned(), |id| id.to_string());
        match tokio::time::timeout(DEADLINE, self.incoming.recv())
            .await
            .expect("something comes")
            .expect("more comes")
        {
            Inbound::Message { text, about: id } => {
                format!("{}: {}", about(id), String::from_utf8(text.to_vec()).unwrap())
            }
            Inbound::Failed { id, failure, fate } => format!("{id} failed, {fate:?}: {failure}"),
            Inbound::TooLong { about: id, length, .. } => format!("{}: too long, {length}", about(id)),
        }
    }

    /// Expects a failure with these parts in its line.
    pub(super) async fn hear_failure(&mut self, parts: &[&str]) -> String {
        let heard = self.hear().await;
        for part in parts {
            assert!(heard.contains(part), "{heard:?} contains {part:?}");
        }
        heard
    }

    /// How the connection is over.
    pub(super) async fn over_as(&mut self) -> Failure {
        match tokio::time::timeout(DEADLINE, self.peer.over()).await.expect("it is over") {
            Over::Lost(failure) => failure,
            Over::Exited(exit) => panic!("{exit:?}"),
        }
    }

    pub(super) async fn end(self) {
        drop(self.outgoing);
        tokio::time::timeout(DEADLINE, self.peer.end(Ending::SHUTDOWN)).await.expect("it ends");
    }

    /// Whether nothing has come by now.
    pub(super) fn is_silent(&mut self) -> bool {
        self.incoming.try_recv().is_err()
    }
}

/// Waits until the other side of a body has gone.
pub(super) async fn gone(writer: &Writer) {
    let mut closed = std::pin::pin!(writer.closed());
    let waiting = poll_fn(|context| closed.as_mut().poll(context));
    tokio::time::timeout(DEADLINE, waiting).await.expect("the stream is closed");
}
