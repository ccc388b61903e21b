//! Changes in YAML's lines.

use serde_json::Value;

use super::outline::{Collection, Outline, Shape};
use super::text::{begins_line, column, insert_lines, line_after, line_start, newline, remove_lines, splice};
use super::{flow, render};

/// Adds a member below the others.
pub(super) fn add_member(
    text: &str,
    outline: &Outline,
    collection: &Collection,
    key: &str,
    value: &Value,
) -> Option<String> {
    let first = collection.items.first()?;
    let column = column(text, first.start());
    let members = std::iter::once((key.to_owned(), value.clone())).collect();
    let lines = render::yaml_members(&members, column, unit(text), newline(text));
    Some(add_lines(text, outline, collection, &lines))
}

/// Adds an element below the others.
pub(super) fn add_element(
    text: &str,
    outline: &Outline,
    collection: &Collection,
    value: &Value,
) -> Option<String> {
    let column = column(text, dash(text, collection, 0)?);
    let lines = render::yaml_element(value, column, unit(text), newline(text));
    Some(add_lines(text, outline, collection, &lines))
}

fn add_lines(text: &str, outline: &Outline, collection: &Collection, lines: &str) -> String {
    let at = line_after(text, outline.content_end());
    let newline = newline(text);
    if stand_apart(text, collection) {
        insert_lines(text, at, &format!("{newline}{lines}"))
    } else {
        insert_lines(text, at, lines)
    }
}

/// Whether an empty line stands before the last of several items.
fn stand_apart(text: &str, collection: &Collection) -> bool {
    let [.., before, last] = collection.items.as_slice() else { return false };
    // With an explicit key (`? `) the item before may end on the line of the last.
    let between = text.get(before.value.content_end()..line_start(text, last.start())).unwrap_or_default();
    between.lines().skip(1).any(|line| line.trim().is_empty())
}

/// Takes an item out, with its lines.
pub(super) fn remove(text: &str, collection: &Collection, index: usize) -> Option<String> {
    let item = &collection.items[index];
    let start = match item.key {
        Some(_) => item.start(),
        None => dash(text, collection, index)?,
    };
    if begins_line(text, start) {
        return Some(remove_lines(text, line_start(text, start)..line_after(text, item.value.content_end())));
    }
    // The first of several on the line of a dash: the next takes its place.
    let next = collection.items.get(index + 1)?;
    Some(splice(text, start..next.start(), ""))
}

/// Replaces the value of an item.
pub(super) fn replace(text: &str, collection: &Collection, index: usize, value: &Value) -> Option<String> {
    let item = &collection.items[index];
    let Some((_, key)) = &item.key else {
        let range = item.value.span.start..item.value.content_end();
        return Some(splice(text, range, &render::one_line(value, crate::config::Syntax::Yaml)));
    };
    let colon = colon(text, key.end)?;
    let column = column(text, key.start);
    let rendered = render::yaml_value(value, column, unit(text), newline(text));
    let is_scalar = !matches!(value, Value::Object(_) | Value::Array(_));
    let mut range = colon + 1..item.value.content_end();
    range.end = range.start + text.get(range.clone())?.trim_end().len();
    match item.value.shape {
        // How many spaces stand before the value is the writer's.
        Shape::Scalar if is_scalar && same_line(text, colon, item.value.span.start) => {
            Some(splice(text, item.value.span.start..range.end, rendered.trim_start()))
        }
        // A comment behind the key stays there.
        Shape::Missing if !is_scalar => {
            let end = line_after(text, colon);
            Some(insert_lines(text, end, rendered.trim_start_matches(['\r', '\n'])))
                .filter(|_| rendered.starts_with(['\r', '\n']))
                .or_else(|| Some(splice(text, range, &rendered)))
        }
        _ => Some(splice(text, range, &rendered)),
    }
}

fn same_line(text: &str, from: usize, to: usize) -> bool {
    text.get(from..to).is_some_and(|between| !between.contains(['\n', '|', '>']))
}

/// The colon behind a key. There is none behind keys that are written with a question mark.
fn colon(text: &str, key_end: usize) -> Option<usize> {
    let spaces = text[key_end..].len() - text[key_end..].trim_start_matches([' ', '\t']).len();
    text[key_end + spaces..].starts_with(':').then_some(key_end + spaces)
}

/// The dash of an element: the last one before it on its line.
fn dash(text: &str, collection: &Collection, index: usize) -> Option<usize> {
    let start = collection.items.get(index)?.value.span.start;
    let line = line_start(text, start);
    Some(line + text[line..start].rfind('-')?)
}

/// By how many spaces the lines of this text are indented.
pub(super) fn unit(text: &str) -> usize {
    flow::unit(text).chars().filter(|character| *character == ' ').count().clamp(2, 8)
}
