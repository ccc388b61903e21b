//! Streamable HTTP without sessions.

use super::*;

const SCRIPT: &str = r#"
revisions: 2026-07-28
tools:
  echo: { answer: "{{mock.session}} {{mock.header.mcp-name}} {{mock.meta.x}}" }
  tour: { steps: [ { progress: 1 }, { answer: done } ] }
  ask: { steps: [ { ask: { method: roots/list, save: r } }, { answer: "{{r.roots}}" } ] }
  change: { set_tools: [echo, change], answer: changed }
  wait: { wait_cancel: 20s, updated: "x://{{cancelled}}" }
  region:
    input_schema: { type: object, properties: { region: { type: string, x-mcp-header: Region }, deep: { type: object, properties: { n: { type: integer, x-mcp-header: N } } } } }
    answer: "{{region}}"
  wanting: { needs: { sampling: {} } }
resources: { "x://é": { text: a } }
"#;

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error in {answer}"))
}

#[tokio::test]
async fn requests_stand_alone() {
    let face = Face::http(SCRIPT).await;
    let answer = modern(&face, 1, "server/discover", json!({}), &[("Mcp-Session-Id", "ignored")]).await;
    assert_eq!((answer.status, answer.header("mcp-session-id")), (200, None));
    assert_eq!(answer.json().await["result"]["supportedVersions"], json!(["2026-07-28"]));
    let call = json!({"name": "echo", "_meta": {"x": "y"}});
    assert_eq!(said(&modern(&face, 1, "tools/call", call, &[]).await.json().await), "0 echo y");
    let tour = json!({"name": "tour", "_meta": {"progressToken": 0}});
    let mut answer = modern(&face, 2, "tools/call", tour, &[]).await;
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    let (id, progress) = answer.message().await;
    assert_eq!((id.as_str(), &progress["method"]), ("", &json!("notifications/progress")));
    assert_eq!(answer.message().await.1["result"]["resultType"], "complete");
    assert_eq!((answer.event().await, answer.ended), (None, Some(End::Clean)));
    for verb in ["GET", "DELETE"] {
        let answer = face.send(verb, "/mcp", &[("Accept", "text/event-stream")], "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{verb}");
    }
    assert_eq!(face.post(&[], &json!({"jsonrpc": "2.0", "method": "notifications/x"})).await.status, 202);
    assert_eq!(face.post(&[], &json!({"jsonrpc": "2.0", "id": 1, "result": {}})).await.status, 400);
}

#[tokio::test]
async fn errors_have_a_status() {
    let face = Face::http(SCRIPT).await;
    let check = async |method: &str, params: Value, more: &[(&str, &str)], status: u16, expected: i64| {
        let answer = modern(&face, 1, method, params, more).await;
        assert_eq!(answer.status, status, "{method} {more:?}");
        let json = answer.json().await;
        assert_eq!(code(&json), expected, "{json}");
        json
    };
    check("ping", json!({}), &[], 404, -32601).await;
    check("tools/call", json!({"name": "none"}), &[], 200, -32602).await;
    check("tools/call", json!({"name": "wanting"}), &[], 400, -32021).await;
    let version = "MCP-Protocol-Version";
    let missing = check("tools/list", json!({}), &[(version, "")], 400, -32020).await;
    assert_eq!(missing["error"]["data"]["supported"], json!(["2026-07-28"]));
    check("tools/list", json!({}), &[(version, "2025-11-25")], 400, -32020).await;
    check("tools/list", json!({}), &[("Mcp-Method", "")], 400, -32020).await;
    check("tools/list", json!({}), &[("Mcp-Method", "tools/call")], 400, -32020).await;
    check("tools/call", json!({"name": "echo"}), &[("Mcp-Name", "")], 400, -32020).await;
    check("tools/call", json!({"name": "echo"}), &[("Mcp-Name", "other")], 400, -32020).await;
    let read = json!({"uri": "x://é"});
    check("resources/read", read.clone(), &[("Mcp-Name", "x://e")], 400, -32020).await;
    let encoded = modern(&face, 1, "resources/read", read, &[("Mcp-Name", "=?base64?eDovL8Op?=")]).await;
    assert_eq!(encoded.json().await["result"]["contents"][0]["text"], "a");
    let bare = face
        .post(&[(version, "2026-07-28"), ("Mcp-Method", "tools/list")], &request(1, "tools/list", json!({})))
        .await;
    assert_eq!((bare.status, code(&bare.json().await)), (400, -32602));
    let old = request(1, "initialize", json!({"protocolVersion": "2025-11-25"}));
    let hello = face.post(&[], &old).await;
    assert_eq!((hello.status, code(&hello.json().await)), (400, -32020));
    let hello = face.post(&[(version, "2025-11-25")], &old).await;
    assert_eq!((hello.status, code(&hello.json().await)), (400, -32022));
}

