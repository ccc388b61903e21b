//! Reads a [`Script`] out of its tree. Nothing here runs anything; everything that is wrong is noted and reading
//! goes on.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::reading::settings;
use super::items::items;
use super::node::{Kind, Node};
use super::problems::{Problem, Problems, ScriptError};
use super::revision::{LEGACY, MODERN, Revisions, is_revision};
use super::script::{Cache, Completion, Cursor, Eof, Grandchild, Pages, Plan, Script, ServerInfo, Signal};
use super::step::Reaction;
use super::steps::{Moment, reaction};

const TOP_KEYS: &[&str] = &[
    "server",
    "revisions",
    "cache",
    "http",
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
                    let times = run.member("times").and_then(|node| problems.number(node)).unwrap_or(1);
                    let plan = Arc::new(plan(&root.merged(&run.without("times")), &mut problems));
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

fn plan(root: &Node, problems: &mut Problems) -> Plan {
    let mut plan = Plan::default();
    for entry in problems.map(root) {
        let node = &entry.value;
        match entry.key.as_str() {
            "server" => plan.server = server(node, problems),
            "revisions" => plan.revisions = revisions(node, problems),
            "cache" => plan.cache = cache(node, problems),
            "http" => plan.http = settings(node, problems),
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
    const KEYS: &[&str] =
        &["name", "version", "title", "instructions", "capabilities", "protocol", "extra", "discover"];
    let mut server = ServerInfo::default();
    for entry in problems.map(node) {
        let node = &entry.value;
        match entry.key.as_str() {
            "name" => server.name = problems.text(node).unwrap_or_default(),
            "version" => server.version = problems.text(node).unwrap_or_default(),
            "title" => server.title = problems.text(node),
            "instructions" => server.instructions = problems.text(node),
            "capabilities" => server.capabilities = Some(Value::Object(problems.object(node))),
            "protocol" => server.protocol = problems.text(node),
            "extra" => server.extra = problems.object(node),
            "discover" => server.discover = problems.object(node),
            _ => problems.unknown(entry, KEYS),
        }
    }
    server
}

/// Reads `revisions`: one, or a list.
fn revisions(node: &Node, problems: &mut Problems) -> Revisions {
    let revisions = problems.texts(node);
    if let Some(wrong) = revisions.iter().find(|revision| !is_revision(revision)) {
        let known = LEGACY.iter().chain([&MODERN]).copied().collect::<Vec<_>>().join(", ");
        let help = Some(format!("known are {known}"));
        problems.add_with_help(node.place, format!("`{wrong}` is no revision of the form 2025-11-25"), help);
    }
    Revisions::of(revisions)
}

/// Reads `cache`. Numbers and texts that are wrong on purpose stay as they are; null leaves a member out.
fn cache(node: &Node, problems: &mut Problems) -> Cache {
    let mut cache = Cache::default();
    for entry in problems.map(node) {
        let value = entry.value.to_json();
        match entry.key.as_str() {
            "ttl" => {
                cache.ttl = match value {
                    Value::Null => None,
                    Value::String(_) => {
                        problems.duration(&entry.value).map(|ttl| json!(ttl.as_millis() as u64))
                    }
                    other => Some(other),
                }
            }
            "scope" => cache.scope = (!value.is_null()).then_some(value),
            _ => problems.unknown(entry, &["ttl", "scope"]),
        }
    }
    cache
}

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
        "first",
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
            key @ ("first" | "initialize" | "list" | "ping" | "unknown") => (key, Moment::Request),
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
