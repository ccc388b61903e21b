//! Many, large, slow, and the end.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{BOTH, INITIALIZE, request};
use super::{Stage, eventually};

#[tokio::test]
async fn sessions_that_are_too_many_end_the_longest_idle_one() {
    let stage = Stage::with(|settings| settings.config.max_sessions = 100).await;
    let mut client = stage.connect().await;
    let mut ids = Vec::new();
    for _ in 0..1000 {
        let begun = client.post(&[], INITIALIZE).await;
        ids.push(begun.header("mcp-session-id").unwrap().to_owned());
    }
    assert_eq!(stage.house.ended(), 900);
    let distinct: std::collections::HashSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), 1000);
    let call = request(1, "tools/list", &json!({}));
    assert_eq!(client.post(&[("Mcp-Session-Id", &ids[899])], &call).await.status, 404);
    assert_eq!(client.post(&[("Mcp-Session-Id", &ids[900])], &call).await.status, 200);
    // It is the one used last now.
    client.post(&[], INITIALIZE).await;
    assert_eq!(client.post(&[("Mcp-Session-Id", &ids[900])], &call).await.status, 200);
    assert_eq!(client.post(&[("Mcp-Session-Id", &ids[901])], &call).await.status, 404);
    stage.end().await;
}

#[tokio::test]
async fn sessions_in_use_are_not_ended_for_others() {
    let stage = Stage::with(|settings| settings.config.max_sessions = 1).await;
    let id = stage.initialize().await;
    let mut standing = stage.connect().await;
    standing.head("GET", "/mcp", &[("Mcp-Session-Id", &id)]).await;
    standing.answer_head().await;
    let mut client = stage.connect().await;
    let refused = client.post(&[], INITIALIZE).await;
    assert_eq!((refused.status, refused.code()), (503, -32603));
    drop(standing);
    eventually("the session is idle", || stage.house.ended() == 0).await;
    for attempt in 0.. {
        if client.post(&[], INITIALIZE).await.status == 200 {
            break;
        }
        assert!(attempt < 500);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(stage.house.ended(), 1);
    stage.end().await;
}

#[tokio::test]
async fn idle_sessions_end_and_those_with_a_stream_do_not() {
    let stage = Stage::with(|settings| settings.config.session_idle = Duration::from_millis(100)).await;
    let idle = stage.initialize().await;
    let open = stage.initialize().await;
    let mut standing = stage.connect().await;
    standing.head("GET", "/mcp", &[("Mcp-Session-Id", &open)]).await;
    standing.answer_head().await;
    eventually("the idle one ends", || stage.house.ended() == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut client = stage.connect().await;
    let call = request(1, "tools/list", &json!({}));
    assert_eq!(client.post(&[("Mcp-Session-Id", &idle)], &call).await.status, 404);
    assert_eq!(client.post(&[("Mcp-Session-Id", &open)], &call).await.status, 200);
    drop(standing);
    eventually("the other one ends, too", || stage.house.ended() == 2).await;
    stage.end().await;
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let stage = Stage::new().await;
    let id = stage.initialize().await;
    let all = [
        ("Mcp-Session-Id", id.as_str()),
        ("Content-Type", "application/json"),
        ("Accept", BOTH),
        ("Content-Length", "16777217"),
    ];
    // Told beforehand.
    let mut client = stage.connect().await;
    client.head("POST", "/mcp", &all).await;
    assert_eq!(client.answer().await.status, 413);
    // Found out on the way.
    let mut client = stage.connect().await;
    let mut chunked = all[..3].to_vec();
    chunked.push(("Transfer-Encoding", "chunked"));
    client.head("POST", "/mcp", &chunked).await;
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(1 << 20));
    for _ in 0..16 {
        client.write(chunk.as_bytes()).await;
    }
    client.write(b"1\r\n \r\n").await;
    assert_eq!(client.answer().await.status, 413);
    // Large, and within it.
    let mut client = stage.connect().await;
    let text = "y".repeat(15 << 20);
    let answer = client.post(&[("Mcp-Session-Id", &id)], &request(1, "x", &json!({"text": text}))).await;
    assert_eq!(answer.json()["result"]["text"].as_str().map(str::len), Some(15 << 20));
    // In chunks.
    let mut client = stage.connect().await;
    client.head("POST", "/mcp", &chunked).await;
    let call = request(1, "x", &json!({}));
    let (one, two) = call.split_at(10);
    client
        .write(format!("{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len()).as_bytes())
        .await;
    assert_eq!(client.answer().await.status, 200);
    stage.end().await;
}

#[tokio::test]
async fn heads_have_a_limit() {
    let stage = Stage::new().await;
    let mut client = stage.connect().await;
    let long = "x".repeat(200 << 10);
    client.write(format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n").as_bytes()).await;
    assert_eq!(client.answer_head().await.status, 431);
    let mut client = stage.connect().await;
    let many = "X: y\r\n".repeat(500);
    client.write(format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes()).await;
    assert_eq!(client.answer_head().await.status, 431);
    stage.end().await;
}

#[tokio::test]
async fn whoever_sends_slowly_is_not_waited_for() {
    let stage = Stage::with(|settings| {
        settings.times.head = Duration::from_millis(100);
        settings.times.body_pause = Duration::from_millis(100);
    })
    .await;
    for begun in ["", "P", "GET /mcp HT", "GET /mcp HTTP/1.1\r\nHost: localhost\r\nX", "PRI * HTTP"] {
        let mut client = stage.connect().await;
        client.write(begun.as_bytes()).await;
        assert!(client.is_closed().await, "{begun:?}");
    }
    let mut client = stage.connect().await;
    let headers = [("Content-Type", "application/json"), ("Content-Length", "100")];
    client.head("POST", "/mcp", &headers).await;
    client.write(b"{").await;
    assert_eq!(client.answer().await.status, 408);
    stage.end().await;
}

#[tokio::test]
async fn whoever_reads_slowly_holds_up_little() {
    let stage = Stage::with(|settings| settings.times.stalled = Duration::from_millis(300)).await;
    let id = stage.initialize().await;
    let meta = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
    }});
    for modern in [false, true] {
        stage.house.shared.flooded.store(0, Ordering::SeqCst);
        let mut client = stage.connect().await;
        let headers = match modern {
            true => [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "flood")],
            false => [("Mcp-Session-Id", id.as_str()), ("MCP-Protocol-Version", "2025-11-25")],
        };
        let params = if modern { meta.clone() } else { json!({}) };
        client.send_post(&headers, &request(1, "flood", &params)).await;
        assert!(client.answer_head().await.is_events());
        let mailbox = stage.house.shared.last.lock().unwrap().clone().unwrap();
        // 25 MB are to be sent. The client reads none of them, and is given up in time.
        let flooded = || stage.house.shared.flooded.load(Ordering::SeqCst);
        eventually("the flood begins", || flooded() > 10).await;
        if modern {
            eventually("the client is given up", || mailbox.is_closed()).await;
            assert!(flooded() < 400, "{}", flooded());
            assert_eq!(stage.house.shared.dropped.load(Ordering::SeqCst), 1, "which cancels its request");
        } else {
            // It might come back; its servers are not held up until then.
            eventually("the client is not waited for", || flooded() == 400).await;
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn large_answers_are_streamed() {
    let stage = Stage::new().await;
    let id = stage.initialize().await;
    let mut client = stage.connect().await;
    let size = 8 << 20;
    for headers in [vec![], vec![("Accept", "text/event-stream")]] {
        let mut all = vec![("Mcp-Session-Id", id.as_str())];
        all.extend(headers.iter());
        let answer = client.post(&all, &request(1, "x", &json!({"big": size}))).await;
        let json = if answer.is_events() { answer.events()[0].json() } else { answer.json() };
        assert_eq!(json["result"].as_str().map(str::len), Some(size));
    }
    stage.end().await;
}

#[tokio::test]
async fn http_2_without_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stage = Stage::new().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let url = format!("http://{}/mcp", stage.address);
    let post = |body: String| {
        client.post(&url).header("Content-Type", "application/json").header("Accept", BOTH).body(body)
    };
    let begun = post(INITIALIZE.to_owned()).send().await.unwrap();
    assert_eq!((begun.status().as_u16(), begun.version()), (200, http::Version::HTTP_2));
    let id = begun.headers()["mcp-session-id"].clone();
    let calls = (0..50).map(|id_of_call| {
        post(request(id_of_call, "note", &json!({}))).header("Mcp-Session-Id", id.clone()).send()
    });
    for answer in futures_util::future::join_all(calls).await {
        let text = answer.unwrap().text().await.unwrap();
        assert!(text.contains("\"result\""), "{text}");
    }
    // A stream that is closed cancels.
    let meta = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
    }});
    let listening = post(request(1, "subscriptions/listen", &meta))
        .header("MCP-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", "subscriptions/listen");
    let listening = listening.send().await.unwrap();
    assert_eq!(listening.status().as_u16(), 200);
    drop(listening);
    eventually("the listener is gone", || stage.house.shared.dropped.load(Ordering::SeqCst) == 1).await;
    let evil = post(INITIALIZE.to_owned()).header("Host", "evil.example").send().await.unwrap();
    assert_eq!(evil.status().as_u16(), 403);
    stage.end().await;
}

