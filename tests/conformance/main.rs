//! The official conformance suite, on both sides of Switchboard: its server scenarios run against Switchboard's HTTP face
//! in front of a server, its client scenarios against the client that Switchboard is towards servers. Each is first run
//! without Switchboard; what it finds must be the same, check by check, but for what the test lists.
//!
//! The suite, the SDKs and their versions are pinned like everything in `tests/real`, and installed the same way. The
//! fixture servers (`servers/`) and clients (`clients/`) are ours, on the official SDKs; the suite's own are not in its
//! package. `CONTRIBUTING.md` tells how to run one scenario by hand.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a broken test must fail, and says on stderr what it does"
)]

#[path = "../support/mod.rs"]
mod support;

mod client_side;
mod differences;
mod process;
mod server_side;
mod suite;
mod workshop;
