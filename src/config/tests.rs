//! The config room from its front door: texts in, configs and problems out.

use std::path::Path;
use std::time::Duration;

use super::*;
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
        Launch::Http { .. } => panic!("not a child"),
    }
}

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(|problem| problem.to_string().replace("/etc/sb/switchboard.", "")).collect()
}

fn state(loaded: &Loaded, name: &str) -> &'static str {
    match loaded.config.entry(name) {
        Some(Entry::Ready(_)) => "ready",
        Some(Entry::Disabled { .. }) => "disabled",
        Some(Entry::NeedsConfig { .. }) => "needs-config",
        Some(Entry::Broken { .. }) => "broken",
        None => "absent",
    }
}

#[test]
fn a_pasted_block_works_unchanged() {
    let loaded = load_in(
        r#"{
          // from a README
          "mcpServers": {
            "github": {
              "command": "npx",
              "args": ["-y", "@modelcontextprotocol/server-github"],
              "env": { "GITHUB_TOKEN": "ghp_0123456789" },
            },
          },
        }"#,
        Syntax::Json,
        &[],
    );
    let server = only(loaded);
    assert_eq!(server.prefix, "github");
    let launch = stdio(&server);
    assert_eq!(launch.command, "npx");
    assert_eq!(launch.args, ["-y", "@modelcontextprotocol/server-github"]);
    assert_eq!(launch.env[0].0, "GITHUB_TOKEN");
    assert_eq!(launch.env[0].1.expose(), "ghp_0123456789");
    assert_eq!(server.timeouts, Timeouts::default());
}
