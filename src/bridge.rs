//! Between the revisions of MCP: pure translations of raw JSON from what one side says into what the other understands.
//!
//! In comes the raw text of params, a result, an error or a definition, and the [`Revision`](crate::protocol::Revision)s
//! of both sides; out comes nothing at all when nothing has to change, else a new text in which only the members named
//! by the bridging rules differ: unknown members, their order and the text of numbers survive. What cannot be bridged is
//! refused with a sentence. This room never does I/O, keeps no state, waits for nothing and knows no server by name.
//!
//! Texts are taken as checked (see [`json::check`](crate::wire::json::check)); over others the functions
//! give a useless answer, but never panic.

pub mod capabilities;
pub mod content;
pub mod definition;
mod edit;
pub mod elicitation;
pub mod error;
pub mod input_required;
pub mod meta;
pub mod question;
pub mod result;
pub mod sampling;
pub mod tasks;

#[cfg(test)]
mod testing;
