//! Entries of the config, made of what was found.

use serde_json::{Map, Value, json};

use super::finding::Transport;

/// A stranger's text as it must stand in an entry: what looks like a reference of ours is none.
pub(super) fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// A server at an address. The address and the values of headers stand as they are to be in the config.
pub(super) fn remote(url: &str, transport: Transport, headers: Map<String, Value>) -> Value {
    let mut entry = json!({ "url": url });
    if matches!(transport, Transport::Sse | Transport::WebSocket) {
        entry["type"] = transport.word().into();
    }
    if !headers.is_empty() {
        entry["headers"] = headers.into();
    }
    entry
}
