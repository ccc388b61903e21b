//! Reads a [`Script`] out of its tree. Nothing here runs anything; everything that is wrong is noted and reading
//! goes on.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::node::{Entry, Kind, Node};
use super::problems::{Problem, Problems, ScriptError};
use super::script::{
    Answer, Completion, Cursor, Eof, Grandchild, Item, Pages, Plan, Reaction, Script, ServerInfo, Signal,
    Step,
};
use super::steps::{Moment, STEP_KEYS, default_answer, reaction, reaction_of, settle};

const TOP_KEYS: &[&str] = &[
    "server",
    "tools",
    "prompts",
    "resources",
    "templates",
    "completions",
    "pages",
    "on",
    "runs",
    "state",
    "serial",
    "record",
    "record_process",
    "children",
];

/// How long a grandchild sleeps when nobody ends it, so that a forgotten one does not stay for ever.
const GRANDCHILD_LIFETIME: Duration = Duration::from_secs(600);

/// Reads a script.
pub(super) fn script(text: &str) -> Result<Script, ScriptError> {
    let root = Node::read(text)
        .map_err(|(place, message)| ScriptError { problems: vec![Problem { place, message, help: None }] })?;
    let mut problems = Problems::default();
    let mut script = Script { base: Arc::default(), runs: Vec::new(), state: None };
    for entry in problems.map(&root) {
        match entry.key.as_str() {
            "state" => script.state = problems.text(&entry.value),
            "runs" => {
                for run in problems.list(&entry.value) {
                    let times = take(run, "times").and_then(|node| problems.number(node)).unwrap_or(1);
                    let plan = Arc::new(plan(&root.merged(&without(run, "times")), &mut problems));
                    script.runs.extend((0..times.min(1000)).map(|_| Arc::clone(&plan)));
                }
            }
            _ => {}
        }
    }
    script.base = Arc::new(plan(&root, &mut problems));
    if !script.runs.is_empty() && script.state.is_none() {
        problems.add(root.place, "`runs` needs `state`, the file that counts the starts");
    }
    problems.finish(script)
}

fn take<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.kind {
        Kind::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
        _ => None,
    }
}

fn without(node: &Node, key: &str) -> Node {
    match &node.kind {
        Kind::Map(entries) => Node {
            place: node.place,
            kind: Kind::Map(entries.iter().filter(|entry| entry.key != key).cloned().collect()),
        },
        _ => node.clone(),
    }
}

fn plan(root: &Node, problems: &mut Problems) -> Plan {
    let mut plan = Plan::default();
    for entry in problems.map(root) {
        let node = &entry.value;
        match entry.key.as_str() {
            "server" => plan.server = server(node, problems),
            "tools" => plan.tools = items(node, "name", Moment::Tool, problems),
            "prompts" => plan.prompts = items(node, "name", Moment::Prompt, problems),
            "resources" => plan.resources = items(node, "uri", Moment::Resource, problems),
            "templates" => plan.templates = items(node, "uri", Moment::Resource, problems),
            "completions" => plan.completions = completions(node, problems),
            "pages" => plan.pages = pages(node, problems),
            "on" => moments(node, &mut plan, problems),
            "serial" => plan.serial = problems.flag(node).unwrap_or(false),
            "record" => plan.record = problems.text(node),
            "record_process" => plan.record_process = problems.text(node),
            "children" => plan.children = children(node, problems),
            "runs" | "state" => {}
            _ => problems.unknown(entry, TOP_KEYS),
        }
    }
    plan
}

fn server(node: &Node, problems: &mut Problems) -> ServerInfo {
    const KEYS: &[&str] = &["name", "version", "title", "instructions", "capabilities", "protocol", "extra"];
    let mut server = ServerInfo::default();
    for entry in problems.map(node) {
        let node = &entry.value;
        match entry.key.as_str() {
            "name" => server.name = problems.text(node).unwrap_or_default(),
            "version" => server.version = problems.text(node).unwrap_or_default(),
            "title" => server.title = problems.text(node),
            "instructions" => server.instructions = problems.text(node),
            "capabilities" => server.capabilities = Some(Value::Object(object(node, problems))),
            "protocol" => server.protocol = problems.text(node),
            "extra" => server.extra = object(node, problems),
            _ => problems.unknown(entry, KEYS),
        }
    }
    server
}

fn object(node: &Node, problems: &mut Problems) -> Map<String, Value> {
    problems.map(node).iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
}

