//! How every server is, computed once and only rendered elsewhere: level, state, cause, remedy.
//!
//! In comes the registry; out go [`Report`]s, and the text of our own tool `switchboard__status`. It changes nothing.

mod work;

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::backend::{Backend, State, Tallies};
use crate::catalog::{Catalog, Counts, Note};
use crate::config::{Entry, Profile, Severity};
use crate::failure::Failure;
use crate::interceptor::HookTallies;
use crate::pipeline::{CacheTallies, Lane, Trouble};
use crate::registry::{Registry, Snapshot};
use crate::wire::json as raw;
use crate::wire::time::rfc3339;

pub use work::Work;

/// How many notes on definitions a model is made to read.
const SHOWN_NOTES: usize = 20;

/// The name of our own tool.
pub const STATUS_TOOL: &str = "switchboard__status";

/// How well a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Its tools can be called.
    Healthy,
    /// They can be called, but something is not as it should be.
    Degraded,
    /// They cannot be called.
    Unhealthy,
    /// Its owner switched it off.
    Disabled,
}

impl Level {
    /// One word for tables.
    pub fn word(self) -> &'static str {
        match self {
            Level::Healthy => "healthy",
            Level::Degraded => "degraded",
            Level::Unhealthy => "unhealthy",
            Level::Disabled => "disabled",
        }
    }
}

/// How one server is.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its name in the config.
    pub server: String,
    /// How well it is.
    pub level: Level,
    /// What it is doing, in one word.
    pub state: &'static str,
    /// What is wrong, and what mends it.
    pub failure: Option<Failure>,
    /// How many tools, prompts, resources and templates of it are shown.
    pub shown: Counts,
    /// Definitions that were repaired or held back, changed, or look dishonest.
    pub notes: Vec<String>,
    /// What happened since we run.
    pub tallies: Tallies,
    /// What became of calls whose answers may be kept; `None` if none are.
    pub cache: Option<CacheTallies>,
    /// The last lines on its stderr.
    pub last_words: Vec<String>,
    /// The process, if it runs.
    pub pid: Option<u32>,
    /// When it was what.
    pub times: Times,
    /// What it has to do now, and how quickly it does it.
    pub work: Work,
    /// How each of its instances is, if there are several.
    pub instances: Vec<Instance>,
}

/// How one of several instances of a server is.
#[derive(Clone, Debug)]
pub struct Instance {
    /// How well it is.
    pub level: Level,
    /// What it is doing, in one word.
    pub state: &'static str,
    /// What is wrong, and what mends it.
    pub failure: Option<Failure>,
    /// What happened since we run.
    pub tallies: Tallies,
    /// The process, if it runs.
    pub pid: Option<u32>,
    /// When it was what.
    pub times: Times,
}

/// When a server was what, and how long it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// Since when it is in its state; `None` for one that is not started at all.
    pub since: Option<SystemTime>,
    /// When it answered anything last, in this run of Switchboard.
    pub last_seen: Option<SystemTime>,
    /// How long the last answer took.
    pub response_time: Option<Duration>,
    /// For how long it has been ready.
    pub uptime: Option<Duration>,
}

impl Times {
    /// The monotonic clock of the rooms, in the hours of people.
    fn of(backend: &Backend, trouble: Option<&Trouble>) -> Self {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let at = |then: Instant| wall.checked_sub(now.saturating_duration_since(then)).unwrap_or(wall);
        let pulse = backend.pulse();
        Self {
            since: Some(at(trouble.map_or_else(|| backend.since(), |trouble| trouble.since))),
            last_seen: pulse.last.map(at),
            response_time: pulse.last.map(|_| pulse.last_took),
            uptime: match backend.state() {
                State::Ready { since, .. } => Some(now.saturating_duration_since(since)),
                _ => None,
            },
        }
    }
}

/// The reports on all servers, in config order, but for those that the profile in force leaves out.
pub fn reports(registry: &Registry) -> Vec<Report> {
    let now = registry.now();
    let entries = now.servers.entries().iter().filter(|entry| !matches!(entry, Entry::LeftOut { .. }));
    entries.map(|entry| report(registry, &now, entry)).collect()
}

