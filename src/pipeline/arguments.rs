//! The arguments in the raw parameters of a call: where they stand, and putting others in their place.

use bytes::Bytes;

use crate::call::{Call, TokenPlace};
use crate::wire::{Span, Splice, json};

const RESPONSES: &str = "inputResponses";

/// Where arguments stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Here, in the call's line.
    At(Span),
    /// Nowhere.
    Nowhere,
    /// More than once. Who reads the call may take another one for them than we.
    Twice,
}

/// Finds the arguments of a call.
pub(super) fn find(call: &Call) -> Place {
    let Some(params) = call.params else { return Place::Nowhere };
    let text = params.of(&call.line);
    let mut found = Place::Nowhere;
    for member in json::members(text).filter(|member| member.is(text, "arguments")) {
        if found != Place::Nowhere {
            return Place::Twice;
        }
        found = Place::At(member.value.shifted(params.start));
    }
    found
}

/// Where the answers to questions stand that a modern server has asked in the middle of a call, or of a task
/// (`inputResponses`).
pub(super) fn responses(call: &Call) -> Vec<Span> {
    let Some(params) = call.params else { return Vec::new() };
    let text = params.of(&call.line);
    if memchr::memmem::find(text, RESPONSES.as_bytes()).is_none() {
        return Vec::new();
    }
    let members = json::members(text).filter(|member| member.is(text, RESPONSES));
    members.map(|member| member.value.shifted(params.start)).collect()
}

/// The same call with other arguments. Whatever else is to be edited in its line keeps its place.
pub(super) fn replace(call: &mut Call, arguments: &Bytes) {
    let Some(params) = call.params else { return };
    match find(call) {
        Place::At(span) => replace_at(call, span, arguments.clone()),
        Place::Nowhere | Place::Twice => {
            let is_empty = json::members(params.of(&call.line)).next().is_none();
            let after: &[u8] = if is_empty { b"" } else { b"," };
            let member = [br#""arguments":"#, &arguments[..], after].concat();
            replace_at(call, Span { start: params.start + 1, end: params.start + 1 }, member.into());
        }
    }
}

/// The same call with another text at a place inside of its parameters.
pub(super) fn replace_at(call: &mut Call, place: Span, text: Bytes) {
    let Some(params) = call.params else { return };
    let move_at = |at: usize| if at >= place.end { at - place.len() + text.len() } else { at };
    let moved = |span: Span| Span { start: move_at(span.start), end: move_at(span.end) };
    let line = Splice::new(&call.line).replace(place, text.clone()).to_bytes();
    call.params = Some(Span { start: params.start, end: move_at(params.end) });
    call.target = call.target.take().map(|(span, text)| (moved(span), text));
    call.meta = call.meta.map(moved);
    call.token = match call.token {
        TokenPlace::None => TokenPlace::None,
        TokenPlace::Client(span) => TokenPlace::Client(moved(span)),
        TokenPlace::Own { at, with } => TokenPlace::Own { at: move_at(at), with },
    };
    call.line = line;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::testing::{Client, call};

    /// A call with this line, whose name, `_meta` and token are found by what they hold.
    fn of(line: &'static str) -> Call {
        let find = |part: &str| {
            let start = line.find(part)?;
            Some(Span { start, end: start + part.len() })
        };
        let start = line.find("\"params\":").map_or(0, |at| at + 9);
        Call {
            line: Bytes::from_static(line.as_bytes()),
            params: Some(Span { start, end: line.len() - 1 }),
            target: find(r#""a__b""#).map(|span| (span, Bytes::from_static(b"\"b\""))),
            meta: find(r#"{"progressToken":"t"}"#),
            token: find(r#""t""#).map_or(TokenPlace::None, TokenPlace::Client),
            ..call(&Client::new(None), "b")
        }
    }

    #[track_caller]
    fn check(line: &'static str, expected: &str) {
        let mut call = of(line);
        replace(&mut call, &Bytes::from_static(br#"{"longer":[1.50]}"#));
        assert_eq!(call.line, expected);
        let text =
            |span: Option<Span>| span.map(|span| String::from_utf8_lossy(span.of(&call.line)).into_owned());
        assert!(text(call.params).is_some_and(|params| expected.ends_with(&format!("{params}}}"))));
        assert_eq!(text(call.target.as_ref().map(|(span, _)| *span)).as_deref(), Some(r#""a__b""#));
        if line.contains("_meta") {
            assert_eq!(text(call.meta).as_deref(), Some(r#"{"progressToken":"t"}"#));
            assert!(matches!(call.token, TokenPlace::Client(span) if span.of(&call.line) == b"\"t\""));
        }
    }

    #[test]
    fn other_arguments_leave_everything_else_in_its_place() {
        check(
            r#"{"id":1,"params":{"name":"a__b", "arguments" : {} ,"x":1.0,"_meta":{"progressToken":"t"}}}"#,
            r#"{"id":1,"params":{"name":"a__b", "arguments" : {"longer":[1.50]} ,"x":1.0,"_meta":{"progressToken":"t"}}}"#,
        );
        check(
            r#"{"params":{"_meta":{"progressToken":"t"},"arguments":{"much":"longer than what comes"},"name":"a__b"}}"#,
            r#"{"params":{"_meta":{"progressToken":"t"},"arguments":{"longer":[1.50]},"name":"a__b"}}"#,
        );
        check(
            r#"{"params":{"name":"a__b","_meta":{"progressToken":"t"}}}"#,
            r#"{"params":{"arguments":{"longer":[1.50]},"name":"a__b","_meta":{"progressToken":"t"}}}"#,
        );
    }

    #[test]
    fn arguments_that_stand_twice_are_noticed() {
        assert_eq!(find(&of(r#"{"params":{"arguments":{},"\u0061rguments":{}}}"#)), Place::Twice);
        assert_eq!(find(&of(r#"{"params":{"name":"a__b"}}"#)), Place::Nowhere);
    }
}
