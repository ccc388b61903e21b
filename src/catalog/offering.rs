//! What one server showed, as it showed it.

use bytes::Bytes;

use crate::protocol::{ListKind, Revision};

use crate::wire::json::{self, Kind};

/// What one server showed: its handshake and its lists, raw.
///
/// Every text must be one checked JSON value without space around it (see [`json::check`]). That is what
/// [`json::elements`] gives over a checked line, and what the [`Store`](crate::catalog::Store) checks on load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offering {
    /// The result object of `initialize`; empty if there was none.
    pub initialize: Bytes,
    /// The items of `tools/list`, all pages.
    pub tools: Vec<Bytes>,
    /// The items of `prompts/list`, all pages.
    pub prompts: Vec<Bytes>,
    /// The items of `resources/list`, all pages.
    pub resources: Vec<Bytes>,
    /// The items of `resources/templates/list`, all pages.
    pub templates: Vec<Bytes>,
}

/// What of an offering a model gets to read: the items of a list, or how the server wants to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The items of this list.
    Item(ListKind),
    /// The `instructions` of the handshake.
    Instructions,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 5] = [
        Part::Item(ListKind::Tools),
        Part::Item(ListKind::Prompts),
        Part::Item(ListKind::Resources),
        Part::Item(ListKind::Templates),
        Part::Instructions,
    ];

    /// The member that holds it, in the result of its list or of the handshake.
    pub fn key(self) -> &'static str {
        match self {
            Part::Item(kind) => kind.key(),
            Part::Instructions => "instructions",
        }
    }

    /// What one of it is called in texts.
    pub fn noun(self) -> &'static str {
        match self {
            Part::Item(kind) => kind.noun(),
            Part::Instructions => "instructions",
        }
    }

    /// One of it by its name, for sentences.
    pub fn title(self, name: &str) -> String {
        match self {
            Part::Item(kind) => format!("{} `{name}`", kind.noun()),
            Part::Instructions => "the instructions".to_owned(),
        }
    }
}

impl From<ListKind> for Part {
    fn from(kind: ListKind) -> Self {
        Part::Item(kind)
    }
}

impl Offering {
    /// The raw texts of a part: the items of a list, or the instructions as a JSON string, if there are any.
    pub fn part(&self, part: Part) -> impl Iterator<Item = &[u8]> {
        let (items, instructions) = match part {
            Part::Item(kind) => (self.list(kind), None),
            Part::Instructions => (&[][..], json::get(&self.initialize, part.key())),
        };
        let instructions = instructions.map(|span| span.of(&self.initialize));
        let is_text = |raw: &&[u8]| json::kind(raw) == Kind::String;
        items.iter().map(|item| &item[..]).chain(instructions.filter(is_text))
    }

    /// Whether the server showed no item at all.
    pub fn is_empty(&self) -> bool {
        ListKind::ALL.iter().all(|kind| self.list(*kind).is_empty())
    }

    /// The items of one kind.
    pub fn list(&self, kind: ListKind) -> &[Bytes] {
        match kind {
            ListKind::Tools => &self.tools,
            ListKind::Prompts => &self.prompts,
            ListKind::Resources => &self.resources,
            ListKind::Templates => &self.templates,
        }
    }

    /// The items of one kind, to fill them.
    pub fn list_mut(&mut self, kind: ListKind) -> &mut Vec<Bytes> {
        match kind {
            ListKind::Tools => &mut self.tools,
            ListKind::Prompts => &mut self.prompts,
            ListKind::Resources => &mut self.resources,
            ListKind::Templates => &mut self.templates,
        }
    }

    /// The revision that its handshake settled on; the newest legacy one if that is not known.
    pub fn revision(&self) -> &'static Revision {
        self.protocol_version().and_then(|name| Revision::find(&name)).unwrap_or_else(Revision::newest_legacy)
    }

    /// The capabilities that the server declared in its handshake.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::of(&self.initialize)
    }

    /// The revision that the server chose.
    pub fn protocol_version(&self) -> Option<String> {
        self.text(&["protocolVersion"])
    }

    /// What the server calls itself.
    pub fn server_name(&self) -> Option<String> {
        self.text(&["serverInfo", "name"])
    }

    /// The server's own version.
    pub fn server_version(&self) -> Option<String> {
        self.text(&["serverInfo", "version"])
    }

    /// How the server wants to be used, in its own words.
    pub fn instructions(&self) -> Option<String> {
        self.text(&["instructions"])
    }

    fn text(&self, path: &[&str]) -> Option<String> {
        let value = json::get_path(&self.initialize, path)?.of(&self.initialize);
        json::string(value).map(|text| text.into_owned())
    }
}

/// What a server says it can do, of what we relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// It has tools.
    pub tools: bool,
    /// It has prompts.
    pub prompts: bool,
    /// It has resources.
    pub resources: bool,
    /// Its resources can be subscribed to.
    pub subscribe: bool,
    /// It completes arguments. Revision 2024-11-05 has no way to say so: there it is worth one try.
    pub completions: bool,
    /// It takes `logging/setLevel`.
    pub logging: bool,
}

impl Capabilities {
    /// Reads them from the result object of `initialize`.
    pub fn of(initialize: &[u8]) -> Capabilities {
        let object = |path: &[&str]| {
            json::get_path(initialize, path)
                .is_some_and(|span| json::kind(span.of(initialize)) == Kind::Object)
        };
        let subscribe = json::get_path(initialize, &["capabilities", "resources", "subscribe"]);
        Capabilities {
            tools: object(&["capabilities", "tools"]),
            prompts: object(&["capabilities", "prompts"]),
            resources: object(&["capabilities", "resources"]),
            subscribe: subscribe.is_some_and(|span| span.of(initialize) == b"true"),
            completions: object(&["capabilities", "completions"]),
            logging: object(&["capabilities", "logging"]),
        }
    }

    /// What at least one of two can do.
    pub fn or(self, other: Capabilities) -> Capabilities {
        Capabilities {
            tools: self.tools || other.tools,
            prompts: self.prompts || other.prompts,
            resources: self.resources || other.resources,
            subscribe: self.subscribe || other.subscribe,
            completions: self.completions || other.completions,
            logging: self.logging || other.logging,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_handshake() {
        let offering = Offering {
            initialize: Bytes::from_static(
                br#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{},"prompts":null,"resources":{"subscribe":true},"logging":{}},
                "serverInfo":{"name":"a","version":"1.2"},"instructions":"Be \"kind\"."}"#,
            ),
            ..Offering::default()
        };
        let expected = Capabilities {
            tools: true,
            resources: true,
            subscribe: true,
            logging: true,
            ..Capabilities::default()
        };
        assert_eq!(offering.capabilities(), expected);
        assert_eq!(offering.protocol_version().as_deref(), Some("2025-06-18"));
        assert_eq!(offering.server_name().as_deref(), Some("a"));
        assert_eq!(offering.server_version().as_deref(), Some("1.2"));
        assert_eq!(offering.instructions().as_deref(), Some("Be \"kind\"."));
        assert_eq!(Offering::default().capabilities(), Capabilities::default());
        assert_eq!(Offering::default().instructions(), None);
    }
}
