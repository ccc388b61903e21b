//! Servers that lie, dawdle, flood and send us elsewhere.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::transport::Patience;
use crate::transport::test_support::*;

/// Asks once and expects a failure with these parts.
async fn check(setup: Setup, expected: &[&str]) {
    let mut talk = setup.connect().await;
    talk.ask(2, "tools/call").await;
    talk.hear_failure(expected).await;
    talk.end().await;
}

async fn check_reply(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static, expected: &[&str]) {
    let server = Server::start(script).await;
    check(Setup::new(server.url()), expected).await;
}

#[tokio::test]
async fn nobody_there() {
    let server = Server::start(|_| accepted()).await;
    let url = server.url();
    drop(server);
    until(|| {
        std::net::TcpStream::connect(url.trim_start_matches("http://").trim_end_matches("/mcp")).is_err()
    })
    .await;
    check(Setup::new(url), &["2 failed, NotRun", "nobody listens", "SB-NET-002"]).await;
}

#[tokio::test]
async fn a_silent_stream() {
    let server = Server::start(|_| {
        let (reply, writer) = streamed(200, "text/event-stream");
        tokio::spawn(async move { writer.closed().await });
        reply
    })
    .await;
    let mut setup = Setup::new(server.url());
    setup.patience.quiet = Duration::from_millis(30);
    check(setup, &["2 failed, Unknown", "fell silent", "SB-NET-004"]).await;
}

#[tokio::test]
async fn a_head_that_does_not_come() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_, _folder, ca) = certificate("h2");
    let mut setup = Setup::new(format!("https://localhost:{}/mcp", listener.local_addr().unwrap().port()));
    setup.launch.ca = Some(ca);
    setup.patience.connect = Duration::from_millis(50);
    check(setup, &["2 failed, NotRun", "did not take the connection in time", "SB-NET-004"]).await;
    let mut setup = Setup::new(format!("http://{}/mcp", listener.local_addr().unwrap()));
    setup.patience.answer = Duration::from_millis(50);
    check(setup, &["2 failed, Unknown", "did not begin to answer", "SB-NET-004"]).await;
}

