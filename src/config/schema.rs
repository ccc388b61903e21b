//! The JSON Schema for editors, from the same tables that the checker reads.

use serde_json::{Map, Value, json};

use super::keys;
use super::shape::{Shape, Table};

/// The schema of a config file (JSON Schema 2020-12). Keys of other programs are allowed, all others are not.
pub fn json_schema() -> Value {
    let mut schema = table(&keys::ROOT);
    let head = [
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("title", json!("Switchboard config")),
        ("$defs", json!({ "server": table(&keys::SERVER), "missionServer": mission_server() })),
    ];
    if let Value::Object(members) = &mut schema {
        members.extend(head.map(|(key, value)| (key.to_owned(), value)));
        // The mission's servers have three keys that mean something else there.
        let servers = members.get_mut("properties").and_then(|root| root.get_mut("proxy"));
        if let Some(servers) =
            servers.and_then(|proxy| proxy.get_mut("properties")).and_then(Value::as_object_mut)
        {
            servers.insert("servers".to_owned(), list_or_map("#/$defs/missionServer"));
        }
    }
    schema
}

fn mission_server() -> Value {
    let mut schema = table(&keys::SERVER);
    let own = table(&keys::MISSION_SERVER);
    if let (Some(Value::Object(properties)), Some(Value::Object(own))) =
        (schema.get_mut("properties"), own.get("properties"))
    {
        properties.extend(own.clone());
    }
    schema
}

fn table(table: &Table) -> Value {
    let mut properties = Map::new();
    for key in table.keys() {
        let mut schema = shape(&key.shape);
        if let Value::Object(members) = &mut schema {
            members.insert("description".to_owned(), key.about.into());
            if let Some(default) = key.default.and_then(|json| serde_json::from_str(json).ok()) {
                members.insert("default".to_owned(), default);
            }
        }
        for alias in key.aliases {
            properties.insert((*alias).to_owned(), schema.clone());
        }
        properties.insert(key.name.to_owned(), schema);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn shape(of: &Shape) -> Value {
    match of {
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Text => json!({ "type": "string" }),
        Shape::Variable => json!({ "type": "string", "pattern": "^[^=]+$" }),
        Shape::Template | Shape::Secret => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Whole { min, max: u64::MAX } => json!({ "type": "integer", "minimum": min }),
        Shape::Whole { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Integer => json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX }),
        Shape::Duration { never, .. } => {
            let pattern = duration_pattern(*never);
            json!({ "type": "string", "pattern": pattern })
        }
        Shape::Seconds => {
            json!({ "type": ["number", "string"], "minimum": 0, "pattern": duration_pattern(false) })
        }
        Shape::Size { .. } => {
            json!({ "type": ["string", "integer"], "minimum": 0, "pattern": "^\\s*[0-9]+\\s*([kKmMgG]?[bB]|[kKmMgG]([iI][bB])?)?\\s*$" })
        }
        Shape::Word(words) => {
            let words: Vec<&str> = words
                .iter()
                .flat_map(|word| std::iter::once(word.name).chain(word.aliases.iter().copied()))
                .collect();
            json!({ "enum": words })
        }
        Shape::List(element) => json!({ "type": "array", "items": shape(element) }),
        Shape::OneOrMore(element) => {
            let element = shape(element);
            json!({ "anyOf": [element, { "type": "array", "items": element }] })
        }
        Shape::Map(value) => json!({ "type": "object", "additionalProperties": shape(value) }),
        Shape::Table(below) => table(below),
        Shape::Stage(below) => json!({ "anyOf": [table(below), { "const": false }] }),
        Shape::Servers => list_or_map("#/$defs/server"),
        Shape::Anything => json!({}),
    }
}

fn list_or_map(entry: &str) -> Value {
    json!({
        "anyOf": [
            { "type": "object", "additionalProperties": { "$ref": entry } },
            { "type": "array", "items": { "$ref": entry } },
        ]
    })
}

fn duration_pattern(never: bool) -> &'static str {
    if never {
        "^(never|\\s*([0-9.]+(ms|s|sec|m|min|h|d)\\s*)+)$"
    } else {
        "^\\s*([0-9.]+(ms|s|sec|m|min|h|d)\\s*)+$"
    }
}
