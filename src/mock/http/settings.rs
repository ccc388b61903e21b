//! The `http` section of a script: how the HTTP faces answer, and in which ways they misbehave.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::mock::node::{Entry, Kind, Node};
use crate::mock::problems::Problems;

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

const KEYS: &[&str] = &[
    "path",
    "answer",
    "sessions",
    "get",
    "delete",
    "forget_after",
    "bearer",
    "challenge",
    "endpoint",
    "headers",
    "paths",
    "faults",
    "requests",
];
const STYLE_KEYS: &[&str] =
    &["ids", "prime", "retry", "crlf", "comments", "multiline", "bom", "bytes", "every"];
const FAULT_KEYS: &[&str] = &[
    "on",
    "name",
    "calls",
    "delay",
    "headers",
    "status",
    "body",
    "redirect",
    "drop",
    "close",
    "content_type",
    "id",
    "endless",
    "huge",
    "bomb",
];

/// Reads the `http` section.
pub(in crate::mock) fn settings(node: &Node, problems: &mut Problems) -> Settings {
    const SHAPES: &[(&str, Shape)] = &[("auto", Shape::Auto), ("json", Shape::Json), ("sse", Shape::Sse)];
    let mut settings = Settings::default();
    for entry in problems.map(node) {
        let value = &entry.value;
        match entry.key.as_str() {
            "path" => settings.path = problems.text(value),
            "answer" => settings.answer = problems.choice(value, SHAPES).unwrap_or(Shape::Auto),
            "sessions" => settings.sessions = problems.flag(value).unwrap_or(true),
            "get" => settings.get = problems.flag(value).unwrap_or(true),
            "delete" => settings.delete = problems.flag(value).unwrap_or(true),
            "forget_after" => settings.forget_after = problems.number(value),
            "bearer" => settings.bearer = problems.text(value),
            "challenge" => settings.challenge = problems.text(value).unwrap_or_default(),
            "endpoint" => settings.endpoint = problems.text(value),
            "headers" => settings.headers = headers(value, problems),
            "requests" => settings.requests = problems.text(value),
            "paths" => {
                for entry in problems.map(value) {
                    let mut canned = Canned { status: 200, headers: Vec::new(), body: Value::Null };
                    for member in problems.map(&entry.value) {
                        if !canned.member(member, problems) {
                            problems.unknown(member, &["status", "headers", "body", "redirect"]);
                        }
                    }
                    settings.paths.push((entry.key.clone(), canned));
                }
            }
            "faults" => {
                for node in problems.list(value) {
                    settings.faults.extend(fault(node, &settings.style, problems));
                }
            }
            _ if settings.style.member(entry, problems) => {}
            _ => problems.unknown(entry, &[KEYS, STYLE_KEYS].concat()),
        }
    }
    settings
}

fn headers(node: &Node, problems: &mut Problems) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for entry in problems.map(node) {
        // Several values make several headers of one name.
        for value in problems.texts(&entry.value) {
            headers.push((entry.key.clone(), value));
        }
    }
    headers
}

impl Style {
    /// Reads one member; says whether it is one of these.
    fn member(&mut self, entry: &Entry, problems: &mut Problems) -> bool {
        let node = &entry.value;
        match entry.key.as_str() {
            "ids" => self.ids = problems.flag(node).unwrap_or(true),
            "prime" => self.prime = problems.flag(node).unwrap_or(true),
            "retry" => self.retry = problems.duration(node),
            "crlf" => self.crlf = problems.flag(node).unwrap_or(false),
            "comments" => self.comments = problems.flag(node).unwrap_or(false),
            "multiline" => self.multiline = problems.flag(node).unwrap_or(false),
            "bom" => self.bom = problems.flag(node).unwrap_or(false),
            "bytes" => self.bytes = problems.size(node).map(|size| (size as usize).max(1)),
            "every" => self.every = problems.duration(node).unwrap_or_default(),
            _ => return false,
        }
        true
    }
}

