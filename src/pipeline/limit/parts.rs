//! Prompts and resources that are too large: the texts in them keep their beginnings, and everything else becomes a note.

use serde_json::{Map, Value, json};

use super::note::{LEAST, of_server};
use super::shorten::{Keep, beginning};
use crate::pipeline::results::Data;

/// About so many bytes are needed to say where the rest is.
const NOTE: usize = 500;

/// The result of `resources/read` in at most about `limit` bytes; `None` if it is none.
pub(super) fn contents(result: &[u8], limit: usize, keep: &mut Keep<'_>) -> Option<Vec<u8>> {
    let mut result: Map<String, Value> = serde_json::from_slice(result).ok()?;
    let contents = result.get_mut("contents")?.as_array_mut()?;
    let share = share(limit, contents.len());
    let mut shown = Vec::new();
    for mut content in std::mem::take(contents) {
        let mime = content["mimeType"].as_str().map(str::to_owned);
        let note = match (content["text"].take(), content["blob"].take()) {
            (Value::String(text), _) if text.len() > share => {
                let first = beginning(&text, share).to_owned();
                let (size, length) = (text.len(), first.len());
                let uri = keep(Data::Text(text), mime.as_deref().unwrap_or("text/plain"));
                content["text"] = first.into();
                Some(of_server("this resource", length, size, uri.as_deref()))
            }
            (_, Value::String(blob)) if blob.len() > share => {
                let size = blob.len() / 4 * 3;
                let uri = keep(Data::Blob(blob), mime.as_deref().unwrap_or("application/octet-stream"));
                content["text"] = "".into();
                content["mimeType"] = "text/plain".into();
                Some(of_server("this resource", 0, size, uri.as_deref()))
            }
            (text, blob) => {
                [("text", text), ("blob", blob)]
                    .into_iter()
                    .filter(|(_, value)| !value.is_null())
                    .for_each(|(key, value)| content[key] = value);
                None
            }
        };
        if let Some(content) = content.as_object_mut() {
            content.retain(|_, value| !value.is_null());
        }
        // Beside the beginning, not in it: what is left is still what the server said.
        let uri = content["uri"].clone();
        if content["text"] != "" {
            shown.push(content);
        }
        shown.extend(note.map(|note| json!({ "uri": uri, "mimeType": "text/plain", "text": note })));
    }
    result.insert("contents".to_owned(), shown.into());
    serde_json::to_vec(&result).ok()
}

/// The result of `prompts/get` in at most about `limit` bytes; `None` if it is none.
pub(super) fn messages(result: &[u8], limit: usize, keep: &mut Keep<'_>) -> Option<Vec<u8>> {
    let mut result: Map<String, Value> = serde_json::from_slice(result).ok()?;
    let messages = result.get_mut("messages")?.as_array_mut()?;
    let share = share(limit, messages.len());
    for message in messages {
        let content = &mut message["content"];
        let size = content.to_string().len();
        if size <= share {
            continue;
        }
        let text = content["text"].as_str().filter(|_| content["type"] == "text").map(str::to_owned);
        let told = match text {
            Some(text) => {
                let first = beginning(&text, share).to_owned();
                let (size, length) = (text.len(), first.len());
                let uri = keep(Data::Text(text), "text/plain");
                format!("{first}\n{}", of_server("this message", length, size, uri.as_deref()))
            }
            None => {
                let uri = keep(Data::Text(content.to_string()), "application/json");
                of_server("this message", 0, size, uri.as_deref())
            }
        };
        *content = json!({ "type": "text", "text": told });
    }
    serde_json::to_vec(&result).ok()
}

fn share(limit: usize, count: usize) -> usize {
    (limit / count.max(1)).saturating_sub(NOTE).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_keeps_its_beginning_and_says_where_the_rest_is() {
        let (long, blob) = ("line\n".repeat(2000), "A".repeat(9000));
        let result = json!({ "contents": [
            { "uri": "a://small", "text": "small" }, { "uri": "a://long", "mimeType": "text/x", "text": long },
            { "uri": "a://blob", "blob": blob },
        ], "ttlMs": 5 });
        let mut kept = Vec::new();
        let mut keep = |data: Data, mime: &str| {
            kept.push((data.text().len(), mime.to_owned()));
            Some(format!("switchboard://result/{}", kept.len()))
        };
        let short = contents(result.to_string().as_bytes(), 6000, &mut keep).unwrap();
        assert!(short.len() < 6000, "{}", short.len());
        let short: Value = serde_json::from_slice(&short).unwrap();
        let texts: Vec<&str> =
            short["contents"].as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap()).collect();
        assert_eq!((texts.len(), texts[0]), (4, "small"));
        assert!(long.starts_with(texts[1]) && texts[1].ends_with('\n') && texts[1].len() > 1000);
        assert!(texts[2].contains("switchboard://result/1") && texts[3].contains("switchboard://result/2"));
        assert_eq!(short["ttlMs"], 5);
        assert_eq!(kept, [(10_000, "text/x".to_owned()), (9000, "application/octet-stream".to_owned())]);
    }

    #[test]
    fn a_prompt_keeps_the_beginnings_of_its_messages() {
        let text = "word ".repeat(2000);
        let result = json!({ "description": "d", "messages": [
            { "role": "user", "content": { "type": "text", "text": text } },
            { "role": "assistant", "content": { "type": "image", "data": "A".repeat(9000), "mimeType": "image/png" } },
        ] });
        let mut keep = |_: Data, _: &str| None;
        let short = messages(result.to_string().as_bytes(), 4000, &mut keep).unwrap();
        assert!(short.len() < 4000, "{}", short.len());
        let short: Value = serde_json::from_slice(&short).unwrap();
        assert_eq!(
            (&short["description"], &short["messages"][1]["role"]),
            (&json!("d"), &json!("assistant"))
        );
        for message in short["messages"].as_array().unwrap() {
            assert!(message["content"]["text"].as_str().unwrap().contains("too large to be kept"));
        }
    }
}
