//! Our face toward a client: it speaks MCP as a server does.
//!
//! In come the client's lines; out go answers under the client's own ids. A [`Session`] is one client: it says which
//! server a request is for, keeps the client's ids, tokens, level and capabilities, and puts servers' questions to it.
//! Failures of other rooms become protocol answers here and nowhere else (`answer`). It never touches a process and
//! never waits for a server: what must wait (a first list) waits in a task of its own.

mod announce;
mod answer;
mod ask;
mod batch;
mod hall;
mod hooked;
pub mod http;
mod incoming;
mod modern;
mod outlet;
mod pending;
mod private;
mod route;
mod session;
pub mod stdio;
mod tasks;
mod view;
mod visit;

pub use hall::Hall;
#[doc(hidden)]
pub use modern::seal::seal_and_open;
pub use outlet::Outlet;
pub use session::Session;
pub use visit::Front;

/// No message to a client is longer than this: common clients hang up at 10 MiB, on all servers at once.
pub const MAX_MESSAGE: usize = 8 << 20;
