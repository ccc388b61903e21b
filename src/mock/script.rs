//! What a script means: a [`Plan`] per start of the server, made of things to show and reactions to moments.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::http::settings::Settings;
use super::revision::Revisions;
use super::step::Reaction;

/// A script that was read and checked.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) base: Arc<Plan>,
    /// What the first starts do instead of `base`, one plan per start.
    pub(super) runs: Vec<Arc<Plan>>,
    /// The file that counts the starts; a template.
    pub(super) state: Option<String>,
}

impl Script {
    /// What the server does on its `start`th start, counted from 1.
    pub(super) fn plan(&self, start: u64) -> Arc<Plan> {
        let at = usize::try_from(start.saturating_sub(1)).unwrap_or(usize::MAX);
        self.runs.get(at).unwrap_or(&self.base).clone()
    }
}

/// Everything the server is and does between one start and its end.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) server: ServerInfo,
    pub(super) revisions: Revisions,
    pub(super) cache: Cache,
    pub(super) http: Settings,
    pub(super) tools: Vec<Item>,
    pub(super) prompts: Vec<Item>,
    pub(super) resources: Vec<Item>,
    pub(super) templates: Vec<Item>,
    pub(super) completions: Vec<Completion>,
    pub(super) pages: Pages,
    /// Reactions by method, or by `start`, `first`, `list`, `unknown`.
    pub(super) on: HashMap<String, Arc<Reaction>>,
    pub(super) eof: Eof,
    pub(super) signals: Vec<(Signal, Option<Arc<Reaction>>)>,
    /// One call at a time.
    pub(super) serial: bool,
    /// Every received line goes to this file; a template.
    pub(super) record: Option<String>,
    /// Pid, environment and the like go to this file on start; a template.
    pub(super) record_process: Option<String>,
    pub(super) children: Vec<Grandchild>,
}

impl Plan {
    /// Whether any tool can be called as a task.
    pub(super) fn has_tasks(&self) -> bool {
        self.tools.iter().any(|tool| tool.task.is_some())
    }
}

/// The `server` block.
#[derive(Debug)]
pub(super) struct ServerInfo {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) title: Option<String>,
    pub(super) instructions: Option<String>,
    /// Laid over the capabilities that follow from the script.
    pub(super) capabilities: Option<Value>,
    /// The revision to answer whatever is asked.
    pub(super) protocol: Option<String>,
    /// Members of the initialize result; null removes one.
    pub(super) extra: Map<String, Value>,
    /// Members of the result of `server/discover`; null removes one.
    pub(super) discover: Map<String, Value>,
}

impl ServerInfo {
    /// Who the server says it is; none where the script keeps it quiet.
    pub(super) fn info(&self) -> Option<Value> {
        if let Some(own) = self.extra.get("serverInfo") {
            return (!own.is_null()).then(|| own.clone());
        }
        let mut info = Map::new();
        info.insert("name".into(), json!(self.name));
        if let Some(title) = &self.title {
            info.insert("title".into(), json!(title));
        }
        info.insert("version".into(), json!(self.version));
        Some(Value::Object(info))
    }
}

/// How long modern clients may keep lists, resources and the result of `server/discover`. Both members may be wrong on
/// purpose; none leaves one out.
#[derive(Debug)]
pub(super) struct Cache {
    /// Milliseconds.
    pub(super) ttl: Option<Value>,
    pub(super) scope: Option<Value>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { ttl: Some(json!(0)), scope: Some(json!("private")) }
    }
}

impl Default for ServerInfo {
    fn default() -> Self {
        Self {
            name: "mock".into(),
            version: "1.0.0".into(),
            title: None,
            instructions: None,
            capabilities: None,
            protocol: None,
            extra: Map::new(),
            discover: Map::new(),
        }
    }
}

