//! How a text is laid out: which bytes each value takes, and whether it stands between brackets or in lines of its own.
//!
//! [`Node`](super::super::tree::Node) says what a config means; an outline says where to cut it. Both have the same
//! shape, so that a path through one leads through the other.

use std::ops::Range;

mod json;
mod yaml;

pub(super) use json::outline as json;
pub(super) use yaml::outline as yaml;

/// One step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into the value of this key.
    Key(String),
    /// Into the element with this number.
    Index(usize),
}

impl Step {
    /// The step into the value of a key.
    pub(super) fn key(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

/// A value in the text.
#[derive(Debug)]
pub(super) struct Outline {
    /// Its bytes, without what stands around it. Nothing for a value that is not written.
    pub(super) span: Range<usize>,
    /// What stands there.
    pub(super) shape: Shape,
}

/// What stands at a place of the text.
#[derive(Debug)]
pub(super) enum Shape {
    /// A string, number, boolean or a written null.
    Scalar,
    /// Nothing: the value after `key:` in YAML that nobody wrote.
    Missing,
    /// The name of something that is written elsewhere.
    Alias,
    /// A mapping or list.
    Collection(Collection),
}

/// The members of a mapping or the elements of a list.
#[derive(Debug)]
pub(super) struct Collection {
    /// How it is written.
    pub(super) style: Style,
    /// Whether the items have keys.
    pub(super) is_map: bool,
    /// What it holds, in the order of the text.
    pub(super) items: Vec<Item>,
}

/// How a collection is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Between brackets, with commas.
    Flow,
    /// In lines that are indented alike.
    Block,
}

/// A member of a mapping or an element of a list.
#[derive(Debug)]
pub(super) struct Item {
    /// The key and its bytes.
    pub(super) key: Option<(String, Range<usize>)>,
    /// The value.
    pub(super) value: Outline,
}

impl Item {
    /// The first byte of the key, or of the value of an element.
    pub(super) fn start(&self) -> usize {
        self.key.as_ref().map_or(self.value.span.start, |(_, span)| span.start)
    }

    fn is_at(&self, step: &Step, index: usize) -> bool {
        match (step, &self.key) {
            (Step::Key(wanted), Some((key, _))) => wanted == key,
            (Step::Index(wanted), None) => *wanted == index,
            _ => false,
        }
    }
}

impl Outline {
    /// The collection that this is.
    pub(super) fn collection(&self) -> Option<&Collection> {
        match &self.shape {
            Shape::Collection(collection) => Some(collection),
            _ => None,
        }
    }

    /// The value at a path. Nothing behind an alias: what stands there is somebody else's text.
    pub(super) fn at(&self, path: &[Step]) -> Option<&Outline> {
        path.iter().try_fold(self, |outline, step| {
            let collection = outline.collection()?;
            Some(&collection.items[collection.position(step)?].value)
        })
    }

    /// The collection around a path and the number of the item that the path leads to.
    pub(super) fn around(&self, path: &[Step]) -> Option<(&Outline, &Collection, usize)> {
        let (last, before) = path.split_last()?;
        let outline = self.at(before)?;
        let collection = outline.collection()?;
        Some((outline, collection, collection.position(last)?))
    }

    /// Where the value ends: the end of the last thing written in it. For a value that is missing, the end of its colon.
    pub(super) fn content_end(&self) -> usize {
        match &self.shape {
            Shape::Collection(Collection { style: Style::Block, items, .. }) => {
                items.last().map_or(self.span.end, |item| item.value.content_end())
            }
            _ => self.span.end,
        }
    }
}

impl Collection {
    /// The number of the item that a step leads to. The first one, where a key stands twice.
    pub(super) fn position(&self, step: &Step) -> Option<usize> {
        self.items.iter().enumerate().position(|(index, item)| item.is_at(step, index))
    }
}