impl Canned {
    fn member(&mut self, entry: &Entry, problems: &mut Problems) -> bool {
        let node = &entry.value;
        match entry.key.as_str() {
            "status" => self.status = status(node, problems).unwrap_or(200),
            "headers" => self.headers.extend(headers(node, problems)),
            "body" => self.body = node.to_json(),
            "redirect" => {
                self.headers.extend(problems.text(node).map(|url| ("Location".to_owned(), url)));
                if self.status == 200 {
                    self.status = 307;
                }
            }
            _ => return false,
        }
        true
    }
}

fn status(node: &Node, problems: &mut Problems) -> Option<u16> {
    let status = problems.number(node)?;
    if !(200..=599).contains(&status) {
        problems.add(node.place, "expected a status from 200 to 599");
        return None;
    }
    u16::try_from(status).ok()
}

fn fault(node: &Node, style: &Style, problems: &mut Problems) -> Option<Fault> {
    const PLACES: &[(&str, Place)] = &[
        ("unread", Place::Unread),
        ("unanswered", Place::Unanswered),
        ("head", Place::Head),
        ("before", Place::Before),
        ("middle", Place::Middle),
        ("after", Place::After),
    ];
    const CLOSES: &[(&str, Place)] =
        &[("head", Place::Head), ("before", Place::Before), ("middle", Place::Middle)];
    let mut fault = Fault {
        on: "any".into(),
        name: None,
        calls: Calls::All,
        delay: Duration::ZERO,
        headers: Vec::new(),
        act: Act::Nothing,
        style: None,
    };
    let mut canned: Option<Canned> = None;
    let mut own_style = style.clone();
    for entry in problems.map(node) {
        let value = &entry.value;
        match entry.key.as_str() {
            "on" => fault.on = problems.text(value)?,
            "name" => fault.name = problems.text(value),
            "calls" => fault.calls = calls(value, problems),
            "delay" => fault.delay = problems.duration(value)?,
            "headers" => fault.headers = headers(value, problems),
            "status" | "body" | "redirect" => {
                let canned = canned.get_or_insert_with(|| Canned {
                    status: 200,
                    headers: Vec::new(),
                    body: Value::Null,
                });
                canned.member(entry, problems);
            }
            "drop" => {
                let place = problems.choice(value, PLACES)?;
                fault.act = Act::Cut(Cut { place, clean: false });
            }
            "close" => {
                let place = problems.choice(value, CLOSES)?;
                fault.act = Act::Cut(Cut { place, clean: true });
            }
            "content_type" => fault.act = Act::ContentType(problems.text(value)?),
            "id" => fault.act = Act::Id(value.to_json()),
            "endless" => fault.act = problems.switch(value).map(|()| Act::Endless)?,
            "huge" => fault.act = Act::Huge(problems.size(value)?),
            "bomb" => fault.act = Act::Bomb(problems.size(value)?),
            _ if own_style.member(entry, problems) => fault.style = Some(own_style.clone()),
            _ => problems.unknown(entry, &[FAULT_KEYS, STYLE_KEYS].concat()),
        }
    }
    if let Some(mut canned) = canned {
        canned.headers.append(&mut fault.headers);
        fault.act = Act::Answer(canned);
    }
    Some(fault)
}

/// Reads `calls`: one number, or a list; the word `all`.
fn calls(node: &Node, problems: &mut Problems) -> Calls {
    match &node.kind {
        Kind::List(numbers) => {
            Calls::These(numbers.iter().filter_map(|number| problems.number(number)).collect())
        }
        Kind::Scalar { text, .. } if text == "all" => Calls::All,
        _ => Calls::These(problems.number(node).into_iter().collect()),
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

/// The body of a JSON-RPC error that answers no request in particular.
pub(super) fn error_body(id: Option<&str>, code: i32, message: &str, data: Option<Value>) -> String {
    let mut error = Map::new();
    error.insert("code".into(), json!(code));
    error.insert("message".into(), json!(message));
    if let Some(data) = data {
        error.insert("data".into(), data);
    }
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{}}}"#, id.unwrap_or("null"), Value::Object(error))
}
