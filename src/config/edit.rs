//! Changing a config file while everything that is not changed stays as it was written: comments, order, layout, spelling.
//!
//! In comes a text and what should be different about one server; out comes the new text. A text is cut at the places
//! where the parsers found its values, never printed anew. Before a changed text is handed out it is parsed, and has to
//! mean exactly what the old one meant, but for that server; otherwise the answer is what to write by hand. Comments
//! within an entry stay with what they stand beside; a comment above an entry stays when the entry goes.

use serde_json::{Map, Value};

use super::tree::{self, Kind, Node, Origin};
use super::{Syntax, keys, secret, servers};
use crate::failure::Code;

mod block;
mod file;
mod flow;
mod meaning;
mod outline;
mod parts;
mod place;
mod render;
mod save;
mod text;
mod toml;

pub use file::ConfigFile;
pub use save::{SaveError, Saved, save};

use meaning::{added, canonical_root, removed, replaced};
use outline::Step;
use place::{Found, Section};

/// Why a text was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It cannot be read.
    #[error("the config is not valid {syntax}: {message} in line {line}", syntax = .syntax.name())]
    Syntax {
        /// The syntax in which it was read.
        syntax: Syntax,
        /// What is wrong.
        message: String,
        /// Where, from 1.
        line: usize,
    },
    /// The new entry of a server is no mapping.
    #[error("the entry of a server must be a mapping")]
    Entry,
    /// It has no such server.
    #[error("the config has no server `{name}`")]
    NotFound {
        /// The server that was asked for.
        name: String,
        /// A server that is called nearly so.
        nearest: Option<String>,
    },
    /// Something stands twice, and nobody can say which of the two is meant.
    #[error("`{name}` stands twice in the config; remove one of them first")]
    Twice {
        /// The server or key.
        name: String,
    },
    /// The place of the servers holds something else.
    #[error("`{key}` must be a mapping from server names to entries")]
    Section {
        /// The key.
        key: String,
    },
    /// The text is written in a way that cannot be changed without touching something else.
    #[error("the config is written in a way that cannot be changed safely; {instead}")]
    ByHand {
        /// What to do instead.
        instead: String,
    },
}

impl EditError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            EditError::Syntax { .. } => Code::ConfigSyntax,
            EditError::Entry | EditError::Section { .. } => Code::ConfigValue,
            EditError::NotFound { .. } => Code::ManageUnknown,
            EditError::Twice { .. } => Code::EditTwice,
            EditError::ByHand { .. } => Code::EditByHand,
        }
    }
}

/// Adds a server, or replaces the entry of the one with this name. `entry` is what stands below a name in `servers:`.
pub fn put_server(text: &str, syntax: Syntax, name: &str, entry: &Value) -> Result<String, EditError> {
    let Value::Object(members) = entry else { return Err(EditError::Entry) };
    // TOML has no null, and the config reads a null as a key that is not there.
    let entry = match syntax {
        Syntax::Toml => without_nulls(entry.clone()),
        _ => Value::Object(members.clone()),
    };
    edit(text, syntax, |text, root| {
        let by_hand = || by_hand_put(syntax, name, &entry);
        let (changed, expected) = match place::find(root, name)? {
            Some(found) => {
                let entry = found.entry(name, &entry);
                let changed = reconcile(text, syntax, &found.path, found.node, &entry);
                (changed, replaced(root, &found.path, &entry))
            }
            None => add_server(text, syntax, root, name, &entry)?,
        };
        Ok(Change { changed, expected, by_hand: by_hand() })
    })
}

/// Removes a server.
pub fn remove_server(text: &str, syntax: Syntax, name: &str) -> Result<String, EditError> {
    edit(text, syntax, |text, root| {
        let found = place::find(root, name)?.ok_or_else(|| place::not_found(root, name))?;
        let changed = parts::remove(text, syntax, &found.path);
        let expected = removed(root, &found.path);
        let by_hand = format!("remove the entry `{name}` by hand");
        Ok(Change { changed, expected, by_hand })
    })
}

