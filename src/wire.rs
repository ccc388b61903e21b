//! Bytes in, bytes out: lines, event streams, raw JSON, envelopes, ids and the queues in front of every writer.
//!
//! In come chunks of bytes from a pipe; out go lines whose JSON has been checked once and whose envelope (id, method,
//! and where `params`, `result` or `error` stand) is known. Payloads stay raw: nothing here builds a tree of values.
//! This room knows JSON-RPC 2.0 and never what an MCP method means.

pub mod envelope;
mod hex;
pub mod id;
pub mod json;
pub mod lines;
pub mod mailbox;
pub mod outbox;
pub mod splice;
pub mod sse;
pub mod time;
pub mod unseen;
mod whole;

pub use envelope::{Body, Fault, Message};
pub use hex::hex;
pub use id::Id;
pub use json::Span;
pub use lines::{Cut, Line, LineReader, PerLine};
pub use mailbox::Mailbox;
pub use outbox::{Full, LineWriter, Outbox};
pub use splice::Splice;
pub use sse::{Event, SseReader};
pub use whole::whole;
