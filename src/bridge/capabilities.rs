//! What clients declare and servers offer, as the other side may be told it.

use bytes::Bytes;

use crate::bridge::edit::{Edit, member, text};
use crate::call::{AskKind, NotAsked};
use crate::protocol::{Elicitation, Revision, Tasks, meta};
use crate::wire::json::{self, Kind};

/// What we declare to a legacy server that many clients share: its handshake comes before we know who will call. What
/// the caller of the moment did not declare is then refused question by question.
pub const WIDEST: &[u8] =
    br#"{"roots":{"listChanged":true},"sampling":{},"elicitation":{"form":{},"url":{}}}"#;

/// What the extension "tasks" demands of a client, as [`error::missing_client_capability`](crate::bridge::error::missing_client_capability) wants it.
pub const REQUIRED_TASKS: &[u8] = br#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;

/// What a server of revision `to` may be told of a client of revision `from` that declared this raw object: `roots`,
/// `sampling` and `elicitation`, in the words of `to` and no more than `from` allows. Everything else ends at us. `tasks`
/// adds the extension of that name where `to` has it: for a client that has it, or because we drive tasks ourselves.
pub fn for_server(declared: &[u8], from: &Revision, to: &Revision, tasks: bool) -> Bytes {
    let object = |name| member(declared, name).filter(|value| json::kind(value) == Kind::Object);
    let mut told = Edit::empty();
    if let Some(roots) = object("roots") {
        told.set("roots", roots_for(roots, from, to));
    }
    if let Some(sampling) = object("sampling") {
        told.set("sampling", sampling_for(sampling, from, to));
    }
    if let Some(elicitation) = object("elicitation")
        && let Some(elicitation) = elicitation_for(elicitation, from, to)
    {
        told.set("elicitation", elicitation);
    }
    if tasks && to.tasks == Tasks::Extension {
        told.set("extensions", format!(r#"{{"{}":{{}}}}"#, meta::TASKS));
    }
    told.into_bytes()
}

/// The modern era has no notification of changed roots, so nobody is promised one across eras.
fn roots_for(roots: &[u8], from: &Revision, to: &Revision) -> Bytes {
    if from.is_modern() == to.is_modern() {
        return Bytes::copy_from_slice(roots);
    }
    without(roots, &["listChanged"])
}

fn sampling_for(sampling: &[u8], from: &Revision, to: &Revision) -> Bytes {
    match from.sampling_tools && to.sampling_tools {
        true => Bytes::copy_from_slice(sampling),
        false => without(sampling, &["tools", "context"]),
    }
}

fn elicitation_for(elicitation: &[u8], from: &Revision, to: &Revision) -> Option<Bytes> {
    let modes = Modes::of(elicitation, from);
    match to.elicitation {
        Elicitation::None => None,
        Elicitation::Form => modes.form.then(|| without(elicitation, &["form", "url"])),
        // Both sides know modes: an empty object means the same to both.
        Elicitation::FormAndUrl if from.elicitation == Elicitation::FormAndUrl => {
            Some(Bytes::copy_from_slice(elicitation))
        }
        Elicitation::FormAndUrl if modes.form => {
            let mut edit = Edit::open(elicitation)?;
            edit.set("form", "{}");
            Some(edit.into_bytes())
        }
        Elicitation::FormAndUrl => None,
    }
}

fn without(object: &[u8], names: &[&str]) -> Bytes {
    let Some(mut edit) = Edit::open(object) else { return Bytes::from_static(b"{}") };
    names.iter().for_each(|name| edit.remove(name));
    edit.into_bytes()
}

/// The ways in which a client lets its user be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// By a form.
    pub form: bool,
    /// By a URL to open.
    pub url: bool,
}

impl Modes {
    /// Reads the raw object `elicitation` of a client's capabilities. Naming no mode means forms (2025-11-25,
    /// "Elicitation", Capabilities); before that there was nothing to name.
    fn of(elicitation: &[u8], revision: &Revision) -> Modes {
        let named = |mode| member(elicitation, mode).is_some();
        match revision.elicitation {
            Elicitation::None => Modes { form: false, url: false },
            Elicitation::Form => Modes { form: true, url: false },
            Elicitation::FormAndUrl => Modes { form: named("form") || !named("url"), url: named("url") },
        }
    }

    /// The ways that a client of this revision with these raw capabilities has.
    pub fn declared(capabilities: &[u8], revision: &Revision) -> Modes {
        match member(capabilities, "elicitation") {
            Some(elicitation) => Modes::of(elicitation, revision),
            None => Modes { form: false, url: false },
        }
    }
}

/// Whether a client of this revision with these raw capabilities can be asked this.
///
/// # Errors
/// A sentence for the server, if it cannot.
pub fn check(kind: AskKind, params: &[u8], declared: &[u8], revision: &Revision) -> Result<(), NotAsked> {
    let name = kind.capability();
    let known = kind != AskKind::Elicitation || revision.elicitation != Elicitation::None;
    let Some(value) = member(declared, name).filter(|_| known) else {
        return Err(NotAsked::Unsupported(format!(
            "the client does not support {name} (`{}`)",
            kind.method()
        )));
    };
    let unacceptable = |why: &str| Err(NotAsked::Unacceptable(why.to_owned()));
    match kind {
        AskKind::Roots => Ok(()),
        AskKind::Sampling if wants_tools(params) && member(value, "tools").is_none() => {
            unacceptable("the client does not support tools in sampling")
        }
        AskKind::Sampling => Ok(()),
        AskKind::Elicitation => {
            let modes = Modes::of(value, revision);
            match Mode::of(params)? {
                Mode::Form if !modes.form => unacceptable("the client takes elicitation by URL only"),
                Mode::Url if !modes.url => unacceptable("the client does not support elicitation by URL"),
                Mode::Form | Mode::Url => Ok(()),
            }
        }
    }
}

/// What a modern client must declare for this to be asked, as a raw capabilities object for
/// [`error::missing_client_capability`](crate::bridge::error::missing_client_capability).
pub fn required(kind: AskKind, params: &[u8]) -> &'static [u8] {
    match kind {
        AskKind::Roots => br#"{"roots":{}}"#,
        AskKind::Sampling if wants_tools(params) => br#"{"sampling":{"tools":{}}}"#,
        AskKind::Sampling => br#"{"sampling":{}}"#,
        AskKind::Elicitation => match Mode::of(params) {
            Ok(Mode::Url) => br#"{"elicitation":{"url":{}}}"#,
            Ok(Mode::Form) | Err(_) => br#"{"elicitation":{"form":{}}}"#,
        },
    }
}

