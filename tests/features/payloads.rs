//! Payloads that must cross unchanged, however strange they are.

use serde_json::json;

use super::{serve, serve_script};
use crate::board::Setup;

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
