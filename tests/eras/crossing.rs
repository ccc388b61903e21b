//! What a legacy client says to a modern server and hears from it, besides answers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{is_error, methods, requests, serve, serve_modern_to};
use crate::board;
use crate::board::Board;

#[test]
fn what_crosses_hops_crosses_and_nothing_else() {
    let mut board = serve("a", "modern");
    let answer = board.call(
        "tools/call",
        r#"{"name":"a__mirror","arguments":{"n":1.10,"big":12345678901234567890123},"_meta":{"progressToken":"mine","traceparent":"00-1","v.example/x":[1],"io.modelcontextprotocol/logLevel":"debug"}}"#,
    );
    let raw = answer.result.clone().unwrap();
    assert!(raw.contains(r#""n":1.10"#) && raw.contains("12345678901234567890123"), "{raw}");
    let seen = &answer.result()["structuredContent"]["meta"];
    assert_eq!((&seen["traceparent"], &seen["v.example/x"]), (&json!("00-1"), &json!([1])));
    assert_ne!(seen["progressToken"], "mine");
    assert_eq!(seen.get("io.modelcontextprotocol/logLevel"), None, "this client has set no level");
    board.close();
}

#[test]
fn the_level_of_a_session_goes_with_its_calls() {
    let mut board = serve("a", "modern");
    board.tool("a__talk", "{}");
    assert!(!board.settled().iter().any(|message| message.raw.contains("mind the gap")));
    board.call("logging/setLevel", r#"{"level":"info"}"#);
    board.tool("a__talk", "{}");
    let log = board.notification("notifications/message").params();
    assert_eq!((&log["data"], &log["logger"]), (&json!("mind the gap"), &json!("a/guide")));
    board.call("logging/setLevel", r#"{"level":"error"}"#);
    board.tool("a__talk", "{}");
    assert!(!board.settled().iter().any(|message| message.raw.contains("mind the gap")));
    let said = methods(&board.received("a"));
    assert!(!said.contains(&"logging/setLevel".to_owned()) && !said.contains(&"ping".to_owned()), "{said:?}");
    board.close();
}

#[test]
fn progress_comes_under_the_clients_token() {
    let mut board = serve("a", "modern");
    let id =
        board.ask("tools/call", r#"{"name":"a__progress","arguments":{},"_meta":{"progressToken":"p"}}"#);
    board.answer(&id);
    let values: Vec<Value> = board
        .unread()
        .iter()
        .filter(|message| message.method.as_deref() == Some("notifications/progress"))
        .map(|message| message.params())
        .collect();
    assert_eq!(values.len(), 3, "{values:?}");
    assert!(values.iter().all(|params| params["progressToken"] == "p"));
    board.close();
}

#[test]
fn a_cancelled_call_is_cancelled_at_the_server() {
    let script = "tools: { echo: x, wait: { wait_cancel: 10s, answer: late } }";
    let mut board = serve_modern_to("{}", script);
    board.tool("a__echo", "{}");
    let id = board.ask("tools/call", r#"{"name":"a__wait","arguments":{}}"#);
    let sent = board.wait_received("a", |line| line.contains(r#""name":"wait""#));
    board.cancel(&id);
    let cancelled = board.wait_received("a", |line| line.contains("notifications/cancelled"));
    let sent: Value = serde_json::from_str(&sent).unwrap();
    let cancelled: Value = serde_json::from_str(&cancelled).unwrap();
    assert_eq!(cancelled["params"]["requestId"], sent["id"]);
    board.close();
}

#[test]
fn changed_lists_are_heard_of_and_told() {
    let mut board = serve("a", "modern");
    let before = board.call("tools/list", "").names();
    board.wait_received("a", |line| line.contains("subscriptions/listen"));
    board.tool("a__hide", "{}");
    board.notification("notifications/tools/list_changed");
    let after = board.until("tools/list", "", |list| list.names().len() < before.len()).names();
    assert!(after.contains(&"a__echo".to_owned()) && !after.contains(&"a__mirror".to_owned()), "{after:?}");
    let listens = requests(&board.received("a"), "subscriptions/listen");
    assert_eq!(listens.len(), 1);
    assert_eq!(listens[0]["params"]["notifications"]["toolsListChanged"], true);
    board.close();
}

#[test]
fn resources_are_followed_over_one_stream_after_the_other() {
    let mut board = serve("a", "modern");
    board.tool("a__echo", "{}");
    board.wait_received("a", |line| line.contains("subscriptions/listen"));
    assert_eq!(board.call("resources/subscribe", r#"{"uri":"note://one"}"#).result(), json!({}));
    let second = board.wait_received("a", |line| line.contains("resourceSubscriptions"));
    let second: Value = serde_json::from_str(&second).unwrap();
    assert_eq!(second["params"]["notifications"]["resourceSubscriptions"], json!(["note://one"]));
    // The first stream ends once the second is agreed to.
    let first = requests(&board.received("a"), "subscriptions/listen")[0]["id"].clone();
    let ended = board.wait_received("a", |line| line.contains("notifications/cancelled"));
    assert_eq!(serde_json::from_str::<Value>(&ended).unwrap()["params"]["requestId"], first);
    board.tool("a__touch", "{}");
    let updated = board.notification("notifications/resources/updated");
    assert_eq!(updated.params(), json!({"uri": "note://one"}), "and nothing of the other hop");
    assert_eq!(board.call("resources/unsubscribe", r#"{"uri":"note://one"}"#).result(), json!({}));
    board.wait_received("a", |line| {
        line.contains("notifications/cancelled") && line.contains(&format!("\"requestId\":{}", second["id"]))
    });
    board.tool("a__touch", "{}");
    assert!(!board.settled().iter().any(|message| message.raw.contains("resources/updated")));
    let said = methods(&board.received("a"));
    assert!(!said.iter().any(|method| method.ends_with("subscribe")), "{said:?}");
    board.close();
}

#[test]
fn a_server_without_subscriptions_says_so() {
    let script =
        "server: { capabilities: { resources: { listChanged: true } } }\nresources: { \"note://one\": x }";
    let mut board = serve_modern_to("{}", &format!("{script}\ntools: [echo]"));
    board.tool("a__echo", "{}");
    let answer = board.call("resources/subscribe", r#"{"uri":"note://one"}"#);
    if answer.error.is_some() {
        assert_eq!(answer.code(), -32601);
    }
    board.close();
}

#[test]
fn a_stream_that_ends_is_opened_again() {
    let mut board = serve("a", "modern");
    board.tool("a__echo", "{}");
    board.wait_received("a", |line| line.contains("subscriptions/listen"));
    board.tool("a__hang_up", "{}");
    let until = Instant::now() + board::DEADLINE;
    while requests(&board.received("a"), "subscriptions/listen").len() < 2 {
        assert!(Instant::now() < until, "nobody listens again");
        std::thread::sleep(Duration::from_millis(20));
    }
    board.tool("a__hide", "{}");
    board.until("tools/list", "", |list| !list.names().contains(&"a__mirror".to_owned()));
    board.close();
}

#[test]
fn a_restarted_server_is_listened_to_and_followed_again() {
    let script = r#"
tools: { echo: "{{input}}", die: { exit: 1 }, touch: { updated: "note://one", answer: x } }
resources: { "note://one": first }
"#;
    let mut board = serve_modern_to("{}", script);
    board.tool("a__echo", "{}");
    board.call("resources/subscribe", r#"{"uri":"note://one"}"#);
    board.wait_received("a", |line| line.contains("resourceSubscriptions"));
    board.tool("a__die", "{}");
    assert!(!is_error(&board.tool("a__echo", "{}")));
    let until = Instant::now() + board::DEADLINE;
    let listens = |board: &Board| {
        let received = board.received("a");
        received.iter().filter(|line| line.contains("resourceSubscriptions")).count()
    };
    while listens(&board) < 2 {
        assert!(Instant::now() < until, "it is not followed again");
        std::thread::sleep(Duration::from_millis(20));
    }
    board.tool("a__touch", "{}");
    board.notification("notifications/resources/updated");
    board.close();
}

#[test]
fn prompts_resources_and_completions_cross_too() {
    let mut board = serve("a", "modern");
    let prompt = board.call("prompts/get", r#"{"name":"a__greet","arguments":{"who":"Ada"}}"#).result();
    assert_eq!(prompt["messages"][0]["content"]["text"], "Greet Ada.");
    let read = board.call("resources/read", r#"{"uri":"note://one"}"#).result();
    assert_eq!(read["contents"][0]["text"], "first");
    assert_eq!((read.get("resultType"), read.get("ttlMs")), (None, None));
    let completion =
        r#"{"ref":{"type":"ref/prompt","name":"a__greet"},"argument":{"name":"who","value":"A"}}"#;
    let values = board.call("completion/complete", completion).result();
    assert_eq!(values["completion"]["values"], json!(["Ada", "Alan"]));
    board.close();
}
