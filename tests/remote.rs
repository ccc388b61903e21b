//! Servers at addresses: every transport, both eras, lost sessions, logins that are missing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "support/board.rs"]
mod board;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use board::{Board, Message, Setup};
use serde_json::{Value, json};

/// A mock server that listens at an address.
struct Remote {
    child: Child,
    url: String,
    record: PathBuf,
}

impl Remote {
    fn start(folder: &Path, name: &str, face: &str, script: &str) -> Self {
        let (record, path) = (folder.join(format!("{name}.seen")), folder.join(format!("{name}.yaml")));
        std::fs::write(&path, format!("record: {:?}\n{script}", record.display().to_string())).unwrap();
        let at = match face {
            "unix" => folder.join(format!("{name}.sock")).display().to_string(),
            _ => "127.0.0.1:0".to_owned(),
        };
        let mut child = Command::new(env!("CARGO_BIN_EXE_switchboard"))
            .arg("mock")
            .arg(&path)
            .args([&format!("--{face}"), &at])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let said = line.trim().rsplit(' ').next().unwrap();
        let url = if face == "unix" { format!("unix://{at}") } else { said.to_owned() };
        Self { child, url, record }
    }

    fn methods(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.record).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| line["method"].as_str().unwrap_or("an answer").to_owned()).collect()
    }

    fn count(&self, method: &str) -> usize {
        self.methods().iter().filter(|seen| *seen == method).count()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client before one server `r` of this kind.
fn before(face: &str, script: &str, keys: &str) -> (Board, Remote, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let remote = Remote::start(folder.path(), "r", face, script);
    let mut board = Setup::new().start_with(&format!("servers:\n  r: {{ url: {:?}{keys} }}\n", remote.url));
    board.initialize_with("2025-11-25", r#"{"roots":{},"elicitation":{"form":{},"url":{}}}"#);
    (board, remote, folder)
}

fn is_error(answer: &Message) -> bool {
    answer.result()["isError"] == json!(true)
}

const SCRIPT: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  asks: { ask: { method: roots/list, save: where }, answer: "{{where.roots.0.uri}}" }
  progress: { steps: [ { progress: 1 }, { progress: 2 }, { answer: done } ] }
"#;

#[test]
fn every_transport_carries_calls_questions_and_progress() {
    for (face, revision) in [
        ("http", "2025-11-25"),
        ("http", "2026-07-28"),
        ("sse", "2024-11-05"),
        ("websocket", "2025-11-25"),
        ("websocket", "2026-07-28"),
        #[cfg(unix)]
        ("unix", "2025-11-25"),
        #[cfg(unix)]
        ("unix", "2026-07-28"),
    ] {
        let (mut board, remote, _folder) = before(face, &format!("revisions: {revision}\n{SCRIPT}"), "");
        assert_eq!(board.tool("r__echo", r#"{"input":"hi"}"#).text(), "hi", "{face} {revision}");
        let id = board.ask("tools/call", r#"{"name":"r__asks","arguments":{}}"#);
        let question = board.asked("roots/list");
        board.reply(&question, r#"{"roots":[{"uri":"file:///w"}]}"#);
        assert_eq!(board.answer(&id).text(), "file:///w", "{face} {revision}");
        let id =
            board.ask("tools/call", r#"{"name":"r__progress","arguments":{},"_meta":{"progressToken":"p"}}"#);
        board.answer(&id);
        let progress = |message: &&Message| message.method.as_deref() == Some("notifications/progress");
        assert_eq!(board.unread().iter().filter(progress).count(), 2, "{face} {revision}");
        let status = board.tool("switchboard__status", r#"{"server":"r"}"#).text();
        assert!(status.contains("r: ready"), "{status}");
        board.close();
        drop(remote);
    }
}

#[test]
fn a_server_that_forgets_its_sessions_is_reached_again_and_no_call_is_lost() {
    let (mut board, remote, _folder) = before("http", &format!("{SCRIPT}http: {{ forget_after: 6 }}\n"), "");
    for turn in 0..12 {
        let answer = board.tool("r__echo", &format!(r#"{{"input":"{turn}"}}"#));
        assert_eq!(answer.text(), turn.to_string());
    }
    assert!(remote.count("initialize") > 1);
    board.close();
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_reached_again() {
    let folder = tempfile::tempdir().unwrap();
    let remote = Remote::start(folder.path(), "r", "http", SCRIPT);
    let address = remote.url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let mut board = Setup::new().start_with(&format!("servers:\n  r: {{ url: {:?} }}\n", remote.url));
    board.initialize("2025-11-25");
    assert_eq!(board.tool("r__echo", r#"{"input":"1"}"#).text(), "1");
    drop(remote);
    let lost = board.tool("r__echo", r#"{"input":"2"}"#);
    assert!(is_error(&lost) && lost.text().contains("did not run"), "{}", lost.raw);
    let script = folder.path().join("r.yaml");
    let mut again = Command::new(env!("CARGO_BIN_EXE_switchboard"))
        .args(["mock", script.to_str().unwrap(), "--http", &address])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    board.until("tools/call", r#"{"name":"r__echo","arguments":{"input":"3"}}"#, |answer| !is_error(answer));
    board.close();
    again.kill().unwrap();
    again.wait().unwrap();
}

#[test]
fn a_server_that_wants_a_login_says_so_with_the_command_and_harms_nobody() {
    let script = format!("{SCRIPT}http: {{ bearer: secret }}\n");
    let (mut board, remote, _folder) = before("http", &script, "");
    let until = Instant::now() + board::DEADLINE;
    loop {
        let status = board.tool("switchboard__status", r#"{"server":"r"}"#).text();
        if status.contains("needs-login") && status.contains("switchboard auth login r") {
            break;
        }
        assert!(Instant::now() < until, "{status}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(remote.count("initialize") < 4, "it is not hammered: {:?}", remote.methods());
    board.close();
}

#[test]
fn a_token_in_the_config_is_enough() {
    let script = format!("{SCRIPT}http: {{ bearer: secret }}\n");
    let (mut board, _remote, _folder) =
        before("http", &script, r#", headers: { Authorization: "Bearer secret" }"#);
    assert_eq!(board.tool("r__echo", r#"{"input":"hi"}"#).text(), "hi");
    board.close();
}

#[test]
fn sessions_end_with_us() {
    let folder = tempfile::tempdir().unwrap();
    let requests = folder.path().join("requests");
    let script = format!("{SCRIPT}http: {{ requests: {:?} }}\n", requests.display().to_string());
    let (mut board, _remote, _keep) = before("http", &script, "");
    board.tool("r__echo", r#"{"input":"hi"}"#);
    board.close();
    let seen = std::fs::read_to_string(&requests).unwrap();
    assert!(seen.contains("DELETE"), "{seen}");
}
