//! What the log says of a call.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::names::{ExposedName, OriginalName, ServerName};
use crate::wire::{json, time};

/// So much of a name stands in the log, in characters: clients choose the URIs that they read.
const LONGEST_NAME: usize = 2048;

/// What was done with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was let through to the server, or answered from what the server had said before.
    Allowed,
    /// It was kept from the server.
    Refused,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Result {
    /// A result.
    Ok,
    /// A result that says that the tool has failed (`isError`).
    ToolError,
    /// A JSON-RPC error of the server.
    Error,
    /// No answer; this is the code of the failure.
    Failed(&'static str),
    /// Nobody waited for the answer any more.
    Cancelled,
}

/// One call, as the log tells it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it came.
    pub time: SystemTime,
    /// Who called: the name that belongs to the client's token; `None` for clients without one.
    pub client: Option<Arc<str>>,
    /// The method.
    pub method: &'static str,
    /// The server.
    pub server: ServerName,
    /// What was called, in the client's words: a tool, a prompt, a URI.
    pub name: ExposedName,
    /// The same in the server's words.
    pub original: OriginalName,
    /// What it does to the world.
    pub effect: &'static str,
    /// The arguments as the config wants them: a JSON text.
    pub arguments: Option<Vec<u8>>,
    /// What was done.
    pub decision: Decision,
    /// What came of it.
    pub result: Result,
    /// How long it took.
    pub took: Duration,
}

impl Entry {
    /// The members of its JSON object.
    pub(super) fn members(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(br#""time":"#);
        json::push_string(&mut out, &time::rfc3339(self.time));
        push(&mut out, "client", self.client.as_deref());
        push(&mut out, "method", Some(self.method));
        push(&mut out, "server", Some(self.server.as_str()));
        push(&mut out, "name", Some(bounded(self.name.as_str())));
        push(&mut out, "original", Some(bounded(self.original.as_str())));
        push(&mut out, "effect", Some(self.effect));
        if let Some(arguments) = &self.arguments {
            out.extend_from_slice(br#","arguments":"#);
            out.extend_from_slice(arguments);
        }
        let decision = match self.decision {
            Decision::Allowed => "allowed",
            Decision::Refused => "refused",
        };
        push(&mut out, "decision", Some(decision));
        let (result, code) = match self.result {
            Result::Ok => ("ok", None),
            Result::ToolError => ("tool_error", None),
            Result::Error => ("error", None),
            Result::Failed(code) => ("failed", Some(code)),
            Result::Cancelled => ("cancelled", None),
        };
        push(&mut out, "result", Some(result));
        if code.is_some() {
            push(&mut out, "code", code);
        }
        // A vector takes whatever is written to it.
        let _ = write!(out, r#","took_ms":{}"#, self.took.as_millis());
        out
    }
}

fn bounded(name: &str) -> &str {
    // Most names are shorter in bytes already.
    match name.len() <= LONGEST_NAME {
        true => name,
        false => name.char_indices().nth(LONGEST_NAME).map_or(name, |(end, _)| &name[..end]),
    }
}

fn push(out: &mut Vec<u8>, name: &str, text: Option<&str>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    match text {
        Some(text) => json::push_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// What the log says when it could not be written for a while.
pub(super) fn lost(count: u64, time: SystemTime) -> Vec<u8> {
    let mut out = br#""time":"#.to_vec();
    json::push_string(&mut out, &time::rfc3339(time));
    out.extend_from_slice(format!(r#","event":"lost","entries":{count}"#).as_bytes());
    out
}
