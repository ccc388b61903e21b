//! The WebSocket face: a text frame per message, as the community's transport does it.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::output::{Op, Output};
use super::receive::receive;
use super::serve::record_of;
use super::server::Server;
use super::session::Session;

/// The subprotocol that clients may offer.
const PROTOCOL: &str = "mcp";

/// Where clients connect unless the script says otherwise.
pub(super) const DEFAULT_PATH: &str = "/mcp";

/// Serves one connection until it ends.
pub(super) async fn connection(server: Arc<Server>, stream: TcpStream) {
    #[expect(clippy::result_large_err, reason = "the library gives the callback's type")]
    let handshake = |request: &Request, response: Response| greet(&server, request, response);
    let Ok(stream) = tokio_tungstenite::accept_hdr_async(stream, handshake).await else { return };
    let (mut sink, mut frames) = stream.split();
    let (output, mut queue) = Output::channel();
    let session = Session::begin(&server, output);
    let _stop = session.stop.clone().drop_guard();
    let mut record = record_of(&server);
    let reading = async {
        while let Some(Ok(frame)) = frames.next().await {
            let message = match frame {
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Binary(bytes) => bytes.to_vec(),
                Message::Close(_) => return,
                _ => continue,
            };
            if let Some(file) = &mut record {
                use std::io::Write as _;
                // A record that cannot be written is missed by whoever reads it.
                let _ = file.write_all(&[&message[..], b"\n"].concat());
            }
            receive(&session, &message).await;
        }
    };
    let writing = async {
        while let Some(op) = queue.recv().await {
            let frame = match op {
                Op::Message(bytes, _) | Op::Bytes(bytes) => match String::from_utf8(bytes) {
                    Ok(text) => Message::text(text),
                    Err(error) => Message::binary(error.into_bytes()),
                },
                Op::Close => Message::Close(None),
                Op::End(outcome) => {
                    server.end.send_replace(Some(outcome));
                    return;
                }
            };
            if sink.send(frame).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}

/// Examines the first request: the path, the token, the subprotocol.
#[expect(clippy::result_large_err, reason = "the library gives the callback's type")]
fn greet(server: &Server, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let settings = &server.plan.http;
    let refuse = |status: http::StatusCode| {
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = status;
        refusal
    };
    if request.uri().path() != server.path(DEFAULT_PATH) {
        return Err(refuse(http::StatusCode::NOT_FOUND));
    }
    if let Some(bearer) = &settings.bearer {
        let shown = request.headers().get(http::header::AUTHORIZATION);
        if shown.is_none_or(|shown| shown.as_bytes() != format!("Bearer {bearer}").as_bytes()) {
            return Err(refuse(http::StatusCode::UNAUTHORIZED));
        }
    }
    let offered = request.headers().get_all(http::header::SEC_WEBSOCKET_PROTOCOL);
    let offers = |value: &http::HeaderValue| {
        value.to_str().is_ok_and(|value| value.split(',').any(|offer| offer.trim() == PROTOCOL))
    };
    if offered.iter().any(offers) {
        let protocol = http::HeaderValue::from_static(PROTOCOL);
        response.headers_mut().insert(http::header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}