/// Says in the entry of a server whether it is served.
pub fn set_enabled(text: &str, syntax: Syntax, name: &str, enabled: bool) -> Result<String, EditError> {
    edit(text, syntax, |text, root| {
        let Found { path, node, .. } =
            place::find(root, name)?.ok_or_else(|| place::not_found(root, name))?;
        if let Some(twice) = doubled_key(node) {
            return Err(EditError::Twice { name: twice });
        }
        let Value::Object(mut entry) = node.to_json() else { return Err(EditError::Entry) };
        if !enabled && !entry.contains_key("disabled") {
            entry.insert("enabled".to_owned(), Value::Bool(false));
        }
        for (key, value) in [("enabled", enabled), ("disabled", !enabled)] {
            if let Some(said) = entry.get_mut(key) {
                *said = Value::Bool(value);
            }
        }
        let entry = Value::Object(entry);
        let changed = reconcile(text, syntax, &path, node, &entry);
        let expected = replaced(root, &path, &entry);
        let by_hand = format!("write `enabled` into the entry `{name}` by hand");
        Ok(Change { changed, expected, by_hand })
    })
}

/// The names of the servers that a text speaks of, in its order.
pub fn server_names(text: &str, syntax: Syntax) -> Result<Vec<String>, EditError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(place::names(&parse(text, syntax)?))
}

/// Whether a value that somebody wants to write into a config is a secret, by its name or its looks, and stands there in
/// plain sight instead of coming from a variable (`${…}`).
pub fn is_plain_secret(name: &str, value: &str) -> bool {
    !value.is_empty()
        && !value.contains("${")
        && (secret::names_a_secret(name) || secret::mask_suspicious(value) != value)
}

/// The keys, with what they stand below, whose values are such secrets.
pub fn plain_secrets(text: &str, syntax: Syntax) -> Vec<String> {
    fn collect(node: &Node, path: &str, found: &mut Vec<String>) {
        for member in node.members() {
            let path = if path.is_empty() { member.key.clone() } else { format!("{path}.{}", member.key) };
            let is_secret = |value: &Node| value.as_str().is_some_and(|it| is_plain_secret(&member.key, it));
            if is_secret(&member.value) || member.value.elements().iter().any(is_secret) {
                found.push(path.clone());
            }
            collect(&member.value, &path, found);
        }
        node.elements().iter().for_each(|element| collect(element, path, found));
    }
    let mut found = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Ok(root) = tree::parse(text, syntax) {
        collect(&root, "", &mut found);
    }
    found
}

/// What an edit came to: the text, unless it is laid out in an unknown way, and what it has to mean.
struct Change {
    changed: Option<String>,
    expected: Node,
    by_hand: String,
}

/// Makes a change and compares what the text means afterwards with what it should.
fn edit(
    text: &str,
    syntax: Syntax,
    change: impl FnOnce(&str, &Node) -> Result<Change, EditError>,
) -> Result<String, EditError> {
    let (mark, text) = match text.strip_prefix('\u{feff}') {
        Some(text) => ("\u{feff}", text),
        None => ("", text),
    };
    let root = parse(text, syntax)?;
    let Change { changed, expected, by_hand } = change(text, &root)?;
    let means_that = |changed: &String| {
        tree::parse(changed, syntax).is_ok_and(|root| canonical_root(&root) == canonical_root(&expected))
    };
    match changed.filter(means_that) {
        Some(changed) => Ok(format!("{mark}{changed}")),
        None => Err(EditError::ByHand { instead: by_hand }),
    }
}

fn parse(text: &str, syntax: Syntax) -> Result<Node, EditError> {
    tree::parse(text, syntax).map_err(|errors| {
        let (message, at) =
            errors.first().map_or_else(Default::default, |it| (it.message.clone(), it.span.start));
        let before = &text.as_bytes()[..at.min(text.len())];
        EditError::Syntax { syntax, message, line: memchr::memchr_iter(b'\n', before).count() + 1 }
    })
}

/// Adds a server that the config does not have, where its servers stand, or at the end.
fn add_server(
    text: &str,
    syntax: Syntax,
    root: &Node,
    name: &str,
    entry: &Value,
) -> Result<(Option<String>, Node), EditError> {
    let Some(Section { path, node }) = place::section(root)? else {
        let key = if syntax == Syntax::Json { "mcpServers" } else { servers::SERVERS };
        let section = one_member(name, entry.clone());
        let expected = added(root, &[], Some(key), &section);
        let changed = match (syntax, parts::outline(text, syntax)) {
            (Syntax::Toml, _) => parts::add(text, syntax, &[Step::key(key)], Some(name), entry),
            // First the place, so that what goes into it is spread over lines.
            (Syntax::Json, Some(_)) => parts::add(text, syntax, &[], Some(key), &Value::Object(Map::new()))
                .and_then(|text| parts::add(&text, syntax, &[Step::key(key)], Some(name), entry)),
            (_, Some(_)) => parts::add(text, syntax, &[], Some(key), &section),
            (_, None) => parts::begin(text, syntax, &one_member(key, section)),
        };
        return Ok((changed, expected));
    };
    Ok(match &node.kind {
        Kind::List(_) => {
            let element = place::named(name, entry);
            (parts::add(text, syntax, &path, None, &element), added(root, &path, None, &element))
        }
        Kind::Map(members) => {
            let expected = added(root, &path, Some(name), entry);
            let section = one_member(name, entry.clone());
            // `servers: {}` in YAML is better written in lines from now on.
            let in_lines = (syntax == Syntax::Yaml && members.is_empty() && is_bare(text, node))
                .then(|| parts::replace(text, syntax, &path, &section))
                .flatten();
            (in_lines.or_else(|| parts::add(text, syntax, &path, Some(name), entry)), expected)
        }
        _ => {
            let section = one_member(name, entry.clone());
            (parts::replace(text, syntax, &path, &section), replaced(root, &path, &section))
        }
    })
}

