//! The audit log: what it says of calls, that nobody changes it unseen, and what happens when it cannot be written.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::refused;
use crate::board::{DEADLINE, Setup};
use crate::peer::{House, MODERN, Peer};

const TOOLS: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  fail: { is_error: true, answer: "no" }
  boom: { error: { code: -32000, message: "no" } }
  hang: { delay: 60s, answer: "at last" }
"#;

fn setup(audit: &str, keys: &str) -> Setup {
    Setup::new().script("a", TOOLS).keys(keys).config(&format!("telemetry: {{ audit: true{audit} }}"))
}

fn folder(house: &House) -> PathBuf {
    house.setup.home().join("state/audit")
}

/// The entries of the log, once there are so many.
fn entries(house: &House, count: usize) -> Vec<Value> {
    let until = Instant::now() + DEADLINE;
    loop {
        let text = std::fs::read_to_string(folder(house).join("audit.jsonl")).unwrap_or_default();
        if text.lines().count() >= count || Instant::now() > until {
            assert_eq!(text.lines().count(), count, "{text}");
            return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs `switchboard audit …` in the house; the exit code and what it printed.
fn audit(house: &House, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.env("SWITCHBOARD_HOME", house.setup.home()).arg("audit").args(arguments);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn house(http: bool, setup: Setup) -> (House, Peer) {
    let house = House::over(http, setup);
    let peer = house.peer(if http { MODERN } else { "2025-11-25" });
    peer.list_with("tools/list", "a__echo");
    (house, peer)
}

#[test]
fn every_call_is_noted_with_what_was_decided_and_what_came_of_it() {
    for http in [false, true] {
        let (house, peer) =
            house(http, setup("", "rate_limit: { calls: 4, per: 1h, burst: 3 }, effects: { echo: read }"));
        peer.tool("a__echo", json!({ "input": "a", "b": 1 }));
        peer.tool("a__echo", json!({ "b": 1, "input": "a" }));
        peer.tool("a__fail", json!({}));
        peer.tool("a__boom", json!({}));
        refused(&peer.tool("a__echo", json!({ "input": "secret" })), "SB-LIMIT-001");
        let noted = entries(&house, 5);
        let told: Vec<Value> = noted
            .iter()
            .map(|entry| json!([entry["name"], entry["effect"], entry["decision"], entry["result"]]))
            .collect();
        assert_eq!(
            json!(told),
            json!([
                ["a__echo", "read", "allowed", "ok"],
                ["a__echo", "read", "allowed", "ok"],
                ["a__fail", "unknown", "allowed", "tool_error"],
                ["a__boom", "unknown", "allowed", "error"],
                ["a__echo", "read", "refused", "failed"],
            ])
        );
        assert_eq!(noted[4]["code"], "SB-LIMIT-001");
        assert_eq!(
            (&noted[0]["server"], &noted[0]["original"], &noted[0]["method"]),
            (&json!("a"), &json!("echo"), &json!("tools/call"))
        );
        assert_eq!(noted[0]["arguments"], noted[1]["arguments"], "the order of members means nothing");
        assert_ne!(noted[0]["arguments"], noted[4]["arguments"]);
        let (code, said) = audit(&house, &["verify"]);
        assert!(code == Some(0) && said.contains("whole: lines 1 to 5"), "{said}");
        let (_, shown) = audit(&house, &["show", "--failed", "--name", "echo", "--since", "1h"]);
        assert!(shown.contains("refused SB-LIMIT-001") && shown.lines().count() == 1, "{shown}");
        assert!(!std::fs::read_to_string(folder(&house).join("audit.jsonl")).unwrap().contains("secret"));
        drop(peer);
        house.close();
    }
}

#[test]
fn a_call_that_is_given_up_is_noted_too() {
    let (house, peer) = house(false, setup(", audit_log: { arguments: none }", ""));
    let id = peer.ask("tools/call", json!({ "name": "a__hang", "arguments": {} }));
    house.await_received("a", 1, |message| message["params"]["name"] == "hang");
    peer.cancel(&id);
    let noted = entries(&house, 1);
    assert_eq!((&noted[0]["result"], &noted[0]["arguments"]), (&json!("cancelled"), &Value::Null));
    drop(peer);
    house.close();
}

#[test]
fn a_change_of_the_log_is_found_with_its_place() {
    let (house, peer) = house(false, setup("", ""));
    for input in ["a", "b", "c"] {
        peer.tool("a__echo", json!({ "input": input }));
    }
    entries(&house, 3);
    drop(peer);
    let file = folder(&house).join("audit.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen(r#""result":"ok""#, r#""result":"no""#, 1)).unwrap();
    let (code, said) = audit(&house, &["verify"]);
    assert!(code == Some(1) && said.contains("audit.jsonl:1: the line was changed"), "{said}");
    let (code, said) = audit(&house, &["verify", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &said["whole"], &said["breaks"][0]["kind"]),
        (Some(1), &json!(false), &json!("changed"))
    );
    house.close();
}

#[test]
fn without_a_log_that_can_be_written_calls_go_on_or_do_not_as_configured() {
    for (fail, goes_on) in [("open", true), ("closed", false)] {
        let setup = setup(&format!(", audit_log: {{ fail: {fail} }}"), "");
        let blocked = setup.home().join("state/audit");
        std::fs::create_dir_all(blocked.parent().unwrap()).unwrap();
        std::fs::write(&blocked, "in the way").unwrap();
        let (house, peer) = house(false, setup);
        // Nobody knows before the first entry.
        assert_eq!(peer.tool("a__echo", json!({ "input": "a" })).text(), "a");
        let says = |what: &str| {
            let until = Instant::now() + DEADLINE;
            while !peer.tool("switchboard__status", json!({})).text().contains(what) {
                assert!(Instant::now() < until, "nothing is said of {what}");
            }
        };
        says("The audit log cannot be written");
        let second = peer.tool("a__echo", json!({ "input": "b" }));
        if goes_on {
            assert_eq!(second.text(), "b");
        } else {
            refused(&second, "SB-AUDIT-001");
        }
        says("2 calls are not in it");
        std::fs::remove_file(&blocked).unwrap();
        assert_eq!(peer.tool("a__echo", json!({ "input": "c" })).text(), "c");
        // What is missing is said in the log.
        let noted = entries(&house, 2);
        assert_eq!((&noted[0]["event"], &noted[0]["entries"]), (&json!("lost"), &json!(2)), "{fail}");
        assert_eq!(noted[1]["result"], "ok");
        assert_eq!(audit(&house, &["verify"]).0, Some(0));
        drop(peer);
        house.close();
    }
}
