//! Reading the marks `x-mcp-header` of a tool's definition, and the rules that they must keep.
//!
//! Source: MCP 2026-07-28, "Streamable HTTP", Schema Extension.

use http::HeaderName;

use super::Mark;
use crate::wire::json::{self, Kind};

const MARK: &str = "x-mcp-header";
/// Nobody marks an argument deeper than this.
const MAX_DEPTH: usize = 64;

/// Why a tool must not be shown by a client that speaks HTTP: what is wrong with its marks. `None` if nothing is.
pub fn invalid(definition: &[u8]) -> Option<String> {
    marks(definition).err()
}

/// The marks of a definition, in its order.
///
/// # Errors
/// What is wrong with them.
pub fn marks(definition: &[u8]) -> Result<Vec<Mark>, String> {
    if memchr::memmem::find(definition, MARK.as_bytes()).is_none() {
        return Ok(Vec::new());
    }
    let Some(schema) = json::get(definition, "inputSchema") else { return Ok(Vec::new()) };
    let mut walk = Walk { marks: Vec::new(), path: Vec::new() };
    walk.schema(schema.of(definition), true, 0)?;
    Ok(walk.marks)
}

struct Walk {
    marks: Vec<Mark>,
    path: Vec<String>,
}

impl Walk {
    /// Looks at a schema. `reachable`: nothing but `properties` lies between the root and it.
    fn schema(&mut self, schema: &[u8], reachable: bool, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!(
                "its `{MARK}` cannot be found: the schema nests deeper than {MAX_DEPTH} levels"
            ));
        }
        for member in json::members(schema) {
            let key = json::string(member.key.of(schema)).unwrap_or_default();
            let value = member.value.of(schema);
            match &*key {
                MARK => self.mark(schema, value, reachable)?,
                "properties" => {
                    for property in json::members(value) {
                        let name = json::string(property.key.of(value)).unwrap_or_default();
                        self.path.push(name.into_owned());
                        self.schema(property.value.of(value), reachable, depth + 1)?;
                        self.path.pop();
                    }
                }
                // Names of whatever their author likes, each with a schema.
                "$defs" | "definitions" | "patternProperties" | "dependentSchemas" => {
                    for named in json::members(value) {
                        self.schema(named.value.of(value), false, depth + 1)?;
                    }
                }
                // Values, which may look like anything.
                "const" | "default" | "enum" | "examples" | "example" => {}
                _ => match json::kind(value) {
                    Kind::Object => self.schema(value, false, depth + 1)?,
                    Kind::Array => {
                        for element in json::elements(value) {
                            self.schema(element.of(value), false, depth + 1)?;
                        }
                    }
                    _ => {}
                },
            }
        }
        Ok(())
    }

    fn mark(&mut self, schema: &[u8], value: &[u8], reachable: bool) -> Result<(), String> {
        if !reachable || self.path.is_empty() {
            return Err(format!("`{MARK}` stands where no argument can be found by a chain of `properties`"));
        }
        let argument = self.path.join(".");
        let Some(name) = json::string(value) else {
            return Err(format!("the `{MARK}` of `{argument}` is no string"));
        };
        // The rule of a header's name is that of a token, which is what this checks.
        let Ok(header) = HeaderName::try_from(format!("mcp-param-{name}")) else {
            return Err(format!("the `{MARK}` of `{argument}` cannot be part of a header's name"));
        };
        if name.is_empty() {
            return Err(format!("the `{MARK}` of `{argument}` is empty"));
        }
        if self.marks.iter().any(|mark| mark.header == header) {
            return Err(format!("two arguments have the `{MARK}` `{name}`"));
        }
        if !is_primitive(json::get(schema, "type").map(|span| span.of(schema)).unwrap_or_default()) {
            return Err(format!("`{argument}` has an `{MARK}` but is no string, integer or boolean"));
        }
        self.marks.push(Mark { header, path: self.path.clone() });
        Ok(())
    }
}

