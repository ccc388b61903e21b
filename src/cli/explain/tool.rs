//! What a tool's name stands for: which server, which own name, and which rules made it what it is.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::stages::{self, Judged, StageLine};
use crate::backend::{Backend, show_duration};
use crate::catalog::Note;
use crate::catalog::naming::{self, Wanted};
use crate::cli::inside::Inside;
use crate::cli::terminal::{Paint, one_line};
use crate::config::{Setting, Settings};
use crate::failure::Failure;
use crate::names::OriginalName;
use crate::policy::Client;
use crate::status;
use crate::wire::json as raw;

/// Everything that can be said about one tool of one server.
pub(super) struct Explanation {
    /// The name that clients see; `None` if it is hidden or held back.
    exposed: Option<String>,
    server: String,
    original: String,
    /// Why it is named so, or not shown: sentences without a period.
    reasons: Vec<String>,
    /// Rules of the config that touch it, with their places.
    rules: Vec<String>,
    /// Where the server's entry stands.
    place: Option<String>,
    state: &'static str,
    failure: Option<Failure>,
    timeouts: Vec<(&'static str, String)>,
    /// What was repaired, or why it is held back.
    notes: Vec<Note>,
    stages: Vec<StageLine>,
    policy: Option<Judged>,
}

/// The tools that somebody may mean by this name: shown ones first, else hidden ones.
pub(super) fn find(inside: &Inside, name: &str, max_name: usize, client: &Client) -> Vec<Explanation> {
    let catalog = inside.registry.catalog();
    let exact: Vec<(&str, &str)> = match catalog.tool(name) {
        Some(target) => vec![(target.server.as_str(), target.original.as_str())],
        None => {
            let several = catalog.tools().iter().filter(|target| target.original.as_str() == name);
            several.map(|target| (target.server.as_str(), target.original.as_str())).collect()
        }
    };
    let backends = inside.registry.backends();
    let mut found = Vec::new();
    for (server, original) in exact {
        if let Some(backend) = backends.iter().find(|backend| backend.name().as_str() == server) {
            found.push(explain(inside, backend, original, max_name, client));
        }
    }
    if found.is_empty() {
        for backend in &backends {
            let means = |original: &String| is_meant(backend, original, name, max_name);
            let hidden = originals(inside, backend).into_iter().filter(means);
            found.extend(hidden.map(|original| explain(inside, backend, &original, max_name, client)));
        }
    }
    found
}

/// The server's own names of all its tools, hidden ones among them.
pub(super) fn originals(inside: &Inside, backend: &Backend) -> Vec<String> {
    let Some(offering) = inside.registry.offering(backend.name()) else { return Vec::new() };
    let name = |tool: &bytes::Bytes| {
        let span = raw::get(tool, "name")?;
        raw::string(span.of(tool)).map(|name| name.into_owned())
    };
    let mut seen = HashSet::new();
    offering.tools.iter().filter_map(name).filter(|name| seen.insert(name.clone())).collect()
}

fn is_meant(backend: &Backend, original: &str, name: &str, max_name: usize) -> bool {
    let dotted = name
        .strip_prefix(backend.name().as_str())
        .and_then(|rest| rest.strip_prefix(['.', '/', ':']))
        .is_some_and(|rest| rest == original);
    original == name || dotted || outward(backend, original, max_name) == name
}

/// The name that the tool would have if it were the only one.
fn outward(backend: &Backend, original: &str, max_name: usize) -> String {
    let config = backend.config();
    let wanted = Wanted {
        original: OriginalName::new(original),
        renamed: config.tools.renamed(original).map(str::to_owned),
    };
    let names = naming::outward(&config.name, &config.prefix, &[wanted], max_name);
    names.first().map(ToString::to_string).unwrap_or_default()
}

fn explain(
    inside: &Inside,
    backend: &Backend,
    original: &str,
    max_name: usize,
    client: &Client,
) -> Explanation {
    let config = backend.config();
    let catalog = inside.registry.catalog();
    let server = config.name.to_string();
    let target = catalog
        .tools()
        .iter()
        .find(|target| target.server == config.name && target.original.as_str() == original);
    let exposed = target.map(|target| target.exposed.to_string());
    let notes = catalog.notes().iter().filter(|note| note.server == config.name && note.original == original);
    let places = Places { settings: &inside.settings, server: &server };
    let report = status::reports(&inside.registry).into_iter().find(|report| report.server == server);
    let timeouts = &config.timeouts;
    Explanation {
        reasons: match &exposed {
            Some(exposed) => why_named(backend, original, exposed, max_name, &places),
            None => why_hidden(backend, original, &places),
        },
        exposed,
        original: original.to_owned(),
        rules: rules(backend, original, &places),
        place: config.place.as_ref().map(|place| format!("{}:{}", place.file.display(), place.line)),
        state: backend.state().word(),
        failure: report.and_then(|report| report.failure),
        timeouts: vec![
            ("start", show_duration(timeouts.start)),
            ("call", show_duration(timeouts.call)),
            ("total", show_duration(timeouts.total)),
            ("idle_stop", timeouts.idle_stop.map_or("never".to_owned(), show_duration)),
        ],
        notes: notes.cloned().collect(),
        stages: stages::stages(inside, &server),
        policy: target.zip(inside.registry.lane(&config.name)).and_then(|(target, lane)| {
            stages::judge(inside, &lane, client, target.exposed.as_str(), original, &target.definition)
        }),
        server,
    }
}

fn why_named(
    backend: &Backend,
    original: &str,
    exposed: &str,
    max_name: usize,
    places: &Places<'_>,
) -> Vec<String> {
    let config = backend.config();
    let prefix = &config.prefix;
    let mut reasons = Vec::new();
    reasons.push(match places.of(&["prefix"]) {
        Some(_) if prefix.is_empty() => format!("`prefix` is empty{}", places.at(&["prefix"])),
        Some(_) => format!("`{prefix}__` is the server's `prefix`{}", places.at(&["prefix"])),
        None if prefix == config.name.as_str() => format!("`{prefix}__` is the server's name"),
        None => format!("`{prefix}__` comes from the server's name `{}`", config.name),
    });
    let renamed = config.tools.renamed(original);
    if let Some(renamed) = renamed {
        let place = places.at(&["tools", "rename", original]);
        reasons.push(format!("`{original}` is renamed to `{renamed}`{place}"));
    }
    let text = renamed.unwrap_or(original);
    if !text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')) {
        reasons.push("characters other than letters, digits, `_` and `-` became `_`".to_owned());
    }
    let whole = outward(backend, original, usize::MAX);
    if exposed == whole {
        return reasons;
    }
    reasons.push(if whole.len() > max_name {
        format!("`{whole}` is longer than `expose.max_name` ({max_name}): it was cut and carries a hash")
    } else if prefix.is_empty() {
        format!("another server has `{whole}`, so this one carries what tells it from that")
    } else {
        format!("another tool of the server comes to `{whole}` as well, so this one carries a hash")
    });
    reasons
}

