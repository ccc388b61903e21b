//! Requests of 2026-07-28.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{INITIALIZE, request};
use super::{Stage, eventually};

const VERSION: &str = "2026-07-28";

fn meta(version: &str) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// Parameters with the metadata that every request carries.
fn with_meta(mut params: Value) -> Value {
    params["_meta"] = meta(VERSION);
    params
}

fn call(id: u64, method: &str, params: Value) -> String {
    request(id, method, &with_meta(params))
}

fn headers(method: &str) -> [(&str, &str); 2] {
    [("MCP-Protocol-Version", VERSION), ("Mcp-Method", method)]
}

#[tokio::test]
async fn answers_come_as_json_or_as_a_stream() {
    let stage = Stage::new().await;
    let mut client = stage.connect().await;
    let answer = client.post(&headers("tools/list"), &call(1, "tools/list", json!({"text": "hi"}))).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json()["result"]["text"], "hi");
    assert_eq!(answer.header("mcp-session-id"), None);

    let answer = client.post(&headers("note"), &call(2, "note", json!({}))).await;
    assert!(answer.is_events());
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    let events = answer.events();
    assert_eq!((events.len(), events[1].json()["id"].as_u64()), (2, Some(2)));
    assert!(events.iter().all(|event| event.id.is_none()), "streams of this revision cannot be gone on with");

    // What belongs to sessions is not looked at.
    let mut others = headers("tools/list").to_vec();
    others.extend([("Mcp-Session-Id", "nonsense"), ("Last-Event-ID", "nonsense")]);
    assert_eq!(client.post(&others, &call(3, "tools/list", json!({}))).await.status, 200);
    assert_eq!(stage.house.visitors.lock().unwrap().len(), 0, "no sessions");
    eventually("exchanges are over", || stage.house.shared.dropped.load(Ordering::SeqCst) == 3).await;
    stage.end().await;
}

#[tokio::test]
async fn statuses_go_with_errors() {
    let stage = Stage::new().await;
    let mut client = stage.connect().await;
    for (code, status) in [
        (-32601, 404),
        (-32020, 400),
        (-32021, 400),
        (-32022, 400),
        (-32600, 400),
        (-32602, 200),
        (-32603, 200),
        (-32042, 200),
        (1, 200),
    ] {
        let answer = client.post(&headers("x"), &call(9, "x", json!({"fail": code}))).await;
        assert_eq!((answer.status, answer.code(), answer.json()["id"].as_u64()), (status, code, Some(9)));
    }
    stage.end().await;
}

