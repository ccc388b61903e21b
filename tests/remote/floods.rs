//! Answers without measure, and without haste.

use std::time::{Duration, Instant};

use crate::mock::Mock;
use crate::serve_with;

/// What Switchboard may need for a server that sends 200 MiB where 16 MiB are read, in bytes: the buffers of one message
/// several times over, and what a debug build needs anyway.
const MEMORY: u64 = 160 << 20;

/// Calls a tool whose first answer is like this; gives the text of the refusal and how long it took.
fn flooded(fault: &str, keys: &str) -> (String, Duration) {
    let script = format!(
        "tools: {{ echo: '{{{{input}}}}' }}\n\nhttp:\n  faults: [ {{ on: tools/call, calls: 1, {fault} }} ]\n"
    );
    let mock = Mock::http(&script);
    let mut board = serve_with(&mock, keys);
    board.until("tools/list", "", |list| list.raw.contains("a__echo"));
    let began = Instant::now();
    let answer = board.tool("a__echo", "{}");
    let took = began.elapsed();
    assert!(answer.raw.contains("isError"), "{fault}: {}", answer.raw);
    assert_eq!(board.tool("a__echo", r#"{"input":"x"}"#).text(), "x", "{fault}");
    assert!(board.resident() < MEMORY, "{fault}: {} MiB", board.resident() >> 20);
    board.close();
    (answer.text(), took)
}

#[test]
fn an_answer_that_is_too_large_is_told_as_one() {
    for fault in ["huge: 200MiB", "bomb: 200MiB"] {
        let (text, _) = flooded(fault, "");
        assert!(text.contains("SB-CALL-005") && text.contains("limits.message"), "{fault}: {text}");
    }
}

#[test]
fn an_event_without_an_end_ends_its_call() {
    let (text, _) = flooded("endless: true", "");
    assert!(text.contains("does not end") && text.contains("SB-CALL-002"), "{text}");
}

#[test]
fn an_answer_that_trickles_is_waited_for_as_long_as_calls_may_take() {
    let (text, took) = flooded("bytes: 1, every: 1s", ", timeouts: { call: 2s }");
    assert!(text.contains("timeouts.call") && took < Duration::from_secs(8), "{took:?}: {text}");
}

#[test]
fn an_answer_that_is_no_answer_is_told() {
    for (fault, part) in [
        ("status: 200, body: <html>hello</html>, headers: { Content-Type: text/html }", "text/html"),
        ("id: 77", "another request"),
        ("status: 202", "sent no answer"),
    ] {
        let (text, _) = flooded(fault, "");
        assert!(text.contains(part), "{fault}: {text}");
    }
}
