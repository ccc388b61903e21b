//! The outline of a JSON text, which its tree knows already.

use super::super::super::tree::{self, Kind, Node, Origin};
use super::{Collection, Item, Outline, Shape, Style};
use crate::config::Syntax;

/// The outline of a text that is known to be valid; nothing if it holds no value.
pub(in super::super) fn outline(text: &str) -> Option<Outline> {
    let root = tree::parse(text, Syntax::Json).ok()?;
    let outline = convert(&root)?;
    (!outline.span.is_empty()).then_some(outline)
}

fn convert(node: &Node) -> Option<Outline> {
    let Origin::File(span) = node.origin.clone() else { return None };
    let (is_map, items) = match &node.kind {
        Kind::Map(members) => {
            let item = |member: &tree::Member| {
                let Origin::File(span) = member.origin.clone() else { return None };
                Some(Item { key: Some((member.key.clone(), span)), value: convert(&member.value)? })
            };
            (true, members.iter().map(item).collect::<Option<_>>()?)
        }
        Kind::List(elements) => {
            let item = |element| Some(Item { key: None, value: convert(element)? });
            (false, elements.iter().map(item).collect::<Option<_>>()?)
        }
        _ => return Some(Outline { span, shape: Shape::Scalar }),
    };
    Some(Outline { span, shape: Shape::Collection(Collection { style: Style::Flow, is_map, items }) })
}