#[tokio::test]
async fn headers_must_match_the_body() {
    let stage = Stage::new().await;
    let mut client = stage.connect().await;
    let list = call(4, "tools/list", json!({}));
    let named = call(4, "tools/call", json!({"name": "grüße"}));
    let mirrored = call(4, "tools/call", json!({"name": "mirrored", "arguments": {"region": "us"}}));
    let version = ("MCP-Protocol-Version", VERSION);
    for (headers, body, status) in [
        (&[version, ("mcp-method", "tools/list")][..], &list, 200),
        (&[version], &list, 400),
        (&[("Mcp-Method", "tools/list")], &list, 400),
        (&[version, ("Mcp-Method", "TOOLS/LIST")], &list, 400),
        (&[version, ("Mcp-Method", "prompts/list")], &list, 400),
        (&[("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Method", "tools/list")], &list, 400),
        (&[version, ("Mcp-Method", "tools/call"), ("Mcp-Name", "=?base64?Z3LDvMOfZQ==?=")], &named, 200),
        (&[version, ("Mcp-Method", "tools/call"), ("Mcp-Name", "=?base64?Z3LDvMOfZQ?=")], &named, 400),
        (&[version, ("Mcp-Method", "tools/call"), ("Mcp-Name", "other")], &named, 400),
        (&[version, ("Mcp-Method", "tools/call")], &named, 400),
        (
            &[version, ("Mcp-Method", "tools/call"), ("Mcp-Name", "mirrored"), ("Mcp-Param-Region", "us")],
            &mirrored,
            200,
        ),
        (
            &[version, ("Mcp-Method", "tools/call"), ("Mcp-Name", "mirrored"), ("Mcp-Param-Region", "eu")],
            &mirrored,
            400,
        ),
        (&[version, ("Mcp-Method", "tools/call"), ("Mcp-Name", "mirrored")], &mirrored, 400),
    ] {
        let answer = client.post(headers, body).await;
        assert_eq!(answer.status, status, "{headers:?} {}", answer.body);
        if status == 400 {
            assert_eq!((answer.code(), answer.json()["id"].as_u64()), (-32020, Some(4)));
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn versions_and_metadata_are_needed() {
    let stage = Stage::new().await;
    let mut client = stage.connect().await;
    for params in [
        json!({}),
        json!({"_meta": {}}),
        json!({"_meta": {"io.modelcontextprotocol/protocolVersion": VERSION}}),
        json!({"_meta": {"io.modelcontextprotocol/clientCapabilities": {}}}),
        json!({"_meta": {
            "io.modelcontextprotocol/protocolVersion": 5, "io.modelcontextprotocol/clientCapabilities": {},
        }}),
        json!({"_meta": {
            "io.modelcontextprotocol/protocolVersion": VERSION, "io.modelcontextprotocol/clientCapabilities": true,
        }}),
    ] {
        let answer = client.post(&headers("tools/list"), &request(5, "tools/list", &params)).await;
        assert_eq!((answer.status, answer.code()), (400, -32602), "{params}");
        assert_eq!(answer.json()["id"], 5);
    }
    for version in ["v999.0.0", "2025-11-25", "2026-07-29"] {
        let body = request(6, "tools/list", &json!({"_meta": meta(version)}));
        let answer =
            client.post(&[("MCP-Protocol-Version", version), ("Mcp-Method", "tools/list")], &body).await;
        assert_eq!((answer.status, answer.code()), (400, -32022), "{version}");
        assert_eq!(answer.json()["error"]["data"], json!({"supported": [VERSION], "requested": version}));
    }
    let mismatch = client.post(&headers("x"), &request(7, "x", &json!({"_meta": meta("v999.0.0")}))).await;
    assert_eq!((mismatch.status, mismatch.code()), (400, -32020));
    stage.end().await;
}

#[tokio::test]
async fn what_is_no_request() {
    let stage = Stage::new().await;
    let mut client = stage.connect().await;
    let version = [("MCP-Protocol-Version", VERSION)];
    let notice = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
    assert_eq!(client.post(&version, notice).await.status, 202);
    let batch = format!("[{}]", call(1, "tools/list", json!({})));
    let refused = client.post(&version, &batch).await;
    assert_eq!((refused.status, refused.code()), (400, -32600));
    let refused = client.post(&version, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!((refused.status, refused.code()), (400, -32600));
    assert_eq!(stage.house.seen().len(), 0);
    stage.end().await;
}

#[tokio::test]
async fn both_eras_live_at_one_address() {
    let stage = Stage::new().await;
    let mut client = stage.connect().await;
    assert_eq!(
        client.post(&headers("server/discover"), &call(1, "server/discover", json!({}))).await.status,
        200
    );
    // What a client sends that falls back, whatever its header still says.
    let begun = client.post(&[("MCP-Protocol-Version", VERSION)], INITIALIZE).await;
    assert_eq!(begun.status, 200);
    let id = begun.header("mcp-session-id").unwrap().to_owned();
    let legacy = client.post(&[("Mcp-Session-Id", &id)], &request(2, "tools/list", &json!({}))).await;
    assert_eq!(legacy.status, 200);
    assert_eq!(client.post(&headers("tools/list"), &call(3, "tools/list", json!({}))).await.status, 200);
    // `initialize` of the modern era is an unknown method, for the house to say.
    let modern = client.post(&headers("initialize"), &call(4, "initialize", json!({"fail": -32601}))).await;
    assert_eq!((modern.status, modern.header("mcp-session-id")), (404, None));
    stage.end().await;
}

#[tokio::test]
async fn closing_the_stream_cancels() {
    let stage = Stage::with(|settings| settings.times.keep_alive = Duration::from_millis(20)).await;
    let dropped = || stage.house.shared.dropped.load(Ordering::SeqCst);
    // While the stream is open.
    let mut client = stage.connect().await;
    client.send_post(&headers("subscriptions/listen"), &call(1, "subscriptions/listen", json!({}))).await;
    assert!(client.answer_head().await.is_events());
    assert_eq!(client.event().await.unwrap().text(), "acknowledged");
    assert!(client.any_event().await.unwrap().comment, "it is kept alive");
    assert_eq!(dropped(), 0);
    drop(client);
    eventually("the listener is gone", || dropped() == 1).await;
    let mailbox = stage.house.shared.last.lock().unwrap().clone().unwrap();
    assert!(mailbox.is_closed(), "the house is told");
    // Before anything was answered.
    let mut client = stage.connect().await;
    client.send_post(&headers("hang"), &call(2, "hang", json!({}))).await;
    eventually("the call is there", || stage.house.seen().len() == 2).await;
    drop(client);
    eventually("the call is cancelled", || dropped() == 2).await;
    stage.end().await;
}
