//! What models often mean when they write something else: `"5"` where a number is wanted, one value where a list is.

use serde_json::{Number, Value};

/// How far references and values are followed.
const MAX_DEPTH: usize = 32;
const KINDS: [&str; 7] = ["string", "integer", "number", "boolean", "array", "object", "null"];

/// Changes what is of a wrong type into the type that the schema wants, where only one change is possible. Returns whether
/// anything has changed.
pub(super) fn coerce(root: &Value, value: &mut Value) -> bool {
    visit(root, root, value, 0)
}

fn visit(root: &Value, schema: &Value, value: &mut Value, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    let schema = followed(root, schema);
    let branches: Vec<&Value> = ["anyOf", "oneOf"]
        .iter()
        .filter_map(|key| schema.get(*key)?.as_array())
        .flatten()
        .map(|branch| followed(root, branch))
        .collect();
    let mut changed = false;
    if !wants(schema, value) || (!branches.is_empty() && !branches.iter().any(|branch| wants(branch, value)))
    {
        let choices = branches.iter().copied().chain([schema]).filter_map(|schema| converted(schema, value));
        let mut choices: Vec<Value> = choices.collect();
        choices.dedup();
        if let [only] = &mut choices[..] {
            *value = only.take();
            changed = true;
        }
    }
    let mut fitting = branches.into_iter().filter(|branch| wants(branch, value));
    if let (Some(only), None) = (fitting.next(), fitting.next()) {
        changed |= visit(root, only, value, depth + 1);
    }
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if let Some(schema) = schema.get("properties").and_then(|properties| properties.get(name)) {
                    changed |= visit(root, schema, value, depth + 1);
                }
            }
        }
        Value::Array(elements) => {
            if let Some(schema) = schema.get("items").filter(|items| items.is_object()) {
                for element in elements {
                    changed |= visit(root, schema, element, depth + 1);
                }
            }
        }
        _ => {}
    }
    changed
}

fn followed<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..8 {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        match target.and_then(|target| root.pointer(target)) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

/// The types that a schema names; none if it names none.
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether the value is of a type that the schema takes.
fn wants(schema: &Value, value: &Value) -> bool {
    let types = types(schema);
    types.is_empty() || types.iter().any(|kind| is_of(kind, value))
}

fn is_of(kind: &str, value: &Value) -> bool {
    match (kind, value) {
        ("integer", Value::Number(number)) => is_whole(number),
        ("number", Value::Number(_))
        | ("string", Value::String(_))
        | ("boolean", Value::Bool(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_))
        | ("null", Value::Null) => true,
        // A type that nobody knows is no reason to change anything.
        _ => !KINDS.contains(&kind),
    }
}

fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

/// The value in the one type of this schema into which it can be turned.
fn converted(schema: &Value, value: &Value) -> Option<Value> {
    let types = types(schema);
    let mut choices: Vec<Value> = types.iter().filter_map(|kind| convert(kind, value)).collect();
    // A whole number is both of them.
    choices.dedup();
    match (choices.len(), types.contains(&"array"), value) {
        (1, _, _) => choices.pop(),
        (0, true, value) if types.len() == 1 && !value.is_null() => Some(Value::Array(vec![value.clone()])),
        _ => None,
    }
}

fn convert(kind: &str, value: &Value) -> Option<Value> {
    match (kind, value) {
        ("integer" | "number" | "array" | "object", Value::String(text)) => {
            let text = text.trim();
            let read: Value = serde_json::from_str(text).ok()?;
            is_of(kind, &read).then_some(read)
        }
        ("boolean", Value::String(text)) => match text.trim() {
            "true" | "True" => Some(Value::Bool(true)),
            "false" | "False" => Some(Value::Bool(false)),
            _ => None,
        },
        ("string", Value::Number(_) | Value::Bool(_)) => Some(Value::String(value.to_string())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: Value, value: Value, expected: Option<Value>) {
        let mut changed = value.clone();
        let has_changed = coerce(&schema, &mut changed);
        assert_eq!(has_changed.then_some(changed), expected, "{value} for {schema}");
    }

    #[test]
    fn what_is_meant_is_written() {
        for (kind, value, expected) in [
            (json!("integer"), json!("5"), Some(json!(5))),
            (json!("number"), json!(" 5.5 "), Some(json!(5.5))),
            (json!("integer"), json!("5.5"), None),
            (json!("integer"), json!("five"), None),
            (json!("boolean"), json!("true"), Some(json!(true))),
            (json!("boolean"), json!(1), None),
            (json!("string"), json!(5), Some(json!("5"))),
            (json!(["string", "integer"]), json!("5"), None),
            (json!(["integer", "null"]), json!("5"), Some(json!(5))),
            (json!(["integer", "number"]), json!("5"), Some(json!(5))),
            (json!(["boolean", "integer"]), json!("x"), None),
            (json!("array"), json!("a"), Some(json!(["a"]))),
            (json!("array"), json!("[1]"), Some(json!([1]))),
            (json!("array"), Value::Null, None),
            (json!("object"), json!("{\"a\":1}"), Some(json!({ "a": 1 }))),
            (json!("string"), Value::Null, None),
            (json!("oddity"), json!(5), None),
        ] {
            check(json!({ "type": kind }), value, expected);
        }
    }

    #[test]
    fn parts_are_looked_at_through_references_and_choices() {
        let schema = json!({
            "properties": {
                "n": { "$ref": "#/$defs/n" },
                "list": { "type": "array", "items": { "type": "integer" } },
                "maybe": { "anyOf": [{ "type": "integer" }, { "type": "null" }] },
                "either": { "anyOf": [{ "type": "integer" }, { "type": "boolean" }] },
                "text": { "anyOf": [{ "type": "integer" }, { "type": "string" }] },
            },
            "$defs": { "n": { "type": "number" } },
        });
        check(
            schema.clone(),
            json!({ "n": "1", "list": "2", "maybe": "3", "either": "true", "text": "4", "other": "5" }),
            Some(json!({ "n": 1, "list": [2], "maybe": 3, "either": true, "text": "4", "other": "5" })),
        );
        check(schema, json!({ "n": 1, "maybe": null }), None);
        check(json!({ "$ref": "#" }), json!("x"), None);
    }
}
