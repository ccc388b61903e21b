//! YAML 1.2, built from the parser's events: duplicate keys stay visible and aliases are counted before
//! they are copied.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::{Kind, MAX_DEPTH, MAX_NODES, Member, Node, Origin, SyntaxError};

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let offsets = Offsets::new(text);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.event(event, offsets.bytes(&span))?,
            Err(error) => {
                let at = offsets.byte(error.marker().index());
                return Err(SyntaxError { message: error.info().to_lowercase(), span: at..at });
            }
        }
    }
    match builder.root {
        Some(Node { kind: Kind::Null, .. }) | None => Ok(Node::empty_map(Origin::File(0..0))),
        Some(root) => Ok(root),
    }
}

/// The parser counts characters; everything else counts bytes.
pub(in super::super) struct Offsets {
    starts: Vec<usize>,
    end: usize,
}

impl Offsets {
    pub(in super::super) fn new(text: &str) -> Self {
        Self { starts: text.char_indices().map(|(byte, _)| byte).collect(), end: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        self.starts.get(character).copied().unwrap_or(self.end)
    }

    pub(in super::super) fn bytes(&self, span: &Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}

/// A collection whose end was not read yet.
struct Open {
    anchor: usize,
    span: Range<usize>,
    nodes: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { members: Vec<Member>, key: Option<(String, Range<usize>)> },
}

/// An anchored node and what a copy of it costs.
struct Anchored {
    node: Node,
    nodes: usize,
    depth: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Node>,
    nodes: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Range<usize>) -> Result<(), SyntaxError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let kind = scalar(&text, style, tag.as_deref(), &span)?;
                self.finish(Node { kind, origin: Origin::File(span.clone()) }, 1, anchor, span)
            }
            Event::SequenceStart(anchor, tag) => {
                known_tag(tag.as_deref(), &["seq"], &span)?;
                self.begin(Content::List(Vec::new()), anchor, span)
            }
            Event::MappingStart(anchor, tag) => {
                known_tag(tag.as_deref(), &["map"], &span)?;
                self.begin(Content::Map { members: Vec::new(), key: None }, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor) else {
                    return Err(SyntaxError { message: "alias of an unfinished node".to_owned(), span });
                };
                let (nodes, depth) = (anchored.nodes, anchored.depth);
                if self.nodes + nodes > MAX_NODES || self.open.len() + depth > MAX_DEPTH {
                    return Err(SyntaxError {
                        message: "the document is too large once its aliases are expanded".to_owned(),
                        span,
                    });
                }
                let node = anchored.node.clone();
                self.finish(node, nodes, 0, span)
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(SyntaxError { message: "a config is one document, found a second one".to_owned(), span })
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, content: Content, anchor: usize, span: Range<usize>) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(SyntaxError { message: format!("more than {MAX_DEPTH} levels of nesting"), span });
        }
        self.open.push(Open { anchor, span, nodes: 1, content });
        Ok(())
    }

    fn end(&mut self, end: Range<usize>) -> Result<(), SyntaxError> {
        let Some(Open { anchor, span, nodes, content }) = self.open.pop() else { return Ok(()) };
        let kind = match content {
            Content::List(elements) => Kind::List(elements),
            Content::Map { members, .. } => Kind::Map(members),
        };
        let span = span.start..end.end.max(span.end);
        // The collection itself was counted when it began; its content when it was finished.
        self.nodes = self.nodes.saturating_sub(nodes - 1);
        self.finish(Node { kind, origin: Origin::File(span.clone()) }, nodes, anchor, span)
    }

    /// Puts a complete node where it belongs.
    fn finish(
        &mut self,
        node: Node,
        nodes: usize,
        anchor: usize,
        span: Range<usize>,
    ) -> Result<(), SyntaxError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(SyntaxError { message: "the document is too large".to_owned(), span });
        }
        if anchor != 0 {
            let depth = depth(&node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, depth });
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.nodes += nodes;
        match &mut parent.content {
            Content::List(elements) => elements.push(node),
            Content::Map { members, key } => match key.take() {
                Some((name, origin)) => {
                    members.push(Member { key: name, origin: Origin::File(origin), value: node })
                }
                None => {
                    let Some(name) = key_text(&node) else {
                        return Err(SyntaxError { message: "a key must be a plain word".to_owned(), span });
                    };
                    *key = Some((name, span));
                }
            },
        }
        Ok(())
    }
}

fn key_text(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Null => Some("null".to_owned()),
        _ => node.scalar_text().map(str::to_owned),
    }
}

fn depth(node: &Node) -> usize {
    let below = match &node.kind {
        Kind::List(elements) => elements.iter().map(depth).max(),
        Kind::Map(members) => members.iter().map(|member| depth(&member.value)).max(),
        _ => return 0,
    };
    1 + below.unwrap_or(0)
}

/// Resolves a scalar by the core schema: <https://yaml.org/spec/1.2.2/#103-core-schema>.
fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: &Range<usize>,
) -> Result<Kind, SyntaxError> {
    known_tag(tag, &["str", "int", "float", "bool", "null"], span)?;
    let is_text = tag.is_some_and(|tag| tag.suffix == "str");
    if is_text || (style != ScalarStyle::Plain && tag.is_none()) {
        return Ok(Kind::String(text.to_owned()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ if is_number(text) => Kind::Number(text.to_owned()),
        _ => Kind::String(text.to_owned()),
    })
}

/// Decimal numbers only: nothing in a config is written in hexadecimal, and `1e3` as an argument should
/// stay what was written, which [`Kind::Number`] guarantees.
fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'))
        && text.ends_with(|last: char| last.is_ascii_digit() || last == '.')
        && text.parse::<f64>().is_ok()
}

/// A tag of another program (`!secret`, `!include`) would silently become text, so it is an error.
fn known_tag(tag: Option<&Tag>, known: &[&str], span: &Range<usize>) -> Result<(), SyntaxError> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && known.contains(&tag.suffix.as_str())) => {
            let message = format!("the tag `{}{}` is not known here", tag.handle, tag.suffix);
            Err(SyntaxError { message, span: span.clone() })
        }
        _ => Ok(()),
    }
}
