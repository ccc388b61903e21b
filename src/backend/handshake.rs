//! What is said at the beginning of a conversation with a server, and what is understood: the `initialize` handshake of the
//! revisions up to 2025-11-25 (MCP "Lifecycle"), and `server/discover` since (MCP 2026-07-28, "Discovery").

use bytes::Bytes;

use crate::bridge::{capabilities, error, meta};
use crate::call::Introduction;
use crate::failure::{Code, Failure};
use crate::protocol::{Level, ListKind, Revision, codes};
use crate::wire::{Body, Span, json};

/// What a server said of itself.
#[derive(Debug)]
pub(super) struct Greeting {
    /// The revision that is spoken with it.
    pub(super) revision: &'static Revision,
    /// What it said, in the form of an initialize result.
    pub(super) result: Bytes,
    /// It has tools. A server that declares nothing at all is asked for everything.
    pub(super) tools: bool,
    /// It has prompts.
    pub(super) prompts: bool,
    /// It has resources.
    pub(super) resources: bool,
    /// It takes log levels.
    pub(super) logging: bool,
    /// It tells when one of its resources changes.
    pub(super) subscribe: bool,
    /// It offers tasks, in the way of its revision.
    pub(super) tasks: bool,
    /// It tells when these lists change: tools, prompts, resources.
    pub(super) list_changed: [bool; 3],
}

impl Greeting {
    /// Reads an initialize result.
    fn read(result: &[u8], revision: &'static Revision) -> Self {
        let declared = json::get(result, "capabilities").map(|place| place.of(result));
        let declares = |name| match declared {
            Some(declared) => json::get(declared, name).is_some(),
            None => name != "logging",
        };
        let says = |path: &[&str]| {
            declared.and_then(|declared| Some(json::get_path(declared, path)?.of(declared))) == Some(b"true")
        };
        Self {
            revision,
            tools: declares("tools"),
            prompts: declares("prompts"),
            resources: declares("resources"),
            logging: declares("logging"),
            subscribe: says(&["resources", "subscribe"]),
            tasks: capabilities::offers_tasks(result, revision),
            list_changed: ["tools", "prompts", "resources"].map(|name| says(&[name, "listChanged"])),
            result: Bytes::copy_from_slice(result),
        }
    }

    /// Whether it tells when such a list changes.
    pub(super) fn tells_of(&self, kind: ListKind) -> bool {
        let [tools, prompts, resources] = self.list_changed;
        match kind {
            ListKind::Tools => tools,
            ListKind::Prompts => prompts,
            ListKind::Resources | ListKind::Templates => resources,
        }
    }

    /// Whether it declared that it has such a list.
    pub(super) fn has(&self, kind: ListKind) -> bool {
        match kind {
            ListKind::Tools => self.tools,
            ListKind::Prompts => self.prompts,
            ListKind::Resources | ListKind::Templates => self.resources,
        }
    }
}

/// What a server may be told of the clients behind us.
fn told(introduction: &Introduction, to: &Revision) -> Bytes {
    if introduction.revision == to {
        return introduction.capabilities.clone();
    }
    capabilities::for_server(&introduction.capabilities, introduction.revision, to, false)
}

/// The parameters of `initialize`: the revision and the abilities of the client behind us, and our own name.
///
/// A revision that the config names is kept; else the server is asked for what the client speaks, so that it behaves
/// as if the client talked to it directly.
pub(super) fn initialize_params(introduction: &Introduction, pinned: Option<&'static Revision>) -> Vec<u8> {
    let own = Some(introduction.revision).filter(|revision| !revision.is_modern());
    let revision = pinned.or(own).unwrap_or_else(Revision::newest_legacy);
    let mut params = br#"{"protocolVersion":"#.to_vec();
    json::push_string(&mut params, revision.name);
    params.extend_from_slice(br#","capabilities":"#);
    params.extend_from_slice(&told(introduction, revision));
    params.extend_from_slice(br#","clientInfo":"#);
    params.extend_from_slice(&meta::implementation());
    params.push(b'}');
    params
}

/// The parameters of a request of our own to a modern server.
pub(super) fn modern_params(
    introduction: &Introduction,
    revision: &'static Revision,
    params: Option<&[u8]>,
    tasks: bool,
) -> Bytes {
    let capabilities = match tasks {
        true => capabilities::for_server(&introduction.capabilities, introduction.revision, revision, true),
        false => told(introduction, revision),
    };
    let own = meta::Own { revision, capabilities: &capabilities, log_level: None, progress_token: None };
    own.params(params)
}

/// Reads the answer to `initialize`. An error of the server is [`Refused`] in the failure's words.
pub(super) fn initialized(line: &Bytes, body: Body) -> Result<Greeting, Refusal> {
    let span = match body {
        Body::Result(span) => span,
        Body::Error(span) => {
            let text = span.of(line);
            let failure = Failure::new(
                Code::HandshakeInvalid,
                format!("it refused `initialize`: {}", message_of(text)),
            );
            return Err(Refusal { failure, supported: error::supported_versions(text) });
        }
    };
    let result = span.of(line);
    let Some(version) = json::get(result, "protocolVersion").and_then(|place| json::string(place.of(result)))
    else {
        let found: String = String::from_utf8_lossy(result).chars().take(120).collect();
        let cause = format!("its answer to `initialize` has no `protocolVersion`: {found}");
        return Err(Failure::new(Code::HandshakeInvalid, cause).into());
    };
    match Revision::find_legacy(&version) {
        Some(revision) => Ok(Greeting::read(result, revision)),
        None => Err(unknown_revisions(&[version.into_owned()]).into()),
    }
}

/// Why there is no greeting.
#[derive(Debug)]
pub(super) struct Refusal {
    /// In words.
    pub(super) failure: Failure,
    /// The revisions that the server says it speaks instead.
    pub(super) supported: Option<Vec<String>>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, supported: None }
    }
}

