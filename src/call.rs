//! The currency between rooms: a call on its way to a server, what comes back, and what servers say in between.
//!
//! A frontend makes a [`Call`] and names it by a [`Ticket`] of its own; a backend answers to the [`Client`] with the
//! ticket, and never learns what the client's id or the exposed name was. The other way round a server's question
//! travels as an [`Ask`] under an [`AskKey`], and the frontend never learns the server's id.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::names::{OriginalName, ServerName};
use crate::protocol::{Method, Revision};
use crate::wire::{Body, Id, Span};

/// A frontend's name for one of its open requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// A request for one server, as raw text with the places that must change on the way.
#[derive(Clone, Debug)]
pub struct Call {
    /// The frontend's name for it.
    pub ticket: Ticket,
    /// Whose it is.
    pub client: Arc<dyn Client>,
    /// The method, the same on both sides.
    pub method: Method,
    /// What is called, in the server's own words, for texts that people read.
    pub label: OriginalName,
    /// The line that holds the parameters.
    pub line: Bytes,
    /// Where the parameters stand in `line`.
    pub params: Option<Span>,
    /// The name or URI in the server's spelling, as JSON, and the place in `line` where it belongs.
    pub target: Option<(Span, Bytes)>,
    /// Where the progress token for the server goes.
    pub token: TokenPlace,
}

/// Where in a call's parameters our progress token for the server goes.
///
/// Tokens are unique per server and ours, so that no two clients' tokens meet (MCP "Progress").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// The call carries none.
    None,
    /// In the place of the client's own token: progress is relayed.
    Client(Span),
    /// The client asked for no progress. We ask all the same, because progress keeps a long call alive, and keep it to
    /// ourselves: the token goes in at offset `at`, between the two texts.
    Own {
        /// The offset in the call's line.
        at: usize,
        /// What stands before the token.
        before: &'static str,
        /// What stands after it.
        after: &'static str,
    },
}

/// A server's answer to a call.
#[derive(Debug)]
pub struct Reply<'a> {
    /// The line that holds it.
    pub line: &'a Bytes,
    /// Where the result or error stands in it.
    pub body: Body,
}

/// What a server may ask of the client in the middle of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AskKind {
    /// `sampling/createMessage`
    Sampling,
    /// `elicitation/create`
    Elicitation,
    /// `roots/list`
    Roots,
}

impl AskKind {
    /// The kind of a server's request; `None` if we do not relay that method.
    pub fn parse(method: &str) -> Option<AskKind> {
        match method {
            "sampling/createMessage" => Some(AskKind::Sampling),
            "elicitation/create" => Some(AskKind::Elicitation),
            "roots/list" => Some(AskKind::Roots),
            _ => None,
        }
    }

    /// The method on the wire.
    pub fn method(self) -> &'static str {
        match self {
            AskKind::Sampling => "sampling/createMessage",
            AskKind::Elicitation => "elicitation/create",
            AskKind::Roots => "roots/list",
        }
    }

    /// The client capability that allows it.
    pub fn capability(self) -> &'static str {
        match self {
            AskKind::Sampling => "sampling",
            AskKind::Elicitation => "elicitation",
            AskKind::Roots => "roots",
        }
    }
}

/// A backend's name for one open question of its server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AskKey {
    /// The server that asks.
    pub server: ServerName,
    /// Which run of the server asks; an answer for an earlier run is dropped.
    pub generation: u64,
    /// The server's own id.
    pub id: Id,
}

/// A question of a server to the client's user or model.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The backend's name for it.
    pub key: AskKey,
    /// What is asked.
    pub kind: AskKind,
    /// The line that holds the parameters.
    pub line: &'a Bytes,
    /// Where the parameters stand.
    pub params: Option<Span>,
}

/// Why a question is not put to the client, in a sentence for the server that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAsked {
    /// The client does not take such questions at all.
    Unsupported(String),
    /// The client takes such questions, but not this one.
    Unacceptable(String),
}

/// A notification of a server that concerns no single call.
#[derive(Debug)]
pub struct Notice<'a> {
    /// The line that holds the parameters.
    pub line: &'a Bytes,
    /// Where the parameters stand.
    pub params: Span,
}

/// How a client introduced itself; servers are introduced to it in the same words.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// The revision that it speaks.
    pub revision: &'static Revision,
    /// Its raw capabilities object, reduced to what we relay.
    pub capabilities: Bytes,
}

impl Introduction {
    /// Stands for everything that a server may learn of the client: eight hexadecimal digits. Two clients with the
    /// same profile are shown the same.
    pub fn profile(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.revision.name);
        hash.update(&self.capabilities);
        hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The client's side, as backends see it. No method waits: what cannot be passed on at once is queued or dropped by
/// the implementation.
pub trait Client: Send + Sync + std::fmt::Debug {
    /// How the client introduced itself.
    fn introduction(&self) -> Introduction;

    /// The server has answered the call.
    fn reply(&self, ticket: Ticket, reply: Reply<'_>);

    /// There will be no answer of the server.
    fn fail(&self, ticket: Ticket, failure: Failure);

    /// The server reports progress on the call; `token` is where our token stands in the line.
    fn progress(&self, ticket: Ticket, notice: Notice<'_>, token: Span);

    /// The server sends a log message.
    fn log(&self, server: &ServerName, notice: Notice<'_>);

    /// A log message of ours about the server.
    fn say(&self, server: &ServerName, text: &str);

    /// A resource of the server has changed.
    fn updated(&self, server: &ServerName, notice: Notice<'_>);

    /// An elicitation by URL has come to its end (2025-11-25, "Elicitation").
    fn elicitation_complete(&self, notice: Notice<'_>);

    /// The server asks.
    ///
    /// # Errors
    /// The client cannot be asked this.
    fn ask(&self, ask: Ask<'_>) -> Result<(), NotAsked>;

    /// The server no longer wants the answer.
    fn withdraw(&self, key: &AskKey, reason: &str);

    /// Whether so much waits for the client that servers must pause.
    fn is_full(&self) -> bool;

    /// Resolves when the client has room again.
    fn room(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
