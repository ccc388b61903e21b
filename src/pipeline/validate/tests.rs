//! Faults in words, changes, and schemas of strangers.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::call::Call;
use crate::pipeline::payload::reply;
use crate::pipeline::testing::{Client, Script, call, server};

fn compiled(schema: Value, closed: bool) -> Schema {
    Schema::compile(schema.to_string().as_bytes(), closed).unwrap()
}

fn faults(schema: &Schema, value: Value) -> Vec<String> {
    words::faults(schema, &value, "arguments", false).unwrap_or_default()
}

/// A request of a tool with these schemas and arguments.
fn request(definition: &Value, arguments: &str) -> Box<Request> {
    let line = format!(r#"{{"name":"look","arguments":{arguments}}}"#);
    let whole = crate::wire::Span { start: 0, end: line.len() };
    let call = Call { line: line.into(), params: Some(whole), ..call(&Client::new(None), "look") };
    let definition = Bytes::from(definition.to_string());
    Box::new(Request { call, definition, ..*crate::pipeline::testing::request("look") })
}

#[test]
fn faults_say_where_what_and_how_to_mend_it() {
    let schema = compiled(
        json!({
            "type": "object",
            "properties": {
                "count": { "type": "integer", "minimum": 1 },
                "path": { "type": "string" },
                "unit": { "enum": ["celsius", "fahrenheit"] },
                "items": { "type": "array", "items": { "type": "object", "properties": { "id": { "type": "string" } } } },
                "when": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
            },
            "required": ["path"],
            "additionalProperties": false,
        }),
        false,
    );
    let all = faults(
        &schema,
        json!({ "count": "five", "pth": "x", "unit": "kelvin", "items": [{ "id": "a" }, { "id": 7 }], "when": 5, "zzz": 1 }),
    );
    for expected in [
        "`arguments.path` is missing (a string)",
        "`arguments.count` must be an integer, found \"five\"",
        "`arguments.pth` is unknown; did you mean `path`?",
        "`arguments.unit` must be one of \"celsius\", \"fahrenheit\", found \"kelvin\"",
        "`arguments.items[1].id` must be a string, found 7",
        "`arguments.when` must be a string or null, found 5",
    ] {
        assert!(all.iter().any(|fault| fault == expected), "{expected} not in {all:#?}");
    }
    assert!(
        all.iter().any(|fault| fault.starts_with("`arguments.zzz` is unknown; known are `count`")),
        "{all:#?}"
    );
    assert_eq!(
        faults(&schema, json!({ "path": "x", "count": 0 })),
        ["`arguments.count` must be at least 1, found 0"]
    );
    assert!(faults(&schema, json!({ "path": "x" })).is_empty());
}

#[test]
fn many_faults_are_counted() {
    let schema = compiled(json!({ "items": { "type": "string" } }), false);
    let all = faults(&schema, Value::Array((0..50).map(Value::from).collect()));
    assert_eq!(all.len(), 9);
    assert_eq!(all[8], "and 42 more");
}

#[test]
fn the_best_choice_is_told() {
    let schema = compiled(
        json!({ "anyOf": [
            { "type": "object", "properties": { "kind": { "const": "a" }, "x": { "type": "integer" } }, "required": ["kind"] },
            { "type": "string" },
        ] }),
        false,
    );
    assert_eq!(
        faults(&schema, json!({ "kind": "a", "x": "1" })),
        ["`arguments.x` must be an integer, found \"1\""]
    );
}

#[test]
fn drafts_are_told_by_their_schema() {
    let tuple =
        json!({ "$schema": "http://json-schema.org/draft-07/schema#", "items": [{ "type": "string" }] });
    assert_eq!(faults(&compiled(tuple, false), json!([1])).len(), 1);
    let tuple = json!({ "prefixItems": [{ "type": "string" }] });
    assert_eq!(faults(&compiled(tuple, false), json!([1])).len(), 1);
}

#[test]
fn schemas_that_refer_to_themselves_are_checked() {
    let node = json!({
        "$defs": { "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node" }, "v": { "type": "integer" } } } },
        "$ref": "#/$defs/node",
    });
    let schema = compiled(node, false);
    assert!(faults(&schema, json!({ "next": { "next": { "v": 1 } } })).is_empty());
    assert_eq!(faults(&schema, json!({ "next": { "next": { "v": "1" } } })).len(), 1);
    let _ = compiled(json!({ "$ref": "#" }), false).validator.is_valid(&json!(1));
    let _ =
        compiled(json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] }), false).validator.is_valid(&json!(1));
}

/// Everything that is made of a schema and a value takes so long at most, also in a build that is not optimised.
#[track_caller]
fn is_quick(text: &str, value: &str) {
    let began = Instant::now();
    if let Ok(schema) = Schema::compile(text.as_bytes(), true) {
        judge(&schema, value.as_bytes(), "arguments", true);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?} for {}", began.elapsed(), schema::excerpt(text));
}

