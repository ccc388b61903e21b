//! Calls in every cell: what goes in, what comes out, errors, progress, logs, cancellation.

use std::time::Duration;

use serde_json::{Value, json};

use super::board::Message;
use super::{Cell, call_of, check_result, each, each_with, since};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Checks 3, 17, 18, 35, 43, 83, 84: arguments and results cross unchanged, and metadata but for what belongs to a hop.
fn calls(cell: &Cell<'_>) {
    let arguments = json!({ "big": serde_json::from_str::<Value>("12345678901234567890123").unwrap(), "n": null,
                            "x": serde_json::from_str::<Value>("1.10").unwrap(), "é": "日🙂\u{0}\"\\" });
    let mut params = call_of(cell.name("mirror"), arguments.clone());
    params["_meta"] = json!({ "example.com/kept": { "a": [1] }, "traceparent": TRACE, "tracestate": "v=1", "baggage": "k=v" });
    let answer = cell.peer.call("tools/call", params);
    let seen = check_result(cell, &answer, false)["structuredContent"].clone();
    assert_eq!(seen["revision"], cell.server, "the server speaks its own revision");
    assert_eq!(seen["args"].to_string(), arguments.to_string());
    let meta = &seen["meta"];
    assert_eq!(meta["example.com/kept"], json!({ "a": [1] }), "check 84: {meta}");
    assert_eq!((&meta["tracestate"], &meta["baggage"]), (&json!("v=1"), &json!("k=v")), "{meta}");
    assert_eq!(meta["traceparent"].as_str().map(|text| &text[..35]), Some(&TRACE[..35]), "check 83: {meta}");
    let hop: Vec<&String> =
        meta.as_object().unwrap().keys().filter(|key| key.starts_with("io.modelcontextprotocol/")).collect();
    if cell.has_modern_server() {
        let info = &meta["io.modelcontextprotocol/clientInfo"];
        assert_eq!(info["name"], "switchboard", "check 84: the server's client is us: {meta}");
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], cell.server);
        let declared = &meta["io.modelcontextprotocol/clientCapabilities"];
        assert_eq!(
            declared.get("elicitation").is_some(),
            since(cell.client, "2025-06-18"),
            "check 54: {meta}"
        );
        assert!(declared.get("roots").is_some(), "{meta}");
    } else {
        assert!(hop.is_empty(), "check 84: {meta}");
    }

    let answer = cell.tool("marked", json!({}));
    let result = check_result(cell, &answer, false);
    assert_eq!(result["_meta"]["example.com/kept"].to_string(), "12345678901234567890123");
    assert_eq!(result["vendor"].to_string(), "1.10", "check 35");
    if cell.has_modern_client() || cell.has_modern_server() {
        assert!(result["_meta"].get("io.modelcontextprotocol/stranger").is_none(), "{}", answer.raw);
    }

    // The same id in both spellings, and one that is too big for most.
    for id in ["\"7\"", "7", "123456789012345", "\"\""] {
        cell.peer.request(id, "tools/call", call_of(cell.name("echo"), json!({ "input": id })));
        assert_eq!(cell.peer.answer(id).text(), id, "check 3");
    }
}

#[test]
fn calls_over_stdio() {
    each(false, "matrix", calls);
}

#[test]
fn calls_over_http() {
    each(true, "matrix", calls);
}

/// Checks 43, 46: content and structured content in the words of the client's revision.
fn content(cell: &Cell<'_>) {
    let object = cell.tool("object", json!({})).result();
    assert_eq!(object["structuredContent"]["a"].to_string(), "1.10");

    let list = cell.tool("list", json!({})).result();
    let structured = list.get("structuredContent").map(Value::to_string);
    if cell.has_modern_client() {
        assert_eq!(structured.as_deref(), Some("[1,2.50,3]"));
    } else if cell.has_modern_server() {
        assert_eq!(structured, None, "an older client takes objects alone");
        assert_eq!(list["content"][0]["text"], "[1,2.50,3]", "{list}");
    }

    let blocks = cell.tool("blocks", json!({})).result()["content"].clone();
    let kinds: Vec<&str> =
        blocks.as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
    // Between a server and a client of no newer revision nothing is looked at: it is the server that is wrong.
    let looks = cell.has_modern_server() || cell.server > cell.client;
    let audio = if since(cell.client, "2025-03-26") || !looks { "audio" } else { "resource" };
    let link = if since(cell.client, "2025-06-18") || !looks { "resource_link" } else { "text" };
    assert_eq!(kinds, ["text", "image", audio, link, "resource"]);
    if audio == "resource" {
        assert_eq!(blocks[2]["resource"]["blob"], "BBBB");
    }
    if link == "text" {
        assert_eq!(blocks[3]["text"], format!("[one]({}) The first.", cell.uri("//one")));
    }
}

