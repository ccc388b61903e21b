//! Whether the schemas of tools are schemas: each is compiled as a validator would do it.
//!
//! Schemas are a stranger's letters. One is admitted only if it is small, shallow and refers to nothing outside of
//! itself; the rest runs on a thread with a large stack and is given up after a while.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use crate::cli::terminal;
use crate::wire::json;

/// The largest schema that is looked at, in bytes.
const MAX_SIZE: usize = 256 * 1024;
/// The deepest one.
const MAX_DEPTH: usize = 64;
/// Compiling recurses.
const STACK: usize = 16 << 20;
/// How long all schemas together may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A schema that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The exposed name of the tool.
    pub(super) tool: String,
    /// `inputSchema` or `outputSchema`
    pub(super) member: &'static str,
    /// What is wrong, as a fragment.
    pub(super) text: String,
}

/// The faults of these tools, given by exposed name and definition.
pub(super) fn faults(tools: Vec<(String, Bytes)>) -> Vec<Fault> {
    let (sender, receiver) = mpsc::channel();
    let deadline = Instant::now() + PATIENCE;
    let judge = move || {
        for (tool, definition) in tools {
            for member in ["inputSchema", "outputSchema"] {
                let Some(schema) = json::get(&definition, member) else { continue };
                if let Err(text) = admit(schema.of(&definition)).and_then(|schema| compile(&schema)) {
                    let text = terminal::cut(&terminal::one_line(&text), Some(200));
                    if sender.send(Fault { tool: tool.clone(), member, text }).is_err() {
                        return;
                    }
                }
            }
        }
    };
    let thread = std::thread::Builder::new().name("schemas".to_owned()).stack_size(STACK).spawn(judge);
    if thread.is_err() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    // The thread is not joined: what takes for ever is left behind, and ends with the process.
    while let Ok(fault) = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        faults.push(fault);
    }
    faults
}

/// The schema as a tree, if it may be compiled.
fn admit(schema: &[u8]) -> Result<Value, String> {
    if schema.len() > MAX_SIZE {
        return Err(format!("it has {} bytes; at most {MAX_SIZE} are looked at", schema.len()));
    }
    let schema: Value =
        serde_json::from_slice(schema).map_err(|error| format!("it cannot be read: {error}"))?;
    look_through(&schema, 0)?;
    Ok(schema)
}

fn look_through(value: &Value, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
    }
    match value {
        Value::Array(elements) => elements.iter().try_for_each(|element| look_through(element, depth + 1)),
        Value::Object(members) => members.iter().try_for_each(|(key, value)| match value {
            Value::String(target)
                if matches!(key.as_str(), "$ref" | "$dynamicRef") && !target.starts_with('#') =>
            {
                Err(format!("it refers to `{target}`, outside of itself"))
            }
            _ => look_through(value, depth + 1),
        }),
        _ => Ok(()),
    }
}

fn compile(schema: &Value) -> Result<(), String> {
    match jsonschema::validator_for(schema) {
        Ok(_) => Ok(()),
        Err(error) => {
            let at = error.instance_path().to_string();
            let place = if at.is_empty() { String::new() } else { format!(" (at {at})") };
            Err(format!("it is no valid JSON Schema: {error}{place}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, expected: Option<&str>) {
        let definition = Bytes::from(format!(r#"{{"name":"t","inputSchema":{schema}}}"#));
        let faults = faults(vec![("s__t".to_owned(), definition)]);
        match (faults.first(), expected) {
            (None, None) => {}
            (Some(fault), Some(expected)) => assert!(fault.text.contains(expected), "{fault:?}"),
            (found, expected) => panic!("{schema}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn good_schemas_pass() {
        check(r#"{"type":"object","properties":{"a":{"type":"number","minimum":1.10}}}"#, None);
        check(r##"{"$defs":{"n":{"properties":{"next":{"$ref":"#/$defs/n"}}}},"$ref":"#/$defs/n"}"##, None);
        check(r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}"#, None);
        check(r#"{"properties":{"$ref":{"type":"string"}}}"#, None);
    }

    #[test]
    fn bad_schemas_are_named() {
        check(r#"{"type":"objekt"}"#, Some("no valid JSON Schema"));
        check(r#"{"properties":{"a":{"pattern":"("}}}"#, Some("no valid JSON Schema"));
        check(r#"{"$ref":"https://example.com/x.json"}"#, Some("outside of itself"));
        check(r##"{"$ref":"#/$defs/none"}"##, Some("no valid JSON Schema"));
        let deep = format!("{}{{}}{}", r#"{"items":"#.repeat(70), "}".repeat(70));
        check(&deep, Some("deeper than 64"));
        check(&format!(r#"{{"title":"{}"}}"#, "x".repeat(MAX_SIZE)), Some("at most"));
    }
}
