//! Request ids as their sender spelt them.

use std::fmt;

use smallvec::SmallVec;

use crate::wire::json::{self, Kind};

/// A JSON-RPC request id, kept byte for byte: `7`, `"7"`, `1.0` and `9007199254740993` are four different ids and are
/// answered as they came. Only equality of strings looks through escapes.
///
/// Source: JSON-RPC 2.0 §4, MCP base protocol ("string or number, never null").
pub struct Id {
    /// In place up to the length of real ones: every call makes and copies a few.
    raw: SmallVec<[u8; 24]>,
}

/// The longest id we accept, in bytes. Real ones have a dozen.
pub const MAX_ID: usize = 1024;

impl Id {
    /// Takes a checked JSON value as an id; `None` if it is neither a string nor a number, or longer than [`MAX_ID`].
    pub fn new(raw: &[u8]) -> Option<Id> {
        let fits = matches!(json::kind(raw), Kind::String | Kind::Number) && raw.len() <= MAX_ID;
        fits.then(|| Id { raw: SmallVec::from_slice(raw) })
    }

    /// The id as its sender wrote it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    fn canonical(&self) -> Vec<u8> {
        if self.raw.contains(&b'\\')
            && let Some(text) = json::string(&self.raw)
        {
            return json::quote(&text);
        }
        self.raw.to_vec()
    }
}

impl Clone for Id {
    /// As a copy of bytes; the derived one would push them one by one.
    fn clone(&self) -> Id {
        Id { raw: SmallVec::from_slice(&self.raw) }
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Id) -> bool {
        self.raw == other.raw
            || ((self.raw.contains(&b'\\') || other.raw.contains(&b'\\'))
                && self.canonical() == other.canonical())
    }
}

impl Eq for Id {}

impl std::hash::Hash for Id {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        if self.raw.contains(&b'\\') { self.canonical().hash(state) } else { self.raw[..].hash(state) }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn spelling_and_type_make_the_id() {
        let ids: HashSet<Id> = [&b"7"[..], b"\"7\"", b"7.0", b"9007199254740993", b"\"\""]
            .iter()
            .map(|raw| Id::new(raw).unwrap())
            .collect();
        assert_eq!(ids.len(), 5);
        assert!(
            ids.contains(&Id::new(br#""\u0037""#).unwrap()),
            "an escaped spelling of a string is the same id"
        );
    }

    #[test]
    fn other_types_are_no_ids() {
        for raw in [&b"null"[..], b"true", b"{}", b"[1]"] {
            assert!(Id::new(raw).is_none());
        }
        assert!(Id::new(&vec![b'1'; MAX_ID + 1]).is_none());
    }
}
