//! Interceptors: who looks at calls before they go to their server, at what comes back, and at what goes wrong; if they want to, at the
//! lists that clients are shown and at what servers ask of clients, too.
//!
//! In comes a [`CallView`], what an interceptor may know of a call; out comes a [`Verdict`]: let it pass, change it, answer it,
//! refuse it, make it wait. There are four ways to write one, and one chain for all of them ([`Interceptors`]): the trait
//! [`Interceptor`] for programs that use this crate, a program that reads and writes lines of JSON, an address that is posted to,
//! and an MCP server that speaks the draft of the interceptors extension (SEP-2624), whose words and order the others use too.
//!
//! An interceptor that hangs, dies, floods or talks nonsense costs its calls what the config says ([`Fail`]) and
//! nobody else anything. The room never looks at a client's ids and sends nothing to the server that is called.
//!
//! To add one, implement [`Interceptor`] and hand it to [`Builder::interceptor`](crate::app::Builder::interceptor);
//! `examples/custom_interceptor.rs` is a complete one.

mod asks;
mod chain;
mod event;
mod gate;
mod lists;
mod once;
mod outside;
mod post;
mod process;
mod program;
mod remote;
mod words;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::effect::Effect;
use crate::failure::Failure;
use crate::names::{ExposedName, OriginalName, ServerName};
use crate::wire::json;

pub use crate::config::{
    Fail, InterceptorKind as Kind, InterceptorMode as Mode, InterceptorRules as Rules, Phase,
};
pub use crate::transport::BoxFuture;

pub(crate) use asks::{Asks, Overheard};
pub use chain::{Interceptors, Surroundings};
pub(crate) use chain::{Moment, Recheck, Ruling};
pub use event::Event;
pub use gate::HookTallies;

/// Why an interceptor has no verdict. The text is shown to people and models.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Looks at calls. Every method has a default that lets everything pass; which of them are asked, and about which calls, is said by the
/// [`Rules`]: lists and questions of servers only if their `events` say so.
///
/// What an interceptor does is bounded from outside by the timeout of its rules: the future is dropped then. It must not block the
/// thread, on which everything else runs too.
pub trait Interceptor: Send + Sync + fmt::Debug {
    /// A call is about to go to its server. [`Verdict::Change`] has its new arguments.
    ///
    /// # Errors
    /// There is no verdict; the rules say what happens to the call.
    fn before<'a>(&'a self, _call: &'a CallView) -> BoxFuture<'a, Result<Verdict, Error>> {
        pass()
    }

    /// The server has answered with a result, whatever it says (`isError` too). [`Verdict::Change`] and [`Verdict::Answer`] have
    /// another one.
    ///
    /// # Errors
    /// There is no verdict; the rules say what happens to the result.
    fn after<'a>(&'a self, _call: &'a CallView, _result: &'a Bytes) -> BoxFuture<'a, Result<Verdict, Error>> {
        pass()
    }

    /// There is no result. [`Verdict::Answer`] gives the client one all the same; [`Verdict::Deny`] tells it another reason.
    ///
    /// # Errors
    /// There is no verdict: the error stays as it is.
    fn error<'a>(
        &'a self,
        _call: &'a CallView,
        _error: &'a CallError,
    ) -> BoxFuture<'a, Result<Verdict, Error>> {
        pass()
    }

    /// How much longer than usual the next verdict may take, because something has to be started for it.
    fn warm_up(&self) -> Duration {
        Duration::ZERO
    }
}

fn pass<'a>() -> BoxFuture<'a, Result<Verdict, Error>> {
    Box::pin(std::future::ready(Ok(Verdict::Pass)))
}

/// What an interceptor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Pass,
    /// Go on with these arguments, or with this result: a JSON object. The text is passed on as it is.
    Change(Bytes),
    /// This is the result: a JSON object. Before a call, its server is not asked.
    Answer(Bytes),
    /// No, and why, in words for the model that has called.
    Deny(String),
    /// Go on after this pause, which is not counted as time of the interceptor.
    Delay(Duration),
}

/// What an interceptor may know of a call.
#[derive(Clone, Debug)]
pub struct CallView {
    /// What it is: a call of a tool, say, or a list.
    pub event: Event,
    /// The name that the client uses; of a resource, its URI; of a list, its method. A question of a server has the name of the call
    /// in whose middle it is asked, or else that of the server.
    pub exposed: ExposedName,
    /// The server's own name for it.
    pub original: OriginalName,
    /// The server; of a list, `switchboard`.
    pub server: ServerName,
    /// The arguments, a JSON object, as they were written; empty braces for a resource. Of a list or a question, its parameters.
    pub arguments: Bytes,
    /// The definition that the client sees, JSON; empty for a resource.
    pub definition: Bytes,
    /// Who calls, by the name of his token; `None` for all who show none.
    pub principal: Option<Arc<str>>,
    /// What it does to the world.
    pub effect: Effect,
    /// Which attempt this is, counted from one.
    pub attempt: u32,
    /// The trace that the call belongs to, if the client has said so.
    pub trace: Option<Trace>,
}

impl CallView {
    /// A question of a server that belongs to no call.
    pub(crate) fn outside(server: &ServerName, principal: Option<Arc<str>>) -> Self {
        Self {
            event: Event::ASKS[0],
            exposed: server.as_str().into(),
            original: server.as_str().into(),
            server: server.clone(),
            arguments: Bytes::new(),
            definition: Bytes::new(),
            principal,
            effect: Effect::Unknown,
            attempt: 1,
            trace: None,
        }
    }

    /// The tool's annotations as clients see them, a JSON object: a stranger's claims.
    pub fn annotations(&self) -> Option<&[u8]> {
        json::get(&self.definition, "annotations").map(|span| span.of(&self.definition))
    }
}

/// A place in a distributed trace (W3C Trace Context, `traceparent`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace: 32 hexadecimal digits.
    pub id: String,
    /// The span in it: 16 hexadecimal digits.
    pub span: String,
}

impl Trace {
    /// Reads a `traceparent`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, id, span) = (parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
        let is_one = is_hex(version, 2) && version != "ff" && is_hex(id, 32) && is_hex(span, 16);
        (is_one && !is_zero(id) && !is_zero(span)).then(|| Self { id: id.to_owned(), span: span.to_owned() })
    }
}

/// Why a call has no result.
#[derive(Clone, Debug)]
pub enum CallError {
    /// The server has answered with an error: the JSON-RPC error object, as it came.
    Answer(Bytes),
    /// There is no answer of the server: a failure of ours or on the way, or a refusal.
    Failure(Failure),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(error) => {
                let message = json::get(error, "message").and_then(|span| json::string(span.of(error)));
                f.write_str(message.as_deref().unwrap_or("the server answered with an error"))
            }
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