/// What the answer to `server/discover` says.
#[derive(Debug)]
pub(super) enum Discovered {
    /// The server is modern.
    Modern(Greeting),
    /// The server is modern and wants to be spoken to in this revision. It may be the one that it was spoken to in.
    Another(&'static Revision),
    /// The server is modern, and we cannot speak with it.
    Foreign(Failure),
    /// The server does not know the modern era.
    Legacy(Failure),
}

/// Reads the answer to `server/discover`.
pub(super) fn discovered(line: &Bytes, body: Body) -> Discovered {
    match body {
        Body::Result(span) => {
            let result = span.of(line);
            if let Some(revision) = capabilities::choose(result) {
                let initialize = capabilities::initialize_of(result, revision);
                return Discovered::Modern(Greeting::read(&initialize, revision));
            }
            let named = json::get(result, "supportedVersions").map(|place| place.of(result));
            let named: Vec<String> = named
                .map(|list| {
                    json::elements(list)
                        .filter_map(|name| json::string(name.of(list)).map(|name| name.into_owned()))
                        .collect()
                })
                .unwrap_or_default();
            // It may speak legacy revisions too; that is not for us to decide by its name for others.
            if named.is_empty() || named.iter().any(|name| Revision::find_legacy(name).is_some()) {
                let cause = "its answer to `server/discover` names no revision of the modern era";
                return Discovered::Legacy(Failure::new(Code::HandshakeInvalid, cause));
            }
            Discovered::Foreign(unknown_revisions(&named))
        }
        Body::Error(span) => refused_to_be_discovered(span, line),
    }
}

/// Codes mean something only with the data that belongs to them: legacy servers may have used them for anything.
fn refused_to_be_discovered(span: Span, line: &Bytes) -> Discovered {
    /// What modern servers before the final revision sent for [`codes::UNSUPPORTED_PROTOCOL_VERSION`].
    const UNSUPPORTED_BEFORE: i32 = -32004;

    let text = span.of(line);
    let code = error::code(text);
    let refusal = || {
        let cause = format!("it refused `server/discover`: {}", message_of(text));
        Failure::new(Code::HandshakeInvalid, cause)
    };
    match code {
        Some(codes::UNSUPPORTED_PROTOCOL_VERSION | UNSUPPORTED_BEFORE) => {
            let Some(supported) = error::supported_versions(text) else {
                return Discovered::Legacy(refusal());
            };
            let knows = |revision: &&Revision| supported.iter().any(|name| name == revision.name);
            if let Some(revision) = Revision::modern().find(knows) {
                return Discovered::Another(revision);
            }
            if supported.iter().any(|name| Revision::find_legacy(name).is_some()) {
                return Discovered::Legacy(refusal());
            }
            Discovered::Foreign(unknown_revisions(&supported))
        }
        Some(codes::MISSING_CLIENT_CAPABILITY) if error::required_capabilities(text).is_some() => {
            Discovered::Foreign(refusal().remedy("No client behind Switchboard can do what it demands"))
        }
        Some(codes::HEADER_MISMATCH) => Discovered::Foreign(refusal()),
        _ => Discovered::Legacy(refusal()),
    }
}

fn message_of(error: &[u8]) -> String {
    json::get(error, "message")
        .and_then(|place| json::string(place.of(error)).map(|text| text.into_owned()))
        .unwrap_or_else(|| String::from_utf8_lossy(error).chars().take(200).collect())
}

fn unknown_revisions(names: &[String]) -> Failure {
    let names: String = names.join("`, `").chars().take(200).collect();
    Failure::new(
        Code::HandshakeRevision,
        format!("it speaks protocol revision `{names}`, which Switchboard does not know"),
    )
    .remedy("Update the server or Switchboard")
}

/// The parameters of `logging/setLevel`.
pub(super) fn level_params(level: Level) -> Vec<u8> {
    format!(r#"{{"level":"{}"}}"#, level.name()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> (Bytes, Span) {
        (Bytes::copy_from_slice(text.as_bytes()), Span { start: 0, end: text.len() })
    }

    fn read(result: &str) -> Result<Greeting, Failure> {
        let (line, span) = whole(result);
        initialized(&line, Body::Result(span)).map_err(|refusal| refusal.failure)
    }

    #[test]
    fn capabilities_are_read_and_their_absence_tolerated() {
        let some = read(r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}}}"#).unwrap();
        assert!(some.tools && !some.prompts && !some.resources && !some.logging);
        let none = read(r#"{"protocolVersion":"2024-11-05"}"#).unwrap();
        assert!(none.tools && none.prompts && none.resources && !none.logging && !none.subscribe);
    }

