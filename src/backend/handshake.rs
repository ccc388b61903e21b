//! The `initialize` handshake with a server (MCP "Lifecycle", revisions up to 2025-11-25).

use bytes::Bytes;

use crate::call::Introduction;
use crate::config::ProtocolChoice;
use crate::failure::{Code, Failure};
use crate::protocol::{IMPLEMENTATION, Level, Revision, VERSION};
use crate::wire::{Body, json};

/// What a server said of itself in its handshake.
#[derive(Debug)]
pub(super) struct Greeting {
    /// The revision that it chose.
    pub(super) revision: &'static Revision,
    /// Its raw initialize result.
    pub(super) result: Bytes,
    /// It has tools. A server that declares nothing at all is asked for everything.
    pub(super) tools: bool,
    /// It has prompts.
    pub(super) prompts: bool,
    /// It has resources.
    pub(super) resources: bool,
    /// It takes log levels.
    pub(super) logging: bool,
}

/// The parameters of `initialize`: the revision and the abilities of the client behind us, and our own name.
///
/// A revision that the config names is kept; else the server is asked for what the client speaks, so that it behaves
/// as if the client talked to it directly.
pub(super) fn params(introduction: &Introduction, choice: &ProtocolChoice) -> Vec<u8> {
    let revision = match choice {
        ProtocolChoice::Revision(name) => name,
        ProtocolChoice::Auto | ProtocolChoice::Legacy => introduction.revision.name,
    };
    let mut params = br#"{"protocolVersion":"#.to_vec();
    json::push_string(&mut params, revision);
    params.extend_from_slice(br#","capabilities":"#);
    params.extend_from_slice(&introduction.capabilities);
    params.extend_from_slice(br#","clientInfo":{"name":"#);
    json::push_string(&mut params, IMPLEMENTATION);
    params.extend_from_slice(br#","version":"#);
    json::push_string(&mut params, VERSION);
    params.extend_from_slice(b"}}");
    params
}

/// Reads the answer to `initialize`.
pub(super) fn greeting(line: &Bytes, body: Body) -> Result<Greeting, Failure> {
    let span = match body {
        Body::Result(span) => span,
        Body::Error(span) => {
            let message = json::get(span.of(line), "message")
                .and_then(|place| {
                    json::string(place.shifted(span.start).of(line)).map(|text| text.into_owned())
                })
                .unwrap_or_else(|| String::from_utf8_lossy(span.of(line)).chars().take(200).collect());
            return Err(Failure::new(Code::HandshakeInvalid, format!("it refused `initialize`: {message}")));
        }
    };
    let result = line.slice(span.start..span.end);
    let Some(version) =
        json::get(&result, "protocolVersion").and_then(|place| json::string(place.of(&result)))
    else {
        let found: String = String::from_utf8_lossy(&result).chars().take(120).collect();
        return Err(Failure::new(
            Code::HandshakeInvalid,
            format!("its answer to `initialize` has no `protocolVersion`: {found}"),
        ));
    };
    let Some(revision) = Revision::find(&version) else {
        return Err(Failure::new(
            Code::HandshakeRevision,
            format!("it speaks protocol revision `{version}`, which Switchboard does not know"),
        )
        .remedy("Update the server or Switchboard"));
    };
    let capabilities = json::get(&result, "capabilities").map(|place| place.of(&result));
    let declares = |name| match capabilities {
        Some(capabilities) => json::get(capabilities, name).is_some(),
        None => name != "logging",
    };
    let (tools, prompts, resources) = (declares("tools"), declares("prompts"), declares("resources"));
    let logging = declares("logging");
    Ok(Greeting { revision, tools, prompts, resources, logging, result: Bytes::copy_from_slice(&result) })
}

/// The parameters of `logging/setLevel`.
pub(super) fn level_params(level: Level) -> Vec<u8> {
    format!(r#"{{"level":"{}"}}"#, level.name()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Span;

    fn read(result: &str) -> Result<Greeting, Failure> {
        let line = Bytes::copy_from_slice(result.as_bytes());
        let span = Span { start: 0, end: line.len() };
        greeting(&line, Body::Result(span))
    }

    #[test]
    fn capabilities_are_read_and_their_absence_tolerated() {
        let some = read(r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}}}"#).unwrap();
        assert!(some.tools && !some.prompts && !some.resources && !some.logging);
        let none = read(r#"{"protocolVersion":"2024-11-05"}"#).unwrap();
        assert!(none.tools && none.prompts && none.resources && !none.logging);
    }

    #[test]
    fn a_strange_answer_is_a_failure_that_says_so() {
        assert_eq!(read(r#"{"protocolVersion":"1999-01-01"}"#).unwrap_err().code, Code::HandshakeRevision);
        assert_eq!(read("5").unwrap_err().code, Code::HandshakeInvalid);
        assert_eq!(read("{}").unwrap_err().code, Code::HandshakeInvalid);
    }

    #[test]
    fn the_client_behind_us_is_introduced() {
        let introduction = Introduction {
            revision: Revision::negotiated("2025-03-26"),
            capabilities: Bytes::from_static(br#"{"roots":{}}"#),
        };
        let text = |choice| String::from_utf8(params(&introduction, &choice)).unwrap();
        assert!(text(ProtocolChoice::Auto)
            .starts_with(r#"{"protocolVersion":"2025-03-26","capabilities":{"roots":{}},"clientInfo":{"name":"switchboard""#));
        assert!(
            text(ProtocolChoice::Revision("2024-11-05".into())).contains(r#""protocolVersion":"2024-11-05""#)
        );
    }
}
