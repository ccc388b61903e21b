//! Answers that the face gives itself.

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};

pub(super) use crate::web::reply::{Reply, empty, events, json, text};
use crate::wire::{Id, json as raw};

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

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
        raw::push_string(&mut error, message.as_ref());
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
