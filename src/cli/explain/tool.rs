//! What a tool's name stands for: which server, which own name, and which rules made it what it is.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::chain;
use super::live::{Figures, Live, NOBODY};
use super::stages::{self, Judged, StageLine};
use crate::backend::{Backend, show_duration};
use crate::catalog::Note;
use crate::catalog::naming::{self, Wanted};
use crate::cli::inside::Inside;
use crate::cli::terminal::{Paint, one_line};
use crate::config::{ServerConfig, Setting, Settings, show_size};
use crate::effect::Effect;
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
    /// Whether the config's lists let it pass, and why.
    filter: Result<String, String>,
    trust: String,
    /// Whether the profile of the client has it, and why; `None` if it has no profile.
    profile: Option<Result<String, String>>,
    state: &'static str,
    /// What a call would find there.
    readiness: String,
    /// What a call does, and who says so; `None` if its definition is not known.
    effect: Option<(Effect, String)>,
    /// How large messages may be.
    limits: String,
    failure: Option<Failure>,
    timeouts: Vec<(&'static str, String)>,
    /// What was repaired, or why it is held back.
    notes: Vec<Note>,
    stages: Vec<StageLine>,
    policy: Option<Judged>,
    /// What those know that run.
    live: Vec<Figures>,
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
    let notes: Vec<&Note> = notes.collect();
    let definition =
        target.map(|target| target.definition.clone()).or_else(|| definition(inside, backend, original));
    let places = Places { settings: &inside.settings, server: &server };
    let report = status::reports(&inside.registry).into_iter().find(|report| report.server == server);
    let timeouts = &config.timeouts;
    let name = exposed.clone().unwrap_or_else(|| outward(backend, original, max_name));
    let profile = chain::profile(inside.registry.servers().config(), config, &name, client);
    Explanation {
        reasons: match &exposed {
            Some(exposed) => why_named(backend, original, exposed, max_name, &places),
            None => match &profile {
                Some(Err(why)) => vec![why.clone()],
                _ => why_hidden(backend, original, &notes, &places),
            },
        },
        profile,
        filter: chain::filter(config, original, &places),
        trust: chain::trust(config, &notes),
        readiness: chain::state(backend),
        effect: definition.map(|definition| chain::effect(config, original, &definition, &places)),
        limits: limits(config),
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
        notes: notes.into_iter().cloned().collect(),
        stages: stages::stages(inside, &server),
        policy: target.zip(inside.registry.lane(&config.name)).and_then(|(target, lane)| {
            stages::judge(inside, &lane, client, target.exposed.as_str(), original, &target.definition)
        }),
        live: Vec::new(),
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

fn why_hidden(backend: &Backend, original: &str, notes: &[&Note], places: &Places<'_>) -> Vec<String> {
    if let Err(why) = chain::filter(backend.config(), original, places) {
        return vec![why];
    }
    let held: Vec<String> =
        notes.iter().filter(|note| note.is_held()).map(|note| format!("held back: {}", note.text)).collect();
    if held.is_empty() { vec!["held back".to_owned()] } else { held }
}

/// `messages up to 16MiB, results up to 1MiB`
fn limits(config: &ServerConfig) -> String {
    let message = format!("messages up to {}", show_size(config.limits.message as u64));
    match config.limits.result {
        Some(result) => format!("{message}, results up to {}", show_size(result as u64)),
        None => message,
    }
}

/// A tool's definition as the server gave it, also of one that is not shown.
fn definition(inside: &Inside, backend: &Backend, original: &str) -> Option<bytes::Bytes> {
    let offering = inside.registry.offering(backend.name())?;
    let is_it = |tool: &&bytes::Bytes| {
        raw::get(tool, "name")
            .and_then(|span| raw::string(span.of(tool)))
            .is_some_and(|name| name == original)
    };
    offering.tools.iter().find(is_it).cloned()
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
pub(super) struct Places<'a> {
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
    pub(super) fn at(&self, path: &[&str]) -> String {
        self.of(path).map(|origin| format!(" ({origin})")).unwrap_or_default()
    }
}

impl Explanation {
    /// Why it is not shown, in a sentence; `None` if it is.
    pub(super) fn why_hidden(&self) -> Option<&str> {
        if self.exposed.is_some() { None } else { self.reasons.first().map(String::as_str) }
    }

    /// Takes in what running Switchboards know of it.
    pub(super) fn meet(&mut self, live: &Live) {
        self.live = live.of(&self.server, &self.original);
    }

    /// The chain from the config's line to what a call goes through, each link with its label.
    fn chain(&self) -> Vec<(&'static str, Vec<String>)> {
        let some = |text: &String| vec![text.clone()];
        let mut links = vec![("server", vec![format!("{}, {}", self.server, self.state)])];
        links.push(("config", self.place.iter().cloned().collect()));
        links.push(("own name", some(&self.original)));
        links.push(("filter", vec![self.filter.clone().unwrap_or_else(|why| why)]));
        links.push(("rules", self.rules.clone()));
        let mut definitions: Vec<String> =
            self.notes.iter().map(|note| format!("{}: {} ({})", note.word(), note.text, note.code)).collect();
        if definitions.is_empty() && self.exposed.is_some() {
            definitions.push("nothing had to be repaired".to_owned());
        }
        links.push(("definition", definitions));
        links.push(("trust", some(&self.trust)));
        let profile = self.profile.iter().map(|profile| profile.clone().unwrap_or_else(|why| why));
        links.push(("profile", profile.collect()));
        links.push(("policy", self.policy.iter().map(Judged::render).collect()));
        links.push((if self.exposed.is_some() { "named so" } else { "why" }, self.reasons.clone()));
        links.push(("state", some(&self.readiness)));
        let failure =
            self.failure.iter().map(|failure| Failure { server: None, ..failure.clone() }.to_string());
        links.push(("failure", failure.collect()));
        let live: Vec<String> = self.live.iter().flat_map(Figures::render).collect();
        links.push(("running", if live.is_empty() { vec![NOBODY.to_owned()] } else { live }));
        links.push(("effect", self.effect.iter().map(|(_, text)| text.clone()).collect()));
        let timeouts: Vec<String> =
            self.timeouts.iter().map(|(key, value)| format!("{key} {value}")).collect();
        links.push(("timeouts", vec![timeouts.join(", ")]));
        links.push(("limits", some(&self.limits)));
        links.push(("stages", self.stages.iter().map(StageLine::render).collect()));
        links.retain(|(_, texts)| !texts.is_empty());
        links
    }

    pub(super) fn render(&self, paint: Paint) -> String {
        let title = match &self.exposed {
            Some(exposed) => paint.bold(exposed),
            None => format!("{} {}", paint.bold(&one_line(&self.original)), paint.yellow("(not shown)")),
        };
        let mut lines = vec![title];
        for (label, texts) in self.chain() {
            for (index, text) in texts.iter().enumerate() {
                let label = if index == 0 { label } else { "" };
                lines.push(format!("  {label:<11} {}", one_line(text)));
            }
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
        let chain: Vec<Value> =
            self.chain().into_iter().map(|(step, says)| json!({ "step": step, "says": says })).collect();
        json!({
            "name": self.exposed,
            "shown": self.exposed.is_some()
                && self.policy.as_ref().is_none_or(Judged::shows)
                && self.profile.as_ref().is_none_or(Result::is_ok),
            "profile": self.profile.as_ref().map(
                |profile| json!({ "passes": profile.is_ok(), "why": profile.as_ref().unwrap_or_else(|why| why) })
            ),
            "server": self.server,
            "original": self.original,
            "place": self.place,
            "state": self.state,
            "reasons": self.reasons,
            "rules": self.rules,
            "chain": chain,
            "filter": { "passes": self.filter.is_ok(), "why": self.filter.as_ref().unwrap_or_else(|why| why) },
            "trust": self.trust,
            "effect": self.effect.as_ref().map(|(effect, why)| json!({ "effect": effect.word(), "why": why })),
            "limits": self.limits,
            "timeouts": timeouts,
            "stages": self.stages.iter().map(StageLine::to_json).collect::<Vec<_>>(),
            "policy": self.policy.as_ref().map(Judged::to_json),
            "notes": self.notes.iter().map(note).collect::<Vec<_>>(),
            "failure": failure,
            "live": self.live.iter().map(Figures::to_json).collect::<Vec<_>>(),
        })
    }
}
