//! Legacy clients before servers of the modern era, and how the era of a server is found out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "../support/board.rs"]
mod board;

mod crossing;
mod finding_out;
mod rounds;
mod tasks;

use std::time::Duration;

use board::{Board, Message, Setup};
use serde_json::{Value, json};

const MODERN: &str = "revisions: 2026-07-28\n";
const CAPABLE: &str = r#"{"roots":{},"sampling":{},"elicitation":{"form":{},"url":{}}}"#;
const ROOTS: &str = r#"{"roots":[{"uri":"file:///w"}]}"#;

/// How long a server may stay silent before it is asked in other words.
const SILENCE: Duration = Duration::from_secs(3);

fn serve(name: &str, fixture: &str) -> Board {
    let mut board = Setup::new().server(name, fixture).start();
    board.initialize("2025-11-25");
    board
}

/// One modern server `a` with this script, and a client with these capabilities.
fn serve_modern_to(capabilities: &str, script: &str) -> Board {
    let mut board = Setup::new().script("a", &format!("{MODERN}{script}")).start();
    board.initialize_with("2025-11-25", capabilities);
    board
}

/// The lines that a server has received with this method, parsed.
fn requests(lines: &[String], method: &str) -> Vec<Value> {
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["method"] == method).collect()
}

fn methods(lines: &[String]) -> Vec<String> {
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["method"].as_str().unwrap_or("an answer").to_owned()).collect()
}

fn meta<'v>(request: &'v Value, key: &str) -> &'v Value {
    &request["params"]["_meta"][format!("io.modelcontextprotocol/{key}").as_str()]
}

fn is_error(answer: &Message) -> bool {
    answer.result()["isError"] == json!(true)
}
