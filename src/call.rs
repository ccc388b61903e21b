//! The currency between rooms: a call on its way to a server, what comes back, and what servers say in between.
//!
//! A frontend makes a [`Call`] and names it by a [`Ticket`] of its own; a backend answers to the [`Caller`] with the
//! ticket, and never learns what the client's id or the exposed name was. The other way round a server's question
//! travels as an [`Ask`] under an [`AskKey`], is answered to its [`Asker`], and the frontend never learns the server's id.
//! What a server says outside of calls goes to its [`Audience`].
//!
//! Neither side knows the other's revision of the protocol: both say in which one a text is written, and whoever
//! writes it out again translates it.

mod between;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::names::{OriginalName, ServerName};
use crate::protocol::{Level, Method, Revision, Tasks};
use crate::wire::{Body, Id, Span, json};

pub(crate) use between::Between;

/// A frontend's name for one of its open requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// A request for one server, as raw text with the places that must change on the way.
#[derive(Clone, Debug)]
pub struct Call {
    /// The frontend's name for it.
    pub ticket: Ticket,
    /// Whose it is.
    pub caller: Arc<dyn Caller>,
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
    /// Where the object `_meta` stands in the parameters.
    pub meta: Option<Span>,
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
    /// ourselves.
    Own {
        /// Where it goes: the offset in the call's line.
        at: usize,
        /// What stands around it there.
        with: Surroundings,
    },
}

/// What a token needs around it in the place where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surroundings {
    /// A whole `_meta`, behind another member.
    Meta,
    /// Its key, as the only member.
    Key,
    /// Its key, before another member.
    KeyBefore,
}

impl Surroundings {
    /// What stands before the token.
    pub fn before(self) -> &'static str {
        match self {
            Surroundings::Meta => r#","_meta":{"progressToken":"#,
            Surroundings::Key | Surroundings::KeyBefore => r#""progressToken":"#,
        }
    }

    /// What stands after it.
    pub fn after(self) -> &'static str {
        match self {
            Surroundings::Meta => "}",
            Surroundings::Key => "",
            Surroundings::KeyBefore => ",",
        }
    }
}

/// A server's answer to a call.
#[derive(Debug)]
pub struct Reply<'a> {
    /// The line that holds it.
    pub line: &'a Bytes,
    /// Where the result or error stands in it.
    pub body: Body,
    /// The revision in which it is written.
    pub revision: &'static Revision,
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

/// Who asks, for the one who has the answer.
pub trait Asker: Send + Sync + std::fmt::Debug {
    /// The answer to a question: the client's result or error in `line`, already in the server's revision.
    fn answer(&self, key: &AskKey, line: &Bytes, body: Body);

    /// The client reports progress on a question. The parameters have the server's own token.
    fn progress(&self, _key: &AskKey, _params: &[u8]) {}

    /// The answer will take long: the call in whose middle the question was asked rests until it comes.
    fn rests(&self, _key: &AskKey) {}
}

/// A question of a server to the client's user or model.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The backend's name for it.
    pub key: AskKey,
    /// Who wants the answer.
    pub asker: Arc<dyn Asker>,
    /// The revision in which it is written.
    pub revision: &'static Revision,
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

/// A server's report of how far a call has come.
#[derive(Debug)]
pub struct Progress<'a> {
    /// The notification.
    pub notice: Notice<'a>,
    /// Where our token stands in it.
    pub token: Span,
    /// The revision that the server speaks.
    pub revision: &'static Revision,
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
        crate::wire::hex(&hash.finalize()[..4])
    }
}

/// What a client says of itself, and by which door it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientInfo {
    /// The name that it gives itself (`clientInfo.name`); empty if it gives none.
    pub name: String,
    /// The version that it tells.
    pub version: Option<String>,
    /// Whether it has come over HTTP, and not on pipes.
    pub over_http: bool,
}

/// The longest part of what a client says of itself that is remembered, in bytes.
const LONGEST_NAME: usize = 256;

