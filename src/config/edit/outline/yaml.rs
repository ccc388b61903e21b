//! The outline of a YAML text, from the same events that its tree is built of.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::super::super::tree::Offsets;
use super::{Collection, Item, Outline, Shape, Style};

/// A collection whose end was not read yet.
struct Open {
    start: usize,
    collection: Collection,
    key: Option<(String, Range<usize>)>,
}

/// The outline of a text that is known to be valid; nothing if it holds no value.
pub(in super::super) fn outline(text: &str) -> Option<Outline> {
    let offsets = Offsets::new(text);
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.ok()?;
        let span = offsets.bytes(&span);
        let mut name = String::new();
        let finished = match event {
            Event::Scalar(scalar, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                let shape = if plain && scalar.is_empty() { Shape::Missing } else { Shape::Scalar };
                let span = written(text, span, style, &scalar);
                name = scalar.into_owned();
                Outline { span, shape }
            }
            Event::Alias(_) => Outline { span, shape: Shape::Alias },
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                // Anchors and tags before a bracket belong to its span, and so may spaces behind it.
                let is_flow = text.get(span.clone())?.trim_end().ends_with(['{', '[']);
                let style = if is_flow { Style::Flow } else { Style::Block };
                let is_map = matches!(event, Event::MappingStart(..));
                let collection = Collection { style, is_map, items: Vec::new() };
                open.push(Open { start: span.start, collection, key: None });
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let Open { start, collection, .. } = open.pop()?;
                let end = match collection.style {
                    Style::Flow => behind_bracket(text, span.start)?,
                    Style::Block => span.start.max(start),
                };
                Outline { span: start..end, shape: Shape::Collection(collection) }
            }
            _ => continue,
        };
        let Some(parent) = open.last_mut() else { return Some(finished) };
        match (parent.collection.is_map, parent.key.take()) {
            (true, None) => parent.key = Some((name, finished.span)),
            (true, Some(key)) => {
                let value = match finished.shape {
                    Shape::Missing => {
                        let end = behind_colon(text, key.1.end);
                        Outline { span: end..end, shape: Shape::Missing }
                    }
                    _ => finished,
                };
                parent.collection.items.push(Item { key: Some(key), value });
            }
            (false, _) => parent.collection.items.push(Item { key: None, value: finished }),
        }
    }
    None
}

/// The place behind a closing bracket. The parser's span may begin with a comma and comments before it, and reaches to the
/// next token.
fn behind_bracket(text: &str, from: usize) -> Option<usize> {
    let gap = |character: char| character.is_whitespace() || character == ',';
    let mut rest = text[from..].trim_start_matches(gap);
    while let Some(comment) = rest.strip_prefix('#') {
        rest = comment[comment.find('\n')?..].trim_start_matches(gap);
    }
    rest.starts_with(['}', ']']).then(|| text.len() - rest.len() + 1)
}

/// The place behind a key's colon; the end of the key if none follows, as between brackets.
fn behind_colon(text: &str, key_end: usize) -> usize {
    let rest = text[key_end..].trim_start_matches([' ', '\t']);
    if rest.starts_with(':') { text.len() - rest.len() + 1 } else { key_end }
}

/// The bytes of a scalar itself: the parser's spans reach to the next token.
fn written(text: &str, span: Range<usize>, style: ScalarStyle, scalar: &str) -> Range<usize> {
    let raw = text.get(span.clone()).unwrap_or_default();
    // Of a block scalar that keeps its last empty lines (`|+`), those are content.
    let keeps = scalar.ends_with("\n\n") || scalar == "\n";
    let kept = match style {
        ScalarStyle::Literal | ScalarStyle::Folded if keeps => raw.trim_end_matches([' ', '\t']),
        ScalarStyle::Plain => raw,
        _ => raw.trim_end(),
    };
    span.start..span.start + kept.len()
}
