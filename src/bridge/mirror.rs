//! What of a request's body stands in its headers too, so that whoever stands between can route without reading it.
//!
//! Source: MCP 2026-07-28 "Streamable HTTP", Request Metadata. The client writes the headers, the server compares them; what both
//! must agree upon is here.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};

use crate::wire::json;

mod marks;

pub use marks::{invalid, marks};

/// What a text begins and ends with that stands in Base64, because a header could not carry it.
const SENTINEL: (&str, &str) = ("=?base64?", "?=");

/// One argument of a tool that stands in a header too: its property is marked with `x-mcp-header`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The whole name of the header.
    pub header: HeaderName,
    /// The keys that lead to the argument.
    pub path: Vec<String>,
}

impl Mark {
    /// The raw argument, if it is among these (a JSON object).
    pub fn argument<'a>(&self, arguments: &'a [u8]) -> Option<&'a [u8]> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        json::get_path(arguments, &path).map(|span| span.of(arguments))
    }
}

/// The member of the params that `Mcp-Name` repeats ("Standard Request Headers"; for tasks SEP-2663, "Routing Headers").
pub fn named_by(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// A text as the value of a header: as it is where that is safe, else in Base64 between marks ("Value Encoding").
pub fn encode(text: &str) -> HeaderValue {
    let visible = text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let padded = text.starts_with([' ', '\t']) || text.ends_with([' ', '\t']);
    let sentinel = text.starts_with(SENTINEL.0) && text.ends_with(SENTINEL.1);
    if visible
        && !padded
        && !sentinel
        && let Ok(value) = HeaderValue::from_str(text)
    {
        return value;
    }
    let encoded = format!("{}{}{}", SENTINEL.0, BASE64_STANDARD.encode(text), SENTINEL.1);
    // Base64 and the marks are visible ASCII, so this cannot fail; nothing is sent rather than something wrong.
    HeaderValue::from_str(&encoded).unwrap_or(HeaderValue::from_static(""))
}

/// The text that the value of a header stands for; `None` if it says to be Base64 and is not (RFC 4648 §4: padded, and no bits
/// left over), or not of a text.
pub fn decode(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix(SENTINEL.0).and_then(|rest| rest.strip_suffix(SENTINEL.1)) {
        Some(encoded) => String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned),
        None => Some(Cow::Borrowed(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_specification_shows_and_read_again() {
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
            let value = encode(text);
            assert_eq!(value, expected, "{text:?}");
            assert_eq!(decode(value.to_str().unwrap()).as_deref(), Some(text));
        }
    }

    #[test]
    fn base64_is_strict() {
        let text = |encoded: &str| decode(&format!("=?base64?{encoded}?=")).map(Cow::into_owned);
        for (encoded, expected) in
            [("", ""), ("YQ==", "a"), ("YWI=", "ab"), ("YWJj", "abc"), ("SGVsbG8=", "Hello")]
        {
            assert_eq!(text(encoded).as_deref(), Some(expected));
        }
        for wrong in ["YQ", "YQ=", "YR==", "Y===", "====", "YW=j", "YQ==\n", "YQ-_", "/w=="] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
        assert_eq!(decode("=?base64?YQ==").as_deref(), Some("=?base64?YQ=="));
    }
}