fn report(registry: &Registry, now: &Snapshot, entry: &Entry) -> Report {
    let mut report = Report {
        server: entry.name().to_string(),
        level: Level::Unhealthy,
        state: "config-error",
        failure: None,
        shown: Counts::default(),
        notes: Vec::new(),
        tallies: Tallies::default(),
        cache: None,
        last_words: Vec::new(),
        pid: None,
        times: Times::default(),
        work: Work::default(),
        instances: Vec::new(),
    };
    match entry {
        Entry::Disabled { .. } | Entry::LeftOut { .. } => {
            (report.level, report.state) = (Level::Disabled, "disabled");
        }
        Entry::NeedsConfig { problem, .. } => {
            report.state = "needs-config";
            report.failure = Some(problem.failure());
        }
        Entry::Broken { problem, .. } => report.failure = Some(problem.failure()),
        Entry::Ready(config) => {
            if let Some(lane) = now.servers.lane(&config.name) {
                of_lane(&mut report, registry, &now.catalog, lane);
            }
        }
    }
    report
}

fn of_lane(report: &mut Report, registry: &Registry, catalog: &Catalog, lane: &Lane) {
    let backend = lane.backend();
    let is_shown = registry.offering(backend.name()).is_some();
    let troubles = lane.troubles().into_iter();
    let mut instances: Vec<Instance> =
        lane.backends().zip(troubles).map(|(instance, trouble)| one(instance, trouble, is_shown)).collect();
    report.shown = catalog.counts_of(backend.name());
    report.notes = notes(catalog, backend).map(describe).collect();
    report.last_words =
        lane.backends().map(|one| one.last_words(5)).find(|words| !words.is_empty()).unwrap_or_default();
    report.tallies = instances.iter().fold(Tallies::default(), |sum, one| sum.and(one.tallies));
    let best = instances.iter().min_by_key(|one| one.level);
    let Some(best) = best.cloned() else { return };
    (report.level, report.state, report.pid, report.times) = (best.level, best.state, best.pid, best.times);
    report.failure = instances.iter().find_map(|one| one.failure.clone());
    let all_well = instances.iter().all(|one| one.level == Level::Healthy);
    report.cache = lane.cache();
    report.work = Work::of(registry, lane);
    let holds_back = notes(catalog, backend).any(Note::is_held);
    if report.level == Level::Healthy && (!all_well || holds_back && matches!(report.state, "ready" | "idle"))
    {
        report.level = Level::Degraded;
    }
    if instances.len() > 1 {
        std::mem::swap(&mut report.instances, &mut instances);
    }
}

/// How an instance is. `is_shown` says that its server's lists are known.
fn one(backend: &Backend, trouble: Option<Trouble>, is_shown: bool) -> Instance {
    let state = backend.state();
    let wants_login = backend.wants_login();
    let level = match state {
        State::Ready { .. } if wants_login.is_some() => Level::Unhealthy,
        State::Ready { .. } | State::Idle if trouble.as_ref().is_some_and(|trouble| trouble.refuses) => {
            Level::Unhealthy
        }
        State::Ready { .. } | State::Idle if trouble.is_some() => Level::Degraded,
        State::Ready { .. } | State::Idle => Level::Healthy,
        State::Starting { .. } if is_shown => Level::Healthy,
        State::Starting { .. } | State::Waiting { .. } => Level::Degraded,
        State::CrashLooped { .. } | State::Failed { .. } | State::NeedsLogin { .. } | State::Ended => {
            Level::Unhealthy
        }
    };
    let mut one = Instance {
        level,
        state: if wants_login.is_some() { "needs-login" } else { state.word() },
        failure: state.failure().cloned().or(wants_login),
        tallies: backend.tallies(),
        pid: match state {
            State::Ready { pid, .. } => pid,
            _ => None,
        },
        times: Times::of(backend, None),
    };
    if let (None, Some(trouble)) = (&one.failure, trouble) {
        one.times = Times::of(backend, Some(&trouble));
        (one.state, one.failure) = (trouble.word, Some(trouble.failure));
    }
    one
}

fn notes<'a>(catalog: &'a Catalog, backend: &'a Backend) -> impl Iterator<Item = &'a Note> {
    catalog.notes().iter().filter(|note| note.server == *backend.name())
}

/// Which definition a note is about, and what was done.
fn describe(note: &Note) -> String {
    let original: String = note.original.chars().take(64).collect();
    format!("{}: {}", note.kind.title(&original), note.text)
}

// === our own tool ===

/// Whether a tool call is for us.
pub fn is_ours(name: &str) -> bool {
    name == STATUS_TOOL
}

