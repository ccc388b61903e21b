//! What interceptors are asked about.

use bytes::Bytes;

use crate::call::AskKind;
use crate::protocol::{ListKind, Method};
use crate::wire::json::{self, Kind};

/// What interceptors are asked about: something that a client wants, or something that a server asks of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A request of a client: a call, or one of the lists that it is shown.
    Request(Method),
    /// A question of a server: sampling, elicitation, roots.
    Ask(AskKind),
}

impl Event {
    /// The method on the wire, which is what `events` in the config names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request(method) => method.name(),
            Self::Ask(kind) => kind.method(),
        }
    }

    /// Whether it is a list, which belongs to no server and has no name.
    pub fn is_list(self) -> bool {
        matches!(self, Self::Request(Method::List(_)))
    }

    /// What an interceptor is asked about that does not say what it wants to see.
    pub const CALLS: [Event; 3] = [
        Self::Request(Method::ToolsCall),
        Self::Request(Method::PromptsGet),
        Self::Request(Method::ResourcesRead),
    ];

    /// Everything that a server may ask of a client.
    pub(super) const ASKS: [Event; 3] =
        [Self::Ask(AskKind::Sampling), Self::Ask(AskKind::Elicitation), Self::Ask(AskKind::Roots)];

    /// Whether a result, an object, has what no result of this can lack. `before` is the result that it stands for, if
    /// there was one.
    pub(super) fn check_result(self, result: &[u8], before: Option<&[u8]>) -> Result<(), String> {
        let has = |member: &str, kind: Kind, what: &str| {
            let found = json::get(result, member).map(|span| json::kind(span.of(result)));
            (found == Some(kind))
                .then_some(())
                .ok_or_else(|| format!("the result that it gives has no {what} `{member}`"))
        };
        match self {
            Self::Request(Method::ToolsCall) => has("content", Kind::Array, "list"),
            Self::Request(Method::PromptsGet) => has("messages", Kind::Array, "list"),
            Self::Request(Method::ResourcesRead) => has("contents", Kind::Array, "list"),
            Self::Request(Method::List(kind)) => {
                has(kind.key(), Kind::Array, "list")?;
                check_items(kind, result)?;
                check_cursor(result, before)
            }
            Self::Request(_) => Ok(()),
            Self::Ask(AskKind::Elicitation) => has("action", Kind::String, "text"),
            Self::Ask(AskKind::Roots) => has("roots", Kind::Array, "list"),
            Self::Ask(AskKind::Sampling) => match json::get(result, "content") {
                Some(_) => has("role", Kind::String, "text"),
                None => Err("the result that it gives has no `content`".to_owned()),
            },
        }
    }
}

/// A list of things without names would be of no use to any client, and the end of some.
fn check_items(kind: ListKind, result: &[u8]) -> Result<(), String> {
    let list = json::get(result, kind.key()).map(|span| span.of(result)).unwrap_or_default();
    let is_named = |item: &[u8]| {
        let name = json::get(item, kind.id_key()).map(|span| json::kind(span.of(item)));
        name == Some(Kind::String)
    };
    match json::elements(list).all(|item| is_named(item.of(list))) {
        true => Ok(()),
        false => Err(format!("the list that it gives has a {} without `{}`", kind.noun(), kind.id_key())),
    }
}

/// Where a list goes on is ours to say: another cursor would lead nowhere, and none at all would end it.
fn check_cursor(result: &[u8], before: Option<&[u8]>) -> Result<(), String> {
    let cursor =
        |text: &[u8]| json::get(text, "nextCursor").map(|span| Bytes::copy_from_slice(span.of(text)));
    match cursor(result) == before.and_then(cursor) {
        true => Ok(()),
        false => Err("the list that it gives has another `nextCursor`".to_owned()),
    }
}
