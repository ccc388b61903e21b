//! Results of every kind, made small.

use serde_json::{Value, json};

use super::*;
use crate::protocol::revision::REVISIONS;

struct Shortened {
    result: Value,
    size: usize,
    results: Results,
}

fn shortened(result: &Value, definition: &Value, limit: usize) -> Shortened {
    let results = Results::default();
    let mut keep = |data: Data, mime: &str| {
        let piece = Piece { principal: None, mime: mime.to_owned(), data, limit: 1 << 20 };
        results.keep(piece, Instant::now())
    };
    let text = result.to_string();
    let revision = &REVISIONS[3];
    let short =
        shorten::shorten(text.as_bytes(), definition.to_string().as_bytes(), limit, revision, &mut keep);
    assert!(short.len() <= limit, "{} bytes, not {limit}", short.len());
    let size = short.len();
    Shortened { result: serde_json::from_slice(&short).unwrap(), size, results }
}

impl Shortened {
    fn blocks(&self) -> &[Value] {
        self.result["content"].as_array().unwrap()
    }

    /// What the links lead to.
    fn kept(&self) -> Vec<Value> {
        let links = self.blocks().iter().filter_map(|block| block["uri"].as_str());
        links
            .map(|uri| {
                let read = self.results.read(uri, None).unwrap().unwrap();
                serde_json::from_slice::<Value>(&read).unwrap()["contents"][0].clone()
            })
            .collect()
    }
}

#[test]
fn a_long_text_keeps_its_beginning() {
    let text: String = (0..2000).map(|n| format!("line {n} äöü \"quoted\"\n")).collect();
    let result = json!({ "content": [{ "type": "text", "text": text, "annotations": { "priority": 1 } }, { "type": "text", "text": "short" }], "_meta": { "x": 1 } });
    let short = shortened(&result, &json!({}), 8192);
    let shown = short.blocks()[0]["text"].as_str().unwrap();
    assert!(text.starts_with(shown) && shown.ends_with('\n') && shown.len() > 1000, "{shown}");
    assert_eq!(short.blocks()[0]["annotations"]["priority"], 1);
    assert!(short.blocks()[1]["text"].as_str().unwrap().contains(&format!("?offset={}&", shown.len())));
    assert_eq!(short.blocks()[3]["text"], "short");
    assert_eq!(short.kept()[0]["text"], text);
    assert_eq!(short.result["_meta"]["switchboard/result"]["bytes"], result.to_string().len());
    assert_eq!(short.result["_meta"]["x"], 1);
}

#[test]
fn other_blocks_become_notes() {
    let data = "QUJD".repeat(4000);
    let result = json!({ "content": [
        { "type": "image", "data": data, "mimeType": "image/png" },
        { "type": "resource", "resource": { "uri": "file:///x", "text": "t".repeat(9000), "mimeType": "text/css" } },
        { "type": "oddity", "x": "y".repeat(9000) },
    ] });
    let short = shortened(&result, &json!({}), 8192);
    let kept = short.kept();
    assert_eq!((kept[0]["blob"].as_str(), kept[0]["mimeType"].as_str()), (Some(&*data), Some("image/png")));
    assert_eq!(
        (kept[1]["text"].as_str().unwrap().len(), kept[1]["mimeType"].as_str()),
        (9000, Some("text/css"))
    );
    assert!(kept[2]["text"].as_str().unwrap().starts_with(r#"{"type":"oddity""#));
}

#[test]
fn many_blocks_are_left_out_together() {
    let blocks: Vec<Value> =
        (0..5000).map(|n| json!({ "type": "text", "text": format!("block {n}") })).collect();
    let short = shortened(&json!({ "content": blocks }), &json!({}), 8192);
    assert_eq!(short.blocks()[0]["text"], "block 0");
    let kept: Vec<Value> = serde_json::from_str(short.kept()[0]["text"].as_str().unwrap()).unwrap();
    let shown = short
        .blocks()
        .iter()
        .filter(|block| block["text"].as_str().is_some_and(|text| text.starts_with("block")))
        .count();
    assert_eq!(shown + kept.len(), 5000);
}

#[test]
fn structured_content_keeps_its_promise_or_is_not_there() {
    let rows: Vec<Value> = (0..3000).map(|n| json!({ "id": n, "name": "x".repeat(50) })).collect();
    let result = json!({ "structuredContent": { "rows": rows, "count": 3000 }, "content": [] });
    let free = shortened(&result, &json!({}), 16384);
    assert_eq!(free.result.get("structuredContent"), None);
    assert_eq!(free.result.get("isError"), None);
    assert_eq!(
        serde_json::from_str::<Value>(free.kept()[0]["text"].as_str().unwrap()).unwrap(),
        result["structuredContent"]
    );
    let loose = json!({ "outputSchema": { "type": "object", "properties": { "rows": { "type": "array" } }, "required": ["rows", "count"] } });
    let cut = shortened(&result, &loose, 16384);
    assert_eq!(cut.result["structuredContent"]["count"], 3000);
    assert!(!cut.result["structuredContent"]["rows"].as_array().unwrap().is_empty());
    assert_eq!(cut.result.get("isError"), None);
    let tight = json!({ "outputSchema": { "properties": { "rows": { "minItems": 3000 } } } });
    let refused = shortened(&result, &tight, 16384);
    assert_eq!((refused.result.get("structuredContent"), &refused.result["isError"]), (None, &json!(true)));
}

#[test]
fn it_fits_whatever_the_limit() {
    let text = "\u{1}\"\\é".repeat(8000);
    for limit in [1024, 3000, 20_000] {
        for count in [1, 3, 20] {
            let blocks: Vec<Value> = (0..count).map(|_| json!({ "type": "text", "text": text })).collect();
            let result = json!({ "content": blocks, "structuredContent": { "t": text }, "isError": false });
            let short = shortened(&result, &json!({ "outputSchema": { "required": ["t"] } }), limit);
            assert!(!short.blocks().is_empty() && short.size > 100, "{limit} {count}");
        }
    }
}
