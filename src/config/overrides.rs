//! Settings from the environment: `SWITCHBOARD_DEFAULTS__TIMEOUTS__CALL=60s` sets `defaults.timeouts.call`.
//!
//! The path is looked up in the tables of keys, without regard to case. A variable of ours without `__` counts
//! only if it is a key at the top of the config; all others have other uses.

use super::check::nearest;
use super::environment::Environment;
use super::keys;
use super::problem::Reporter;
use super::shape::{Key, Role, Shape, Table};
use super::tree::{Kind, Node, Origin};
use crate::failure::Code;

const PREFIX: &str = "SWITCHBOARD_";

/// Ours, and not config.
const OTHER_USES: [&str; 4] = ["HOME", "CONFIG", "LOG", "TOKEN"];

/// Applies all overrides to a tree whose servers are gathered.
pub(super) fn apply(root: &mut Node, environment: &Environment, reporter: &mut Reporter) {
    for (name, value) in environment.iter() {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let is_key = || lookup(&keys::ROOT, path).is_some_and(|key| key.name != "proxy");
        if OTHER_USES.contains(&path) || !(path.contains("__") || is_key()) {
            continue;
        }
        let segments: Vec<&str> = path.split("__").collect();
        let origin = Origin::Variable(name.into());
        if let Err(wrong) = set(root, &Shape::Table(&keys::ROOT), &segments, value, &origin) {
            let problem = reporter.error(Code::ConfigUnknownKey, &origin, wrong.message);
            if let Some(suggestion) = wrong.suggestion {
                problem.hint(suggestion);
            }
        }
    }
}

struct WrongPath {
    message: String,
    suggestion: Option<String>,
}

fn set(
    node: &mut Node,
    shape: &Shape,
    segments: &[&str],
    value: &str,
    origin: &Origin,
) -> Result<(), WrongPath> {
    let Some((segment, rest)) = segments.split_first() else {
        *node = parse(value, shape, origin);
        return Ok(());
    };
    if segment.is_empty() {
        return Err(WrongPath { message: "a part of the path is empty".to_owned(), suggestion: None });
    }
    let (key, below) = match shape {
        Shape::Table(table) | Shape::Stage(table) => {
            let key = lookup(table, segment).filter(|key| key.name != "proxy").ok_or_else(|| {
                let names = table.keys().filter(|key| key.role != Role::Foreign && key.name != "proxy");
                let names = names.map(|key| key.name);
                not_found("unknown key", segment, names)
            })?;
            // The file may call the key by another of its names.
            let written = node.members().iter().map(|member| member.key.as_str());
            let written = written.filter_map(|name| table.find(name).map(|found| (name, found)));
            let written = written.filter(|(_, found)| std::ptr::eq(*found, key)).map(|(name, _)| name).next();
            (written.unwrap_or(key.name).to_owned(), &key.shape)
        }
        Shape::Servers => {
            let names = node.members().iter().map(|member| member.key.as_str());
            let name = names.clone().find(|name| alike(name, segment));
            let name = name.ok_or_else(|| not_found("there is no server", segment, names))?;
            (name.to_owned(), &Shape::Table(&keys::SERVER))
        }
        Shape::Map(below) => {
            let written = node.members().iter().map(|member| member.key.as_str());
            let written = written.filter(|name| alike(name, segment)).map(str::to_owned).next();
            (written.unwrap_or_else(|| (*segment).to_owned()), *below)
        }
        _ => {
            return Err(WrongPath {
                message: format!("there is nothing below this key, found `{segment}`"),
                suggestion: None,
            });
        }
    };
    // Looked up first and set afterwards, so that a wrong path leaves nothing behind.
    let mut child = node.get(&key).cloned().unwrap_or_else(|| Node::empty_map(origin.clone()));
    if !rest.is_empty() && !matches!(child.kind, Kind::Map(_)) {
        child = Node::empty_map(origin.clone());
    }
    set(&mut child, below, rest, value, origin)?;
    replace(node, &key, child);
    Ok(())
}

/// As [`Node::set`], but the key keeps its place in the file: only the value comes from the variable.
fn replace(node: &mut Node, key: &str, value: Node) {
    if let Kind::Map(members) = &mut node.kind
        && let Some(member) = members.iter_mut().find(|member| member.key == key)
    {
        member.value = value;
    } else {
        node.set(key, value);
    }
}

fn lookup(table: &Table, segment: &str) -> Option<&'static Key> {
    table.keys().find(|key| alike(key.name, segment) || key.aliases.iter().any(|alias| alike(alias, segment)))
}

/// Variable names have no hyphens and dots, and usually no small letters.
fn alike(name: &str, segment: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace(|c: char| !c.is_alphanumeric(), "_");
    plain(name) == plain(segment)
}

fn not_found<'a>(what: &str, segment: &str, names: impl Iterator<Item = &'a str>) -> WrongPath {
    let lower = segment.to_ascii_lowercase();
    let suggestion =
        nearest(&lower, names).map(|near| format!("did you mean `{}`?", near.to_ascii_uppercase()));
    WrongPath { message: format!("{what} `{lower}`"), suggestion }
}

/// The value: JSON where the key wants more than a text and it parses, else the text itself.
fn parse(value: &str, shape: &Shape, origin: &Origin) -> Node {
    let json = serde_json::from_str::<serde_json::Value>(value).ok();
    let wants_text = matches!(
        shape,
        Shape::Text
            | Shape::Template
            | Shape::Secret
            | Shape::Word(_)
            | Shape::Duration { .. }
            | Shape::Size { .. }
            | Shape::Variable
    );
    match json {
        Some(json) if !wants_text || json.is_string() => Node::from_json(&json, origin),
        _ => Node::string(value, origin.clone()),
    }
}
