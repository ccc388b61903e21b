//! HTTP+SSE: one stream for all that is said to the client, and an address to post to. A session is its stream.
//!
//! Source: MCP 2024-11-05 "Transports", HTTP with SSE. Clients of that revision know nothing else over HTTP; what later
//! ones add to it (`MCP-Protocol-Version`) means nothing here.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use super::accept::{self, Accepted};
use super::desk::Desk;
use super::events::{self, Course, Event, Label, Source};
use super::house::Principal;
use super::message::{self, bad};
use super::reply::{self, Refusal, Reply};
use super::session::{Sessions, Visit, Way};
use crate::protocol::codes;
use crate::wire::Mailbox;

/// The parameter of the address to post to that says whose messages these are.
const SESSION: &str = "sessionId";

impl Desk {
    /// Opens a session, and the stream that is its life.
    pub(super) fn sse_stream(&self, request: &Parts, client: &Principal) -> Result<Reply, Refusal> {
        if !Accepted::of(&request.headers).events {
            let message = "the client must accept text/event-stream";
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, codes::INVALID_REQUEST, message));
        }
        let session = self.sessions.begin(Way::Sse, client, || self.house.begin(client))?;
        let endpoint = format!("/messages?{SESSION}={}", session.id);
        let events = SseEvents {
            endpoint: Some(endpoint.into()),
            stream: session.visitor.stream(),
            visit: session.visit(),
            sessions: Arc::clone(&self.sessions),
            closing: self.closing.clone(),
        };
        let course = Course {
            prime: None,
            keep_alive: self.times.keep_alive,
            closing: self.ending.clone(),
            resumable: false,
        };
        Ok(reply::events(events::stream(events, course)))
    }

    /// A message that a client posts. What answers it comes on the stream.
    pub(super) async fn sse_post(
        &self,
        request: &Parts,
        client: &Principal,
        body: &mut Incoming,
    ) -> Result<Reply, Refusal> {
        let id = session_id(request)?;
        accept::is_json(&request.headers)?;
        let body = message::in_one_line(self.read(body).await?);
        message::read(&body)?;
        let session = self.sessions.find(Way::Sse, id, client)?;
        // A client that does not read its stream is not read from either: the queue to it is bounded.
        let stream = session.visitor.stream();
        if tokio::time::timeout(self.times.stalled, stream.room()).await.is_err() {
            let message = "too much waits on the stream, and nobody reads it";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, codes::INTERNAL_ERROR, message));
        }
        // It may have ended meanwhile.
        let session = self.sessions.find(Way::Sse, id, client)?;
        session.visitor.take_on_stream(body);
        Ok(reply::empty(StatusCode::ACCEPTED))
    }
}

/// The session that a request names.
fn session_id(request: &Parts) -> Result<&str, Refusal> {
    let pairs = request.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| *name == SESSION).map(|(_, id)| id);
    match (named.next(), named.next()) {
        (Some(id), None) => Ok(id),
        _ => Err(bad(codes::INVALID_REQUEST, "the address must be the one that the stream has told")),
    }
}

/// The events of one stream. Dropped when the client closes it, and the session with it.
struct SseEvents {
    /// Where to post: the first event.
    endpoint: Option<Bytes>,
    stream: Arc<Mailbox>,
    visit: Visit,
    sessions: Arc<Sessions>,
    closing: CancellationToken,
}

impl Source for SseEvents {
    async fn next(&mut self) -> Option<Event> {
        if let Some(data) = self.endpoint.take() {
            return Some(Event { label: Label::Type("endpoint"), data });
        }
        // When we end, calls are given time to be answered; who has none is sent away at once.
        let done = async {
            self.closing.cancelled().await;
            self.visit.session().visitor.drained().await;
        };
        let data = tokio::select! {
            biased;
            message = self.stream.next() => message?,
            () = done => return None,
        };
        Some(Event { label: Label::Type("message"), data })
    }
}

impl Drop for SseEvents {
    fn drop(&mut self) {
        self.sessions.end(self.visit.session());
        self.stream.abandon();
    }
}
