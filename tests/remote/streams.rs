//! Streams that break: what belongs to a call comes through once, whatever happens; what is told outside of calls comes
//! as soon as the stream for it is open again.

use crate::board::Message;
use crate::mock::Mock;
use crate::{serve, serve_with};

const SLOW: &str = "tools: { slow: { steps: [ { progress: 1 }, { sleep: 30ms }, { progress: 2 }, { sleep: 30ms }, \
                    { progress: 3 }, { answer: 'call {{mock.call}}' } ] } }\n";

/// Calls `slow` at a server whose answer to it breaks like this; gives the answer and the progress before it.
fn broken(fault: &str) -> (Message, Vec<String>, Mock) {
    let faults = format!("[ {{ on: tools/call, calls: 1, {fault} }} ]");
    let mock = Mock::http(&format!("{SLOW}\nhttp:\n  retry: 100ms\n  faults: {faults}\n"));
    let mut board = serve(&mock);
    let answer =
        board.call("tools/call", r#"{"name":"a__slow","arguments":{},"_meta":{"progressToken":"t"}}"#);
    let unread = board.close();
    let progress =
        unread.iter().filter(|message| message.method.as_deref() == Some("notifications/progress"));
    let progress = progress.map(|message| message.params()["progress"].to_string()).collect();
    (answer, progress, mock)
}

#[test]
fn a_stream_that_breaks_in_the_middle_of_a_call_is_read_on_where_it_broke() {
    for fault in [
        "drop: head",
        "close: head",
        "drop: before",
        "close: before",
        "drop: middle",
        "close: middle",
        "drop: after",
    ] {
        let (answer, progress, mock) = broken(fault);
        assert_eq!(answer.text(), "call 1", "{fault}: {}", answer.raw);
        assert_eq!(progress, ["1", "2", "3"], "{fault}");
        assert_eq!(mock.messages("tools/call").len(), 1, "{fault}: it was sent once");
        let resumed =
            mock.requests().into_iter().filter(|seen| !seen.header("last-event-id").is_empty()).count();
        assert_eq!(resumed, usize::from(fault != "drop: after"), "{fault}");
    }
}

#[test]
fn what_cannot_be_read_on_is_of_unknown_outcome_and_not_sent_again() {
    for fault in ["drop: unread", "drop: unanswered", "drop: middle, ids: false", "close: before, ids: false"]
    {
        let (answer, _, mock) = broken(fault);
        assert!(answer.raw.contains(r#""outcome":"unknown""#), "{fault}: {}", answer.raw);
        assert_eq!(mock.messages("tools/call").len(), 1, "{fault}");
    }
}

const TELLING: &str = "tools: { tell: { steps: [ { updated: 'n://1' }, { answer: told } ] } }\n\
                       resources: { 'n://1': { name: n, text: x } }\n";

/// The stream for what belongs to no call, after the server has answered requests for it like this.
fn told_after(faults: &str, opened: usize) {
    let mock = Mock::http(&format!("{TELLING}\nhttp:\n  retry: 100ms\n  faults: {faults}\n"));
    let mut board = serve(&mock);
    assert_eq!(board.call("resources/subscribe", r#"{"uri":"n://1"}"#).result.as_deref(), Some("{}"));
    mock.wait_for("streams", |seen| seen.iter().filter(|seen| seen.method == "GET").count() >= opened);
    // What is said before the stream is open is kept by nobody, so it is said until it comes.
    let end = std::time::Instant::now() + crate::board::DEADLINE;
    loop {
        board.tool("a__tell", "{}");
        let heard = board.within(std::time::Duration::from_millis(100), |message| {
            message.method.as_deref() == Some("notifications/resources/updated")
        });
        if let Some(heard) = heard {
            assert_eq!(heard.params()["uri"], "n://1");
            break;
        }
        assert!(std::time::Instant::now() < end, "never told");
    }
    board.close();
}

#[test]
fn the_stream_outside_of_calls_is_opened_again() {
    told_after("[ { on: GET, calls: 1, drop: head } ]", 2);
    told_after("[ { on: GET, calls: [1, 2], close: head } ]", 3);
    told_after("[ { on: GET, calls: 1, status: 503, headers: { Retry-After: 1 } } ]", 2);
}

#[test]
fn a_server_without_that_stream_is_served_without_it() {
    let mock = Mock::http("tools: { echo: '{{input}}' }\n\nhttp:\n  get: false\n  delete: false\n");
    let mut board = serve(&mock);
    assert_eq!(board.tool("a__echo", r#"{"input":"x"}"#).text(), "x");
    board.close();
    let methods = mock.requests().into_iter().map(|seen| seen.method).collect::<Vec<_>>();
    assert_eq!(methods.iter().filter(|method| *method == "GET").count(), 1, "it is asked once: {methods:?}");
    assert_eq!(methods.last().map(String::as_str), Some("DELETE"), "{methods:?}");
}

#[test]
fn a_legacy_server_is_told_of_a_cancellation_and_a_modern_one_sees_the_stream_close() {
    for (revision, told) in [("2025-11-25", 1), ("2026-07-28", 0)] {
        let mock = Mock::http(&format!(
            "revisions: [{revision}]\ntools: {{ wait: {{ progress: 1, wait_cancel: 10s, answer: ok }}, \
             was: {{ answer: '{{{{mock.call}}}}' }} }}\n"
        ));
        let mut board = serve_with(&mock, "");
        board.until("tools/list", "", |list| list.raw.contains("a__wait"));
        let id = board.ask("tools/call", r#"{"name":"a__wait","arguments":{},"_meta":{"progressToken":1}}"#);
        board.notification("notifications/progress");
        board.cancel(&id);
        assert_eq!(board.tool("a__was", "{}").text(), "1");
        if told > 0 {
            mock.wait_for("the cancellation", |seen| {
                seen.iter().any(|seen| seen.calls("notifications/cancelled"))
            });
        }
        board.close();
        let cancellations = mock.messages("notifications/cancelled");
        assert_eq!(cancellations.len(), told, "{revision}");
        let call =
            mock.messages("tools/call").into_iter().find(|seen| seen.message["params"]["name"] == "wait");
        if let Some(cancellation) = cancellations.first() {
            assert_eq!(cancellation.message["params"]["requestId"], call.unwrap().message["id"]);
        }
    }
}