#[test]
fn content_over_stdio() {
    each(false, "matrix", content);
}

#[test]
fn content_over_http() {
    each(true, "matrix", content);
}

/// Checks 21, 43, 44, 54: errors of tools and servers pass, but for those that mean something on their own hop alone.
fn errors(cell: &Cell<'_>) {
    let failed = cell.tool("fails", json!({}));
    let result = check_result(cell, &failed, false);
    assert_eq!((&result["isError"], failed.text()), (&json!(true), "It did not work.".to_owned()));
    assert_eq!(result["structuredContent"]["why"], "because");

    let broken = cell.tool("broken", json!({})).error();
    assert_eq!((broken["code"].as_i64(), &broken["message"]), (Some(-32602), &json!("No such thing")));
    assert_eq!(broken["data"]["id"].to_string(), "12345678901234567890123");
    let odd = cell.tool("odd", json!({})).error();
    assert_eq!((odd["code"].as_i64(), odd["data"].to_string()), (Some(-32000), "[1.10]".to_owned()));

    let unknown = cell.tool("no_such", json!({})).error();
    assert_eq!(unknown["code"], -32602, "check 43");
    assert!(unknown["message"].as_str().unwrap().starts_with("Unknown tool: "), "{unknown}");

    // The server wants more than its client can do: a legacy server says so with a code that it does not have, a modern one by right.
    let demanding = cell.tool("demanding", json!({}));
    let code = demanding.error.as_ref().map(|_| demanding.code());
    if cell.client == cell.server && !cell.has_modern_client() {
        // Between a client and a server of one legacy revision nothing is translated.
        return assert_eq!(code, Some(-32021), "{}", demanding.raw);
    }
    assert!(code != Some(-32020) && code != Some(-32022) && code != Some(-32042), "{}", demanding.raw);
    if code == Some(-32021) {
        assert!(cell.has_modern_client(), "{}", demanding.raw);
        assert!(demanding.error()["data"]["requiredCapabilities"].is_object(), "{}", demanding.raw);
    }
    assert!(demanding.raw.contains("I want more") || code == Some(-32021), "{}", demanding.raw);
}

#[test]
fn errors_over_stdio() {
    each(false, "matrix", errors);
}

#[test]
fn errors_over_http() {
    each(true, "matrix", errors);
}

/// Check 54: a tool of a modern server that needs something of its client.
#[test]
fn needs_over_stdio() {
    each(false, "matrix", |cell| {
        let answer = cell.tool("draw", json!({}));
        assert_eq!(answer.text(), "drawn", "the client can: {}", answer.raw);
    });
    each_with(
        false,
        "matrix",
        |_| json!({}),
        |cell| {
            let answer = cell.tool("draw", json!({}));
            if !cell.has_modern_server() {
                return assert_eq!(answer.text(), "drawn");
            }
            if cell.has_modern_client() && answer.error.is_some() && answer.code() == -32021 {
                assert_eq!(answer.error()["data"]["requiredCapabilities"], json!({ "sampling": {} }));
            } else {
                assert!(answer.raw.contains("sampling"), "{}", answer.raw);
                assert!(
                    answer.error.is_none() || [-32602, -32603].contains(&answer.code()),
                    "{}",
                    answer.raw
                );
            }
        },
    );
}

/// Check 54: a modern client is told in the terms of the specification which of its abilities a modern server wants, an older one
/// in words.
#[test]
fn a_missing_ability_is_named() {
    each_with(
        true,
        "matrix",
        |_| json!({}),
        |cell| {
            if cell.has_modern_client() && cell.has_modern_server() {
                let answer = cell.tool("draw", json!({}));
                assert_eq!(answer.code(), -32021, "{}", answer.raw);
                assert_eq!(answer.error()["data"]["requiredCapabilities"], json!({ "sampling": {} }));
            } else if cell.has_modern_server() {
                let answer = cell.tool("draw", json!({}));
                let says =
                    answer.result()["isError"] == true && answer.text().contains("declares `sampling`");
                assert!(says, "{}", answer.raw);
            }
        },
    );
}

/// Check 49: progress under the client's own token, of its own type, rising, before the answer, and none without a token.
fn progress(cell: &Cell<'_>) {
    for token in [json!("t"), json!(42), json!("42")] {
        cell.peer.heard_of(|_| true);
        let mut params = call_of(cell.name("steps"), json!({}));
        params["_meta"] = json!({ "progressToken": token });
        assert_eq!(cell.peer.call("tools/call", params).text(), "done");
        let heard: Vec<Value> = progress_of(cell).iter().map(Message::params).collect();
        let values: Vec<String> = heard.iter().map(|params| params["progress"].to_string()).collect();
        assert_eq!(values, ["1", "2", "3"]);
        assert!(
            heard.iter().all(|params| params["progressToken"] == token && params["total"] == 3),
            "{heard:?}"
        );
        // Between a server and a client of the first revision nothing is looked at: it is the server that is wrong.
        let words = since(cell.client, "2025-03-26") || cell.server == "2024-11-05";
        assert!(heard.iter().all(|params| params.get("message").is_some() == words), "{heard:?}");
    }
    assert_eq!(cell.tool("steps", json!({})).text(), "done");
    assert_eq!(progress_of(cell).len(), 0);
}

