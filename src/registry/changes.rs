//! What becomes of servers when another config is put in force.

use serde_json::{Value, json};

use crate::config::{Config, Entry, HttpFace, ServerConfig};
use crate::names::ServerName;

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Servers that are new.
    pub added: Vec<ServerName>,
    /// Servers that are started anew, because what runs would be another thing.
    pub restarted: Vec<ServerName>,
    /// Servers that go on running, and are shown or called in another way.
    pub adjusted: Vec<ServerName>,
    /// Servers that are known, and were not served before: their owner has switched them on, or mended their entries.
    pub enabled: Vec<ServerName>,
    /// Servers that are known, and are not served any more.
    pub disabled: Vec<ServerName>,
    /// Servers that are gone.
    pub removed: Vec<ServerName>,
    /// Keys outside of servers that have other values now.
    pub keys: Vec<&'static str>,
    /// Keys of the config whose new values take effect at the next start of Switchboard.
    pub at_next_start: Vec<&'static str>,
}

impl Changes {
    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Notes who came, went, and was switched on or off.
    pub(super) fn compare_entries(&mut self, old: &[Entry], new: &[Entry]) {
        let is_served = |entry: &Entry| matches!(entry, Entry::Ready(_));
        let find = |entries: &[Entry], name: &ServerName| {
            entries.iter().find(|entry| entry.name() == name).map(is_served)
        };
        for entry in new {
            let name = entry.name();
            match (find(old, name), is_served(entry)) {
                (None, _) => self.added.push(name.clone()),
                (Some(false), true) => self.enabled.push(name.clone()),
                (Some(true), false) => self.disabled.push(name.clone()),
                (Some(_), _) => {}
            }
        }
        let gone = old.iter().map(Entry::name).filter(|name| find(new, name).is_none());
        self.removed.extend(gone.cloned());
    }

    /// One list of names for each kind, as JSON; kinds without any are left out.
    pub fn to_json(&self) -> Value {
        let mut json = json!({});
        for (kind, names) in [
            ("added", names_of(&self.added)),
            ("restarted", names_of(&self.restarted)),
            ("adjusted", names_of(&self.adjusted)),
            ("enabled", names_of(&self.enabled)),
            ("disabled", names_of(&self.disabled)),
            ("removed", names_of(&self.removed)),
            ("keys", self.keys.clone()),
            ("at_next_start", self.at_next_start.clone()),
        ] {
            if !names.is_empty() {
                json[kind] = names.into();
            }
        }
        json
    }
}

fn names_of(names: &[ServerName]) -> Vec<&str> {
    names.iter().map(ServerName::as_str).collect()
}

impl std::fmt::Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing has changed");
        }
        let json = self.to_json();
        let kinds = json.as_object().into_iter().flatten().map(|(kind, names)| {
            let names: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            format!("{}: {}", kind.replace('_', " "), names.join(", "))
        });
        f.write_str(&kinds.collect::<Vec<_>>().join("; "))
    }
}

/// Whether what runs can go on with the new config: it differs only in how the server is shown, called and guarded.
///
/// Every field is named here, so that one that is added later has to be thought of.
pub(super) fn can_go_on(old: &ServerConfig, new: &ServerConfig) -> bool {
    let ServerConfig {
        name,
        launch,
        others,
        start,
        protocol,
        timeouts,
        limits,
        share,
        questions,
        stages,
        auth,
        prefix: _,
        tools: _,
        definitions: _,
        description: _,
        categories: _,
        metadata: _,
        place: _,
    } = old;
    let keeps_changes = |config: &ServerConfig| config.stages.cache.is_some();
    name == &new.name
        && (launch, others) == (&new.launch, &new.others)
        && (start, protocol, auth) == (&new.start, &new.protocol, &new.auth)
        && (timeouts, share, questions) == (&new.timeouts, &new.share, &new.questions)
        && limits.message == new.limits.message
        // Only a server whose answers may be kept notes what changes.
        && stages.cache.is_some() == keeps_changes(new)
}

/// Whether nothing at all differs but the place in the file.
pub(super) fn is_same(old: &ServerConfig, new: &ServerConfig) -> bool {
    can_go_on(old, new)
        && (&old.prefix, &old.tools) == (&new.prefix, &new.tools)
        && (&old.limits, &old.stages, &old.definitions) == (&new.limits, &new.stages, &new.definitions)
        && (&old.description, &old.categories, &old.metadata)
            == (&new.description, &new.categories, &new.metadata)
}

