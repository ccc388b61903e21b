//! Reads the `http` section of a script.

use std::time::Duration;

use serde_json::Value;

use super::settings::{Act, Calls, Canned, Cut, Fault, Place, Settings, Shape, Style};
use crate::mock::node::{Entry, Kind, Node};
use crate::mock::problems::Problems;

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
