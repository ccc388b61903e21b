//! `_meta`: what crosses hops and what does not; reading and writing what a modern request says of itself
//! (MCP 2026-07-28, "Base protocol", `_meta`).

use bytes::Bytes;

use crate::bridge::edit::{Edit, member};
use crate::protocol::{IMPLEMENTATION, Level, Revision, VERSION, meta};
use crate::wire::Span;
use crate::wire::json::{self, Kind};

/// Whether a key of `_meta` passes from one hop to the next. Reserved keys speak of one hop, but for those of a task;
/// all others do pass, and with them the trace context (`traceparent`, `tracestate`, `baggage`).
pub fn crosses(key: &str) -> bool {
    !key.starts_with(meta::PREFIX) || meta::CROSSES_HOPS.contains(&key)
}

/// A `_meta` object without what belongs to the hop it came over; `None` if there is nothing of the kind.
/// The progress token is left: it is replaced by whoever counts tokens.
pub fn strip(meta: &[u8]) -> Option<Bytes> {
    if json::members(meta).all(|member| json::string(member.key.of(meta)).is_none_or(|key| crosses(&key))) {
        return None;
    }
    let mut edit = Edit::open(meta)?;
    edit.remove_where(|key| !crosses(key));
    edit.finish()
}

/// Params, a result or another object whose `_meta` has been [`strip`]ped; a `_meta` that held nothing else is
/// left out. `None` if nothing changes.
pub fn strip_in(object: &[u8]) -> Option<Bytes> {
    strip(member(object, "_meta")?)?;
    let mut edit = Edit::open(object)?;
    strip_member(&mut edit);
    edit.finish()
}

/// The same within a greater change.
pub(super) fn strip_member(edit: &mut Edit<'_>) {
    let Some(stripped) = edit.get("_meta").and_then(strip) else { return };
    match json::members(&stripped).next() {
        Some(_) => edit.set("_meta", stripped),
        None => edit.remove("_meta"),
    }
}

/// What a modern request says of itself. Places are relative to its params.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestMeta {
    /// The revision, a string; whether we speak it is for the caller to say.
    pub protocol_version: Span,
    /// What the client can do for this request, an object.
    pub client_capabilities: Span,
    /// Who the client is, an object.
    pub client_info: Option<Span>,
    /// The least severe log messages that the client wants; without it, it wants none.
    pub log_level: Option<Level>,
    /// The token for progress.
    pub progress_token: Option<Span>,
}

/// Whether a request has the shape of the modern era: its `_meta` has one of the keys that only that era knows. Such a
/// request is answered in terms of that era even if [`read`] then finds it wanting.
pub fn is_modern(params: &[u8]) -> bool {
    member(params, "_meta").is_some_and(|object| {
        json::members(object).any(|member| {
            [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES].iter().any(|key| member.is(object, key))
        })
    })
}

/// Reads what a modern request says of itself.
///
/// # Errors
/// A sentence for the answer [`INVALID_PARAMS`](crate::protocol::codes::INVALID_PARAMS): what is missing or has the wrong type.
pub fn read(params: &[u8]) -> Result<RequestMeta, String> {
    let at = json::get(params, "_meta").unwrap_or(Span { start: 0, end: 0 });
    let object = at.of(params);
    let find = |key| json::get(object, key).map(|span| span.shifted(at.start));
    let of_kind = |key, kind: Kind, noun| match find(key) {
        Some(span) if json::kind(span.of(params)) != kind => {
            Err(format!("`_meta[\"{key}\"]` must be {noun}"))
        }
        found => Ok(found),
    };
    let protocol_version = of_kind(meta::PROTOCOL_VERSION, Kind::String, "a string")?;
    let client_capabilities = of_kind(meta::CLIENT_CAPABILITIES, Kind::Object, "an object")?;
    let (Some(protocol_version), Some(client_capabilities)) = (protocol_version, client_capabilities) else {
        let missing = |found: Option<Span>, key| found.is_none().then(|| format!("`{key}`"));
        let missing: Vec<String> = [
            missing(protocol_version, meta::PROTOCOL_VERSION),
            missing(client_capabilities, meta::CLIENT_CAPABILITIES),
        ]
        .into_iter()
        .flatten()
        .collect();
        return Err(format!("`_meta` lacks {}", missing.join(" and ")));
    };
    let log_level = match of_kind(meta::LOG_LEVEL, Kind::String, "a string")? {
        Some(span) => Some(
            json::string(span.of(params))
                .as_deref()
                .and_then(Level::parse)
                .ok_or_else(|| format!("`_meta[\"{}\"]` is not a log level", meta::LOG_LEVEL))?,
        ),
        None => None,
    };
    Ok(RequestMeta {
        protocol_version,
        client_capabilities,
        client_info: of_kind(meta::CLIENT_INFO, Kind::Object, "an object")?,
        log_level,
        progress_token: find(meta::PROGRESS_TOKEN),
    })
}