/// The keys outside of servers that differ and take effect at once.
pub(super) fn keys(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut keys = Vec::new();
    if old.policy.as_ref().ok() != new.policy.as_ref().ok() {
        keys.push("policy");
    }
    if old.interceptors != new.interceptors {
        keys.push("interceptors");
    }
    if old.expose != new.expose {
        keys.push("expose");
    }
    let bound = |config: &Config| config.http.as_ref().map(|http| http.profiles.clone()).unwrap_or_default();
    if (&old.profiles, bound(old)) != (&new.profiles, bound(new)) {
        keys.push("profiles");
    }
    if let (Ok(old), Ok(new)) = (&old.admin, &new.admin)
        && old.token().zip(new.token()).is_some_and(|(old, new)| old != new)
    {
        keys.push("admin.token");
    }
    keys
}

/// The keys outside of servers that differ and cannot change while we run.
pub(super) fn at_next_start(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut keys = Vec::new();
    // Who is served by which profile is asked every time.
    let face =
        |config: &Config| config.http.clone().ok().map(|http| HttpFace { profiles: Vec::new(), ..http });
    if face(old) != face(new) {
        keys.push("http");
    }
    let has_same_admin = match (&old.admin, &new.admin) {
        (Ok(old), Ok(new)) => old.is_same_but_for_token(new),
        (old, new) => old.is_err() == new.is_err(),
    };
    if !has_same_admin {
        keys.push("admin");
    }
    if old.audit != new.audit {
        keys.push("telemetry.audit_log");
    }
    if old.telemetry.metrics != new.telemetry.metrics {
        keys.push("telemetry.metrics");
    }
    if old.telemetry.otlp != new.telemetry.otlp {
        keys.push("telemetry.otlp");
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment, Glob, Launch, Secret, Syntax};

    fn check(change: impl FnOnce(&mut ServerConfig), goes_on: bool) {
        let old = ServerConfig::stdio("a", "x", &["1"]);
        let mut new = old.clone();
        change(&mut new);
        assert_eq!((can_go_on(&old, &new), is_same(&old, &new)), (goes_on, false));
    }

    #[test]
    fn what_runs_goes_on_unless_it_would_be_another_thing() {
        check(|config| config.tools.exclude.push(Glob::new("x")), true);
        check(|config| config.prefix = "b".into(), true);
        check(|config| config.description = Some("x".into()), true);
        check(|config| config.limits.result = Some(1), true);
        check(|config| config.stages.breaker = Some(Default::default()), true);
        check(|config| config.limits.message = 1, false);
        check(|config| config.timeouts.idle_stop = None, false);
        check(|config| config.others = vec![config.launch.clone()], false);
        let secret = |config: &mut ServerConfig| {
            if let Launch::Stdio(launch) = &mut config.launch {
                launch.env.push(("TOKEN".into(), Secret::new("new")));
            }
        };
        check(secret, false);
    }

    #[test]
    fn who_came_and_went_is_told_from_who_was_switched() {
        let ready = |name: &str| Entry::Ready(Box::new(ServerConfig::stdio(name, "x", &[])));
        let off = |name: &str| Entry::Disabled { name: name.into() };
        let mut changes = Changes::default();
        let old = [ready("gone"), ready("off"), off("on"), off("away"), ready("same")];
        changes.compare_entries(&old, &[off("off"), ready("on"), ready("same"), off("new"), ready("newer")]);
        assert_eq!(changes.to_string(), "added: new, newer; enabled: on; disabled: off; removed: gone, away");
    }

    #[test]
    fn what_takes_effect_at_once_is_told_from_what_has_to_wait() {
        let config = |text: &str| {
            let file = std::path::Path::new("/switchboard.yaml");
            config::load_text(text, Syntax::Yaml, file, &Environment::default()).config
        };
        let admin = |token: &str, rest: &str| {
            config(&format!("admin: {{ listen: \"127.0.0.1:1\", token: {token}-0123456789abcdef{rest} }}"))
        };
        let compare = |old: &Config, new: &Config| (keys(old, new), at_next_start(old, new));
        let old = admin("one", "");
        assert_eq!(compare(&old, &admin("one", "")), (vec![], vec![]));
        assert_eq!(compare(&old, &admin("two", "")), (vec!["admin.token"], vec![]));
        let wider = admin("two", ", allow_stdio_register: true");
        assert_eq!(compare(&old, &wider), (vec!["admin.token"], vec!["admin"]));
        let nothing = config("servers: {}");
        assert_eq!(compare(&old, &nothing), (vec![], vec!["admin", "telemetry.metrics"]));
        let sent = config("telemetry: { otlp: \"http://127.0.0.1:1\", metrics: false }");
        assert_eq!(compare(&nothing, &sent), (vec![], vec!["telemetry.otlp"]));
    }

    #[test]
    fn changes_are_said_in_a_line() {
        let changes = Changes {
            added: vec!["a".into(), "b".into()],
            at_next_start: vec!["http"],
            ..Changes::default()
        };
        assert_eq!(changes.to_string(), "added: a, b; at next start: http");
        assert_eq!(Changes::default().to_string(), "nothing has changed");
    }
}
