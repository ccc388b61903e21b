//! Arguments of tools that stand in headers too (MCP 2026-07-28, "Streamable HTTP", Custom Headers).
//!
//! A tool's `inputSchema` may mark properties with `x-mcp-header`: their values are sent as `Mcp-Param-…` headers, so that
//! whoever stands between can route without reading the body. The marks must keep rules; a tool whose marks do not is
//! not shown ([`mirror::invalid`]).

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::bridge::mirror::{self, Mark};
use crate::wire::json::{self, Kind};

/// Which arguments of which tools go into which headers. Learned from what a server lists.
#[derive(Debug, Default)]
pub struct HeaderParams {
    tools: RwLock<HashMap<String, Vec<Mark>>>,
}

impl HeaderParams {
    /// Takes the whole list of a server's tools (their definitions, as they came) in the place of what was known.
    /// Tools with [`mirror::invalid`] marks have no headers.
    pub fn learn(&self, tools: &[Bytes]) {
        let known = tools.iter().filter_map(|definition| {
            let marks = mirror::marks(definition).ok().filter(|marks| !marks.is_empty())?;
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
            let text = as_text(mark.argument(arguments)?)?;
            Some((mark.header.clone(), mirror::encode(&text)))
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

#[cfg(test)]
mod tests {
    use super::*;

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
