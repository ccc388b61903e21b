//! What was said: one tree for all three syntaxes, in which every node knows where it comes from.

use std::ops::Range;
use std::sync::Arc;

mod json;
mod toml;
mod yaml;

pub(super) use yaml::Offsets;

/// The deepest nesting a config may have. The config language itself needs seven levels.
const MAX_DEPTH: usize = 64;

/// The most nodes a config may have once its YAML aliases are expanded.
const MAX_NODES: usize = 200_000;

/// The syntaxes of a config file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// JSON with comments and trailing commas.
    Json,
    /// YAML 1.2.
    Yaml,
    /// TOML 1.
    Toml,
}

impl Syntax {
    /// The syntax that a file name's extension stands for.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "json" | "jsonc" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }

    /// The name of the syntax in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
            Self::Toml => "TOML",
        }
    }
}

/// Where a key or value was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the config file, at these bytes of its text.
    File(Range<usize>),
    /// In the environment variable of this name.
    Variable(Arc<str>),
    /// In no file: somebody said it while we run.
    Said,
    /// Nowhere: the security level of this name sets it.
    Preset(&'static str),
    /// Nowhere: it is the built-in default.
    BuiltIn,
}

/// One value of the config, with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// The value.
    pub(super) kind: Kind,
    /// Where it was said.
    pub(super) origin: Origin,
}

/// The values that all three syntaxes share.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// JSON `null`, an empty YAML value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was spelled.
    Number(String),
    /// A string.
    String(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file. Keys may stand twice here; the checker reports it.
    Map(Vec<Member>),
}

/// One key of a mapping and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    /// The key.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) origin: Origin,
    /// The value.
    pub(super) value: Node,
}

/// Why a text is not a tree: a sentence and the bytes it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// What is wrong, in lower case and without a final period.
    pub(super) message: String,
    /// The bytes of the text.
    pub(super) span: Range<usize>,
}

/// Parses a text (without byte order mark). All errors that the parser can tell apart are returned.
pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Node, Vec<SyntaxError>> {
    match syntax {
        Syntax::Json => json::parse(text).map_err(|error| vec![error]),
        Syntax::Yaml => yaml::parse(text).map_err(|error| vec![error]),
        Syntax::Toml => toml::parse(text),
    }
}

// === impl Node ===

impl Node {
    /// A mapping without members.
    pub(super) fn empty_map(origin: Origin) -> Self {
        Self { kind: Kind::Map(Vec::new()), origin }
    }

    /// A string.
    pub(super) fn string(text: impl Into<String>, origin: Origin) -> Self {
        Self { kind: Kind::String(text.into()), origin }
    }

    /// The members, if this is a mapping.
    pub(super) fn members(&self) -> &[Member] {
        match &self.kind {
            Kind::Map(members) => members,
            _ => &[],
        }
    }

    /// The elements, if this is a list.
    pub(super) fn elements(&self) -> &[Node] {
        match &self.kind {
            Kind::List(elements) => elements,
            _ => &[],
        }
    }