/// A tool, prompt, resource or resource template.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Tool or prompt name, URI or URI template.
    pub(super) name: String,
    /// The definition as a list shows it.
    pub(super) definition: Value,
    /// The capabilities that a modern caller must declare.
    pub(super) needs: Option<Value>,
    /// How a call becomes a task; none means never.
    pub(super) task: Option<TaskPlan>,
    /// What the first calls do, one reaction per call.
    pub(super) calls: Vec<Arc<Reaction>>,
    /// What every later call does.
    pub(super) then: Arc<Reaction>,
}

impl Item {
    /// What the `call`th call does, counted from 1.
    pub(super) fn reaction(&self, call: u64) -> Arc<Reaction> {
        let at = usize::try_from(call.saturating_sub(1)).unwrap_or(usize::MAX);
        self.calls.get(at).unwrap_or(&self.then).clone()
    }
}

/// How calls of a tool become tasks.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskPlan {
    /// What clients are told about asking how it goes.
    pub(super) poll: Option<Duration>,
    /// How long a task is kept; none means as long as the client wants.
    pub(super) ttl: Option<Duration>,
    /// Whether the tool cannot be called in another way.
    pub(super) required: bool,
    /// Whether an older client is asked at once, instead of where it waits for the result.
    pub(super) direct: bool,
}

/// The values that `completion/complete` offers for the arguments of one prompt or template.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) of: String,
    pub(super) arguments: Vec<(String, Vec<String>)>,
}

/// How lists are cut into pages.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Items per page; none means one page.
    pub(super) size: Option<usize>,
    pub(super) cursor: Cursor,
}

/// What follows the last page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cursor {
    /// Nothing, as it should be.
    #[default]
    Plain,
    /// The first page again.
    Loop,
    /// Every page names the same next cursor.
    Same,
    /// Every page names a new cursor and is the first page again.
    Endless,
}

/// What the end of stdin does.
#[derive(Clone, Debug, Default)]
pub(super) enum Eof {
    /// Flush what was answered and end.
    #[default]
    Exit,
    /// Finish the running calls first.
    Finish,
    /// Stay.
    Ignore,
    /// Do this, then end.
    React(Arc<Reaction>),
}

/// A signal that a script can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGKILL`.
    Kill,
    /// `SIGSEGV`.
    Segv,
    /// `SIGABRT`.
    Abort,
    /// `SIGBUS`.
    Bus,
    /// `SIGTERM`.
    Term,
    /// `SIGINT`.
    Int,
    /// `SIGHUP`.
    Hup,
}

impl Signal {
    /// The names that a script may write, with or without `SIG`.
    pub(super) const NAMES: &[(&str, Signal)] = &[
        ("SIGKILL", Signal::Kill),
        ("SIGSEGV", Signal::Segv),
        ("SIGABRT", Signal::Abort),
        ("SIGBUS", Signal::Bus),
        ("SIGTERM", Signal::Term),
        ("SIGINT", Signal::Int),
        ("SIGHUP", Signal::Hup),
    ];
}

/// A sleeping process that the server starts before anything else.
#[derive(Clone, Debug)]
#[cfg_attr(not(unix), allow(dead_code, reason = "only Unix starts them"))]
pub(super) struct Grandchild {
    pub(super) name: String,
    pub(super) ignore_term: bool,
    pub(super) setsid: bool,
    pub(super) keep_stdin: bool,
    pub(super) keep_stdout: bool,
    pub(super) keep_stderr: bool,
    /// How long it lives when nobody ends it.
    pub(super) lifetime: Duration,
}

/// The lists that a server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum List {
    Tools,
    Prompts,
    Resources,
    Templates,
}

impl List {
    /// The member of a list result that holds the items.
    pub(super) fn member(self) -> &'static str {
        match self {
            List::Tools => "tools",
            List::Prompts => "prompts",
            List::Resources => "resources",
            List::Templates => "resourceTemplates",
        }
    }

    /// The notification that says the list changed.
    pub(super) fn changed(self) -> &'static str {
        match self {
            List::Tools => "notifications/tools/list_changed",
            List::Prompts => "notifications/prompts/list_changed",
            List::Resources | List::Templates => "notifications/resources/list_changed",
        }
    }
}