impl ClientInfo {
    /// Reads a client's own words: an `Implementation` object, of which the rest is not looked at.
    pub fn read(implementation: &[u8], over_http: bool) -> Self {
        let text = |name| {
            let mut text = json::string(json::get(implementation, name)?.of(implementation))?.into_owned();
            let end = (0..=LONGEST_NAME.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
            Some(text)
        };
        Self { name: text("name").unwrap_or_default(), version: text("version"), over_http }
    }
}

/// Tells callers apart; no two have the same while we run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallerId(u64);

impl CallerId {
    /// An id that nobody has.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The one who made calls, as backends see him: a session with a client, or one request of a client without sessions. No method waits.
pub trait Caller: Send + Sync + std::fmt::Debug {
    /// Who it is.
    fn id(&self) -> CallerId;

    /// How he introduced himself: for a client without sessions, in this request.
    fn introduction(&self) -> Introduction;

    /// Who he is by his token; `None` for all who show none.
    fn principal(&self) -> Option<Arc<str>> {
        None
    }

    /// The name of the profile by which he is served, if by one.
    fn profile(&self) -> Option<Arc<str>> {
        None
    }

    /// What he says of himself; `None` if he is no client.
    fn client(&self) -> Option<Arc<ClientInfo>> {
        None
    }

    /// The least severe log messages that he wants to see.
    fn level(&self) -> Option<Level>;

    /// Whether nobody waits for the answers at the line: then a server may go on with a call as a task, which the backend looks
    /// after, even if there is another way.
    fn is_patient(&self) -> bool {
        false
    }

    /// Whether every question must come through [`ask`](Self::ask), even if he could be handed a result that asks: somebody on
    /// the way looks at questions.
    fn hears_questions(&self) -> bool {
        false
    }

    /// The server has answered the call.
    fn reply(&self, ticket: Ticket, reply: Reply<'_>);

    /// There will be no answer of the server.
    fn fail(&self, ticket: Ticket, failure: Failure);

    /// The server reports progress on the call.
    fn progress(&self, ticket: Ticket, progress: Progress<'_>);

    /// The server sends a log message while it works on the call.
    fn log(&self, ticket: Ticket, server: &ServerName, notice: Notice<'_>);

    /// The server asks something in the middle of the call.
    ///
    /// # Errors
    /// The client cannot be asked this.
    fn ask(&self, ticket: Ticket, ask: Ask<'_>) -> Result<(), NotAsked>;

    /// The server no longer wants the answer.
    fn withdraw(&self, key: &AskKey, reason: &str);
}

/// A call in flight at a server, for what the server says without naming the call.
pub type InFlight = (Ticket, Arc<dyn Caller>);

/// Everybody behind us, as a backend sees them. No method waits: what cannot be passed on at once is queued or dropped by
/// the implementation.
pub trait Audience: Send + Sync + std::fmt::Debug {
    /// How servers that hold a conversation are told who we are, once for all clients.
    fn introduction(&self) -> Introduction;

    /// The server sends a log message and does not say for which of the calls in flight.
    fn log(&self, server: &ServerName, notice: Notice<'_>, in_flight: &[InFlight]);

    /// A log message of ours about the server.
    fn say(&self, server: &ServerName, text: &str);

    /// A resource of the server has changed.
    fn updated(&self, server: &ServerName, notice: Notice<'_>);

    /// Who has begun this task of the server (MCP 2025-11-25), if he is still there.
    fn owner_of_task(&self, server: &ServerName, id: &str) -> Option<Arc<dyn Caller>>;

    /// A task of the server has changed, as told in this form.
    fn task_changed(&self, server: &ServerName, form: Tasks, notice: Notice<'_>);

    /// An elicitation by URL has come to its end (2025-11-25, "Elicitation").
    fn elicitation_complete(&self, notice: Notice<'_>);

    /// The server asks something outside of any call.
    ///
    /// # Errors
    /// There is nobody who could be asked this.
    fn ask(&self, ask: Ask<'_>) -> Result<(), NotAsked>;

    /// The server no longer wants the answer to a question that was asked outside of any call.
    fn withdraw(&self, key: &AskKey, reason: &str);

    /// Whether so much waits for the only client that servers must pause.
    fn is_full(&self) -> bool;

    /// Resolves when the client has room again.
    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
