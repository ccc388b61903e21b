//! The other side: an HTTP server that does what a test says, and our side of a connection to it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
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
use tokio_rustls::TlsAcceptor;

use crate::config::{RemoteKind, RemoteLaunch, Secret};
use crate::failure::Failure;
use crate::supervisor::Ending;
use crate::transport::{
    AuthProvider, Connection, HeaderParams, Inbound, NoAuth, Opening, Over, Patience, Peer, Traffic,
    Transport, remote, tls,
};

/// Long enough for anything here, even on a machine that is busy with other things.
const DEADLINE: Duration = Duration::from_secs(20);

/// What the server was asked.
#[derive(Clone, Debug)]
pub(in crate::transport) struct Seen {
    pub method: String,
    pub path: String,
    pub version: http::Version,
    pub headers: http::HeaderMap,
    pub body: String,
}

impl Seen {
    /// A header, or nothing.
    pub(in crate::transport) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `method` and the `id` of the message.
    pub(in crate::transport) fn message(&self) -> (String, u64) {
        let value: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        (value["method"].as_str().unwrap_or_default().to_owned(), value["id"].as_u64().unwrap_or_default())
    }
}

pub(in crate::transport) type Reply = http::Response<BoxBody<Bytes, io::Error>>;

/// A body that is written while it is read. Dropping the sender ends it; an error breaks the connection.
pub(in crate::transport) type Writer = mpsc::UnboundedSender<io::Result<Bytes>>;

/// An answer with this body.
pub(in crate::transport) fn reply(status: u16, kind: &str, body: impl Into<Bytes>) -> Reply {
    let (response, writer) = streamed(status, kind);
    writer.send(Ok(body.into())).unwrap();
    response
}

/// An answer whose body comes bit by bit.
pub(in crate::transport) fn streamed(status: u16, kind: &str) -> (Reply, Writer) {
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

pub(in crate::transport) fn json(body: impl Into<Bytes>) -> Reply {
    reply(200, "application/json", body)
}

pub(in crate::transport) fn events(body: impl Into<Bytes>) -> Reply {
    reply(200, "text/event-stream", body)
}

pub(in crate::transport) fn accepted() -> Reply {
    reply(202, "", "")
}

pub(in crate::transport) fn with(mut reply: Reply, header: &'static str, value: &str) -> Reply {
    reply.headers_mut().insert(header, value.parse().unwrap());
    reply
}

/// What a legacy server says to `initialize`.
pub(in crate::transport) fn initialized(id: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-06-18","capabilities":{{}},"serverInfo":{{"name":"s","version":"1"}}}}}}"#
    )
}

pub(in crate::transport) fn result(id: u64, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// An event with this data.
pub(in crate::transport) fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

/// A server that does what a test says.
pub(in crate::transport) struct Server {
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
    pub(in crate::transport) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
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

    pub(in crate::transport) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    pub(in crate::transport) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until what was seen satisfies a condition.
    pub(in crate::transport) async fn until(&self, condition: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        until(|| condition(&self.seen.lock().unwrap())).await;
        self.seen()
    }
}

/// Waits for a condition.
pub(in crate::transport) async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("the condition comes true");
}