fn why_hidden(backend: &Backend, original: &str, places: &Places<'_>) -> Vec<String> {
    let rules = &backend.config().tools;
    if let Some(glob) = rules.exclude.iter().find(|glob| glob.matches(original)) {
        let place = places.at(&["tools", "exclude"]);
        return vec![format!("hidden by `tools.exclude`: `{}`{place}", glob.as_str())];
    }
    if !rules.include.iter().any(|glob| glob.matches(original)) {
        return vec![format!(
            "hidden: no pattern of `tools.include` fits{}",
            places.at(&["tools", "include"])
        )];
    }
    vec!["held back".to_owned()]
}

fn rules(backend: &Backend, original: &str, places: &Places<'_>) -> Vec<String> {
    let rules = &backend.config().tools;
    let mut found = Vec::new();
    let included = rules.include.iter().find(|glob| glob.matches(original));
    if let (Some(glob), Some(_)) = (included, places.of(&["tools", "include"])) {
        found.push(format!("tools.include `{}`{}", glob.as_str(), places.at(&["tools", "include"])));
    }
    if let Some(glob) = rules.exclude.iter().find(|glob| glob.matches(original)) {
        found.push(format!("tools.exclude `{}`{}", glob.as_str(), places.at(&["tools", "exclude"])));
    }
    if let Some(renamed) = rules.renamed(original) {
        let place = places.at(&["tools", "rename", original]);
        found.push(format!("tools.rename to `{renamed}`{place}"));
    }
    if let Some(words) = rules.override_of(original) {
        let mut parts = Vec::new();
        parts.extend(words.title.is_some().then_some("title"));
        parts.extend(words.description.is_some().then_some("description"));
        parts.extend((!words.annotations.is_empty()).then_some("annotations"));
        let place = places.at(&["tools", "override", original]);
        found.push(format!("tools.override of {}{place}", parts.join(", ")));
    }
    found
}

