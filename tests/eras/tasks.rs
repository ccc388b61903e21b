//! Servers that make tasks of calls whose client knows none.

use serde_json::Value;

use super::{CAPABLE, ROOTS, is_error, methods, requests};
use crate::board::{Board, Setup};

/// The same tools in both forms, for clients that know neither.
fn before_tasks(revision: &str) -> Board {
    let mut board = Setup::new().server("a", "tasks").keys(&format!("protocol: {revision}")).start();
    board.initialize_with("2025-06-18", CAPABLE);
    board.tool("a__echo", r#"{"input":"hi"}"#);
    board
}

#[test]
fn a_tool_that_can_be_called_as_a_task_alone_is_looked_after() {
    for revision in ["2025-11-25", "2026-07-28"] {
        let mut board = before_tasks(revision);
        for nonce in ["one", "two"] {
            let answer = board.tool("a__required", &format!(r#"{{"nonce":"{nonce}"}}"#));
            assert_eq!(answer.text(), format!("{nonce}: done"), "{revision}");
            assert!(!answer.raw.contains("taskId") && !answer.raw.contains("resultType"), "{}", answer.raw);
        }
        assert_eq!(board.tool("a__optional", r#"{"nonce":"x"}"#).text(), "x: done", "{revision}");
        let said = methods(&board.received("a"));
        assert!(said.contains(&"tasks/get".to_owned()), "{said:?}");
        board.close();
    }
}

/// Tools that are served as tasks alone, in either form.
const TASKS: &str = r#"
revisions: [ 2025-11-25, 2026-07-28 ]
tools:
  echo: { answer: "{{input}}" }
  talks:
    task: { poll: 20ms, support: required }
    steps: [ { status: "first half" }, { sleep: 80ms }, { status: "second half" }, { sleep: 80ms }, { answer: done } ]
  asks:
    task: { poll: 20ms, support: required }
    steps:
      - ask: { method: elicitation/create, save: reply, params: { message: "Go on?", requestedSchema: { type: object, properties: {} } } }
      - ask: { method: roots/list, save: where }
      - answer: "{{reply.action}} {{where.roots.0.uri}}"
  fails: { task: { poll: 20ms, support: required }, delay: 20ms, error: { code: -32603, message: It broke, data: { id: 7 } } }
  is_error: { task: { poll: 20ms, support: required }, delay: 20ms, is_error: true, answer: That did not work. }
  never: { task: { poll: 20ms, support: required }, hang: true }
"#;

fn before_only_tasks(revision: &str) -> Board {
    let mut board = Setup::new().script("a", TASKS).keys(&format!("protocol: {revision}")).start();
    board.initialize_with("2025-06-18", CAPABLE);
    board.tool("a__echo", r#"{"input":"hi"}"#);
    board
}

#[test]
fn questions_of_tasks_reach_the_client() {
    for revision in ["2025-11-25", "2026-07-28"] {
        let mut board = before_only_tasks(revision);
        let id = board.ask("tools/call", r#"{"name":"a__asks","arguments":{}}"#);
        let question = board.asked("elicitation/create");
        board.reply(&question, r#"{"action":"accept","content":{}}"#);
        let question = board.asked("roots/list");
        board.reply(&question, ROOTS);
        assert_eq!(board.answer(&id).text(), "accept file:///w", "{revision}");
        board.close();
    }
}

#[test]
fn what_a_task_says_of_itself_is_progress() {
    let mut board = before_only_tasks("2026-07-28");
    let id = board.ask("tools/call", r#"{"name":"a__talks","arguments":{},"_meta":{"progressToken":"p"}}"#);
    assert_eq!(board.answer(&id).text(), "done");
    let said: Vec<Value> = board
        .unread()
        .iter()
        .filter(|message| message.method.as_deref() == Some("notifications/progress"))
        .map(|message| message.params())
        .collect();
    assert!(said.iter().any(|params| params["message"] == "second half"), "{said:?}");
    assert!(said.iter().all(|params| params["progressToken"] == "p"), "{said:?}");
    board.close();
}

#[test]
fn the_end_of_a_task_is_the_end_of_the_call() {
    for revision in ["2025-11-25", "2026-07-28"] {
        let mut board = before_only_tasks(revision);
        let broke = board.tool("a__fails", "{}");
        assert!(
            broke.error()["message"].as_str().is_some_and(|text| text.contains("It broke")),
            "{}",
            broke.raw
        );
        let answer = board.tool("a__is_error", "{}");
        assert!(is_error(&answer) && answer.text() == "That did not work.", "{revision}: {}", answer.raw);
        board.close();
    }
}

#[test]
fn a_cancelled_call_cancels_its_task() {
    for revision in ["2025-11-25", "2026-07-28"] {
        let mut board = before_only_tasks(revision);
        let id = board.ask("tools/call", r#"{"name":"a__never","arguments":{}}"#);
        board.wait_received("a", |line| line.contains("tasks/get"));
        board.cancel(&id);
        board.wait_received("a", |line| line.contains("tasks/cancel"));
        board.tool("a__echo", "{}");
        let looks = requests(&board.received("a"), "tasks/get").len();
        board.tool("a__echo", "{}");
        assert_eq!(
            requests(&board.received("a"), "tasks/get").len(),
            looks,
            "{revision}: it is still looked after"
        );
        board.close();
    }
}