/// The definition of our own tool, kept short: every client pays for it in every conversation.
pub fn tool_definition() -> Vec<u8> {
    let definition = json!({
        "name": STATUS_TOOL,
        "title": "Switchboard status",
        "description": "State of the MCP servers behind Switchboard: what is down, why, and what mends it. Call it when a tool is missing or fails.",
        "inputSchema": {
            "type": "object",
            "properties": { "server": { "type": "string", "description": "Details of one server" } }
        },
        "annotations": { "readOnlyHint": true, "openWorldHint": false }
    });
    serde_json::to_vec(&definition).unwrap_or_default()
}

/// The result of our own tool, as JSON text, for the holder of this token: who is served by a profile hears of its servers alone.
pub fn tool_result(registry: &Registry, arguments: &[u8], token: Option<&str>) -> Vec<u8> {
    let server = raw::get(arguments, "server").and_then(|span| raw::string(span.of(arguments)));
    let now = registry.now();
    let selection = now.servers.selection(token);
    let mut reports = reports(registry);
    if let Some(profile) = selection {
        reports.retain(|report| now.servers.is_selected(profile, &report.server));
        for report in &mut reports {
            let tools = now.catalog.tools().iter();
            let of_server = tools.filter(|tool| tool.server.as_str() == report.server);
            report.shown.tools = of_server.filter(|tool| profile.shows_tool(tool.exposed.as_str())).count();
        }
    }
    let overview = || overview_of(registry, &reports, selection.map(|profile| &**profile));
    let text = match server {
        Some(server) => match reports.iter().find(|report| report.server == *server) {
            Some(report) => details(registry, report),
            None => {
                let server: String = server.chars().take(200).collect();
                format!("There is no server `{server}`.\n{}", overview())
            }
        },
        None => overview(),
    };
    let mut result = br#"{"content":[{"type":"text","text":"#.to_vec();
    raw::push_string(&mut result, &text);
    result.extend_from_slice(b"}]}");
    result
}

/// A few lines: one for the whole, one per problem of the config, one per server.
pub fn overview(registry: &Registry) -> String {
    overview_of(registry, &reports(registry), None)
}

/// The same of these servers; of the whole, what concerns somebody with such a profile.
fn overview_of(registry: &Registry, reports: &[Report], selection: Option<&Profile>) -> String {
    let usable = reports.iter().filter(|report| report.level <= Level::Degraded).count();
    let counted = reports.iter().filter(|report| report.level != Level::Disabled).count();
    let tools: usize = reports.iter().map(|report| report.shown.tools).sum();
    let mut text = format!(
        "Switchboard {}: {usable} of {counted} servers usable, {tools} tools",
        env!("CARGO_PKG_VERSION"),
    );
    let servers = registry.servers();
    if let Some(profile) = selection.or(servers.config().profile.as_deref()) {
        text.push_str(&format!(", profile `{}`", profile.name));
    }
    for problem in registry.refused() {
        text.push_str(&format!("\nconfig file: {}; what was in force before stays", problem.failure()));
    }
    for problem in registry.servers().problems() {
        if problem.server.is_none() && (problem.severity == Severity::Error || reports.is_empty()) {
            text.push_str(&format!("\nconfig: {}", problem.failure()));
        }
    }
    text.extend(registry.audit_trouble().map(|trouble| format!("\n{trouble}")));
    if let Some(policies) = registry.policies() {
        text.push('\n');
        text.push_str(&policies.line());
    }
    if reports.is_empty() {
        text.push_str(match registry.servers().entries().is_empty() {
            true => "\nNo servers are configured. `switchboard config path` shows where the config belongs.",
            false => "\nThe profile has none of the servers of the config.",
        });
    }
    for report in reports {
        text.push('\n');
        text.push_str(&line(report));
    }
    for HookTallies { name, asked, denied, failed } in registry.interceptors() {
        text.push_str(&format!(
            "\ninterceptor {name}: asked {asked} times, refused {denied}, failed {failed}"
        ));
    }
    text
}

/// One line about one server.
pub fn line(report: &Report) -> String {
    let mut line = format!("{}: {}", report.server, report.state);
    let shown = report.shown;
    if shown != Counts::default() || report.level == Level::Healthy {
        line.push_str(&format!(" · {} tools", shown.tools));
    }
    if !report.notes.is_empty() {
        line.push_str(&format!(" · {} notes on definitions", report.notes.len()));
    }
    if !report.instances.is_empty() {
        let usable = report.instances.iter().filter(|one| one.level <= Level::Degraded).count();
        line.push_str(&format!(" · {usable} of {} instances usable", report.instances.len()));
    }
    if report.tallies.noise > 0 {
        line.push_str(&format!(" · {} lines of noise on stdout", report.tallies.noise));
    }
    if let (Some(since), true) = (report.times.since, report.level > Level::Healthy) {
        line.push_str(&format!(" · since {}", rfc3339(since)));
    }
    if let Some(failure) = &report.failure {
        line.push_str(" · ");
        line.push_str(&Failure { server: None, ..failure.clone() }.to_string());
    }
    line
}