/// Where the settings of a server stand.
struct Places<'a> {
    settings: &'a Settings,
    server: &'a str,
}

impl Places<'_> {
    /// The origin of a setting that somebody made; `None` for what is built in.
    fn of(&self, path: &[&str]) -> Option<&str> {
        let mut level: &[Setting] = self.settings.of(Some(self.server))?;
        let mut origin = None;
        for key in path {
            let setting = level.iter().find(|setting| setting.key == *key)?;
            origin = Some(setting.origin.as_str());
            level = &setting.below;
        }
        origin.filter(|origin| *origin != "built in")
    }

    /// ` (file:line)`, or nothing.
    fn at(&self, path: &[&str]) -> String {
        self.of(path).map(|origin| format!(" ({origin})")).unwrap_or_default()
    }
}

impl Explanation {
    pub(super) fn render(&self, paint: Paint) -> String {
        let title = match &self.exposed {
            Some(exposed) => paint.bold(exposed),
            None => format!("{} {}", paint.bold(&one_line(&self.original)), paint.yellow("(not shown)")),
        };
        let mut lines = vec![title];
        let mut line = |label: &str, text: &str| lines.push(format!("  {label:<11} {}", one_line(text)));
        line("server", &format!("{}, {}", self.server, self.state));
        if let Some(place) = &self.place {
            line("config", place);
        }
        line("own name", &self.original);
        let label = if self.exposed.is_some() { "named so" } else { "why" };
        for (index, reason) in self.reasons.iter().enumerate() {
            line(if index == 0 { label } else { "" }, reason);
        }
        for (index, rule) in self.rules.iter().enumerate() {
            line(if index == 0 { "rules" } else { "" }, rule);
        }
        let timeouts: Vec<String> =
            self.timeouts.iter().map(|(key, value)| format!("{key} {value}")).collect();
        line("timeouts", &timeouts.join(", "));
        for (index, stage) in self.stages.iter().enumerate() {
            line(if index == 0 { "stages" } else { "" }, &stage.render());
        }
        if let Some(policy) = &self.policy {
            line("policy", &policy.render());
        }
        if self.exposed.is_some() && self.notes.is_empty() {
            line("definition", "nothing had to be repaired");
        }
        for note in &self.notes {
            line("definition", &format!("{}: {} ({})", note.word(), note.text, note.code));
        }
        if let Some(failure) = &self.failure {
            line("failure", &Failure { server: None, ..failure.clone() }.to_string());
        }
        lines.join("\n")
    }

    pub(super) fn to_json(&self) -> Value {
        let note = |note: &Note| json!({ "code": note.code.id(), "text": note.text });
        let failure = self.failure.as_ref().map(
            |failure| json!({ "code": failure.code.id(), "cause": failure.cause, "remedy": failure.remedy }),
        );
        let timeouts: serde_json::Map<String, Value> =
            self.timeouts.iter().map(|(key, value)| ((*key).to_owned(), value.as_str().into())).collect();
        json!({
            "name": self.exposed,
            "shown": self.exposed.is_some() && self.policy.as_ref().is_none_or(Judged::shows),
            "server": self.server,
            "original": self.original,
            "place": self.place,
            "state": self.state,
            "reasons": self.reasons,
            "rules": self.rules,
            "timeouts": timeouts,
            "stages": self.stages.iter().map(StageLine::to_json).collect::<Vec<_>>(),
            "policy": self.policy.as_ref().map(Judged::to_json),
            "notes": self.notes.iter().map(note).collect::<Vec<_>>(),
            "failure": failure,
        })
    }
}
