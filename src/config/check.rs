//! Compares a tree with the tables of keys: reports everything that does not fit, and returns what does, with
//! every key and word under its first name.

use std::collections::HashMap;

use super::keys;
use super::problem::Reporter;
use super::shape::{Key, Role, Shape, Table};
use super::tree::{Kind, Member, Node, Origin};
use super::values::{MAX_DURATION, parse_duration, parse_size, show_size};
use crate::failure::Code;

/// Checks a value. `path` names it in messages (`timeouts.call`). What cannot be used is left out.
pub(super) fn check(node: Node, shape: &Shape, path: &str, reporter: &mut Reporter) -> Option<Node> {
    match (&node.kind, shape) {
        (_, Shape::Anything | Shape::Servers) => Some(node),
        // An empty value in YAML, `null` in JSON: as if the key were not there.
        (Kind::Null, Shape::Secret | Shape::Template) => {
            reporter
                .error(Code::ConfigValue, &node.origin, format!("`{path}` has no value"))
                .hint("write `\"\"` if it is meant to be empty");
            None
        }
        (Kind::Null, _) => None,
        (Kind::Bool(_), Shape::Bool) | (Kind::String(_), Shape::Text) => Some(node),
        (Kind::String(_) | Kind::Number(_) | Kind::Bool(_), Shape::Template | Shape::Secret) => {
            let text = node.scalar_text().unwrap_or_default().to_owned();
            if text.contains('\0') {
                reporter.error(Code::ConfigValue, &node.origin, format!("`{path}` contains a zero byte"));
                return None;
            }
            Some(Node::string(text, node.origin))
        }
        (Kind::Number(_), Shape::Whole { min, max }) => {
            if node.as_whole().is_some_and(|number| (*min..=*max).contains(&number)) {
                return Some(node);
            }
            unexpected(&node, shape, path, reporter);
            None
        }
        (Kind::Number(text), Shape::Integer) if text.parse::<i32>().is_ok() => Some(node),
        (Kind::String(text), Shape::Duration { never, zero }) => {
            check_duration(text.clone(), *never, *zero, node, shape, path, reporter)
        }
        (Kind::Number(number), Shape::Duration { .. }) => {
            let number = number.clone();
            unexpected(&node, shape, path, reporter)
                .hint(format!("a duration needs a unit: did you mean \"{number}s\"?"));
            None
        }
        (Kind::Number(number), Shape::Seconds) => match super::values::seconds_as_duration(number) {
            Some(text) => Some(Node::string(text, node.origin)),
            None => {
                unexpected(&node, shape, path, reporter);
                None
            }
        },
        (Kind::String(_), Shape::Seconds) => {
            let duration = Shape::Duration { never: false, zero: true };
            check(node, &duration, path, reporter)
        }
        (Kind::String(text) | Kind::Number(text), Shape::Size { min, max }) => {
            let text = text.clone();
            check_size(&text, *min, *max, node, shape, path, reporter)
        }
        (Kind::String(text), Shape::Word(words)) => {
            let Some(word) = words.iter().find(|word| word.is(text)) else {
                let text = text.clone();
                let known = words
                    .iter()
                    .flat_map(|word| std::iter::once(word.name).chain(word.aliases.iter().copied()));
                let near = nearest(&text, known);
                let message = format!("`{path}` must be {}, found `{}`", shape.expected(), shorten(&text));
                let problem = reporter.error(Code::ConfigValue, &node.origin, message);
                if let Some(near) = near {
                    problem.hint(format!("did you mean `{near}`?"));
                }
                return None;
            };
            if keys::planned_word(path, word.name) {
                let message =
                    format!("`{path}: {}` is understood, but not in force in this version", word.name);
                reporter.warn(Code::ConfigNotInForce, &node.origin, message);
            }
            Some(Node::string(word.name, node.origin))
        }
        (Kind::String(text), Shape::Variable) => {
            if !text.is_empty() && !text.contains(['=', '\0']) {
                return Some(node);
            }
            unexpected(&node, shape, path, reporter);
            None
        }
        (Kind::List(_), Shape::List(element) | Shape::OneOrMore(element)) => {
            Some(check_list(node, element, path, reporter))
        }
        (_, Shape::OneOrMore(element)) if !matches!(node.kind, Kind::Map(_)) => {
            let origin = node.origin.clone();
            let element = check(node, element, path, reporter)?;
            Some(Node { kind: Kind::List(vec![element]), origin })
        }
        (Kind::Map(_), Shape::Map(value)) => Some(check_map(node, value, path, reporter)),
        (Kind::Map(_), Shape::Table(table) | Shape::Stage(table)) => {
            Some(check_table(node, table, path, reporter))
        }
        (Kind::Bool(false), Shape::Stage(_)) => Some(node),
        _ => {
            unexpected(&node, shape, path, reporter);
            None
        }
    }
}

