//! Arguments of tools that stand in headers too (MCP 2026-07-28, "Streamable HTTP", Custom Headers).
//!
//! A tool's `inputSchema` may mark properties with `x-mcp-header`: their values are sent as `Mcp-Param-…` headers, so that
//! whoever stands between can route without reading the body. The marks must keep rules; a tool whose marks do not is
//! not shown ([`invalid`]).

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::wire::json::{self, Kind};

mod marks;

pub use marks::invalid;

/// Which arguments of which tools go into which headers. Learned from what a server lists.
#[derive(Debug, Default)]
pub struct HeaderParams {
    tools: RwLock<HashMap<String, Vec<Mark>>>,
}

/// One argument that stands in a header too.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    header: HeaderName,
    /// The keys that lead to it from the arguments.
    path: Vec<String>,
}

impl HeaderParams {
    /// Takes the whole list of a server's tools (their definitions, as they came) in the place of what was known.
    /// Tools with [`invalid`] marks have no headers.
    pub fn learn(&self, tools: &[Bytes]) {
        let known = tools.iter().filter_map(|definition| {
            let marks = marks::of(definition).ok().filter(|marks| !marks.is_empty())?;
            let name = json::string(json::get(definition, "name")?.of(definition))?;
            Some((name.into_owned(), marks))
        });
        *self.tools.write().unwrap_or_else(PoisonError::into_inner) = known.collect();
    }

    /// The headers for a call of this tool with these arguments (a JSON object).
    pub fn headers(&self, tool: &str, arguments: &[u8]) -> Vec<(HeaderName, HeaderValue)> {
        let tools = self.tools.read().unwrap_or_else(PoisonError::into_inner);
        let marks = tools.get(tool).map(Vec::as_slice).unwrap_or_default();
        let header = |mark: &Mark| {
            let path: Vec<&str> = mark.path.iter().map(String::as_str).collect();
            let text = as_text(json::get_path(arguments, &path)?.of(arguments))?;
            Some((mark.header.clone(), header_value(&text)))
        };
        marks.iter().filter_map(header).collect()
    }
}

/// How a value is written in a header, before it is made safe; `None` if it is not sent.
fn as_text(value: &[u8]) -> Option<String> {
    let text = || String::from_utf8_lossy(value).into_owned();
    match json::kind(value) {
        Kind::String => json::string(value).map(|text| text.into_owned()),
        Kind::Bool => Some(text()),
        Kind::Number => Some(whole(value).unwrap_or_else(text)),
        Kind::Null | Kind::Object | Kind::Array => None,
    }
}

/// `42.0` and `4.2e1` as `42`: integers are written in decimal.
fn whole(number: &[u8]) -> Option<String> {
    const SAFE: f64 = 9_007_199_254_740_991.0;
    if !number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return None;
    }
    let number: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    (number.fract() == 0.0 && number.abs() <= SAFE).then(|| format!("{}", number as i64))
}

/// A text as the value of a header: as it is where that is safe, else in Base64 between marks.
///
/// Source: MCP 2026-07-28, "Streamable HTTP", Value Encoding.
pub fn header_value(text: &str) -> HeaderValue {
    let visible = text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let padded = text.starts_with([' ', '\t']) || text.ends_with([' ', '\t']);
    let sentinel = text.starts_with("=?base64?") && text.ends_with("?=");
    if visible
        && !padded
        && !sentinel
        && let Ok(value) = HeaderValue::from_str(text)
    {
        return value;
    }
    let encoded = format!("=?base64?{}?=", BASE64_STANDARD.encode(text));
    // Base64 and the marks are visible ASCII, so this cannot fail; nothing is sent rather than something wrong.
    HeaderValue::from_str(&encoded).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_specification_shows() {
        for (text, expected) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("=?BASE64?x?=", "=?BASE64?x?="),
            ("a\r\nAuthorization: Bearer x", "=?base64?YQ0KQXV0aG9yaXphdGlvbjogQmVhcmVyIHg=?="),
            ("inner\ttab", "inner\ttab"),
            ("\t", "=?base64?CQ==?="),
            ("del\u{7f}", "=?base64?ZGVsfw==?="),
            ("", ""),
        ] {
            assert_eq!(header_value(text), expected, "{text:?}");
        }
    }

    #[test]
    fn arguments_become_headers() {
        let params = HeaderParams::default();
        params.learn(&[Bytes::from_static(
            br#"{"name":"q","inputSchema":{"type":"object","properties":{
                "region":{"type":"string","x-mcp-header":"Region"},
                "count":{"type":"integer","x-mcp-header":"Count"},
                "deep":{"type":"object","properties":{"dry":{"type":"boolean","x-mcp-header":"Dry"}}},
                "plain":{"type":"string"}}}}"#,
        )]);
        let headers = |arguments: &str| {
            let headers = params.headers("q", arguments.as_bytes());
            headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            headers(r#"{"region":"\u00e9\r\n","count":42.0,"deep":{"dry":false},"plain":"x"}"#),
            ["mcp-param-region: =?base64?w6kNCg==?=", "mcp-param-count: 42", "mcp-param-dry: false"]
        );
        assert_eq!(headers(r#"{"region":null,"deep":[],"count":-7}"#), ["mcp-param-count: -7"]);
        assert_eq!(headers(r#"{"count":9007199254740993}"#), ["mcp-param-count: 9007199254740993"]);
        assert!(headers("{}").is_empty());
        assert!(params.headers("other", br#"{"region":"x"}"#).is_empty());
        params.learn(&[]);
        assert!(headers(r#"{"region":"x"}"#).is_empty());
    }
}
