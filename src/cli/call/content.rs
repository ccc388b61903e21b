//! A tool's result as text for people.

use crate::cli::terminal::tame;
use crate::wire::json;

/// The result of a `tools/call`: texts as they are, everything else as a line that says what it is. For a terminal,
/// control characters are left out.
pub(super) fn render(result: &[u8], for_terminal: bool) -> String {
    let content = json::get(result, "content").map(|span| span.of(result)).unwrap_or_default();
    let mut parts: Vec<String> =
        json::elements(content).map(|block| render_block(block.of(content))).collect();
    if parts.is_empty()
        && let Some(structured) = json::get(result, "structuredContent")
    {
        parts.push(String::from_utf8_lossy(structured.of(result)).into_owned());
    }
    let text = parts.join("\n");
    if for_terminal { tame(&text) } else { text }
}

fn render_block(block: &[u8]) -> String {
    let text = |path: &[&str]| {
        let span = json::get_path(block, path)?;
        json::string(span.of(block)).map(|text| text.into_owned())
    };
    let kind = text(&["type"]).unwrap_or_default();
    match kind.as_str() {
        "text" => text(&["text"]).unwrap_or_default(),
        "image" | "audio" => {
            let mime = text(&["mimeType"]).unwrap_or_default();
            note(&kind, &[&mime, &size(&text(&["data"]).unwrap_or_default())])
        }
        "resource" => match text(&["resource", "text"]) {
            Some(text) => text,
            None => {
                let uri = text(&["resource", "uri"]).unwrap_or_default();
                let mime = text(&["resource", "mimeType"]).unwrap_or_default();
                note("resource", &[&uri, &mime, &size(&text(&["resource", "blob"]).unwrap_or_default())])
            }
        },
        "resource_link" => {
            let name = text(&["name"]).unwrap_or_default();
            note("link", &[&text(&["uri"]).unwrap_or_default(), &name])
        }
        other => note(other, &[&format!("{} bytes of JSON", block.len())]),
    }
}

fn note(kind: &str, parts: &[&str]) -> String {
    let mut words = vec![kind];
    words.extend(parts.iter().filter(|part| !part.is_empty()));
    format!("[{}]", words.join(" "))
}

/// The size of what a base64 text stands for.
fn size(base64: &str) -> String {
    let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
    let bytes = (base64.len() / 4 * 3).saturating_sub(padding);
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_content_has_a_text() {
        let result = br#"{"content":[{"type":"text","text":"a\u001b[1mb"},{"type":"image","data":"AAAA","mimeType":"image/png"},
            {"type":"resource","resource":{"uri":"x://y","text":"inner"}},{"type":"resource","resource":{"uri":"x://z","blob":"AAA="}},
            {"type":"resource_link","uri":"x://l","name":"L"},{"type":"new"}],"structuredContent":{"a":1}}"#;
        let lines = "[image image/png 3 bytes]\ninner\n[resource x://z 2 bytes]\n[link x://l L]\n[new 14 bytes of JSON]";
        assert_eq!(render(result, true), format!("ab\n{lines}"));
        assert_eq!(render(result, false), format!("a\x1b[1mb\n{lines}"));
    }

    #[test]
    fn structured_content_stands_in_for_missing_content() {
        assert_eq!(render(br#"{"content":[],"structuredContent":{"a":1.0}}"#, false), r#"{"a":1.0}"#);
        assert_eq!(render(br"{}", false), "");
    }
}
