//! One pass over a definition that needs nothing, which is nearly every one.
//!
//! The repairing code looks at an item level by level and so reads it several times. Thousands of definitions stand
//! between a client and its first list, and one pass over 5000 tools of 1 KB takes 6 ms, so the good ones are recognised
//! first. This may say no to a good item, which only costs time; it must never say yes to one that the repair would
//! change.

use super::{Mended, tool_annotations};
use super::{
    Shown, content_annotations, execution, icons, is_list_of, is_object, is_string, prompt_arguments,
};
use crate::protocol::ListKind;
use crate::wire::Span;
use crate::wire::json::{self, Kind};

/// Where the parts stand that the merge needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct Places {
    /// The name or URI, with its quotes.
    pub(in crate::catalog) id: Span,
    /// `_meta`.
    pub(in crate::catalog) meta: Option<Span>,
}

impl Places {
    /// Looks for them in any item that has an id.
    pub(super) fn find(kind: ListKind, item: &[u8]) -> Option<Places> {
        Some(Places { id: json::get(item, kind.id_key())?, meta: json::get(item, "_meta") })
    }
}

impl Shown {
    /// The name or URI as its server spelt it, with quotes.
    pub(in crate::catalog) fn quoted_id(&self) -> &[u8] {
        self.places.id.of(&self.item)
    }

    /// `_meta`, if there is one.
    pub(in crate::catalog) fn meta(&self) -> Option<&[u8]> {
        self.places.meta.map(|span| span.of(&self.item))
    }
}

/// The places in an item that needs no repair; `None` if it may need one.
pub(super) fn recognise(kind: ListKind, item: &[u8]) -> Option<Places> {
    let (mut id, mut meta, mut name, mut input) = (None, None, false, false);
    let end = walk(item, 0, Keys::Distinct, |key, at| {
        let end = match (kind, key) {
            (ListKind::Tools, b"inputSchema") => {
                input = true;
                return schema(item, at, true);
            }
            (ListKind::Tools, b"outputSchema") => return schema(item, at, false),
            _ => json::skip_value(item, at).ok()?,
        };
        let span = Span { start: at, end };
        if key == kind.id_key().as_bytes() {
            id = Some(span).filter(|span| is_string(span.of(item)) && span.len() > 2);
        }
        if key == b"_meta" {
            meta = Some(span);
        }
        name |= key == b"name";
        fits(kind, key, span.of(item)).then_some(end)
    })?;
    let whole = end == item.len() && name && (input || kind != ListKind::Tools);
    Some(Places { id: id?, meta }).filter(|_| whole)
}

/// Whether a member is as it should be; the rules are those of the repair.
fn fits(kind: ListKind, key: &[u8], value: &[u8]) -> bool {
    let fine = |mended| matches!(mended, Mended::Fine);
    match (kind, key) {
        (_, b"name" | b"title" | b"description") => is_string(value),
        (_, b"icons") => icons(value),
        (_, b"_meta") => is_object(value),
        (ListKind::Tools, b"annotations") => fine(tool_annotations(value)),
        (ListKind::Tools, b"execution") => execution(value),
        (ListKind::Prompts, b"arguments") => fine(prompt_arguments(value)),
        (ListKind::Resources | ListKind::Templates, b"annotations") => fine(content_annotations(value)),
        (ListKind::Resources | ListKind::Templates, b"mimeType") => is_string(value),
        (ListKind::Resources | ListKind::Templates, b"size") => json::kind(value) == Kind::Number,
        _ => true,
    }
}

fn schema(text: &[u8], at: usize, input: bool) -> Option<usize> {
    let mut object = false;
    let end = walk(text, at, Keys::Distinct, |key, at| match key {
        b"properties" => walk(text, at, Keys::Any, |_, at| {
            if text.get(at) == Some(&b'{') { json::skip_value(text, at).ok() } else { None }
        }),
        b"anyOf" | b"oneOf" | b"allOf" if input => None,
        _ => {
            let end = json::skip_value(text, at).ok()?;
            let value = &text[at..end];
            object |= key == b"type" && value == b"\"object\"";
            let fits = key != b"required" || is_list_of(value, is_string);
            fits.then_some(end)
        }
    })?;
    object.then_some(end)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// No key may stand twice.
    Distinct,
    Any,
}

/// An object with more members than this is left to the repair.
const FEW: usize = 24;

/// Walks over the object at `at`: `visit` gets each key without its quotes and where the value begins, and tells where
/// the value ends. Gives the end of the object; `None` as soon as anything is out of the ordinary.
fn walk<'a>(
    text: &'a [u8],
    at: usize,
    keys: Keys,
    mut visit: impl FnMut(&'a [u8], usize) -> Option<usize>,
) -> Option<usize> {
    let mut seen: [&[u8]; FEW] = [&[]; FEW];
    let mut count = 0;
    let mut at = match text.get(at)? {
        b'{' => json::skip_space(text, at + 1),
        _ => return None,
    };
    if text.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        if text.get(at) != Some(&b'"') {
            return None;
        }
        let end = json::skip_string(text, at).ok()?;
        let key = &text[at + 1..end - 1];
        if keys == Keys::Distinct {
            if seen[..count].contains(&key) || key.contains(&b'\\') {
                return None;
            }
            *seen.get_mut(count)? = key;
            count += 1;
        }
        let colon = json::skip_space(text, end);
        if text.get(colon) != Some(&b':') {
            return None;
        }
        at = json::skip_space(text, visit(key, json::skip_space(text, colon + 1))?);
        match text.get(at)? {
            b',' => at = json::skip_space(text, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}
