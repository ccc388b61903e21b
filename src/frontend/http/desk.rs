//! The desk at the door: every request comes by here and is sent where it belongs.

use std::sync::Arc;

use bytes::Bytes;
use http::header;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
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
use crate::web::body::{self, Bounds, Unread};

/// The longest body that is read: what is read from a client elsewhere, too.
pub(super) const MAX_BODY: usize = 16 << 20;

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
                body::drain(&mut body).await;
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
                return Ok(reply::text(StatusCode::OK, "text/plain", "ok"));
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
        let bounds = Bounds { size: MAX_BODY, pause: self.times.body_pause, whole: self.times.body };
        body::read(body, bounds).await.map_err(|unread| match unread {
            Unread::TooLarge => {
                let message = format!("a message may have {} MiB at most", MAX_BODY >> 20);
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, codes::INVALID_REQUEST, message)
            }
            Unread::Slow => {
                let message = "the body came too slowly";
                Refusal::new(StatusCode::REQUEST_TIMEOUT, codes::INVALID_REQUEST, message)
            }
            Unread::BrokeOff => message::bad(codes::INVALID_REQUEST, "the body broke off"),
        })
    }
}

fn not_allowed(message: &str, allowed: &'static str) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, codes::INVALID_REQUEST, message)
        .header(header::ALLOW, allowed)
}
