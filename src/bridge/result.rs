//! Results of servers, for clients of another revision.

use bytes::Bytes;

use crate::bridge::content::{downgrade, text_block};
use crate::bridge::edit::{Edit, change_elements, member};
use crate::bridge::meta;
use crate::protocol::meta::SERVER_INFO;
use crate::protocol::{Method, Revision, StructuredContent};
use crate::wire::json::{self, Kind};

pub use crate::bridge::cache::{CacheHints, CacheScope, is_cacheable};

/// A modern result that does not answer the request (`resultType`, MCP 2026-07-28, "Base protocol").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFinal {
    /// The server needs input first: see [`input_required`](crate::bridge::input_required).
    InputRequired,
    /// The call goes on as a task: see [`tasks`](crate::bridge::tasks).
    Task,
    /// Nobody knows this type; such a result is not passed on (2026-07-28: an unrecognised type is an error). The text is
    /// what stands there, as JSON if it is no string.
    Unknown(String),
}

/// Whether a modern result answers the request. One without a type does: only older servers leave it out.
///
/// # Errors
/// It is no final answer.
pub fn check_final(result: &[u8]) -> Result<(), NotFinal> {
    let Some(value) = member(result, "resultType") else { return Ok(()) };
    match json::string(value).as_deref() {
        Some("complete") => Ok(()),
        Some("input_required") => Err(NotFinal::InputRequired),
        Some("task") => Err(NotFinal::Task),
        Some(other) => Err(NotFinal::Unknown(other.to_owned())),
        None => Err(NotFinal::Unknown(String::from_utf8_lossy(value).into_owned())),
    }
}

/// A result for a legacy client: without `resultType`, cache hints and `_meta` of the other hop, and with content that
/// the client's revision knows. `None` if nothing changes; between equal legacy revisions nothing is even looked at.
///
/// # Errors
/// The result is no final answer.
pub fn to_legacy(
    method: Method,
    result: &[u8],
    from: &Revision,
    to: &Revision,
) -> Result<Option<Bytes>, NotFinal> {
    if from == to {
        return Ok(None);
    }
    if from.is_modern() {
        check_final(result)?;
    }
    let Some(mut edit) = Edit::open(result) else { return Ok(None) };
    if from.is_modern() {
        edit.remove("resultType");
        if is_cacheable(method) {
            edit.remove("ttlMs");
            edit.remove("cacheScope");
        }
        meta::strip_member(&mut edit);
    }
    match method {
        Method::ToolsCall => downgrade_tool_result(&mut edit, to),
        Method::PromptsGet => {
            let messages = edit.get("messages").and_then(|messages| downgrade_messages(messages, to));
            edit.change("messages", messages);
        }
        _ => {}
    }
    Ok(edit.finish())
}

fn downgrade_tool_result(edit: &mut Edit<'_>, to: &Revision) {
    let content = edit.get("content");
    edit.change("content", content.and_then(|content| downgrade(content, to)));
    let Some(structured) = edit.get("structuredContent") else { return };
    let is_object = json::kind(structured) == Kind::Object;
    let understood = match to.structured_content {
        StructuredContent::Unknown => false,
        StructuredContent::Object => is_object,
        StructuredContent::Any => true,
    };
    if understood {
        return;
    }
    if content.is_none_or(|content| json::elements(content).next().is_none()) {
        let mut blocks = vec![b'['];
        blocks.extend_from_slice(&text_block(&String::from_utf8_lossy(structured)));
        blocks.push(b']');
        edit.set("content", blocks);
    }
    // An object is left even for a client that does not know the member: it does no harm there.
    if !is_object {
        edit.remove("structuredContent");
    }
}

fn downgrade_messages(messages: &[u8], to: &Revision) -> Option<Bytes> {
    let downgraded = |message: &[u8]| {
        let content = downgrade(member(message, "content")?, to)?;
        let mut edit = Edit::open(message)?;
        edit.set("content", content);
        edit.finish()
    };
    change_elements(messages, |message| Ok::<_, std::convert::Infallible>(downgraded(message)))
        .unwrap_or(None)
}

