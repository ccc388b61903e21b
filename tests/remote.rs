//! Servers at an address that misbehave, through a real Switchboard: sessions that are forgotten, streams that break,
//! refusals, floods, silence.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "support/board.rs"]
mod board;
#[path = "remote/faces.rs"]
mod faces;
#[path = "remote/floods.rs"]
mod floods;
#[path = "remote/mock.rs"]
mod mock;
#[path = "remote/network.rs"]
mod network;
#[path = "remote/refusals.rs"]
mod refusals;
#[path = "remote/revisions.rs"]
mod revisions;
#[path = "remote/sessions.rs"]
mod sessions;
#[path = "remote/streams.rs"]
mod streams;

use board::{Board, Setup};
use mock::Mock;

/// A Switchboard before this server, which is called `a`; its client has no abilities.
fn serve(mock: &Mock) -> Board {
    serve_with(mock, "")
}

/// The same, with further keys in the server's entry, such as `, type: http`.
fn serve_with(mock: &Mock, keys: &str) -> Board {
    let mut board = setup(mock, keys).start();
    board.initialize("2025-11-25");
    board
}

fn setup(mock: &Mock, keys: &str) -> Setup {
    Setup::new().entry("a", &format!("{{ url: {:?}{keys} }}", mock.url))
}
