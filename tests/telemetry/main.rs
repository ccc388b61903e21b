//! Numbers, traces and events of a real Switchboard, against what was done from outside. What reads them here is a real
//! Prometheus (and its `promtool`), and a collector of our own that speaks OTLP/HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a helper that fails fails the test, and says on stderr what it installs"
)]

#[path = "../support/board.rs"]
mod board;
#[path = "../support/peer.rs"]
mod peer;

mod collector;
mod counts;
mod events;
mod numbers;
mod prometheus;
mod traces;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use board::{DEADLINE, Setup};
use peer::{House, MODERN, Peer};

const TOKEN: &str = "a-token-of-the-tests-0123456789";

/// A client of each era, over each way.
const CLIENTS: [(bool, &str); 4] =
    [(false, "2025-11-25"), (true, "2025-11-25"), (false, MODERN), (true, MODERN)];

/// Tools of known outcomes.
const TOOLS: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  fail: { is_error: true, answer: "no" }
  boom: { error: { code: -32000, message: "no" } }
  slow: { delay: 300ms, answer: "at last" }
  hang: { delay: 60s, answer: "at last" }
  odd: { result: 5 }
"#;

/// A setup whose numbers can be read.
fn counted() -> Setup {
    Setup::new().config(&format!("admin: {{ listen: \"127.0.0.1:0\", token: {TOKEN} }}"))
}

fn house(http: bool, revision: &'static str, setup: Setup) -> (House, Peer) {
    let house = House::over(http, setup);
    let peer = house.peer(revision);
    peer.list_with("tools/list", "a__echo");
    (house, peer)
}

/// Where the administration interface is, as `host:port`.
fn admin(house: &House) -> String {
    let until = Instant::now() + DEADLINE;
    loop {
        let stderr = house.stderr();
        if let Some(place) = stderr.lines().find_map(|line| line.strip_prefix("administration at ")) {
            let place = place.trim_start_matches("http://");
            return place.split('/').next().unwrap().to_owned();
        }
        assert!(Instant::now() < until, "nothing was said of the administration: {stderr}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The answer to a GET: its head and its body.
fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// The text at `/metrics`.
fn metrics(house: &House) -> String {
    let (head, body) = get(&admin(house), "/metrics");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}\n{body}");
    assert!(head.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    body
}
