//! Streamable HTTP with sessions.

use super::*;

const SCRIPT: &str = r#"
tools:
  echo: { answer: "{{mock.session}} {{mock.header.x-test}}" }
  tour: { steps: [ { progress: 1 }, { log: hi }, { answer: done } ] }
  ask: { steps: [ { ask: { method: roots/list, save: r } }, { answer: "{{r.roots}}" } ] }
  change: { set_tools: [echo, change], answer: changed }
  wait: { wait_cancel: 20s, answer: "cancelled {{cancelled}}" }
  pause: { steps: [ { progress: 1 }, { close_stdout: true }, { progress: 2 }, { answer: done } ] }
"#;

#[tokio::test]
async fn a_session_from_its_handshake_to_its_end() {
    let face = Face::http(SCRIPT).await;
    let client = Legacy::begin(&face, "2025-11-25").await;
    assert!(client.session.starts_with("mock-session-1-"), "{}", client.session);
    let answer = client.call(1, "echo").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(said(&answer.json().await), "1 ");
    let other = Legacy::begin(&face, "2025-06-18").await;
    assert_eq!(said(&other.call(1, "echo").await.json().await), "2 ");

    let bare =
        face.post(&[("MCP-Protocol-Version", "2025-11-25")], &request(2, "tools/list", json!({}))).await;
    assert_eq!(bare.status, 400);
    let no_version =
        face.post(&[("Mcp-Session-Id", &client.session)], &request(2, "tools/list", json!({}))).await;
    assert_eq!(no_version.status, 400);
    let wrong = [("Mcp-Session-Id", client.session.as_str()), ("MCP-Protocol-Version", "2026-07-28")];
    assert_eq!(face.post(&wrong, &request(2, "server/discover", json!({}))).await.status, 400);
    assert_eq!(face.send("POST", "/mcp", &[("Accept", "application/json")], "{}").await.status, 406);
    assert_eq!(face.send("POST", "/other", &[], "{}").await.status, 404);
    assert_eq!(face.post(&[("Origin", "http://evil.example")], &json!({})).await.status, 403);

    assert_eq!(face.send("DELETE", "/mcp", &client.headers(), "").await.status, 200);
    assert_eq!(client.call(3, "echo").await.status, 404);
    assert_eq!(client.get(None).await.status, 404);
    assert_eq!(said(&other.call(3, "echo").await.json().await), "2 ");
}

#[tokio::test]
async fn what_is_said_before_the_answer_makes_a_stream() {
    let face = Face::http(SCRIPT).await;
    let client = Legacy::begin(&face, "2025-11-25").await;
    let mut answer = client.call(1, "tour").await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.event().await.unwrap(), ["id: 2-0", "data: "]);
    assert_eq!(answer.message().await.1["method"], "notifications/progress");
    assert_eq!(answer.message().await.1["method"], "notifications/message");
    let (id, done) = answer.message().await;
    assert_eq!((id.as_str(), said(&done)), ("2-3", "done"));
    assert_eq!((answer.event().await, answer.ended), (None, Some(End::Clean)));
    // A stream can be read again from any of its events.
    let mut again = client.get(Some("2-1")).await;
    assert_eq!(again.message().await.1["method"], "notifications/message");
    assert_eq!(said(&again.message().await.1), "done");
    assert_eq!(client.get(Some("99-1")).await.status, 400);
}

#[tokio::test]
async fn questions_come_on_the_stream_of_the_call_and_changes_on_the_standing_one() {
    let face = Face::http(SCRIPT).await;
    let client = Legacy::begin(&face, "2025-11-25").await;
    let mut answer = client.call(1, "ask").await;
    let (_, question) = answer.message().await;
    assert_eq!(question["method"], "roots/list");
    let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}});
    assert_eq!(face.post(&client.headers(), &reply).await.status, 202);
    assert_eq!(said(&answer.message().await.1), "[]");
    // What was said before anybody listened is heard too.
    assert_eq!(said(&client.call(2, "change").await.json().await), "changed");
    let mut standing = client.get(None).await;
    assert_eq!(
        standing.message().await,
        ("0-1".into(), json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))
    );
    client.call(3, "change").await;
    assert_eq!(standing.message().await.0, "0-2");
}

