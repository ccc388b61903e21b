//! Subscriptions of resources, and resources that nobody has.

use serde_json::json;

use super::{has, serve_script};
use crate::board::Setup;

const NOTES: &str = r#"
tools:
  touch: { updated: "note://one", answer: touched }
  push: { notify: { method: notifications/resources/updated, params: { uri: "note://one", n: 1.10 } }, answer: pushed }
  echo: { answer: "{{input}}" }
  die: { exit: 1 }
resources:
  "note://one": { name: One, text: first }
"#;

#[test]
fn a_subscription_brings_updates_until_it_is_ended() {
    let mut board = serve_script(NOTES);
    board.tool("a__push", "{}");
    assert!(board.settled().is_empty(), "nobody subscribed");
    let subscribe = r#"{"uri":"note://one","_meta":{"n":1.10}}"#;
    assert_eq!(board.call("resources/subscribe", subscribe).result.as_deref(), Some("{}"));
    board.wait_received("a", |line| line.contains(&format!(r#""resources/subscribe","params":{subscribe}"#)));
    board.tool("a__push", "{}");
    let update = board.notification("notifications/resources/updated");
    assert_eq!(update.params.as_deref(), Some(r#"{"uri":"note://one","n":1.10}"#));
    assert!(board.call("resources/unsubscribe", r#"{"uri":"note://one"}"#).result.is_some());
    board.tool("a__push", "{}");
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn a_subscription_that_is_ended_before_it_was_answered_is_ended() {
    let mut board = serve_script(NOTES);
    board.call("resources/list", "");
    let line = |id: &str, word: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"resources/{word}","params":{{"uri":"note://one"}}}}"#
        ) + "\n"
    };
    board.bytes((line("1", "subscribe") + &line("2", "unsubscribe")).as_bytes());
    for id in ["1", "2"] {
        assert_eq!(board.answer(id).result.as_deref(), Some("{}"));
    }
    board.tool("a__push", "{}");
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn a_subscription_outlives_the_run_of_its_server() {
    let mut board = serve_script(NOTES);
    board.call("resources/subscribe", r#"{"uri":"note://one"}"#);
    board.tool("a__die", "{}");
    board.until("tools/call", r#"{"name":"a__touch"}"#, |answer| answer.result()["isError"] != true);
    assert_eq!(board.notification("notifications/resources/updated").params()["uri"], "note://one");
    assert_eq!(has(&board.received("a"), "resources/subscribe"), 2);
    board.close();
}

#[test]
fn a_subscription_that_the_server_refused_is_not_kept() {
    let mut board = serve_script(&format!(
        "on: {{ resources/subscribe: {{ error: {{ code: -32002, message: no }} }} }}{NOTES}"
    ));
    assert_eq!(board.call("resources/subscribe", r#"{"uri":"note://one"}"#).code(), -32002);
    board.tool("a__push", "{}");
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn a_resource_that_nobody_has_is_not_found() {
    let mut board = Setup::new().server("a", "healthy").server("b", "h12-shared-uri-b").start();
    board.initialize("2025-11-25");
    let error = board.call("resources/read", r#"{"uri":"nowhere:at/all"}"#).error();
    assert_eq!((error["code"].as_i64(), &error["data"]["uri"]), (Some(-32002), &json!("nowhere:at/all")));
    board.close();
}
