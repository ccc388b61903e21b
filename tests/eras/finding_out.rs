//! How the era of a server is found out, and remembered.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{MODERN, SILENCE, is_error, meta, methods, serve};
use crate::board;
use crate::board::Setup;

#[test]
fn a_modern_server_serves_a_legacy_client() {
    let mut board = serve("a", "modern");
    let echo = board.tool("a__echo", r#"{"input":"hi"}"#);
    assert_eq!(
        echo.result(),
        json!({"content": [{"type": "text", "text": "hi"}]}),
        "nothing of the other era"
    );
    let names = board.call("tools/list", "").names();
    assert!(names.contains(&"a__mirror".to_owned()), "{names:?}");
    let received = board.received("a");
    assert_eq!(&methods(&received)[..2], ["initialize", "server/discover"]);
    assert!(!methods(&received).iter().any(|method| method.starts_with("notifications/initialized")));
    for request in received.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()).skip(1) {
        assert_eq!(meta(&request, "protocolVersion"), "2026-07-28", "{request}");
        assert!(meta(&request, "clientCapabilities").is_object(), "{request}");
        assert_eq!(meta(&request, "clientInfo")["name"], "switchboard", "{request}");
    }
    board.close();
}

#[test]
fn a_server_of_both_eras_is_spoken_to_in_the_clients() {
    let mut board = serve("a", "dual");
    board.tool("a__echo", r#"{"input":"hi"}"#);
    let said = methods(&board.received("a"));
    assert!(
        said.contains(&"initialize".to_owned()) && !said.contains(&"server/discover".to_owned()),
        "{said:?}"
    );
    board.close();
}

#[test]
fn an_era_is_remembered_from_one_start_to_the_next() {
    let setup = Setup::new().server("a", "modern");
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    board.tool("a__echo", r#"{"input":"hi"}"#);
    board.close();
    let first = setup.received("a").len();
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    board.tool("a__echo", r#"{"input":"hi"}"#);
    let second = &board.received("a")[first..];
    assert_eq!(methods(second)[0], "server/discover", "nobody has to be refused again");
    board.close();
}

/// Servers of the Rust SDK that speak the newest revision alone do this.
#[test]
fn a_server_that_ends_once_it_has_refused_initialize_is_asked_in_the_other_era_at_its_next_start() {
    let refusal =
        "error: { code: -32022, message: Unsupported protocol version, data: { supported: [ 2026-07-28 ] } }";
    let script = format!("{MODERN}on: {{ initialize: [ {{ {refusal} }}, {{ exit: 0 }} ] }}\ntools: [echo]");
    let mut board = Setup::new().script("a", &script).start();
    board.initialize("2025-11-25");
    assert!(!is_error(&board.tool("a__echo", r#"{"input":"hi"}"#)));
    let received = methods(&board.received("a"));
    assert_eq!(received.iter().filter(|method| *method == "initialize").count(), 1, "{received:?}");
    board.close();
}

#[test]
fn an_era_that_is_no_longer_true_is_found_out_again() {
    let setup = Setup::new().script("a", &format!("{MODERN}tools: [echo]"));
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    board.tool("a__echo", r#"{"input":"hi"}"#);
    board.close();
    let first = setup.received("a").len();
    setup.rewrite("a", "tools: [echo]");
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    assert!(!is_error(&board.tool("a__echo", r#"{"input":"hi"}"#)));
    assert_eq!(&methods(&board.received("a")[first..])[..2], ["server/discover", "initialize"]);
    board.close();
}

#[test]
fn a_revision_in_the_config_is_spoken_without_a_question() {
    for (choice, first) in
        [("2026-07-28", "server/discover"), ("2025-06-18", "initialize"), ("legacy", "initialize")]
    {
        let mut board = Setup::new().server("a", "dual").keys(&format!("protocol: {choice}")).start();
        board.initialize("2025-11-25");
        let seen = board.tool("a__whoami", "{}").result();
        let expected = if choice == "legacy" { "2025-11-25" } else { choice };
        assert_eq!(seen["structuredContent"]["revision"], expected);
        assert_eq!(methods(&board.received("a"))[0], first, "{choice}");
        board.close();
    }
}

/// Legacy servers that do not know the question about the modern era, each in its own way.
const PROBED: &[(&str, &str)] = &[
    ("method-not-found", "tools: [echo]"),
    ("invalid-request", r#"on: { first: { error: { code: -32600, message: no } } }"#),
    ("not-initialized", r#"on: { first: { error: { code: -32000, message: not initialized } } }"#),
    ("invalid-params", r#"on: { first: { error: { code: -32602, message: no } } }"#),
    ("internal", r#"on: { first: { error: { code: -32603, message: no } } }"#),
    ("garbage", r#"on: { first: { raw: "Usage: server\n" } }"#),
    ("silence", r#"on: { first: hang }"#),
    ("exit", r#"on: { first: { stderr: "expected initialize", exit: 1 } }"#),
];

#[test]
fn a_legacy_server_is_reached_whatever_it_says_to_the_question_of_the_modern_era() {
    let mut setup = Setup::new();
    for (name, script) in PROBED {
        let tools = if script.starts_with("tools") { "" } else { "tools: [echo]\n" };
        setup = setup.script(name, &format!("{tools}{script}\n"));
    }
    let mut board = setup.start();
    board.send(
        r#"{"jsonrpc":"2.0","id":"m","method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    );
    board.answer("\"m\"");
    let begin = Instant::now();
    for (name, _) in PROBED {
        let line = format!(
            r#"{{"jsonrpc":"2.0","id":"{name}","method":"tools/call","params":{{"name":"{name}__echo","arguments":{{"input":"{name}"}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        );
        // Its tools are known once it has been reached.
        let until = Instant::now() + board::DEADLINE;
        loop {
            board.send(&line);
            let answer = board.answer(&format!("\"{name}\""));
            if answer.error.is_none() {
                assert!(answer.text().ends_with(name), "{}", answer.raw);
                break;
            }
            assert!(Instant::now() < until, "{name}: {}", answer.raw);
            std::thread::sleep(Duration::from_millis(50));
        }
        let said = methods(&board.received(name));
        assert_eq!(said[0], "server/discover", "{name}");
        assert_eq!(said.iter().filter(|method| *method == "initialize").count(), 1, "{name}: {said:?}");
    }
    assert!(begin.elapsed() < SILENCE + Duration::from_secs(10));
    let status = r#"{"jsonrpc":"2.0","id":"s","method":"tools/call","params":{"name":"switchboard__status","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    board.send(status);
    let status = board.answer("\"s\"").text();
    assert!(!status.contains("restarting") && !status.contains("failed"), "{status}");
    board.close();
}

#[test]
fn a_silent_server_costs_a_pause_once_and_never_again() {
    let setup = Setup::new().server("a", "d09-silent-discover");
    let list = r#"{"jsonrpc":"2.0","id":"m","method":"tools/call","params":{"name":"a__echo","arguments":{"input":"hi"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    for (turn, first) in ["server/discover", "initialize"].into_iter().enumerate() {
        let before = setup.received("a").len();
        let mut board = setup.launch();
        let until = Instant::now() + board::DEADLINE;
        loop {
            board.send(list);
            if board.answer("\"m\"").error.is_none() {
                break;
            }
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(methods(&board.received("a")[before..])[0], first, "start {turn}");
        board.close();
    }
}

#[test]
fn a_modern_server_of_unknown_revisions_is_not_sent_initialize() {
    let script = r#"
on: { server/discover: { error: { code: -32022, message: no, data: { supported: [ "2031-01-01" ], requested: "2026-07-28" } } } }
tools: [echo]
"#;
    let mut board = Setup::new().script("a", script).keys("protocol: auto").start();
    board.send(
        r#"{"jsonrpc":"2.0","id":"m","method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    );
    board.answer("\"m\"");
    let status = r#"{"jsonrpc":"2.0","id":"s","method":"tools/call","params":{"name":"switchboard__status","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    board.send(status);
    let status = board.answer("\"s\"").text();
    assert!(status.contains("2031-01-01") && status.contains("SB-HAND-003"), "{status}");
    assert!(!methods(&board.received("a")).contains(&"initialize".to_owned()));
    board.close();
}
