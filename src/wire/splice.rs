//! Replacing parts of a text without touching the rest.

use bytes::Bytes;

use crate::wire::json::Span;

/// A text and the replacements to make in it. What is not replaced keeps its bytes.
///
/// Replacements must not overlap; an insertion is a replacement of an empty span.
#[derive(Debug)]
pub struct Splice<'a> {
    text: &'a [u8],
    edits: Vec<(Span, Bytes)>,
}

impl<'a> Splice<'a> {
    /// A splice that changes nothing yet.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, edits: Vec::new() }
    }

    /// Puts `with` in the place of `span`.
    pub fn replace(&mut self, span: Span, with: impl Into<Bytes>) -> &mut Self {
        self.edits.push((span, with.into()));
        self
    }

    /// Whether there is anything to change.
    pub fn is_noop(&self) -> bool {
        self.edits.is_empty()
    }

    /// The pieces of the changed text, in order.
    pub fn pieces(&mut self) -> impl Iterator<Item = &[u8]> {
        self.edits.sort_by_key(|(span, _)| span.start);
        let mut from = 0;
        let tail_from = self.edits.last().map_or(0, |(span, _)| span.end);
        let text = self.text;
        let changed = self.edits.iter().flat_map(move |(span, with)| {
            let kept = text.get(from..span.start).unwrap_or_default();
            from = span.end;
            [kept, &with[..]]
        });
        changed.chain(std::iter::once(text.get(tail_from..).unwrap_or_default()))
    }

    /// The changed text as one buffer.
    pub fn to_bytes(&mut self) -> Bytes {
        let mut out = Vec::with_capacity(self.text.len() + 64);
        for piece in self.pieces() {
            out.extend_from_slice(piece);
        }
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_other_byte() {
        let text = br#"{"id":1,"params":{"name":"a"}}"#;
        let mut splice = Splice::new(text);
        splice.replace(Span { start: 25, end: 28 }, &b"\"b__c\""[..]);
        splice.replace(Span { start: 6, end: 7 }, &b"42"[..]);
        splice.replace(Span { start: 1, end: 1 }, &b"\"x\":0,"[..]);
        assert_eq!(splice.to_bytes(), &br#"{"x":0,"id":42,"params":{"name":"b__c"}}"#[..]);
        assert!(Splice::new(text).is_noop());
        assert_eq!(Splice::new(text).to_bytes(), &text[..]);
    }
}
