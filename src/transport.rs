//! How messages get to a server and back, whatever lies between.
//!
//! A [`Transport`] is made once for a server and opens a [`Connection`] for every generation of it. In go whole messages,
//! each one JSON-RPC object without a line break; out come the server's. A transport never looks at what a message means
//! for MCP beyond what its own headers and streams need, and it never sends a message twice, but after a refusal for want
//! of credentials.
//!
//! [`remote`] makes the transport for a server at an address: Streamable HTTP (every revision) and HTTP with SSE, over
//! TCP or a Unix socket; WebSocket; lines on a Unix socket. Child processes belong to the supervisor.
//!
//! To add a transport, implement [`Transport`] and [`Peer`] and hand the transport to
//! [`Builder::transport`](crate::app::Builder::transport); `examples/custom_transport.rs` is a complete one. Credentials of
//! one's own are an [`AuthProvider`] that is handed to [`Builder::auth`](crate::app::Builder::auth):
//! `examples/custom_auth.rs`.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::config::{RemoteKind, RemoteLaunch};
#[cfg(not(unix))]
use crate::failure::Code;
use crate::failure::Failure;
use crate::names::ServerName;
use crate::supervisor::{Ending, Exit};

pub mod header_params;
mod http;
mod no_auth;
mod patience;
#[cfg(test)]
mod test_support;
pub mod tls;
#[cfg(unix)]
mod unix;
mod websocket;

pub use header_params::HeaderParams;
pub use http::{Endpoint, Undelivered};
pub use no_auth::NoAuth;
pub use patience::Patience;

/// Makes the transport for a server at an address. Nothing is connected yet.
///
/// # Errors
/// The address, a header or the file of authorities cannot be used.
pub fn remote(
    launch: &RemoteLaunch,
    auth: Arc<dyn AuthProvider>,
    patience: Patience,
) -> Result<Arc<dyn Transport>, Failure> {
    Ok(match launch.kind {
        RemoteKind::Auto | RemoteKind::Http | RemoteKind::Sse => {
            Arc::new(http::HttpTransport::new(launch, auth, patience)?)
        }
        RemoteKind::WebSocket => Arc::new(websocket::WebSocketTransport::new(launch, auth, patience)?),
        #[cfg(unix)]
        RemoteKind::Unix => Arc::new(unix::UnixTransport::new(launch, patience)?),
        #[cfg(not(unix))]
        RemoteKind::Unix => return Err(Failure::new(Code::ConfigValue, "this system has no Unix sockets")),
    })
}

/// A future behind a pointer, as traits need it that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A way to a server.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Opens a connection, on which nothing has been said yet. Called anew for every generation.
    ///
    /// # Errors
    /// The server cannot be reached: why, and what would mend it.
    fn connect(&self, opening: Opening) -> BoxFuture<'_, Result<Connection, Failure>>;

    /// Whether what a server says comes with the request that it belongs to ([`Inbound::Message`]). Where it does not, calls
    /// of several clients in the middle of which a server may ask something are kept apart. Asked after every handshake.
    fn has_streams(&self) -> bool {
        false
    }
}

/// What a transport is told when it opens a connection.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The server, for texts that people read.
    pub server: ServerName,
    /// Which run of the server this is, counted from one.
    pub generation: u64,
    /// The longest message to hand on, in bytes; of a longer one [`Inbound::TooLong`] tells.
    pub max_message: usize,
    /// Which arguments of tools must stand in headers too (MCP 2026-07-28, "Streamable HTTP").
    pub header_params: Arc<HeaderParams>,
}

/// An open way to a server, and the one who knows how it ends.
pub struct Connection {
    /// Where messages go in and come out.
    pub traffic: Traffic,
    /// The other side.
    pub peer: Box<dyn Peer>,
}

/// How messages travel.
pub enum Traffic {
    /// As lines on a stream of bytes: a child's pipes, a socket.
    Lines {
        /// What the server writes.
        input: Box<dyn AsyncRead + Send + Unpin>,
        /// What the server reads. It is closed to say that nothing more will come.
        output: Box<dyn AsyncWrite + Send + Unpin>,
    },
    /// One by one. Dropping `outgoing` says that nothing more will come; a closed `incoming` ends the connection.
    Messages {
        /// Messages to the server, in their order. The ids of requests are plain whole numbers.
        outgoing: mpsc::Sender<Bytes>,
        /// What comes back.
        incoming: mpsc::Receiver<Inbound>,
    },
}

/// What a connection brings.
#[derive(Debug)]
pub enum Inbound {
    /// A message of the server.
    Message {
        /// The message, as it came.
        text: Bytes,
        /// The id of our request in whose own stream it came, if the transport has such streams.
        about: Option<u64>,
    },
    /// The request of this id gets no answer.
    Failed {
        /// The id.
        id: u64,
        /// Why.
        failure: Failure,
        /// Whether it may have run.
        fate: Fate,
    },
    /// A message was longer than [`Opening::max_message`] and was dropped.
    TooLong {
        /// As in [`Inbound::Message`].
        about: Option<u64>,
        /// Its beginning and, if it was read to its end, its end: an id may stand there.
        ends: [Bytes; 2],
        /// Its length, as far as it was read, in bytes.
        length: u64,
    },
}

/// What became of a request that gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The server cannot have run it.
    NotRun,
    /// It may have run.
    Unknown,
    /// The server has refused it only because it has forgotten us, and the connection is about to end: it may be sent
    /// again, once, in the next generation.
    SendAgain,
}

/// The other side of a connection, as far as it lives and ends.
pub trait Peer: Send {
    /// Resolves when the connection is over. Cancel safe; may be asked again and says the same.
    fn over(&mut self) -> BoxFuture<'_, Over>;

    /// Ends the connection, politely at first, and resolves when nothing is left of it. Tasks of the transport end here.
    fn end(self: Box<Self>, ending: Ending) -> BoxFuture<'static, ()>;

    /// The server's process, if it is a child of ours.
    fn pid(&self) -> Option<u32> {
        None
    }
}

/// How a connection came to its end.
#[derive(Clone, Debug)]
pub enum Over {
    /// The server's process has ended.
    Exited(Exit),
    /// The other side is gone, or does not know us any more.
    Lost(Failure),
}

/// What can be refused by a server that wants to know who we are: the state of our credentials for it.
///
/// One provider stands behind one server. `examples/custom_auth.rs` is a complete one.
pub trait AuthProvider: Send + Sync + fmt::Debug {
    /// The headers that prove who we are, for one request. Called before every request, so it should answer from memory.
    ///
    /// # Errors
    /// There are no credentials, and none can be had without a person: a failure with the code `AuthNeedsLogin` and the
    /// command to run.
    fn authorize<'a>(
        &'a self,
        url: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(::http::HeaderName, ::http::HeaderValue)>, Failure>>;

    /// The server has refused a request. `Ok` if another try has other credentials: the request is sent once more.
    ///
    /// # Errors
    /// Nothing that can be done without a person would help.
    fn challenged<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<(), Failure>>;
}

/// A refusal for want of credentials.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// The address of the request.
    pub url: String,
    /// 401, or 403.
    pub status: u16,
    /// The `WWW-Authenticate` headers, as they came.
    pub www_authenticate: Vec<String>,
    /// The `Authorization` header that was refused, to tell a refusal of old credentials from one of new ones.
    pub sent: Option<::http::HeaderValue>,
}
