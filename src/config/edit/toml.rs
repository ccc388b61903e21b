//! Changes in TOML: in the lines of its tables, or within the inline tables and arrays of one line.

use std::ops::Range;

use serde_json::{Map, Value};

mod statements;

use self::statements::{Kind, Statement, statements};
use super::outline::Step;
use super::parts;
use super::render;
use super::text::{indentation, insert_lines, line_start, newline, remove_lines, splice};
use crate::config::Syntax;

/// Adds a member to the table at a path, or a table (without `key`) to the list there.
pub(super) fn add(text: &str, at: &[Step], key: Option<&str>, value: &Value) -> Option<String> {
    let statements = statements(text)?;
    if let Some((statement, below)) = written_inline(&statements, at) {
        return parts::add_at(text, Syntax::Toml, statement.value()?.at(below)?, key, value);
    }
    let Some(key) = key else { return add_table(text, &statements, at, None, value) };
    let depth = at.len() + 1;
    let members: Vec<&Statement> = statements.iter().filter(|it| it.path.starts_with(at)).collect();
    let is_table = matches!(value, Value::Object(_)) && at.len() == 1;
    let beside_inline = members.iter().any(|it| it.path.len() == depth && it.value().is_some());
    if is_table && !beside_inline {
        return add_table(text, &statements, at, Some(key), value);
    }
    let line = render::member(key, &render::one_line(value, Syntax::Toml), Syntax::Toml);
    // In the lines of the table's own header, behind the last of them.
    if let Some(header) = statements.iter().position(|it| it.kind == Kind::Header && it.path == at) {
        let below = statements[header + 1..].iter().take_while(|it| it.value().is_some());
        let last = below.last().unwrap_or(&statements[header]);
        let indent = indentation(text, last.lines.start);
        return Some(insert_lines(text, last.lines.end, &format!("{indent}{line}")));
    }
    // Beside members that are written with dots: `servers.files.command = …`.
    if let Some((statement, prefix)) =
        members.iter().rev().find_map(|it| Some((it, it.spelled_prefix(text, at.len())?)))
    {
        let indent = indentation(text, statement.lines.start);
        return Some(insert_lines(text, statement.lines.end, &format!("{indent}{prefix}.{line}")));
    }
    // A table that exists only through tables within it gets a header of its own before them.
    let newline = newline(text);
    let header = header(at)?;
    match members.first() {
        Some(first) => {
            Some(insert_lines(text, first.lines.start, &format!("[{header}]{newline}{line}{newline}")))
        }
        None => Some(append(text, text.len(), &format!("[{header}]{newline}{line}"))),
    }
}

/// Takes out what a path leads to: every line that speaks of it.
pub(super) fn remove(text: &str, path: &[Step]) -> Option<String> {
    let statements = statements(text)?;
    if let Some((statement, below)) = written_inline(&statements, path).filter(|(_, below)| !below.is_empty())
    {
        return parts::remove_at(text, Syntax::Toml, statement.value()?, below);
    }
    let runs = runs(&statements, path);
    if runs.is_empty() {
        return None;
    }
    Some(runs.into_iter().rev().fold(text.to_owned(), |text, lines| remove_lines(&text, lines)))
}

/// Replaces the value that a path leads to.
pub(super) fn replace(text: &str, path: &[Step], value: &Value) -> Option<String> {
    let statements = statements(text)?;
    if let Some((statement, below)) = written_inline(&statements, path) {
        let outline = statement.value()?;
        if below.is_empty() {
            return Some(splice(text, outline.span.clone(), &render::one_line(value, Syntax::Toml)));
        }
        return parts::replace_at(text, Syntax::Toml, outline, below, value);
    }
    let (Step::Key(key), at) = path.split_last()? else { return None };
    add(&remove(text, path)?, at, Some(key), value)
}

/// The statement whose value holds what a path leads to, and the rest of the path within it.
fn written_inline<'a>(statements: &'a [Statement], path: &'a [Step]) -> Option<(&'a Statement, &'a [Step])> {
    let holds = |it: &&Statement| it.value().is_some() && path.starts_with(&it.path);
    statements.iter().find(holds).map(|it| (it, &path[it.path.len()..]))
}

/// The lines of the statements about a path, each run of them with the comments between.
fn runs(statements: &[Statement], path: &[Step]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut goes_on = false;
    for statement in statements {
        let is_about = statement.path.starts_with(path);
        match runs.last_mut() {
            Some(run) if is_about && goes_on => run.end = statement.lines.end,
            _ if is_about => runs.push(statement.lines.clone()),
            _ => {}
        }
        goes_on = is_about;
    }
    runs
}

/// Adds a table with a header of its own, behind the last line about its neighbours.
fn add_table(
    text: &str,
    statements: &[Statement],
    at: &[Step],
    key: Option<&str>,
    value: &Value,
) -> Option<String> {
    let Value::Object(members) = value else { return None };
    let newline = newline(text);
    let mut path = at.to_vec();
    path.extend(key.map(Step::key));
    let header = header(&path)?;
    let header = if key.is_some() { format!("[{header}]") } else { format!("[[{header}]]") };
    let lines = table_lines(&header, members, newline);
    let last = statements.iter().rev().find(|it| it.path.starts_with(at));
    // The first lines of a file belong to no table; a header among them would take them in.
    let is_dotted = last.is_some_and(|last| last.value().is_some() && !under_header(statements, last));
    let at = if is_dotted { None } else { last.map(|last| last.lines.end) };
    Some(append(text, at.unwrap_or(text.len()), &lines))
}

fn table_lines(header: &str, members: &Map<String, Value>, newline: &str) -> String {
    let member = |(key, value): (&String, &Value)| {
        render::member(key, &render::one_line(value, Syntax::Toml), Syntax::Toml)
    };
    let lines: Vec<String> = std::iter::once(header.to_owned()).chain(members.iter().map(member)).collect();
    lines.join(newline)
}

fn under_header(statements: &[Statement], statement: &Statement) -> bool {
    let before = statements.iter().take_while(|it| it.lines.start < statement.lines.start);
    before.into_iter().any(|it| it.kind != Kind::Value)
}

/// Puts lines at the start of a line, with an empty one before them unless the text stands without gaps there.
fn append(text: &str, at: usize, lines: &str) -> String {
    let newline = newline(text);
    let is_first = text[..at].trim().is_empty();
    let has_gap = text[line_start(text, at.saturating_sub(1))..at].trim().is_empty();
    let is_dense = text[at..].lines().next().is_some_and(|line| !line.trim().is_empty());
    let lead = if is_first || has_gap || is_dense { "" } else { newline };
    insert_lines(text, at, &format!("{lead}{lines}"))
}

/// The name of a table in its header. None with elements of lists: there a header means the last of them.
fn header(path: &[Step]) -> Option<String> {
    let keys: Option<Vec<String>> = path
        .iter()
        .map(|step| match step {
            Step::Key(key) => Some(render::key(key, Syntax::Toml)),
            Step::Index(_) => None,
        })
        .collect();
    keys.map(|keys| keys.join("."))
}