/// How an elicitation asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Form,
    Url,
}

impl Mode {
    pub(super) fn of(params: &[u8]) -> Result<Mode, NotAsked> {
        match (member(params, "mode"), text(params, "mode").as_deref()) {
            (None, _) | (_, Some("form")) => Ok(Mode::Form),
            (_, Some("url")) => Ok(Mode::Url),
            _ => Err(NotAsked::Unacceptable("elicitation is by `form` or by `url`".to_owned())),
        }
    }
}

/// Whether params of sampling offer tools to the model, or tell of calls that were made.
pub(super) fn wants_tools(params: &[u8]) -> bool {
    let offers = member(params, "tools").is_some_and(|tools| json::elements(tools).next().is_some());
    offers
        || member(params, "messages").is_some_and(|messages| {
            json::elements(messages)
                .filter_map(|message| member(message.of(messages), "content"))
                .any(speaks_of_tools)
        })
}

fn speaks_of_tools(content: &[u8]) -> bool {
    let of_tools = |block: &[u8]| matches!(text(block, "type").as_deref(), Some("tool_use" | "tool_result"));
    of_tools(content) || json::elements(content).any(|block| of_tools(block.of(content)))
}

/// A `server/discover` result in the form of an `initialize` result of the revision chosen from it, so that whoever
/// reads what a server says of itself reads one shape: `capabilities` and `instructions` as they are, `serverInfo` out of
/// `_meta`, and `protocolVersion`.
pub fn initialize_of(discover: &[u8], chosen: &Revision) -> Bytes {
    let mut edit = Edit::open(discover).unwrap_or_else(Edit::empty);
    for name in ["resultType", "supportedVersions", "ttlMs", "cacheScope"] {
        edit.remove(name);
    }
    let info = edit.get("_meta").and_then(|meta| member(meta, meta::SERVER_INFO));
    if let Some(info) = info {
        edit.set("serverInfo", info.to_vec());
    }
    super::meta::strip_member(&mut edit);
    edit.set("protocolVersion", json::quote(chosen.name));
    edit.into_bytes()
}