/// Checks a mapping that has these keys.
pub(super) fn check_table(node: Node, table: &Table, path: &str, reporter: &mut Reporter) -> Node {
    let Node { kind: Kind::Map(members), origin } = node else { return node };
    let members = unique(members, path, reporter);
    let mut checked: Vec<Member> = Vec::with_capacity(members.len());
    for member in members {
        let Some(key) = table.find(&member.key) else {
            unknown_key(&member, table, path, reporter);
            continue;
        };
        let below = join(path, key.name);
        if let Some(first) = checked.iter().find(|other| other.key == key.name) {
            let first = first.origin.clone();
            let message =
                format!("`{}` says the same as another key of this mapping: both mean `{below}`", member.key);
            reporter
                .error(Code::ConfigConflict, &member.origin, message)
                .also(&first, "the other one")
                .hint("keep one of them");
            continue;
        }
        note_role(key, &member, reporter);
        if let Some(value) = check(member.value, &key.shape, &below, reporter) {
            checked.push(Member { key: key.name.to_owned(), origin: member.origin, value });
        }
    }
    Node { kind: Kind::Map(checked), origin }
}

/// Reports keys that stand twice and keeps the first of each.
pub(super) fn unique(members: Vec<Member>, path: &str, reporter: &mut Reporter) -> Vec<Member> {
    let mut seen: HashMap<String, Origin> = HashMap::with_capacity(members.len());
    let mut kept = Vec::with_capacity(members.len());
    for member in members {
        match seen.get(&member.key) {
            Some(first) => twice(&member, first, path, reporter),
            None => {
                seen.insert(member.key.clone(), member.origin.clone());
                kept.push(member);
            }
        }
    }
    kept
}

/// Reports a key that stands twice, with both places.
pub(super) fn twice(member: &Member, first: &Origin, path: &str, reporter: &mut Reporter) {
    let line = match reporter.place(first) {
        Some(place) => format!(", first in line {}", place.line),
        None => String::new(),
    };
    let message = format!("the key `{}` stands twice{}{line}", member.key, inside(path));
    reporter
        .error(Code::ConfigConflict, &member.origin, message)
        .also(first, "first here")
        .hint("remove one of them");
}

fn check_list(node: Node, element: &Shape, path: &str, reporter: &mut Reporter) -> Node {
    let Node { kind: Kind::List(elements), origin } = node else { return node };
    let checked = elements
        .into_iter()
        .enumerate()
        .filter_map(|(index, value)| check(value, element, &format!("{path}[{index}]"), reporter))
        .collect();
    Node { kind: Kind::List(checked), origin }
}

fn check_map(node: Node, shape: &Shape, path: &str, reporter: &mut Reporter) -> Node {
    let Node { kind: Kind::Map(members), origin } = node else { return node };
    let mut checked = Vec::with_capacity(members.len());
    for member in unique(members, path, reporter) {
        let below = join(path, &member.key);
        if member.key.is_empty() || (matches!(shape, Shape::Secret) && member.key.contains(['=', '\0'])) {
            let message = format!("`{}` cannot be a name{}", member.key.escape_debug(), inside(path));
            reporter.error(Code::ConfigValue, &member.origin, message);
            continue;
        }
        if let Some(value) = check(member.value, shape, &below, reporter) {
            checked.push(Member { key: member.key, origin: member.origin, value });
        }
    }
    Node { kind: Kind::Map(checked), origin }
}

