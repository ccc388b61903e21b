//! Headers that mirror parts of the body, so that proxies can route a request without reading it.
//!
//! Source: MCP 2026-07-28 "Streamable HTTP", Request Metadata. Whoever reads the body must refuse a request whose headers
//! say something else: a proxy may have let it pass for what the headers say.

use http::HeaderMap;

use super::message::Request;
use crate::bridge::mirror;
use crate::wire::json::{self, Kind};

/// The largest integer that a mirrored parameter may hold, either way: beyond it JavaScript rounds.
const MAX_INTEGER: i64 = (1 << 53) - 1;

/// The one value of a header, if it has one that can be read.
///
/// # Errors
/// It stands there twice, or has bytes that no header may have.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(format!("the header {name} stands there more than once"));
    }
    let text =
        value.to_str().map_err(|_| format!("the header {name} has a byte that is not visible ASCII"))?;
    Ok(Some(text.trim()))
}

/// Compares `Mcp-Method` and `Mcp-Name` with the body.
///
/// # Errors
/// Which one does not match, and how.
pub(super) fn check_names(headers: &HeaderMap, request: &Request<'_>) -> Result<(), String> {
    match header(headers, "Mcp-Method")? {
        None => return Err("the header Mcp-Method is missing".to_owned()),
        Some(method) if method != request.method => {
            return Err(format!("the header Mcp-Method says `{method}`, and the body `{}`", request.method));
        }
        Some(_) => {}
    }
    let Some(parameter) = mirror::named_by(&request.method) else { return Ok(()) };
    compare(headers, "Mcp-Name", request.param(&[parameter]))
}

/// Compares the headers that mirror parameters of a tool with a call of it. Marks that break the rules oblige nobody: clients
/// do not show such a tool.
///
/// # Errors
/// Which one does not match, and how.
pub(super) fn check_arguments(
    headers: &HeaderMap,
    request: &Request<'_>,
    definition: &[u8],
) -> Result<(), String> {
    let arguments = request.param(&["arguments"]).unwrap_or_default();
    let marks = mirror::marks(definition).unwrap_or_default();
    marks.iter().try_for_each(|mark| compare(headers, mark.header.as_str(), mark.argument(arguments)))
}

/// Compares one header with the raw value that it mirrors. A value that is absent or null has no header.
fn compare(headers: &HeaderMap, name: &str, value: Option<&[u8]>) -> Result<(), String> {
    let said = header(headers, name)?;
    let value = value.filter(|value| json::kind(value) != Kind::Null);
    let (said, value) = match (said, value) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return Err(format!("the header {name} is missing")),
        (Some(_), None) => {
            return Err(format!("the header {name} mirrors something that the body does not have"));
        }
        (Some(said), Some(value)) => (said, value),
    };
    let decoded = mirror::decode(said).ok_or_else(|| format!("the header {name} is not valid Base64"))?;
    let matches = match json::kind(value) {
        Kind::String => json::string(value).is_some_and(|text| text == decoded),
        Kind::Number => integer(&decoded).is_some_and(|number| integer_of(value) == Some(number)),
        // What is no text, number or truth value cannot be mirrored.
        Kind::Bool => decoded.as_bytes() == value,
        Kind::Object | Kind::Array | Kind::Null => false,
    };
    if matches {
        Ok(())
    } else {
        Err(format!("the header {name} says `{said}`, and the body something else"))
    }
}

fn integer_of(raw: &[u8]) -> Option<i64> {
    integer(std::str::from_utf8(raw).ok()?)
}