/// Whether a `type` names a type whose values fit into a header; with `null` besides, which is not sent.
fn is_primitive(kind: &[u8]) -> bool {
    let named = |value: &[u8]| json::string(value).map(|name| name.into_owned()).unwrap_or_default();
    let fits = |name: &str| matches!(name, "string" | "integer" | "boolean");
    match json::kind(kind) {
        Kind::String => fits(&named(kind)),
        Kind::Array => {
            let names: Vec<String> = json::elements(kind).map(|span| named(span.of(kind))).collect();
            names.iter().all(|name| fits(name) || name == "null") && names.iter().any(|name| fits(name))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, expected: Option<&str>) {
        let definition = format!(r#"{{"name":"t","inputSchema":{schema}}}"#);
        let reason = invalid(definition.as_bytes());
        match expected {
            None => assert_eq!(reason, None, "{schema}"),
            Some(part) => {
                let reason = reason.unwrap_or_else(|| panic!("{schema} is invalid"));
                assert!(reason.contains(part), "{schema}: {reason}");
            }
        }
    }

    fn property(property: &str) -> String {
        format!(r#"{{"type":"object","properties":{{"a":{property}}}}}"#)
    }

    #[test]
    fn marks_keep_the_rules() {
        check(&property(r#"{"type":"string"}"#), None);
        check(&property(r#"{"type":"string","x-mcp-header":"A-1"}"#), None);
        check(&property(r#"{"type":["string","null"],"x-mcp-header":"A"}"#), None);
        check(
            &property(r#"{"type":"object","properties":{"b":{"type":"integer","x-mcp-header":"B"}}}"#),
            None,
        );
        check(&property(r#"{"type":"string","x-mcp-header":""}"#), Some("empty"));
        check(&property(r#"{"type":"string","x-mcp-header":5}"#), Some("no string"));
        check(&property(r#"{"type":"string","x-mcp-header":"a b"}"#), Some("header's name"));
        check(&property(r#"{"type":"string","x-mcp-header":"a\r\nb"}"#), Some("header's name"));
        check(&property(r#"{"type":"string","x-mcp-header":"é"}"#), Some("header's name"));
        check(&property(r#"{"type":"string","x-mcp-header":"a:"}"#), Some("header's name"));
        check(&property(r#"{"type":"number","x-mcp-header":"A"}"#), Some("no string, integer or boolean"));
        check(&property(r#"{"type":"object","x-mcp-header":"A"}"#), Some("no string, integer or boolean"));
        check(&property(r#"{"x-mcp-header":"A"}"#), Some("no string, integer or boolean"));
        check(
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"X"},"b":{"type":"string","x-mcp-header":"x"}}}"#,
            Some("two arguments"),
        );
    }

    #[test]
    fn marks_stand_only_where_they_can_be_found() {
        let marked = r#"{"type":"string","x-mcp-header":"A"}"#;
        for schema in [
            property(&format!(r#"{{"type":"array","items":{marked}}}"#)),
            property(&format!(r#"{{"anyOf":[{marked}]}}"#)),
            property(&format!(r#"{{"not":{marked}}}"#)),
            format!(r#"{{"allOf":[{{"properties":{{"a":{marked}}}}}]}}"#),
            format!(r#"{{"if":{{"properties":{{"a":{marked}}}}}}}"#),
            format!(r#"{{"$defs":{{"x":{marked}}},"properties":{{"a":{{"$ref":"/$defs/x"}}}}}}"#),
            format!(r#"{{"additionalProperties":{marked}}}"#),
            r#"{"type":"object","x-mcp-header":"A"}"#.to_owned(),
        ] {
            check(&schema, Some("chain of `properties`"));
        }
    }

    #[test]
    fn what_only_looks_like_a_mark_is_none() {
        check(&property(r#"{"type":"object","default":{"x-mcp-header":5}}"#), None);
        check(r#"{"properties":{"x-mcp-header":{"type":"string"}}}"#, None);
        check(&property(r#"{"type":"string","description":"x-mcp-header"}"#), None);
    }

    #[test]
    fn nesting_has_an_end() {
        let deep = format!("{}{}{}", r#"{"items":"#.repeat(900), r#"{"x-mcp-header":"A"}"#, "}".repeat(900));
        check(&deep, Some("deeper"));
    }
}
