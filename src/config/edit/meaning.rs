//! What a text has to mean after a change: the old tree with one difference.

use serde_json::Value;

use super::super::servers;
use super::super::tree::{self, Kind, Node, Origin};
use super::outline::Step;
use super::place;

pub(super) fn added(root: &Node, at: &[Step], key: Option<&str>, value: &Value) -> Node {
    let mut root = root.clone();
    if let Some(node) = node_mut(&mut root, at) {
        let value = Node::from_json(value, &Origin::BuiltIn);
        match (&mut node.kind, key) {
            (Kind::List(elements), _) => elements.push(value),
            (_, Some(key)) => node.set(key, value),
            _ => {}
        }
    }
    root
}

pub(super) fn replaced(root: &Node, path: &[Step], value: &Value) -> Node {
    let mut root = root.clone();
    if let Some(node) = node_mut(&mut root, path) {
        *node = Node::from_json(value, &Origin::BuiltIn);
    }
    root
}

pub(super) fn removed(root: &Node, path: &[Step]) -> Node {
    let mut root = root.clone();
    if let Some((last, before)) = path.split_last()
        && let Some(node) = node_mut(&mut root, before)
    {
        match (last, &mut node.kind) {
            (Step::Key(key), _) => drop(node.take(key)),
            (Step::Index(index), Kind::List(elements)) if *index < elements.len() => {
                drop(elements.remove(*index))
            }
            _ => {}
        }
    }
    root
}

fn node_mut<'a>(root: &'a mut Node, path: &[Step]) -> Option<&'a mut Node> {
    path.iter().try_fold(root, |node, step| match (step, &mut node.kind) {
        (Step::Key(key), Kind::Map(members)) => {
            members.iter_mut().find(|member| member.key == *key).map(|member| &mut member.value)
        }
        (Step::Index(index), Kind::List(elements)) => elements.get_mut(*index),
        _ => None,
    })
}

/// A tree without places, in which the order of members does not count, and a place for servers without any is none.
pub(super) fn canonical_root(root: &Node) -> Node {
    let mut root = canonical(root);
    let Kind::Map(members) = &mut root.kind else { return root };
    for member in members.iter_mut().filter(|member| member.key == place::MISSION) {
        if let Kind::Map(members) = &mut member.value.kind {
            members.retain(|member| member.key != servers::SERVERS || !is_empty(&member.value));
        }
    }
    let may_hold_servers = |key: &str| place::is_section(key) || key == place::MISSION;
    members.retain(|member| !may_hold_servers(&member.key) || !is_empty(&member.value));
    root
}

fn is_empty(node: &Node) -> bool {
    match &node.kind {
        Kind::Null => true,
        Kind::List(elements) => elements.is_empty(),
        Kind::Map(members) => members.is_empty(),
        _ => false,
    }
}

fn canonical(node: &Node) -> Node {
    let kind = match &node.kind {
        Kind::List(elements) => Kind::List(elements.iter().map(canonical).collect()),
        Kind::Map(members) => {
            let mut members: Vec<tree::Member> = members
                .iter()
                .map(|it| tree::Member {
                    key: it.key.clone(),
                    origin: Origin::BuiltIn,
                    value: canonical(&it.value),
                })
                .collect();
            members.sort_by(|one, other| one.key.cmp(&other.key));
            Kind::Map(members)
        }
        // Numbers that JSON cannot spell pass through it as text.
        Kind::Number(text) if serde_json::from_str::<serde_json::Number>(text).is_err() => {
            Kind::String(text.clone())
        }
        scalar => scalar.clone(),
    };
    Node { kind, origin: Origin::BuiltIn }
}
