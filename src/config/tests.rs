//! The config room from its front door: texts in, configs and problems out.

mod interceptors;
mod logins;
mod mistakes;
mod schema;
mod servers;
mod sources;
mod stages;

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::effect::Effect;
use crate::failure::Code;

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().copied().collect()
}

fn load_in(text: &str, syntax: Syntax, variables: &[(&str, &str)]) -> Loaded {
    let path = match syntax {
        Syntax::Json => "/etc/sb/switchboard.json",
        Syntax::Yaml => "/etc/sb/switchboard.yaml",
        Syntax::Toml => "/etc/sb/switchboard.toml",
    };
    load_text(text, syntax, Path::new(path), &environment(variables))
}

fn yaml(text: &str) -> Loaded {
    load_in(text, Syntax::Yaml, &[("HOME", "/home/me")])
}

/// The only server of a config without problems.
fn only(loaded: Loaded) -> ServerConfig {
    assert!(loaded.problems.is_empty(), "{:#?}", lines(&loaded));
    let mut servers = loaded.config.servers.into_iter();
    match (servers.next(), servers.next()) {
        (Some(Entry::Ready(server)), None) => *server,
        other => panic!("{other:?}"),
    }
}

fn stdio(server: &ServerConfig) -> &StdioLaunch {
    match &server.launch {
        Launch::Stdio(launch) => launch,
        Launch::Remote(_) => panic!("not a child"),
    }
}

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(|problem| problem.to_string().replace("/etc/sb/switchboard.", "")).collect()
}

fn state(loaded: &Loaded, name: &str) -> &'static str {
    match loaded.config.entry(name) {
        Some(Entry::Ready(_)) => "ready",
        Some(Entry::Disabled { .. }) => "disabled",
        Some(Entry::LeftOut { .. }) => "left out",
        Some(Entry::NeedsConfig { .. }) => "needs-config",
        Some(Entry::Broken { .. }) => "broken",
        None => "absent",
    }
}

#[test]
fn no_config_at_all_is_a_warning() {
    let environment = environment(&[("HOME", "/nowhere")]);
    let loaded = load(&locate(None, &environment), &environment);
    assert!(!loaded.has_errors());
    assert_eq!(loaded.problems.len(), 1);
    assert!(loaded.config.enabled);
}

#[cfg(unix)]
#[test]
fn a_config_that_everybody_may_change_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.json");
    std::fs::write(&path, "{}").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let loaded = load(&locate(Some(&path), &Environment::default()), &Environment::default());
    assert!(lines(&loaded)[0].contains("every user of this machine may change"), "{:?}", lines(&loaded));
}

#[test]
fn calls_are_counted_where_somebody_can_read_it() {
    let telemetry = |rest: &str| {
        let loaded = yaml(&format!("servers: {{ a: {{ command: x }} }}\n{rest}\n"));
        (loaded.config.telemetry.clone(), lines(&loaded).join(" | "))
    };
    let counts = |rest: &str| telemetry(rest).0.metrics;
    assert!(!counts("") && !counts("telemetry: { audit: true }"));
    assert!(counts("telemetry: { metrics: true }"));
    assert!(counts("telemetry: { otlp: \"http://localhost:4318\" }"));
    assert!(!counts("telemetry: { otlp: \"http://localhost:4318\", metrics: false }"));
    assert!(counts("admin: { listen: 127.0.0.1:7700, token: 0123456789abcdef0123 }"));
    let rest = "telemetry: { otlp: \"https://c.example/otlp/\", otlp_headers: { X-Key: \"${HOME}/x\" } }";
    let (rules, said) = telemetry(rest);
    let collector = rules.otlp.expect("a collector");
    assert_eq!((collector.endpoint.as_str(), said.as_str()), ("https://c.example/otlp", ""));
    assert_eq!(collector.headers, [("X-Key".to_owned(), Secret::new("/home/me/x"))]);
    for wrong in ["localhost:4318", "grpc://a:4317", "http://user:pw@a", "http://a/v1/traces", "http://"] {
        let (rules, said) = telemetry(&format!("telemetry: {{ otlp: \"{wrong}\" }}"));
        assert!(rules.otlp.is_none() && said.contains("no address of a collector"), "{wrong}: {said}");
    }
    let (_, said) = telemetry("telemetry: { otlp: \"http://a\", otlp_headers: { \"a b\": x } }");
    assert!(said.contains("no header that can be sent"), "{said}");
}