/// Whether nothing, not even a comment, stands between two brackets.
fn is_bare(text: &str, node: &Node) -> bool {
    let Origin::File(span) = &node.origin else { return false };
    let inner = text.get(span.clone()).and_then(|it| it.trim_end().strip_prefix('{')?.strip_suffix('}'));
    inner.is_some_and(|inner| inner.trim().is_empty())
}

/// Makes a value in the text mean `new`, with as little change as can be: what is equal stays as it is written.
fn reconcile(text: &str, syntax: Syntax, path: &[Step], old: &Node, new: &Value) -> Option<String> {
    if doubled_key(old).is_none() && old.to_json() == *new {
        return Some(text.to_owned());
    }
    let within = match (&old.kind, new) {
        (Kind::Map(_), Value::Object(members)) if doubled_key(old).is_none() => {
            reconcile_members(text, syntax, path, old, members)
        }
        (Kind::List(elements), Value::Array(wanted)) if elements.len() == wanted.len() => {
            let mut text = Some(text.to_owned());
            for (index, (old, new)) in elements.iter().zip(wanted).enumerate() {
                text = text
                    .and_then(|text| reconcile(&text, syntax, &below(path, Step::Index(index)), old, new));
            }
            text
        }
        _ => None,
    };
    within.or_else(|| parts::replace(text, syntax, path, new))
}

/// Changes, adds and removes members. Not if none would stay: an emptied mapping has no place for new ones.
fn reconcile_members(
    text: &str,
    syntax: Syntax,
    path: &[Step],
    old: &Node,
    wanted: &Map<String, Value>,
) -> Option<String> {
    if !wanted.keys().any(|key| old.get(key).is_some()) {
        return None;
    }
    let mut text = text.to_owned();
    for (key, value) in wanted {
        text = match old.get(key) {
            Some(old) => reconcile(&text, syntax, &below(path, Step::key(key)), old, value)?,
            None => parts::add(&text, syntax, path, Some(key), value)?,
        };
    }
    for member in old.members().iter().filter(|member| !wanted.contains_key(&member.key)) {
        text = parts::remove(&text, syntax, &below(path, Step::key(&member.key)))?;
    }
    Some(text)
}

fn below(path: &[Step], step: Step) -> Vec<Step> {
    path.iter().cloned().chain([step]).collect()
}

fn one_member(key: &str, value: Value) -> Value {
    Value::Object(std::iter::once((key.to_owned(), value)).collect())
}

/// A key that stands twice in a mapping or below it.
fn doubled_key(node: &Node) -> Option<String> {
    let members = node.members();
    let twice = |(index, member): (usize, &tree::Member)| {
        members[..index].iter().any(|other| other.key == member.key).then(|| member.key.clone())
    };
    members
        .iter()
        .enumerate()
        .find_map(twice)
        .or_else(|| members.iter().map(|member| &member.value).chain(node.elements()).find_map(doubled_key))
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(elements) => elements.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// What to write into the file oneself.
fn by_hand_put(syntax: Syntax, name: &str, entry: &Value) -> String {
    let lines = match (syntax, entry) {
        (Syntax::Yaml, Value::Object(_)) => {
            let section = Map::from_iter([(name.to_owned(), entry.clone())]);
            render::yaml_members(&section, 2, 2, "\n")
        }
        (Syntax::Json, _) => {
            format!("  {}", render::member(name, &render::json_lines(entry, "  ", "  ", "\n"), syntax))
        }
        _ => format!("{} = {}", render::key(name, syntax), render::one_line(entry, syntax)),
    };
    format!("write this below `{}` by hand:\n{lines}", servers::SERVERS)
}

#[cfg(test)]
mod tests;
