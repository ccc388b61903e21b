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

/// A text made of plain pieces and references. Plain pieces that meet cannot make a reference between them.
#[derive(Default)]
pub(super) struct Text {
    out: String,
    plain: String,
}

impl Text {
    /// Adds what is to be read as it stands.
    pub(super) fn plain(&mut self, text: &str) {
        self.plain.push_str(text);
    }

    /// Adds a reference of ours in the place of this text. Behind a `$`, where no reference can stand, the text stays.
    pub(super) fn reference(&mut self, reference: &str, of: &str) {
        if self.plain.ends_with('$') {
            return self.plain(of);
        }
        self.out.push_str(&literal(&std::mem::take(&mut self.plain)));
        self.out.push_str(reference);
    }

    /// The text as it stands in an entry.
    pub(super) fn finish(self) -> String {
        self.out + &literal(&self.plain)
    }
}
