//! The Rust SDK on both ends of Switchboard: as a client in every mode it knows, and as a server of every revision, over pipes and over
//! Streamable HTTP. Nothing here reads raw lines on the SDK's side: what it makes of our messages is the point.
//!
//! What the SDK (3.9) itself loses, which is therefore not asked for here: the order of notifications, and whether they came before
//! the answer; unknown members of every typed object; the text of numbers; answers that do not fit its types at all (a call then ends
//! with `UnexpectedResponse`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]
#![allow(deprecated, reason = "what the newest revision gave up is tested, too")]

#[path = "../support/board.rs"]
mod board;
mod client;
mod guest;
mod host;
#[path = "../support/peer.rs"]
mod peer;