    /// The value of this key, if this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.members().iter().find(|member| member.key == key).map(|member| &member.value)
    }

    /// The value at a dotted path of keys, such as `timeouts.call`.
    pub(super) fn at(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, key| node.get(key))
    }

    /// The text of a string.
    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a boolean.
    pub(super) fn as_bool(&self) -> Option<bool> {
        match self.kind {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a whole number without sign.
    pub(super) fn as_whole(&self) -> Option<u64> {
        match &self.kind {
            Kind::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The text of a string, number or boolean as it was spelled: `PORT: 8080` means `"8080"`.
    pub(super) fn scalar_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) | Kind::Number(text) => Some(text),
            Kind::Bool(true) => Some("true"),
            Kind::Bool(false) => Some("false"),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// Sets a key of a mapping: replaces its value or adds it at the end. Nothing happens on other kinds.
    pub(super) fn set(&mut self, key: &str, value: Node) {
        let Kind::Map(members) = &mut self.kind else { return };
        match members.iter_mut().find(|member| member.key == key) {
            Some(member) => {
                member.origin = value.origin.clone();
                member.value = value;
            }
            None => members.push(Member { key: key.to_owned(), origin: value.origin.clone(), value }),
        }
    }

    /// Takes a key out of a mapping.
    pub(super) fn take(&mut self, key: &str) -> Option<Member> {
        let Kind::Map(members) = &mut self.kind else { return None };
        let position = members.iter().position(|member| member.key == key)?;
        Some(members.remove(position))
    }

    /// The mapping under this key, which is created (with this origin) if it is missing.
    pub(super) fn map_mut(&mut self, key: &str, origin: &Origin) -> Option<&mut Node> {
        if !matches!(self.kind, Kind::Map(_)) {
            return None;
        }
        if self.get(key).is_none_or(|node| node.kind == Kind::Null) {
            self.set(key, Node::empty_map(origin.clone()));
        }
        let Kind::Map(members) = &mut self.kind else { return None };
        members.iter_mut().find(|member| member.key == key).map(|member| &mut member.value)
    }

    /// What this is, as messages say it: "a string", "the number `60`".
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(value) => format!("`{value}`"),
            Kind::Number(text) => format!("the number `{text}`"),
            Kind::String(_) => "a string".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The value as JSON, without places.
    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
            Kind::String(text) => Value::String(text.clone()),
            Kind::List(elements) => elements.iter().map(Node::to_json).collect(),
            Kind::Map(members) => {
                members.iter().map(|member| (member.key.clone(), member.value.to_json())).collect()
            }
        }
    }

    /// A tree with one origin for all its nodes, from JSON.
    pub(super) fn from_json(value: &serde_json::Value, origin: &Origin) -> Self {
        use serde_json::Value;
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(value) => Kind::Bool(*value),
            Value::Number(number) => Kind::Number(number.to_string()),
            Value::String(text) => Kind::String(text.clone()),
            Value::Array(elements) => {
                Kind::List(elements.iter().map(|element| Self::from_json(element, origin)).collect())
            }
            Value::Object(members) => Kind::Map(
                members
                    .iter()
                    .map(|(key, value)| Member {
                        key: key.clone(),
                        origin: origin.clone(),
                        value: Self::from_json(value, origin),
                    })
                    .collect(),
            ),
        };
        Self { kind, origin: origin.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three spellings of one tree.
    const JSON: &str = "// comment\n{\"servers\": {\"a\": {\"command\": \"x\", \"args\": [\"-p\", 8080,], }, }, \"on\": true}";
    const YAML: &str = "# comment\nservers:\n  a:\n    command: x\n    args: [-p, 8080]\non: true\n";
    const TOML: &str = "on = true\n[servers.a]\ncommand = \"x\"\nargs = [\"-p\", 8080]\n";

    #[test]
    fn the_three_syntaxes_give_the_same_tree() {
        for (syntax, text) in [(Syntax::Json, JSON), (Syntax::Yaml, YAML), (Syntax::Toml, TOML)] {
            let node = parse(text, syntax).unwrap();
            assert_eq!(node.at("servers.a.command").and_then(Node::as_str), Some("x"), "{syntax:?}");
            let args = node.at("servers.a.args").unwrap();
            assert_eq!(args.elements()[1].kind, Kind::Number("8080".into()), "{syntax:?}");
            assert_eq!(node.get("on").and_then(Node::as_bool), Some(true), "{syntax:?}");
        }
    }

    #[test]
    fn spans_point_at_the_text() {
        for (syntax, text) in [(Syntax::Json, JSON), (Syntax::Yaml, YAML), (Syntax::Toml, TOML)] {
            let node = parse(text, syntax).unwrap();
            let servers = node.get("servers").unwrap().get("a").unwrap();
            let Kind::Map(members) = &servers.kind else { panic!("{syntax:?}: no map") };
            let Origin::File(key) = &members[0].origin else { panic!("{syntax:?}: no span") };
            assert_eq!(text[key.clone()].trim_matches('"'), "command", "{syntax:?}");
            let Origin::File(value) = &members[0].value.origin else { panic!("{syntax:?}: no span") };
            assert_eq!(text[value.clone()].trim_matches('"'), "x", "{syntax:?}");
        }
    }

    #[test]
    fn spans_count_bytes_also_behind_other_scripts() {
        let text = "# ключ 日本 🙂\nservers:\n  ü: { command: ж }\n";
        let node = parse(text, Syntax::Yaml).unwrap();
        let Origin::File(span) = &node.at("servers.ü.command").unwrap().origin else { panic!() };
        assert_eq!(&text[span.clone()], "ж");
    }

    #[test]
    fn empty_texts_are_empty_mappings() {
        for (syntax, text) in [
            (Syntax::Json, ""),
            (Syntax::Json, "// nothing\n"),
            (Syntax::Yaml, ""),
            (Syntax::Yaml, "# nothing\n"),
            (Syntax::Toml, ""),
        ] {
            assert_eq!(parse(text, syntax).unwrap().members(), [], "{syntax:?} {text:?}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep_json = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(&deep_json, Syntax::Json).is_err());
        assert!(parse(&deep_json, Syntax::Yaml).is_err());
        assert!(parse(&format!("a = {deep_json}"), Syntax::Toml).is_err());
        let less_deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(parse(&less_deep, Syntax::Json).is_err());
        assert!(parse(&less_deep, Syntax::Yaml).is_err());
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let errors = parse(&bomb, Syntax::Yaml).unwrap_err();
        assert!(errors[0].message.contains("too large"), "{errors:?}");
    }

    #[test]
    fn yaml_keeps_what_was_written() {
        let node =
            parse("a: 1.10\nb: 'true'\nc: yes\nd: ~\ne: !!str 5\nf: |\n  two\n  lines\n", Syntax::Yaml)
                .unwrap();
        let kind = |key: &str| node.get(key).unwrap().kind.clone();
        assert_eq!(kind("a"), Kind::Number("1.10".into()));
        assert_eq!(kind("b"), Kind::String("true".into()));
        assert_eq!(kind("c"), Kind::String("yes".into()));
        assert_eq!(kind("d"), Kind::Null);
        assert_eq!(kind("e"), Kind::String("5".into()));
        assert_eq!(kind("f"), Kind::String("two\nlines\n".into()));
        assert!(parse("a: !secret b", Syntax::Yaml).unwrap_err()[0].message.contains("!secret"));
        assert!(parse("a: 1\n---\nb: 2\n", Syntax::Yaml).is_err());
    }

    #[test]
    fn a_key_that_stands_twice_is_kept_twice() {
        for (syntax, text) in [
            (Syntax::Json, r#"{"s": {"a": 1, "a": 2}}"#),
            (Syntax::Yaml, "s:\n  a: 1\n  a: 2\n"),
            (Syntax::Toml, "[s]\na = 1\na = 2\n"),
            (Syntax::Toml, "[s.a]\n[s.a]\n"),
        ] {
            let node = parse(text, syntax).unwrap();
            assert_eq!(node.get("s").unwrap().members().len(), 2, "{syntax:?} {text}");
        }
    }
}
