//! Where requests come in: a TCP address with a token, or a Unix socket that only its owner reaches.

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Door};
#[cfg(unix)]
use super::local::Socket;
use super::lock::Lock;
use super::stats::Stats;
use crate::config::{AdminConfig, AdminDoor};
use crate::failure::{Code, Failure};
use crate::web::door::{Names, is_loopback};
use crate::web::{Connections, Pace};

/// The most connections at once. Further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 128;
const PACE: Pace = Pace {
    head: Duration::from_secs(30),
    stalled: Duration::from_secs(60),
    keep_alive: Duration::from_secs(15),
};
/// At the end, for requests to be answered.
const LINGER: Duration = Duration::from_millis(500);
/// After a connection that could not be accepted: too many files may be open, and others may close some.
const PAUSE: Duration = Duration::from_millis(50);

/// The interface of `admin.listen`.
pub(super) struct Listener {
    desk: Arc<Desk>,
    door: Door,
    opening: Opening,
    place: String,
}

enum Opening {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(Socket),
}

impl Listener {
    /// Listens. Connections wait until [`run`](Self::run). `None` if the config opens nothing.
    ///
    /// # Errors
    /// [`Code::AdminListen`]: the address or path cannot be listened on.
    pub(super) async fn bind(config: &AdminConfig, desk: &Arc<Desk>) -> Result<Option<Listener>, Failure> {
        let Some(door) = &config.listen else { return Ok(None) };
        let (opening, door, place) = match door {
            AdminDoor::Tcp { address, token } => {
                let failed = |error: io::Error| failure(&address.to_string(), &error);
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                let at = listener.local_addr().map_err(failed)?;
                let names = Names {
                    loopback: is_loopback(at),
                    hosts: config.allowed_hosts.clone(),
                    origins: Vec::new(),
                };
                let door = Door { names: Some(names), lock: Some(Lock::new(token)?), looks_only: false };
                (Opening::Tcp(listener), door, format!("http://{at}"))
            }
            #[cfg(unix)]
            AdminDoor::Unix { path, token } => {
                let shown = path.display().to_string();
                let socket = Socket::bind(path).map_err(|error| failure(&shown, &error))?;
                let lock = token.as_ref().map(Lock::new).transpose()?;
                (
                    Opening::Unix(socket),
                    Door { names: None, lock, looks_only: false },
                    format!("unix:{shown}"),
                )
            }
            #[cfg(not(unix))]
            AdminDoor::Unix { path, .. } => {
                let error = io::Error::from(io::ErrorKind::Unsupported);
                return Err(failure(&path.display().to_string(), &error));
            }
        };
        Ok(Some(Listener { desk: Arc::clone(desk), door, opening, place }))
    }

    /// Where it listens: with the port that the system chose, if it was to choose.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Serves until `shutdown`, then closes streams, lets requests be answered for a moment, and waits for all tasks.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let Listener { desk, door, opening, place } = self;
        tracing::info!(event = "admin.listening", place, "the administration interface is open");
        let counting = Stats::follow(Arc::clone(&desk));
        let ending = serve(desk, door, opening, shutdown);
        tokio::pin!(counting, ending);
        tokio::select! {
            () = counting => {}
            () = ending => {}
        }
    }
}

fn failure(place: &str, error: &io::Error) -> Failure {
    Failure::new(Code::AdminListen, format!("`{place}` cannot be listened on: {error}"))
        .remedy("Choose another place: `admin: { listen: … }`")
}

async fn serve(desk: Arc<Desk>, door: Door, opening: Opening, shutdown: CancellationToken) {
    let rounds = Rounds::new(desk, door);
    loop {
        let place = tokio::select! {
            () = shutdown.cancelled() => break,
            place = rounds.connections.place() => place,
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&opening, &rounds, place) => if let Err(error) = accepted {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            },
        }
    }
    drop(opening);
    rounds.end().await;
}

async fn accept(
    opening: &Opening,
    rounds: &Rounds,
    place: Option<tokio::sync::OwnedSemaphorePermit>,
) -> io::Result<()> {
    match opening {
        Opening::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            rounds.serve(stream, place);
        }
        #[cfg(unix)]
        Opening::Unix(socket) => rounds.serve(socket.accept().await?, place),
    }
    Ok(())
}

/// The connections of one listener, and who answers them.
pub(super) struct Rounds {
    desk: Arc<Desk>,
    door: Arc<Door>,
    pub(super) connections: Connections,
    closing: CancellationToken,
}

impl Rounds {
    pub(super) fn new(desk: Arc<Desk>, door: Door) -> Self {
        let closing = CancellationToken::new();
        let connections = Connections::new(MAX_CONNECTIONS, PACE, closing.clone());
        Self { desk, door: Arc::new(door), connections, closing }
    }

    pub(super) fn serve<S>(&self, stream: S, place: Option<tokio::sync::OwnedSemaphorePermit>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (desk, door) = (Arc::clone(&self.desk), Arc::clone(&self.door));
        self.connections.serve(stream, place, move |request| {
            let (desk, door) = (Arc::clone(&desk), Arc::clone(&door));
            async move { desk.answer(&door, request).await }
        });
    }

    /// Closes streams, lets requests be answered for a moment, and waits for all tasks.
    pub(super) async fn end(self) {
        self.desk.closing.cancel();
        self.closing.cancel();
        self.connections.end_within(LINGER).await;
        self.connections.kill().await;
    }
}
