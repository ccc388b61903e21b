//! The headers that the protocol gives to a message.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::message::Request;
use crate::bridge::mirror::{encode, named_by};
use crate::transport::HeaderParams;
use crate::wire::json;

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// What a legacy server wants to see on every request after `initialize`.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    /// Its name for us, if it gave one.
    pub id: Option<HeaderValue>,
    /// The negotiated revision.
    pub revision: Option<HeaderValue>,
}

impl Session {
    /// The headers of a message that belongs to this session.
    pub(super) fn post(&self) -> HeaderMap {
        let mut headers = post();
        self.add_to(&mut headers);
        headers
    }

    /// The headers of a request for a stream.
    pub(super) fn listen(&self) -> HeaderMap {
        let mut headers = listen();
        self.add_to(&mut headers);
        headers
    }

    /// The headers of the goodbye.
    pub(super) fn end(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.add_to(&mut headers);
        headers
    }

    fn add_to(&self, headers: &mut HeaderMap) {
        if let Some(id) = &self.id {
            headers.insert(SESSION, id.clone());
        }
        if let Some(revision) = &self.revision {
            headers.insert(REVISION, revision.clone());
        }
    }
}

/// The headers of any message.
pub(super) fn post() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

/// The headers of a request for a stream, without a session.
pub(super) fn listen() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
    headers
}

/// The headers of a modern request: they repeat what stands in it (MCP 2026-07-28, "Request Metadata").
pub(super) fn modern(request: &Request, revision: &str, text: &[u8], params: &HeaderParams) -> HeaderMap {
    let mut headers = post();
    headers.insert(REVISION, encode(revision));
    headers.insert(METHOD, encode(&request.method));
    let inside = request.params.map(|span| span.of(text)).unwrap_or_default();
    let member = |name: &str| json::string(json::get(inside, name)?.of(inside));
    let Some(name) = named_by(&request.method).and_then(member) else { return headers };
    headers.insert(NAME, encode(&name));
    if request.method == "tools/call"
        && let Some(arguments) = json::get(inside, "arguments")
    {
        headers.extend(params.headers(&name, arguments.of(inside)));
    }
    headers
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::message::{Outgoing, read};
    use super::*;

    fn check(method: &str, params: &str, expected: Option<&str>) {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{meta}}}}}"#);
        let Some(Outgoing::Request(request)) = read(text.as_bytes()) else { panic!("{text}") };
        let known = HeaderParams::default();
        known.learn(&[Bytes::from_static(
            br#"{"name":"q","inputSchema":{"properties":{"r":{"type":"string","x-mcp-header":"R"}}}}"#,
        )]);
        let headers = modern(&request, "2026-07-28", text.as_bytes(), &known);
        assert_eq!(headers["mcp-protocol-version"], "2026-07-28");
        assert_eq!(headers["mcp-method"], method);
        assert_eq!(headers["accept"], "application/json, text/event-stream");
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers.get("mcp-name").map(|name| name.to_str().unwrap()), expected, "{method}");
        assert_eq!(headers.contains_key("mcp-param-r"), params.contains("arguments"));
    }

    #[test]
    fn headers_repeat_the_body() {
        check("tools/list", "", None);
        check("tools/call", r#""name":"q","arguments":{"r":"x"},"#, Some("q"));
        check("tools/call", r#""name":"übung\r\nX: y","#, Some("=?base64?w7xidW5nDQpYOiB5?="));
        check("prompts/get", r#""name":"p","#, Some("p"));
        check("resources/read", r#""uri":"file:///a\u0020b","#, Some("file:///a b"));
        check("tasks/get", r#""taskId":"t-1","#, Some("t-1"));
        check("resources/list", r#""name":"x","#, None);
    }
}
