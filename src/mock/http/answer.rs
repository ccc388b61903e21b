//! Answers: errors, fixed ones, and those that come from a stream.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::body::{Broken, Pipe, Reading, half, whole};
use super::log::{Entry, Log, Next};
use super::settings::{Act, Canned, Cut, Place, Shape};
use super::{Answer, Asked, Http};
use crate::mock::answers::Reply;
use crate::mock::members::Members;
use crate::mock::output::Kind;

/// How the answer to one request is read from its stream.
pub(super) struct Source {
    pub(super) log: Arc<Log>,
    /// Whether the stream can be read on after it broke.
    pub(super) resumable: bool,
    /// Cancelled when the client leaves.
    pub(super) leaving: Option<CancellationToken>,
    pub(super) stop: CancellationToken,
}

impl Http {
    /// Answers with what is said on the stream: JSON if that is only the response, else events.
    pub(super) async fn answer(&self, asked: &Asked, source: Source) -> Answer {
        let cut = asked.cut();
        let stream = match self.settings().answer {
            Shape::Sse => true,
            Shape::Json => false,
            Shape::Auto => cut.is_some_and(|cut| matches!(cut.place, Place::Head | Place::Before)),
        };
        // While nothing is said, a client that leaves drops this future.
        let leaving = source.leaving.clone().map(CancellationToken::drop_guard);
        let first = if stream { None } else { Some(source.log.peek(0).await) };
        if let Some(Cut { place: Place::Unanswered, .. }) = cut {
            if first.is_none() {
                source.log.peek(0).await;
            }
            return Err(Broken);
        }
        let answer = match first {
            Some(Next::Entry(Entry::Message(text, Kind::Response { status }))) => {
                let text = wrong_id(asked, text);
                // Only the response was said, so the stream is of no more use.
                source.log.take_over();
                Ok(self.json(asked, status, text))
            }
            _ => Ok(self.events(asked, &source)),
        };
        leaving.map(tokio_util::sync::DropGuard::disarm);
        answer
    }

    fn json(&self, asked: &Asked, status: u16, text: Bytes) -> Response<Pipe> {
        let style = self.style(asked);
        let length = text.len();
        let mut body = match asked.cut() {
            Some(Cut { place: Place::Middle, .. }) => Response::new(half(text, style)),
            _ => Response::new(whole(text, style)),
        };
        *body.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        body.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        body.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        body
    }

    fn events(&self, asked: &Asked, source: &Source) -> Response<Pipe> {
        let style = self.style(asked);
        let reading = Reading {
            log: Arc::clone(&source.log),
            from: Some(0),
            ids: source.resumable && style.ids,
            prime: source.resumable && style.ids && style.prime,
            cut: asked.cut(),
            leaving: source.leaving.clone(),
            stop: source.stop.clone(),
            preface: None,
            id: match &asked.fault {
                Some(super::Fault { act: Act::Id(id), .. }) => Some(id.to_string()),
                _ => None,
            },
        };
        event_stream(reading.into_body(style))
    }

    /// An error that answers no request in particular, or the one with this id.
    pub(super) fn error(
        &self,
        status: StatusCode,
        id: Option<&str>,
        code: i32,
        message: &str,
    ) -> Response<Pipe> {
        self.error_text(status, error_body(id, code, message, None))
    }

    pub(super) fn error_text(&self, status: StatusCode, text: String) -> Response<Pipe> {
        let mut answer = Response::new(whole(text, &self.settings().style));
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }

    /// An error reply to the request with this id.
    pub(super) fn refuse(&self, id: &str, reply: &Reply) -> Response<Pipe> {
        let (Reply::Result(body) | Reply::Error(body) | Reply::Refusal(body)) = reply;
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{body}}}"#);
        self.error_text(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn plain(&self, status: StatusCode, text: &'static str) -> Response<Pipe> {
        let mut answer = Response::new(whole(text, &self.settings().style));
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        answer
    }

    pub(super) fn accepted(&self) -> Response<Pipe> {
        let mut answer = Response::new(whole("", &self.settings().style));
        *answer.status_mut() = StatusCode::ACCEPTED;
        answer
    }

    /// Says that the endpoint knows only these verbs.
    pub(super) fn only(&self, verbs: &'static str) -> Response<Pipe> {
        let mut answer = self.plain(StatusCode::METHOD_NOT_ALLOWED, "not here");
        answer.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static(verbs));
        answer
    }

    /// A fixed answer of the script. A body that is no text is JSON.
    pub(super) fn canned(&self, asked: &Asked, canned: &Canned) -> Response<Pipe> {
        let scope = self.scope(asked);
        let (kind, text) = match &canned.body {
            Value::Null => (None, String::new()),
            Value::String(text) => (Some("text/html"), scope.text(text)),
            json => (Some("application/json"), scope.json(json)),
        };
        let mut answer = Response::new(whole(text, &self.settings().style));
        *answer.status_mut() = StatusCode::from_u16(canned.status).unwrap_or_default();
        for (name, value) in &canned.headers {
            self.add_header(asked, answer.headers_mut(), name, value);
        }
        if let Some(kind) = kind {
            answer.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
        }
        answer
    }

    /// Adds a header if it can be one.
    pub(super) fn add_header(&self, asked: &Asked, headers: &mut HeaderMap, name: &str, value: &str) {
        let value = self.scope(asked).text(value);
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()))
        {
            headers.append(name, value);
        }
    }

    fn scope(&self, asked: &Asked) -> crate::mock::template::Scope {
        let mut scope = self.server.scope();
        scope.headers = Arc::clone(&asked.headers);
        if let Ok(envelope) = asked.envelope() {
            scope.id = envelope.id.map_or("null", |id| id.get()).to_owned();
            scope.target = envelope.method.as_deref().unwrap_or_default().to_owned();
        }
        scope
    }
}

/// The head of an event stream with this body.
pub(super) fn event_stream(body: Pipe) -> Response<Pipe> {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

/// The response, with another id where a fault says so.
fn wrong_id(asked: &Asked, text: Bytes) -> Bytes {
    match &asked.fault {
        Some(super::Fault { act: Act::Id(id), .. }) => with_id(&text, &id.to_string()),
        _ => text,
    }
}

/// The message with this id.
pub(super) fn with_id(text: &Bytes, id: &str) -> Bytes {
    let members = std::str::from_utf8(text).ok().and_then(Members::of);
    match members {
        Some(mut members) => {
            members.set_unless_null("id", id);
            members.to_json().into()
        }
        None => text.clone(),
    }
}

/// The body of a JSON-RPC error that answers no request in particular.
fn error_body(id: Option<&str>, code: i32, message: &str, data: Option<Value>) -> String {
    let mut error = Map::new();
    error.insert("code".into(), json!(code));
    error.insert("message".into(), json!(message));
    if let Some(data) = data {
        error.insert("data".into(), data);
    }
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{}}}"#, id.unwrap_or("null"), Value::Object(error))
}
