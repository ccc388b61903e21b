//! Secrets that neither servers nor models get, and the log of calls.

use std::time::Instant;

use serde_json::{Value, json};

use super::{answered, is_call};
use crate::board::{DEADLINE, Setup};
use crate::peer::{House, MODERN, everything};

const TOOLS: &str = r#"
tools:
  echo: { answer: "{{input}}", structured: { seen: "{{input}}" } }
  leak: { answer: "AKIAIOSFODNN7EXAMPLE and internal-42" }
  sorry: { error: { code: -32602, message: "no AKIAIOSFODNN7EXAMPLE" } }
resources:
  "note://one": { text: "key AKIAIOSFODNN7EXAMPLE" }
"#;

fn arguments(house: &House) -> Vec<Value> {
    let calls = house.received("a").into_iter().filter(|message| is_call(message, "echo"));
    calls.map(|message| message["params"]["arguments"].clone()).collect()
}

fn house(interceptors: &str) -> House {
    House::http(Setup::new().script("a", TOOLS).config(&format!("interceptors: {interceptors}")))
}

#[test]
fn secrets_are_hidden_both_ways() {
    for revision in ["2025-11-25", MODERN] {
        let house = house(r#"[ { redact: { patterns: [ 'internal-\d+' ] } } ]"#);
        let peer = house.peer(revision);
        peer.list_with("tools/list", "a__echo");
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let answer = peer.tool("a__echo", json!({ "input": format!("use {token}"), "n": 1 }));
        answered(&answer, "use [redacted]");
        assert_eq!(arguments(&house), [json!({ "input": "use [redacted]", "n": 1 })]);
        answered(&peer.tool("a__leak", json!({})), "[redacted] and [redacted]");
        assert!(!peer.tool("a__sorry", json!({})).raw.contains("AKIA"));
        let read = peer.call("resources/read", json!({ "uri": "note://one" }));
        assert_eq!(read.result()["contents"][0]["text"], "key [redacted]", "{}", read.raw);
        drop(peer);
        house.close();
    }
}

/// A modern client answers a modern server's question with the same call once more, or with an update of the task.
#[test]
fn secrets_in_answers_to_questions_are_hidden() {
    let script = format!(
        "revisions: [ {MODERN} ]\ntools:\n  echo: {{ task: {{ poll: 20ms }}, steps: [ {{ ask: {{ method: elicitation/create, \
         params: {{ message: who, requestedSchema: {{ type: object, properties: {{}} }} }}, save: s }} }}, {{ answer: \"{{{{s.action}}}}\" }} ] }}\n"
    );
    for as_task in [false, true] {
        let config = "interceptors: [ { on: before, match: a__echo, redact: { secrets: aws } } ]";
        let house = House::http(Setup::new().script("a", &script).config(config));
        let mut capabilities = everything(MODERN);
        if as_task {
            capabilities["extensions"] = json!({ "io.modelcontextprotocol/tasks": {} });
        }
        let peer = house.peer_with(MODERN, capabilities);
        peer.list_with("tools/list", "a__echo");
        let reply =
            json!({ "action": "accept", "content": { "key": "AKIAIOSFODNN7EXAMPLE", "kept": "kept" } });
        if as_task {
            let task = peer.call("tools/call", json!({ "name": "a__echo" })).result()["taskId"].clone();
            let until = Instant::now() + DEADLINE;
            let asked = loop {
                let told = peer.call("tasks/get", json!({ "taskId": task })).result();
                if let Some((key, _)) =
                    told["inputRequests"].as_object().and_then(|asked| asked.iter().next())
                {
                    break key.clone();
                }
                assert!(Instant::now() < until, "{told}");
            };
            let responses = json!({ asked.as_str(): reply });
            peer.call("tasks/update", json!({ "taskId": task, "inputResponses": responses }));
        } else {
            let answer = peer.converse("tools/call", json!({ "name": "a__echo" }), |_| reply.clone());
            answered(&answer, "accept");
        }
        let told = house.await_received("a", 1, |message| message["params"]["inputResponses"].is_object());
        let told = told
            .iter()
            .map(|message| message["params"]["inputResponses"].to_string())
            .find(|text| text != "null");
        let told = told.unwrap();
        assert!(told.contains("[redacted]") && told.contains("kept"), "task: {as_task}; {told}");
        drop(peer);
        house.close();
    }
}

#[test]
fn one_way_and_some_tools() {
    let house = house(r#"[ { on: after, match: a__leak, redact: { secrets: aws, with: "***" } } ]"#);
    let peer = house.peer(MODERN);
    peer.list_with("tools/list", "a__echo");
    answered(&peer.tool("a__leak", json!({})), "*** and internal-42");
    answered(&peer.tool("a__echo", json!({ "input": "AKIAIOSFODNN7EXAMPLE" })), "AKIAIOSFODNN7EXAMPLE");
    drop(peer);
    house.close();
}

#[test]
fn every_call_is_logged_once_and_without_secrets() {
    let setup = Setup::new()
        .script("a", TOOLS)
        .keys("rate_limit: { calls: 3, per: 1h }")
        .env("SWITCHBOARD_LOG", "info");
    let house = House::stdio(setup.config("interceptors: [ { log: { arguments: true } } ]"));
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "a__echo");
    answered(
        &peer.tool("a__echo", json!({ "input": "AKIAIOSFODNN7EXAMPLE seen" })),
        "AKIAIOSFODNN7EXAMPLE seen",
    );
    for tool in ["a__sorry", "a__leak", "a__leak"] {
        peer.tool(tool, json!({}));
    }
    let until = Instant::now() + DEADLINE;
    let lines = || -> Vec<String> {
        let text = house.stderr();
        text.lines().filter(|line| line.contains("received_bytes")).map(str::to_owned).collect()
    };
    while lines().len() < 4 {
        assert!(Instant::now() < until, "{}", house.stderr());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let lines = lines();
    assert!(lines[0].contains("[redacted] seen") && !lines[0].contains("AKIA"), "{lines:#?}");
    for (line, outcome) in lines.iter().zip(["ok", "error", "ok", "SB-LIMIT-001"]) {
        assert!(line.contains(outcome) && line.contains("a__"), "{outcome}: {line}");
    }
    drop(peer);
    house.close();
}

/// What is said in the middle of a call has no secrets either: progress, log messages, questions, and the answers to them.
#[test]
fn secrets_are_hidden_in_what_is_said_in_the_middle_of_a_call() {
    let script = r#"
revisions: [ 2025-11-25 ]
tools:
  echo: { answer: "{{input}}" }
  work:
    steps:
      - progress: { progress: 1, total: 2, message: "with AKIAIOSFODNN7EXAMPLE" }
      - log: { level: warning, logger: work, data: "log AKIAIOSFODNN7EXAMPLE" }
      - ask: { method: elicitation/create, params: { message: "For AKIAIOSFODNN7EXAMPLE?", requestedSchema: { type: object, properties: { name: { type: string } } } }, save: r }
      - answer: done
"#;
    for revision in ["2025-11-25", MODERN] {
        let setup = Setup::new().script("a", script).config("interceptors: [ { redact: {} } ]");
        let house = House::stdio(setup);
        let peer = house.peer(revision);
        peer.list_with("tools/list", "a__work");
        let meta = json!({ "progressToken": "mine", "io.modelcontextprotocol/logLevel": "debug" });
        let call = json!({ "name": "a__work", "arguments": {}, "_meta": meta });
        let mut asked = Vec::new();
        let answer = peer.converse("tools/call", call, |question| {
            asked.push(question.params["message"].as_str().unwrap().to_owned());
            json!({ "action": "accept", "content": { "name": "ASIAIOSFODNN7EXAMPLE" } })
        });
        answered(&answer, "done");
        assert_eq!(asked, ["[a] For [redacted]?"]);
        let heard = peer.heard();
        let of = |method: &str| {
            let heard = heard.iter().find(|message| message.method.as_deref() == Some(method));
            heard.unwrap_or_else(|| panic!("no {method} in {heard:?}")).params()
        };
        let progress = of("notifications/progress");
        assert_eq!(
            (&progress["message"], &progress["progressToken"]),
            (&json!("with [redacted]"), &json!("mine"))
        );
        assert_eq!(of("notifications/message")["data"], "log [redacted]");
        let accepted =
            house.received("a").into_iter().find(|message| message["result"]["action"] == "accept");
        assert_eq!(accepted.unwrap()["result"]["content"]["name"], "[redacted]");
        drop(peer);
        house.close();
    }
}
