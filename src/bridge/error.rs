//! Errors of servers, for clients of another revision; and those of the modern era that are ours to write.
//!
//! Codes from -32020 to -32099 belong to the specification, and what -32020, -32021 and -32022 say is true of one hop
//! only. So a code that means something here is [`recognise`]d first, by whoever can do something about it; whatever is
//! left is passed on by [`relay`], which lets none of them through in its own name.

use bytes::Bytes;

use crate::bridge::capabilities::Modes;
use crate::bridge::edit::{Edit, member};
use crate::failure::{Code, Failure};
use crate::protocol::{Method, Revision, codes};
use crate::wire::json::{self, Kind};

/// An error that is for us, not for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopLocal {
    /// [`codes::HEADER_MISMATCH`]: our headers do not fit what the server knows of the tool.
    HeaderMismatch,
    /// [`codes::MISSING_CLIENT_CAPABILITY`]: the server needs what the client behind us did not declare.
    MissingClientCapability,
    /// [`codes::UNSUPPORTED_PROTOCOL_VERSION`]: the server speaks other revisions.
    UnsupportedProtocolVersion,
    /// [`codes::URL_ELICITATION_REQUIRED`]: the user must open URLs first
    /// ([`input_required::url_elicitations`](crate::bridge::input_required::url_elicitations)).
    UrlElicitationRequired,
}

/// The code of a raw error object; `None` if it is no integer of 32 bits.
pub fn code(error: &[u8]) -> Option<i32> {
    let number: f64 = std::str::from_utf8(member(error, "code")?).ok()?.parse().ok()?;
    let code = number as i32;
    (f64::from(code) == number).then_some(code)
}

/// What an error of a server of revision `from` means to us, if it is for us.
pub fn recognise(error: &[u8], from: &Revision) -> Option<HopLocal> {
    match code(error)? {
        codes::HEADER_MISMATCH if from.is_modern() => Some(HopLocal::HeaderMismatch),
        codes::MISSING_CLIENT_CAPABILITY if from.is_modern() => Some(HopLocal::MissingClientCapability),
        codes::UNSUPPORTED_PROTOCOL_VERSION if from.is_modern() => Some(HopLocal::UnsupportedProtocolVersion),
        codes::URL_ELICITATION_REQUIRED if from.elicitation_id => Some(HopLocal::UrlElicitationRequired),
        _ => None,
    }
}

