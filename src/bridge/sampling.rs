//! Questions to a model: `sampling/createMessage` between the revisions (MCP "Sampling").

use bytes::Bytes;

use crate::bridge::capabilities::check;
use crate::bridge::content::text_block;
use crate::bridge::edit::{Edit, change_elements, member, text};
use crate::bridge::question;
use crate::call::{AskKind, NotAsked};
use crate::protocol::Revision;
use crate::wire::json::{self, Kind};

/// The params of a request for sampling by a server of revision `from`, for a client of revision `to` with these raw
/// capabilities; `None` if they pass unchanged.
///
/// A message of several blocks becomes several messages of the same role for a client that knows only single blocks. An
/// empty list of tools and a request for context, which clients are free to ignore, are left out where they were
/// not declared.
///
/// # Errors
/// A sentence for the server: the client did not declare sampling, or not the tools that this one needs.
pub fn params(
    params: &[u8],
    from: &Revision,
    to: &Revision,
    declared: &[u8],
) -> Result<Option<Bytes>, NotAsked> {
    check(AskKind::Sampling, params, declared, to)?;
    if from == to {
        return Ok(None);
    }
    let Some(mut edit) = Edit::open(params) else { return Ok(None) };
    question::strip(&mut edit, to);
    let declares = |name| {
        to.sampling_tools && member(declared, "sampling").is_some_and(|own| member(own, name).is_some())
    };
    if !declares("tools") {
        edit.remove("tools");
        edit.remove("toolChoice");
    }
    // Before 2025-11-25 there was nothing to declare: every client took the wish and was free to ignore it.
    let context = text(params, "includeContext").is_some_and(|wish| wish != "none");
    if context && to.sampling_tools && !declares("context") {
        edit.remove("includeContext");
    }
    let messages = edit.get("messages").and_then(|messages| messages_for(messages, to));
    edit.change("messages", messages);
    Ok(edit.finish())
}

fn messages_for(messages: &[u8], to: &Revision) -> Option<Bytes> {
    if to.sampling_tools && to.audio {
        return None;
    }
    let changed = |message: &[u8]| Ok::<_, std::convert::Infallible>(message_for(message, to));
    change_elements(messages, changed).unwrap_or(None)
}

/// One message as one or more, separated by commas; as none, if it has no content.
fn message_for(message: &[u8], to: &Revision) -> Option<Bytes> {
    let content = member(message, "content")?;
    if json::kind(content) != Kind::Array {
        let block = block_for(content, to)?;
        return Some(with_content(message, &block));
    }
    if to.sampling_tools {
        return None;
    }
    let mut out = Vec::with_capacity(message.len());
    for span in json::elements(content) {
        if !out.is_empty() {
            out.push(b',');
        }
        let block = span.of(content);
        let other = block_for(block, to);
        out.extend_from_slice(&with_content(message, other.as_deref().unwrap_or(block)));
    }
    Some(out.into())
}

fn with_content(message: &[u8], content: &[u8]) -> Bytes {
    let mut edit = Edit::open(message).unwrap_or_else(Edit::empty);
    edit.set("content", content.to_vec());
    edit.into_bytes()
}

/// Sampling has no embedded resources to put audio into, so older models are told that there was some.
fn block_for(block: &[u8], to: &Revision) -> Option<Bytes> {
    if to.audio || text(block, "type").as_deref() != Some("audio") {
        return None;
    }
    let kind = text(block, "mimeType").unwrap_or_else(|| "unknown type".into());
    Some(text_block(&format!("[audio ({kind}) that revision {} cannot carry]", to.name)).into())
}

/// A client's answer for a server of revision `to`; `None` if it passes unchanged. Several blocks become one for a server
/// that knows only single blocks, if they are texts.
///
/// # Errors
/// A sentence: it is no answer to a request for sampling, or cannot be told as one block.
pub fn answer(answer: &[u8], to: &Revision) -> Result<Option<Bytes>, String> {
    let Some(content) = member(answer, "content") else {
        return Err("the answer to `sampling/createMessage` must have `content`".to_owned());
    };
    let Some(mut edit) = Edit::open(answer) else { return Ok(None) };
    super::meta::strip_member(&mut edit);
    if !to.sampling_tools && json::kind(content) == Kind::Array {
        edit.set("content", one_block(content, to)?);
    }
    Ok(edit.finish())
}

