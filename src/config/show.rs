//! Every setting with the place it comes from, and nothing that is secret.

use std::ops::Range;

use super::interpolate::describe;
use super::keys;
use super::problem::Reporter;
use super::secret::{MASK, hide_suspicious, mask_suspicious, names_a_secret};
use super::servers::SERVERS;
use super::shape::{Shape, Table};
use super::tree::{Kind, Member, Node, Origin};

/// The settings that are in effect, with those of each server filled in.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    root: Vec<Setting>,
}

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The key.
    pub key: String,
    /// Its value in JSON, with `***` for secrets, if it is not a mapping.
    pub value: Option<serde_json::Value>,
    /// What stands below it, if it is a mapping.
    pub below: Vec<Setting>,
    /// `file:line`, `variable NAME` or `built in`.
    pub origin: String,
}

// === impl Settings ===

impl Settings {
    pub(super) fn new(effective: &Node, reporter: &Reporter) -> Self {
        Self { root: table_settings(effective, &keys::ROOT, reporter) }
    }

    /// All settings, or those of one server.
    pub fn of(&self, server: Option<&str>) -> Option<&[Setting]> {
        let Some(server) = server else { return Some(&self.root) };
        let servers = self.root.iter().find(|setting| setting.key == SERVERS)?;
        servers.below.iter().find(|setting| setting.key == server).map(|setting| setting.below.as_slice())
    }

    /// The text that `config show` prints: indented keys, values in JSON, origins as comments.
    pub fn render(settings: &[Setting]) -> String {
        let mut text = String::new();
        render(settings, 0, &mut text);
        text
    }

    /// The same as JSON: `{"key": {"value": …, "origin": …}}`.
    pub fn to_json(settings: &[Setting]) -> serde_json::Value {
        settings
            .iter()
            .map(|setting| {
                let value = match &setting.value {
                    Some(value) => serde_json::json!({ "value": value, "origin": setting.origin }),
                    None => Self::to_json(&setting.below),
                };
                (setting.key.clone(), value)
            })
            .collect()
    }
}

fn render(settings: &[Setting], depth: usize, text: &mut String) {
    for setting in settings {
        let line = match &setting.value {
            Some(value) => format!("{}{}: {value}", "  ".repeat(depth), setting.key),
            None => format!("{}{}:", "  ".repeat(depth), setting.key),
        };
        match setting.value {
            Some(_) => text.push_str(&format!("{line:<48} # {}\n", setting.origin)),
            None => text.push_str(&format!("{line}\n")),
        }
        render(&setting.below, depth + 1, text);
    }
}

fn table_settings(node: &Node, table: &Table, reporter: &Reporter) -> Vec<Setting> {
    let shape_of = |member: &Member| table.find(&member.key).map_or(Shape::Anything, |key| key.shape);
    node.members().iter().map(|member| setting(member, &shape_of(member), reporter)).collect()
}

fn setting(member: &Member, shape: &Shape, reporter: &Reporter) -> Setting {
    let node = &member.value;
    let below = match shape {
        Shape::Servers => {
            let entry = Shape::Table(&keys::SERVER);
            Some(node.members().iter().map(|member| setting(member, &entry, reporter)).collect())
        }
        Shape::Stage(table) if matches!(node.kind, Kind::Map(_)) => {
            Some(table_settings(node, table, reporter))
        }
        Shape::Table(table) => Some(table_settings(node, table, reporter)),
        Shape::Map(value) => {
            Some(node.members().iter().map(|member| setting(member, value, reporter)).collect())
        }
        _ => None,
    };
    Setting {
        key: member.key.clone(),
        value: below.is_none().then(|| shown(node, shape, names_a_secret(&member.key))),
        below: below.unwrap_or_default(),
        origin: reporter.describe(&node.origin),
    }
}

fn shown(node: &Node, shape: &Shape, named_secret: bool) -> serde_json::Value {
    match (&node.kind, shape) {
        (_, Shape::Secret) => MASK.into(),
        (Kind::List(elements), Shape::List(element) | Shape::OneOrMore(element)) => {
            elements.iter().map(|node| shown(node, element, named_secret)).collect()
        }
        (Kind::String(text), Shape::Template) => hide(&describe(text)).into(),
        (Kind::String(_), Shape::Anything) if named_secret => MASK.into(),
        // Tables in lists, such as `interceptors`, know which of their keys hold secrets.
        (Kind::Map(members), Shape::Table(_) | Shape::Stage(_) | Shape::Map(_)) => {
            let shape_of = |key: &str| match shape {
                Shape::Table(table) | Shape::Stage(table) => {
                    table.find(key).map_or(Shape::Anything, |key| key.shape)
                }
                Shape::Map(value) => **value,
                _ => Shape::Anything,
            };
            let value =
                |member: &Member| shown(&member.value, &shape_of(&member.key), names_a_secret(&member.key));
            members.iter().map(|member| (member.key.clone(), value(member))).collect()
        }
        (Kind::Map(members), _) => {
            let value = |member: &Member| shown(&member.value, &Shape::Anything, names_a_secret(&member.key));
            members.iter().map(|member| (member.key.clone(), value(member))).collect()
        }
        (Kind::List(elements), _) => {
            elements.iter().map(|node| shown(node, &Shape::Anything, named_secret)).collect()
        }
        (Kind::String(text), Shape::Anything) => hide(text).into(),
        _ => node.to_json(),
    }
}

/// A secret that was written straight into an argument looks like one; in an address it stands in the query or
/// before the host.
fn hide(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return hide_suspicious(text) };
    let rest = match rest.split_once('?') {
        Some((before, _)) => format!("{before}?{MASK}"),
        None => rest.to_owned(),
    };
    let host = rest.find('/').unwrap_or(rest.len());
    match rest[..host].rfind('@') {
        Some(at) => hide_suspicious(&format!("{scheme}://{MASK}{}", &rest[at..])),
        None => hide_suspicious(&format!("{scheme}://{rest}")),
    }
}

/// The bytes of a file that excerpts must not show: what stands under `env` and `headers`, under keys that speak
/// of secrets, and whatever looks like one.
pub(super) fn secret_spans(root: &Node) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    collect(root, false, &mut spans);
    spans
}

fn collect(node: &Node, secret: bool, spans: &mut Vec<Range<usize>>) {
    match &node.kind {
        Kind::Map(members) => {
            for member in members {
                let is_secret = match keys::SERVER.find(&member.key).or_else(|| keys::ROOT.find(&member.key))
                {
                    Some(key) => matches!(key.shape, Shape::Secret | Shape::Map(Shape::Secret)),
                    None => names_a_secret(&member.key),
                };
                collect(&member.value, secret || is_secret, spans);
            }
        }
        Kind::List(elements) => elements.iter().for_each(|element| collect(element, secret, spans)),
        Kind::String(text) if secret || mask_suspicious(text) != *text => spans.extend(span(&node.origin)),
        Kind::Number(_) | Kind::Bool(_) if secret => spans.extend(span(&node.origin)),
        _ => {}
    }
}

fn span(origin: &Origin) -> Option<Range<usize>> {
    match origin {
        Origin::File(span) => Some(span.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_hidden() {
        for (text, expected) in [
            ("plain", "plain"),
            ("--key=sk-0123456789abcdef", "***"),
            ("https://a.example/mcp?key=x", "https://a.example/mcp?***"),
            ("https://me:pw@a.example/mcp", "https://***@a.example/mcp"),
            ("@modelcontextprotocol/server-filesystem", "@modelcontextprotocol/server-filesystem"),
        ] {
            assert_eq!(hide(text), expected);
        }
    }
}
