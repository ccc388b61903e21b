//! What the `http` section of a script means: how the HTTP faces answer, and in which ways they misbehave.

use std::time::Duration;

use serde_json::Value;

/// The `http` section.
#[derive(Debug)]
pub(in crate::mock) struct Settings {
    /// The path of the MCP endpoint; of the event stream with the transport of 2024-11-05.
    pub(in crate::mock) path: Option<String>,
    pub(super) answer: Shape,
    /// Whether legacy clients get a session id.
    pub(super) sessions: bool,
    /// Whether there is a stream for GET.
    pub(super) get: bool,
    /// Whether clients may end their session.
    pub(super) delete: bool,
    /// A session is unknown after this many requests.
    pub(super) forget_after: Option<u64>,
    /// The token that every request must show.
    pub(in crate::mock) bearer: Option<String>,
    /// What `WWW-Authenticate` says to a request without it; a template.
    pub(super) challenge: String,
    /// Where clients of the transport of 2024-11-05 are told to post; a template.
    pub(super) endpoint: Option<String>,
    /// Added to every answer; templates.
    pub(super) headers: Vec<(String, String)>,
    pub(super) style: Style,
    /// Fixed answers for other paths.
    pub(super) paths: Vec<(String, Canned)>,
    pub(super) faults: Vec<Fault>,
    /// Every request goes to this file as a line of JSON; a template.
    pub(super) requests: Option<String>,
}

/// In which form a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// JSON, unless something is said before the answer.
    Auto,
    Json,
    Sse,
}

/// How event streams and bodies are written.
#[derive(Clone, Debug)]
pub(super) struct Style {
    /// Whether events have ids, so that a stream can be resumed. Modern streams never have.
    pub(super) ids: bool,
    /// Whether a stream starts with an event that has an id and no data.
    pub(super) prime: bool,
    /// What clients are told about reconnecting.
    pub(super) retry: Option<Duration>,
    pub(super) crlf: bool,
    /// Whether comments stand between and in the events.
    pub(super) comments: bool,
    /// Whether data are spread over several lines.
    pub(super) multiline: bool,
    /// Whether the stream starts with a byte order mark.
    pub(super) bom: bool,
    /// The bytes are sent in pieces of this size.
    pub(super) bytes: Option<usize>,
    /// How long to wait between pieces.
    pub(super) every: Duration,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            ids: true,
            prime: true,
            retry: None,
            crlf: false,
            comments: false,
            multiline: false,
            bom: false,
            bytes: None,
            every: Duration::ZERO,
        }
    }
}

/// An answer that has nothing to do with MCP. Its texts are templates.
#[derive(Clone, Debug)]
pub(super) struct Canned {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
}

/// One misbehaviour and when it happens.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// A method of MCP or of HTTP, or `any`.
    pub(super) on: String,
    /// The tool, prompt or URI that must be named.
    pub(super) name: Option<String>,
    pub(super) calls: Calls,
    /// Before anything is done.
    pub(super) delay: Duration,
    pub(super) headers: Vec<(String, String)>,
    pub(super) act: Act,
    /// How the body is written.
    pub(super) style: Option<Style>,
}

/// What a fault does.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Nothing else than the delay, headers or style that stand beside it.
    Nothing,
    Answer(Canned),
    Cut(Cut),
    ContentType(String),
    /// The response has this id.
    Id(Value),
    /// A stream that sends bytes for ever and never ends a line.
    Endless,
    /// A JSON answer with a text of this many bytes.
    Huge(u64),
    /// The same, compressed.
    Bomb(u64),
}

/// Where an answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) place: Place,
    /// Whether the body ends as it should, instead of with a broken connection.
    pub(super) clean: bool,
}

/// A place in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Before the request is even looked at.
    Unread,
    /// After the request was dealt with, before the head of the answer.
    Unanswered,
    /// Behind the head of the stream.
    Head,
    /// Before the response, behind what is said before it.
    Before,
    /// In the middle of the response.
    Middle,
    /// Behind the response.
    After,
}

/// Which of the matching requests meet a fault.
#[derive(Clone, Debug)]
pub(super) enum Calls {
    All,
    /// Counted from 1.
    These(Vec<u64>),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: None,
            answer: Shape::Auto,
            sessions: true,
            get: true,
            delete: true,
            forget_after: None,
            bearer: None,
            challenge: "Bearer".into(),
            endpoint: None,
            headers: Vec::new(),
            style: Style::default(),
            paths: Vec::new(),
            faults: Vec::new(),
            requests: None,
        }
    }
}

impl Fault {
    /// Whether the fault is about such a request.
    pub(super) fn matches(&self, verb: &str, method: Option<&str>, name: Option<&str>) -> bool {
        let on = self.on == "any" || self.on == verb || Some(self.on.as_str()) == method;
        on && self.name.as_deref().is_none_or(|wanted| Some(wanted) == name)
    }

    /// Whether the `n`th such request meets it.
    pub(super) fn meets(&self, n: u64) -> bool {
        match &self.calls {
            Calls::All => true,
            Calls::These(calls) => calls.contains(&n),
        }
    }
}
