//! Progress of a call: whose it is, and how long it keeps the call alive.

use std::time::{Duration, Instant};

use super::{A_WHILE, serve_script, unread};
use crate::board::{Message, Setup};

const PROGRESS: &str = r#"
tools:
  work:
    steps:
      - notify: { method: notifications/progress, params: { progressToken: "{{json mock.token}}", progress: 1.50, total: 1e1, message: "Half\u0041", vendor: { x: 1.10 } } }
      - answer: "{{mock.token}}"
  backwards: { steps: [ { progress: 5 }, { progress: 3 }, { progress: 5 }, { progress: 6 }, { answer: done } ] }
  late: { steps: [ { progress: 1 }, { answer: done }, { progress: 2 } ] }
  forged: { steps: [ { notify: { method: notifications/progress, params: { progressToken: nobody, progress: 1 } } }, { notify: { method: notifications/progress, params: { progressToken: 4711, progress: 1 } } }, { notify: { method: notifications/progress, params: { progressToken: "{{json mock.token}}", progress: high } } }, { notify: notifications/progress }, { answer: done } ] }
"#;

#[test]
fn progress_carries_the_clients_token_in_its_own_spelling() {
    let mut board = serve_script(PROGRESS);
    for token in ["\"abc\"", "\"\"", "0", "7", "\"7\"", "9007199254740993", "\"\\u0041/\\/\"", "-3"] {
        let id = board
            .ask("tools/call", &format!(r#"{{"_meta":{{"progressToken":{token},"x":1}},"name":"a__work"}}"#));
        let progress = board.notification("notifications/progress");
        assert_eq!(
            progress.params.unwrap(),
            format!(
                r#"{{"progressToken":{token},"progress":1.50,"total":1e1,"message":"HalfA","vendor":{{"x":1.10}}}}"#
            )
        );
        let own = board.answer(&id).text();
        assert!(own.parse::<u64>().is_ok(), "the server got a token of ours: {own}");
        assert!(board.settled().is_empty());
    }
    board.close();
}

#[test]
fn equal_tokens_of_two_calls_do_not_mix() {
    let mut board = Setup::new().server("a", "healthy").server("b", "healthy").start();
    board.initialize("2025-11-25");
    let params = |name: &str, token: u8| {
        format!(r#"{{"name":"{name}__progress","_meta":{{"progressToken":{token}}}}}"#)
    };
    let ids = [
        board.ask("tools/call", &params("a", 1)),
        board.ask("tools/call", &params("a", 2)),
        board.ask("tools/call", &params("b", 3)),
    ];
    for id in &ids {
        assert_eq!(board.answer(id).text(), "done");
    }
    let settled = board.settled();
    for token in 1..=3 {
        let own: Vec<_> = unread(&settled, "notifications/progress")
            .into_iter()
            .map(Message::params)
            .filter(|params| params["progressToken"] == token)
            .map(|params| params["progress"].as_u64().unwrap())
            .collect();
        assert_eq!(own, [1, 2, 3], "token {token}");
    }
    board.close();
}

#[test]
fn progress_rises_and_ends_with_the_answer() {
    let mut board = serve_script(PROGRESS);
    let meta = r#""_meta":{"progressToken":"t"}"#;
    board.call("tools/call", &format!(r#"{{"name":"a__backwards",{meta}}}"#));
    let values: Vec<_> = unread(&board.settled(), "notifications/progress")
        .iter()
        .map(|progress| progress.params()["progress"].as_u64().unwrap())
        .collect();
    assert_eq!(values, [5, 6]);
    board.forget();
    board.call("tools/call", &format!(r#"{{"name":"a__late",{meta}}}"#));
    // Another call and its answer: by then what the server wrote after the first answer has been read.
    board.call("tools/call", &format!(r#"{{"name":"a__forged",{meta}}}"#));
    assert_eq!(unread(&board.settled(), "notifications/progress").len(), 1);
    board.close();
}

#[test]
fn a_client_that_asked_for_no_progress_gets_none() {
    let mut board = serve_script(PROGRESS);
    for params in [
        r#"{"name":"a__work"}"#,
        r#"{"name":"a__work","_meta":{}}"#,
        r#"{"name":"a__work","_meta":{"x":{}}}"#,
        r#"{"name":"a__work","_meta":{"progressToken":null}}"#,
        r#"{"name":"a__work","_meta":null}"#,
    ] {
        let answer = board.call("tools/call", params);
        assert!(answer.result.is_some(), "{params}: {}", answer.raw);
        assert!(board.settled().is_empty(), "{params}");
    }
    board.close();
}

#[test]
fn a_token_that_is_no_token_is_not_answered_with_progress() {
    let mut board = serve_script(PROGRESS);
    for token in ["{}", "[1]", "true"] {
        let answer =
            board.call("tools/call", &format!(r#"{{"name":"a__work","_meta":{{"progressToken":{token}}}}}"#));
        assert!(answer.result.is_some(), "{}", answer.raw);
        assert!(board.settled().is_empty());
    }
    board.close();
}

#[test]
fn progress_keeps_a_call_alive_even_if_the_client_did_not_ask_for_it() {
    let mut board =
        Setup::new().server("a", "e03-progress-keeps-alive").keys("timeouts: { call: 1500ms }").start();
    board.initialize("2025-11-25");
    let began = Instant::now();
    assert_eq!(board.tool("a__working", "{}").text(), "done");
    assert!(
        began.elapsed() > Duration::from_secs(4),
        "the call took longer than its limit without a sign of life"
    );
    board.close();
}

#[test]
fn no_progress_takes_a_call_past_its_total() {
    let script = "tools: { endless: { repeat: { times: 200, every: 50ms, steps: [ { progress: \"{{json n}}\" } ] }, answer: done } }";
    let mut board = Setup::new().script("a", script).keys("timeouts: { call: 500ms, total: 1200ms }").start();
    board.initialize("2025-11-25");
    board.call("tools/list", "");
    let began = Instant::now();
    let answer = board.call("tools/call", r#"{"name":"a__endless","_meta":{"progressToken":"t"}}"#);
    assert!(answer.result()["isError"] == true && answer.text().contains("timeouts.total"), "{}", answer.raw);
    assert!(began.elapsed() >= Duration::from_millis(1100) && began.elapsed() < Duration::from_secs(4));
    board.wait_received("a", |line| line.contains("notifications/cancelled"));
    // What comes after the answer is nobody's.
    board.forget();
    assert!(board.within(A_WHILE, |message| message.method.is_some()).is_none());
    board.close();
}

#[test]
fn progress_that_does_not_rise_or_is_not_about_the_call_keeps_nothing_alive() {
    let mut board = Setup::new().server("a", "e05-stuck-progress").keys("timeouts: { call: 700ms }").start();
    board.initialize("2025-11-25");
    let ids = [
        board.ask("tools/call", r#"{"name":"a__stuck"}"#),
        board.ask("tools/call", r#"{"name":"a__wrong_token"}"#),
    ];
    let began = Instant::now();
    for id in &ids {
        let answer = board.answer(id);
        assert!(
            answer.result()["isError"] == true && answer.text().contains("SB-CALL-001"),
            "{}",
            answer.raw
        );
    }
    assert!(began.elapsed() < Duration::from_secs(4));
    board.close();
}

#[test]
fn progress_works_for_every_request_that_a_server_answers() {
    let steps = "{ steps: [ { progress: { progress: 1, message: \"{{mock.token}}\" } }, { answer: ok } ] }";
    let script = format!(
        "prompts: {{ p: {steps} }}\nresources: {{ \"x:1\": {steps} }}\ncompletions: {{ p: {{ a: [b] }} }}\non: {{ completion/complete: {{ steps: [ {{ progress: 1 }}, {{ default: true }} ] }} }}"
    );
    let mut board = serve_script(&script);
    let meta = r#""_meta":{"progressToken":"t"}"#;
    for (method, params) in [
        ("prompts/get", format!(r#"{{"name":"a__p",{meta}}}"#)),
        ("resources/read", format!(r#"{{{meta},"uri":"x:1"}}"#)),
        (
            "completion/complete",
            format!(
                r#"{{{meta},"ref":{{"type":"ref/prompt","name":"a__p"}},"argument":{{"name":"a","value":""}}}}"#
            ),
        ),
    ] {
        let answer = board.call(method, &params);
        assert!(answer.result.is_some(), "{}", answer.raw);
        let progress = board.notification("notifications/progress").params();
        assert_eq!(progress["progressToken"], "t", "{method}");
        assert_ne!(progress["message"], "t", "{method}");
    }
    board.close();
}
