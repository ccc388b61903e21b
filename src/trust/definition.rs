//! What a model and a person are told about a tool, a prompt, a resource or a server: the part of a definition that is pinned.

use serde_json::{Map, Value};

use super::canonical;
use crate::catalog::{MAX_DEFINITION, Part, readable};
use crate::protocol::ListKind;
use crate::wire::json;

/// The members that count. What servers vary from session to session (`_meta`, icons, sizes and times) would only make noise.
fn members(kind: ListKind) -> &'static [&'static str] {
    match kind {
        ListKind::Tools => &["title", "description", "inputSchema", "outputSchema", "annotations"],
        ListKind::Prompts => &["title", "description", "arguments"],
        ListKind::Resources | ListKind::Templates => &["name", "title", "description", "mimeType"],
    }
}

/// One definition, by its server's own name for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Of what it is.
    pub kind: Part,
    /// The server's own name for it: a name, a URI, or `instructions`.
    pub name: String,
    /// The members that count, as the server wrote them.
    pub members: Map<String, Value>,
    /// Stands for all of it, whatever its spelling.
    pub digest: String,
}

impl Definition {
    /// Reads an item of a list, or instructions. `None` for what is never shown to anybody: without a name, or too large.
    pub fn read(kind: impl Into<Part>, item: &[u8]) -> Option<Self> {
        if item.len() > MAX_DEFINITION {
            return None;
        }
        let text = readable(item);
        match kind.into() {
            Part::Item(kind) => Self::read_item(kind, &text),
            Part::Instructions => {
                let kind = Part::Instructions;
                let words = json::string(&text)?.into_owned();
                let members = Map::from_iter([(kind.key().to_owned(), words.into())]);
                Some(Self::new(kind, kind.key().to_owned(), members))
            }
        }
    }

    fn read_item(kind: ListKind, text: &[u8]) -> Option<Self> {
        let name = json::string(json::get(text, kind.id_key())?.of(text))?.into_owned();
        let mut chosen = Map::new();
        match serde_json::from_slice(text) {
            Ok(Value::Object(mut whole)) => {
                for member in members(kind) {
                    if let Some(value) = whole.remove(*member) {
                        chosen.insert((*member).to_owned(), value);
                    }
                }
            }
            // It is not shown either, but nothing may pass because it could not be read.
            _ => {
                chosen.insert("unreadable".to_owned(), String::from_utf8_lossy(text).into());
            }
        }
        Some(Self::new(kind.into(), name, chosen))
    }

    /// What tells it from its siblings, as a member.
    pub(super) fn id_key(&self) -> &'static str {
        match self.kind {
            Part::Item(kind) => kind.id_key(),
            Part::Instructions => "instructions",
        }
    }

    /// The words that a model acts on first.
    pub(super) fn description(&self) -> Option<&str> {
        let member = if self.kind == Part::Instructions { "instructions" } else { "description" };
        self.members.get(member)?.as_str()
    }

    /// Puts one together from what was kept of it.
    pub fn new(kind: Part, name: String, members: Map<String, Value>) -> Self {
        let digest = canonical::digest(&Value::Object(members.clone()));
        Self { kind, name, members, digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> String {
        Definition::read(ListKind::Tools, text.as_bytes()).unwrap().digest
    }

    #[test]
    fn only_what_counts_is_compared_and_not_how_it_is_spelt() {
        let plain = digest(r#"{"name":"a","description":"x","inputSchema":{"type":"object","maximum":10}}"#);
        let other = r#"{ "inputSchema": {"maximum": 1e1, "type":"object"}, "_meta": {"v": 2}, "description":"\u0078", "name":"a" }"#;
        assert_eq!(plain, digest(other));
        for changed in [
            r#"{"name":"a","description":"x.","inputSchema":{"type":"object","maximum":10}}"#,
            r#"{"name":"a","description":"x","inputSchema":{"type":"object","maximum":11}}"#,
            r#"{"name":"a","description":"x","title":"","inputSchema":{"type":"object","maximum":10}}"#,
            r#"{"name":"a","description":"x","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object","maximum":10}}"#,
        ] {
            assert_ne!(plain, digest(changed), "{changed}");
        }
    }

    #[test]
    fn the_last_of_two_members_counts_as_it_does_for_clients() {
        let doubled = r#"{"name":"a","description":"one","description":"two"}"#;
        assert_eq!(digest(doubled), digest(r#"{"name":"a","description":"two"}"#));
    }

    #[test]
    fn resources_count_by_their_uris_and_instructions_by_their_words() {
        let one =
            r#"{"uri":"a://b","name":"B","description":"x","size":5,"annotations":{"lastModified":"y"}}"#;
        let read = Definition::read(ListKind::Resources, one.as_bytes()).unwrap();
        assert_eq!((read.name.as_str(), read.description()), ("a://b", Some("x")));
        assert_eq!(read.members.keys().collect::<Vec<_>>(), ["name", "description"]);
        let template = r#"{"uriTemplate":"a://{x}","name":"X"}"#;
        assert_eq!(Definition::read(ListKind::Templates, template.as_bytes()).unwrap().name, "a://{x}");
        let words = Definition::read(Part::Instructions, br#""Be \u0067entle.""#).unwrap();
        assert_eq!((words.name.as_str(), words.description()), ("instructions", Some("Be gentle.")));
        assert_eq!(Definition::read(Part::Instructions, b"{}"), None);
    }

    #[test]
    fn half_a_surrogate_hides_nothing() {
        let read = |text: &str| Definition::read(ListKind::Tools, text.as_bytes()).unwrap();
        let odd = read(r#"{"name":"a","description":"\ud800 do it"}"#);
        assert_eq!(odd.members["description"], "\u{fffd} do it");
        assert_eq!(Definition::read(ListKind::Tools, br#"{"description":"x"}"#), None);
        assert_eq!(Definition::read(ListKind::Tools, &vec![b' '; MAX_DEFINITION + 1]), None);
    }
}
