//! Every feature of MCP between a legacy client and a legacy server: logs, progress, cancellation, pings, questions of
//! servers, subscriptions, completion, and payloads that must cross unchanged.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "../support/board.rs"]
mod board;

mod cancellation;
mod elicitation;
mod logs;
mod payloads;
mod progress;
mod questions;
mod resources;

use std::time::Duration;

use board::{Board, Message, Setup};
use serde_json::json;

/// How long to watch for something that must not come, where nothing else marks the end of the watch.
const A_WHILE: Duration = Duration::from_millis(150);

fn serve(name: &str, fixture: &str) -> Board {
    let mut board = Setup::new().server(name, fixture).start();
    board.initialize("2025-11-25");
    board
}

fn serve_script(script: &str) -> Board {
    serve_script_to("{}", script)
}

/// One server `a` with this script, and a client with these capabilities.
fn serve_script_to(capabilities: &str, script: &str) -> Board {
    let mut board = Setup::new().script("a", script).start();
    board.initialize_with("2025-11-25", capabilities);
    board
}

fn has(lines: &[String], part: &str) -> usize {
    lines.iter().filter(|line| line.contains(part)).count()
}

/// What is unread of a kind of notification.
fn unread<'m>(messages: &[&'m Message], method: &str) -> Vec<&'m Message> {
    messages.iter().filter(|message| message.method.as_deref() == Some(method)).copied().collect()
}

fn id_of(line: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).expect("the line was checked before");
    value["id"].to_string()
}

#[test]
fn completions_go_to_the_server_of_the_prompt_or_template() {
    let script = |who: &str| {
        format!(
            r#"
prompts: {{ greet: {{ arguments: [ {{ name: who }} ], answer: hi }} }}
templates: {{ "{who}://{{id}}": {{ name: T, text: t }} }}
completions: {{ greet: {{ who: [{who}1, {who}2] }}, "{who}://{{id}}": {{ id: [{who}3] }} }}
"#
        )
    };
    let mut board = Setup::new().script("a", &script("a")).script("b", &script("b")).start();
    board.initialize("2025-11-25");
    for server in ["a", "b"] {
        let of_prompt = board.call(
            "completion/complete",
            &format!(r#"{{"ref":{{"type":"ref/prompt","name":"{server}__greet","x":1.10}},"argument":{{"name":"who","value":""}},"context":{{"arguments":{{}}}}}}"#),
        );
        assert_eq!(
            of_prompt.result()["completion"]["values"],
            json!([format!("{server}1"), format!("{server}2")])
        );
        board.wait_received(server, |line| {
            line.ends_with(r#""params":{"ref":{"type":"ref/prompt","name":"greet","x":1.10},"argument":{"name":"who","value":""},"context":{"arguments":{}}}}"#)
        });
        let of_template = board.call(
            "completion/complete",
            &format!(r#"{{"ref":{{"type":"ref/resource","uri":"{server}://{{id}}"}},"argument":{{"name":"id","value":""}}}}"#),
        );
        assert_eq!(of_template.result()["completion"]["values"], json!([format!("{server}3")]));
    }
    board.close();
}

#[test]
fn capabilities_are_those_of_the_servers_that_are_known() {
    let setup = Setup::new().script("a", "tools: [echo]");
    let mut first = setup.launch();
    let open = first.initialize("2025-11-25").result();
    for name in ["tools", "prompts", "resources", "logging", "completions"] {
        assert!(open["capabilities"][name].is_object(), "a server that is not known yet may have {name}");
    }
    first.call("tools/list", "");
    first.close();
    let mut second = setup.launch();
    let known = second.initialize("2025-11-25").result();
    assert!(known["capabilities"]["tools"]["listChanged"] == true);
    assert!(
        known["capabilities"].get("prompts").is_none() && known["capabilities"].get("resources").is_none()
    );
    second.close();
}

#[test]
fn what_fails_outside_of_tools_is_an_error_that_says_where_and_why() {
    let script = r#"
prompts: { die: { stderr: no memory left, exit: 9 } }
resources: { "x:1": { size: 9MiB } }
"#;
    let mut board = Setup::new().script("a", script).start();
    board.initialize("2025-11-25");
    let error = board.call("prompts/get", r#"{"name":"a__die"}"#).error();
    let data = &error["data"];
    assert_eq!(
        (error["code"].as_i64(), data["server"].as_str(), data["outcome"].as_str()),
        (Some(-32603), Some("a"), Some("unknown"))
    );
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("no memory left") && message.contains("SB-CALL-002") && message.contains('9'),
        "{message}"
    );
    let error = board
        .until("resources/read", r#"{"uri":"x:1"}"#, |answer| answer.raw.contains("SB-CALL-005"))
        .error();
    assert_eq!(error["code"], -32603);
    board.close();
}

#[test]
fn a_tool_is_also_found_by_its_bare_name_if_only_one_server_has_it() {
    let mut board = Setup::new()
        .script("a", "tools: { only: { answer: a }, both: { answer: a } }")
        .script("b", "tools: { both: { answer: b } }")
        .start();
    board.initialize("2025-11-25");
    assert_eq!(board.tool("only", "{}").text(), "a");
    assert_eq!(board.tool("both", "{}").code(), -32602);
    let error = board.tool("a__onyl", "{}").error();
    assert!(error["message"].as_str().unwrap().contains("a__only"), "{error}");
    board.close();
}

#[test]
fn unknown_notifications_of_a_server_stay_where_they_are() {
    let mut board = serve_script(
        "tools: { shout: { notify: { method: notifications/vendor, params: { x: 1 } }, answer: done } }",
    );
    board.tool("a__shout", "{}");
    assert!(board.settled().is_empty());
    assert!(board.within(A_WHILE, |message| message.raw.contains("vendor")).is_none());
    board.close();
}