// === Tools, prompts, resources ===

/// Reads a map of items by name, or a list of items that carry their name under `key`.
fn items(node: &Node, key: &'static str, moment: Moment, problems: &mut Problems) -> Vec<Item> {
    let mut all = Vec::new();
    match &node.kind {
        Kind::List(list) => {
            for node in list {
                match (&node.kind, take(node, key)) {
                    (Kind::Scalar { text, .. }, _) => {
                        let nothing = Node { place: node.place, kind: Kind::Null };
                        all.extend(item(text.clone(), &nothing, moment, problems));
                    }
                    (_, Some(name)) => {
                        let name = problems.text(name).unwrap_or_default();
                        all.extend(item(name, &without(node, key), moment, problems));
                    }
                    (_, None) => problems.add(node.place, format!("`{key}` is missing")),
                }
            }
        }
        _ => {
            for entry in problems.map(node) {
                all.extend(item(entry.key.clone(), &entry.value, moment, problems));
            }
        }
    }
    all
}

/// One item, or several where it is copied.
fn item(name: String, node: &Node, moment: Moment, problems: &mut Problems) -> Vec<Item> {
    // A text alone is the answer.
    let entries = match &node.kind {
        Kind::Scalar { .. } => {
            &[Entry { key: "answer".into(), place: node.place, value: node.clone() }][..].to_vec()
        }
        Kind::Map(entries) => entries,
        _ => &problems.map(node).to_vec(),
    };
    let mut draft = Draft::new(&name, moment);
    for entry in entries {
        draft.member(entry, problems);
    }
    let then = reaction_of(entries, moment, problems);
    draft.finish(name, then)
}

/// An item while its members are read.
struct Draft {
    moment: Moment,
    definition: Map<String, Value>,
    extra: Map<String, Value>,
    /// Each with how often it stands.
    calls: Vec<(Reaction, u64)>,
    copies: Option<u64>,
    pad: u64,
    /// What a resource read answers.
    contents: Option<Map<String, Value>>,
    mime_type: Option<String>,
    has_behaviour: bool,
}

impl Draft {
    fn new(name: &str, moment: Moment) -> Self {
        let mut definition = Map::new();
        if moment == Moment::Resource {
            let key = if name.contains('{') { "uriTemplate" } else { "uri" };
            definition.insert(key.into(), json!(name));
        }
        definition.insert("name".into(), json!(name));
        Self {
            moment,
            definition,
            extra: Map::new(),
            calls: Vec::new(),
            copies: None,
            pad: 0,
            contents: None,
            mime_type: None,
            has_behaviour: false,
        }
    }

