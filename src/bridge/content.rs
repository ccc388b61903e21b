//! Content blocks that a client's revision does not know, in words that it does.

use bytes::Bytes;

use crate::bridge::edit::{Edit, change_elements, member, text};
use crate::protocol::Revision;
use crate::wire::json::{self, Kind};

/// The URI of an embedded resource that was an audio block: it must have one, and names nothing that could be read.
const AUDIO_URI: &str = "switchboard:audio";

/// A content block, or an array of them, as `to` knows it; `None` if it knows all of it.
///
/// A `resource_link` becomes a text with a link, `audio` an embedded resource with the same data. Blocks of a type that no
/// revision knows are left to the client.
pub fn downgrade(content: &[u8], to: &Revision) -> Option<Bytes> {
    if to.audio && to.resource_link {
        return None;
    }
    match json::kind(content) {
        Kind::Array => {
            let Ok(changed) = change_elements(content, |element| Ok::<_, Never>(block(element, to)));
            changed
        }
        _ => block(content, to),
    }
}

enum Never {}

fn block(block: &[u8], to: &Revision) -> Option<Bytes> {
    match text(block, "type")?.as_ref() {
        "resource_link" if !to.resource_link => link(block),
        "audio" if !to.audio => audio(block),
        _ => None,
    }
}

fn link(block: &[u8]) -> Option<Bytes> {
    let uri = text(block, "uri")?;
    let name = text(block, "name").or_else(|| text(block, "title"));
    let mut words = format!("[{}]({uri})", name.as_deref().unwrap_or(&uri));
    if let Some(description) = text(block, "description") {
        words.push(' ');
        words.push_str(&description);
    }
    let mut edit = Edit::open(block)?;
    for name in ["uri", "name", "title", "description", "mimeType", "size", "icons"] {
        edit.remove(name);
    }
    edit.set("type", "\"text\"");
    edit.set("text", json::quote(&words));
    edit.finish()
}

fn audio(block: &[u8]) -> Option<Bytes> {
    let data = member(block, "data")?;
    let mut resource = Edit::empty();
    resource.set("uri", json::quote(AUDIO_URI));
    resource.change("mimeType", member(block, "mimeType").map(Bytes::copy_from_slice));
    resource.set("blob", Bytes::copy_from_slice(data));
    let mut edit = Edit::open(block)?;
    edit.remove("data");
    edit.remove("mimeType");
    edit.set("type", "\"resource\"");
    edit.set("resource", resource.into_bytes());
    edit.finish()
}

/// A text block.
pub(super) fn text_block(words: &str) -> Vec<u8> {
    let mut out = br#"{"type":"text","text":"#.to_vec();
    json::push_string(&mut out, words);
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{any_object, merged, parse, revision, text};
    use proptest::prelude::*;
    use serde_json::json;

    fn downgraded(content: serde_json::Value, to: &str) -> Option<serde_json::Value> {
        downgrade(&text(&content), revision(to)).map(|bytes| parse(&bytes))
    }

    #[test]
    fn links_become_texts_before_2025_06_18() {
        let link = json!({"type": "resource_link", "uri": "file:///a", "name": "a \"b\"", "description": "words",
            "mimeType": "text/plain", "annotations": {"priority": 1.0}, "vendor": 1});
        let expected = json!({"type": "text", "annotations": {"priority": 1.0}, "vendor": 1,
            "text": "[a \"b\"](file:///a) words"});
        assert_eq!(downgraded(link.clone(), "2025-03-26"), Some(expected.clone()));
        assert_eq!(
            downgraded(json!([link, {"type": "new"}]), "2024-11-05"),
            Some(json!([expected, {"type": "new"}]))
        );
        assert_eq!(downgraded(json!([link]), "2025-06-18"), None);
        let bare = json!({"type": "resource_link", "uri": "x:y"});
        assert_eq!(downgraded(bare, "2024-11-05"), Some(json!({"type": "text", "text": "[x:y](x:y)"})));
    }

    #[test]
    fn audio_becomes_a_resource_before_2025_03_26() {
        let audio = json!({"type": "audio", "data": "AAAA", "mimeType": "audio/wav", "_meta": {"a": 1}});
        let expected = json!({"type": "resource", "_meta": {"a": 1},
            "resource": {"uri": "switchboard:audio", "mimeType": "audio/wav", "blob": "AAAA"}});
        assert_eq!(downgraded(audio.clone(), "2024-11-05"), Some(expected));
        assert_eq!(downgraded(audio, "2025-03-26"), None);
    }

    #[test]
    fn what_is_known_stays_as_written() {
        for content in [
            json!([{"type": "text", "text": "a"}, {"type": "image", "data": "", "mimeType": "image/png"}]),
            json!([]),
            json!(null),
            json!({"type": 1}),
            json!({"type": "audio"}),
        ] {
            assert_eq!(downgraded(content, "2024-11-05"), None);
        }
    }

    proptest! {
        #[test]
        fn unknown_members_survive_and_twice_is_once(others in any_object()) {
            let block = merged(others.clone(), json!({"type": "resource_link", "uri": "u", "name": "n"}));
            let once = downgrade(&text(&block), revision("2024-11-05")).unwrap();
            prop_assert_eq!(parse(&once), merged(others, json!({"type": "text", "text": "[n](u)"})));
            prop_assert_eq!(downgrade(&once, revision("2024-11-05")), None);
        }
    }
}
