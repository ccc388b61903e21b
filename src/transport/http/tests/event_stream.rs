//! HTTP with SSE, and how a server that speaks nothing else is found.

use std::sync::{Arc, Mutex};

use crate::config::RemoteKind;
use crate::failure::Code;
use crate::transport::test_support::*;

/// A server of 2024-11-05: POST at `/mcp` is refused, `/mcp/messages` answers on the stream.
async fn old_server(refusal: fn() -> Reply) -> (Server, Arc<Mutex<Option<Writer>>>) {
    let stream: Arc<Mutex<Option<Writer>>> = Arc::default();
    let keep = stream.clone();
    let server = Server::start(move |seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/mcp") => {
            let (reply, writer) = streamed(200, "text/event-stream; charset=utf-8");
            writer.send(Ok("event: endpoint\r\ndata: mcp/messages?s=1\r\n\r\n".into())).unwrap();
            *keep.lock().unwrap() = Some(writer);
            reply
        }
        ("POST", "/mcp/messages?s=1") => {
            let answer = match seen.message() {
                (_, 0) => None,
                (method, id) if method == "initialize" => Some(initialized(id)),
                (_, id) => Some(result(id, "{}")),
            };
            if let (Some(answer), Some(writer)) = (answer, &*keep.lock().unwrap()) {
                writer.send(Ok(format!("event: message\n{}", event(&answer)).into())).unwrap();
            }
            reply(202, "text/plain", "Accepted")
        }
        _ => refusal(),
    })
    .await;
    (server, stream)
}

fn method_not_allowed() -> Reply {
    reply(405, "text/plain", "Method Not Allowed")
}

#[tokio::test]
async fn a_server_of_the_old_transport_is_found_and_remembered() {
    let nameless = || {
        reply(
            404,
            "application/json",
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no"}}"#,
        )
    };
    for refusal in [method_not_allowed, nameless, || reply(400, "text/html", "<html>")] {
        let (server, _stream) = old_server(refusal).await;
        let setup = Setup::new(server.url());
        let transport = setup.transport().unwrap();
        let mut talk = Talk::over(&*transport, &setup).await.unwrap();
        talk.ask(1, "initialize").await;
        assert_eq!(talk.hear().await, format!("-: {}", initialized(1)));
        talk.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        talk.ask(2, "tools/list").await;
        assert_eq!(talk.hear().await, format!("-: {}", result(2, "{}")));
        talk.cancel(2).await;
        server.until(|seen| seen.iter().any(|seen| seen.body.contains("cancelled"))).await;
        talk.end().await;
        let before = server.seen().len();

        let mut talk = Talk::over(&*transport, &setup).await.unwrap();
        talk.ask(1, "initialize").await;
        talk.hear().await;
        talk.end().await;
        assert!(
            server.seen()[before..]
                .iter()
                .all(|seen| (seen.method.as_str(), seen.path.as_str()) != ("POST", "/mcp"))
        );
    }
}

#[tokio::test]
async fn only_a_refused_initialize_leads_to_the_old_transport() {
    let (server, _stream) = old_server(method_not_allowed).await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.ask(1, "tools/list").await;
    talk.hear_failure(&["1 failed, NotRun", "405"]).await;
    talk.end().await;
    let mut talk = Setup::new(server.url()).kind(RemoteKind::Http).connect().await;
    talk.ask(1, "initialize").await;
    talk.hear_failure(&["1 failed, NotRun", "405"]).await;
    talk.end().await;
    assert!(server.seen().iter().all(|seen| seen.method == "POST"));
}

#[tokio::test]
async fn an_error_of_our_own_is_an_answer_to_initialize() {
    let refusals: [&'static str; 2] = [
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"no"}}"#,
    ];
    for refusal in refusals {
        let server = Server::start(move |_| reply(400, "application/json", refusal)).await;
        let mut talk = Setup::new(server.url()).connect().await;
        talk.ask(1, "initialize").await;
        assert_eq!(talk.hear().await, format!("1: {}", refusal.replace("null", "1")));
        assert_eq!(server.seen().len(), 1);
        talk.end().await;
    }
}

#[tokio::test]
async fn when_both_fail_both_are_told() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "POST" => reply(404, "text/plain", "no such page"),
        _ => reply(418, "text/plain", "tea"),
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.ask(1, "initialize").await;
    talk.hear_failure(&[
        "1 failed, NotRun",
        "404 Not Found: no such page",
        "418 I'm a teapot: tea",
        "SB-NET-005",
    ])
    .await;
    talk.end().await;
}

#[tokio::test]
async fn messages_are_not_carried_to_another_origin() {
    let thief = Server::start(|_| accepted()).await;
    let stolen = format!("event: endpoint\ndata: http://{}/messages\n\n", thief.address);
    let server = Server::start(move |_| events(stolen.clone())).await;
    let setup = Setup::new(server.url()).kind(RemoteKind::Sse).header("Authorization", "Bearer x");
    let failure = Talk::over(&*setup.transport().unwrap(), &setup).await.err().unwrap();
    assert_eq!(
        (failure.code, failure.cause.contains("another origin")),
        (Code::NetRedirect, true),
        "{failure}"
    );
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn a_stream_that_is_not_the_old_transport() {
    let starts = [
        ("text/event-stream", "data: {}\n\n", "does not begin"),
        ("text/event-stream", ": hi\n\n", "ended before"),
        ("application/json", "{}", "with `application/json`"),
        ("text/event-stream", "event: endpoint\ndata: http://[\n\n", "is none"),
    ];
    for (kind, body, expected) in starts {
        let server = Server::start(move |_| {
            let (reply, writer) = streamed(200, kind);
            writer.send(Ok(body.into())).unwrap();
            reply
        })
        .await;
        let setup = Setup::new(server.url()).kind(RemoteKind::Sse);
        let failure = Talk::over(&*setup.transport().unwrap(), &setup).await.err().unwrap();
        assert!(failure.code == Code::NetProtocol && failure.cause.contains(expected), "{failure}");
    }
}

#[tokio::test]
async fn the_end_of_the_stream_is_the_end_of_the_session() {
    let (server, stream) = old_server(method_not_allowed).await;
    let mut talk = Setup::new(server.url()).kind(RemoteKind::Sse).connect().await;
    talk.ask(1, "initialize").await;
    talk.hear().await;
    stream.lock().unwrap().take();
    assert_eq!(talk.over_as().await.code, Code::NetLost);
    talk.end().await;
}

#[tokio::test]
async fn nobody_hears_an_answer_to_a_session_that_is_forgotten() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "GET" => {
            let (reply, writer) = streamed(200, "text/event-stream");
            writer.send(Ok("event: endpoint\ndata: /m\n\n".into())).unwrap();
            tokio::spawn(async move { writer.closed().await });
            reply
        }
        _ => reply(404, "text/plain", "Could not find session"),
    })
    .await;
    let mut talk = Setup::new(server.url()).kind(RemoteKind::Sse).connect().await;
    talk.ask(1, "tools/list").await;
    talk.hear_failure(&["1 failed, SendAgain"]).await;
    assert_eq!(talk.over_as().await.code, Code::NetLost);
    talk.end().await;
}