#[tokio::test]
async fn statuses() {
    check_reply(
        |_| with(reply(429, "text/plain", "slow\x1b[1m down\n\n"), "retry-after", "2"),
        &[
            "2 failed, NotRun",
            "429 Too Many Requests: slow [1m down; it asks to wait 2 s",
            "later",
            "SB-NET-005",
        ],
    )
    .await;
    check_reply(
        |_| with(reply(503, "text/html", "<html>busy</html>"), "retry-after", "7"),
        &["2 failed, Unknown", "503 Service Unavailable; it asks to wait 7 s", "SB-NET-009"],
    )
    .await;
    check_reply(
        |_| reply(500, "application/json", r#"{"jsonrpc":"2.0","id":null,"error":{"message":"oh"}}"#),
        &["2 failed, Unknown", "500 Internal Server Error: oh"],
    )
    .await;
    check_reply(|_| reply(404, "text/plain", ""), &["2 failed, NotRun", "404", "path of `url`"]).await;
}

#[tokio::test]
async fn answers_that_are_none() {
    check_reply(|_| json(result(3, "{}")), &["2 failed, Unknown", "another request", "SB-NET-006"]).await;
    check_reply(|_| events(event(&result(3, "{}"))), &["2 failed, Unknown", "before it had answered"]).await;
    check_reply(|_| accepted(), &["2 failed, Unknown", "202 Accepted, but sent no answer", "SB-NET-006"])
        .await;
    check_reply(|_| json("{\"jsonrpc\":"), &["2 failed, Unknown", "not JSON-RPC", "SB-CALL-006"]).await;
    check_reply(
        |_| reply(200, "text/html; charset=utf-8", "<html>"),
        &["2 failed, Unknown", "answered with `text/html`", "SB-NET-006"],
    )
    .await;
}

#[tokio::test]
async fn an_answer_of_another_type_is_still_an_answer() {
    let server = Server::start(|seen| reply(200, "text/plain", result(seen.message().1, "{}"))).await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.ask(2, "tools/call").await;
    assert_eq!(talk.hear().await, format!("2: {}", result(2, "{}")));
    talk.end().await;
}

#[tokio::test]
async fn redirects_stay_within_the_origin() {
    let thief = Server::start(|_| accepted()).await;
    let elsewhere = format!("http://{}/mcp?token=1", thief.address);
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = elsewhere.clone();
        let server = Server::start(move |_| with(reply(status, "", ""), "location", &elsewhere)).await;
        let setup = Setup::new(server.url()).header("Authorization", "Bearer secret");
        let wanted = format!("write `http://{}/mcp` as `url`", thief.address);
        check(setup, &["2 failed, NotRun", "another origin", &wanted, "SB-NET-007"]).await;
        assert_eq!(server.seen().len(), 1);
    }
    assert!(thief.seen().is_empty());

    let server = Server::start(|seen| match seen.path.as_str() {
        "/mcp" => with(reply(308, "", ""), "location", "/mcp/"),
        "/loop" => with(reply(307, "", ""), "location", "/loop"),
        "/get" => with(reply(303, "", ""), "location", "/mcp/"),
        _ => json(result(seen.message().1, "{}")),
    })
    .await;
    let mut talk = Setup::new(server.url()).header("Authorization", "Bearer secret").connect().await;
    talk.ask(2, "tools/call").await;
    assert_eq!(talk.hear().await, format!("2: {}", result(2, "{}")));
    talk.end().await;
    let last = server.seen().pop().unwrap();
    assert_eq!((last.method.as_str(), last.header("authorization")), ("POST", "Bearer secret"));
    check(Setup::new(server.url().replace("/mcp", "/loop")), &["2 failed, NotRun", "SB-NET-007"]).await;
    assert_eq!(server.seen().iter().filter(|seen| seen.path == "/loop").count(), 6);
    check(Setup::new(server.url().replace("/mcp", "/get")), &["2 failed, NotRun", "`/mcp/`", "SB-NET-007"])
        .await;
}

