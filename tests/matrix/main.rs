//! Every feature between a client of each revision and a server of each revision: over stdio all twenty-five pairs, over HTTP a
//! client of each era and the same servers. What cannot be told in another revision is refused, in a sentence that says so.
//! The numbers are those of the list of checks in the project's brief of the protocol.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "../support/board.rs"]
mod board;
#[path = "../support/peer.rs"]
mod peer;

mod calls;
mod lists;
mod news;
mod questions;
mod versions;

use std::panic::{AssertUnwindSafe, catch_unwind};

use board::{Message, Setup};
use peer::{House, MODERN, Peer, REVISIONS, speaking};
use serde_json::{Value, json};

/// One pair.
struct Cell<'a> {
    house: &'a House,
    peer: &'a Peer,
    /// The revision of the client.
    client: &'static str,
    /// The revision of the server.
    server: &'static str,
    /// Its name in the config.
    named: String,
}

impl Cell<'_> {
    /// The exposed name of something of the server.
    fn name(&self, original: &str) -> String {
        format!("{}__{original}", self.named)
    }

    fn has_modern_client(&self) -> bool {
        self.client == MODERN
    }

    fn has_modern_server(&self) -> bool {
        self.server == MODERN
    }

    #[track_caller]
    fn tool(&self, tool: &str, arguments: Value) -> Message {
        self.peer.tool(&self.name(tool), arguments)
    }

    /// A URI that only this server has, in the fixture's spelling.
    fn uri(&self, rest: &str) -> String {
        format!("{}:{rest}", self.scheme())
    }

    fn scheme(&self) -> String {
        scheme(self.server)
    }

    /// What the server has received that fits.
    fn received(&self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut received = self.house.received(&self.named);
        received.retain(fits);
        received
    }
}

/// The name of the server of a revision.
fn name(revision: &str) -> String {
    format!("v{revision}")
}

fn scheme(server: &str) -> String {
    format!("s{}", server.replace('-', ""))
}

/// The script for a server of this revision, with URIs of its own.
fn script(revision: &str, fixture: &str) -> String {
    speaking(revision, fixture)
        .replace("note://", &format!("{}://", scheme(revision)))
        .replace("ask://", &format!("{}://", scheme(revision)))
}

/// Runs a feature in every cell, over stdio or over HTTP, and tells of all cells that fail.
fn each(http: bool, fixture: &str, feature: impl Fn(&Cell<'_>)) {
    each_with(http, fixture, peer::everything, feature);
}

/// The same, with clients that can do something else.
fn each_with(http: bool, fixture: &str, abilities: impl Fn(&str) -> Value, feature: impl Fn(&Cell<'_>)) {
    let clients: &[&'static str] = if http { &["2025-06-18", MODERN] } else { &REVISIONS };
    let setup = || {
        REVISIONS
            .iter()
            .fold(Setup::new(), |setup, revision| setup.script(&name(revision), &script(revision, fixture)))
    };
    let mut failures = Vec::new();
    let mut shared = http.then(|| House::http(setup()));
    for client in clients {
        let house = shared.take().unwrap_or_else(|| House::stdio(setup()));
        let peer = house.peer_with(client, abilities(client));
        let last = script(MODERN, fixture);
        let last = last.lines().skip_while(|line| *line != "tools:").nth(1).unwrap();
        let last = last.trim().split(':').next().unwrap();
        for server in REVISIONS {
            peer.list_with("tools/list", &format!("{}__{last}", name(server)));
        }
        for server in REVISIONS {
            let cell = Cell { house: &house, peer: &peer, client, server, named: name(server) };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| feature(&cell))) {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                failures.push(format!("client {client}, server {server}: {}", text.unwrap_or_default()));
            }
        }
        let faults = house.faults();
        if !faults.is_empty() {
            failures.push(format!("client {client}: {faults:#?}"));
        }
        drop(peer);
        if http {
            shared = Some(house);
        } else if failures.is_empty() {
            house.close();
        }
    }
    let over = if http { "HTTP" } else { "stdio" };
    assert!(failures.is_empty(), "over {over} {} cells fail:\n{}", failures.len(), failures.join("\n"));
    shared.into_iter().for_each(House::close);
}

/// Checks 17, 18: what is particular to results of the modern era is there for its clients, and only for them.
#[track_caller]
fn check_result(cell: &Cell<'_>, answer: &Message, cacheable: bool) -> Value {
    let result = answer.result();
    let meta = &result["_meta"];
    if cell.has_modern_client() {
        assert_eq!(result["resultType"], "complete", "{:.600}", answer.raw);
        assert_eq!(meta["io.modelcontextprotocol/serverInfo"]["name"], "switchboard", "{:.600}", answer.raw);
        assert_eq!(result.get("ttlMs").is_some_and(Value::is_u64), cacheable, "{:.600}", answer.raw);
        assert_eq!(result.get("cacheScope").is_some(), cacheable, "{:.600}", answer.raw);
    } else {
        for member in ["resultType", "ttlMs", "cacheScope"] {
            assert!(result.get(member).is_none(), "{member}: {:.600}", answer.raw);
        }
        if cell.has_modern_server() {
            assert!(meta.get("io.modelcontextprotocol/serverInfo").is_none(), "{:.600}", answer.raw);
        }
    }
    result
}

/// Whether the client's revision is this one or a later one.
fn since(revision: &str, first: &str) -> bool {
    revision >= first
}

/// A request as `name` says it, for tests that need a call.
fn call_of(name: String, arguments: Value) -> Value {
    json!({ "name": name, "arguments": arguments })
}
