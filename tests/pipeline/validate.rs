//! Arguments that do not fit never reach the server, and results that do not fit are told from others.

use serde_json::{Value, json};

use super::{answered, each, received, refused};
use crate::board::Message;
use crate::peer::Peer;

const TOOLS: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  look:
    input_schema:
      type: object
      properties: { count: { type: integer }, path: { type: string, pattern: "^/" }, tags: { type: array, items: { type: string } } }
      required: [ path ]
    answer: "looked"
  outside: { input_schema: { $ref: "https://example.com/x.json" }, answer: "unchecked" }
  good: { output_schema: { type: object, required: [ n ] }, structured: { n: 1 }, answer: "fine" }
  bad: { output_schema: { type: object, required: [ n ] }, structured: { m: 1 }, answer: "wrong" }
  sorry: { output_schema: { type: object, required: [ n ] }, is_error: true, answer: "sorry" }
"#;

fn look(peer: &Peer, arguments: Value) -> Message {
    peer.tool("a__look", arguments)
}

fn warning(answer: &Message) -> Value {
    answer.result()["_meta"]["switchboard/warning"].clone()
}

#[test]
fn arguments_that_do_not_fit_are_told_all_at_once_and_not_sent() {
    each(TOOLS, "validate: { input: standard }", |house, peer| {
        let answer = look(peer, json!({ "count": "five", "tags": [1] }));
        refused(&answer, "SB-VALID-001");
        for expected in [
            "`arguments.path` is missing",
            "`arguments.count` must be an integer",
            "`arguments.tags[0]` must be a string",
        ] {
            assert!(answer.text().contains(expected), "{}", answer.raw);
        }
        refused(&look(peer, json!({ "path": "x" })), "SB-VALID-001");
        assert_eq!(received(house, "look"), 0);
        answered(&look(peer, json!({ "path": "/x", "count": 5, "more": 1 })), "looked");
        // What cannot be compiled is not checked.
        answered(&peer.tool("a__outside", json!({ "any": 1 })), "unchecked");
    });
}

#[test]
fn closed_refuses_what_the_schema_does_not_name() {
    each(TOOLS, "validate: { input: closed }", |house, peer| {
        let answer = look(peer, json!({ "path": "/x", "cuont": 5 }));
        refused(&answer, "SB-VALID-001");
        assert!(
            answer.text().contains("`arguments.cuont` is unknown; did you mean `count`?"),
            "{}",
            answer.raw
        );
        assert_eq!(received(house, "look"), 0);
    });
}

#[test]
fn what_is_meant_is_sent_and_nothing_else_is_changed() {
    each(TOOLS, "validate: { coerce: true }", |house, peer| {
        answered(&look(peer, json!({ "path": "/x", "count": "5", "tags": "one" })), "looked");
        let raw = json!({ "path": "/x", "count": 1 });
        answered(&look(peer, raw.clone()), "looked");
        let arguments: Vec<Value> = house
            .received("a")
            .iter()
            .filter(|message| super::is_call(message, "look"))
            .map(|message| message["params"]["arguments"].clone())
            .collect();
        assert_eq!(arguments, [json!({ "path": "/x", "count": 5, "tags": ["one"] }), raw]);
        refused(&look(peer, json!({ "path": "/x", "count": "five" })), "SB-VALID-001");
    });
}

#[test]
fn results_are_marked_or_refused() {
    each(TOOLS, "validate: { output: warn }", |_, peer| {
        assert_eq!(warning(&peer.tool("a__good", json!({}))), Value::Null);
        let answer = peer.tool("a__bad", json!({}));
        answered(&answer, "wrong");
        assert!(
            warning(&answer).as_str().unwrap_or_default().contains("`structuredContent.n` is missing"),
            "{}",
            answer.raw
        );
    });
    each(TOOLS, "validate: { output: strict }", |house, peer| {
        answered(&peer.tool("a__good", json!({})), "fine");
        let answer = peer.tool("a__bad", json!({}));
        refused(&answer, "SB-VALID-002");
        assert!(answer.text().contains("has run and may have taken effect"), "{}", answer.raw);
        assert_eq!(received(house, "bad"), 1);
        assert_eq!(peer.tool("a__sorry", json!({})).text(), "sorry");
    });
}
