//! A scripted server plays the other side of a WebSocket.

#![expect(clippy::result_large_err, reason = "the types of the library's callback")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::*;
use crate::config::RemoteKind;
use crate::transport::test_support::{Setup, Talk, certificate, until};

type Headers = Arc<Mutex<Vec<HeaderMap>>>;

/// Takes one connection; `choose` decides about the handshake.
async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    headers: Headers,
    choose: impl Fn(&Request, Response) -> Result<Response, ErrorResponse> + Unpin,
) -> Option<WebSocketStream<S>> {
    let callback = move |request: &Request, response: Response| {
        headers.lock().unwrap().push(request.headers().clone());
        choose(request, response)
    };
    accept_hdr_async(stream, callback).await.ok()
}

fn with_protocol(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    if let Some(protocol) = request.headers().get(SEC_WEBSOCKET_PROTOCOL) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol.clone());
    }
    Ok(response)
}

/// Answers every message with `{"got": MESSAGE}`.
async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: WebSocketStream<S>) {
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Text(text) = message {
            let _ = stream.send(Message::Text(format!("{{\"got\":{text}}}").into())).await;
        }
    }
}

fn setup(url: String) -> Setup {
    Setup::new(url).kind(RemoteKind::WebSocket)
}

async fn fails(setup: Setup) -> Failure {
    Talk::over(&*setup.transport().unwrap(), &setup).await.err().unwrap()
}

#[tokio::test]
async fn messages_go_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/mcp?x=1", listener.local_addr().unwrap());
    let headers = Headers::default();
    let seen = headers.clone();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        echo(accept(stream, seen, with_protocol).await.unwrap()).await;
    });
    let mut talk = setup(url).header("X-Key", "k").header("Authorization", "Bearer t").connect().await;
    talk.say("{\"a\":\"ü\"}").await;
    assert_eq!(talk.hear().await, "-: {\"got\":{\"a\":\"ü\"}}");
    talk.end().await;
    server.await.expect("the server sees the end");
    let headers = headers.lock().unwrap();
    let one = |name: &str| headers[0][name].to_str().unwrap();
    assert_eq!((one("sec-websocket-protocol"), one("x-key"), one("authorization")), ("mcp", "k", "Bearer t"));
}

#[tokio::test]
async fn a_server_that_knows_no_protocols() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let headers = Headers::default();
    let seen = headers.clone();
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Some(stream) = accept(stream, seen.clone(), |_, response| Ok(response)).await {
                tokio::spawn(echo(stream));
            }
        }
    });
    let mut talk = setup(url).connect().await;
    talk.say("{}").await;
    assert_eq!(talk.hear().await, "-: {\"got\":{}}");
    talk.end().await;
    let asked: Vec<bool> =
        headers.lock().unwrap().iter().map(|headers| headers.contains_key(SEC_WEBSOCKET_PROTOCOL)).collect();
    assert_eq!(asked, [true, false]);
    server.abort();
}

#[tokio::test]
async fn tls_with_a_private_authority() {
    let (acceptor, _folder, ca) = certificate("http/1.1");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            if let Some(stream) = accept(stream, Headers::default(), with_protocol).await {
                tokio::spawn(echo(stream));
            }
        }
    });
    let (_, _other_folder, other) = certificate("http/1.1");
    let mut wrong = setup(url.clone());
    wrong.launch.ca = Some(other);
    let failure = fails(wrong).await;
    assert_eq!(failure.code, Code::NetTls, "{failure}");
    let mut right = setup(url);
    right.launch.ca = Some(ca);
    let mut talk = right.connect().await;
    talk.say("{}").await;
    assert_eq!(talk.hear().await, "-: {\"got\":{}}");
    talk.end().await;
    server.abort();
}

#[tokio::test]
async fn what_is_too_long_is_told_and_a_flood_is_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = accept(stream, Headers::default(), with_protocol).await.unwrap();
        for size in [2000, 10, 5000] {
            let _ = stream.send(Message::Text("x".repeat(size).into())).await;
        }
        while let Some(Ok(_)) = stream.next().await {}
    });
    let mut setup = setup(url);
    setup.max_message = 1000;
    let mut talk = setup.connect().await;
    assert_eq!(talk.hear().await, "-: too long, 2000");
    assert_eq!(talk.hear().await, "-: xxxxxxxxxx");
    let failure = talk.over_as().await;
    assert!(failure.code == Code::NetProtocol && failure.cause.contains("5000 bytes"), "{failure}");
    talk.end().await;
    server.await.unwrap();
}

#[tokio::test]
async fn the_end_and_the_refusals() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = accept(stream, Headers::default(), with_protocol).await.unwrap();
        stream.close(None).await.unwrap();
        while let Some(Ok(_)) = stream.next().await {}
        for status in [401, 503] {
            let (stream, _) = listener.accept().await.unwrap();
            let refuse = |_: &Request, _: Response| {
                let mut refusal = ErrorResponse::new(Some("go away".to_owned()));
                *refusal.status_mut() = http::StatusCode::from_u16(status).unwrap();
                Err(refusal)
            };
            accept(stream, Headers::default(), refuse).await;
        }
    });
    let url = format!("ws://{address}/secret");
    let mut talk = setup(url.clone()).connect().await;
    let failure = talk.over_as().await;
    assert!(failure.code == Code::NetLost && failure.cause.contains("closed the connection"), "{failure}");
    talk.end().await;
    let failure = fails(setup(url.clone())).await;
    assert_eq!(failure.code, Code::AuthRefused, "{failure}");
    let failure = fails(setup(url.clone())).await;
    assert!(failure.code == Code::NetServerError && failure.cause.contains("503"), "{failure}");
    server.await.unwrap();
    until(|| std::net::TcpStream::connect(address).is_err()).await;
    let failure = fails(setup(url)).await;
    assert_eq!((failure.code, failure.cause.contains("secret")), (Code::NetUnreachable, false), "{failure}");
}

#[tokio::test]
async fn a_server_that_does_not_shake_hands() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut setup = setup(format!("ws://{}/", listener.local_addr().unwrap()));
    setup.patience.head = Duration::from_millis(50);
    let failure = fails(setup).await;
    assert_eq!(failure.code, Code::NetTimeout, "{failure}");
}
