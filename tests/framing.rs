//! Lines from a client: framing, envelopes, ids, batches, and what stands before `initialize`.
//!
//! Whatever a client writes gets the answer that JSON-RPC and MCP ask for, and never ends the session.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "support/board.rs"]
mod board;

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use board::{Board, Message, Setup};

const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

fn healthy() -> Board {
    Setup::new().server("a", "healthy").start()
}

fn greeted(revision: &str) -> Board {
    let mut board = healthy();
    board.initialize(revision);
    board
}

fn echo(id: &str, input: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"a__echo","arguments":{{"input":"{input}"}}}}}}"#
    )
}

/// An error without a request that it belongs to.
fn orphan_error(board: &mut Board) -> Message {
    board.wait_for("an error without an id", |message| message.id.as_deref() == Some("null"))
}

/// Sends a line that must be refused, and checks that the session goes on.
#[track_caller]
fn refused(board: &mut Board, line: &str, id: &str, code: i64) {
    board.send(line);
    let answer = board.wait_for(&format!("an answer to {line}"), |message| message.id.as_deref() == Some(id));
    assert_eq!(answer.code(), code, "{line}");
    assert!(board.settled().is_empty(), "one answer to {line}, not {:?}", board.unread());
}

// === A1 to A3: cutting the stream into lines ===

#[test]
fn requests_are_read_byte_by_byte() {
    let mut board = greeted("2025-11-25");
    for byte in format!("{}\n", echo("\"slow\"", "in pieces")).bytes() {
        board.bytes(&[byte]);
    }
    assert_eq!(board.answer("\"slow\"").text(), "in pieces");
    board.close();
}