#[tokio::test]
async fn parameters_are_mirrored() {
    let face = Face::http(SCRIPT).await;
    let call = |arguments: Value| json!({"name": "region", "arguments": arguments});
    let check = async |arguments: Value, more: &[(&str, &str)], status: u16| {
        let answer = modern(&face, 1, "tools/call", call(arguments.clone()), more).await;
        assert_eq!(answer.status, status, "{arguments} {more:?}");
    };
    check(json!({"region": "é"}), &[("Mcp-Param-Region", "=?base64?w6k=?=")], 200).await;
    check(json!({"region": "us"}), &[("Mcp-Param-Region", "us")], 200).await;
    check(json!({"region": "us"}), &[], 400).await;
    check(json!({"region": "us"}), &[("Mcp-Param-Region", "eu")], 400).await;
    check(json!({"region": null}), &[], 200).await;
    check(json!({}), &[("Mcp-Param-Region", "us")], 400).await;
    check(json!({"deep": {"n": 42}}), &[("Mcp-Param-N", "42.0"), ("Mcp-Param-Unknown", "x")], 200).await;
    check(json!({"deep": {"n": 42}}), &[("Mcp-Param-N", "43")], 400).await;
}

#[tokio::test]
async fn rounds_and_subscriptions() {
    let face = Face::http(SCRIPT).await;
    for shape in ["auto", "sse"] {
        let face = Face::http(&format!("http: {{ answer: {shape} }}\n{SCRIPT}")).await;
        let mut first = modern(&face, 1, "tools/call", json!({"name": "ask"}), &[]).await;
        let round = if shape == "sse" { first.message().await.1 } else { first.json().await };
        let state = &round["result"]["requestState"];
        let again = json!({"name": "ask", "requestState": state, "inputResponses": {"r": {"roots": []}}});
        let mut second = modern(&face, 2, "tools/call", again, &[]).await;
        let done = if shape == "sse" { second.message().await.1 } else { second.json().await };
        assert_eq!(said(&done), "[]", "{shape}");
    }
    let wishes = json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": ["x://true"]}});
    let mut stream = modern(&face, 9, "subscriptions/listen", wishes, &[]).await;
    assert_eq!(stream.message().await.1["method"], "notifications/subscriptions/acknowledged");
    modern(&face, 3, "tools/call", json!({"name": "change"}), &[]).await;
    assert_eq!(stream.message().await.1["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_request() {
    for answer in ["auto", "sse"] {
        let face = Face::http(&format!("http: {{ answer: {answer} }}\n{SCRIPT}")).await;
        let wishes = json!({"notifications": {"resourceSubscriptions": ["x://true"]}});
        let mut stream = modern(&face, 9, "subscriptions/listen", wishes, &[]).await;
        stream.message().await;
        let waiting = modern(&face, 1, "tools/call", json!({"name": "wait"}), &[]);
        if answer == "sse" {
            drop(waiting.await);
        } else {
            // No head comes; the connection is dropped when a later request was answered.
            tokio::select! {
                _ = waiting => panic!("nothing is said yet"),
                () = async { for id in 0..3 { modern(&face, id, "tools/call", json!({"name": "echo"}), &[]).await; } } => {}
            }
        }
        assert_eq!(stream.message().await.1["params"]["uri"], "x://true", "{answer}");
    }
}

#[tokio::test]
async fn both_eras_at_one_address() {
    let script = SCRIPT.replace("2026-07-28", "[2025-11-25, 2026-07-28]");
    let face = Face::http(&script).await;
    let client = Legacy::begin(&face, "2025-11-25").await;
    assert_eq!(said(&client.call(1, "echo").await.json().await), "1  ");
    let call = json!({"name": "echo", "_meta": {"x": "y"}});
    assert_eq!(said(&modern(&face, 1, "tools/call", call, &[]).await.json().await), "0 echo y");
    assert_eq!(client.get(None).await.status, 200);
}

#[tokio::test]
async fn a_legacy_server_refuses_without_modern_words() {
    let face = Face::http("tools: [t]").await;
    let answer = modern(&face, 1, "server/discover", json!({}), &[]).await;
    assert_eq!(answer.status, 400);
    assert_eq!(code(&answer.json().await), -32600);
    let face = Face::http("http: { sessions: false }\ntools: [t]").await;
    let answer = modern(&face, 1, "server/discover", json!({}), &[]).await;
    assert_eq!((answer.status, code(&answer.json().await)), (400, -32600));
}