    fn known(moment: Moment) -> Vec<&'static str> {
        let own: &[&str] = match moment {
            Moment::Tool => &["input_schema", "inputSchema", "output_schema", "outputSchema", "annotations"],
            Moment::Prompt => &["arguments"],
            _ => &["name", "mime_type", "mimeType", "text", "blob"],
        };
        let shared = ["description", "title", "extra", "calls", "copies", "pad"];
        own.iter().copied().chain(shared).chain(STEP_KEYS.iter().copied()).collect()
    }

    fn member(&mut self, entry: &Entry, problems: &mut Problems) {
        let node = &entry.value;
        let moment = self.moment;
        match (entry.key.as_str(), moment) {
            ("description" | "title", _) => self.define(&entry.key, node),
            ("extra", _) => self.extra = object(node, problems),
            ("calls", _) => {
                for call in problems.list(node) {
                    let times = take(call, "times").and_then(|node| problems.number(node)).unwrap_or(1);
                    let reaction = match &call.kind {
                        Kind::Scalar { .. } => {
                            let answer =
                                Entry { key: "answer".into(), place: call.place, value: call.clone() };
                            reaction_of(&[answer], moment, problems)
                        }
                        _ => reaction(&without(call, "times"), moment, problems),
                    };
                    self.calls.push((reaction, times.min(100_000)));
                }
            }
            ("copies", _) => self.copies = problems.number(node),
            ("pad", _) => self.pad = problems.size(node).unwrap_or_default(),
            ("input_schema" | "inputSchema", Moment::Tool) => self.define("inputSchema", node),
            ("output_schema" | "outputSchema", Moment::Tool) => self.define("outputSchema", node),
            ("annotations", Moment::Tool) => self.define("annotations", node),
            ("arguments", Moment::Prompt) => {
                let arguments = problems.list(node).iter().map(|argument| match argument.to_json() {
                    Value::String(name) => json!({"name": name}),
                    other => other,
                });
                let arguments = arguments.collect();
                self.definition.insert("arguments".into(), Value::Array(arguments));
            }
            ("name", Moment::Resource) => self.define("name", node),
            ("mime_type" | "mimeType", Moment::Resource) => {
                self.mime_type = problems.text(node);
                self.define("mimeType", node);
            }
            ("text" | "blob", Moment::Resource) => {
                let text = problems.text(node).unwrap_or_default();
                let contents = self.contents.get_or_insert_with(Map::new);
                contents.insert("uri".into(), json!("{{mock.target}}"));
                contents.insert(entry.key.clone(), json!(text));
            }
            (key, _) if STEP_KEYS.contains(&key) => {
                self.has_behaviour |= !matches!(key, "delay" | "sleep" | "is_error" | "progress" | "log");
            }
            _ => problems.unknown(entry, &Self::known(moment)),
        }
    }

    fn define(&mut self, key: &str, node: &Node) {
        self.definition.insert(key.to_owned(), node.to_json());
    }

    /// What the item answers where its steps say nothing of their own.
    fn default_answer(&mut self) -> Answer {
        let Some(mut contents) = self.contents.take() else {
            return default_answer(self.moment);
        };
        if let Some(mime_type) = &self.mime_type {
            contents.insert("mimeType".into(), json!(mime_type));
        }
        Answer::Result(json!({"contents": [contents]}))
    }

    fn finish(mut self, name: String, mut then: Reaction) -> Vec<Item> {
        let default = self.default_answer();
        settle(&mut then.steps, &default);
        let mut calls = Vec::new();
        for (mut reaction, times) in std::mem::take(&mut self.calls) {
            settle(&mut reaction.steps, &default);
            let reaction = Arc::new(reaction);
            calls.extend((0..times).map(|_| Arc::clone(&reaction)));
        }
        if self.moment == Moment::Tool && !self.definition.contains_key("inputSchema") {
            let schema = match self.has_behaviour {
                true => json!({"type": "object"}),
                // The default answer speaks of `input`.
                false => json!({
                    "type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]
                }),
            };
            self.definition.insert("inputSchema".into(), schema);
        }
        if self.pad > 0 {
            let described = self.definition.get("description").and_then(Value::as_str).unwrap_or_default();
            let padded = format!("{described}{}", "x".repeat(self.pad as usize));
            self.definition.insert("description".into(), json!(padded));
        }
        // Null in `extra`, or in a schema, leaves the member out.
        for (key, value) in self.extra {
            self.definition.insert(key, value);
        }
        self.definition.retain(|_, value| !value.is_null());
        let then = Arc::new(then);
        let one = |name: String, definition: Map<String, Value>| Item {
            name,
            definition: Value::Object(definition),
            calls: calls.clone(),
            then: Arc::clone(&then),
        };
        match self.copies {
            None => vec![one(name, self.definition)],
            Some(copies) => (1..=copies)
                .map(|copy| {
                    let name = format!("{name}{copy}");
                    let mut definition = self.definition.clone();
                    for key in ["name", "uri"].into_iter().filter(|key| self.definition.contains_key(*key)) {
                        definition.insert(key.into(), json!(name));
                    }
                    one(name, definition)
                })
                .collect(),
        }
    }
}

// === The rest ===

fn completions(node: &Node, problems: &mut Problems) -> Vec<Completion> {
    let mut completions = Vec::new();
    for entry in problems.map(node) {
        let arguments = problems.map(&entry.value);
        let arguments =
            arguments.iter().map(|argument| (argument.key.clone(), problems.texts(&argument.value)));
        completions.push(Completion { of: entry.key.clone(), arguments: arguments.collect() });
    }
    completions
}

fn pages(node: &Node, problems: &mut Problems) -> Pages {
    const CURSORS: &[(&str, Cursor)] = &[
        ("plain", Cursor::Plain),
        ("loop", Cursor::Loop),
        ("same", Cursor::Same),
        ("endless", Cursor::Endless),
    ];
    let mut pages = Pages::default();
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                match entry.key.as_str() {
                    "size" => pages.size = page_size(&entry.value, problems),
                    "cursor" => pages.cursor = problems.choice(&entry.value, CURSORS).unwrap_or_default(),
                    _ => problems.unknown(entry, &["size", "cursor"]),
                }
            }
        }
        _ => pages.size = page_size(node, problems),
    }
    pages
}

