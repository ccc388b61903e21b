//! Legacy sessions: 2025-03-26 to 2025-11-25.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::client::{INITIALIZE, request};
use super::house::note;
use super::{Stage, eventually, tokens};

#[tokio::test]
async fn a_session_from_its_beginning_to_its_end() {
    let stage = Stage::new().await;
    let mut client = stage.connect().await;
    let begun = client.post(&[], INITIALIZE).await;
    assert_eq!((begun.status, begun.header("content-type")), (200, Some("application/json")));
    assert_eq!(begun.json()["result"]["method"], "initialize");
    let id = begun.header("mcp-session-id").unwrap().to_owned();
    assert!(id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_graphic()));
    let session = [("Mcp-Session-Id", id.as_str()), ("MCP-Protocol-Version", "2025-11-25")];

    let notice = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let accepted = client.post(&session, notice).await;
    assert_eq!((accepted.status, accepted.body.as_str()), (202, ""));
    let response = r#"{"jsonrpc":"2.0","id":5,"result":{}}"#;
    assert_eq!(client.post(&session, response).await.status, 202);
    let answer = client.post(&session, &request(1, "tools/list", &json!({"text": "hi"}))).await;
    assert_eq!(answer.json(), json!({"jsonrpc":"2.0","id":1,"result":{"method":"tools/list","text":"hi"}}));

    assert_eq!(client.send("DELETE", "/mcp", &session).await.status, 204);
    assert_eq!(stage.house.ended(), 1);
    for method in ["GET", "DELETE"] {
        assert_eq!(client.send(method, "/mcp", &session).await.status, 404, "{method}");
    }
    let late = client.post(&session, &request(2, "tools/list", &json!({}))).await;
    assert_eq!((late.status, late.code()), (404, -32600));
    stage.end().await;
}