fn details(registry: &Registry, report: &Report) -> String {
    let mut text = line(report);
    let Tallies { calls, failures, starts, .. } = report.tallies;
    text.push_str(&format!(
        "\n{} prompts, {} resources, {} templates; {calls} calls, {failures} without an answer, {starts} starts",
        report.shown.prompts, report.shown.resources, report.shown.templates
    ));
    for (index, one) in report.instances.iter().enumerate() {
        let Tallies { calls, failures, starts, .. } = one.tallies;
        text.push_str(&format!(
            "\ninstance {}: {} · {calls} calls, {failures} without an answer, {starts} starts",
            index + 1,
            one.state
        ));
        if let Some(failure) = &one.failure {
            text.push_str(&format!(" · {}", Failure { server: None, ..failure.clone() }));
        }
    }
    if let Some(CacheTallies { hits, misses, answers, bytes }) = report.cache {
        let calls = hits + misses;
        text.push_str(&format!(
            "\ncache: {hits} of {calls} calls answered without the server; {answers} answers kept, {bytes} bytes"
        ));
    }
    for note in report.notes.iter().take(SHOWN_NOTES) {
        text.push_str(&format!("\n- {note}"));
    }
    if report.notes.len() > SHOWN_NOTES {
        text.push_str(&format!("\n- and {} more", report.notes.len() - SHOWN_NOTES));
    }
    if !report.last_words.is_empty() {
        text.push_str(&format!("\nlast lines on stderr:\n{}", report.last_words.join("\n")));
    }
    if let Some(path) = registry.log_path(&report.server.as_str().into()) {
        text.push_str(&format!("\nlog: {}", path.display()));
    }
    text
}

/// A report as JSON, for `--json`.
pub fn to_json(report: &Report) -> Value {
    let mut object = Map::new();
    object.insert("server".into(), report.server.clone().into());
    object.insert("level".into(), report.level.word().into());
    object.insert("state".into(), report.state.into());
    object.insert("tools".into(), report.shown.tools.into());
    object.insert("prompts".into(), report.shown.prompts.into());
    object.insert("resources".into(), report.shown.resources.into());
    object.insert("templates".into(), report.shown.templates.into());
    object.insert("notes".into(), report.notes.clone().into());
    object.insert("noise".into(), report.tallies.noise.into());
    object.insert("starts".into(), report.tallies.starts.into());
    object.insert("pid".into(), report.pid.into());
    object.insert("calls".into(), report.tallies.calls.into());
    object.insert("failures".into(), report.tallies.failures.into());
    let Times { since, last_seen, response_time, uptime } = report.times;
    object.insert("since".into(), since.map(rfc3339).into());
    object.insert("last_seen".into(), last_seen.map(rfc3339).into());
    object.insert("response_time".into(), response_time.map(|time| time.as_secs_f64()).into());
    object.insert("uptime".into(), uptime.map(|time| time.as_secs_f64()).into());
    let cache = report.cache.map(|cache| {
        let CacheTallies { hits, misses, answers, bytes } = cache;
        json!({ "hits": hits, "misses": misses, "answers": answers, "bytes": bytes })
    });
    object.insert("work".into(), report.work.to_json());
    object.insert("cache".into(), cache.unwrap_or(Value::Null));
    object.insert("failure".into(), failure_json(report.failure.as_ref()));
    if !report.instances.is_empty() {
        let instance = |one: &Instance| {
            json!({
                "level": one.level.word(), "state": one.state, "calls": one.tallies.calls, "starts": one.tallies.starts,
                "pid": one.pid, "failure": failure_json(one.failure.as_ref()),
            })
        };
        object.insert("instances".into(), report.instances.iter().map(instance).collect());
    }
    object.insert("stderr".into(), report.last_words.clone().into());
    Value::Object(object)
}

fn failure_json(failure: Option<&Failure>) -> Value {
    failure.map_or(
        Value::Null,
        |failure| json!({ "code": failure.code.id(), "cause": failure.cause, "remedy": failure.remedy }),
    )
}