fn one_block(content: &[u8], to: &Revision) -> Result<Vec<u8>, String> {
    let blocks: Vec<&[u8]> = json::elements(content).map(|span| span.of(content)).collect();
    if let [block] = blocks[..] {
        return Ok(block.to_vec());
    }
    let words: Option<Vec<_>> = blocks.iter().map(|block| text(block, "text")).collect();
    match words {
        Some(words) => Ok(text_block(&words.join("\n\n"))),
        None => Err(format!(
            "the model answered with {} blocks of content, and revision {} has room for one",
            blocks.len(),
            to.name
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{any_object, merged, parse, revision, text};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn asked(given: &Value, from: &str, to: &str, declared: &str) -> Result<Option<Value>, NotAsked> {
        let asked = params(&text(given), revision(from), revision(to), declared.as_bytes())?;
        Ok(asked.map(|bytes| parse(&bytes)))
    }

    const PLAIN: &str = r#"{"sampling":{}}"#;
    const FULL: &str = r#"{"sampling":{"tools":{},"context":{}}}"#;

    #[test]
    fn several_blocks_become_several_messages() {
        let (a, b) = (json!({"type": "text", "text": "a"}), json!({"type": "image", "data": ""}));
        let given = json!({"maxTokens": 1.0, "messages": [
            {"role": "user", "content": [a, b], "v": 1}, {"role": "assistant", "content": a}, {"role": "user", "content": []}]});
        let expected = json!({"maxTokens": 1.0, "messages": [
            {"role": "user", "content": a, "v": 1}, {"role": "user", "content": b, "v": 1}, {"role": "assistant", "content": a}]});
        assert_eq!(asked(&given, "2026-07-28", "2025-06-18", PLAIN), Ok(Some(expected.clone())));
        assert_eq!(asked(&expected, "2026-07-28", "2025-06-18", PLAIN), Ok(None));
        assert_eq!(asked(&given, "2026-07-28", "2025-11-25", PLAIN), Ok(None));
    }

    #[test]
    fn tools_and_context_are_for_those_who_declared_them() {
        let tools = json!({"messages": [], "tools": [{"name": "a"}], "toolChoice": {"mode": "auto"}, "includeContext": "thisServer"});
        assert_eq!(asked(&tools, "2025-11-25", "2026-07-28", FULL), Ok(None));
        assert!(matches!(asked(&tools, "2025-11-25", "2026-07-28", PLAIN), Err(NotAsked::Unacceptable(_))));
        let empty = json!({"messages": [], "tools": [], "toolChoice": {}, "includeContext": "allServers"});
        assert_eq!(asked(&empty, "2025-11-25", "2026-07-28", PLAIN), Ok(Some(json!({"messages": []}))));
        let kept = json!({"messages": [], "includeContext": "allServers"});
        assert_eq!(asked(&empty, "2025-11-25", "2025-06-18", PLAIN), Ok(Some(kept)));
        assert!(matches!(asked(&empty, "2025-11-25", "2025-06-18", "{}"), Err(NotAsked::Unsupported(_))));
    }

    #[test]
    fn audio_is_mentioned_where_it_cannot_be_heard() {
        let given = json!({"messages": [{"role": "user", "content": {"type": "audio", "data": "AA", "mimeType": "audio/wav"}}]});
        let told = asked(&given, "2025-06-18", "2024-11-05", PLAIN).unwrap().unwrap();
        assert_eq!(
            told["messages"][0]["content"],
            json!({"type": "text", "text": "[audio (audio/wav) that revision 2024-11-05 cannot carry]"})
        );
        assert_eq!(asked(&told, "2025-06-18", "2024-11-05", PLAIN), Ok(None));
        assert_eq!(asked(&given, "2025-06-18", "2025-03-26", PLAIN), Ok(None));
    }

    #[test]
    fn answers_fit_into_one_block() {
        let (old, new) = (revision("2025-06-18"), revision("2026-07-28"));
        let told = |content: Value, to| {
            let given = json!({"role": "assistant", "content": content, "model": "m"});
            answer(&text(&given), to).map(|changed| changed.map(|bytes| parse(&bytes)["content"].clone()))
        };
        let (a, use_tool) = (json!({"type": "text", "text": "a"}), json!({"type": "tool_use"}));
        assert_eq!(told(json!([a]), old), Ok(Some(a.clone())));
        assert_eq!(told(json!([a, a]), old), Ok(Some(json!({"type": "text", "text": "a\n\na"}))));
        assert!(told(json!([a, use_tool]), old).is_err());
        assert_eq!(told(json!([a, use_tool]), new), Ok(None));
        assert_eq!(told(a, old), Ok(None));
        assert!(answer(b"{}", old).is_err());
    }

    proptest! {
        #[test]
        fn the_rest_is_untouched_and_twice_is_once(others in any_object(), message in any_object(), block in any_object()) {
            let message = |content: Value| merged(others.clone(), json!({"messages": [merged(message.clone(), json!({"content": content}))]}));
            let once = asked(&message(json!([block])), "2026-07-28", "2024-11-05", PLAIN);
            prop_assert_eq!(once, Ok(Some(message(block.clone()))));
            prop_assert_eq!(asked(&message(block), "2026-07-28", "2024-11-05", PLAIN), Ok(None));
        }
    }
}
