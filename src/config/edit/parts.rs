//! One change of one value, in any syntax. `None` where the text is laid out in a way that is not understood here.

use serde_json::Value;

use super::outline::{self, Outline, Shape, Step, Style};
use super::{block, flow, render, toml};
use crate::config::Syntax;

/// Adds a member to the mapping at a path, or an element (without `key`) to the list there.
pub(super) fn add(
    text: &str,
    syntax: Syntax,
    at: &[Step],
    key: Option<&str>,
    value: &Value,
) -> Option<String> {
    if syntax == Syntax::Toml {
        return toml::add(text, at, key, value);
    }
    let root = outline(text, syntax)?;
    add_at(text, syntax, root.at(at)?, key, value)
}

/// The same where the place is known.
pub(super) fn add_at(
    text: &str,
    syntax: Syntax,
    outline: &Outline,
    key: Option<&str>,
    value: &Value,
) -> Option<String> {
    let collection = outline.collection().filter(|collection| collection.is_map == key.is_some())?;
    match (collection.style, key) {
        (Style::Flow, _) => Some(flow::add(text, syntax, outline, collection, key, value)),
        (Style::Block, Some(key)) => block::add_member(text, outline, collection, key, value),
        (Style::Block, None) => block::add_element(text, outline, collection, value),
    }
}

/// Takes out what a path leads to.
pub(super) fn remove(text: &str, syntax: Syntax, path: &[Step]) -> Option<String> {
    if syntax == Syntax::Toml {
        return toml::remove(text, path);
    }
    remove_at(text, syntax, &outline(text, syntax)?, path)
}

/// The same below a value.
pub(super) fn remove_at(text: &str, syntax: Syntax, root: &Outline, path: &[Step]) -> Option<String> {
    let (outline, collection, index) = root.around(path)?;
    match collection.style {
        Style::Flow => Some(flow::remove(text, syntax, outline, collection, index)),
        Style::Block => block::remove(text, collection, index),
    }
}

/// Replaces the value that a path leads to.
pub(super) fn replace(text: &str, syntax: Syntax, path: &[Step], value: &Value) -> Option<String> {
    if syntax == Syntax::Toml {
        return toml::replace(text, path, value);
    }
    replace_at(text, syntax, &outline(text, syntax)?, path, value)
}

/// The same below a value.
pub(super) fn replace_at(
    text: &str,
    syntax: Syntax,
    root: &Outline,
    path: &[Step],
    value: &Value,
) -> Option<String> {
    let (_, collection, index) = root.around(path)?;
    if collection.style == Style::Block {
        return block::replace(text, collection, index, value);
    }
    let item = &collection.items[index];
    if matches!(item.value.shape, Shape::Missing) {
        return None;
    }
    let rendered = match syntax {
        Syntax::Json => {
            let indent = super::text::indentation(text, item.start());
            let is_short = !text[item.value.span.clone()].contains('\n') && item.value.collection().is_some();
            match is_short {
                true => render::one_line(value, syntax),
                false => render::json_lines(value, indent, &flow::unit(text), super::text::newline(text)),
            }
        }
        _ => render::one_line(value, syntax),
    };
    Some(super::text::splice(text, item.value.span.clone(), &rendered))
}

/// A text that holds nothing but this mapping, behind what the text held: comments, perhaps the start of a document.
pub(super) fn begin(text: &str, syntax: Syntax, value: &Value) -> Option<String> {
    let newline = super::text::newline(text);
    let lines = match (syntax, value) {
        (Syntax::Json, _) => render::json_lines(value, "", "  ", newline),
        (Syntax::Yaml, Value::Object(members)) => render::yaml_members(members, 0, 2, newline),
        _ => return None,
    };
    // The mark that ends a YAML document stays behind its content.
    let end_mark = text.lines().last().filter(|line| syntax == Syntax::Yaml && line.trim_end() == "...");
    let at = end_mark.map_or(text.len(), |_| super::text::line_start(text, text.trim_end().len()));
    Some(super::text::insert_lines(text, at, &lines))
}

/// The outline of a JSON or YAML text. Nothing if it holds no value.
pub(super) fn outline(text: &str, syntax: Syntax) -> Option<Outline> {
    let outline = match syntax {
        Syntax::Json => outline::json(text),
        Syntax::Yaml => outline::yaml(text),
        Syntax::Toml => None,
    };
    outline.filter(|outline| !matches!(outline.shape, Shape::Missing))
}