/// The newest modern revision that both we and the server speak, told by its `server/discover` result. A server that
/// answers `server/discover` without naming one is no modern server.
pub fn choose(discover: &[u8]) -> Option<&'static Revision> {
    let supported = member(discover, "supportedVersions")?;
    let names: Vec<_> =
        json::elements(supported).filter_map(|span| json::string(span.of(supported))).collect();
    Revision::modern().find(|revision| names.iter().any(|name| name == revision.name))
}

/// Whether a server of this revision offers tasks, told by its raw `initialize` result or
/// [`initialize_of`] its `server/discover` result.
pub fn offers_tasks(initialize: &[u8], revision: &Revision) -> bool {
    let path: &[&str] = match revision.tasks {
        Tasks::None => return false,
        Tasks::Core => &["capabilities", "tasks", "requests", "tools", "call"],
        Tasks::Extension => &["capabilities", "extensions", meta::TASKS],
    };
    json::get_path(initialize, path).is_some_and(|span| json::kind(span.of(initialize)) == Kind::Object)
}

/// Whether a modern client declared the extension "tasks" with its request.
pub fn takes_tasks(declared: &[u8]) -> bool {
    json::get_path(declared, &["extensions", meta::TASKS]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{any_object, merged, parse, revision, text};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn told(declared: Value, from: &str, to: &str) -> Value {
        parse(&for_server(&text(&declared), revision(from), revision(to), false))
    }

    #[test]
    fn elicitation_is_declared_in_the_words_of_the_server() {
        let cases = [
            (json!({}), "2025-06-18", "2026-07-28", Some(json!({"form": {}}))),
            (json!({}), "2025-06-18", "2025-11-25", Some(json!({"form": {}}))),
            (json!({}), "2025-06-18", "2025-06-18", Some(json!({}))),
            (json!({}), "2025-11-25", "2026-07-28", Some(json!({}))),
            (
                json!({"form": {}, "url": {}}),
                "2025-11-25",
                "2026-07-28",
                Some(json!({"form": {}, "url": {}})),
            ),
            (json!({"form": {}, "url": {}}), "2026-07-28", "2025-06-18", Some(json!({}))),
            (json!({"url": {}}), "2026-07-28", "2025-06-18", None),
            (json!({"form": {}}), "2026-07-28", "2025-03-26", None),
            (json!({}), "2025-03-26", "2025-11-25", None),
            (json!(true), "2025-11-25", "2025-11-25", None),
        ];
        for (declared, from, to, expected) in cases {
            let told = told(json!({"elicitation": declared}), from, to);
            assert_eq!(told.get("elicitation"), expected.as_ref(), "{declared} {from} to {to}");
        }
    }

    #[test]
    fn roots_and_sampling_are_declared_without_what_the_other_side_lacks() {
        let declared = json!({"roots": {"listChanged": true}, "sampling": {"tools": {}, "context": {}}, "experimental": {}, "tasks": {}});
        assert_eq!(
            told(declared.clone(), "2025-11-25", "2026-07-28"),
            json!({"roots": {}, "sampling": {"tools": {}, "context": {}}})
        );
        assert_eq!(
            told(declared.clone(), "2025-11-25", "2024-11-05"),
            json!({"roots": {"listChanged": true}, "sampling": {}})
        );
        let with_tasks = parse(&for_server(b"{}", revision("2025-11-25"), revision("2026-07-28"), true));
        assert_eq!(with_tasks, parse(REQUIRED_TASKS));
        assert_eq!(for_server(b"", revision("2025-11-25"), revision("2025-11-25"), true), &b"{}"[..]);
        assert!(takes_tasks(REQUIRED_TASKS) && !takes_tasks(b"{}"));
        parse(WIDEST);
    }

    #[test]
    fn only_what_was_declared_can_be_asked() {
        let asked = |kind, params: &str, declared: &str, name| {
            check(kind, params.as_bytes(), declared.as_bytes(), revision(name))
        };
        let new = "2026-07-28";
        assert_eq!(asked(AskKind::Roots, "{}", r#"{"roots":{}}"#, new), Ok(()));
        assert!(matches!(asked(AskKind::Roots, "{}", "{}", new), Err(NotAsked::Unsupported(_))));
        let url = r#"{"mode":"url"}"#;
        assert_eq!(asked(AskKind::Elicitation, "{}", r#"{"elicitation":{}}"#, new), Ok(()));
        assert_eq!(asked(AskKind::Elicitation, url, r#"{"elicitation":{"url":{}}}"#, new), Ok(()));
        for (params, declared, name) in [
            (url, r#"{"elicitation":{}}"#, new),
            (url, r#"{"elicitation":{"url":{}}}"#, "2025-06-18"),
            ("{}", r#"{"elicitation":{"url":{}}}"#, new),
            (r#"{"mode":"dance"}"#, r#"{"elicitation":{}}"#, new),
            (r#"{"mode":1}"#, r#"{"elicitation":{}}"#, new),
        ] {
            let refused = asked(AskKind::Elicitation, params, declared, name);
            assert!(matches!(refused, Err(NotAsked::Unacceptable(_))), "{params} {declared}");
        }
        assert!(matches!(
            asked(AskKind::Elicitation, "{}", r#"{"elicitation":{}}"#, "2025-03-26"),
            Err(NotAsked::Unsupported(_))
        ));
        let tools = r#"{"messages":[{"content":[{"type":"tool_use"}]}]}"#;
        assert!(asked(AskKind::Sampling, tools, r#"{"sampling":{}}"#, new).is_err());
        assert_eq!(asked(AskKind::Sampling, tools, r#"{"sampling":{"tools":{}}}"#, new), Ok(()));
        assert_eq!(asked(AskKind::Sampling, r#"{"tools":[]}"#, r#"{"sampling":{}}"#, new), Ok(()));
        assert_eq!(required(AskKind::Sampling, tools.as_bytes()), br#"{"sampling":{"tools":{}}}"#);
        assert_eq!(required(AskKind::Elicitation, url.as_bytes()), br#"{"elicitation":{"url":{}}}"#);
    }

    #[test]
    fn a_discovery_reads_like_a_handshake() {
        let discover = br#"{"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}},
            "instructions":"Be kind.","ttlMs":1,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"2"}}}"#;
        let chosen = choose(discover).unwrap();
        assert_eq!(chosen.name, "2026-07-28");
        let initialize = initialize_of(discover, chosen);
        assert_eq!(
            parse(&initialize),
            json!({"capabilities": {"tools": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}}, "instructions": "Be kind.",
                "serverInfo": {"name": "s", "version": "2"}, "protocolVersion": "2026-07-28"})
        );
        assert!(offers_tasks(&initialize, chosen));
        assert!(!offers_tasks(&initialize, revision("2025-11-25")));
        assert_eq!(choose(br#"{"supportedVersions":["2025-11-25"]}"#), None);
        assert_eq!(choose(b"{}"), None);
    }

    proptest! {
        #[test]
        fn nothing_undeclared_is_told_and_twice_is_once(others in any_object(), modes in any_object()) {
            let declared = merged(others, json!({"elicitation": modes}));
            for from in &crate::protocol::revision::REVISIONS {
                for to in &crate::protocol::revision::REVISIONS {
                    let once = for_server(&text(&declared), from, to, false);
                    let object = parse(&once);
                    prop_assert!(object.as_object().unwrap().keys().all(|key| key == "elicitation"));
                    prop_assert_eq!(for_server(&once, to, to, false), once);
                }
            }
        }
    }
}