    #[test]
    fn a_strange_answer_is_a_failure_that_says_so() {
        assert_eq!(read(r#"{"protocolVersion":"1999-01-01"}"#).unwrap_err().code, Code::HandshakeRevision);
        assert_eq!(read(r#"{"protocolVersion":"2026-07-28"}"#).unwrap_err().code, Code::HandshakeRevision);
        assert_eq!(read("5").unwrap_err().code, Code::HandshakeInvalid);
        assert_eq!(read("{}").unwrap_err().code, Code::HandshakeInvalid);
    }

    #[test]
    fn the_client_behind_us_is_introduced() {
        let introduction = Introduction {
            revision: Revision::negotiated("2025-03-26"),
            capabilities: Bytes::from_static(br#"{"roots":{}}"#),
        };
        let text = |pinned| String::from_utf8(initialize_params(&introduction, pinned)).unwrap();
        assert!(text(None)
            .starts_with(r#"{"protocolVersion":"2025-03-26","capabilities":{"roots":{}},"clientInfo":{"name":"switchboard""#));
        assert!(text(Revision::find("2024-11-05")).contains(r#""protocolVersion":"2024-11-05""#));
        let modern = Introduction { revision: Revision::newest_modern(), ..introduction };
        let params = String::from_utf8(initialize_params(&modern, None)).unwrap();
        assert!(
            params.starts_with(r#"{"protocolVersion":"2025-11-25","capabilities":{"roots":{}}"#),
            "{params}"
        );
    }

    fn discover(body: &str, is_error: bool) -> Discovered {
        let (line, span) = whole(body);
        let body = if is_error { Body::Error(span) } else { Body::Result(span) };
        discovered(&line, body)
    }

    #[test]
    fn a_modern_server_is_known_by_what_it_discovers() {
        let result = r#"{"resultType":"complete","supportedVersions":["2027-01-01","2026-07-28"],"instructions":"i",
            "capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true}},
            "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}"#;
        let Discovered::Modern(greeting) = discover(result, false) else { panic!("it is modern") };
        assert_eq!(greeting.revision.name, "2026-07-28");
        assert!(greeting.tools && greeting.resources && greeting.subscribe && !greeting.prompts);
        assert_eq!(greeting.list_changed, [true, false, false]);
        let offering = crate::catalog::Offering { initialize: greeting.result, ..Default::default() };
        assert_eq!(offering.instructions().as_deref(), Some("i"));
        assert_eq!(offering.server_name().as_deref(), Some("s"));
        assert_eq!(offering.protocol_version().as_deref(), Some("2026-07-28"));
    }

    #[test]
    fn only_the_errors_of_the_modern_era_keep_a_server_in_it() {
        let foreign = [
            r#"{"code":-32022,"message":"m","data":{"supported":["2027-01-01"],"requested":"2026-07-28"}}"#,
            r#"{"code":-32021,"message":"m","data":{"requiredCapabilities":{"sampling":{}}}}"#,
            r#"{"code":-32004,"message":"m","data":{"supported":["2026-01-01"]}}"#,
        ];
        for error in foreign {
            assert!(matches!(discover(error, true), Discovered::Foreign(_)), "{error}");
        }
        for code in [-32022, -32004] {
            let error = format!(
                r#"{{"code":{code},"message":"m","data":{{"supported":["2025-11-25","2026-07-28"]}}}}"#
            );
            assert!(matches!(discover(&error, true), Discovered::Another(_)), "{error}");
        }
        let legacy = [
            r#"{"code":-32022,"message":"m","data":{"supported":["2025-11-25"],"requested":"2026-07-28"}}"#,
            r#"{"code":-32601,"message":"Method not found"}"#,
            r#"{"code":-32602,"message":"m"}"#,
            r#"{"code":-32600,"message":"m"}"#,
            r#"{"code":-32000,"message":"not initialized"}"#,
            r#"{"code":-32603,"message":"m"}"#,
            r#"{"code":-32022,"message":"m"}"#,
            r#"{"code":-32004,"message":"m"}"#,
            r#"{"code":-32021,"message":"m","data":5}"#,
            r#"{"message":"m"}"#,
        ];
        for error in legacy {
            assert!(matches!(discover(error, true), Discovered::Legacy(_)), "{error}");
        }
        for result in ["{}", "5", r#"{"supportedVersions":["2025-11-25"]}"#, r#"{"tools":[]}"#] {
            assert!(matches!(discover(result, false), Discovered::Legacy(_)), "{result}");
        }
        assert!(matches!(discover(r#"{"supportedVersions":["2030-01-01"]}"#, false), Discovered::Foreign(_)));
    }
}
