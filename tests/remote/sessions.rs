//! Servers that forget us, fall, come back.

use std::time::{Duration, Instant};

use crate::mock::{Mock, Seen};
use crate::{serve, setup};

const COUNTING: &str = "tools: { count: 'call {{mock.call}} in session {{mock.session}}', other: 'x' }\n";

fn sessions(requests: &[Seen]) -> usize {
    requests.iter().filter(|seen| seen.calls("initialize")).count()
}

#[test]
fn a_forgotten_session_is_opened_anew_and_the_call_is_sent_once_more() {
    let mock = Mock::http(&format!("{COUNTING}\nhttp:\n  forget_after: 6\n"));
    let mut board = serve(&mock);
    board.until("tools/list", "", |list| list.raw.contains("a__count"));
    // The number of the call tells that each has run once.
    for number in 1..=12 {
        let answer = board.tool("a__count", "{}");
        assert!(answer.text().starts_with(&format!("call {number} ")), "{}", answer.raw);
    }
    board.close();
    assert!(sessions(&mock.requests()) >= 3);
    assert_eq!(
        mock.messages("tools/call").len(),
        12 + sessions(&mock.requests()) - 1,
        "each refusal costs one"
    );
}

#[test]
fn many_calls_meet_a_forgotten_session_and_each_runs_once() {
    let faults = "[ { on: tools/call, calls: [3, 4, 5, 6], status: 404 } ]";
    let mock = Mock::http(&format!("{COUNTING}\nhttp:\n  faults: {faults}\n"));
    let mut board = serve(&mock);
    board.until("tools/list", "", |list| list.raw.contains("a__count"));
    let ids: Vec<String> =
        (0..6).map(|_| board.ask("tools/call", r#"{"name":"a__count","arguments":{}}"#)).collect();
    let mut numbers: Vec<u32> = ids
        .iter()
        .map(|id| {
            let text = board.answer(id).text();
            text.split(' ').nth(1).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"))
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=6).collect::<Vec<_>>());
    board.close();
    assert_eq!((sessions(&mock.requests()), mock.messages("tools/call").len()), (2, 10));
}

#[test]
fn a_server_that_was_restarted_between_calls_is_greeted_again() {
    let mut mock = Mock::http(COUNTING);
    let mut board = serve(&mock);
    assert_eq!(board.tool("a__count", "{}").text(), "call 1 in session 1");
    mock.start_again(None);
    // It counts from the beginning: the call has run once.
    assert_eq!(board.tool("a__count", "{}").text(), "call 1 in session 1");
    board.close();
    assert_eq!(sessions(&mock.requests()), 2);
}

#[test]
fn a_server_that_is_gone_refuses_calls_and_serves_them_when_it_is_back() {
    let mut mock = Mock::http(COUNTING);
    let mut board = serve(&mock);
    assert_eq!(board.tool("a__count", "{}").text(), "call 1 in session 1");
    mock.stop();
    let refused = board.tool("a__count", "{}");
    assert!(refused.raw.contains("SB-NET-002") && refused.text().contains("did not run"), "{}", refused.raw);
    assert!(board.call("tools/list", "").raw.contains("a__count"), "what is known is still listed");
    mock.start_again(None);
    let answer = board.until("tools/call", r#"{"name":"a__count","arguments":{}}"#, |answer| {
        !answer.raw.contains("isError")
    });
    assert_eq!(answer.text(), "call 1 in session 1");
    board.close();
}

#[test]
fn a_server_that_is_not_there_at_the_start_is_found_when_it_comes() {
    let mut mock = Mock::http(COUNTING);
    mock.stop();
    let mut board = setup(&mock, "").start();
    let began = Instant::now();
    board.initialize_in_a_hurry();
    assert!(!board.call("tools/list", "").raw.contains("a__count"));
    assert!(began.elapsed() < Duration::from_secs(3), "nobody waits for it: {:?}", began.elapsed());
    mock.start_again(None);
    board.until("tools/list", "", |list| list.raw.contains("a__count"));
    assert_eq!(board.tool("a__count", "{}").text(), "call 1 in session 1");
    board.close();
}

/// Also of servers whose sessions stand in a table, and which say 400 where the rules say 404.
#[test]
fn a_session_that_is_refused_in_other_words_is_opened_anew() {
    let refusal = r#"{ jsonrpc: "2.0", id: ~, error: { code: -32000, message: "Bad Request: No valid session ID provided" } }"#;
    let script = format!(
        "{COUNTING}\nhttp:\n  faults: [ {{ on: tools/call, calls: 2, status: 400, body: {refusal} }} ]\n"
    );
    let mock = Mock::http(&script);
    let mut board = serve(&mock);
    assert_eq!(board.tool("a__count", "{}").text(), "call 1 in session 1");
    assert_eq!(board.tool("a__count", "{}").text(), "call 2 in session 2");
    board.close();
}
