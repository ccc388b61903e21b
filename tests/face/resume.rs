//! Streams that a client lost and goes on with.

use std::time::Duration;

use serde_json::json;

use super::client::{Client, Event, request};
use super::house::note;
use super::{Stage, eventually};

async fn begin(stage: &Stage, session: &str) -> (Client, Vec<Event>) {
    let mut client = stage.connect().await;
    let headers = [("Mcp-Session-Id", session), ("MCP-Protocol-Version", "2025-11-25")];
    client.send_post(&headers, &request(1, "note-wait", &json!({}))).await;
    assert!(client.answer_head().await.is_events());
    let events = vec![client.event().await.unwrap(), client.event().await.unwrap()];
    assert_eq!((events[0].data.as_deref(), events[1].text().as_str()), (Some(""), "first"));
    (client, events)
}

async fn go_on(stage: &Stage, session: &str, event: &str) -> (u16, Client) {
    let mut client = stage.connect().await;
    let headers = [("Mcp-Session-Id", session), ("Accept", "text/event-stream"), ("Last-Event-ID", event)];
    client.head("GET", "/mcp", &headers).await;
    (client.answer_head().await.status, client)
}

#[tokio::test]
async fn a_lost_call_is_gone_on_with() {
    let stage = Stage::new().await;
    let session = stage.initialize().await;
    let (client, events) = begin(&stage, &session).await;
    drop(client);
    stage.house.shared.gate.notify_one();
    let mailbox = stage.house.shared.last.lock().unwrap().clone().unwrap();
    eventually("the answer is there", || mailbox.is_closed() && mailbox.waiting() == 0).await;

    // From the first event on, and from the one before it: everything after it comes, once, and nothing else.
    for (from, expected) in [(1, vec!["second", ""]), (0, vec!["first", "second", ""])] {
        let (status, mut client) = go_on(&stage, &session, events[from].id.as_deref().unwrap()).await;
        assert_eq!(status, 200);
        let mut texts = Vec::new();
        let mut last = Event::default();
        while let Some(event) = client.event().await {
            texts.push(event.text());
            last = event;
        }
        assert_eq!(texts, expected);
        assert_eq!(last.json()["result"]["method"], "note-wait");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_call_that_still_runs_is_gone_on_with() {
    let stage = Stage::new().await;
    let session = stage.initialize().await;
    let (mut old, events) = begin(&stage, &session).await;
    // The old connection may be dead without anybody having noticed.
    let (status, mut client) = go_on(&stage, &session, events[1].id.as_deref().unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(old.event().await, None);
    stage.house.shared.gate.notify_one();
    assert_eq!(client.event().await.unwrap().text(), "second");
    assert_eq!(client.event().await.unwrap().json()["id"], 1);
    assert_eq!(client.event().await, None);
    stage.end().await;
}

#[tokio::test]
async fn the_standing_stream_is_gone_on_with() {
    let stage = Stage::new().await;
    let session = stage.initialize().await;
    let guest = stage.house.visitor(0);
    let mut client = stage.connect().await;
    client.head("GET", "/mcp", &[("Mcp-Session-Id", &session)]).await;
    client.answer_head().await;
    let mut events = Vec::new();
    for text in ["a", "b", "c"] {
        guest.standing.push_whole(note(text));
        events.push(client.event().await.unwrap());
    }
    drop(client);
    guest.standing.push_whole(note("d"));
    let (status, mut client) = go_on(&stage, &session, events[1].id.as_deref().unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(client.event().await.unwrap().text(), "c");
    assert_eq!(client.event().await.unwrap().text(), "d");
    stage.end().await;
}

#[tokio::test]
async fn strange_event_ids_are_refused() {
    let stage = Stage::new().await;
    let session = stage.initialize().await;
    let other = stage.initialize().await;
    let (_client, events) = begin(&stage, &session).await;
    let good = events[1].id.clone().unwrap();
    let tag = good.split('.').next().unwrap().to_owned();
    let hostile = [
        "0",
        "nonsense",
        "..",
        "-1",
        &tag,
        &format!("{tag}."),
        &format!("{tag}.1"),
        &format!("{tag}.1.99"),
        &format!("{tag}.99.0"),
        &format!("{tag}.-1.0"),
        &format!("{tag}.+1.0"),
        &format!("{tag}.1.1.1"),
        &format!("{tag}.1.99999999999999999999999"),
        &format!("{tag}.0.18446744073709551615"),
        "00000000.1.0",
        "../../etc/passwd",
    ]
    .map(str::to_owned);
    for event in hostile {
        let (status, _) = go_on(&stage, &session, &event).await;
        assert_eq!(status, 400, "{event}");
    }
    assert_eq!(go_on(&stage, &other, &good).await.0, 400, "an event of another session");
    assert_eq!(go_on(&stage, "unknown", &good).await.0, 404);
    assert_eq!(go_on(&stage, &session, &good).await.0, 200);
    stage.end().await;
}

#[tokio::test]
async fn a_stream_that_nobody_comes_back_to_is_let_go() {
    let stage = Stage::with(|settings| settings.times.kept = Duration::from_millis(50)).await;
    let session = stage.initialize().await;
    let (client, events) = begin(&stage, &session).await;
    let mailbox = stage.house.shared.last.lock().unwrap().clone().unwrap();
    assert!(!mailbox.is_closed());
    drop(client);
    eventually("the stream is let go", || mailbox.is_closed()).await;
    assert_eq!(go_on(&stage, &session, events[1].id.as_deref().unwrap()).await.0, 400);
    stage.end().await;
}
