//! The mock as a process that listens: HTTP, WebSocket, a Unix socket. One process serves many clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;

use super::http::{Http, Transport};
use super::output::{Op, Output};
use super::script::Script;
use super::serve::{Hooks, Outcome, begin};
use super::server::Server;
use super::session::Session;
use super::websocket;

/// How long a server stays to which nobody is connected, so that a forgotten one does not stay for ever.
const LAST_RESORT: Duration = Duration::from_secs(600);

/// Where a mock listens, and which transport it speaks there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Face {
    /// Streamable HTTP, of both eras.
    Http(SocketAddr),
    /// HTTP with server-sent events, as in 2024-11-05.
    Sse(SocketAddr),
    /// A message per frame.
    WebSocket(SocketAddr),
    /// Lines on a Unix socket, as on stdin and stdout.
    #[cfg(unix)]
    Unix(PathBuf),
}

/// A mock that listens; [`Listening::run`] serves its clients.
pub struct Listening {
    server: Arc<Server>,
    listener: Listener,
    /// Where, as a URL. A Unix socket is `unix:PATH`.
    pub url: String,
}

enum Listener {
    Http(TcpListener, Arc<Http>),
    WebSocket(TcpListener),
    #[cfg(unix)]
    Unix(tokio::net::UnixListener, PathBuf),
}

/// Starts to listen. What the script does at the start is done before.
///
/// # Errors
/// If the address cannot be had.
pub async fn listen(script: Script, face: &Face, hooks: Hooks) -> std::io::Result<Listening> {
    let server = Server::new(script.plan(hooks.start), hooks);
    let session = Session::passing(&server, nowhere(&server));
    let mut end = server.end.subscribe();
    tokio::select! {
        () = begin(&session) => {}
        // The script ended the process before it listened; `run` says so.
        _ = end.wait_for(Option::is_some) => {}
    }
    let bind = async |address: &SocketAddr| {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        // Whoever sets it first is this function.
        let _ = server.url.set(format!("http://{address}").into());
        Ok::<_, std::io::Error>((listener, address))
    };
    let (listener, url) = match face {
        Face::Http(address) => {
            let (listener, address) = bind(address).await?;
            let http = Http::new(&server, Transport::Streamable);
            (
                Listener::Http(listener, http),
                format!("http://{address}{}", server.path(Transport::Streamable.default_path())),
            )
        }
        Face::Sse(address) => {
            let (listener, address) = bind(address).await?;
            let http = Http::new(&server, Transport::Sse);
            (
                Listener::Http(listener, http),
                format!("http://{address}{}", server.path(Transport::Sse.default_path())),
            )
        }
        Face::WebSocket(address) => {
            let (listener, address) = bind(address).await?;
            (Listener::WebSocket(listener), format!("ws://{address}{}", server.path(websocket::DEFAULT_PATH)))
        }
        #[cfg(unix)]
        Face::Unix(path) => {
            let listener = tokio::net::UnixListener::bind(path)?;
            (Listener::Unix(listener, path.clone()), format!("unix:{}", path.display()))
        }
    };
    Ok(Listening { server, listener, url })
}

/// A place where nothing is heard, but where a script can still end the process.
fn nowhere(server: &Arc<Server>) -> Output {
    let (output, mut queue) = Output::channel();
    let server = Arc::clone(server);
    tokio::spawn(async move {
        while let Some(op) = queue.recv().await {
            if let Op::End(outcome) = op {
                server.end.send_replace(Some(outcome));
            }
        }
    });
    output
}

impl Listening {
    /// Serves until the script ends the process, or until nobody came for ten minutes.
    ///
    /// Dropping the future ends the server and all its connections at once.
    pub async fn run(self) -> Outcome {
        let Self { server, listener, .. } = self;
        let _stop = server.stop.clone().drop_guard();
        let mut end = server.end.subscribe();
        tokio::select! {
            outcome = async { end.wait_for(Option::is_some).await.ok().and_then(|end| *end) } => {
                outcome.unwrap_or(Outcome::Ended)
            }
            () = accept(&server, &listener) => Outcome::Ended,
        }
    }
}

/// Accepts connections and serves each beside the others.
async fn accept(server: &Arc<Server>, listener: &Listener) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok(accepted) = tokio::time::timeout(LAST_RESORT, listener.accept(server)).await else {
            if open.load(Ordering::Relaxed) == 0 {
                return;
            }
            continue;
        };
        // A connection that failed while it was made is gone.
        let Ok(serving) = accepted else { continue };
        let (open, stop) = (Arc::clone(&open), server.stop.clone());
        open.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            tokio::select! {
                () = serving => {}
                () = stop.cancelled() => {}
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// What serves one connection.
type Serving = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Listener {
    async fn accept(&self, server: &Arc<Server>) -> std::io::Result<Serving> {
        let server = Arc::clone(server);
        Ok(match self {
            Listener::Http(listener, http) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Box::pin(Arc::clone(http).connection(stream))
            }
            Listener::WebSocket(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Box::pin(websocket::connection(server, stream))
            }
            #[cfg(unix)]
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Box::pin(lines(server, stream))
            }
        })
    }
}

#[cfg(unix)]
async fn lines(server: Arc<Server>, stream: tokio::net::UnixStream) {
    use super::serve::{Role, converse};
    let (reader, writer) = stream.into_split();
    let outcome = converse(&server, reader, writer, Role::OneOfMany).await;
    if outcome != Outcome::Ended {
        server.end.send_replace(Some(outcome));
    }
}

#[cfg(unix)]
impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(path);
        }
    }
}
