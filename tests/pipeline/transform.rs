//! Arguments that the owner decides about.

use serde_json::{Value, json};

use super::{answered, each, is_call, refused};

const TOOLS: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  look:
    input_schema:
      type: object
      properties: { root: { type: string }, max: { type: integer }, q: { type: string } }
      required: [ root, max, q ]
    answer: "looked"
"#;

const KEYS: &str = "validate: { input: closed }, tools: { rename: { look: find }, override: { look: { title: Find, \
    annotations: { readOnlyHint: true }, \
    arguments: { root: { fixed: /safe }, max: { default: 10 }, q: { rename: query } } } } }";

#[test]
fn clients_see_and_give_what_is_left_to_them() {
    each(TOOLS, KEYS, |house, peer| {
        let list = peer.call("tools/list", json!({}));
        let tools = list.result()["tools"].as_array().unwrap().clone();
        let tool = tools.iter().find(|tool| tool["name"] == "a__find").unwrap();
        assert_eq!((&tool["title"], &tool["annotations"]["readOnlyHint"]), (&json!("Find"), &json!(true)));
        let schema = &tool["inputSchema"];
        assert_eq!(
            schema["properties"],
            json!({ "max": { "type": "integer", "default": 10 }, "query": { "type": "string" } })
        );
        assert_eq!(schema["required"], json!(["query"]));
        answered(&peer.tool("a__find", json!({ "query": "x" })), "looked");
        answered(&peer.tool("a__find", json!({ "query": "x", "max": 3 })), "looked");
        refused(&peer.tool("a__find", json!({ "query": "x", "root": "/etc" })), "SB-VALID-001");
        let sent: Vec<Value> = house
            .received("a")
            .iter()
            .filter(|message| is_call(message, "look"))
            .map(|message| message["params"]["arguments"].clone())
            .collect();
        assert_eq!(
            sent,
            [json!({ "q": "x", "root": "/safe", "max": 10 }), json!({ "q": "x", "max": 3, "root": "/safe" })]
        );
    });
}