/// A result for a modern client: with `resultType`, our `serverInfo` in the place of the server's, and cache hints where
/// the method has them.
///
/// `hints` are what we know better than the server (a merged list, a time that has partly run out); without them those
/// of a modern server stay, and [`CacheHints::NONE`] is said for any other. `server_info` is a raw `Implementation`
/// object.
///
/// # Errors
/// The result is no final answer.
pub fn to_modern(
    method: Method,
    result: &[u8],
    from: &Revision,
    server_info: &[u8],
    hints: Option<CacheHints>,
) -> Result<Option<Bytes>, NotFinal> {
    if from.is_modern() {
        check_final(result)?;
    }
    let Some(mut edit) = Edit::open(result) else { return Ok(None) };
    edit.set("resultType", "\"complete\"");
    stamp(&mut edit, server_info);
    if is_cacheable(method) {
        let told = if from.is_modern() { CacheHints::of(result) } else { None };
        match (hints, told) {
            (Some(hints), _) => hints.stamp(&mut edit),
            (None, Some(_)) => {}
            (None, None) => CacheHints::NONE.stamp(&mut edit),
        }
    }
    Ok(edit.finish())
}

/// Any modern result, final or not, as ours: our `serverInfo` in the place of the server's, and nothing else of its hop.
pub fn as_ours(result: &[u8], server_info: &[u8]) -> Option<Bytes> {
    let mut edit = Edit::open(result)?;
    stamp(&mut edit, server_info);
    edit.finish()
}

pub(super) fn stamp(edit: &mut Edit<'_>, server_info: &[u8]) {
    let mut meta = edit.get("_meta").and_then(Edit::open).unwrap_or_else(Edit::empty);
    meta.remove_where(|key| !meta::crosses(key));
    meta.set(SERVER_INFO, server_info.to_vec());
    edit.set("_meta", meta.into_bytes());
}

/// Writes the end of a modern result that we compose ourselves, as members without braces: `resultType`, `_meta` and,
/// if there are hints, those.
pub fn push_modern_members(out: &mut Vec<u8>, server_info: &[u8], hints: Option<CacheHints>) {
    let mut edit = Edit::empty();
    edit.set("resultType", "\"complete\"");
    if let Some(hints) = hints {
        hints.stamp(&mut edit);
    }
    stamp(&mut edit, server_info);
    let object = edit.into_bytes();
    out.extend_from_slice(object.get(1..object.len() - 1).unwrap_or_default());
}