/// Serves one connection.
pub(in crate::transport) async fn serve<S>(
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
                version: head.version,
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
pub(in crate::transport) struct Setup {
    pub launch: RemoteLaunch,
    pub auth: Arc<dyn AuthProvider>,
    pub patience: Patience,
    pub max_message: usize,
    pub header_params: Arc<HeaderParams>,
}

impl Setup {
    pub(in crate::transport) fn new(url: impl Into<String>) -> Self {
        Self {
            launch: RemoteLaunch { url: url.into(), kind: RemoteKind::Auto, headers: Vec::new(), ca: None },
            auth: Arc::new(NoAuth),
            patience: Patience { retry: Duration::from_millis(5), ..Patience::default() },
            max_message: 1 << 20,
            header_params: Arc::default(),
        }
    }

    pub(in crate::transport) fn kind(mut self, kind: RemoteKind) -> Self {
        self.launch.kind = kind;
        self
    }

    pub(in crate::transport) fn header(mut self, name: &str, value: &str) -> Self {
        self.launch.headers.push((name.to_owned(), Secret::new(value)));
        self
    }

    pub(in crate::transport) fn transport(&self) -> Result<Arc<dyn Transport>, Failure> {
        remote(&self.launch, Arc::clone(&self.auth), self.patience)
    }

    pub(in crate::transport) async fn connect(&self) -> Talk {
        Talk::over(&*self.transport().unwrap(), self).await.unwrap()
    }
}

/// Our side of a connection.
pub(in crate::transport) struct Talk {
    pub outgoing: mpsc::Sender<Bytes>,
    incoming: mpsc::Receiver<Inbound>,
    pub peer: Box<dyn Peer>,
}

impl Talk {
    pub(in crate::transport) async fn over(
        transport: &dyn Transport,
        setup: &Setup,
    ) -> Result<Self, Failure> {
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

    pub(in crate::transport) async fn say(&self, text: impl Into<Bytes>) {
        self.outgoing.send(text.into()).await.unwrap();
    }

    /// Sends a legacy request.
    pub(in crate::transport) async fn ask(&self, id: u64, method: &str) {
        self.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{}}}}"#)).await;
    }

    /// Sends a modern request.
    pub(in crate::transport) async fn ask_modern(&self, id: u64, method: &str, params: &str) {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        self.say(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{meta}}}}}"#))
            .await;
    }

    pub(in crate::transport) async fn cancel(&self, id: u64) {
        self.say(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        ))
        .await;
    }

    /// The legacy handshake.
    pub(in crate::transport) async fn shake_hands(&mut self) {
        self.ask(1, "initialize").await;
        assert_eq!(self.hear().await, format!("1: {}", initialized(1)));
        self.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    }

    /// What comes next, as one line: `ABOUT: TEXT`, `ID failed, FATE: FAILURE`, `ABOUT: too long, LENGTH`.
    pub(in crate::transport) async fn hear(&mut self) -> String {
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
    pub(in crate::transport) async fn hear_failure(&mut self, parts: &[&str]) -> String {
        let heard = self.hear().await;
        for part in parts {
            assert!(heard.contains(part), "{heard:?} contains {part:?}");
        }
        heard
    }

    /// How the connection is over.
    pub(in crate::transport) async fn over_as(&mut self) -> Failure {
        match tokio::time::timeout(DEADLINE, self.peer.over()).await.expect("it is over") {
            Over::Lost(failure) => failure,
            Over::Exited(exit) => panic!("{exit:?}"),
        }
    }

    pub(in crate::transport) async fn end(self) {
        drop(self.outgoing);
        tokio::time::timeout(DEADLINE, self.peer.end(Ending::SHUTDOWN)).await.expect("it ends");
    }

    /// Whether nothing has come by now.
    pub(in crate::transport) fn is_silent(&mut self) -> bool {
        self.incoming.try_recv().is_err()
    }
}

/// Waits until the other side of a body has gone.
pub(in crate::transport) async fn gone(writer: &Writer) {
    let mut closed = std::pin::pin!(writer.closed());
    let waiting = poll_fn(|context| closed.as_mut().poll(context));
    tokio::time::timeout(DEADLINE, waiting).await.expect("the stream is closed");
}

/// A server behind TLS, with a certificate for `localhost` that nobody else knows.
pub(in crate::transport) struct TlsServer {
    pub address: SocketAddr,
    /// The certificate that is to be trusted.
    pub ca: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepting: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl TlsServer {
    /// Starts a server that speaks this protocol (`h2`, `http/1.1`).
    pub(in crate::transport) async fn start(
        protocol: &str,
        script: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (acceptor, folder, ca) = certificate(protocol);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (script, record) = (Arc::new(script), Arc::clone(&seen));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, script, record) = (acceptor.clone(), Arc::clone(&script), Arc::clone(&record));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, script, record).await;
                    }
                });
            }
        });
        Self { address, ca, seen, accepting, _folder: folder }
    }

    pub(in crate::transport) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// A certificate for `localhost`, ready to be shown, and the file to trust it by.
pub(in crate::transport) fn certificate(protocol: &str) -> (TlsAcceptor, tempfile::TempDir, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(tls::ready())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    (TlsAcceptor::from(Arc::new(config)), folder, ca)
}