fn check_duration(
    text: String,
    never: bool,
    zero: bool,
    node: Node,
    shape: &Shape,
    path: &str,
    reporter: &mut Reporter,
) -> Option<Node> {
    if never && text == "never" {
        return Some(node);
    }
    let message = match parse_duration(&text) {
        Some(duration) if duration.is_zero() && !zero => format!("`{path}` must be longer than nothing"),
        Some(duration) if duration > MAX_DURATION => {
            format!("`{path}` is longer than 30 days, found `{}`", shorten(&text))
        }
        Some(_) => return Some(node),
        None => format!("`{path}` must be {}, found `{}`", shape.expected(), shorten(&text)),
    };
    let problem = reporter.error(Code::ConfigValue, &node.origin, message);
    if text.parse::<f64>().is_ok() {
        problem.hint(format!("a duration needs a unit: did you mean \"{text}s\"?"));
    }
    None
}

fn check_size(
    text: &str,
    min: u64,
    max: u64,
    node: Node,
    shape: &Shape,
    path: &str,
    reporter: &mut Reporter,
) -> Option<Node> {
    let message = match parse_size(text) {
        Some(size) if (min..=max).contains(&size) => return Some(Node::string(text, node.origin)),
        Some(_) => {
            format!("`{path}` must be from {} to {}, found `{text}`", show_size(min), show_size(max))
        }
        None => format!("`{path}` must be {}, found `{}`", shape.expected(), shorten(text)),
    };
    reporter.error(Code::ConfigValue, &node.origin, message);
    None
}

/// Says what of another program's keys is done another way here.
fn note_role(key: &Key, member: &Member, reporter: &mut Reporter) {
    if member.value.kind == Kind::Null {
        return;
    }
    match key.role {
        Role::Differs(instead) => {
            let message = format!("`{}` is a key of other programs and is ignored", member.key);
            reporter.warn(Code::ConfigNotInForce, &member.origin, message).hint(instead);
        }
        Role::InForce | Role::Foreign => {}
    }
}

fn unknown_key(member: &Member, table: &Table, path: &str, reporter: &mut Reporter) {
    let names = table.keys().filter(|key| key.role != Role::Foreign).map(|key| key.name);
    let suggestion = if member.key == "<<" {
        Some("merge keys are not part of YAML 1.2; put shared settings under `defaults:`".to_owned())
    } else if let Some(near) = nearest(&member.key, names) {
        Some(format!("did you mean `{near}`?"))
    } else {
        elsewhere(&member.key, table).map(|place| format!("this key belongs {place}"))
    };
    let message = format!("unknown key `{}`{}", shorten(&member.key), inside(path));
    let problem = reporter.error(Code::ConfigUnknownKey, &member.origin, message);
    if let Some(suggestion) = suggestion {
        problem.hint(suggestion);
    }
}

/// Where a key would be right, if it is known at another place.
fn elsewhere(key: &str, table: &Table) -> Option<&'static str> {
    let others = [(&keys::ROOT, "at the top of the file"), (&keys::SERVER, "into a server's entry")];
    let known = |(other, _): &(&Table, _)| !std::ptr::eq::<Table>(*other, table) && other.find(key).is_some();
    others.into_iter().find(known).map(|(_, place)| place)
}

fn unexpected<'a>(
    node: &Node,
    shape: &Shape,
    path: &str,
    reporter: &'a mut Reporter,
) -> &'a mut super::problem::Problem {
    let message = format!("`{path}` must be {}, found {}", shape.expected(), node.describe());
    let problem = reporter.error(Code::ConfigValue, &node.origin, message);
    match (shape, node.as_str()) {
        (Shape::List(_), _) if node.scalar_text().is_some() => {
            problem.hint("put it into brackets: `[…]`");
        }
        (Shape::Bool, Some("yes" | "on" | "true")) => {
            problem.hint("write `true`, without quotes");
        }
        (Shape::Bool, Some("no" | "off" | "false")) => {
            problem.hint("write `false`, without quotes");
        }
        _ => {}
    }
    problem
}

/// The known name that a wrong one was probably meant to be.
pub(crate) fn nearest<'a>(found: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // `inheritEnv` and `inherit-env` are as near to `inherit_env` as can be.
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], "");
    let found = plain(found);
    known
        .map(|name| (strsim::damerau_levenshtein(&found, &plain(name)), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 5 && *distance < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn inside(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" in `{path}`") }
}

/// Keeps a message readable when somebody pastes a page into a value.
pub(super) fn shorten(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    let short = short.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().count() > 40 { format!("{short}…") } else { short }
}
