//! What is too large comes in part, and the rest can be read.

use serde_json::{Value, json};

use super::{answered, each};
use crate::board::{Message, Setup};
use crate::peer::{House, MODERN, everything};

const TOOLS: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  rows: { output_schema: { type: object, required: [ rows ] }, structured: { rows: "{{json list}}" }, answer: "rows" }
"#;

fn uri(answer: &Message) -> String {
    let content = answer.result()["content"].as_array().cloned().unwrap_or_default();
    let link = content.iter().find(|block| block["type"] == "resource_link");
    link.unwrap_or_else(|| panic!("{}", answer.raw))["uri"].as_str().unwrap().to_owned()
}

#[test]
fn a_large_text_comes_in_part_and_is_read_by_range_or_searched() {
    each(TOOLS, "limits: { result: 8KiB }", |_, peer| {
        answered(&peer.tool("a__echo", json!({ "input": "small" })), "small");
        let text: String = (0..30_000).map(|n| format!("line {n}\n")).collect();
        let answer = peer.tool("a__echo", json!({ "input": text }));
        assert!(answer.raw.len() < 9000, "{}", answer.raw.len());
        let shown = answer.result()["content"][0]["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with(&shown) && shown.ends_with('\n') && shown.len() > 2000, "{}", answer.raw);
        let uri = uri(&answer);
        let read = |query: &str| {
            let answer = peer.call("resources/read", json!({ "uri": format!("{uri}{query}") }));
            answer.result()["contents"][0].clone()
        };
        let mut all = shown.clone();
        while all.len() < text.len() {
            let part = read(&format!("?offset={}&length=100000", all.len()));
            assert!(part["text"].as_str().unwrap().len() <= 8192);
            all.push_str(part["text"].as_str().unwrap());
        }
        assert_eq!(all, text);
        assert_eq!(read("?lines=2-3")["text"], "line 1\nline 2\n");
        assert!(read("?search=line%2029999")["text"].as_str().unwrap().starts_with("line 30000, offset"));
        let bad = peer.call("resources/read", json!({ "uri": format!("{uri}?offset=x") }));
        assert_eq!(bad.error()["code"], -32602, "{}", bad.raw);
        let other = format!("switchboard://result/{:032x}", 7);
        assert!(
            peer.call("resources/read", json!({ "uri": other })).error()["message"]
                .as_str()
                .unwrap()
                .contains("not found")
        );
    });
}

#[test]
fn structured_content_keeps_its_promise() {
    each(TOOLS, "limits: { result: 8KiB }, validate: { output: strict }", |_, peer| {
        let list: Vec<Value> = (0..2000).map(|n| json!({ "id": n })).collect();
        let answer = peer.tool("a__rows", json!({ "list": list }));
        let result = answer.result();
        assert!(answer.raw.len() < 9000 && result["isError"] != true, "{}", answer.raw);
        assert_eq!(result["structuredContent"]["rows"][0], json!({ "id": 0 }), "{}", answer.raw);
        let all = peer.call("resources/read", json!({ "uri": format!("{}?search=%221999", uri(&answer)) }));
        assert!(all.result()["contents"][0]["text"].is_string(), "{}", all.raw);
    });
}

#[test]
fn a_result_belongs_to_the_client_that_it_was_made_for() {
    let tokens = "http: { tokens: { ann: token-of-ann-0123456789, bob: token-of-bob-0123456789 } }";
    let keys = "limits: { result: 4KiB }";
    let house = House::http(Setup::new().script("a", TOOLS).keys(keys).config(tokens));
    let peer = |name: &str| {
        let token = format!("token-of-{name}-0123456789");
        let peer = house.stranger(MODERN, everything(MODERN), Some(&token));
        peer.list_with("tools/list", "a__echo");
        peer
    };
    let (ann, bob) = (peer("ann"), peer("bob"));
    let uri = uri(&ann.tool("a__echo", json!({ "input": "x".repeat(5000) })));
    let read = json!({ "uri": uri });
    assert!(ann.call("resources/read", read.clone()).result()["contents"][0]["text"].is_string());
    assert!(bob.call("resources/read", read).error()["message"].as_str().unwrap().contains("not found"));
    drop((ann, bob));
    house.close();
}

/// Prompts and resources are cut like results of tools.
#[test]
fn large_resources_and_prompts_come_in_part() {
    let script = r#"
tools: { echo: { answer: "{{input}}" } }
prompts: { long: { answer: "begin {{fill 64KiB}}" } }
resources: { "note://long": { text: "begin {{fill 64KiB}}" } }
"#;
    each(script, "limits: { result: 8KiB }", |_, peer| {
        let read = peer.call("resources/read", json!({ "uri": "note://long" }));
        assert!(read.raw.len() < 9000, "{}", read.raw.len());
        let contents = read.result()["contents"].clone();
        assert!(contents[0]["text"].as_str().unwrap().starts_with("begin xxx"), "{}", read.raw);
        let note = contents[1]["text"].as_str().unwrap().to_owned();
        let got = peer.call("prompts/get", json!({ "name": "a__long" }));
        assert!(got.raw.len() < 9000, "{}", got.raw.len());
        let told = got.result()["messages"][0]["content"]["text"].as_str().unwrap().to_owned();
        assert!(told.starts_with("begin xxx"), "{told}");
        for text in [note, told] {
            let uri = text.split("resources/read of ").nth(1).unwrap().split('?').next().unwrap().to_owned();
            let rest = peer.call("resources/read", json!({ "uri": format!("{uri}?search=begin") }));
            assert!(rest.raw.contains("line 1"), "{}", rest.raw);
        }
    });
}
