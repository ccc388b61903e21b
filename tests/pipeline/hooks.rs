//! Interceptors: every verdict, every phase, every way to write one, and every way in which one can fail. They are small Python scripts
//! and an HTTP server of the test; each notes what it was asked.

mod asks;
mod faults;
mod lists;
mod mission;
mod order;
mod sep;
mod ways;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::board::{DEADLINE, Message, Setup};
use crate::peer::{House, MODERN, Peer};
use crate::refused;

/// What every script of these tests may import.
const HOOK: &str = r#"
import json, os, sys, time

here = os.path.dirname(os.path.abspath(__file__))

def note(question):
    with open(os.path.join(here, question["name"] + ".asked"), "a") as file:
        file.write(json.dumps(question) + "\n")

def serve(answer):
    for line in sys.stdin:
        question = json.loads(line)
        note(question)
        verdict = dict(answer(question) or {"valid": True}, id=question["id"])
        print(json.dumps(verdict), flush=True)

def once(answer):
    question = json.load(sys.stdin)
    note(question)
    print(json.dumps(answer(question) or {"valid": True}))

def deny(reason):
    return {"valid": False, "severity": "error", "messages": [{"message": reason, "severity": "error"}]}
"#;

/// The server behind the hooks.
const SERVER: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  count: { answer: "count {{mock.call}}" }
  sorry: { is_error: true, answer: sorry }
  wrong: { error: { code: -32602, message: no such thing } }
  whole: { result: { content: [ { type: text, text: "whole" } ], structuredContent: { price: 1.10, big: 12345678901234567890123 } } }
  gone: { exit: 1 }
prompts:
  greet: { arguments: [ who ], answer: "Hello {{who}}" }
resources:
  "note://one": { text: one }
"#;

/// Runs a case for a client of either era, one over stdio and one over HTTP, with these entries of `interceptors:` and these scripts.
fn with(entries: &str, scripts: &[(&str, &str)], case: impl Fn(&House, &Peer)) {
    for (http, revision) in [(false, "2025-11-25"), (true, MODERN)] {
        let setup = Setup::new().script("a", SERVER);
        run(setup, entries, scripts, http, revision, &case);
    }
}

/// The same once, over stdio.
fn with_one(entries: &str, scripts: &[(&str, &str)], case: impl Fn(&House, &Peer)) {
    run(Setup::new().script("a", SERVER), entries, scripts, false, "2025-11-25", &case);
}

fn run(
    setup: Setup,
    entries: &str,
    scripts: &[(&str, &str)],
    http: bool,
    revision: &'static str,
    case: &dyn Fn(&House, &Peer),
) {
    let house = furnished(setup, entries, scripts, http);
    let peer = house.peer(revision);
    peer.list_with("tools/list", "a__echo");
    let run = catch_unwind(AssertUnwindSafe(|| case(&house, &peer)));
    assert!(run.is_ok(), "with a client of {revision}, HTTP: {http}; {}", house.stderr());
    drop(peer);
    house.close();
}

/// A Switchboard with these entries of `interceptors:` and these scripts beside its config.
fn furnished(setup: Setup, entries: &str, scripts: &[(&str, &str)], http: bool) -> House {
    write(setup.home(), "hook.py", HOOK);
    for (name, text) in scripts {
        write(setup.home(), name, text);
    }
    House::over(http, setup.config(&format!("interceptors:\n{entries}")))
}

fn write(home: &Path, name: &str, text: &str) {
    let path = home.join(name);
    std::fs::write(&path, format!("#!/usr/bin/env python3\n{text}")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a script of this name was asked so far.
fn asked(house: &House, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(house.setup.home().join(format!("{name}.asked"))).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits until a script has been asked so often.
fn await_asked(house: &House, name: &str, count: usize) -> Vec<Value> {
    let until = Instant::now() + DEADLINE;
    loop {
        let asked = asked(house, name);
        if asked.len() >= count {
            return asked;
        }
        assert!(Instant::now() < until, "`{name}` was asked {} times: {}", asked.len(), house.stderr());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until Switchboard has logged this.
fn await_log(house: &House, text: &str) {
    let until = Instant::now() + DEADLINE;
    while !house.stderr().contains(text) {
        assert!(Instant::now() < until, "not logged: {text}; {}", house.stderr());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Fails unless the answer is a refusal with this code that says all of this.
#[track_caller]
fn tells(answer: &Message, code: &str, parts: &[&str]) {
    refused(answer, code);
    let text = answer.text();
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

fn echo(peer: &Peer, text: &str) -> Message {
    peer.tool("a__echo", json!({ "input": text }))
}

/// A server that answers every POST with what the function makes of its head and body, as long as the test runs.
fn listen(answer: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = std::sync::Arc::clone(&answer);
            thread::spawn(move || serve(stream, &*answer));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str, &str) -> String) {
    let (mut text, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut chunk).unwrap_or(0);
        text.extend_from_slice(&chunk[..read]);
        let whole = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = whole.split_once("\r\n\r\n") else {
            if read == 0 {
                return;
            }
            continue;
        };
        let length = head.to_lowercase();
        let length =
            length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            let _ = stream.write_all(answer(head, body).as_bytes());
            return;
        }
        if read == 0 {
            return;
        }
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