#[tokio::test]
async fn a_lost_connection_cancels_nothing_but_a_notification_does() {
    let face =
        Face::http(SCRIPT.replace("answer: \"cancelled", "progress: 5, answer: \"cancelled").as_str()).await;
    let client = Legacy::begin(&face, "2025-11-25").await;
    let waiting = request(7, "tools/call", json!({"name": "wait"}));
    let body = waiting.to_string();
    let mut headers = client.headers();
    headers.push(("Accept", "application/json, text/event-stream"));
    let calling = face.send("POST", "/mcp", &headers, &body);
    let cancelling = async {
        // The call has begun once another one, sent later, was answered.
        client.call(8, "echo").await;
        let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
        assert_eq!(face.post(&client.headers(), &note).await.status, 202);
    };
    let (answer, ()) = tokio::join!(calling, cancelling);
    assert_eq!(said(&answer.json().await), "cancelled true");
}

#[tokio::test]
async fn the_server_may_close_a_stream_and_go_on() {
    let face = Face::http(&format!("http: {{ retry: 50ms }}\n{SCRIPT}")).await;
    let client = Legacy::begin(&face, "2025-11-25").await;
    let mut answer = client.call(1, "pause").await;
    assert_eq!(answer.event().await.unwrap(), ["retry: 50"]);
    assert_eq!(answer.event().await.unwrap(), ["id: 2-0", "data: "]);
    let (id, progress) = answer.message().await;
    assert_eq!(progress["params"]["progress"], 1);
    assert_eq!((answer.event().await, answer.ended), (None, Some(End::Clean)));
    let mut again = client.get(Some(&id)).await;
    assert_eq!(again.message().await.1["params"]["progress"], 2);
    assert_eq!(said(&again.message().await.1), "done");
}

#[tokio::test]
async fn settings() {
    let face = Face::http(&format!("http: {{ answer: json, get: false, delete: false, forget_after: 4, headers: {{ X-A: [one, two] }} }}\n{SCRIPT}")).await;
    let client = Legacy::begin(&face, "2025-03-26").await;
    let answer = client.call(1, "tour").await;
    assert!(answer.head.to_lowercase().contains("x-a: one\r\nx-a: two"), "{}", answer.head);
    assert_eq!(said(&answer.json().await), "done");
    assert_eq!(client.get(None).await.status, 405);
    assert_eq!(face.send("DELETE", "/mcp", &client.headers(), "").await.status, 405);
    assert_eq!(client.call(2, "echo").await.status, 200);
    assert_eq!(client.call(3, "echo").await.status, 200);
    assert_eq!(client.call(4, "echo").await.status, 404);

    let face = Face::http(&format!("http: {{ sessions: false, answer: sse, path: /x }}\n{SCRIPT}")).await;
    assert!(face.url.ends_with("/x"), "{}", face.url);
    let headers = [("Accept", "*/*"), ("X-Test", "seen")];
    let body = request(1, "tools/call", json!({"name": "echo"})).to_string();
    let mut answer = face.send("POST", "/x", &headers, &body).await;
    assert_eq!(answer.header("mcp-session-id"), None);
    assert_eq!(said(&answer.message().await.1), "1 seen");
}

#[tokio::test]
async fn batches_in_the_one_revision_that_has_them() {
    let face = Face::http(SCRIPT).await;
    let client = Legacy::begin(&face, "2025-03-26").await;
    let batch = json!([request(1, "ping", json!({})), request(2, "tools/call", json!({"name": "echo"}))]);
    let mut answer = face.post(&client.headers(), &batch).await;
    assert_eq!(answer.message().await.1["id"], 1);
    assert_eq!(answer.message().await.1["id"], 2);
    assert_eq!(answer.event().await, None);
    let client = Legacy::begin(&face, "2025-06-18").await;
    assert_eq!(face.post(&client.headers(), &batch).await.status, 400);
}

#[tokio::test]
async fn a_task_asks_on_the_stream_where_its_result_is_awaited() {
    let script = "tools: { t: { task: { poll: 20ms }, ask: { method: roots/list, save: r }, answer: 'roots {{r.roots}}' } }";
    let face = Face::http(script).await;
    let client = Legacy::begin(&face, "2025-11-25").await;
    let created = client.ask(1, "tools/call", json!({"name": "t", "task": {}})).await.json().await;
    let id = created["result"]["task"]["taskId"].clone();
    let mut waiting = client.ask(2, "tasks/result", json!({"taskId": id})).await;
    let question = waiting.message().await.1;
    assert_eq!(question["method"], "roots/list");
    let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}});
    assert_eq!(face.post(&client.headers(), &reply).await.status, 202);
    assert_eq!(said(&waiting.message().await.1), "roots []");
    let other = Legacy::begin(&face, "2025-11-25").await;
    assert_eq!(other.ask(1, "tasks/get", json!({"taskId": id})).await.json().await["error"]["code"], -32602);
}