#[test]
fn five_hundred_requests_in_one_write_are_all_answered() {
    let mut board = greeted("2025-11-25");
    let all: String = (0..500).map(|id| format!("{}\n", echo(&id.to_string(), &format!("n{id}")))).collect();
    board.bytes(all.as_bytes());
    for id in 0..500 {
        assert_eq!(board.answer(&id.to_string()).text(), format!("n{id}"));
    }
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn a_byte_order_mark_blank_lines_and_crlf_are_accepted() {
    let mut board = healthy();
    board.bytes(b"\xef\xbb\xbf");
    board.initialize("2025-06-18");
    board.bytes(b"\r\n\n   \n\t\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\r\n\r\n");
    assert_eq!(board.answer("1").result.as_deref(), Some("{}"));
    board.send("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}");
    assert_eq!(board.answer("2").result.as_deref(), Some("{}"), "a mark before a later line too");
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn space_around_and_inside_a_message_is_accepted() {
    let mut board = greeted("2025-11-25");
    board.send(" \t{ \"method\" : \"ping\" , \"id\"\t:  \"x\" ,\"jsonrpc\": \"2.0\" }  ");
    assert_eq!(board.answer("\"x\"").result.as_deref(), Some("{}"));
    board.close();
}

#[test]
fn escapes_in_the_envelope_are_looked_through() {
    let mut board = greeted("2025-11-25");
    board.send(r#"{"json\u0072pc":"2.0","\u0069d":1,"method":"p\u0069ng"}"#);
    assert_eq!(board.answer("1").result.as_deref(), Some("{}"));
    board.close();
}

#[test]
fn what_is_not_json_is_a_parse_error_without_an_id() {
    let mut board = greeted("2025-11-25");
    for line in [
        "hello",
        "{\"a\":",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",}",
        "{'jsonrpc':'2.0'}",
        "{\"jsonrpc\":\"2.0\",\"id\":01,\"method\":\"ping\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":NaN,\"method\":\"ping\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\tng\"}",
        "[",
    ] {
        refused(&mut board, line, "null", -32700);
    }
    board.close();
}

#[test]
fn invalid_utf8_is_a_parse_error() {
    let mut board = greeted("2025-11-25");
    for bytes in
        [&b"\xff\xfe\n"[..], b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"x\":\"\xc3\x28\"}\n"]
    {
        board.bytes(bytes);
        assert_eq!(orphan_error(&mut board).code(), -32700);
    }
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn json_that_is_no_message_is_an_invalid_request() {
    let mut board = greeted("2025-11-25");
    for line in
        ["5", "null", "true", "\"text\"", "{}", r#"{"jsonrpc":"2.0"}"#, r#"{"jsonrpc":"1.0","method":"x"}"#]
    {
        refused(&mut board, line, "null", -32600);
    }
    refused(&mut board, r#"{"id":3,"method":"ping"}"#, "3", -32600);
    refused(&mut board, r#"{"jsonrpc":2.0,"id":4,"method":"ping"}"#, "4", -32600);
    refused(&mut board, r#"{"jsonrpc":"2.0","id":5,"method":7}"#, "5", -32600);
    board.close();
}

// === A7, A8: ids ===

#[test]
fn ids_of_every_spelling_come_back_byte_for_byte() {
    let mut board = greeted("2025-11-25");
    let ids = [
        "0",
        "-0",
        "-3",
        "7",
        "\"7\"",
        "7.0",
        "7e0",
        "1.5",
        "9007199254740993",
        "18446744073709551616",
        "123456789012345678901234567890",
        "1e400",
        "\"\"",
        "\"a/b\"",
        "\"c\\/d\"",
        "\"\\u0041\"",
        "\"\\ud800\"",
        "\"é🦀\"",
        "\"null\"",
        "\" \"",
    ];
    for id in ids {
        board.send(&echo(id, "same"));
    }
    for id in ids {
        assert_eq!(board.answer(id).text(), "same", "{id}");
    }
    for id in ids {
        board.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        assert_eq!(board.answer(id).result.as_deref(), Some("{}"), "{id}");
    }
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn ids_that_are_no_ids_are_refused_without_one() {
    let mut board = greeted("2025-11-25");
    let long = format!("\"{}\"", "x".repeat(100_000));
    for id in ["null", "true", "false", "{}", "[]", "[1]", &long] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        refused(&mut board, &line, "null", -32600);
    }
    board.close();
}

#[test]
fn an_id_that_is_open_is_refused_and_the_first_request_goes_on() {
    let mut board = greeted("2025-11-25");
    let slow = r#"{"name":"a__slow","arguments":{}}"#;
    board.request("5", "tools/call", slow);
    board.request("5", "tools/call", slow);
    board.request("5", "ping", "");
    let answers = [board.answer("5"), board.answer("5"), board.answer("5")];
    assert_eq!([answers[0].code(), answers[1].code()], [-32600, -32600]);
    assert_eq!(answers[2].text(), "slow");
    // A string is another id, and a finished id may be used again.
    board.request("5", "tools/call", slow);
    board.request("\"5\"", "ping", "");
    assert_eq!(board.answer("\"5\"").result.as_deref(), Some("{}"));
    assert_eq!(board.answer("5").text(), "slow");
    assert_eq!(board.received("a").iter().filter(|line| line.contains("tools/call")).count(), 2);
    board.close();
}

#[test]
fn an_id_spelt_with_escapes_is_the_same_id() {
    let mut board = greeted("2025-11-25");
    board.request("\"A\"", "tools/call", r#"{"name":"a__slow"}"#);
    board.send(r#"{"jsonrpc":"2.0","id":"\u0041","method":"ping"}"#);
    assert_eq!(board.answer("\"\\u0041\"").code(), -32600);
    assert_eq!(board.answer("\"A\"").text(), "slow");
    board.close();
}

// === A10: batches ===

#[test]
fn a_batch_gets_one_array_where_the_revision_has_batches() {
    let mut board = greeted("2025-03-26");
    board.settled();
    board.send(&format!(
        r#"[{}, {{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}} ,{{"jsonrpc":"2.0","id":"p","method":"ping"}},{{"jsonrpc":"2.0","id":3,"method":"no/such"}},5,[],{}]"#,
        echo("1", "one"),
        echo("4", "four"),
    ));
    let first = board.answer("1");
    assert_eq!(first.text(), "one");
    let ping = board.answer("\"p\"");
    assert_eq!(ping.at, first.at, "all answers stand in one line");
    assert_eq!(board.answer("3").code(), -32601);
    assert_eq!(board.answer("4").text(), "four");
    for _ in 0..2 {
        let orphan = orphan_error(&mut board);
        assert_eq!((orphan.code(), orphan.at), (-32600, first.at));
    }
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn a_batch_of_notifications_is_answered_with_nothing() {
    let mut board = greeted("2025-03-26");
    board.send(
        r#"[{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77}},{"jsonrpc":"2.0","id":8,"result":{}}]"#,
    );
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn an_empty_batch_is_one_invalid_request() {
    let mut board = greeted("2025-03-26");
    refused(&mut board, "[]", "null", -32600);
    refused(&mut board, " [ ] ", "null", -32600);
    board.close();
}

#[test]
fn initialize_inside_a_batch_is_refused() {
    let mut board = greeted("2025-03-26");
    board.send(
        r#"[{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#,
    );
    assert_eq!(board.answer("1").code(), -32600);
    assert_eq!(board.answer("2").result.as_deref(), Some("{}"));
    board.close();
}

#[test]
fn a_doubled_id_in_a_batch_is_executed_once() {
    let mut board = greeted("2025-03-26");
    board.send(&format!("[{},{}]", echo("1", "first"), echo("1", "second")));
    let (one, two) = (board.answer("1"), board.answer("1"));
    assert_eq!((one.code(), two.text().as_str()), (-32600, "first"));
    assert_eq!(board.received("a").iter().filter(|line| line.contains("tools/call")).count(), 1);
    board.close();
}

#[test]
fn a_cancelled_request_leaves_its_batch_and_the_rest_is_answered() {
    let mut board = greeted("2025-03-26");
    board.send(&format!(
        r#"[{},{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"a__slow"}}}}]"#,
        echo("1", "one")
    ));
    board.wait_received("a", |line| line.contains("\"slow\""));
    board.notify("notifications/cancelled", r#"{"requestId":2}"#);
    assert_eq!(board.answer("1").text(), "one");
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn a_batch_is_refused_as_a_whole_where_the_revision_has_none() {
    for revision in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let mut board = greeted(revision);
        let batch = format!("[{}]", echo("1", "must not run"));
        refused(&mut board, &batch, "null", -32600);
        refused(&mut board, "[]", "null", -32600);
        assert!(!board.received("a").iter().any(|line| line.contains("tools/call")), "{revision}");
        board.close();
    }
}

#[test]
fn a_batch_before_initialize_is_refused() {
    let mut board = healthy();
    refused(&mut board, r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "null", -32600);
    board.close();
}

#[test]
fn a_batch_whose_answers_exceed_what_clients_read_gets_more_than_one_array() {
    let mut board = Setup::new().server("a", "b04-large-results").start();
    board.initialize("2025-03-26");
    let five = |id: u8| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"a__five","arguments":{{}}}}}}"#
        )
    };
    board.send(&format!("[{},{}]", five(1), five(2)));
    // The client of the tests refuses lines that are too long.
    for id in ["1", "2"] {
        assert_eq!(board.answer(id).text().len(), 5 << 20);
    }
    board.close();
}

// === A11, A13: methods and parameters ===

#[test]
fn parameters_of_the_wrong_shape_are_refused_with_the_id() {
    let mut board = greeted("2025-11-25");
    let cases = [
        ("tools/call", ""),
        ("tools/call", "[]"),
        ("tools/call", "5"),
        ("tools/call", "null"),
        ("tools/call", "{}"),
        ("tools/call", r#"{"name":7}"#),
        ("tools/call", r#"{"name":null}"#),
        ("tools/call", r#"{"name":"a__no_such_tool"}"#),
        ("prompts/get", "{}"),
        ("prompts/get", r#"{"name":"no such"}"#),
        ("resources/read", "{}"),
        ("resources/read", r#"{"uri":[]}"#),
        ("resources/subscribe", "{}"),
        ("completion/complete", "{}"),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"no such"},"argument":{"name":"a","value":""}}"#,
        ),
        ("logging/setLevel", "{}"),
        ("logging/setLevel", r#"{"level":"loud"}"#),
        ("logging/setLevel", r#"{"level":3}"#),
        ("tools/list", "[]"),
        ("tools/list", r#"{"cursor":5}"#),
        ("initialize", "{}"),
        ("initialize", r#"{"protocolVersion":20251125}"#),
    ];
    for (method, params) in cases {
        assert_eq!(board.call(method, params).code(), -32602, "{method} {params}");
    }
    board.close();
}

#[test]
fn unknown_methods_are_not_found_and_unknown_notifications_ignored() {
    let mut board = greeted("2025-11-25");
    for method in [
        "no/such",
        "",
        "tools/List",
        "rpc.discover",
        "tasks/list",
        "subscriptions/listen",
        "notifications/initialized",
    ] {
        assert_eq!(board.call(method, "{}").code(), -32601, "{method}");
    }
    for method in ["notifications/no_such", "vendor/thing", "tools/call", "initialize", ""] {
        board.notify(method, r#"{"x":1}"#);
        board.notify(method, "[1]");
    }
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn what_a_client_said_is_quoted_back_in_short() {
    let mut board = greeted("2025-11-25");
    board.call("tools/list", "");
    let long = "x".repeat(9 << 20);
    let cases = [
        (long.as_str(), "{}".to_owned()),
        ("tools/call", format!(r#"{{"name":"{long}"}}"#)),
        ("tools/call", format!(r#"{{"name":"switchboard__status","arguments":{{"server":"{long}"}}}}"#)),
        ("prompts/get", format!(r#"{{"name":"{long}"}}"#)),
        ("resources/read", format!(r#"{{"uri":"{long}"}}"#)),
        ("tools/list", format!(r#"{{"cursor":"{long}"}}"#)),
        ("logging/setLevel", format!(r#"{{"level":"{long}"}}"#)),
    ];
    for (method, params) in cases {
        let answer = board.call(method, &params);
        assert!(answer.raw.len() < 4096, "{} bytes", answer.raw.len());
    }
    board.close();
}

// === A12: before `initialize` ===

#[test]
fn requests_before_initialize_are_refused_and_start_nothing() {
    let mut board = healthy();
    for method in ["tools/list", "tools/call", "prompts/list", "resources/read", "logging/setLevel"] {
        assert_eq!(
            board.call(method, r#"{"name":"a__echo","uri":"x:y","level":"info"}"#).code(),
            -32600,
            "{method}"
        );
    }
    assert_eq!(board.call("ping", "").result.as_deref(), Some("{}"), "a ping is allowed");
    assert!(board.received("a").is_empty());
    board.initialize("2025-11-25");
    assert!(board.call("tools/list", "").names().contains(&"a__echo".to_owned()));
    board.close();
}

#[test]
fn a_probe_of_the_modern_era_starts_nothing_and_leaves_the_way_to_initialize_open() {
    let mut board = healthy();
    let meta = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"}}}"#;
    let began = Instant::now();
    assert_eq!(board.call("server/discover", meta).result()["supportedVersions"][0], "2026-07-28");
    assert_eq!(board.call("server/discover", "").code(), -32602, "what it lacks is not a method");
    let strange = meta.replace("2026-07-28", "2031-01-01");
    assert_eq!(board.call("server/discover", &strange).code(), -32022);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(board.received("a").is_empty(), "a probe starts no server");
    let answer = board.initialize("2025-11-25");
    assert_eq!(answer.result()["protocolVersion"], "2025-11-25");
    assert!(board.call("tools/list", "").names().contains(&"a__echo".to_owned()));
    assert_eq!(board.call("tools/list", meta).result()["resultType"], "complete", "both eras on one process");
    board.close();
}

#[test]
fn known_revisions_are_echoed_and_unknown_ones_answered_with_the_newest() {
    for revision in REVISIONS {
        let mut board = Setup::new().start();
        assert_eq!(board.initialize(revision).result()["protocolVersion"], revision);
        board.close();
    }
    for revision in ["2026-07-28", "2023-01-01", "9999-12-31", "", "latest"] {
        let mut board = Setup::new().start();
        assert_eq!(board.initialize(revision).result()["protocolVersion"], "2025-11-25", "{revision}");
        board.close();
    }
}

#[test]
fn a_server_is_greeted_in_the_clients_own_revision() {
    for revision in REVISIONS {
        let mut board = greeted(revision);
        board.call("tools/list", "");
        let hello = board.received("a").remove(0);
        assert!(hello.contains(&format!(r#""protocolVersion":"{revision}""#)), "{hello}");
        board.close();
    }
}

#[test]
fn initialize_is_answered_before_a_hanging_server_and_cannot_be_cancelled() {
    let mut board = Setup::new().server("a", "d01-hangs-at-start").start();
    let began = Instant::now();
    board.request(
        "1",
        "initialize",
        r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}"#,
    );
    board.notify("notifications/cancelled", r#"{"requestId":1}"#);
    assert_eq!(board.answer("1").result()["serverInfo"]["name"], "switchboard");
    assert!(began.elapsed() < Duration::from_secs(2));
    board.close();
}

// === A14, A15, A16: too long, too deep, doubled, unasked ===

#[test]
#[cfg(target_os = "linux")]
fn a_line_of_64_mib_is_refused_with_its_id_in_bounded_memory() {
    let mut board = greeted("2025-11-25");
    board.call("tools/list", "");
    let before = board.resident();
    board.bytes(br#"{"jsonrpc":"2.0","id":"huge","method":"ping","params":{"x":""#);
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        board.bytes(&chunk);
    }
    board.bytes(b"\"}}\n");
    assert_eq!(board.answer("\"huge\"").code(), -32600);
    let grown = board.resident().saturating_sub(before);
    assert!(grown < 48 << 20, "grew by {} MiB", grown >> 20);
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn deep_parameters_pass_and_absurd_ones_are_refused_with_the_id() {
    let mut board = greeted("2025-11-25");
    let nested = |depth: usize| {
        format!(r#"{{"name":"a__echo","arguments":{{"input":{}{}}}}}"#, "[".repeat(depth), "]".repeat(depth))
    };
    board.ask("tools/call", &nested(500));
    board.wait_received("a", |line| line.contains(&"[".repeat(500)));
    for depth in [5_000, 1_000_000] {
        assert_eq!(board.call("tools/call", &nested(depth)).code(), -32600, "{depth}");
    }
    board.within(Duration::from_millis(1), |message| message.id.is_some());
    board.close();
}

#[test]
fn doubled_members_of_the_envelope_never_execute_anything() {
    let mut board = greeted("2025-11-25");
    let params = r#""params":{"name":"a__echo","arguments":{}}"#;
    refused(
        &mut board,
        &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call",{params}}}"#),
        "1",
        -32600,
    );
    refused(
        &mut board,
        &format!(r#"{{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/call",{params}}}"#),
        "null",
        -32600,
    );
    refused(
        &mut board,
        &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call",{params},{params}}}"#),
        "1",
        -32600,
    );
    refused(
        &mut board,
        &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","m\u0065thod":"ping",{params}}}"#),
        "1",
        -32600,
    );
    assert!(!board.received("a").iter().any(|line| line.contains("tools/call")));
    board.close();
}

#[test]
fn answers_and_cancellations_that_concern_nothing_are_ignored() {
    let mut board = greeted("2025-11-25");
    board.call("ping", "");
    for line in [
        r#"{"jsonrpc":"2.0","id":4711,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"x","error":{"code":-1,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":[1]}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":null}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{"a":1}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1001}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":999999}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":7}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed","params":null}"#,
    ] {
        board.send(line);
    }
    assert!(board.settled().is_empty(), "{:?}", board.unread());
    assert_eq!(board.tool("a__echo", r#"{"input":"still here"}"#).text(), "still here");
    board.close();
}

#[test]
fn a_last_line_without_an_end_is_still_a_request() {
    let mut board = greeted("2025-11-25");
    board.settled();
    board.bytes(br#"{"jsonrpc":"2.0","id":"last","method":"ping"}"#);
    let rest = board.close();
    assert!(
        rest.iter().any(|message| message.id.as_deref() == Some("\"last\"") && message.result.is_some()),
        "{rest:?}"
    );
}

#[test]
fn a_second_initialize_is_answered_and_changes_no_server() {
    let mut board = greeted("2025-11-25");
    board.call("tools/list", "");
    let again = board.initialize("2025-06-18").result();
    assert_eq!(again["protocolVersion"], "2025-06-18");
    assert_eq!(board.tool("a__echo", r#"{"input":"x"}"#).text(), "x");
    assert_eq!(board.received("a").iter().filter(|line| line.contains("\"initialize\"")).count(), 1);
    board.close();
}

#[test]
fn whatever_is_written_the_session_goes_on() {
    for revision in ["2025-03-26", "2025-11-25"] {
        let mut board = greeted(revision);
        board.call("tools/list", "");
        let seeds = [
            echo("1", "x"),
            format!("[{},{}]", echo("\"b\"", "y"), r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#),
            r#"{"jsonrpc":"2.0","id":3,"method":"resources/read","params":{"uri":"note://\u0031","_meta":{"progressToken":0}}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","id":4,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a__greet"},"argument":{"name":"who","value":"A"}}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"x"}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","id":5,"method":"tools/list","params":{"cursor":"x"}}"#.to_owned(),
        ];
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        // A small generator of our own, so that a failure can be repeated.
        let mut below = |limit: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % limit
        };
        let alphabet = b"{}[]\",:\\u0019eE+-. \t\rntfxyzid\xc3\xff\x00";
        for _ in 0..3000 {
            let mut line = seeds[below(seeds.len())].clone().into_bytes();
            for _ in 0..=below(4) {
                let (at, byte) = (below(line.len()), alphabet[below(alphabet.len())]);
                match below(4) {
                    0 => line[at] = byte,
                    1 => line.insert(at, byte),
                    2 if line.len() > 2 => drop(line.remove(at)),
                    _ => line.truncate(at.max(1)),
                }
            }
            line.push(b'\n');
            board.bytes(&line);
        }
        // Whatever was answered was JSON-RPC: the client of the tests checks every line.
        assert_eq!(board.tool("a__echo", r#"{"input":"still here"}"#).text(), "still here", "{revision}");
        board.close();
    }
}

// === A18: the other direction ===

#[test]
fn a_client_that_no_longer_reads_ends_switchboard() {
    let setup = Setup::new().server("a", "healthy");
    let mut child =
        setup.command().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // The pipe may already be broken when the second line is written.
    let _ = stdin.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
    let until = Instant::now() + Duration::from_secs(2);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("Switchboard is still there");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
