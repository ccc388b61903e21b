//! Changes between brackets: JSON, YAML's flow collections, TOML's inline tables and arrays.
//!
//! Between two items stand spaces, comments and one comma. Nothing of that is touched but the comma that has to come or
//! go, and the line of an item that had it for itself.

use std::ops::Range;

use serde_json::Value;

use super::outline::{Collection, Outline};
use super::render;
use super::text::{begins_line, indentation, line_start, newline, next_line, splice};
use crate::config::Syntax;

/// An entry this long still stands on one line if its neighbour does, in characters.
const ONE_LINE: usize = 110;

/// Adds an item at the end. `key` is there for mappings.
pub(super) fn add(
    text: &str,
    syntax: Syntax,
    outline: &Outline,
    collection: &Collection,
    key: Option<&str>,
    value: &Value,
) -> String {
    let Range { start, end } = outline.span;
    let close = end - 1;
    let style = Layout::of(text, syntax, outline, collection);
    let item = |value: String| key.map_or(value.clone(), |key| render::member(key, &value, syntax));
    let newline = newline(text);
    let Some(last) = collection.items.last() else {
        let inner = &text[start + 1..close];
        if syntax != Syntax::Json && inner.trim().is_empty() {
            let item = item(render::one_line(value, syntax));
            let padded = if collection.is_map { format!(" {item} ") } else { item };
            return splice(text, start + 1..close, &padded);
        }
        let outer = indentation(text, start);
        let indent = format!("{outer}{}", style.unit);
        let item = item(style.value(value, syntax, &indent, newline, None));
        let kept = inner.trim_end();
        return splice(
            text,
            start + 1 + kept.len()..close,
            &format!("{newline}{indent}{item}{newline}{outer}"),
        );
    };
    let value_end = last.value.content_end();
    let comma = comma_between(text, value_end..close, syntax);
    if !style.in_lines {
        let item = item(render::one_line(value, syntax));
        return splice(text, value_end..value_end, &format!(", {item}"));
    }
    let indent = indentation(text, last.start());
    let item = item(style.value(value, syntax, indent, newline, Some(&text[last.value.span.clone()])));
    let at = comma.map_or(value_end, |comma| comma + 1);
    let at = comment_on_line(text, at, close, syntax);
    let trailing = if comma.is_some() { "," } else { "" };
    let added = splice(text, at..at, &format!("{newline}{indent}{item}{trailing}"));
    if comma.is_some() { added } else { splice(&added, value_end..value_end, ",") }
}

/// Takes an item out.
pub(super) fn remove(
    text: &str,
    syntax: Syntax,
    outline: &Outline,
    collection: &Collection,
    index: usize,
) -> String {
    let item = &collection.items[index];
    let close = outline.span.end - 1;
    let (start, end) = (item.start(), item.value.content_end());
    let next = collection.items.get(index + 1).map_or(close, |next| next.start());
    let previous = index.checked_sub(1).map(|previous| collection.items[previous].value.content_end());
    let comma = comma_between(text, end..next, syntax);
    // The last item without a comma of its own takes the one before it along.
    let earlier = match (comma, previous) {
        (None, Some(previous)) => comma_between(text, previous..start, syntax),
        _ => None,
    };
    let after = comma.map_or(end, |comma| comma + 1);
    let line_end = comment_on_line(text, after, close, syntax);
    let is_alone = begins_line(text, start)
        && text[line_end..].trim_start_matches([' ', '\t']).starts_with(['\n', '\r']);
    let range = if is_alone {
        line_start(text, start)..next_line(text, line_end)
    } else if comma.is_some() && index + 1 < collection.items.len() {
        let spaces = text[after..].len() - text[after..].trim_start_matches([' ', '\t']).len();
        start..after + spaces
    } else {
        let from = previous.map_or(outline.span.start + 1, |_| earlier.map_or(start, |comma| comma + 1));
        let only_spaces = text[from..start].trim().is_empty();
        // A comment between the two stays.
        (if only_spaces { from } else { start })..after
    };
    let mut left = splice(text, range, "");
    if let Some(comma) = earlier {
        left.replace_range(comma..comma + 1, "");
    }
    if collection.items.len() == 1 {
        left = closed_up(left, outline.span.start);
    }
    left
}

/// How the items of a collection stand.
struct Layout {
    in_lines: bool,
    unit: String,
}

impl Layout {
    fn of(text: &str, syntax: Syntax, outline: &Outline, collection: &Collection) -> Self {
        let in_lines = match collection.items.first() {
            Some(first) => text[outline.span.start..first.start()].contains('\n'),
            None => syntax == Syntax::Json,
        };
        Self { in_lines, unit: unit(text) }
    }

    /// The text of a new value in a line of its own: as its neighbour stands, in one line or several.
    fn value(
        &self,
        value: &Value,
        syntax: Syntax,
        indent: &str,
        newline: &str,
        neighbour: Option<&str>,
    ) -> String {
        let short = render::one_line(value, syntax);
        let is_short = short.chars().count() <= ONE_LINE;
        let beside = neighbour.is_some_and(|text| text.starts_with(['{', '[']) && !text.contains('\n'));
        if syntax != Syntax::Json || (beside && is_short) {
            return short;
        }
        render::json_lines(value, indent, &self.unit, newline)
    }
}

/// By how much the lines of a text are indented: as the first that is.
pub(super) fn unit(text: &str) -> String {
    let indented = text.lines().find(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty());
    let indent = indented.map(|line| &line[..line.len() - line.trim_start().len()]);
    indent.filter(|indent| indent.len() <= 8).unwrap_or("  ").to_owned()
}

/// The comma in a gap between two items, past its comments.
fn comma_between(text: &str, gap: Range<usize>, syntax: Syntax) -> Option<usize> {
    let mut at = gap.start;
    while at < gap.end {
        if let Some(end) = comment_end(text, at, syntax) {
            at = end;
            continue;
        }
        match text.as_bytes()[at] {
            b',' => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// Behind the comments that follow on the same line, up to a limit; the same place if there are none.
fn comment_on_line(text: &str, from: usize, limit: usize, syntax: Syntax) -> usize {
    let mut end = from;
    let mut at = from;
    while at < limit {
        if let Some(after) = comment_end(text, at, syntax) {
            (at, end) = (after, after);
            continue;
        }
        match text.as_bytes()[at] {
            b' ' | b'\t' => at += 1,
            _ => break,
        }
    }
    end
}

/// Where the comment ends that begins at this byte.
fn comment_end(text: &str, at: usize, syntax: Syntax) -> Option<usize> {
    let rest = text.as_bytes().get(at..)?;
    let line_end = || {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        at + if end > 0 && rest[end - 1] == b'\r' { end - 1 } else { end }
    };
    match syntax {
        Syntax::Json if rest.starts_with(b"//") => Some(line_end()),
        Syntax::Json if rest.starts_with(b"/*") => {
            Some(memchr::memmem::find(rest, b"*/").map_or(text.len(), |end| at + end + 2))
        }
        Syntax::Yaml | Syntax::Toml if rest.starts_with(b"#") => Some(line_end()),
        _ => None,
    }
}

/// Brackets between which nothing is left but spaces stand side by side.
fn closed_up(text: String, open: usize) -> String {
    let inner = text[open + 1..].len() - text[open + 1..].trim_start().len();
    let close = open + 1 + inner;
    if text[close..].starts_with(['}', ']']) { splice(&text, open + 1..close, "") } else { text }
}
