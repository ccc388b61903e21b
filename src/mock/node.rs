//! The tree of a script: YAML with a place on every node and scalars as their text, so that a number reaches the
//! wire exactly as it was written.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::{Map, Number, Value};

/// How deep a script may nest. The reader recurses, so the bound protects its stack.
const MAX_DEPTH: usize = 128;

/// How many nodes a script may have once its aliases are written out.
const MAX_NODES: usize = 200_000;

/// A position in the script: both numbers start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl From<Marker> for Place {
    fn from(marker: Marker) -> Self {
        Self { line: marker.line().max(1), column: marker.col() + 1 }
    }
}

/// A value of the script and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    /// `plain` says that the text stood without quotes, so it may mean a number or a boolean.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A member of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Node {
    /// Reads the first document of a YAML text; an empty text is an empty mapping.
    pub(super) fn read(text: &str) -> Result<Node, (Place, String)> {
        let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
        loop {
            match reader.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (Event::StreamEnd | Event::DocumentEnd, span) => {
                    return Ok(Node { place: span.start.into(), kind: Kind::Map(Vec::new()) });
                }
                (event, span) => {
                    let root = reader.node(event, span, 0)?;
                    return match reader.after_document()? {
                        None => Ok(root),
                        Some(place) => {
                            Err((place, "a script is one YAML document, a second one starts here".into()))
                        }
                    };
                }
            }
        }
    }

    /// The value as JSON. Plain scalars are numbers, booleans or null only where JSON would spell them so.
    pub(super) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Scalar { text, plain: true } if text == "true" => Value::Bool(true),
            Kind::Scalar { text, plain: true } if text == "false" => Value::Bool(false),
            Kind::Scalar { text, plain: true } if is_json_number(text) => {
                // The text was checked by the guard, and is kept as it is.
                Value::Number(Number::from_string_unchecked(text.clone()))
            }
            Kind::Scalar { text, .. } => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// The member of a mapping with this key.
    pub(super) fn member(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The same mapping without this key.
    pub(super) fn without(&self, key: &str) -> Node {
        let mut copy = self.clone();
        if let Kind::Map(entries) = &mut copy.kind {
            entries.retain(|entry| entry.key != key);
        }
        copy
    }

    /// This tree with `overlay` laid over it: mappings merge member by member, null removes a member, everything
    /// else replaces what was there.
    pub(super) fn merged(&self, overlay: &Node) -> Node {
        let (Kind::Map(base), Kind::Map(over)) = (&self.kind, &overlay.kind) else {
            return overlay.clone();
        };
        let mut entries = base.clone();
        for entry in over {
            let at = entries.iter().position(|known| known.key == entry.key);
            match (at, &entry.value.kind) {
                (Some(at), Kind::Null) => {
                    entries.remove(at);
                }
                (Some(at), _) => entries[at].value = entries[at].value.merged(&entry.value),
                (None, _) => entries.push(entry.clone()),
            }
        }
        Node { place: self.place, kind: Kind::Map(entries) }
    }
}

/// Whether the text is a number by the grammar of JSON.
fn is_json_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && serde_json::from_str::<Number>(text).is_ok()
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

type Read<T> = Result<T, (Place, String)>;

impl<'t> Reader<'t> {
    fn next(&mut self) -> Read<(Event<'t>, Span)> {
        match self.parser.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(scan_error(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// Where a second document starts, if one does.
    fn after_document(&mut self) -> Read<Option<Place>> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::DocumentStart(_), span) => return Ok(Some(span.start.into())),
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Read<Node> {
        let place = Place::from(span.start);
        if depth > MAX_DEPTH {
            return Err((place, format!("the script nests deeper than {MAX_DEPTH} levels")));
        }
        self.count(1, place)?;
        let (anchor, kind) = match event {
            Event::Scalar(text, style, anchor, _) => (anchor, scalar(text.into_owned(), style)),
            Event::SequenceStart(anchor, _) => (anchor, Kind::List(self.items(depth)?)),
            Event::MappingStart(anchor, _) => (anchor, Kind::Map(self.entries(depth)?)),
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned();
                let node = node.ok_or_else(|| (place, "an alias stands inside its own anchor".to_owned()))?;
                self.count(node.size(), place)?;
                return Ok(node);
            }
            other => return Err((place, format!("unexpected YAML event {other:?}"))),
        };
        let node = Node { place, kind };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Read<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn entries(&mut self, depth: usize) -> Read<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (key, span) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(text, ..), span) => (text.into_owned(), span),
                (_, span) => return Err((span.start.into(), "a key must be a text".into())),
            };
            let place = Place::from(span.start);
            if entries.iter().any(|entry| entry.key == key) {
                return Err((place, format!("the key `{key}` stands twice in this mapping")));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            entries.push(Entry { key, place, value });
        }
    }

    fn count(&mut self, nodes: usize, place: Place) -> Read<()> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err((place, format!("the script has more than {MAX_NODES} values")));
        }
        Ok(())
    }
}

impl Node {
    fn size(&self) -> usize {
        1 + match &self.kind {
            Kind::Null | Kind::Scalar { .. } => 0,
            Kind::List(items) => items.iter().map(Node::size).sum(),
            Kind::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        }
    }
}

fn scalar(text: String, style: ScalarStyle) -> Kind {
    let plain = style == ScalarStyle::Plain;
    match text.as_str() {
        "" | "~" | "null" if plain => Kind::Null,
        _ => Kind::Scalar { text, plain },
    }
}

fn scan_error(error: &ScanError) -> (Place, String) {
    (Place::from(*error.marker()), error.info().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        Node::read(text).unwrap().to_json().to_string()
    }

    #[test]
    fn numbers_keep_their_text() {
        assert_eq!(json("[1.10, 12345678901234567890123, -0, 1e2]"), "[1.10,12345678901234567890123,-0,1e2]");
        assert_eq!(
            json("{v: 1.0.0, d: 2025-11-25, h: 0x10, s: '7', on: true, n: ~}"),
            r#"{"v":"1.0.0","d":"2025-11-25","h":"0x10","s":"7","on":true,"n":null}"#
        );
    }

    #[test]
    fn aliases_are_written_out_within_bounds() {
        assert_eq!(json("{a: &x [1, 2], b: *x}"), r#"{"a":[1,2],"b":[1,2]}"#);
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let refs = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
        }
        assert!(Node::read(&bomb).unwrap_err().1.contains("more than"));
        assert!(Node::read(&"[".repeat(1000)).is_err());
    }

    #[test]
    fn an_overlay_merges_replaces_and_removes() {
        let base = Node::read("{a: {x: 1, y: 2}, b: [1], c: 3}").unwrap();
        let over = Node::read("{a: {y: 5, z: 6}, b: [9], c: ~}").unwrap();
        assert_eq!(base.merged(&over).to_json().to_string(), r#"{"a":{"x":1,"y":5,"z":6},"b":[9]}"#);
    }

    #[test]
    fn errors_have_a_place() {
        let (place, message) = Node::read("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!((place.line, place.column), (3, 1));
        assert!(message.contains("`a` stands twice"), "{message}");
    }
}