#[tokio::test]
async fn answers_without_an_end() {
    let long = || Bytes::from(vec![b'x'; 100_000]);
    let flood = move |kind: &'static str| {
        move |_: &Seen| {
            let (reply, writer) = streamed(200, kind);
            writer.send(Ok(if kind == "text/event-stream" { "data: ".into() } else { "\"".into() })).unwrap();
            tokio::spawn(async move {
                while writer.send(Ok(long())).is_ok() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            reply
        }
    };
    check_reply(flood("application/json"), &["2: too long, 1"]).await;
    check_reply(flood("text/event-stream"), &["2 failed, Unknown", "does not end", "SB-NET-006"]).await;
    check_reply(
        |_| with(json(vec![b' '; 2 << 20]), "content-length", &(2 << 20).to_string()),
        &["2: too long, 2097152"],
    )
    .await;
}

#[tokio::test]
async fn a_bomb_is_measured_unpacked() {
    let packed = |text: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    };
    let bomb = packed(&vec![b' '; 50 << 20]);
    assert!(bomb.len() < 100_000);
    check_reply(
        move |seen| {
            assert!(seen.header("accept-encoding").contains("gzip"));
            with(json(bomb.clone()), "content-encoding", "gzip")
        },
        &["2: too long"],
    )
    .await;
    check_reply(
        |_| with(json("not packed"), "content-encoding", "gzip"),
        &["2 failed, Unknown", "cannot be unpacked", "SB-NET-006"],
    )
    .await;
    let server = Server::start(move |seen| {
        with(json(packed(result(seen.message().1, "{}").as_bytes())), "content-encoding", "gzip")
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.ask(2, "tools/call").await;
    assert_eq!(talk.hear().await, format!("2: {}", result(2, "{}")));
    talk.end().await;
}

#[tokio::test]
async fn a_long_event_is_told_and_the_stream_goes_on() {
    let server = Server::start(|seen| {
        let id = seen.message().1;
        let long = "x".repeat(2 << 20);
        let body = match id {
            2 => format!(
                "{}{}",
                event(&format!(r#"{{"method":"x","params":"{long}"}}"#)),
                event(&result(2, "{}"))
            ),
            _ => event(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{long}"}}"#)),
        };
        events(body)
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.ask(2, "tools/call").await;
    talk.hear_failure(&["2: too long, 20971"]).await;
    assert_eq!(talk.hear().await, format!("2: {}", result(2, "{}")));
    talk.ask(3, "tools/call").await;
    talk.hear_failure(&["3: too long, 20971"]).await;
    talk.ask(4, "tools/call").await;
    talk.hear_failure(&["4: too long"]).await;
    assert!(talk.is_silent(), "an answer that was too long is an answer");
    talk.end().await;
}

/// Sends a byte now and then.
fn trickle(
    kind: &'static str,
    byte: &'static str,
    pause: Duration,
    count: usize,
    last: &'static str,
) -> Reply {
    let (reply, writer) = streamed(200, kind);
    tokio::spawn(async move {
        for _ in 0..count {
            if writer.send(Ok(byte.into())).is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
        let _ = writer.send(Ok(last.into()));
    });
    reply
}

#[tokio::test]
async fn trickles_are_not_waited_for() {
    let pause = Duration::from_millis(10);
    let server = Server::start(move |_| trickle("application/json", " ", pause, 10_000, "")).await;
    let mut setup = Setup::new(server.url());
    setup.patience.body = Duration::from_millis(100);
    check(setup, &["2 failed, Unknown", "too slowly", "SB-NET-004"]).await;

    let server = Server::start(move |_| trickle("text/event-stream", "data: x\n", pause, 10_000, "")).await;
    let mut setup = Setup::new(server.url());
    setup.patience.quiet = Duration::from_millis(100);
    check(setup, &["2 failed, Unknown", "too slow", "SB-NET-004"]).await;
}

#[tokio::test]
async fn comments_keep_a_stream_open() {
    let pause = Duration::from_millis(50);
    let answer = "data: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n\n";
    let server = Server::start(move |_| trickle("text/event-stream", ":\n", pause, 14, answer)).await;
    let mut setup = Setup::new(server.url());
    setup.patience = Patience { quiet: Duration::from_millis(500), ..setup.patience };
    let mut talk = setup.connect().await;
    talk.ask(2, "tools/call").await;
    assert_eq!(talk.hear().await, format!("2: {}", result(2, "{}")));
    talk.end().await;
}

#[tokio::test]
async fn a_dropped_connection_leaves_nothing_running() {
    let writer = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = writer.clone();
    let server = Server::start(move |_| {
        let (reply, writer) = streamed(200, "text/event-stream");
        *keep.lock().unwrap() = Some(writer);
        reply
    })
    .await;
    let talk = Setup::new(server.url()).connect().await;
    talk.ask(2, "tools/call").await;
    until(|| writer.lock().unwrap().is_some()).await;
    drop(talk);
    let writer = writer.lock().unwrap().take().unwrap();
    gone(&writer).await;
}

#[tokio::test]
async fn one_connection_serves_call_after_call() {
    let connections = std::sync::Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let count = connections.clone();
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let script = |seen: &Seen| match seen.message().1 {
                id if id % 2 == 0 => json(result(id, "{}")),
                id => events(event(&result(id, "{}"))),
            };
            tokio::spawn(serve(stream, std::sync::Arc::new(script), std::sync::Arc::default()));
        }
    });
    let mut talk = Setup::new(url).connect().await;
    for id in 1..=20 {
        talk.ask(id, "tools/call").await;
        assert_eq!(talk.hear().await, format!("{id}: {}", result(id, "{}")));
    }
    // A stream is read to its end after the answer, which the next call does not wait for.
    let most = connections.load(Ordering::SeqCst);
    assert!(most <= 3, "{most} connections");
    talk.end().await;
    accepting.abort();
}
