//! Answers that the face gives itself, and the bodies of all of them.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::Stream;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;

use crate::wire::{Id, json};

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
/// An answer.
pub(super) type Reply = Response<Body>;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Empty::new().boxed_unsync());
    *reply.status_mut() = status;
    reply
}

/// One JSON text.
pub(super) fn json(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(text.into()).boxed_unsync());
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, JSON);
    reply
}

/// A stream of events. No proxy is to gather or to keep them (2026-07-28, "Streamable HTTP", Receiving Messages).
pub(super) fn events(stream: impl Stream<Item = Bytes> + Send + 'static) -> Reply {
    let frames = futures_util::StreamExt::map(stream, |bytes| Ok(Frame::data(bytes)));
    let mut reply = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    reply
}

/// Why a request is not served: an HTTP status, and a JSON-RPC error for whoever reads the body.
#[derive(Debug)]
pub(super) struct Refusal(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    /// The error object.
    error: Vec<u8>,
    id: Option<Id>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal. The message is a sentence without a final period.
    pub(super) fn new(status: StatusCode, code: i32, message: impl AsRef<str>) -> Self {
        let mut error = format!(r#"{{"code":{code},"message":"#).into_bytes();
        json::push_string(&mut error, message.as_ref());
        error.push(b'}');
        Self::raw(status, error)
    }

    /// A refusal with an error object that is written already.
    pub(super) fn raw(status: StatusCode, error: Vec<u8>) -> Self {
        Self(Box::new(Inner { status, error, id: None, header: None }))
    }

    /// The same, about the request of this id.
    pub(super) fn about(mut self, id: Option<Id>) -> Self {
        self.0.id = id;
        self
    }

    /// The same, with a header.
    pub(super) fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.0.header = Some((name, HeaderValue::from_static(value)));
        self
    }

    /// The answer. Without an id the error has none, as MCP wants it since 2025-11-25 (JSON-RPC would say `null`).
    pub(super) fn reply(self) -> Reply {
        let Inner { status, error, id, header } = *self.0;
        let shown = String::from_utf8_lossy(&error);
        tracing::debug!(status = status.as_u16(), error = %shown, "an HTTP request was refused");
        let mut text = br#"{"jsonrpc":"2.0","#.to_vec();
        if let Some(id) = &id {
            text.extend_from_slice(br#""id":"#);
            text.extend_from_slice(id.as_bytes());
            text.push(b',');
        }
        text.extend_from_slice(br#""error":"#);
        text.extend_from_slice(&error);
        text.push(b'}');
        let mut reply = json(status, text);
        if let Some((name, value)) = header {
            reply.headers_mut().insert(name, value);
        }
        reply
    }
}
