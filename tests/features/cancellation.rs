//! Calls that run out of time, and calls that their client gives up.

use std::time::{Duration, Instant};

use super::{has, id_of, serve, serve_script};
use crate::board::Setup;

#[test]
fn a_call_without_an_answer_is_ended_and_cancelled_at_the_server_which_lives_on() {
    let mut board = Setup::new()
        .server("a", "e01-never-answers")
        .keys("timeouts: { call: 500ms }")
        .server("b", "healthy")
        .start();
    board.initialize("2025-11-25");
    board.call("tools/list", "");
    let began = Instant::now();
    let id = board.ask("tools/call", r#"{"name":"a__silent"}"#);
    assert_eq!(board.tool("b__echo", r#"{"input":"b is well"}"#).text(), "b is well");
    let answer = board.answer(&id);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(450) && took < Duration::from_secs(2), "{took:?}");
    assert!(answer.result()["isError"] == true && answer.text().contains("SB-CALL-001"), "{}", answer.raw);
    let sent = board.wait_received("a", |line| line.contains("tools/call"));
    let expected = format!(r#""notifications/cancelled","params":{{"requestId":{}"#, id_of(&sent));
    board.wait_received("a", |line| line.contains(&expected));
    assert_eq!(board.tool("a__echo", r#"{"input":"alive"}"#).text(), "alive");
    assert_eq!(has(&board.received("a"), r#""initialize""#), 1, "it was not restarted");
    board.close();
}

#[test]
fn a_cancellation_reaches_the_right_server_with_its_own_id_and_nothing_is_answered() {
    let mut board = Setup::new().server("a", "e06-cancel").server("b", "e06-cancel").start();
    board.initialize("2025-11-25");
    board.request("\"mine\"", "tools/call", r#"{"name":"b__polite"}"#);
    board.request("\"other\"", "tools/call", r#"{"name":"a__polite"}"#);
    let sent = board.wait_received("b", |line| line.contains("\"polite\""));
    board.wait_received("a", |line| line.contains("\"polite\""));
    let began = Instant::now();
    board.cancel("\"mine\"");
    let told = board.wait_received("b", |line| line.contains("notifications/cancelled"));
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(told.contains(&format!(r#"{{"requestId":{},"reason":"enough"}}"#, id_of(&sent))), "{told}");
    assert_eq!(board.tool("b__echo", r#"{"input":"x"}"#).text(), "x");
    assert!(board.settled().is_empty());
    assert_eq!(has(&board.received("a"), "notifications/cancelled"), 0);
    board.cancel("\"other\"");
    board.wait_received("a", |line| line.contains("notifications/cancelled"));
    board.close();
}

#[test]
fn an_answer_after_a_cancellation_is_dropped() {
    let mut board = serve("a", "e07-answers-after-cancel");
    board.call("tools/list", "");
    for tool in ["at_once", "later"] {
        let id = board.ask("tools/call", &format!(r#"{{"name":"a__{tool}"}}"#));
        board.wait_received("a", |line| line.contains(tool));
        board.cancel(&id);
    }
    let late = board.within(Duration::from_millis(500), |message| message.raw.contains("too late"));
    assert!(late.is_none(), "{late:?}");
    board.close();
}

#[test]
fn an_id_that_is_used_again_after_a_cancellation_gets_its_own_answer() {
    let mut board = serve("a", "e07-answers-after-cancel");
    board.call("tools/list", "");
    board.send(r#"{"jsonrpc":"2.0","id":"again","method":"tools/call","params":{"name":"a__later"}}"#);
    board.wait_received("a", |line| line.contains("later"));
    board.cancel("\"again\"");
    board.send(r#"{"jsonrpc":"2.0","id":"again","method":"tools/call","params":{"name":"a__echo","arguments":{"input":"second"}}}"#);
    assert_eq!(board.answer("\"again\"").text(), "second");
    assert!(board.within(Duration::from_millis(500), |message| message.raw.contains("too late")).is_none());
    board.close();
}

#[test]
fn a_cancellation_that_meets_the_answer_gives_one_answer_or_none() {
    let mut board =
        serve_script("tools: { echo: { answer: \"{{input}}\" }, soon: { delay: 1ms, answer: soon } }");
    board.call("tools/list", "");
    let mut seed = 0x9e37_79b9_u64;
    for turn in 0..400 {
        // A small generator of our own, so that a failure can be repeated.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let tool = if turn % 2 == 0 { "a__echo" } else { "a__soon" };
        let id = board.ask("tools/call", &format!(r#"{{"name":"{tool}","arguments":{{"input":"x"}}}}"#));
        for _ in 0..(seed >> 33) % 3000 {
            std::hint::spin_loop();
        }
        if seed >> 60 & 1 == 1 {
            board.within(Duration::from_micros((seed >> 40) % 1500), |_| false);
        }
        board.cancel(&id);
    }
    assert_eq!(board.tool("a__echo", r#"{"input":"end"}"#).text(), "end");
    assert!(board.tool("switchboard__status", r#"{"server":"a"}"#).text().contains("401 calls"));
    // That nobody got two answers is checked for every test.
    board.close();
}

#[test]
fn a_call_that_is_cancelled_before_its_server_runs_never_reaches_it() {
    let setup = Setup::new().server("a", "d08-slow-start");
    let mut first = setup.launch();
    first.initialize("2025-11-25");
    first.call("tools/list", "");
    first.close();
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    let id = board.ask("tools/call", r#"{"name":"a__echo","arguments":{"input":"cancelled"}}"#);
    let kept = board.ask("tools/call", r#"{"name":"a__echo","arguments":{"input":"kept"}}"#);
    board.cancel(&id);
    assert_eq!(board.answer(&kept).text(), "kept");
    let lines = board.received("a");
    assert_eq!((has(&lines, "cancelled"), has(&lines, "kept")), (0, 1), "{lines:#?}");
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn a_request_that_waits_for_a_first_list_can_be_cancelled() {
    let mut board = Setup::new().server("a", "d01-hangs-at-start").start();
    board.initialize_in_a_hurry();
    let list = board.ask("tools/list", "");
    let call = board.ask("tools/call", r#"{"name":"a__echo"}"#);
    board.cancel(&list);
    board.cancel(&call);
    let answer = board.within(Duration::from_millis(1300), |message| message.id.is_some());
    assert!(answer.is_none(), "{answer:?}");
    board.close();
}
