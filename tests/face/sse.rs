//! Clients of 2024-11-05: one stream, and an address to post to.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use switchboard::frontend::http::Settings;
use switchboard::protocol::Revision;

use super::client::{BOTH, Client, INITIALIZE, request};
use super::{Stage, eventually, tokens};

/// A client with its stream open.
struct Old {
    stream: Client,
    poster: Client,
    /// Where to post.
    endpoint: String,
}

impl Old {
    async fn open(stage: &Stage, headers: &[(&str, &str)]) -> Old {
        let mut stream = stage.connect().await;
        stream.head("GET", "/sse", headers).await;
        let head = stream.answer_head().await;
        assert!(head.status == 200 && head.is_events(), "{}", head.status);
        let event = stream.any_event().await.unwrap();
        assert_eq!(event.kind.as_deref(), Some("endpoint"));
        Old { stream, poster: stage.connect().await, endpoint: event.data.unwrap() }
    }

    async fn post(&mut self, body: &str) -> u16 {
        let endpoint = self.endpoint.clone();
        self.poster.post_to(&endpoint, &[], body).await.status
    }
}

#[tokio::test]
async fn answers_come_on_the_stream_in_order() {
    let stage = Stage::new().await;
    let mut old = Old::open(&stage, &[("Accept", "text/event-stream")]).await;
    let id = old.endpoint.strip_prefix("/messages?sessionId=").unwrap();
    assert_eq!(id.len(), 48, "nobody can guess it");
    assert_eq!(old.post(INITIALIZE).await, 202);
    let first = old.stream.event().await.unwrap();
    assert_eq!((first.kind.as_deref(), first.id), (Some("message"), None));
    assert_eq!(old.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await, 202);
    assert_eq!(old.post(&request(1, "note", &json!({}))).await, 202);
    assert_eq!(old.stream.event().await.unwrap().text(), "n");
    assert_eq!(old.stream.event().await.unwrap().json()["id"], 1);
    for id in 2..20 {
        assert_eq!(old.post(&request(id, "tools/list", &json!({}))).await, 202);
    }
    for id in 2..20 {
        assert_eq!(old.stream.event().await.unwrap().json()["id"], id);
    }
    // Lines make no difference.
    old.post("{\"jsonrpc\":\"2.0\",\n\"id\":20,\n\"method\":\"x\"}").await;
    assert_eq!(old.stream.event().await.unwrap().json()["id"], 20);
    stage.end().await;
}

#[tokio::test]
async fn the_session_ends_with_its_stream() {
    let stage = Stage::with(|settings| settings.config.session_idle = Duration::from_millis(50)).await;
    let mut old = Old::open(&stage, &[]).await;
    let mut other = Old::open(&stage, &[]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.house.ended(), 0, "one that is open is not idle");
    drop(old.stream);
    eventually("the session ends", || stage.house.ended() == 1).await;
    let late = old.poster.post_to(&old.endpoint, &[], INITIALIZE).await;
    assert_eq!((late.status, late.code()), (404, -32600));
    assert_eq!(other.post(INITIALIZE).await, 202);
    assert!(other.stream.event().await.is_some(), "the others' goes on");
    stage.end().await;
}