/// What we say of ourselves in a request to a modern server.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// The revision that the server speaks.
    pub revision: &'a Revision,
    /// What the client behind us can do for this request, a raw object
    /// ([`capabilities::for_server`](crate::bridge::capabilities::for_server)).
    pub capabilities: &'a [u8],
    /// The least severe log messages that are wanted.
    pub log_level: Option<Level>,
    /// Our token for progress, raw.
    pub progress_token: Option<&'a [u8]>,
}

impl Own<'_> {
    fn stamp(&self, edit: &mut Edit<'_>) {
        edit.remove_where(|key| !crosses(key) || key == meta::PROGRESS_TOKEN);
        edit.set(meta::PROTOCOL_VERSION, json::quote(self.revision.name));
        edit.set(meta::CLIENT_CAPABILITIES, self.capabilities.to_vec());
        edit.set(meta::CLIENT_INFO, implementation());
        if let Some(level) = self.log_level {
            edit.set(meta::LOG_LEVEL, json::quote(level.name()));
        }
        if let Some(token) = self.progress_token {
            edit.set(meta::PROGRESS_TOKEN, token.to_vec());
        }
    }

    /// The `_meta` of a request to a modern server: ours, and what crosses of the `_meta` that came in.
    pub fn meta(&self, incoming: Option<&[u8]>) -> Bytes {
        let mut edit = incoming.and_then(Edit::open).unwrap_or_else(Edit::empty);
        self.stamp(&mut edit);
        edit.into_bytes()
    }

    /// The params of a request to a modern server: those that came in, with [`Own::meta`] in the place of theirs.
    pub fn params(&self, incoming: Option<&[u8]>) -> Bytes {
        let mut edit = incoming.and_then(Edit::open).unwrap_or_else(Edit::empty);
        let own = self.meta(edit.get("_meta"));
        edit.set("_meta", own);
        edit.into_bytes()
    }
}

