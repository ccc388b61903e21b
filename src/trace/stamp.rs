//! Tells a server in which span it is called: `_meta.traceparent`. Every other byte of a call stays as it is.

use bytes::Bytes;

use super::Context;
use crate::call::{Call, Surroundings, TokenPlace};
use crate::wire::{Span, Splice, json};

/// Puts the context into a call. Where something stands that is no `_meta` object, it stays alone.
pub(super) fn stamp(call: &mut Call, context: Context) {
    let Some(params) = call.params else { return };
    let value = format!("\"{context}\"");
    let meta = call.meta.filter(|meta| json::kind(meta.of(&call.line)) == json::Kind::Object);
    match meta {
        Some(meta) => {
            let object = meta.of(&call.line);
            match json::get(object, "traceparent") {
                Some(place) => put(call, place.shifted(meta.start), value),
                None => into_object(call, meta, &value),
            }
        }
        None => {
            let text = params.of(&call.line);
            let members = json::kind(text) == json::Kind::Object && json::members(text).next().is_some();
            if members && json::get(text, "_meta").is_none() {
                beside_members(call, params, &value);
            }
        }
    }
}

/// Into a `_meta` that has none yet: as its first member.
fn into_object(call: &mut Call, meta: Span, value: &str) {
    let is_empty = json::members(meta.of(&call.line)).next().is_none();
    let comma = if is_empty { "" } else { "," };
    let at = meta.start + 1;
    put(call, Span { start: at, end: at }, format!("\"traceparent\":{value}{comma}"));
    // Our token, if there is none of the client's, goes before it.
    if let TokenPlace::Own { with: Surroundings::Key | Surroundings::KeyBefore, .. } = call.token {
        call.token = TokenPlace::Own { at, with: Surroundings::KeyBefore };
    }
}

/// A `_meta` behind the other members.
fn beside_members(call: &mut Call, params: Span, value: &str) {
    let at = params.end - 1;
    let meta = format!("{{\"traceparent\":{value}}}");
    let start = at + ",\"_meta\":".len();
    let span = Span { start, end: start + meta.len() };
    put(call, Span { start: at, end: at }, format!(",\"_meta\":{meta}"));
    call.meta = Some(span);
    if let TokenPlace::Own { .. } = call.token {
        call.token = TokenPlace::Own { at: start + 1, with: Surroundings::KeyBefore };
    }
}

/// Puts a text in the place of a span, and moves all places behind it. An insertion moves what begins where it is made, and not
/// what ends there.
fn put(call: &mut Call, place: Span, text: String) {
    let text = Bytes::from(text);
    let move_at = |at: usize| if at >= place.end { at - place.len() + text.len() } else { at };
    let moved = |span: Span| match span.end <= place.start {
        true if !span.is_empty() => span,
        _ => Span { start: move_at(span.start), end: move_at(span.end) },
    };
    let line = Splice::new(&call.line).replace(place, text.clone()).to_bytes();
    call.params = call.params.map(|params| Span { start: params.start, end: move_at(params.end) });
    call.target = call.target.take().map(|(span, text)| (moved(span), text));
    // What is put into a call here goes into its `_meta`, or is it.
    call.meta = call.meta.map(|meta| Span { start: meta.start, end: move_at(meta.end) });
    call.token = match call.token {
        TokenPlace::None => TokenPlace::None,
        TokenPlace::Client(span) => TokenPlace::Client(moved(span)),
        TokenPlace::Own { at, with } => TokenPlace::Own { at: move_at(at), with },
    };
    call.line = line;
}
