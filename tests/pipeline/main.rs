//! The stages between clients and a server, through a real Switchboard: what reaches the server is counted there. Each case is
//! run for a client of either era, over stdio and over HTTP.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "../support/board.rs"]
mod board;
#[path = "../remote/mock.rs"]
#[allow(dead_code, reason = "this test binary uses a part of it")]
mod mock;
#[path = "../support/peer.rs"]
mod peer;

mod audit;
mod balance;
mod breaker;
mod cache;
mod health;
mod hooks;
mod limit;
mod limits;
mod passing;
#[cfg(feature = "policy")]
mod policy;
mod redact;
mod retry;
mod tasks;
mod transform;
mod validate;

use std::panic::{AssertUnwindSafe, catch_unwind};

use board::{Message, Setup};
use peer::{House, MODERN, Peer};
use serde_json::{Value, json};

/// Runs a case for each kind of client, before a server `a` with this script and these keys in its entry.
fn each(script: &str, keys: &str, case: impl Fn(&House, &Peer)) {
    for (http, revision) in [(false, "2025-11-25"), (true, "2025-11-25"), (false, MODERN), (true, MODERN)] {
        let house = House::over(http, Setup::new().script("a", script).keys(keys));
        let peer = house.peer(revision);
        peer.list_with("tools/list", "a__echo");
        let face = if http { "HTTP" } else { "stdio" };
        let run = catch_unwind(AssertUnwindSafe(|| case(&house, &peer)));
        assert!(run.is_ok(), "with a client of {revision} over {face}; {}", house.stderr());
        drop(peer);
        house.close();
    }
}

/// How often the server has received a call of this tool.
fn received(house: &House, tool: &str) -> usize {
    house.received("a").iter().filter(|message| is_call(message, tool)).count()
}

fn is_call(message: &Value, tool: &str) -> bool {
    message["method"] == "tools/call" && message["params"]["name"] == tool
}

/// Waits until the server has received so many calls of this tool.
#[track_caller]
fn await_calls(house: &House, tool: &str, count: usize) {
    house.await_received("a", count, |message| is_call(message, tool));
}

/// What our failure says of itself; fails unless it has this code.
#[track_caller]
fn refused(answer: &Message, code: &str) -> Value {
    let result = answer.result();
    assert_eq!(result["isError"], true, "{}", answer.raw);
    let data = result["_meta"]["switchboard/error"].clone();
    assert_eq!(data["code"], code, "{}", answer.raw);
    assert_eq!(data["server"], "a", "{}", answer.raw);
    data
}

/// Fails unless the tool answered with this text.
#[track_caller]
fn answered(answer: &Message, text: &str) {
    assert!(answer.result()["isError"] != json!(true) && answer.text() == text, "{}", answer.raw);
}
