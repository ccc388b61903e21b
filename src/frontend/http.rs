//! The face toward clients that come over HTTP: Streamable HTTP of every revision at `/mcp`, and HTTP+SSE, which is all that clients
//! of 2024-11-05 know, at `/sse`.
//!
//! In come connections (HTTP/1.1, and HTTP/2 without TLS); out go JSON texts and streams of events. The face knows who may come
//! in, sessions, streams and their resumption, and the headers that must match the body; what a message means is the
//! [`House`]'s to know, which stands behind it. No token of a client goes further than to the door: behind it there is
//! a [`Principal`]. Nothing here starts or knows a server.

mod accept;
mod desk;
mod first;
mod guard;
pub mod house;
mod legacy;
mod message;
mod mirror;
mod modern;
mod reply;
mod session;
mod sse;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::HttpFace;
use crate::failure::{Code, Failure};
use crate::web::{Connections, Pace, events};

use desk::Desk;
use guard::Guard;
pub use house::{Exchange, House, Principal, Visitor};
use session::Sessions;

/// The most connections at once. Further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 2048;

/// How a face is set up.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Who may come in, and how many.
    pub config: HttpFace,
    /// Where to listen instead of where the config says.
    pub listen: Option<SocketAddr>,
    /// How long to wait for what.
    pub times: Times,
}

/// How long to wait for what. The defaults are for everybody but tests.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For the first message, before a request is answered with a stream of events.
    pub settle: Duration,
    /// Between signs of life on a quiet stream.
    pub keep_alive: Duration,
    /// For a client to come back to a stream that it lost.
    pub kept: Duration,
    /// For the head of a request, and for the next request on a connection.
    pub head: Duration,
    /// For the next piece of a body.
    pub body_pause: Duration,
    /// For a whole body.
    pub body: Duration,
    /// For a client to read anything of what is written to it.
    pub stalled: Duration,
    /// At the end, for calls to be answered.
    pub linger: Duration,
    /// At the end, for connections to close, after that.
    pub grace: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(500),
            keep_alive: Duration::from_secs(15),
            kept: Duration::from_secs(60),
            head: Duration::from_secs(30),
            body_pause: Duration::from_secs(20),
            body: Duration::from_secs(300),
            stalled: Duration::from_secs(60),
            linger: Duration::from_millis(1000),
            grace: Duration::from_millis(300),
        }
    }
}

/// A listener for HTTP clients.
pub struct Face {
    listener: TcpListener,
    address: SocketAddr,
    desk: Arc<Desk>,
}

impl Face {
    /// Listens. Connections wait until [`Face::run`].
    ///
    /// # Errors
    /// The address cannot be listened on, or others than this machine reach it and no token is asked for.
    pub async fn bind(settings: Settings, house: Arc<dyn House>) -> Result<Face, Failure> {
        let Settings { config, listen, times } = settings;
        let asked = listen.unwrap_or(config.listen);
        // Before anybody could connect.
        let guard = Guard::new(asked, &config)?;
        let failed = |error: std::io::Error| {
            Failure::new(Code::HttpListen, format!("`{asked}` cannot be listened on: {error}"))
                .remedy("Choose another address with `serve --http ADDR`")
        };
        let listener = TcpListener::bind(asked).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let desk = Arc::new(Desk {
            house,
            guard,
            sessions: Arc::new(Sessions::new(config.max_sessions, config.session_idle)),
            times,
            closing: CancellationToken::new(),
            ending: CancellationToken::new(),
            helpers: TaskTracker::new(),
        });
        Ok(Face { listener, address, desk })
    }

    /// Where it listens: with the port that the system chose, if it was to choose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How many legacy sessions there are.
    pub fn sessions(&self) -> usize {
        self.desk.sessions.count()
    }

    /// Serves until `shutdown`, then ends: no more connections, streams without a call are closed, calls are given
    /// [`Times::linger`] to be answered, and all tasks are waited for. Sessions end last.
    pub async fn run(self, shutdown: CancellationToken) {
        let Face { listener, desk, address } = self;
        tracing::info!(event = "http.listening", %address, "serving clients over HTTP");
        let Times { head, stalled, keep_alive, linger, grace, .. } = desk.times;
        let pace = Pace { head, stalled, keep_alive };
        let connections = Connections::new(MAX_CONNECTIONS, pace, desk.closing.clone());
        let sweeping = {
            let desk = Arc::clone(&desk);
            async move { desk.sessions.sweep(desk.times.kept).await }
        };
        tokio::pin!(sweeping);
        loop {
            let next = async {
                let place = connections.place().await;
                (listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                () = shutdown.cancelled() => break,
                () = &mut sweeping => break,
                next = next => next,
            };
            match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let desk = Arc::clone(&desk);
                    connections.serve(stream, place, move |request| {
                        let desk = Arc::clone(&desk);
                        async move { desk.answer(request).await }
                    });
                }
                // The client is gone again, or we have too many files open; others may close some.
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        desk.closing.cancel();
        connections.end_within(linger).await;
        desk.ending.cancel();
        connections.end_within(grace).await;
        connections.tell_to_end();
        desk.sessions.end_all();
        desk.helpers.close();
        connections.kill().await;
        desk.helpers.wait().await;
    }
}