#[test]
fn hostile_schemas_cost_bounded_time() {
    let nested = |depth: usize, end: &str| format!("{}{end}{}", r#"{"n":"#.repeat(depth), "}".repeat(depth));
    // Patterns that backtrack, and such that grow.
    is_quick(r#"{"pattern":"^(a+)+$"}"#, &format!("\"{}!\"", "a".repeat(50_000)));
    is_quick(r#"{"pattern":"^(?=a)(a+)+$"}"#, &format!("\"{}!\"", "a".repeat(50_000)));
    is_quick(r#"{"pattern":"(\\w{1000}){1000}"}"#, "\"a\"");
    let patterns: Vec<String> =
        (0..5000).map(|n| format!(r#""p{n}":{{"pattern":"\\w{{50}}{n}"}}"#)).collect();
    is_quick(&format!(r#"{{"properties":{{{}}}}}"#, patterns.join(",")), r#"{"p7":"x"}"#);
    // References that double at every step, and such that go round.
    let doubled: Vec<String> = (0..60)
        .map(|n| {
            format!(r##""d{n}":{{"allOf":[{{"$ref":"#/$defs/d{0}"}},{{"$ref":"#/$defs/d{0}"}}]}}"##, n + 1)
        })
        .collect();
    let doubled =
        format!(r##"{{"$defs":{{{},"d60":{{"type":"string"}}}},"$ref":"#/$defs/d0"}}"##, doubled.join(","));
    is_quick(&doubled, "5");
    is_quick(&doubled, "\"x\"");
    let round = r##"{"$defs":{"a":{"anyOf":[{"properties":{"n":{"$ref":"#/$defs/a"}},"required":["x"]},{"properties":{"n":{"$ref":"#/$defs/a"}},"required":["y"]}]}},"$ref":"#/$defs/a"}"##;
    is_quick(round, &nested(100, "1"));
    is_quick(round, &nested(12, "1"));
    // Depth and size.
    let chain: Vec<String> =
        (0..3000).map(|n| format!(r##""d{n}":{{"$ref":"#/$defs/d{}"}}"##, n + 1)).collect();
    is_quick(&format!(r##"{{"$defs":{{{},"d3000":{{}}}},"$ref":"#/$defs/d0"}}"##, chain.join(",")), "1");
    is_quick(&format!("{}{}", "[".repeat(500_000), "]".repeat(500_000)), "1");
    is_quick(&format!(r#"{{"description":"{}"}}"#, "x".repeat(5 << 20)), "1");
    is_quick(r#"{"type":"object"}"#, &nested(5000, "1"));
    let wide = vec![r#"{"type":"integer"}"#; 5000].join(",");
    is_quick(&format!(r#"{{"items":{{"allOf":[{wide}]}}}}"#), &format!("[{}]", vec!["1"; 50_000].join(",")));
}

#[test]
fn nothing_is_fetched() {
    for target in ["https://example.com/x.json", "file:///etc/passwd", "other.json"] {
        let error = Schema::compile(format!(r#"{{"$ref":"{target}"}}"#).as_bytes(), false).unwrap_err();
        assert!(error.contains("outside of itself"), "{error}");
    }
    assert!(Schema::compile(br#"{"$schema":"https://example.com/meta"}"#, false).is_err());
}

#[test]
fn a_pattern_that_is_too_costly_is_left_out() {
    let schema = compiled(json!({ "properties": { "a": { "pattern": "^(?!x)", "minLength": 2 } } }), false);
    assert_eq!(schema.unchecked, 1);
    assert!(faults(&schema, json!({ "a": "xy" })).is_empty());
    assert_eq!(faults(&schema, json!({ "a": "x" })).len(), 1);
}

#[tokio::test]
async fn what_is_refused_is_not_sent_and_what_is_meant_is() {
    let definition =
        json!({ "inputSchema": { "properties": { "n": { "type": "integer" } }, "required": ["n"] } });
    let stage = |coerce| Validate::new(server(), Rules { coerce, ..Rules::default() });
    let script = Script::answers();
    let run = async |coerce, arguments| {
        stage(coerce).run(request(&definition, arguments), Next::new(&[], &script)).await
    };
    let Outcome::Failed(failure) = run(false, r#"{"n":"5"}"#).await else { panic!() };
    assert_eq!((failure.code, failure.ran), (Code::ArgumentsInvalid, crate::effect::Ran::No));
    assert_eq!(script.sent(), 0);
    assert!(matches!(run(true, r#"{"n":"5"}"#).await, Outcome::Reply { .. }));
    assert!(matches!(run(false, r#"{"n":5}"#).await, Outcome::Reply { .. }));
    assert_eq!(script.sent(), 2);
}

#[tokio::test]
async fn a_result_that_breaks_its_promise_is_marked_or_refused() {
    let definition = json!({ "outputSchema": { "type": "object", "required": ["n"] } });
    let run = async |output, result: &'static str| {
        let stage = Validate::new(server(), Rules { output, ..Rules::default() });
        let script = Script::of([reply(result.into(), crate::protocol::Revision::newest_legacy())]);
        let outcome = stage.run(request(&definition, "{}"), Next::new(&[], &script)).await;
        match outcome {
            Outcome::Reply { line, .. } => Ok(String::from_utf8(line.to_vec()).unwrap()),
            Outcome::Failed(failure) => Err(failure.code),
        }
    };
    let good = r#"{"content":[],"structuredContent":{"n":1}}"#;
    let bad = r#"{"content":[],"structuredContent":{}}"#;
    assert_eq!(run(OutputCheck::Strict, good).await.unwrap(), good);
    assert_eq!(run(OutputCheck::Off, bad).await.unwrap(), bad);
    let warned = run(OutputCheck::Warn, bad).await.unwrap();
    assert!(warned.contains(r#""switchboard/warning":"the result of"#), "{warned}");
    assert_eq!(run(OutputCheck::Strict, bad).await.unwrap_err(), Code::ResultInvalid);
    let failed = r#"{"content":[],"isError":true}"#;
    assert_eq!(run(OutputCheck::Strict, failed).await.unwrap(), failed);
    assert_eq!(run(OutputCheck::Strict, r#"{"content":[]}"#).await.unwrap_err(), Code::ResultInvalid);
}
