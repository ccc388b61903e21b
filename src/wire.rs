//! Bytes in, bytes out: lines, raw JSON, envelopes, ids and the queues in front of every writer.
//!
//! In come chunks of bytes from a pipe; out go lines whose JSON has been checked once and whose envelope (id, method,
//! and where `params`, `result` or `error` stand) is known. Payloads stay raw: nothing here builds a tree of values.
//! This room knows JSON-RPC 2.0 and never what an MCP method means.

pub mod id;
pub mod json;
pub mod splice;

pub use id::Id;
pub use json::Span;
pub use splice::Splice;