#[tokio::test]
async fn requests_need_a_session_that_lives() {
    let stage = Stage::new().await;
    let id = stage.initialize().await;
    let mut client = stage.connect().await;
    let call = request(1, "tools/list", &json!({}));
    assert_eq!(client.post(&[], &call).await.status, 400);
    assert_eq!(client.post(&[], r#"{"jsonrpc":"2.0","method":"notifications/x"}"#).await.status, 400);
    assert_eq!(client.post(&[], &format!("[{call}]")).await.status, 400);
    for wrong in ["", "0", &id.replace(|digit: char| digit != 'z', "0"), &id[1..], "../../x", "💥"] {
        let answer = client.post(&[("Mcp-Session-Id", wrong)], &call).await;
        assert!(matches!(answer.status, 400 | 404), "{wrong:?}: {}", answer.status);
    }
    assert_eq!(client.post(&[("Mcp-Session-Id", &id), ("Mcp-Session-Id", &id)], &call).await.status, 400);
    assert_eq!(client.post(&[("Mcp-Session-Id", &id)], &call).await.status, 200);
    // A client that still names a session that ended may begin another one.
    assert_eq!(client.post(&[("Mcp-Session-Id", "gone")], INITIALIZE).await.status, 200);
    stage.end().await;
}

#[tokio::test]
async fn sessions_belong_to_their_principal() {
    let stage = Stage::with(|settings| tokens(&mut settings.config)).await;
    let mut client = stage.connect().await;
    let (alice, bob) = ("Bearer token-of-alice-0123456789", "Bearer token-of-bob-0123456789");
    let begun = client.post(&[("Authorization", alice)], INITIALIZE).await;
    let id = begun.header("mcp-session-id").unwrap().to_owned();
    let call = request(1, "tools/list", &json!({}));
    let of = |who| [("Authorization", who), ("Mcp-Session-Id", id.as_str())];
    assert_eq!(client.post(&of(bob), &call).await.status, 404);
    assert_eq!(client.send("GET", "/mcp", &of(bob)).await.status, 404);
    assert_eq!(client.send("DELETE", "/mcp", &of(bob)).await.status, 404);
    assert_eq!(client.post(&of(alice), &call).await.status, 200);
    assert!(stage.house.seen().iter().all(|(name, _)| name.as_deref() == Some("alice")));
    stage.end().await;
}

#[tokio::test]
async fn versions_and_types_are_checked() {
    let stage = Stage::new().await;
    let id = stage.initialize().await;
    let mut client = stage.connect().await;
    let call = request(1, "tools/list", &json!({}));
    let session = ("Mcp-Session-Id", id.as_str());
    for (header, status) in [
        (("MCP-Protocol-Version", "2025-03-26"), 200),
        (("MCP-Protocol-Version", "2025-06-18"), 200),
        (("MCP-Protocol-Version", "2024-11-05"), 200),
        (("MCP-Protocol-Version", "2023-01-01"), 400),
        (("MCP-Protocol-Version", "nonsense"), 400),
        (("Content-Type", "text/plain"), 415),
        (("Content-Type", "-"), 415),
        (("Content-Type", "application/json; charset=utf-8"), 200),
        (("Accept", "application/json"), 406),
        (("Accept", "text/html"), 406),
        (("Accept", "*/*"), 200),
        (("Accept", "-"), 200),
    ] {
        let answer = client.post(&[session, header], &call).await;
        assert_eq!(answer.status, status, "{header:?}");
        assert!(status == 200 || answer.code() != 0);
    }
    let only_events = client.post(&[session, ("Accept", "text/event-stream")], &call).await;
    assert!(only_events.is_events());
    assert_eq!(only_events.events()[0].json()["id"], 1);
    for (body, code) in [("", -32700), ("{", -32700), ("5", -32600), ("{}", -32600), ("[]", -32600)] {
        let answer = client.post(&[session], body).await;
        assert_eq!((answer.status, answer.code()), (400, code), "{body}");
    }
    assert_eq!(client.send("GET", "/mcp", &[session, ("Accept", "application/json")]).await.status, 406);
    stage.end().await;
}

#[tokio::test]
async fn what_comes_before_the_answer_makes_a_stream() {
    let stage = Stage::new().await;
    let id = stage.initialize().await;
    let mut client = stage.connect().await;
    let session = ("Mcp-Session-Id", id.as_str());
    for method in ["note", "ask"] {
        let answer = client.post(&[session], &request(1, method, &json!({}))).await;
        assert!(answer.is_events(), "{method}");
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.header("x-accel-buffering"), Some("no"));
        let events = answer.events();
        assert_eq!(events.len(), 2, "{events:?}");
        assert!(events[0].json().get("method").is_some() && events[1].json()["id"] == 1);
        assert!(events.iter().all(|event| event.id.is_some()), "they can be gone on with");
    }
    // The newest revision begins with an event without a message; earlier clients take it for a broken one.
    let newest = client
        .post(&[session, ("MCP-Protocol-Version", "2025-11-25")], &request(1, "note", &json!({})))
        .await;
    let events = newest.events();
    assert_eq!(events[0].data.as_deref(), Some(""));
    assert!(events[0].id.is_some() && events[0].retry.is_some());
    assert_eq!(events.len(), 3);
    // A message in lines is still one message.
    let pretty = client.post(&[session], &request(7, "pretty", &json!({}))).await;
    assert_eq!(pretty.events()[1].json()["id"], 7);
    stage.end().await;
}

#[tokio::test]
async fn an_answer_that_is_slow_comes_on_a_stream_that_is_kept_alive() {
    let stage = Stage::with(|settings| settings.times.keep_alive = Duration::from_millis(20)).await;
    let id = stage.initialize().await;
    let mut client = stage.connect().await;
    client.send_post(&[("Mcp-Session-Id", &id)], &request(1, "wait", &json!({}))).await;
    assert!(client.answer_head().await.is_events());
    for _ in 0..3 {
        assert!(client.any_event().await.unwrap().comment);
    }
    stage.house.shared.gate.notify_one();
    assert_eq!(client.event().await.unwrap().json()["id"], 1);
    assert_eq!(client.event().await, None);
    stage.end().await;
}

#[tokio::test]
async fn a_request_without_an_answer_ends_its_stream() {
    let stage = Stage::new().await;
    let id = stage.initialize().await;
    let mut client = stage.connect().await;
    let answer = client.post(&[("Mcp-Session-Id", &id)], &request(1, "silent", &json!({}))).await;
    assert!(answer.is_events() && answer.events().is_empty(), "{:?}", answer.body);
    stage.end().await;
}

#[tokio::test]
async fn batches_are_passed_through() {
    let stage = Stage::new().await;
    let id = stage.initialize().await;
    let mut client = stage.connect().await;
    let session = [("Mcp-Session-Id", id.as_str()), ("MCP-Protocol-Version", "2025-03-26")];
    let call = |id| request(id, "tools/list", &json!({}));
    let answer = client.post(&session, &format!("[{},{}]", call(1), call(2))).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json().as_array().unwrap().len(), 2);
    let notice = r#"[{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","id":1,"result":{}}]"#;
    assert_eq!(client.post(&session, notice).await.status, 202);
    stage.end().await;
}

