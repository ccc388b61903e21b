//! Log messages of servers, and the level from which on they are wanted.

use serde_json::json;

use super::{has, serve_script, unread};
use crate::board::{Message, Setup};

const LOGGING: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  plain: { notify: { method: notifications/message, params: { level: info, data: { n: 1.10 }, vendor: [1] } }, answer: done }
  named: { notify: { method: notifications/message, params: { data: text, level: "{{level}}", logger: guide } }, answer: done }
  odd: { notify: { method: notifications/message, params: { level: info, logger: 5, data: x } }, answer: done }
  bare: { notify: { method: notifications/message, params: {} }, answer: done }
  die: { exit: 1 }
"#;

#[test]
fn log_messages_name_the_server_as_their_logger() {
    let mut board = serve_script(LOGGING);
    board.tool("a__named", r#"{"level":"error"}"#);
    let message = board.notification("notifications/message");
    assert_eq!(message.params.as_deref(), Some(r#"{"data":"text","level":"error","logger":"a/guide"}"#));
    board.tool("a__plain", "{}");
    let message = board.notification("notifications/message");
    assert_eq!(
        message.params.as_deref(),
        Some(r#"{"logger":"a","level":"info","data":{"n":1.10},"vendor":[1]}"#)
    );
    board.tool("a__odd", "{}");
    assert_eq!(board.notification("notifications/message").params()["logger"], "a");
    board.tool("a__bare", "{}");
    assert_eq!(board.notification("notifications/message").params(), json!({"logger": "a"}));
    board.close();
}

#[test]
fn a_log_level_reaches_every_server_that_takes_one_and_holds_for_those_that_do_not_obey() {
    let mut board = Setup::new()
        .script("a", LOGGING)
        .script("deaf", &format!("server: {{ capabilities: {{ logging: ~ }} }}\n{LOGGING}"))
        .start();
    board.initialize("2025-11-25");
    board.call("tools/list", "");
    assert_eq!(board.call("logging/setLevel", r#"{"level":"warning"}"#).result.as_deref(), Some("{}"));
    board.wait_received("a", |line| line.contains(r#""logging/setLevel","params":{"level":"warning"}"#));
    for tool in ["a__named", "deaf__named"] {
        for level in ["debug", "info", "notice", "warning", "critical"] {
            board.tool(tool, &format!(r#"{{"level":"{level}"}}"#));
        }
    }
    let levels = |messages: &[&Message]| {
        let logs = unread(messages, "notifications/message");
        logs.iter().map(|log| log.params()["level"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(levels(&board.settled()), ["warning", "critical", "warning", "critical"]);
    assert_eq!(has(&board.received("deaf"), "logging/setLevel"), 0);
    board.close();
}

#[test]
fn a_log_level_that_was_set_before_a_server_runs_and_after_it_fell_is_told_to_it() {
    let mut board = serve_script(LOGGING);
    board.call("logging/setLevel", r#"{"level":"error"}"#);
    board.wait_received("a", |line| line.contains(r#"{"level":"error"}"#));
    board.tool("a__die", "{}");
    board.until("tools/call", r#"{"name":"a__echo","arguments":{"input":"back"}}"#, |answer| {
        answer.result()["isError"] != true
    });
    let lines = board.received("a");
    assert_eq!((has(&lines, r#""initialize""#), has(&lines, r#"{"level":"error"}"#)), (2, 2), "{lines:#?}");
    let second = lines.iter().rposition(|line| line.contains(r#""initialize""#)).unwrap();
    assert!(lines[second + 2].contains("logging/setLevel"), "before anything else: {lines:#?}");
    board.close();
}

#[test]
fn a_burst_of_logs_is_cut_and_the_rest_is_counted() {
    let mut board = serve_script(
        r#"
tools:
  burst: { repeat: { times: 2000, steps: [ { log: { level: info, data: "{{n}}" } } ] }, answer: done }
  later: { delay: 100ms, log: { level: info, data: later }, answer: done }
"#,
    );
    assert_eq!(board.tool("a__burst", "{}").text(), "done");
    let logs = unread(&board.settled(), "notifications/message").len();
    assert!((100..400).contains(&logs), "{logs}");
    board.tool("a__later", "{}");
    board
        .wait_for("a count of what was dropped", |message| message.raw.contains("log messages were dropped"));
    board.close();
}