fn page_size(node: &Node, problems: &mut Problems) -> Option<usize> {
    let size = problems.number(node)?;
    if size == 0 {
        problems.add(node.place, "a page holds at least one item");
        return None;
    }
    usize::try_from(size).ok()
}

/// Reads `on`. Besides the short words, any method is a moment: a request's reaction can answer, a notification's
/// cannot.
fn moments(node: &Node, plan: &mut Plan, problems: &mut Problems) {
    const WORDS: &[&str] = &[
        "start",
        "initialize",
        "initialized",
        "cancelled",
        "list",
        "call",
        "ping",
        "unknown",
        "eof",
        "term",
        "int",
        "hup",
    ];
    for entry in problems.map(node) {
        let (method, moment) = match entry.key.as_str() {
            "eof" => {
                plan.eof = eof(&entry.value, problems);
                continue;
            }
            "term" => {
                plan.signals.extend(signal(Signal::Term, &entry.value, problems));
                continue;
            }
            "int" => {
                plan.signals.extend(signal(Signal::Int, &entry.value, problems));
                continue;
            }
            "hup" => {
                plan.signals.extend(signal(Signal::Hup, &entry.value, problems));
                continue;
            }
            "start" => ("start", Moment::Event),
            "initialized" => ("notifications/initialized", Moment::Event),
            "cancelled" => ("notifications/cancelled", Moment::Event),
            "call" => ("tools/call", Moment::Request),
            key @ ("initialize" | "list" | "ping" | "unknown") => (key, Moment::Request),
            key if key.starts_with("notifications/") => (key, Moment::Event),
            key if key.contains('/') => (key, Moment::Request),
            _ => {
                problems.unknown(entry, WORDS);
                continue;
            }
        };
        plan.on.insert(method.to_owned(), Arc::new(reaction(&entry.value, moment, problems)));
    }
}

fn is_word(node: &Node, word: &str) -> bool {
    matches!(&node.kind, Kind::Scalar { text, .. } if text == word)
}

fn eof(node: &Node, problems: &mut Problems) -> Eof {
    match &node.kind {
        Kind::Scalar { .. } if is_word(node, "exit") => Eof::Exit,
        Kind::Scalar { .. } if is_word(node, "finish") => Eof::Finish,
        Kind::Scalar { .. } if is_word(node, "ignore") => Eof::Ignore,
        _ => Eof::React(Arc::new(reaction(node, Moment::Event, problems))),
    }
}

fn signal(signal: Signal, node: &Node, problems: &mut Problems) -> Option<(Signal, Option<Arc<Reaction>>)> {
    match &node.kind {
        Kind::Scalar { .. } if is_word(node, "exit") => None,
        Kind::Scalar { .. } if is_word(node, "ignore") => Some((signal, None)),
        _ => Some((signal, Some(Arc::new(reaction(node, Moment::Event, problems))))),
    }
}

fn children(node: &Node, problems: &mut Problems) -> Vec<Grandchild> {
    const KEYS: &[&str] = &["ignore_term", "setsid", "keep_stdin", "keep_stdout", "keep_stderr", "lifetime"];
    let mut children = Vec::new();
    for entry in problems.map(node) {
        let mut child = Grandchild {
            name: entry.key.clone(),
            ignore_term: false,
            setsid: false,
            keep_stdin: false,
            keep_stdout: false,
            keep_stderr: false,
            lifetime: GRANDCHILD_LIFETIME,
        };
        for entry in problems.map(&entry.value) {
            let node = &entry.value;
            match entry.key.as_str() {
                "ignore_term" => child.ignore_term = problems.flag(node).unwrap_or_default(),
                "setsid" => child.setsid = problems.flag(node).unwrap_or_default(),
                "keep_stdin" => child.keep_stdin = problems.flag(node).unwrap_or_default(),
                "keep_stdout" => child.keep_stdout = problems.flag(node).unwrap_or_default(),
                "keep_stderr" => child.keep_stderr = problems.flag(node).unwrap_or_default(),
                "lifetime" => child.lifetime = problems.duration(node).unwrap_or(GRANDCHILD_LIFETIME),
                _ => problems.unknown(entry, KEYS),
            }
        }
        children.push(child);
    }
    children
}
