//! Every feature of MCP between a legacy client and a legacy server: logs, progress, cancellation, pings, questions of
//! servers, subscriptions, completion, and payloads that must cross unchanged.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "support/board.rs"]
mod board;

use std::time::{Duration, Instant};

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

// === logs ===

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

// === progress ===

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

// === timeouts and cancellation ===

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

// === pings and what servers ask ===

#[test]
fn pings_are_answered_by_whoever_is_next_to_the_pinger() {
    let mut board = serve("a", "b20-server-requests");
    assert_eq!(board.tool("a__ping", "{}").text(), "{}");
    board.wait_received("a", |line| line.contains(r#""result":{}"#));
    assert_eq!(board.call("ping", "{}").result.as_deref(), Some("{}"));
    assert_eq!(has(&board.received("a"), r#""method":"ping""#), 0);
    assert!(board.settled().is_empty(), "no ping crosses");
    board.close();
}

#[test]
fn questions_that_the_client_does_not_take_are_refused_to_the_server() {
    let mut board = serve("a", "b20-server-requests");
    for (tool, part) in [("roots", "roots"), ("sample", "sampling"), ("unknown", "vendor/question")] {
        let said = board.tool(&format!("a__{tool}"), "{}").text();
        assert!(said.contains("-32601") && said.contains(part), "{said}");
    }
    assert!(board.tool("a__elicit", "{}").result.is_some());
    assert!(board.settled().is_empty(), "nothing reached the client");
    let hello = board.received("a").remove(0);
    assert!(hello.contains(r#""capabilities":{},"#), "{hello}");
    board.close();
}

#[test]
fn servers_learn_the_abilities_of_the_client_that_are_relayed() {
    let capabilities = r#"{"roots":{"listChanged":true},"sampling":{"tools":{},"vendor":1.0},"elicitation":{"form":{},"url":{}},"experimental":{"x":{}},"tasks":{}}"#;
    let mut board = serve_script_to(capabilities, "tools: [echo]");
    board.call("tools/list", "");
    let hello = board.received("a").remove(0);
    let told = r#""capabilities":{"roots":{"listChanged":true},"sampling":{"tools":{},"vendor":1.0},"elicitation":{"form":{},"url":{}}},"#;
    assert!(hello.contains(told), "{hello}");
    board.close();
}

#[test]
fn roots_are_asked_of_the_client_and_their_changes_told_to_every_server() {
    let mut board =
        Setup::new().server("a", "b20-server-requests").server("b", "b20-server-requests").start();
    board.initialize_with("2025-11-25", r#"{"roots":{"listChanged":true}}"#);
    let id = board.ask("tools/call", r#"{"name":"b__roots"}"#);
    let question = board.asked("roots/list");
    board.reply(&question, r#"{"roots":[{"uri":"file:///x","name":"X","n":1.10}],"_meta":{"k":[]}}"#);
    let answer = board.answer(&id);
    assert!(answer.text().contains("file:///x"), "{}", answer.raw);
    board.wait_received("b", |line| {
        line.contains(r#""result":{"roots":[{"uri":"file:///x","name":"X","n":1.10}],"_meta":{"k":[]}}"#)
    });
    board.call("tools/list", "");
    board.notify("notifications/roots/list_changed", r#"{"_meta":{"n":1.10}}"#);
    for server in ["a", "b"] {
        board.wait_received(server, |line| {
            line.contains(r#""notifications/roots/list_changed","params":{"_meta":{"n":1.10}}"#)
        });
    }
    board.close();
}

#[test]
fn a_server_may_ask_without_being_called() {
    let script = "on: { initialized: { ask: { method: roots/list, save: roots }, log: \"{{roots.roots.0.uri}}\" } }\ntools: [t]";
    let mut board = serve_script_to(r#"{"roots":{}}"#, script);
    let question = board.asked("roots/list");
    board.reply(&question, r#"{"roots":[{"uri":"file:///here"}]}"#);
    assert_eq!(board.notification("notifications/message").params()["data"], "file:///here");
    board.close();
}

#[test]
fn no_question_comes_before_the_client_is_ready() {
    let script = "on: { initialized: { ask: { method: roots/list } } }\ntools: [t]";
    let mut board = Setup::new().script("a", script).start();
    let params = r#"{"protocolVersion":"2025-06-18","capabilities":{"roots":{}},"clientInfo":{"name":"c","version":"1"}}"#;
    board.call("initialize", params);
    // Its lists are asked for after that, so by then its question has come to us.
    board.wait_received("a", |line| line.contains("tools/list"));
    board.call("ping", "");
    let asked = |message: &Message| message.method.as_deref() == Some("roots/list");
    assert!(!board.settled().iter().any(|message| asked(message)));
    board.notify("notifications/initialized", "");
    let question = board.asked("roots/list");
    board.reply(&question, r#"{"roots":[]}"#);
    board.close();
}

#[test]
fn sampling_crosses_both_ways_unchanged() {
    let script = r#"
tools:
  sample:
    ask: { method: sampling/createMessage, params: { messages: [ { role: user, content: { type: text, text: "Hi\u0041" } } ], maxTokens: 10, temperature: 0.10, vendor: 12345678901234567890123 }, save: said }
    answer: "{{said.model}}"
"#;
    let mut board = serve_script_to(r#"{"sampling":{}}"#, script);
    let id = board.ask("tools/call", r#"{"name":"a__sample"}"#);
    let question = board.asked("sampling/createMessage");
    assert_eq!(
        question.params.as_deref(),
        Some(
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"HiA"}}],"maxTokens":10,"temperature":0.10,"vendor":12345678901234567890123}"#
        )
    );
    let said =
        r#"{"role":"assistant", "content":{"type":"text","text":"\u00e9"},"model":"m","n":1e400,"n":2}"#;
    board.reply(&question, said);
    assert_eq!(board.answer(&id).text(), "m");
    board.wait_received("a", |line| line.ends_with(&format!(r#""result":{said}}}"#)));
    board.close();
}

#[test]
fn an_error_of_the_client_reaches_the_server_that_asked() {
    let mut board = Setup::new().server("a", "b20-server-requests").start();
    board.initialize_with("2025-11-25", r#"{"sampling":{}}"#);
    let id = board.ask("tools/call", r#"{"name":"a__sample"}"#);
    let question = board.asked("sampling/createMessage");
    let number = question.id.unwrap();
    board.send(&format!(
        r#"{{"jsonrpc":"2.0","id":{number},"error":{{"code":-1,"message":"User said no","data":[1.10]}}}}"#
    ));
    assert!(board.answer(&id).text().contains("User said no"));
    board.wait_received("a", |line| {
        line.contains(r#""error":{"code":-1,"message":"User said no","data":[1.10]}"#)
    });
    // A second answer to the same question is nobody's.
    board.send(&format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{}}}}"#));
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn elicitation_names_the_server_that_asks() {
    let mut board = Setup::new().server("my server", "b20-server-requests").start();
    board.initialize_with("2025-06-18", r#"{"elicitation":{}}"#);
    let id = board.ask("tools/call", r#"{"name":"my-server__elicit"}"#);
    let question = board.asked("elicitation/create");
    assert_eq!(question.params()["message"], "[my server] Your name?");
    assert_eq!(question.params()["requestedSchema"]["required"], json!(["name"]));
    board.reply(&question, r#"{"action":"accept","content":{"name":"Ada"}}"#);
    assert_eq!(board.answer(&id).text(), "accept Ada");
    board.close();
}

const URLS: &str = r#"
tools:
  visit:
    ask: { method: elicitation/create, params: { mode: url, elicitationId: e1, url: "{{url}}", message: Log in }, save: reply }
    notify: { method: notifications/elicitation/complete, params: { elicitationId: e1, n: 1.10 } }
    answer: "{{reply}}"
  form:
    ask: { method: elicitation/create, params: { mode: form, message: Name, requestedSchema: { type: object, properties: {} } }, save: reply }
    answer: "{{reply}}"
"#;

#[test]
fn elicitation_by_url_is_relayed_for_web_addresses_only() {
    let mut board = serve_script_to(r#"{"elicitation":{"form":{},"url":{}}}"#, URLS);
    let visit = |url: &str| format!(r#"{{"name":"a__visit","arguments":{{"url":"{url}"}}}}"#);
    for url in ["https://login.example/x?y=1", "http://localhost:1/cb", "HTTPS://UPPER.example/"] {
        let id = board.ask("tools/call", &visit(url));
        let question = board.asked("elicitation/create");
        assert_eq!(
            question.params(),
            json!({"mode": "url", "elicitationId": "e1", "url": url, "message": "[a] Log in"})
        );
        board.reply(&question, r#"{"action":"decline"}"#);
        assert!(board.answer(&id).text().contains("decline"));
        let done = board.notification("notifications/elicitation/complete");
        assert_eq!(done.params.as_deref(), Some(r#"{"elicitationId":"e1","n":1.10}"#));
    }
    for url in [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "",
        "//x",
        " https://x",
        "vscode://x",
    ] {
        let said = board.call("tools/call", &visit(url)).text();
        assert!(said.contains("-32602"), "{url}: {said}");
    }
    assert!(unread(&board.settled(), "elicitation/create").is_empty());
    board.close();
}

#[test]
fn only_the_kinds_of_elicitation_that_the_client_declared_reach_it() {
    let cases = [
        (r#"{"elicitation":{}}"#, "a__visit", "a__form"),
        (r#"{"elicitation":{"url":{}}}"#, "a__form", "a__visit"),
    ];
    for (capabilities, refused, taken) in cases {
        let mut board = serve_script_to(capabilities, URLS);
        let params = |tool: &str| format!(r#"{{"name":"{tool}","arguments":{{"url":"https://x"}}}}"#);
        let said = board.call("tools/call", &params(refused)).text();
        assert!(said.contains("-32602"), "{capabilities}: {said}");
        let id = board.ask("tools/call", &params(taken));
        let question = board.asked("elicitation/create");
        board.reply(&question, r#"{"action":"cancel"}"#);
        assert!(board.answer(&id).text().contains("cancel"));
        board.close();
    }
}

#[test]
fn questions_of_two_servers_with_the_same_id_do_not_mix() {
    let mut board =
        Setup::new().server("a", "b20-server-requests").server("b", "b20-server-requests").start();
    board.initialize_with("2025-11-25", r#"{"elicitation":{}}"#);
    let a = board.ask("tools/call", r#"{"name":"a__elicit"}"#);
    let b = board.ask("tools/call", r#"{"name":"b__elicit"}"#);
    let mut questions = [board.asked("elicitation/create"), board.asked("elicitation/create")];
    questions.sort_by_key(|question| question.params()["message"].as_str().unwrap().to_owned());
    assert_ne!(questions[0].id, questions[1].id);
    // Answered the other way round.
    board.reply(&questions[1], r#"{"action":"accept","content":{"name":"of b"}}"#);
    board.reply(&questions[0], r#"{"action":"accept","content":{"name":"of a"}}"#);
    assert_eq!(board.answer(&a).text(), "accept of a");
    assert_eq!(board.answer(&b).text(), "accept of b");
    board.close();
}

#[test]
fn a_server_gets_its_own_id_back_in_its_own_spelling() {
    let ids = ["\"q\"", "1.0", "\"\\u0041/\"", "12345678901234567890123", "\"\"", "0"];
    let questions: String = ids
        .iter()
        .map(|id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"roots/list\"}}\n"))
        .collect();
    let script =
        format!("tools: {{ ask: {{ steps: [ {{ raw: {} }}, {{ answer: done }} ] }} }}", json!(questions));
    let mut board = serve_script_to(r#"{"roots":{}}"#, &script);
    board.tool("a__ask", "{}");
    let questions: Vec<Message> = ids.iter().map(|_| board.asked("roots/list")).collect();
    // Answered in reverse, each with its place.
    for (place, question) in questions.iter().enumerate().rev() {
        board.reply(question, &format!(r#"{{"roots":[],"place":{place}}}"#));
    }
    for (place, id) in ids.iter().enumerate() {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"roots":[],"place":{place}}}}}"#);
        board.wait_received("a", |line| line == answer);
    }
    board.close();
}

#[test]
fn a_question_with_an_id_that_is_open_is_refused_and_the_first_stays() {
    let question = "{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"roots/list\"}\n".repeat(2);
    let script =
        format!("tools: {{ ask: {{ steps: [ {{ raw: {} }}, {{ answer: done }} ] }} }}", json!(question));
    let mut board = serve_script_to(r#"{"roots":{}}"#, &script);
    board.tool("a__ask", "{}");
    let question = board.asked("roots/list");
    board.wait_received("a", |line| line.contains(r#""id":"q","error":{"code":-32600"#));
    board.reply(&question, r#"{"roots":[]}"#);
    board.wait_received("a", |line| line.contains(r#""id":"q","result":{"roots":[]}"#));
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn a_server_can_withdraw_its_question() {
    let script = r#"
tools:
  unsure:
    steps:
      - ask: { method: elicitation/create, params: { message: Well?, requestedSchema: { type: object, properties: {} } }, wait: false }
      - notify: { method: notifications/cancelled, params: { requestId: 1, reason: never mind } }
      - answer: done
"#;
    let mut board = serve_script_to(r#"{"elicitation":{}}"#, script);
    assert_eq!(board.tool("a__unsure", "{}").text(), "done");
    let question = board.asked("elicitation/create");
    let withdrawn = board.notification("notifications/cancelled").params();
    assert_eq!(withdrawn["requestId"].to_string(), question.id.clone().unwrap());
    assert_eq!(withdrawn["reason"], "never mind");
    // An answer all the same goes nowhere.
    board.reply(&question, r#"{"action":"accept","content":{}}"#);
    board.settled();
    assert_eq!(has(&board.received("a"), r#""action""#), 0);
    board.close();
}

#[test]
fn the_question_of_a_server_that_died_is_withdrawn() {
    let script = r#"
tools:
  die:
    steps:
      - ask: { method: elicitation/create, params: { message: Well?, requestedSchema: { type: object, properties: {} } }, wait: false }
      - exit: 1
"#;
    let mut board = serve_script_to(r#"{"elicitation":{}}"#, script);
    let id = board.ask("tools/call", r#"{"name":"a__die"}"#);
    let question = board.asked("elicitation/create");
    let withdrawn = board.notification("notifications/cancelled").params();
    assert_eq!(withdrawn["requestId"].to_string(), question.id.unwrap());
    assert!(board.answer(&id).text().contains("SB-CALL-002"));
    board.close();
}

#[test]
fn progress_of_the_client_on_a_question_reaches_the_server_under_its_token() {
    let script = r#"
tools:
  sample:
    ask: { method: sampling/createMessage, params: { _meta: { progressToken: theirs, x: 1 }, messages: [], maxTokens: 1 }, save: said }
    answer: "{{said.model}}"
"#;
    let mut board = serve_script_to(r#"{"sampling":{}}"#, script);
    let id = board.ask("tools/call", r#"{"name":"a__sample"}"#);
    let question = board.asked("sampling/createMessage");
    let token = question.params()["_meta"]["progressToken"].clone();
    board.notify(
        "notifications/progress",
        &format!(r#"{{"progress":0.50,"progressToken":{token},"vendor":[]}}"#),
    );
    board.wait_received("a", |line| {
        line.contains(
            r#""notifications/progress","params":{"progress":0.50,"progressToken":"theirs","vendor":[]}"#,
        )
    });
    board.reply(&question, r#"{"model":"m"}"#);
    board.answer(&id);
    board.close();
}

#[test]
fn nothing_that_a_server_says_is_longer_than_clients_read() {
    let script = r#"
tools:
  log: { notify: { method: notifications/message, params: { level: error, data: "{{fill 9MiB}}" } }, answer: logged }
  progress: { notify: { method: notifications/progress, params: { progressToken: "{{json mock.token}}", progress: 1, message: "{{fill 9MiB}}" } }, answer: progressed }
  ask: { ask: { method: sampling/createMessage, params: { messages: [], maxTokens: 1, systemPrompt: "{{fill 9MiB}}" }, save: said }, answer: "{{said}}" }
  done: { notify: { method: notifications/elicitation/complete, params: { elicitationId: "{{fill 9MiB}}" } }, answer: completed }
  fail: { error: { code: -1, message: "{{fill 9MiB}}" } }
  large: { size: 9MiB }
"#;
    let mut board = serve_script_to(r#"{"sampling":{}}"#, script);
    // The client of the tests refuses longer lines.
    for (tool, said) in [
        ("log", "logged"),
        ("progress", "progressed"),
        ("done", "completed"),
        ("ask", "error"),
        ("fail", "8 MiB"),
        ("large", "8 MiB"),
    ] {
        let answer =
            board.call("tools/call", &format!(r#"{{"name":"a__{tool}","_meta":{{"progressToken":1}}}}"#));
        assert!(answer.text().contains(said), "{}", answer.raw);
    }
    board.close();
}

// === resources, prompts, completion ===

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

// === payloads ===

/// Values that parsers like to change.
const STRANGE: &str = r#"{ "big":12345678901234567890123,"money" : 1.10, "huge":1e400,"e":1E+2,"tiny":-0.0,"a":1,"a":2,"null":null,"lone":"\ud800","escaped":"\u0041\/","ünï":"🦀","":[ ],"nested":[[{"x":{}}]] }"#;

#[test]
fn the_parameters_of_a_call_reach_the_server_byte_for_byte() {
    let mut board = serve_script(
        "tools: { echo: { answer: ok } }\nprompts: { p: { answer: ok } }\nresources: { \"x:1\": { text: t } }",
    );
    board.call("tools/list", "");
    let cases = [
        (
            "tools/call",
            format!(
                r#"{{"vendor":{STRANGE}, "name":"a__echo","arguments":{STRANGE},"_meta":{{"x/y":{STRANGE}}}}}"#
            ),
            format!(
                r#"{{"vendor":{STRANGE}, "name":"echo","arguments":{STRANGE},"_meta":{{"progressToken":ID,"x/y":{STRANGE}}}}}"#
            ),
        ),
        (
            "tools/call",
            format!(
                r#"{{ "_meta":{{"progressToken":"t" , "n":1.10}},"name" : "a__ech\u006f" ,"arguments":{STRANGE}}}"#
            ),
            format!(
                r#"{{ "_meta":{{"progressToken":ID , "n":1.10}},"name" : "echo" ,"arguments":{STRANGE}}}"#
            ),
        ),
        (
            "tools/call",
            r#"{"name":"a__echo"}"#.to_owned(),
            r#"{"name":"echo","_meta":{"progressToken":ID}}"#.to_owned(),
        ),
        (
            "prompts/get",
            format!(r#"{{"name":"a__p","arguments":{STRANGE},"vendor":1.10}}"#),
            format!(r#"{{"name":"p","arguments":{STRANGE},"vendor":1.10}}"#),
        ),
        (
            "resources/read",
            format!(r#"{{"uri":"x:\u0031","_meta":{STRANGE}}}"#),
            format!(r#"{{"uri":"x:\u0031","_meta":{STRANGE}}}"#),
        ),
    ];
    for (method, sent, expected) in cases {
        board.call(method, &sent);
        let lines = board.received("a");
        let line = lines.iter().rev().find(|line| line.contains(method)).unwrap();
        let id = line.split_once(r#""id":"#).and_then(|(_, rest)| rest.split_once(',')).unwrap().0.to_owned();
        let expected = expected.replace("ID", &id);
        assert_eq!(
            *line,
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{expected}}}"#)
        );
    }
    board.close();
}

#[test]
fn large_arguments_reach_the_server_whole() {
    let mut board = serve("a", "healthy");
    let input = "x".repeat(12 << 20);
    let answer = board.tool("a__slow", &format!(r#"{{"input":"{input}"}}"#));
    assert_eq!(answer.text(), "slow");
    let lines = board.received("a");
    let line = lines.iter().find(|line| line.contains("tools/call")).unwrap();
    assert!(line.contains(&input));
    board.close();
}

#[test]
fn results_and_errors_reach_the_client_byte_for_byte() {
    let cases = [
        (
            "result",
            format!(r#"{{"content":[],"structuredContent":{STRANGE},"_meta":{STRANGE}, "isError" : false}}"#),
        ),
        ("result", STRANGE.to_owned()),
        ("result", "{}".to_owned()),
        ("error", format!(r#"{{"code":-32042,"message":"\ud800 \u0041","data":{STRANGE},"vendor":1.10}}"#)),
        ("error", r#"{"data":null,"message":"","code":7}"#.to_owned()),
    ];
    let tool = |(number, (member, payload)): (usize, &(&str, String))| {
        let line = format!(
            "{{\"jsonrpc\":\"2.0\", \"{member}\" : {payload} ,\"id\":{{{{json mock.id}}}},\"vendor\":{{}}}}\n"
        );
        format!("  t{number}: {{ raw: {} }}\n", json!(line))
    };
    let tools: String = cases.iter().enumerate().map(tool).collect();
    let mut board = serve_script(&format!("tools:\n{tools}"));
    for (number, (member, payload)) in cases.iter().enumerate() {
        let answer = board.tool(&format!("a__t{number}"), "{}");
        let found = if *member == "result" { answer.result } else { answer.error };
        assert_eq!(found.as_ref(), Some(payload));
    }
    board.close();
}

#[test]
fn strange_results_of_servers_cross_unchanged() {
    let mut board = Setup::new()
        .server("a", "b10-strange-results")
        .server("b", "b10-numbers")
        .server("c", "b07-deep-results")
        .start();
    board.initialize("2025-11-25");
    let mut result = |tool: &str| board.tool(tool, "{}").result.unwrap();
    assert_eq!(result("a__duplicate_keys"), r#"{"content":[],"a":1,"a":2}"#);
    assert_eq!(result("a__unknown_content"), r#"{"content":[{"type":"hologram","data":"x"}]}"#);
    assert_eq!(result("a__content_is_text"), r#"{"content":"just a text"}"#);
    assert_eq!(
        result("a__extra_members"),
        r#"{"content":[],"vendor":{"x":null},"_meta":{"example.com/trace":7}}"#
    );
    assert_eq!(result("a__escapes"), r#"{ "content" : [{"type":"text","text":"\u0041\/"}] }"#);
    assert_eq!(
        result("b__numbers"),
        r#"{"content":[],"structuredContent":{"big":12345678901234567890123,"money":1.10,"huge":1e400,"tiny":-0.0,"exponent":1E+2}}"#
    );
    assert!(result("c__deep200").contains(&"[".repeat(200)));
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
