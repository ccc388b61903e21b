//! A TOML text as its statements: headers of tables and keys with their values, each with its full path and its lines.

use std::collections::HashMap;
use std::ops::Range;

use toml_parser::parser::{Event, EventKind, parse_document};
use toml_parser::{Source, Span};

use super::super::outline::{Collection, Item, Outline, Shape, Step, Style};
use super::super::text::{line_start, next_line};

/// One statement.
#[derive(Debug)]
pub(super) struct Statement {
    /// What it speaks of, from the root.
    pub(super) path: Vec<Step>,
    /// What it is.
    pub(super) kind: Kind,
    /// Its lines, with their ends and the comment behind it.
    pub(super) lines: Range<usize>,
    /// The bytes of its own keys, which are the last of its path.
    keys: Vec<Range<usize>>,
    value: Option<Outline>,
}

/// The kinds of statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `[table]`
    Header,
    /// `[[table]]`
    ListHeader,
    /// `key = value`
    Value,
}

impl Statement {
    /// Its value, unless it is a header.
    pub(super) fn value(&self) -> Option<&Outline> {
        self.value.as_ref()
    }

    /// The first keys of a statement with dots, as they are spelled, if those end at this depth and are its own.
    pub(super) fn spelled_prefix<'t>(&self, text: &'t str, depth: usize) -> Option<&'t str> {
        let count =
            (self.kind == Kind::Value).then(|| depth.checked_sub(self.path.len() - self.keys.len()))??;
        let last = self.keys.get(..count)?.last()?;
        (count < self.keys.len()).then(|| &text[self.keys[0].start..last.end])
    }
}

/// The statements of a text that is known to be valid.
pub(super) fn statements(text: &str) -> Option<Vec<Statement>> {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut events = Vec::new();
    let mut errors = Vec::new();
    parse_document(&tokens, &mut |event: Event| events.push(event), &mut errors);
    if !errors.is_empty() {
        return None;
    }
    let mut reader = Reader::new(text, source);
    for event in events {
        reader.event(&event)?;
    }
    Some(reader.statements)
}

struct Reader<'t> {
    text: &'t str,
    source: Source<'t>,
    statements: Vec<Statement>,
    /// The table that the last header opened.
    table: Vec<Step>,
    /// How many tables each list of tables has so far, by its path.
    lists: HashMap<String, usize>,
    /// The keys of the statement that is being read.
    keys: Vec<Key>,
    /// The brackets that are open in its value.
    open: Vec<Open>,
}

/// A key and its bytes.
type Key = (String, Range<usize>);

struct Open {
    start: usize,
    collection: Collection,
    /// The keys of the member that is being read: several if it is written with dots.
    keys: Vec<Key>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, source: Source<'t>) -> Self {
        let (statements, table, lists) = (Vec::new(), Vec::new(), HashMap::new());
        Self { text, source, statements, table, lists, keys: Vec::new(), open: Vec::new() }
    }

    fn event(&mut self, event: &Event) -> Option<()> {
        let span = bytes(event.span());
        match event.kind() {
            EventKind::StdTableOpen | EventKind::ArrayTableOpen => self.keys.clear(),
            EventKind::StdTableClose => self.header(Kind::Header, span.end),
            EventKind::ArrayTableClose => self.header(Kind::ListHeader, span.end),
            EventKind::SimpleKey => {
                let mut key = String::new();
                self.source.get(event)?.decode_key(&mut key, &mut ());
                self.open.last_mut().map_or(&mut self.keys, |open| &mut open.keys).push((key, span));
            }
            EventKind::Scalar => self.finish(Outline { span, shape: Shape::Scalar }),
            EventKind::InlineTableOpen | EventKind::ArrayOpen => {
                let is_map = event.kind() == EventKind::InlineTableOpen;
                let collection = Collection { style: Style::Flow, is_map, items: Vec::new() };
                self.open.push(Open { start: span.start, collection, keys: Vec::new() });
            }
            EventKind::InlineTableClose | EventKind::ArrayClose => {
                let Open { start, collection, .. } = self.open.pop()?;
                self.finish(Outline { span: start..span.end, shape: Shape::Collection(collection) });
            }
            _ => {}
        }
        Some(())
    }

    fn header(&mut self, kind: Kind, end: usize) {
        let keys = std::mem::take(&mut self.keys);
        let mut path = Vec::with_capacity(keys.len());
        let last = keys.len().saturating_sub(1);
        for (index, (key, _)) in keys.iter().enumerate() {
            path.push(Step::key(key));
            let count = self.lists.get_mut(&format!("{path:?}"));
            match count {
                Some(count) if index == last && kind == Kind::ListHeader => {
                    path.push(Step::Index(*count));
                    *count += 1;
                }
                Some(count) => path.push(Step::Index(*count - 1)),
                None if index == last && kind == Kind::ListHeader => {
                    self.lists.insert(format!("{path:?}"), 1);
                    path.push(Step::Index(0));
                }
                None => {}
            }
        }
        self.table.clone_from(&path);
        self.push(path, kind, keys, end, None);
    }

    /// A value is complete: it belongs to what is open, or ends the statement.
    fn finish(&mut self, value: Outline) {
        match self.open.last_mut() {
            Some(open) => {
                let keys = std::mem::take(&mut open.keys);
                open.collection.items.extend(item(keys, value));
            }
            None => {
                let keys = std::mem::take(&mut self.keys);
                let mut path = self.table.clone();
                path.extend(keys.iter().map(|(key, _)| Step::key(key)));
                self.push(path, Kind::Value, keys, value.span.end, Some(value));
            }
        }
    }

    fn push(&mut self, path: Vec<Step>, kind: Kind, keys: Vec<Key>, end: usize, value: Option<Outline>) {
        let start = keys.first().map_or(end, |(_, span)| span.start);
        let lines = line_start(self.text, start)..next_line(self.text, end);
        let keys = keys.into_iter().map(|(_, span)| span).collect();
        self.statements.push(Statement { path, kind, lines, keys, value });
    }
}

/// An item of an inline table or array. A member written with dots (`{ a.b = 1 }`) is none that could be changed alone,
/// so it gets a key that no path has.
fn item(mut keys: Vec<Key>, value: Outline) -> Option<Item> {
    let key = match keys.len() {
        0 => return Some(Item { key: None, value }),
        1 => keys.pop()?,
        _ => ("\0".to_owned(), keys[0].1.clone()),
    };
    Some(Item { key: Some(key), value })
}

fn bytes(span: Span) -> Range<usize> {
    span.start()..span.end()
}
