//! One span: what is known of it while it is open, and at its end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Context, SpanId};

/// On which end of a request a span was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Where it came in.
    Server,
    /// Where it went out.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(u64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Number(number)
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Span {
    /// Itself.
    pub context: Context,
    /// The span in which it was made.
    pub parent: Option<SpanId>,
    /// What the client's vendors carry in the trace (`tracestate`).
    pub state: Option<Arc<str>>,
    /// The method, and the name of a tool or prompt.
    pub name: String,
    /// On which end it was made.
    pub kind: Kind,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What else is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it ended well.
    pub is_error: bool,
}

impl Span {
    /// A span that begins now.
    pub(super) fn begin(kind: Kind, name: String, context: Context, parent: Option<SpanId>) -> Self {
        Self {
            context,
            parent,
            state: None,
            name,
            kind,
            began: SystemTime::now(),
            took: Duration::ZERO,
            attributes: Vec::with_capacity(8),
            is_error: false,
        }
    }

    /// Adds an attribute.
    pub(super) fn note(&mut self, key: &'static str, value: impl Into<Value>) {
        self.attributes.push((key, value.into()));
    }

    /// It has failed, in this way.
    pub(super) fn fail(&mut self, error: impl Into<Value>) {
        self.is_error = true;
        self.note("error.type", error);
    }
}
