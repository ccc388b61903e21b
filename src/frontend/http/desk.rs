//! The desk at the door: every request comes by here and is sent where it belongs.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Times;
use super::accept;
use super::guard::{self, Guard};
use super::house::{House, Principal};
use super::message;
use super::modern;
use super::reply::{self, Refusal, Reply, SESSION_ID};
use super::session::Sessions;
use crate::protocol::codes;
use crate::trace;

/// The longest body that is read: what is read from a client elsewhere, too.
pub(super) const MAX_BODY: usize = 16 << 20;

/// How much of a refused body is read, and for how long.
const DRAINED: usize = 256 * 1024;
const DRAINING: Duration = Duration::from_millis(500);

/// What is at which path.
enum Room {
    /// Streamable HTTP.
    Mcp,
    /// The stream of HTTP+SSE.
    Sse,
    /// Where clients of HTTP+SSE post.
    Messages,
}

/// What all connections share.
pub(super) struct Desk {
    pub(super) house: Arc<dyn House>,
    pub(super) guard: Guard,
    pub(super) sessions: Arc<Sessions>,
    pub(super) times: Times,
    /// We are about to end: streams that only wait for news are closed.
    pub(super) closing: CancellationToken,
    /// We end: streams of calls are closed, too.
    pub(super) ending: CancellationToken,
    /// Tasks that work for sessions.
    pub(super) helpers: TaskTracker,
}

impl Desk {
    /// Answers one request. Who may not come in learns nothing else.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Reply {
        let (request, mut body) = request.into_parts();
        let (reply, origin) = match self.guard.admit(&request) {
            Ok(origin) => (self.route(&request, &mut body).await, origin),
            Err(refusal) => (Err(refusal), None),
        };
        let mut reply = match reply {
            Ok(reply) => reply,
            Err(refusal) => {
                drain(&mut body).await;
                refusal.reply()
            }
        };
        if let Some(origin) = origin {
            guard::expose(&mut reply, origin);
        }
        reply
    }

    async fn route(&self, request: &Parts, body: &mut Incoming) -> Result<Reply, Refusal> {
        // Some clients add a slash, and people leave out the path.
        let room = match request.uri.path() {
            "/mcp" | "/mcp/" | "/" => Room::Mcp,
            "/sse" | "/sse/" => Room::Sse,
            "/messages" | "/messages/" => Room::Messages,
            "/healthz" if matches!(request.method, Method::GET | Method::HEAD) => {
                let mut reply = reply::json(StatusCode::OK, "ok");
                reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
                return Ok(reply);
            }
            _ => {
                let message = "there is nothing at this path; MCP is spoken at /mcp, by old clients at /sse";
                return Err(Refusal::new(StatusCode::NOT_FOUND, codes::INVALID_REQUEST, message));
            }
        };
        // Browsers ask without credentials.
        if guard::is_preflight(request) && request.headers.contains_key(header::ORIGIN) {
            return Ok(guard::preflight(request));
        }
        let client = self.guard.principal(&request.headers)?;
        let has_session = request.headers.contains_key(SESSION_ID);
        match (room, &request.method) {
            (Room::Mcp, &Method::POST) => self.post(request, &client, body).await,
            (Room::Mcp, &Method::GET) if has_session => self.legacy_get(request, &client),
            (Room::Mcp, &Method::DELETE) if has_session => self.legacy_delete(request, &client),
            (Room::Mcp, &Method::GET | &Method::DELETE) => {
                Err(not_allowed("without a session (Mcp-Session-Id), only POST is served here", "POST"))
            }
            (Room::Mcp, _) => Err(not_allowed("MCP knows POST, GET and DELETE", "POST, GET, DELETE")),
            (Room::Sse, &Method::GET) => self.sse_stream(request, &client),
            // A client that can do more tries to post first, and goes on with GET after this status.
            (Room::Sse, _) => Err(not_allowed("HTTP+SSE begins with GET; what is newer is at /mcp", "GET")),
            (Room::Messages, &Method::POST) => self.sse_post(request, &client, body).await,
            (Room::Messages, _) => Err(not_allowed("messages are posted", "POST")),
        }
    }

    async fn post(&self, request: &Parts, client: &Principal, body: &mut Incoming) -> Result<Reply, Refusal> {
        accept::is_json(&request.headers)?;
        let mut body = message::in_one_line(self.read(body).await?);
        if self.house.traces() {
            body = trace::carried(body, &request.headers);
        }
        let posted = message::read(&body)?;
        if modern::is_modern(&request.headers, &posted) {
            self.modern_post(request, client, &body, &posted).await
        } else {
            self.legacy_post(request, client, body.clone(), &posted).await
        }
    }

    /// Reads a body to its end, if it has one within our limits of size and time.
    pub(super) async fn read(&self, body: &mut Incoming) -> Result<Bytes, Refusal> {
        let too_large = || {
            let message = format!("a message may have {} MiB at most", MAX_BODY >> 20);
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, codes::INVALID_REQUEST, message)
        };
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(too_large());
        }
        let late = tokio::time::sleep(self.times.body);
        tokio::pin!(late);
        let mut whole = BytesMut::new();
        loop {
            let slow = || {
                let message = "the body came too slowly";
                Refusal::new(StatusCode::REQUEST_TIMEOUT, codes::INVALID_REQUEST, message)
            };
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = tokio::time::sleep(self.times.body_pause) => return Err(slow()),
                () = &mut late => return Err(slow()),
            };
            let data = match frame {
                Some(Ok(frame)) => frame.into_data(),
                Some(Err(_)) => return Err(message::bad(codes::INVALID_REQUEST, "the body broke off")),
                None => return Ok(whole.freeze()),
            };
            let Ok(data) = data else { continue };
            if whole.len() + data.len() > MAX_BODY {
                return Err(too_large());
            }
            if whole.is_empty() && body.is_end_stream() {
                return Ok(data);
            }
            whole.extend_from_slice(&data);
        }
    }
}

/// Reads what is left of a body that nobody wants, if it is little: a connection that is closed on a client that still writes
/// takes the answer with it.
async fn drain(body: &mut Incoming) {
    let drained = async {
        let mut left = DRAINED;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAINING, drained).await;
}

fn not_allowed(message: &str, allowed: &'static str) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, codes::INVALID_REQUEST, message)
        .header(header::ALLOW, allowed)
}
