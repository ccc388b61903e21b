//! The proof that Switchboard is equal to the server driven directly, against software nobody here wrote:
//! published MCP servers behind it, published MCP clients before it, in new and old versions.
//!
//! One table of cases per server (`cases/`) is run twice, once against the server and once through a
//! Switchboard with all servers behind it; both outcomes must be the same JSON text but for the mapping that
//! `support/same.rs` lists. `scenes.rs` holds what needs several steps, `clients.rs` runs the same tables
//! through the clients of the official SDKs. `CONTRIBUTING.md` tells how to run and extend them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a broken test must fail, and says on stderr what it does"
)]

#[path = "../support/mod.rs"]
mod support;

mod blur;
mod case;
mod cases;
mod clients;
mod direct;
mod newer;
mod oauth;
mod over_http;
mod remote;
mod scenes;
mod servers;
mod shaped;
mod side;
mod through;
mod world;
