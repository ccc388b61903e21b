//! The administration interface: a running Switchboard over HTTP, for programs and people.
//!
//! In come requests, at the address or socket of `admin.listen` and, to look only, at the socket by which `switchboard status`
//! finds us; out go JSON texts in one envelope, and streams of events. Whatever changes something is the
//! [manager's](crate::manager) to do, and how servers are is [`status`](crate::status)'s to know: this room checks who asks,
//! reads what is asked, and says it all in the words of the API. It is off until it is configured, but for looking, which only the
//! own user can.

mod approve;
mod call;
mod code;
mod desk;
mod discovery;
mod entry;
mod events;
mod fields;
mod health;
mod listen;
#[cfg(unix)]
pub mod local;
mod lock;
mod logs;
mod openapi;
mod path;
mod query;
mod refusal;
mod route;
mod servers;
mod stats;
mod tending;
mod tools;
mod view;

pub use desk::{Desk, Surroundings};
pub use tending::Tending;