#[tokio::test]
async fn the_end_closes_streams_answers_calls_and_ends_sessions() {
    let stage = Stage::new().await;
    let id = stage.initialize().await;
    let mut standing = stage.connect().await;
    standing.head("GET", "/mcp", &[("Mcp-Session-Id", &id)]).await;
    standing.answer_head().await;
    let mut calling = stage.connect().await;
    calling.send_post(&[("Mcp-Session-Id", &id)], &request(1, "wait", &json!({}))).await;
    calling.answer_head().await;
    let mut idle = stage.connect().await;
    idle.send("GET", "/healthz", &[]).await;

    stage.shutdown.cancel();
    let goodbye = standing.event().await.unwrap();
    assert!(goodbye.retry.is_some() && goodbye.data.is_none());
    assert_eq!(standing.event().await, None);
    assert!(idle.is_closed().await);
    assert!(tokio::net::TcpStream::connect(stage.address).await.is_err(), "nobody is let in any more");
    stage.house.shared.gate.notify_one();
    assert_eq!(calling.event().await.unwrap().json()["id"], 1, "a call may end");
    let house = stage.house.clone();
    stage.end().await;
    assert_eq!(house.ended(), 1);
}

#[tokio::test]
async fn the_end_does_not_wait_for_ever() {
    let stage = Stage::with(|settings| settings.times.linger = Duration::from_millis(100)).await;
    let id = stage.initialize().await;
    let mut clients = Vec::new();
    for method in ["hang", "wait", "flood"] {
        let mut client = stage.connect().await;
        client.send_post(&[("Mcp-Session-Id", &id)], &request(1, method, &json!({}))).await;
        clients.push(client);
    }
    eventually("they are there", || stage.house.seen().len() == 4).await;
    let begun = Instant::now();
    stage.end().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
