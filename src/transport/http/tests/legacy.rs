//! Streamable HTTP of the revisions with sessions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::failure::Code;
use crate::transport::test_support::*;

/// A server that gives out a session and answers everything with `{}`.
fn plain(seen: &Seen) -> Reply {
    match (seen.method.as_str(), seen.message()) {
        ("POST", (method, id)) if method == "initialize" => {
            with(json(initialized(id)), "mcp-session-id", "abc")
        }
        ("POST", (_, 0)) => accepted(),
        ("POST", (_, id)) => json(result(id, "{}")),
        ("DELETE", _) => reply(204, "", ""),
        _ => reply(405, "", ""),
    }
}

#[tokio::test]
async fn session_revision_and_goodbye() {
    let server = Server::start(plain).await;
    let setup =
        Setup::new(server.url()).header("X-Key", "k").header("Accept", "x/y").header("Mcp-Session-Id", "z");
    let mut talk = setup.connect().await;
    talk.shake_hands().await;
    talk.ask(2, "tools/list").await;
    assert_eq!(talk.hear().await, format!("2: {}", result(2, "{}")));
    talk.say(r#"{"jsonrpc":"2.0","id":"q","result":{}}"#).await;
    server.until(|seen| seen.len() >= 5).await;
    talk.end().await;

    let seen = server.seen();
    let of =
        |method: &str| seen.iter().find(|seen| seen.body.contains(method) || seen.method == method).unwrap();
    let hello = of("initialize");
    assert_eq!((hello.header("mcp-session-id"), hello.header("mcp-protocol-version")), ("", ""));
    for name in ["notifications/initialized", "tools/list", r#""q""#, "GET", "DELETE"] {
        let later = of(name);
        assert_eq!(later.header("mcp-session-id"), "abc", "{name}");
        assert_eq!(later.header("mcp-protocol-version"), "2025-06-18", "{name}");
    }
    for post in seen.iter().filter(|seen| seen.method == "POST") {
        assert_eq!(post.header("accept"), "application/json, text/event-stream");
        assert_eq!(post.header("content-type"), "application/json");
        assert_eq!((post.header("x-key"), post.header("mcp-method")), ("k", ""));
        assert!(post.header("user-agent").starts_with("switchboard/"));
    }
    assert_eq!(of("GET").header("accept"), "text/event-stream");
    assert_eq!(seen.last().unwrap().method, "DELETE");
}

#[tokio::test]
async fn an_answer_as_a_stream_brings_what_belongs_to_the_call() {
    let server = Server::start(|seen| match seen.message() {
        (method, id) if method == "tools/call" => events(format!(
            ": hello\n\nid: 1\ndata:\n\n{}{}{}{}{}",
            event(r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#),
            event(r#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#),
            event(&result(99, "{}")),
            "event: other\ndata: x\n\n",
            event(&result(id, r#"{"n":1}"#)),
        )),
        _ => plain(seen),
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.shake_hands().await;
    talk.ask(2, "tools/call").await;
    assert_eq!(talk.hear().await, r#"2: {"jsonrpc":"2.0","method":"notifications/progress"}"#);
    assert_eq!(talk.hear().await, r#"2: {"jsonrpc":"2.0","id":5,"method":"roots/list"}"#);
    assert_eq!(talk.hear().await, format!("2: {}", result(2, r#"{"n":1}"#)));
    talk.end().await;
}

#[tokio::test]
async fn batches_are_handed_on_as_they_are() {
    let batch = r#"[{"jsonrpc":"2.0","method":"x"},{"jsonrpc":"2.0","id":2,"result":{}}]"#;
    let server = Server::start(move |seen| match seen.message() {
        (method, 2) if method == "tools/call" => json(batch),
        (method, 3) if method == "tools/call" => events(event(&batch.replace(":2,", ":3,"))),
        _ => plain(seen),
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.ask(2, "tools/call").await;
    assert_eq!(talk.hear().await, format!("2: {batch}"));
    talk.ask(3, "tools/call").await;
    assert_eq!(talk.hear().await, format!("3: {}", batch.replace(":2,", ":3,")));
    talk.end().await;
}

#[tokio::test]
async fn the_stream_for_everything_else_comes_back_where_it_broke() {
    let opened = AtomicUsize::new(0);
    let server = Server::start(move |seen| {
        if seen.method != "GET" {
            return plain(seen);
        }
        match opened.fetch_add(1, Ordering::SeqCst) {
            0 => events("retry: 1\nid: e7\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"a\"}\n\n"),
            1 => reply(503, "", ""),
            2 => {
                assert_eq!((seen.header("last-event-id"), seen.header("mcp-session-id")), ("e7", "abc"));
                events(event(r#"{"jsonrpc":"2.0","method":"b"}"#))
            }
            _ => reply(405, "", ""),
        }
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.shake_hands().await;
    assert_eq!(talk.hear().await, r#"-: {"jsonrpc":"2.0","method":"a"}"#);
    assert_eq!(talk.hear().await, r#"-: {"jsonrpc":"2.0","method":"b"}"#);
    server.until(|seen| seen.iter().filter(|seen| seen.method == "GET").count() == 4).await;
    assert!(talk.is_silent());
    talk.end().await;
}

#[tokio::test]
async fn a_broken_answer_is_taken_up_where_it_broke() {
    let writer = std::sync::Arc::new(Mutex::new(None));
    let keep = writer.clone();
    let server = Server::start(move |seen| match (seen.method.as_str(), seen.message()) {
        ("POST", (method, _)) if method == "tools/call" => {
            let (reply, writer) = streamed(200, "text/event-stream");
            writer
                .send(Ok("retry: 1\nid: p1\ndata:\n\nid: p2\ndata: {\"method\":\"x\"}\n\n".into()))
                .unwrap();
            *keep.lock().unwrap() = Some(writer);
            reply
        }
        ("GET", _) if seen.header("last-event-id") == "p2" => events("id: p3\ndata:\n\n"),
        ("GET", _) if seen.header("last-event-id") == "p3" => events(event(&result(2, "{}"))),
        _ => plain(seen),
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.shake_hands().await;
    talk.ask(2, "tools/call").await;
    assert_eq!(talk.hear().await, r#"2: {"method":"x"}"#);
    let broken = writer.lock().unwrap().take().unwrap();
    broken.send(Err(std::io::ErrorKind::ConnectionReset.into())).unwrap();
    assert_eq!(talk.hear().await, format!("2: {}", result(2, "{}")));
    assert_eq!(
        server.seen().iter().filter(|seen| seen.body.contains("tools/call")).count(),
        1,
        "nothing is sent twice"
    );
    talk.end().await;
}

#[tokio::test]
async fn a_broken_answer_without_a_place_to_return_to_is_lost() {
    let server = Server::start(|seen| match seen.message() {
        (method, _) if method == "tools/call" => events(event(r#"{"method":"x"}"#)),
        _ => plain(seen),
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.shake_hands().await;
    talk.ask(2, "tools/call").await;
    assert_eq!(talk.hear().await, r#"2: {"method":"x"}"#);
    talk.hear_failure(&["2 failed, Unknown", "ended the stream", "SB-NET-008"]).await;
    talk.end().await;
}

#[tokio::test]
async fn a_forgotten_session_ends_the_connection() {
    let refusals: [(u16, &str); 3] = [
        (404, ""),
        (404, r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32001,"message":"Session not found"}}"#),
        (
            400,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"No valid session ID provided"}}"#,
        ),
    ];
    for (status, body) in refusals {
        let server = Server::start(move |seen| match seen.message() {
            (method, _) if method == "tools/call" => reply(status, "application/json", body),
            _ => plain(seen),
        })
        .await;
        let mut talk = Setup::new(server.url()).connect().await;
        talk.shake_hands().await;
        talk.ask(2, "tools/call").await;
        talk.hear_failure(&["2 failed, SendAgain", "server `s`", "forgotten the session", "SB-NET-008"])
            .await;
        assert_eq!(talk.over_as().await.code, Code::NetLost);
        assert_eq!(talk.over_as().await.code, Code::NetLost, "it says the same again");
        talk.end().await;
        assert!(server.seen().iter().all(|seen| seen.method != "DELETE"), "there is nothing to end");
    }
}

#[tokio::test]
async fn an_error_is_an_answer_and_no_lost_session() {
    let answers: [(u16, &str); 3] = [
        (404, r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"no such method"}}"#),
        (400, r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"which session?"}}"#),
        (500, r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"oh"}}"#),
    ];
    for (status, body) in answers {
        let server = Server::start(move |seen| match seen.message() {
            (method, _) if method == "tools/call" => reply(status, "application/json", body),
            _ => plain(seen),
        })
        .await;
        let mut talk = Setup::new(server.url()).connect().await;
        talk.shake_hands().await;
        talk.ask(2, "tools/call").await;
        assert_eq!(talk.hear().await, format!("2: {body}"));
        talk.end().await;
    }
}

#[tokio::test]
async fn a_cancellation_is_told_and_then_the_stream_is_closed() {
    let writer = std::sync::Arc::new(Mutex::new(None));
    let keep = writer.clone();
    let server = Server::start(move |seen| match seen.message() {
        (method, _) if method == "tools/call" => {
            let (reply, writer) = streamed(200, "text/event-stream");
            *keep.lock().unwrap() = Some(writer);
            reply
        }
        _ => plain(seen),
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.shake_hands().await;
    talk.ask(2, "tools/call").await;
    until(|| writer.lock().unwrap().is_some()).await;
    talk.cancel(77).await;
    talk.cancel(2).await;
    let writer = writer.lock().unwrap().take().unwrap();
    gone(&writer).await;
    let told: Vec<Seen> = server.seen().into_iter().filter(|seen| seen.body.contains("cancelled")).collect();
    assert_eq!(told.len(), 1, "an unknown request is not cancelled");
    assert_eq!((told[0].body.contains(r#""requestId":2"#), told[0].header("mcp-session-id")), (true, "abc"));
    assert!(talk.is_silent());
    talk.end().await;
}

#[tokio::test]
async fn notifications_and_answers_keep_their_order() {
    let server = Server::start(plain).await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.shake_hands().await;
    for number in 0..20 {
        talk.say(format!(r#"{{"jsonrpc":"2.0","id":"{number}","result":{{}}}}"#)).await;
    }
    let is_answer = |seen: &&Seen| seen.body.contains("result");
    let seen = server.until(|seen| seen.iter().filter(is_answer).count() == 20).await;
    let order: Vec<String> = seen.iter().filter(is_answer).map(|seen| seen.body.clone()).collect();
    let expected: Vec<String> =
        (0..20).map(|number| format!(r#"{{"jsonrpc":"2.0","id":"{number}","result":{{}}}}"#)).collect();
    assert_eq!(order, expected);
    talk.end().await;
}

#[tokio::test]
async fn calls_do_not_wait_for_each_other() {
    let waiting = std::sync::Arc::new(Mutex::new(Vec::new()));
    let keep = waiting.clone();
    let server = Server::start(move |seen| match seen.message() {
        (method, id) if method == "tools/call" => {
            let (reply, writer) = streamed(200, "application/json");
            keep.lock().unwrap().push((id, writer));
            reply
        }
        _ => plain(seen),
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    for id in 2..12 {
        talk.ask(id, "tools/call").await;
    }
    until(|| waiting.lock().unwrap().len() == 10).await;
    for (id, writer) in waiting.lock().unwrap().drain(..).rev() {
        writer.send(Ok(result(id, "{}").into())).unwrap();
    }
    let mut heard = Vec::new();
    for _ in 0..10 {
        heard.push(talk.hear().await);
    }
    heard.sort();
    assert!(heard.iter().all(|heard| heard.contains(r#""result":{}"#)), "{heard:?}");
    talk.end().await;
}

#[tokio::test]
async fn nothing_overtakes_a_change_of_the_level() {
    let order: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&order);
    let server = Server::start(move |seen| match seen.message() {
        (method, id) if method == "logging/setLevel" => {
            let (reply, writer) = streamed(200, "application/json");
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                noted.lock().unwrap().push("the level is set".into());
                writer.send(Ok(result(id, "{}").into())).unwrap();
            });
            reply
        }
        (method, _) if method == "resources/subscribe" => {
            noted.lock().unwrap().push(method);
            plain(seen)
        }
        _ => plain(seen),
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.shake_hands().await;
    talk.ask(2, "logging/setLevel").await;
    talk.ask(3, "resources/subscribe").await;
    for id in [2, 3] {
        assert_eq!(talk.hear().await, format!("{id}: {}", result(id, "{}")));
    }
    assert_eq!(*order.lock().unwrap(), ["the level is set", "resources/subscribe"]);
    talk.end().await;
}

#[tokio::test]
async fn what_may_make_the_server_speak_waits_until_we_listen() {
    let order: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&order);
    let server = Server::start(move |seen| {
        let (method, id) = seen.message();
        noted.lock().unwrap().push(if method.is_empty() { seen.method.clone() } else { method });
        match (seen.method.as_str(), id) {
            ("GET", _) => {
                let (reply, writer) = streamed(200, "text/event-stream");
                tokio::spawn(async move { writer.closed().await });
                reply
            }
            _ => plain(seen),
        }
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.shake_hands().await;
    talk.ask(2, "tools/call").await;
    assert_eq!(talk.hear().await, format!("2: {}", result(2, "{}")));
    talk.end().await;
    let order = order.lock().unwrap();
    assert_eq!(order[..4], ["initialize", "notifications/initialized", "GET", "tools/call"]);
}