/// The methods whose modern results may be [`NotFinal::InputRequired`] (2026-07-28, "Multi Round-Trip Requests").
pub fn may_need_input(method: Method) -> bool {
    matches!(method, Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{any_object, merged, parse, revision, text};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const INFO: &[u8] = br#"{"name":"switchboard","version":"1"}"#;

    fn legacy(method: Method, result: Value, from: &str, to: &str) -> Option<Value> {
        let changed = to_legacy(method, &text(&result), revision(from), revision(to)).unwrap();
        changed.map(|bytes| parse(&bytes))
    }

    #[test]
    fn what_only_the_modern_era_says_is_left_out() {
        let result = br#"{"resultType":"complete", "contents":[1e400],"ttlMs":5,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{}},"x":1.0}"#;
        let (from, to) = (revision("2026-07-28"), revision("2025-11-25"));
        let plain = to_legacy(Method::ResourcesRead, result, from, to).unwrap().unwrap();
        assert_eq!(plain, &br#"{"contents":[1e400],"x":1.0}"#[..]);
        assert_eq!(to_legacy(Method::ResourcesRead, &plain, from, to), Ok(None));
        // The hints mean nothing on other methods, where a tool may have put them.
        let call = json!({"content": [], "ttlMs": 1, "_meta": {"v/a": 1}});
        assert_eq!(legacy(Method::ToolsCall, call, "2026-07-28", "2025-11-25"), None);
    }

    #[test]
    fn content_is_told_in_older_words() {
        let link = json!({"type": "resource_link", "uri": "u", "name": "n"});
        let words = json!({"type": "text", "text": "[n](u)"});
        for (from, to, changes) in [
            ("2026-07-28", "2025-03-26", true),
            ("2025-06-18", "2024-11-05", true),
            ("2025-06-18", "2025-11-25", false),
            ("2025-06-18", "2025-06-18", false),
        ] {
            let call = legacy(Method::ToolsCall, json!({"content": [link]}), from, to);
            assert_eq!(call, changes.then(|| json!({"content": [words]})), "{from} to {to}");
            let messages = json!({"messages": [{"role": "user", "content": link, "v": 1}, {"role": "user", "content": words}]});
            let expected = json!({"messages": [{"role": "user", "content": words, "v": 1}, {"role": "user", "content": words}]});
            assert_eq!(
                legacy(Method::PromptsGet, messages, from, to),
                changes.then_some(expected),
                "{from} to {to}"
            );
        }
    }

    #[test]
    fn structured_content_that_is_no_object_becomes_a_text() {
        let call = |result| legacy(Method::ToolsCall, result, "2026-07-28", "2025-11-25");
        let kept = json!({"content": [{"type": "text", "text": "[1, 2]"}]});
        assert_eq!(
            call(json!({"content": [], "structuredContent": [1,2], "isError": false})).unwrap(),
            json!({"content": [{"type": "text", "text": "[1,2]"}], "isError": false})
        );
        assert_eq!(call(merged(kept.clone(), json!({"structuredContent": null}))), Some(kept));
        assert_eq!(call(json!({"content": [], "structuredContent": {"a": 1}})), None);
        let old =
            legacy(Method::ToolsCall, json!({"structuredContent": {"a": 1}}), "2025-06-18", "2024-11-05");
        let expected =
            json!({"structuredContent": {"a": 1}, "content": [{"type": "text", "text": "{\"a\":1}"}]});
        assert_eq!(old, Some(expected));
    }

    #[test]
    fn other_types_of_result_are_told() {
        let kind = |value: &str| check_final(format!(r#"{{"resultType":{value}}}"#).as_bytes());
        assert_eq!(kind("\"complete\""), Ok(()));
        assert_eq!(kind("\"input_required\""), Err(NotFinal::InputRequired));
        assert_eq!(kind("\"t\\u0061sk\""), Err(NotFinal::Task));
        assert_eq!(kind("\"later\""), Err(NotFinal::Unknown("later".into())));
        assert_eq!(kind("null"), Err(NotFinal::Unknown("null".into())));
        assert_eq!(check_final(b"{}"), Ok(()));
        // A legacy server knows no types: the member is its own.
        let (from, result) = (revision("2025-11-25"), br#"{"resultType":"later"}"#);
        assert_eq!(to_legacy(Method::ToolsCall, result, from, revision("2025-06-18")), Ok(None));
        let modern = to_modern(Method::ToolsCall, result, from, INFO, None).unwrap().unwrap();
        assert_eq!(parse(&modern)["resultType"], "complete");
    }

    #[test]
    fn modern_clients_get_type_origin_and_hints() {
        let modern = |method, result: Value, from: &str, hints| {
            parse(&to_modern(method, &text(&result), revision(from), INFO, hints).unwrap().unwrap())
        };
        let info = json!({"io.modelcontextprotocol/serverInfo": {"name": "switchboard", "version": "1"}});
        let foreign = json!({"_meta": {"io.modelcontextprotocol/serverInfo": {"name": "other"}, "v/a": 1}});
        assert_eq!(
            modern(Method::ToolsCall, foreign, "2026-07-28", None),
            json!({"_meta": merged(info.clone(), json!({"v/a": 1})), "resultType": "complete"})
        );
        let none = json!({"resultType": "complete", "_meta": info, "ttlMs": 0, "cacheScope": "private"});
        assert_eq!(modern(Method::ResourcesRead, json!({}), "2025-11-25", None), none);
        assert_eq!(
            modern(Method::ResourcesRead, json!({"ttlMs": 9, "cacheScope": "public"}), "2025-11-25", None),
            none
        );
        assert_eq!(
            modern(Method::ResourcesRead, json!({"ttlMs": -1, "cacheScope": "public"}), "2026-07-28", None),
            none
        );
        let told = merged(none.clone(), json!({"ttlMs": 9, "cacheScope": "public"}));
        assert_eq!(
            modern(Method::ResourcesRead, json!({"ttlMs": 9, "cacheScope": "public"}), "2026-07-28", None),
            told
        );
        let hints = CacheHints { ttl_ms: 9, scope: CacheScope::Public };
        assert_eq!(
            modern(Method::List(crate::protocol::ListKind::Tools), none, "2025-11-25", Some(hints)),
            told
        );
        assert_eq!(hints.and(CacheHints::NONE), CacheHints::NONE);
        let mut out = b"{\"tools\":[],".to_vec();
        push_modern_members(&mut out, INFO, Some(hints));
        out.push(b'}');
        assert_eq!(parse(&out), merged(told, json!({"tools": []})));
        assert_eq!(parse(&as_ours(b"{\"resultType\":\"task\"}", INFO).unwrap())["resultType"], "task");
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same(result in any_object()) {
            let raw = text(&result);
            let (old, new) = (revision("2025-11-25"), revision("2026-07-28"));
            for method in [Method::ToolsCall, Method::ResourcesRead] {
                let modern = to_modern(method, &raw, old, INFO, None).unwrap().unwrap();
                prop_assert_eq!(to_modern(method, &modern, new, INFO, None), Ok(None));
                let back = to_legacy(method, &modern, new, old).unwrap().unwrap();
                prop_assert_eq!(parse(&back), result.clone());
                prop_assert_eq!(to_legacy(method, &back, new, old), Ok(None));
            }
        }
    }
}