fn progress_of(cell: &Cell<'_>) -> Vec<Message> {
    cell.peer.heard_of(|message| message.method.as_deref() == Some("notifications/progress"))
}

#[test]
fn progress_over_stdio() {
    each(false, "matrix", progress);
}

#[test]
fn progress_over_http() {
    each(true, "matrix", progress);
}

/// Checks 67, 68: logs at or above the level that the client wants, in the way of its era; the logger names the server.
fn logs(cell: &Cell<'_>) {
    let logs = |level: Option<&str>| {
        let mut params = call_of(cell.name("talk"), json!({}));
        if cell.has_modern_client() {
            if let Some(level) = level {
                params["_meta"] = json!({ "io.modelcontextprotocol/logLevel": level });
            }
        } else if let Some(level) = level {
            assert_eq!(cell.peer.call("logging/setLevel", json!({ "level": level })).result(), json!({}));
            // A legacy server is told; nothing says when it has obeyed.
            if !cell.has_modern_server() {
                let is =
                    |line: &Value| line["method"] == "logging/setLevel" && line["params"]["level"] == level;
                cell.house.await_received(&cell.named, 1, is);
            }
        }
        cell.peer.heard();
        assert_eq!(cell.peer.call("tools/call", params).text(), "talked");
        let heard = cell.peer.heard_of(|message| message.method.as_deref() == Some("notifications/message"));
        heard.iter().map(Message::params).collect::<Vec<Value>>()
    };
    let levels = |heard: &[Value]| -> Vec<String> {
        heard.iter().map(|log| log["level"].as_str().unwrap().to_owned()).collect()
    };
    if cell.has_modern_client() {
        assert_eq!(levels(&logs(None)), Vec::<String>::new(), "check 67: nobody asked");
        let mut params = call_of(cell.name("talk"), json!({}));
        params["_meta"] = json!({ "io.modelcontextprotocol/logLevel": "loud" });
        assert_eq!(cell.peer.call("tools/call", params).code(), -32602, "check 67");
    } else {
        assert_eq!(cell.peer.call("logging/setLevel", json!({ "level": "loud" })).code(), -32602);
    }
    let warned = logs(Some("warning"));
    assert_eq!(levels(&warned), ["warning", "error"]);
    assert_eq!(warned[0]["logger"], format!("{}/guide", cell.named), "check 68");
    assert_eq!(warned[1]["logger"], cell.named);
    assert_eq!(warned[0]["data"], json!({ "mind": "the gap" }));
    assert_eq!(levels(&logs(Some("debug"))), ["debug", "info", "warning", "error"]);
    assert_eq!(levels(&logs(Some("emergency"))), Vec::<String>::new());
    if cell.has_modern_client() {
        assert_eq!(levels(&logs(None)), Vec::<String>::new(), "check 16: nor does an earlier request count");
    }
}

#[test]
fn logs_over_stdio() {
    each(false, "matrix", logs);
}

#[test]
fn logs_over_http() {
    each(true, "matrix", logs);
}

/// Checks 50, 51: a call that is given up is given up at the server, and nothing more is heard of it.
fn cancel(cell: &Cell<'_>) {
    let mut params = call_of(cell.name("wait"), json!({}));
    params["_meta"] = json!({ "progressToken": format!("cancel {}", cell.server) });
    let id = cell.peer.ask("tools/call", params);
    cell.peer.notification("notifications/progress");
    cell.peer.cancel(&id);
    let call = cell.received(|line| line["params"]["name"] == "wait").pop().unwrap();
    let is = |line: &Value| {
        line["method"] == "notifications/cancelled" && line["params"]["requestId"] == call["id"]
    };
    cell.house.await_received(&cell.named, 1, is);
    assert_eq!(cell.tool("echo", json!({ "input": "on" })).text(), "on");
    assert!(cell.peer.answer_within(Duration::from_millis(20), &id).is_none());
    // Unknown and finished ones are ignored.
    if !cell.has_modern_client() || !cell.peer.is_http() {
        cell.peer.cancel(&id);
        cell.peer.cancel("\"nobody\"");
        assert_eq!(cell.tool("echo", json!({ "input": "still" })).text(), "still");
    }
}

#[test]
fn cancel_over_stdio() {
    each(false, "matrix", cancel);
}

#[test]
fn cancel_over_http() {
    each(true, "matrix", cancel);
}
