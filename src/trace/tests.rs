//! What stands in calls after they were stamped, and what a header adds to a message.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::stamp::stamp;
use super::*;
use crate::call::{
    Ask, AskKey, Caller, CallerId, Introduction, NotAsked, Notice, Progress, Reply, Surroundings, Ticket,
    TokenPlace,
};
use crate::failure::Failure;
use crate::names::ServerName;
use crate::protocol::{Level, Revision};
use crate::wire::{Span, Splice};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Debug)]
struct Nobody;

impl Caller for Nobody {
    fn id(&self) -> CallerId {
        CallerId::fresh()
    }
    fn introduction(&self) -> Introduction {
        Introduction { revision: Revision::newest_legacy(), capabilities: Bytes::from_static(b"{}") }
    }
    fn level(&self) -> Option<Level> {
        None
    }
    fn reply(&self, _: Ticket, _: Reply<'_>) {}
    fn fail(&self, _: Ticket, _: Failure) {}
    fn progress(&self, _: Ticket, _: Progress<'_>) {}
    fn log(&self, _: Ticket, _: &ServerName, _: Notice<'_>) {}
    fn ask(&self, _: Ticket, _: Ask<'_>) -> Result<(), NotAsked> {
        Err(NotAsked::Unsupported(String::new()))
    }
    fn withdraw(&self, _: &AskKey, _: &str) {}
}

/// A call with these parameters, with the places that the frontend would find, the one for a token of ours included.
fn call(params: &str) -> Call {
    let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
    let start = line.len() - params.len() - 1;
    let whole = Span { start, end: line.len() - 1 };
    let place = |path: &[&str]| json::get_path(params.as_bytes(), path).map(|span| span.shifted(start));
    let meta = place(&["_meta"]);
    let object = meta.filter(|span| json::kind(span.of(line.as_bytes())) == json::Kind::Object);
    let token = match (place(&["_meta", "progressToken"]), meta, object) {
        (Some(token), _, _) => TokenPlace::Client(token),
        (None, Some(_), Some(object)) => {
            let is_empty = json::members(object.of(line.as_bytes())).next().is_none();
            let with = if is_empty { Surroundings::Key } else { Surroundings::KeyBefore };
            TokenPlace::Own { at: object.start + 1, with }
        }
        (None, None, _) => TokenPlace::Own { at: whole.end - 1, with: Surroundings::Meta },
        _ => TokenPlace::None,
    };
    Call {
        ticket: Ticket(0),
        caller: Arc::new(Nobody),
        method: Method::ToolsCall,
        label: "own".into(),
        target: place(&["name"]).map(|span| (span, Bytes::from_static(b"\"own\""))),
        line: line.into(),
        params: Some(whole),
        meta: object,
        token,
    }
}

/// The parameters as a server would get them: with its name, and the token 7.
fn sent(call: &Call) -> serde_json::Value {
    let mut splice = Splice::new(&call.line);
    if let Some((span, text)) = &call.target {
        splice.replace(*span, text.clone());
    }
    match call.token {
        TokenPlace::None => {}
        TokenPlace::Client(span) => {
            splice.replace(span, "7");
        }
        TokenPlace::Own { at, with } => {
            splice.replace(Span { start: at, end: at }, format!("{}7{}", with.before(), with.after()));
        }
    }
    let text = splice.to_bytes();
    let whole: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
    assert_eq!(
        text.iter().filter(|byte| **byte == b'{').count(),
        text.iter().filter(|byte| **byte == b'}').count()
    );
    whole["params"].clone()
}

#[test]
fn a_server_is_told_of_the_span_and_everything_else_stays() {
    let context = Context::fresh();
    for params in [
        r#"{"name":"a","arguments":{"x":1.0}}"#,
        // The name ends where the `_meta` begins.
        r#"{"arguments":{"x":1.0},"name":"a"}"#,
        r#"{"_meta":{},"name":"a","arguments":{"x":1.0}}"#,
        r#"{"name":"a","_meta":{ },"arguments":{"x":1.0}}"#,
        r#"{"_meta":{"k":"v"},"name":"a","arguments":{"x":1.0}}"#,
        r#"{"name":"a","arguments":{"x":1.0},"_meta":{"progressToken":"t"}}"#,
        r#"{"_meta":{"progressToken":"t","traceparent":"old"},"name":"a","arguments":{"x":1.0}}"#,
        r#"{"_meta":{"traceparent":"a much longer one that is exchanged for ours, which is the shorter of the two"},"arguments":{"x":1.0},"name":"a"}"#,
    ] {
        let mut call = call(params);
        stamp(&mut call, context);
        let sent = sent(&call);
        assert_eq!(sent["_meta"]["traceparent"], context.to_string(), "{params} became {sent}");
        assert_eq!((&sent["_meta"]["progressToken"], &sent["name"]), (&7.into(), &"own".into()), "{sent}");
        assert!(call.line.windows(15).any(|part| part == br#""arguments":{"x"#), "{params}");
        let meta = call.meta.expect("it has one now").of(&call.line);
        assert!(json::get(meta, "traceparent").is_some(), "the place of `_meta` is right for {params}");
        let params = call.params.expect("it has some").of(&call.line);
        assert!(params.starts_with(b"{") && params.ends_with(b"}") && json::get(params, "name").is_some());
        // An attempt after that is stamped in the place of this one.
        let other = context.child();
        let before = call.line.len();
        stamp(&mut call, other);
        assert_eq!(call.line.len(), before);
        assert_eq!(self::sent(&call)["_meta"]["traceparent"], other.to_string());
    }
    let strange = r#"{"name":"a","_meta":5}"#;
    let mut call = call(strange);
    let before = call.line.clone();
    stamp(&mut call, context);
    assert_eq!(call.line, before, "what is no object stays alone");
}

#[track_caller]
fn with_header(message: &'static str, state: Option<&str>) -> String {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", PARENT.parse().expect("it is a value"));
    if let Some(state) = state {
        headers.insert("tracestate", state.parse().expect("it is a value"));
    }
    let carried = carried(Bytes::from_static(message.as_bytes()), &headers);
    let text = String::from_utf8(carried.to_vec()).expect("it is text");
    serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON");
    text
}

#[test]
fn a_header_counts_where_the_message_says_nothing() {
    let context = format!(r#""traceparent":"{PARENT}""#);
    let check = |message, expected: &str| assert_eq!(with_header(message, None), expected);
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#,
        &format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"_meta":{{{context}}},"name":"a"}}}}"#
        ),
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{"k":1}}}"#,
        &format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","_meta":{{{context},"k":1}}}}}}"#
        ),
    );
    for same in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"traceparent":"x"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":null}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}]"#,
    ] {
        check(same, same);
    }
    let text = with_header(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{}}"#, Some("a=b,\"c"));
    assert!(text.contains(r#""tracestate":"a=b,\"c""#), "{text}");
    let nothing = carried(
        Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{}}"),
        &HeaderMap::new(),
    );
    assert!(!nothing.windows(5).any(|part| part == b"trace"));
}

#[test]
fn only_the_host_of_an_address_is_told() {
    let of = |url| place(url);
    assert_eq!(of("https://user:secret@a.example:8443/path?token=x"), Some(("a.example".into(), Some(8443))));
    assert_eq!(of("http://localhost/mcp"), Some(("localhost".into(), None)));
    assert_eq!(of("unix:///run/secret.sock"), None);
}

#[tokio::test]
async fn spans_that_nobody_takes_are_counted() {
    let (tracer, spans) = Tracer::new();
    for _ in 0..QUEUE + 3 {
        tracer.finish(super::Span::begin(Kind::Server, "x".into(), Context::fresh(), None));
    }
    assert_eq!(tracer.dropped(), 3);
    drop(spans);
    tracer.finish(super::Span::begin(Kind::Server, "x".into(), Context::fresh(), None));
    assert_eq!(tracer.dropped(), 4);
}
