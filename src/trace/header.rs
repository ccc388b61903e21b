//! A context that a client sends as a header of HTTP, where its message has none. A message's own goes first: one HTTP request may
//! carry what another span made (OpenTelemetry, "Semantic conventions for MCP", Context propagation).

use bytes::Bytes;
use http::HeaderMap;

use super::Context;
use crate::wire::{Message, Span, Splice, envelope, json};

/// The message with the context of these headers in its `_meta`, if they have one and it has none.
pub fn carried(message: Bytes, headers: &HeaderMap) -> Bytes {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(context) = text("traceparent").and_then(|text| Context::parse(text.trim())) else {
        return message;
    };
    let Ok(Message::Request { params: Some(params), .. }) = envelope::from_client(&message) else {
        return message;
    };
    let raw = params.of(&message);
    let mut members = format!("\"traceparent\":\"{context}\"");
    if let Some(state) = text("tracestate").filter(|state| state.len() <= 512) {
        members.push_str(",\"tracestate\":");
        let mut quoted = Vec::new();
        json::push_string(&mut quoted, state);
        members.push_str(&String::from_utf8_lossy(&quoted));
    }
    let is_empty = |object: &[u8]| json::members(object).next().is_none();
    let (at, text) = match json::get(raw, "_meta") {
        Some(meta) => {
            let object = meta.of(raw);
            if json::kind(object) != json::Kind::Object || json::get(object, "traceparent").is_some() {
                return message;
            }
            let comma = if is_empty(object) { "" } else { "," };
            (params.start + meta.start + 1, format!("{members}{comma}"))
        }
        None if json::kind(raw) == json::Kind::Object => {
            let comma = if is_empty(raw) { "" } else { "," };
            (params.start + 1, format!("\"_meta\":{{{members}}}{comma}"))
        }
        None => return message,
    };
    Splice::new(&message).replace(Span { start: at, end: at }, text).to_bytes()
}
