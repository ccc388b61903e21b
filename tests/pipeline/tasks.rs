//! A task is no way around a stage: what a server tells of its end is looked at like the answer to a call, whether the task is
//! relayed or one of ours, and whether the client asks for it or is told.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::board::{DEADLINE, Setup};
use crate::peer::{House, MODERN, Peer, everything};

const CORE: &str = "2025-11-25";

const TOOLS: &str = r#"
tools:
  echo: { task: { poll: 20ms }, answer: "{{input}}" }
  rows: { task: { poll: 20ms }, output_schema: { type: object, required: [ rows ] }, structured: { rows: "{{json list}}" }, answer: "rows" }
  wrong: { task: { poll: 20ms }, output_schema: { type: object, required: [ rows ] }, structured: { n: 1 }, answer: "no rows" }
  leak: { task: { poll: 20ms }, status: "AKIAIOSFODNN7EXAMPLE", answer: "AKIAIOSFODNN7EXAMPLE" }
  slow: { task: { poll: 20ms }, delay: 400ms, answer: "AKIAIOSFODNN7EXAMPLE {{input}}" }
"#;

/// Calls a tool as a task and gives the task's end.
#[track_caller]
fn end(peer: &Peer, revision: &str, tool: &str, arguments: Value) -> Value {
    let mut params = json!({ "name": tool, "arguments": arguments });
    if revision == CORE {
        params["task"] = json!({ "ttl": 60_000 });
    }
    let begun = peer.call("tools/call", params).result();
    let task = if revision == CORE { &begun["task"]["taskId"] } else { &begun["taskId"] };
    assert!(task.is_string(), "{tool}: {begun}");
    let until = Instant::now() + DEADLINE;
    loop {
        let told = peer.call("tasks/get", json!({ "taskId": task })).result();
        assert!(!told["statusMessage"].as_str().unwrap_or_default().contains("AKIA"), "{told}");
        match told["status"].as_str() {
            Some("working") => assert!(Instant::now() < until, "{tool}: {told}"),
            _ if revision == CORE => break,
            _ => return told["result"].clone(),
        }
        thread::sleep(Duration::from_millis(10));
    }
    let result = peer.call("tasks/result", json!({ "taskId": task })).result();
    let related = &result["_meta"]["io.modelcontextprotocol/related-task"];
    assert_eq!(&related["taskId"], task, "{tool}: {result}");
    result
}

fn house(revision: &str) -> House {
    let script = format!("revisions: [ {revision} ]{TOOLS}");
    let keys = "limits: { result: 8KiB }, validate: { output: strict }";
    let hidden = "interceptors: [ { on: after, match: [ a__leak, a__slow ], redact: { secrets: aws } } ]";
    let house = House::http(Setup::new().script("a", &script).keys(keys).config(hidden));
    // Tasks are declared once the server has shown that it has some.
    house.peer(MODERN).list_with("tools/list", "a__echo");
    house
}

fn peer(house: &House, revision: &'static str) -> Peer {
    let mut capabilities = everything(revision);
    if revision == MODERN {
        capabilities["extensions"] = json!({ "io.modelcontextprotocol/tasks": {} });
    }
    house.peer_with(revision, capabilities)
}

fn link(result: &Value) -> String {
    let blocks = result["content"].as_array().cloned().unwrap_or_default();
    let link = blocks.iter().find(|block| block["type"] == "resource_link");
    link.unwrap_or_else(|| panic!("{result}"))["uri"].as_str().unwrap().to_owned()
}

#[test]
fn the_end_of_a_task_passes_the_stages_that_look_at_results() {
    for (client, server) in [(CORE, CORE), (MODERN, MODERN), (CORE, MODERN), (MODERN, CORE)] {
        let house = house(server);
        let peer = peer(&house, client);
        let end = |tool: &str, arguments| end(&peer, client, tool, arguments);
        let cell = format!("a client of {client}, a server of {server}");

        let small = end("a__echo", json!({ "input": "small" }));
        assert_eq!(small["content"], json!([{ "type": "text", "text": "small" }]), "{cell}");

        let text: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        let result = end("a__echo", json!({ "input": text }));
        assert!(result.to_string().len() < 9000, "{cell}: {}", result.to_string().len());
        let shown = result["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with(shown) && shown.len() > 2000, "{cell}: {result}");
        let rest =
            peer.call("resources/read", json!({ "uri": format!("{}?search=line%204999", link(&result)) }));
        assert!(rest.raw.contains("line 4999"), "{cell}: {}", rest.raw);

        let list: Vec<Value> = (0..2000).map(|n| json!({ "id": n })).collect();
        let result = end("a__rows", json!({ "list": list }));
        assert!(result.to_string().len() < 9000 && result["isError"] != true, "{cell}: {result}");
        assert_eq!(result["structuredContent"]["rows"][0], json!({ "id": 0 }), "{cell}: {result}");

        let result = end("a__wrong", json!({}));
        assert_eq!(result["isError"], true, "{cell}: {result}");
        assert_eq!(result["_meta"]["switchboard/error"]["code"], "SB-VALID-002", "{cell}: {result}");

        assert_eq!(end("a__leak", json!({}))["content"][0]["text"], "[redacted]", "{cell}");
        let other = end("a__echo", json!({ "input": "AKIAIOSFODNN7EXAMPLE" }));
        assert_eq!(other["content"][0]["text"], "AKIAIOSFODNN7EXAMPLE", "{cell}: another tool's rule");
        drop(peer);
        house.close();
    }
}

#[test]
fn those_who_listen_to_a_task_are_told_its_end_through_the_same_stages() {
    for server in [CORE, MODERN] {
        let house = house(server);
        let peer = peer(&house, MODERN);
        let text = "more ".repeat(5000);
        let params = json!({ "name": "a__slow", "arguments": { "input": text } });
        let task = peer.call("tools/call", params).result()["taskId"].clone();
        let wanted = json!({ "notifications": { "taskIds": [task] } });
        peer.ask("subscriptions/listen", wanted);
        let news = peer.hear("the end of the task", |message| {
            message.method.as_deref() == Some("notifications/tasks")
                && message.params()["status"] == "completed"
        });
        let result = news.params()["result"].clone();
        let shown = result["content"][0]["text"].as_str().unwrap();
        assert!(shown.starts_with("[redacted] more"), "{server}: {}", news.raw);
        assert!(news.raw.len() < 10_000, "{server}: {}", news.raw.len());
        let rest =
            peer.call("resources/read", json!({ "uri": format!("{}?offset=0&length=50", link(&result)) }));
        assert!(rest.raw.contains("[redacted] more"), "{server}: {}", rest.raw);
        drop(peer);
        house.close();
    }
}
