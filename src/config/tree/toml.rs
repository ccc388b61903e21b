//! TOML 1.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Kind, Member, Node, Origin, SyntaxError};

pub(super) fn parse(text: &str) -> Result<Node, Vec<SyntaxError>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let span = table.span();
    let mut root = convert_table(table.into_inner(), span);
    let mut fatal = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        // The parser refuses a key that stands twice. We put it back, so that it is reported like in the
        // other syntaxes: with both places, and at the cost of one entry only.
        if error.message() != "duplicate key" || !repeat_key(&mut root, text, &span) {
            fatal.push(SyntaxError { message: error.message().to_owned(), span });
        }
    }
    if fatal.is_empty() { Ok(root) } else { Err(fatal) }
}

fn convert_table(table: DeTable<'_>, span: Range<usize>) -> Node {
    let mut members: Vec<(usize, Member)> = table
        .into_iter()
        .map(|(key, value)| {
            let origin = key.span();
            let member = Member {
                key: key.into_inner().into_owned(),
                origin: Origin::File(origin.clone()),
                value: convert(value),
            };
            (origin.start, member)
        })
        .collect();
    // The parser's map is sorted by name; the order of the file has a meaning for us.
    members.sort_by_key(|(start, _)| *start);
    let members = members.into_iter().map(|(_, member)| member).collect();
    Node { kind: Kind::Map(members), origin: Origin::File(span) }
}

fn convert(value: Spanned<DeValue<'_>>) -> Node {
    let span = value.span();
    let kind = match value.into_inner() {
        DeValue::String(text) => Kind::String(text.into_owned()),
        DeValue::Integer(integer) if integer.radix() == 10 => Kind::Number(integer.as_str().to_owned()),
        DeValue::Integer(integer) => match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Kind::Number(number.to_string()),
            Err(_) => Kind::String(integer.to_string()),
        },
        DeValue::Float(float) => Kind::Number(float.as_str().to_owned()),
        DeValue::Boolean(value) => Kind::Bool(value),
        DeValue::Datetime(datetime) => Kind::String(datetime.to_string()),
        DeValue::Array(elements) => Kind::List(elements.into_iter().map(convert).collect()),
        DeValue::Table(table) => return convert_table(table, span),
    };
    Node { kind, origin: Origin::File(span) }
}

/// Adds a second member for the key at `span` to the mapping that has it already.
fn repeat_key(root: &mut Node, text: &str, span: &Range<usize>) -> bool {
    let Some(written) = text.get(span.clone()) else { return false };
    let name = written.trim_matches(['"', '\'']);
    let Some(kept) = last_until(root, name, span.start) else { return false };
    // Of two tables with the same header the parser keeps the later place. The earlier one is the line before
    // it that reads the same.
    let other = if kept == span.start { same_header_before(text, span) } else { span.clone() };
    insert_beside(root, name, kept, &other)
}

/// Where the last key of this name up to `limit` starts.
fn last_until(node: &Node, name: &str, limit: usize) -> Option<usize> {
    let own = node.members().iter().filter(|member| member.key == name).filter_map(start);
    let below = node.members().iter().map(|member| &member.value).chain(node.elements());
    let below = below.filter_map(|child| last_until(child, name, limit));
    own.filter(|start| *start <= limit).chain(below).max()
}

fn same_header_before(text: &str, span: &Range<usize>) -> Range<usize> {
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let this_start = line_start(span.start);
    let this = text[this_start..].lines().next().unwrap_or_default().trim();
    let mut at = this_start;
    while at > 0 {
        at = line_start(at - 1);
        let line = text[at..].lines().next().unwrap_or_default();
        if line.trim() == this {
            let start = at + (line.len() - line.trim_start().len());
            return start..start + this.len();
        }
    }
    span.clone()
}

/// Adds a member where one of this name starts at `kept`, in the order of the file.
fn insert_beside(node: &mut Node, name: &str, kept: usize, span: &Range<usize>) -> bool {
    match &mut node.kind {
        Kind::Map(members) => {
            let Some(at) =
                members.iter().position(|member| member.key == name && start(member) == Some(kept))
            else {
                return members.iter_mut().any(|member| insert_beside(&mut member.value, name, kept, span));
            };
            let origin = Origin::File(span.clone());
            let value = Node { kind: Kind::Null, origin: origin.clone() };
            let at = if span.start < kept { at } else { at + 1 };
            members.insert(at, Member { key: name.to_owned(), origin, value });
            true
        }
        Kind::List(elements) => elements.iter_mut().any(|element| insert_beside(element, name, kept, span)),
        _ => false,
    }
}

fn start(member: &Member) -> Option<usize> {
    match &member.origin {
        Origin::File(span) => Some(span.start),
        _ => None,
    }
}