#[tokio::test]
async fn only_its_own_client_reaches_a_session() {
    let stage = Stage::with(|settings| tokens(&mut settings.config)).await;
    let (alice, bob) = ("Bearer token-of-alice-0123456789", "Bearer token-of-bob-0123456789");
    let mut client = stage.connect().await;
    assert_eq!(client.send("GET", "/sse", &[]).await.status, 401);
    let mut old = Old::open(&stage, &[("Authorization", alice)]).await;
    for (headers, status) in [
        (vec![], 401),
        (vec![("Authorization", bob)], 404),
        (vec![("Authorization", alice), ("Origin", "http://evil.example")], 403),
        (vec![("Authorization", alice), ("Host", "evil.example")], 403),
        (vec![("Authorization", alice), ("Content-Type", "text/plain")], 415),
        (vec![("Authorization", alice)], 202),
    ] {
        let answer = client.post_to(&old.endpoint, &headers, INITIALIZE).await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
    assert!(old.stream.event().await.is_some());
    assert_eq!(stage.house.seen().len(), 1, "whoever is refused reaches nothing");
    assert_eq!(stage.house.seen()[0].0.as_deref(), Some("alice"));
    for foreign in [("Origin", "http://evil.example"), ("Host", "evil.example")] {
        let refused = client.send("GET", "/sse", &[("Authorization", alice), foreign]).await;
        assert_eq!(refused.status, 403, "{foreign:?}");
    }
    stage.end().await;
}

#[tokio::test]
async fn the_two_transports_do_not_share_sessions() {
    let stage = Stage::new().await;
    let new = stage.initialize().await;
    let mut client = stage.connect().await;
    let call = request(1, "tools/list", &json!({}));
    let posted = client.post_to(&format!("/messages?sessionId={new}"), &[], &call).await;
    assert_eq!(posted.status, 404);
    let old = Old::open(&stage, &[]).await;
    let id = old.endpoint.split_once('=').unwrap().1;
    assert_eq!(client.post(&[("Mcp-Session-Id", id)], &call).await.status, 404);
    assert_eq!(client.send("DELETE", "/mcp", &[("Mcp-Session-Id", id)]).await.status, 404);
    stage.end().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_at_once() {
    let stage = Stage::new().await;
    let mut old = Old::open(&stage, &[]).await;
    assert_eq!(old.post("{").await, 400);
    assert_eq!(old.post("[]").await, 400);
    let mut client = stage.connect().await;
    for (path, status) in [
        ("/messages", 400),
        ("/messages?sessionId", 400),
        ("/messages?sessionId=", 404),
        ("/messages?sessionId=0", 404),
        (&format!("{0}&sessionId={0}", old.endpoint), 400),
        (&format!("{}0", old.endpoint), 404),
        (&format!("{}&x=1", old.endpoint), 202),
        (&old.endpoint.replace('?', "/?"), 202),
    ] {
        let answer = client.post_to(path, &[], &request(1, "x", &json!({}))).await;
        assert_eq!(answer.status, status, "{path}");
    }
    // This is how a client that can do both finds out.
    let refused = client.post_to("/sse", &[], INITIALIZE).await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET")));
    assert_eq!(client.send("GET", &old.endpoint, &[]).await.status, 405);
    assert_eq!(client.send("GET", "/sse", &[("Accept", "application/json")]).await.status, 406);
    assert_eq!(client.send("GET", "/mcp", &[("Accept", "text/event-stream")]).await.status, 405);
    let asked =
        [("Origin", &*format!("http://{}", stage.address)), ("Access-Control-Request-Method", "POST")];
    assert_eq!(client.send("OPTIONS", "/messages", &asked).await.status, 204);
    stage.end().await;
}

#[tokio::test]
async fn there_are_only_so_many_streams() {
    let stage = Stage::with(|settings| settings.config.max_sessions = 2).await;
    let first = Old::open(&stage, &[]).await;
    let _second = Old::open(&stage, &[]).await;
    let mut client = stage.connect().await;
    assert_eq!(client.send("GET", "/sse", &[("Accept", BOTH)]).await.status, 503);
    drop(first);
    eventually("there is a place", || stage.house.ended() == 1).await;
    Old::open(&stage, &[]).await;
    stage.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_from() {
    let slow = |settings: &mut Settings| settings.times.stalled = Duration::from_millis(200);
    let stage = Stage::with(slow).await;
    let mut old = Old::open(&stage, &[]).await;
    let big = request(1, "x", &json!({"big": 8 << 20}));
    let mut refused = 0;
    for _ in 0..10 {
        let status = old.post(&big).await;
        assert!(matches!(status, 202 | 404 | 503), "{status}");
        refused += usize::from(status != 202);
    }
    assert!(refused > 0, "80 MiB are not kept for it");
    eventually("the client is given up", || stage.house.ended() == 1).await;
    stage.end().await;
}

#[tokio::test]
async fn quiet_streams_are_kept_alive_and_close_at_the_end() {
    let quick = |settings: &mut Settings| settings.times.keep_alive = Duration::from_millis(20);
    let stage = Stage::with(quick).await;
    let mut quiet = Old::open(&stage, &[]).await;
    for _ in 0..3 {
        assert!(quiet.stream.any_event().await.unwrap().comment);
    }
    let mut calling = Old::open(&stage, &[]).await;
    calling.post(&request(1, "wait", &json!({}))).await;
    eventually("the call is there", || stage.house.seen().len() == 1).await;
    let begun = Instant::now();
    stage.shutdown.cancel();
    assert_eq!(quiet.stream.event().await, None);
    assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
    stage.house.shared.gate.notify_one();
    assert_eq!(calling.stream.event().await.unwrap().json()["id"], 1, "a call may end");
    assert_eq!(calling.stream.event().await, None);
    let house = stage.house.clone();
    stage.end().await;
    assert_eq!(house.ended(), 2);
}

#[tokio::test]
async fn what_was_agreed_upon_decides_how_streams_begin() {
    let stage = Stage::new().await;
    let id = stage.initialize().await;
    let mut client = stage.connect().await;
    let call = request(1, "note", &json!({}));
    for (agreed, said, primed) in [
        ("2025-11-25", None, true),
        ("2025-11-25", Some("2025-06-18"), true),
        ("2025-06-18", None, false),
        ("2025-06-18", Some("2025-11-25"), false),
    ] {
        *stage.house.visitor(0).revision.lock().unwrap() = Revision::find(agreed);
        let mut headers = vec![("Mcp-Session-Id", id.as_str())];
        headers.extend(said.map(|said| ("MCP-Protocol-Version", said)));
        let events = client.post(&headers, &call).await.events();
        assert_eq!(events[0].data.as_deref() == Some(""), primed, "{agreed} {said:?}");
    }
    assert_eq!(stage.house.shared.dropped.load(Ordering::SeqCst), 0);
    stage.end().await;
}
