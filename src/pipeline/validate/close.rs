//! A schema that names all that may be there.

use serde_json::{Map, Value};

/// Members that hold a schema for the very same value.
const BRANCHES: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const BESIDE: [&str; 5] = ["if", "then", "else", "dependentSchemas", "$ref"];
/// Members that hold one schema for a part of the value, or a list of them.
const PARTS: [&str; 6] =
    ["items", "prefixItems", "additionalProperties", "contains", "unevaluatedProperties", "additionalItems"];
/// Members that hold schemas by name.
const NAMED: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];

/// Closes every object of the schema that names properties and does not say itself what else may be there.
///
/// Where several schemas speak of the same object none of them is closed: what one does not name another may.
pub(super) fn close(schema: &mut Value) {
    let mut shared = Vec::new();
    note_shared(schema, &mut shared);
    walk(schema, true, &mut String::new(), &shared);
}

fn walk(schema: &mut Value, alone: bool, place: &mut String, shared: &[String]) {
    let Value::Object(members) = schema else { return };
    let is_alone = alone && !combines(members) && !shared.contains(place);
    if is_alone
        && members.contains_key("properties")
        && !["additionalProperties", "unevaluatedProperties"].iter().any(|key| members.contains_key(*key))
    {
        members.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    let only_chooses = !members.contains_key("properties") && !members.contains_key("allOf");
    for (key, value) in members.iter_mut() {
        let key = key.as_str();
        let length = place.len();
        place.push('/');
        place.push_str(&key.replace('~', "~0").replace('/', "~1"));
        match value {
            Value::Object(named) if NAMED.contains(&key) => {
                for (name, value) in named.iter_mut() {
                    let length = place.len();
                    place.push('/');
                    place.push_str(&name.replace('~', "~0").replace('/', "~1"));
                    walk(value, true, place, shared);
                    place.truncate(length);
                }
            }
            Value::Array(branches) if BRANCHES.contains(&key) || PARTS.contains(&key) => {
                let alone = PARTS.contains(&key) || alone && key != "allOf" && only_chooses;
                for (index, value) in branches.iter_mut().enumerate() {
                    let length = place.len();
                    place.push_str(&format!("/{index}"));
                    walk(value, alone, place, shared);
                    place.truncate(length);
                }
            }
            value if PARTS.contains(&key) => walk(value, true, place, shared),
            value if ["if", "then", "else"].contains(&key) => walk(value, false, place, shared),
            _ => {}
        }
        place.truncate(length);
    }
}

/// Whether other schemas speak of the same object.
fn combines(members: &Map<String, Value>) -> bool {
    BRANCHES.iter().chain(&BESIDE).any(|key| members.contains_key(*key))
}

/// Notes what is referred to from where it is not the only schema of its value.
fn note_shared(value: &Value, shared: &mut Vec<String>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| note_shared(element, shared)),
        Value::Object(members) => {
            let mut note = |schema: &Value| {
                let target = schema.get("$ref").and_then(Value::as_str);
                shared.extend(target.and_then(|target| target.strip_prefix('#')).map(str::to_owned));
            };
            if members.len() > 1 && ["properties", "allOf"].iter().any(|key| members.contains_key(*key)) {
                note(value);
                for key in ["anyOf", "oneOf"] {
                    members.get(key).and_then(Value::as_array).into_iter().flatten().for_each(&mut note);
                }
            }
            members.get("allOf").and_then(Value::as_array).into_iter().flatten().for_each(note);
            members.values().for_each(|value| note_shared(value, shared));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn closed(mut schema: Value) -> Value {
        close(&mut schema);
        schema
    }

    #[test]
    fn what_names_properties_is_closed() {
        let schema = closed(json!({
            "type": "object",
            "properties": { "a": { "properties": { "b": {} } }, "open": { "type": "object" },
                "said": { "properties": {}, "additionalProperties": true },
                "list": { "items": { "properties": {} } },
                "maybe": { "anyOf": [{ "$ref": "#/$defs/d" }, { "type": "null" }] } },
            "$defs": { "d": { "properties": { "e": {} } } },
        }));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["a"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["open"].get("additionalProperties"), None);
        assert_eq!(schema["properties"]["said"]["additionalProperties"], true);
        assert_eq!(schema["properties"]["list"]["items"]["additionalProperties"], false);
        assert_eq!(schema["$defs"]["d"]["additionalProperties"], false);
    }

    #[test]
    fn what_shares_its_object_stays_open() {
        let schema = closed(json!({
            "properties": { "a": {} },
            "allOf": [{ "$ref": "#/$defs/d" }, { "properties": { "b": { "properties": {} } } }],
            "$defs": { "d": { "properties": { "e": {} } } },
        }));
        assert_eq!(schema.get("additionalProperties"), None);
        assert_eq!(schema["allOf"][1].get("additionalProperties"), None);
        assert_eq!(schema["allOf"][1]["properties"]["b"]["additionalProperties"], false);
        assert_eq!(schema["$defs"]["d"].get("additionalProperties"), None);
    }
}