/// A failure of ours as the result of a tool: what a model gets to read and can act on (MCP "Tools", Error Handling). Raw JSON in
/// the words of this revision.
pub fn failed_tool(failure: &Failure, revision: &Revision) -> Bytes {
    let mut result = br#"{"content":[{"type":"text","text":"#.to_vec();
    json::push_string(&mut result, &failure.to_string());
    result.extend_from_slice(br#"}],"isError":true,"_meta":{"switchboard/error":"#);
    result.extend_from_slice(&failure_data(failure));
    result.push(b'}');
    if revision.is_modern() {
        result.extend_from_slice(br#","resultType":"complete""#);
    }
    result.push(b'}');
    result.into()
}

/// What programs want to know of a failure, as a raw object.
pub fn failure_data(failure: &Failure) -> Vec<u8> {
    let mut data = format!(r#"{{"code":"{}""#, failure.code).into_bytes();
    if let Some(server) = &failure.server {
        data.extend_from_slice(br#","server":"#);
        json::push_string(&mut data, server.as_str());
    }
    if failure.code == Code::CallOutcomeUnknown {
        data.extend_from_slice(br#","outcome":"unknown""#);
    }
    if let Some(pause) = failure.retry_after {
        data.extend_from_slice(format!(r#","retry_after_ms":{}"#, pause.as_millis()).as_bytes());
    }
    data.push(b'}');
    data
}

/// A raw error object for a client; `None` if it passes unchanged, as all errors do that a tool or resource means for
/// its caller.
///
/// "Resource not found" is said in the client's code. What the client must not see under its own code becomes
/// [`codes::INTERNAL_ERROR`] with the same message and the original object in `data`. `declared` are the client's raw
/// capabilities: [`codes::URL_ELICITATION_REQUIRED`] is for those who take elicitation by URL.
pub fn relay(method: Method, error: &[u8], from: &Revision, to: &Revision, declared: &[u8]) -> Option<Bytes> {
    let code = code(error)?;
    let reading = method == Method::ResourcesRead;
    // Invalid params of a legacy server are just that.
    let not_found = code == codes::RESOURCE_NOT_FOUND
        || (code == codes::INVALID_PARAMS && code == from.resource_not_found);
    if reading && not_found {
        let mut edit = Edit::open(error)?;
        edit.set("code", to.resource_not_found.to_string());
        return edit.finish();
    }
    let hidden = match code {
        codes::HEADER_MISMATCH | codes::MISSING_CLIENT_CAPABILITY | codes::UNSUPPORTED_PROTOCOL_VERSION => {
            true
        }
        codes::URL_ELICITATION_REQUIRED => !(from.elicitation_id && can_require_urls(to, declared)),
        codes::RESOURCE_NOT_FOUND => to.is_modern(),
        // Two legacy sides know nothing of the reservation, and the server may mean something by it.
        code => codes::MODERN_RESERVED.contains(&code) && (from.is_modern() || to.is_modern()),
    };
    hidden.then(|| wrap(error))
}

fn wrap(error: &[u8]) -> Bytes {
    let message = member(error, "message").filter(|message| json::kind(message) == Kind::String);
    object(codes::INTERNAL_ERROR, message.unwrap_or(b"\"the server answered with an error\""), error).into()
}

fn object(code: i32, message: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = format!(r#"{{"code":{code},"message":"#).into_bytes();
    out.extend_from_slice(message);
    out.extend_from_slice(br#","data":"#);
    out.extend_from_slice(data);
    out.push(b'}');
    out
}

/// The error object for a modern request whose revision we do not speak.
pub fn unsupported_protocol_version(requested: &str) -> Vec<u8> {
    let mut data = br#"{"supported":["#.to_vec();
    for (index, revision) in Revision::modern().enumerate() {
        if index > 0 {
            data.push(b',');
        }
        json::push_string(&mut data, revision.name);
    }
    data.extend_from_slice(br#"],"requested":"#);
    json::push_string(&mut data, requested);
    data.push(b'}');
    let message = json::quote(&format!("unsupported protocol version `{requested}`"));
    object(codes::UNSUPPORTED_PROTOCOL_VERSION, &message, &data)
}

/// The error object for a modern request that needs more than its client declared: `required` is a raw capabilities
/// object ([`capabilities::required`](crate::bridge::capabilities::required)).
pub fn missing_client_capability(message: &str, required: &[u8]) -> Vec<u8> {
    let mut data = br#"{"requiredCapabilities":"#.to_vec();
    data.extend_from_slice(required);
    data.push(b'}');
    object(codes::MISSING_CLIENT_CAPABILITY, &json::quote(message), &data)
}

/// The capabilities that a server demands in [`codes::MISSING_CLIENT_CAPABILITY`], a raw object.
pub fn required_capabilities(error: &[u8]) -> Option<&[u8]> {
    let required = member(member(error, "data")?, "requiredCapabilities")?;
    (json::kind(required) == Kind::Object).then_some(required)
}

/// The revisions that a server lists in [`codes::UNSUPPORTED_PROTOCOL_VERSION`], as it wrote them; `None` if there is no
/// such list, which no modern server leaves out.
pub fn supported_versions(error: &[u8]) -> Option<Vec<String>> {
    let supported = member(member(error, "data")?, "supported")?;
    let name = |span: json::Span| json::string(span.of(supported)).map(|name| name.into_owned());
    (json::kind(supported) == Kind::Array).then(|| json::elements(supported).filter_map(name).collect())
}

/// Whether a client of this revision with these raw capabilities can be sent
/// [`codes::URL_ELICITATION_REQUIRED`] as it is.
pub fn can_require_urls(to: &Revision, declared: &[u8]) -> bool {
    to.elicitation_id && Modes::declared(declared, to).url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{any_json, parse, revision, text};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const URLS: &[u8] = br#"{"elicitation":{"url":{}}}"#;

    fn relayed(method: Method, code: i32, from: &str, to: &str) -> Option<Value> {
        let error = json!({"code": code, "message": "m", "data": {"uri": "u"}});
        relay(method, &text(&error), revision(from), revision(to), b"{}").map(|bytes| parse(&bytes))
    }

    fn wrapped(code: i32) -> Option<Value> {
        let error = json!({"code": code, "message": "m", "data": {"uri": "u"}});
        Some(json!({"code": -32603, "message": "m", "data": error}))
    }

    #[test]
    fn not_found_is_said_in_the_clients_code() {
        let said = |code| Some(json!({"code": code, "message": "m", "data": {"uri": "u"}}));
        let read = Method::ResourcesRead;
        assert_eq!(relayed(read, -32002, "2025-11-25", "2026-07-28"), said(-32602));
        assert_eq!(relayed(read, -32602, "2026-07-28", "2024-11-05"), said(-32002));
        assert_eq!(relayed(read, -32002, "2026-07-28", "2026-07-28"), said(-32602));
        assert_eq!(relayed(read, -32602, "2025-11-25", "2025-06-18"), None);
        assert_eq!(relayed(read, -32602, "2025-11-25", "2026-07-28"), None);
        assert_eq!(relayed(read, -32002, "2025-11-25", "2025-06-18"), None);
        assert_eq!(relayed(Method::ToolsCall, -32602, "2026-07-28", "2025-11-25"), None);
        assert_eq!(relayed(Method::ToolsCall, -32002, "2025-11-25", "2026-07-28"), wrapped(-32002));
    }

    #[test]
    fn what_belongs_to_a_hop_does_not_cross() {
        let revisions = ["2025-11-25", "2026-07-28"];
        for (from, to) in revisions.iter().flat_map(|from| revisions.map(|to| (*from, to))) {
            for code in [-32020, -32021, -32022, -32042] {
                assert_eq!(relayed(Method::ToolsCall, code, from, to), wrapped(code), "{code} {from} {to}");
            }
            for code in [-32000, -32001, -32019, -32601, -32603, -32100, 7, -1] {
                assert_eq!(relayed(Method::ToolsCall, code, from, to), None, "{code} {from} {to}");
            }
        }
        assert_eq!(relayed(Method::ToolsCall, -32050, "2025-11-25", "2026-07-28"), wrapped(-32050));
        assert_eq!(relayed(Method::ToolsCall, -32050, "2025-11-25", "2025-06-18"), None);
        let (urls, same) = (br#"{"code":-32042,"message":"m"}"#, revision("2025-11-25"));
        assert_eq!(relay(Method::ToolsCall, urls, same, same, URLS), None);
        assert!(relay(Method::ToolsCall, urls, same, revision("2026-07-28"), URLS).is_some());
        assert!(can_require_urls(same, URLS) && !can_require_urls(revision("2026-07-28"), URLS));
    }

    #[test]
    fn recognises_what_is_for_us() {
        let told = |code: &str, from| recognise(format!(r#"{{"code":{code}}}"#).as_bytes(), revision(from));
        assert_eq!(told("-32020", "2026-07-28"), Some(HopLocal::HeaderMismatch));
        assert_eq!(told("-32021", "2026-07-28"), Some(HopLocal::MissingClientCapability));
        assert_eq!(told("-3.2022e4", "2026-07-28"), Some(HopLocal::UnsupportedProtocolVersion));
        assert_eq!(told("-32022", "2025-11-25"), None);
        assert_eq!(told("-32042", "2025-11-25"), Some(HopLocal::UrlElicitationRequired));
        assert_eq!(told("-32042", "2026-07-28"), None);
        assert_eq!(told("\"x\"", "2026-07-28"), None);
        assert_eq!(code(br#"{"code":-99999999999}"#), None);
    }

    #[test]
    fn writes_ours_and_reads_theirs() {
        let unsupported = unsupported_protocol_version("2099-01-01");
        assert_eq!(
            parse(&unsupported)["data"],
            json!({"supported": ["2026-07-28"], "requested": "2099-01-01"})
        );
        assert_eq!(supported_versions(&unsupported), Some(vec!["2026-07-28".to_owned()]));
        assert_eq!(supported_versions(br#"{"data":{"supported":"x"}}"#), None);
        let missing = missing_client_capability("m", b"{\"roots\":{}}");
        assert_eq!(required_capabilities(&missing), Some(&b"{\"roots\":{}}"[..]));
        assert_eq!(parse(&missing)["code"], -32021);
        assert_eq!(required_capabilities(b"{\"data\":{\"requiredCapabilities\":[\"roots\"]}}"), None);
    }

    proptest! {
        #[test]
        fn no_reserved_code_reaches_the_modern_era_and_twice_is_once(code in -32110i32..-31990, data in any_json()) {
            let error = text(&json!({"code": code, "message": "m", "data": data}));
            let (old, new) = (revision("2025-11-25"), revision("2026-07-28"));
            let seen = relay(Method::PromptsGet, &error, old, new, URLS);
            let seen = seen.as_deref().unwrap_or(&error);
            let shown = super::code(seen).unwrap();
            prop_assert!(!codes::MODERN_RESERVED.contains(&shown) && shown != codes::RESOURCE_NOT_FOUND);
            prop_assert_eq!(relay(Method::PromptsGet, seen, new, new, URLS), None);
            let kept = if shown == code { parse(seen) } else { parse(seen)["data"].clone() };
            prop_assert_eq!(kept, parse(&error));
        }
    }
}
