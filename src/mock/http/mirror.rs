//! Headers that repeat the body, as the modern era asks: does each say what the body says?
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http> ("Request Metadata").

use serde_json::{Value, json};

use super::Asked;
use crate::mock::answers::Reply;
use crate::mock::lists::shown;
use crate::mock::modern::unsupported;
use crate::mock::revision::{code, meta};
use crate::mock::script::List;
use crate::mock::server::Server;

/// What `Mcp-Name` repeats of a request with these params.
pub(super) fn named(method: &str, params: &str) -> Option<String> {
    let member = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    let params: Value = serde_json::from_str(params).ok()?;
    params.get(member)?.as_str().map(str::to_owned)
}

/// Examines the headers of a request; the error says which is wrong.
pub(super) fn examine(server: &Server, asked: &Asked, method: &str, params: &str) -> Result<(), Reply> {
    let plan = &server.plan;
    let body: Value = serde_json::from_str(params).unwrap_or(Value::Null);
    let Some(version) = asked.header("mcp-protocol-version") else {
        let supported = plan.revisions.newest_first();
        let message = format!(
            "Header mismatch: MCP-Protocol-Version is missing; this server speaks {}",
            supported.join(", ")
        );
        return Err(Reply::refusal(code::HEADER_MISMATCH, message, Some(json!({"supported": supported}))));
    };
    let in_body = body.get("_meta").and_then(|fields| fields.get(meta::VERSION)).and_then(Value::as_str);
    match in_body {
        Some(in_body) => same("MCP-Protocol-Version", Some(version), in_body)?,
        None if !plan.revisions.contains(version) => return Err(unsupported(plan, version)),
        None => {}
    }
    same("Mcp-Method", asked.header("mcp-method"), method)?;
    if let Some(name) = named(method, params) {
        same("Mcp-Name", decoded(asked.header("mcp-name"), "Mcp-Name")?.as_deref(), &name)?;
    }
    if method == "tools/call" {
        for (header, path) in parameters(server, &body) {
            parameter(asked, &header, body.pointer(&format!("/arguments{path}")))?;
        }
    }
    Ok(())
}

fn mismatch(message: String) -> Reply {
    Reply::refusal(code::HEADER_MISMATCH, format!("Header mismatch: {message}"), None)
}

fn same(name: &str, header: Option<&str>, body: &str) -> Result<(), Reply> {
    match header {
        None => Err(mismatch(format!("{name} is missing"))),
        Some(header) if header != body => {
            Err(mismatch(format!("{name} header value '{header}' does not match body value '{body}'")))
        }
        Some(_) => Ok(()),
    }
}

/// The annotated parameters of the called tool: header and place in the arguments.
fn parameters(server: &Server, body: &Value) -> Vec<(String, String)> {
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut found = Vec::new();
    if let Some(tool) = shown(server, List::Tools).into_iter().find(|tool| tool.name == name)
        && let Some(schema) = tool.definition.get("inputSchema")
    {
        collect(schema, String::new(), &mut found);
    }
    found
}

fn collect(schema: &Value, path: String, found: &mut Vec<(String, String)>) {
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        if let Some(header) = property.get("x-mcp-header").and_then(Value::as_str) {
            found.push((format!("Mcp-Param-{header}"), path.clone()));
        }
        collect(property, path, found);
    }
}

fn parameter(asked: &Asked, name: &str, value: Option<&Value>) -> Result<(), Reply> {
    let header = decoded(asked.header(&name.to_ascii_lowercase()), name)?;
    let body = match value {
        None | Some(Value::Null) => {
            return match header {
                Some(header) => {
                    Err(mismatch(format!("{name} header value '{header}' has no value in the body")))
                }
                None => Ok(()),
            };
        }
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => {
            let as_number = |text: &str| text.parse::<f64>().ok();
            let header = header.as_deref();
            // 42.0 and 42 are the same number.
            if header.and_then(as_number).is_some_and(|found| Some(found) == as_number(&number.to_string())) {
                return Ok(());
            }
            number.to_string()
        }
        Some(other) => other.to_string(),
    };
    same(name, header.as_deref(), &body)
}

/// The value of a header that may be encoded as `=?base64?…?=`.
fn decoded(header: Option<&str>, name: &str) -> Result<Option<String>, Reply> {
    let Some(header) = header else { return Ok(None) };
    if header.bytes().any(|byte| !matches!(byte, 0x20..=0x7e | b'\t')) {
        return Err(mismatch(format!("{name} contains invalid characters")));
    }
    let encoded = header.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    let Some(encoded) = encoded else { return Ok(Some(header.to_owned())) };
    let text = base64(encoded).and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Some).ok_or_else(|| mismatch(format!("{name} is no Base64 of UTF-8")))
}

/// Decodes Base64 with padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let data = text.trim_end_matches('=');
    let mut out = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for byte in data.bytes() {
        bits = bits << 6 | DIGITS.iter().position(|digit| *digit == byte)? as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_values() {
        let check = |header: &str, expected: Option<&str>| {
            let found = decoded(Some(header), "X").ok().flatten();
            assert_eq!(found.as_deref(), expected, "{header}");
        };
        check("us-west1", Some("us-west1"));
        check("=?base64?SGVsbG8sIOS4lueVjA==?=", Some("Hello, 世界"));
        check("=?base64?IHBhZGRlZCA=?=", Some(" padded "));
        check("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", Some("=?base64?literal?="));
        check("=?base64?_?=", None);
        check("=?base64?/w==?=", None);
    }
}