/// An integer, also one spelt `42.0` or `4.2e1`.
fn integer(text: &str) -> Option<i64> {
    if json::kind(text.as_bytes()) != Kind::Number || json::check(text.as_bytes()).is_err() {
        return None;
    }
    let number = match text.parse::<i64>() {
        Ok(number) => number,
        Err(_) => {
            let number: f64 = text.parse().ok()?;
            let is_exact = number.fract() == 0.0 && number.abs() <= MAX_INTEGER as f64;
            is_exact.then_some(number as i64)?
        }
    };
    (number.abs() <= MAX_INTEGER).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::super::message::{Posted, read};
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (
                name.parse::<http::HeaderName>().unwrap(),
                http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        };
        pairs.iter().map(pair).collect()
    }

    fn with<T>(method: &str, params: &str, test: impl FnOnce(&Request<'_>) -> T) -> T {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        match read(body.as_bytes()) {
            Ok(Posted::Request(request)) => test(&request),
            _ => panic!("{body}"),
        }
    }

    #[test]
    fn names() {
        let check = |pairs: &[(&str, &str)], method: &str, params: &str| {
            with(method, params, |request| check_names(&headers(pairs), request)).is_ok()
        };
        let call = r#"{"name":"a"}"#;
        assert!(check(&[("mcp-method", "tools/call"), ("mcp-name", "a")], "tools/call", call));
        assert!(check(&[("mcp-method", "tools/call"), ("mcp-name", " a\t")], "tools/call", call));
        assert!(check(&[("mcp-method", "tools/call"), ("mcp-name", "=?base64?YQ==?=")], "tools/call", call));
        assert!(!check(&[("mcp-method", "tools/call")], "tools/call", call));
        assert!(!check(&[("mcp-name", "a")], "tools/call", call));
        assert!(!check(&[("mcp-method", "TOOLS/CALL"), ("mcp-name", "a")], "tools/call", call));
        assert!(!check(&[("mcp-method", "tools/call"), ("mcp-name", "A")], "tools/call", call));
        assert!(!check(
            &[("mcp-method", "tools/call"), ("mcp-name", "a"), ("mcp-name", "a")],
            "tools/call",
            call
        ));
        assert!(!check(&[("mcp-method", "tools/call"), ("mcp-name", "ä")], "tools/call", r#"{"name":"ä"}"#));
        assert!(
            check(&[("mcp-method", "tools/call")], "tools/call", "{}"),
            "the body is wrong, not the header"
        );
        assert!(check(&[("mcp-method", "tools/list"), ("mcp-name", "a")], "tools/list", "{}"));
        let read = r#"{"uri":"file:///a"}"#;
        assert!(check(
            &[("mcp-method", "resources/read"), ("mcp-name", "file:///a")],
            "resources/read",
            read
        ));
    }

    #[test]
    fn arguments() {
        let definition = br#"{"inputSchema":{"properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "size":{"type":"integer","x-mcp-header":"Size"},
            "deep":{"properties":{"flag":{"type":"boolean","x-mcp-header":"Flag"}}},
            "plain":{"type":"string"}}}}"#;
        let check = |pairs: &[(&str, &str)], arguments: &str| {
            let params = format!(r#"{{"name":"t","arguments":{arguments}}}"#);
            with("tools/call", &params, |request| check_arguments(&headers(pairs), request, definition))
                .is_ok()
        };
        assert!(check(&[], "{}"));
        assert!(check(&[], r#"{"region":null}"#));
        assert!(check(&[("mcp-param-region", "us")], r#"{"region":"us"}"#));
        assert!(check(&[("mcp-param-region", "=?base64?SGVsbG8=?=")], r#"{"region":"Hello"}"#));
        assert!(check(&[("mcp-param-region", "=?base64?SGVsbG8=")], r#"{"region":"=?base64?SGVsbG8="}"#));
        assert!(check(&[("mcp-param-size", "42.0")], r#"{"size":42}"#));
        assert!(check(&[("mcp-param-flag", "true")], r#"{"deep":{"flag":true}}"#));
        assert!(check(&[("mcp-param-other", "x")], "{}"), "not ours");
        assert!(!check(&[], r#"{"region":"us"}"#));
        assert!(!check(&[("mcp-param-region", "us")], "{}"));
        assert!(!check(&[("mcp-param-region", "eu")], r#"{"region":"us"}"#));
        assert!(!check(&[("mcp-param-region", "=?base64?SGVsbG8?=")], r#"{"region":"Hello"}"#));
        assert!(!check(&[("mcp-param-region", "=?base64?SGVs!!!bG8=?=")], r#"{"region":"Hello"}"#));
        assert!(!check(&[("mcp-param-size", "9007199254740993")], r#"{"size":9007199254740993}"#));
        assert!(!check(&[("mcp-param-size", "x")], r#"{"size":42}"#));
        assert!(!check(&[("mcp-param-flag", "True")], r#"{"deep":{"flag":true}}"#));
        let broken = br#"{"inputSchema":{"properties":{"x":{"type":"number","x-mcp-header":"X"}}}}"#;
        let call = |request: &Request<'_>| check_arguments(&headers(&[]), request, broken);
        assert!(
            with("tools/call", r#"{"name":"t","arguments":{"x":1}}"#, call).is_ok(),
            "no client sends it"
        );
    }
}