#[tokio::test]
async fn a_body_in_lines_is_one_message() {
    let stage = Stage::new().await;
    let id = stage.initialize().await;
    let mut client = stage.connect().await;
    let lines = "{\n\"jsonrpc\":\"2.0\",\r\n\"id\":1,\n\"method\":\"x\",\"params\":{\"text\":\"a\\nb\"}}\n";
    let answer = client.post(&[("Mcp-Session-Id", &id)], lines).await;
    assert_eq!(answer.json()["result"]["text"], "a\nb");
    assert!(stage.house.shared.raw.lock().unwrap().iter().all(|message| !message.contains(&b'\n')));
    stage.end().await;
}

#[tokio::test]
async fn a_session_that_did_not_begin_has_no_id() {
    let stage = Stage::new().await;
    let mut client = stage.connect().await;
    let answer = client.post(&[], &request(1, "initialize", &json!({"fail": -32602}))).await;
    assert_eq!((answer.status, answer.code(), answer.header("mcp-session-id")), (200, -32602, None));
    assert_eq!(stage.house.ended(), 1);
    stage.end().await;
}

#[tokio::test]
async fn the_standing_stream_carries_what_belongs_to_no_request() {
    let stage = Stage::new().await;
    let id = stage.initialize().await;
    let guest = stage.house.visitor(0);
    guest.standing.push_whole(note("early"));
    let mut client = stage.connect().await;
    let session = [("Mcp-Session-Id", id.as_str()), ("Accept", "text/event-stream")];
    client.head("GET", "/mcp", &session).await;
    assert!(client.answer_head().await.is_events());
    assert_eq!(client.event().await.unwrap().text(), "early", "it waited for the client");
    guest.standing.push_whole(note("now"));
    assert_eq!(client.event().await.unwrap().text(), "now");

    let mut second = stage.connect().await;
    second.head("GET", "/mcp", &session).await;
    second.answer_head().await;
    assert_eq!(client.event().await, None, "the newest one carries on");
    guest.standing.push_whole(note("later"));
    assert_eq!(second.event().await.unwrap().text(), "later");

    assert_eq!(client.send("DELETE", "/mcp", &session).await.status, 204);
    assert_eq!(second.event().await, None, "the end of the session ends its streams");
    stage.end().await;
}

#[tokio::test]
async fn a_broken_connection_is_no_cancel() {
    let stage = Stage::new().await;
    let id = stage.initialize().await;
    let mut client = stage.connect().await;
    client.send_post(&[("Mcp-Session-Id", &id)], &request(1, "note-wait", &json!({}))).await;
    client.answer_head().await;
    client.event().await.unwrap();
    drop(client);
    let mailbox = stage.house.shared.last.lock().unwrap().clone().unwrap();
    stage.house.shared.gate.notify_one();
    // Its answers are taken although nobody is there.
    eventually("the answers are taken", || mailbox.is_closed() && mailbox.waiting() == 0).await;
    assert_eq!(stage.house.visitor(0).ended.load(Ordering::SeqCst), 0);
    stage.end().await;
}

#[tokio::test]
async fn a_client_that_leaves_before_it_hears_anything_leaves_nothing_behind() {
    let stage = Stage::with(|settings| settings.times.settle = Duration::from_secs(60)).await;
    // Nobody was told of this session.
    let mut client = stage.connect().await;
    client.send_post(&[], &request(0, "initialize", &json!({"wait": true}))).await;
    eventually("the session begins", || stage.house.seen().len() == 1).await;
    drop(client);
    eventually("the session ends", || stage.house.ended() == 1).await;
    // Nobody can ask for this answer.
    let id = stage.initialize().await;
    let mut client = stage.connect().await;
    client.send_post(&[("Mcp-Session-Id", &id)], &request(1, "wait", &json!({}))).await;
    eventually("the call is there", || stage.house.seen().iter().any(|(_, seen)| seen["method"] == "wait"))
        .await;
    drop(client);
    let mailbox = stage.house.shared.last.lock().unwrap().clone().unwrap();
    eventually("nobody waits for the answer", || mailbox.is_closed()).await;
    stage.end().await;
}