/// Our own name and version as an `Implementation` object: `clientInfo` toward servers, `serverInfo` toward clients.
pub fn implementation() -> Vec<u8> {
    let mut out = br#"{"name":"#.to_vec();
    json::push_string(&mut out, IMPLEMENTATION);
    out.extend_from_slice(br#","version":"#);
    json::push_string(&mut out, VERSION);
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{any_object, merged, parse, revision, text};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn reserved_keys_stay_on_their_hop() {
        let meta = br#"{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"x","traceparent":"00-1","vendor/a":1e400,
            "io.modelcontextprotocol/related-task":{"taskId":"t"},"io.modelcontextprotocol/new":0}"#;
        let stripped = strip(meta).unwrap();
        assert_eq!(
            stripped,
            &br#"{"progressToken":7,"traceparent":"00-1","vendor/a":1e400,
            "io.modelcontextprotocol/related-task":{"taskId":"t"}}"#[..]
        );
        assert_eq!(strip(&stripped), None);
        assert_eq!(strip(b"null"), None);
        assert_eq!(strip(br#"{"io\u002emodelcontextprotocol/x":1}"#).unwrap(), &b"{}"[..]);
    }

    #[test]
    fn an_empty_meta_is_left_out() {
        let params = br#"{"name":"a","_meta":{"io.modelcontextprotocol/clientInfo":{}}}"#;
        assert_eq!(strip_in(params).unwrap(), &br#"{"name":"a"}"#[..]);
        assert_eq!(strip_in(br#"{"_meta":{}}"#), None);
        assert_eq!(strip_in(br#"{"name":"a"}"#), None);
    }

    #[test]
    fn reads_a_modern_request() {
        let params = br#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":"p",
            "io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/logLevel":"warning"}}"#;
        let read = read(params).unwrap();
        assert_eq!(read.protocol_version.of(params), br#""2026-07-28""#);
        assert_eq!(read.client_capabilities.of(params), br#"{"roots":{}}"#);
        assert_eq!(read.log_level, Some(Level::Warning));
        assert_eq!(read.progress_token.map(|span| span.of(params)), Some(&br#""p""#[..]));
        assert_eq!(read.client_info, None);
        assert!(is_modern(params));
        assert!(!is_modern(br#"{"_meta":{"progressToken":1,"io.modelcontextprotocol/related-task":{}}}"#));
        assert!(!is_modern(b"{}"));
    }

    #[test]
    fn says_what_is_wrong() {
        for (params, sentence) in [
            (
                "",
                "`_meta` lacks `io.modelcontextprotocol/protocolVersion` and `io.modelcontextprotocol/clientCapabilities`",
            ),
            (
                r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"x"}}"#,
                "`_meta` lacks `io.modelcontextprotocol/clientCapabilities`",
            ),
            (
                r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}"#,
                "`_meta[\"io.modelcontextprotocol/protocolVersion\"]` must be a string",
            ),
            (
                r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"x","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/logLevel":"loud"}}"#,
                "`_meta[\"io.modelcontextprotocol/logLevel\"]` is not a log level",
            ),
        ] {
            assert_eq!(read(params.as_bytes()).unwrap_err(), sentence);
        }
    }

    fn own() -> Own<'static> {
        Own {
            revision: revision("2026-07-28"),
            capabilities: br#"{"roots":{}}"#,
            log_level: Some(Level::Error),
            progress_token: Some(b"5"),
        }
    }

    fn stamped() -> serde_json::Value {
        json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"roots": {}},
            "io.modelcontextprotocol/clientInfo": {"name": "switchboard", "version": VERSION},
            "io.modelcontextprotocol/logLevel": "error",
            "progressToken": 5,
        })
    }

    #[test]
    fn writes_ours_and_what_crosses() {
        let params = br#"{"name":"a","_meta":{"progressToken":"theirs","io.modelcontextprotocol/logLevel":"debug","v/x":1.0},"z":1e400}"#;
        let written = own().params(Some(params));
        assert!(written.starts_with(
            br#"{"name":"a","_meta":{"progressToken":5,"io.modelcontextprotocol/logLevel":"error","v/x":1.0,"#
        ) && written.ends_with(br#"},"z":1e400}"#));
        assert_eq!(parse(&own().params(None)), json!({"_meta": stamped()}));
        let bare = Own { log_level: None, progress_token: None, ..own() };
        assert_eq!(json::members(&bare.meta(None)).count(), 3);
    }

    proptest! {
        #[test]
        fn what_crosses_is_untouched_and_twice_is_once(meta in any_object(), params in any_object()) {
            let hop = json!({"io.modelcontextprotocol/serverInfo": {"name": "x"}, "io.modelcontextprotocol/z": 1});
            let given = merged(params.clone(), json!({"_meta": merged(meta.clone(), hop)}));
            let written = own().params(Some(&text(&given)));
            prop_assert_eq!(parse(&written), merged(params.clone(), json!({"_meta": merged(meta.clone(), stamped())})));
            prop_assert_eq!(parse(&own().params(Some(&written))), parse(&written));

            let stripped = strip_in(&text(&given)).unwrap();
            let empty = meta.as_object().unwrap().is_empty();
            let expected = if empty { params } else { merged(params, json!({"_meta": meta})) };
            prop_assert_eq!(parse(&stripped), expected);
            prop_assert_eq!(strip_in(&stripped), None);
        }
    }
}
