//! What a config is made of: the shapes of other programs, defaults, overrides, and the mission's config.

use super::*;

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

#[test]
fn everything_this_version_acts_on() {
    let server = only(yaml(
        r#"
servers:
  Git Tools:
    command: ./bin/git
    args: [-p, 8080, true]
    cwd: work
    inherit_env: [HTTPS_PROXY]
    prefix: VCS_x
    categories: [a, b]
    description: hello
    start: eager
    protocol: "2025-06-18"
    timeouts: { start: 1s, call: 2m, total: 3h, idle_stop: never }
    limits: { message: 1MB, result: 4096 }
    tools:
      include: ["git_*"]
      exclude: git_reset
      rename: { git_log: history }
      override: { git_log: { title: T, description: D, annotations: { readOnlyHint: true } } }
"#,
    ));
    let launch = stdio(&server);
    assert_eq!(launch.command, "/etc/sb/bin/git");
    assert_eq!(launch.args, ["-p", "8080", "true"]);
    assert_eq!(launch.cwd.as_deref(), Some(Path::new("/etc/sb/work")));
    assert_eq!(launch.inherit_env, ["HTTPS_PROXY"]);
    assert_eq!(server.prefix, "vcs-x");
    assert_eq!(server.categories, ["a", "b"]);
    assert_eq!(server.description.as_deref(), Some("hello"));
    assert_eq!(server.start, Start::Eager);
    assert_eq!(server.protocol, ProtocolChoice::Revision("2025-06-18".into()));
    assert_eq!(
        server.timeouts,
        Timeouts {
            start: Duration::from_secs(1),
            call: Duration::from_secs(120),
            total: Duration::from_secs(10_800),
            question: Duration::from_secs(600),
            idle_stop: None,
        }
    );
    assert_eq!(server.limits, Limits { message: 1_000_000, result: Some(4096) });
    assert!(server.tools.allows("git_log") && !server.tools.allows("git_reset") && !server.tools.allows("x"));
    assert_eq!(server.tools.renamed("git_log"), Some("history"));
    let words = server.tools.override_of("git_log").unwrap();
    assert_eq!((words.title.as_deref(), words.description.as_deref()), (Some("T"), Some("D")));
    assert_eq!(words.annotations["readOnlyHint"], true);
    assert_eq!(server.place.unwrap().to_string(), "/etc/sb/switchboard.yaml:3:3");
}

#[test]
fn the_tables_carry_the_same_defaults_as_the_types() {
    let server = only(yaml("servers: { a: { command: x } }"));
    let types = ServerConfig::stdio("a", "x", &[]);
    assert_eq!(server.timeouts, types.timeouts);
    assert_eq!(server.limits, types.limits);
    assert_eq!(server.tools, types.tools);
    assert_eq!((server.start, server.protocol), (types.start, types.protocol));
    let expose = Expose::default().max_name.to_string();
    let table = super::resolve::built_in(&super::keys::ROOT);
    assert_eq!(table.at("expose.max_name").and_then(|node| node.scalar_text()), Some(expose.as_str()));
}

#[test]
fn an_argument_is_never_interpreted() {
    // faults.md J9: no shell is anywhere near.
    let server =
        only(yaml(r#"servers: { a: { command: x, args: ["; rm -rf x", "$(id)", "a b", "$HOME"] } }"#));
    assert_eq!(stdio(&server).args, ["; rm -rf x", "$(id)", "a b", "$HOME"]);
}

#[test]
fn defaults_stand_below_entries_and_overrides_below_the_entries_too() {
    let text = "defaults: { timeouts: { call: 1m, start: 7s } }\n\
                servers:\n  a: { command: x, timeouts: { call: 2m } }\n  b: { command: x }\n";
    let variables = [
        ("SWITCHBOARD_DEFAULTS__TIMEOUTS__CALL", "3m"),
        ("SWITCHBOARD_DEFAULTS__TIMEOUTS__TOTAL", "9m"),
        ("SWITCHBOARD_HOME", "/x"),
        ("SWITCHBOARD_LOG", "debug"),
        ("SWITCHBOARD_SOMETHING", "else"),
    ];
    let loaded = load_in(text, Syntax::Yaml, &variables);
    assert!(loaded.problems.is_empty(), "{:?}", lines(&loaded));
    let timeouts: Vec<Timeouts> = loaded.config.ready().map(|server| server.timeouts).collect();
    assert_eq!(timeouts[0].call, Duration::from_secs(120));
    assert_eq!(timeouts[1].call, Duration::from_secs(180));
    assert_eq!((timeouts[0].start, timeouts[0].total), (Duration::from_secs(7), Duration::from_secs(540)));
}

#[test]
fn overrides_reach_servers_and_other_keys() {
    let text = r#"{"mcpServers": {"my-files": {"command": "x", "environment": {"A": "1"}, "timeouts": {"call": "1m"}}}}"#;
    let variables = [
        ("SWITCHBOARD_SERVERS__MY_FILES__PREFIX", "7"),
        ("SWITCHBOARD_mcpServers__my_files__timeouts__call", "2m"),
        ("SWITCHBOARD_SERVERS__MY_FILES__ENV__LOG_LEVEL", "debug"),
        ("SWITCHBOARD_SERVERS__MY_FILES__ARGS", r#"["-v", "${A_VARIABLE}"]"#),
        ("SWITCHBOARD_EXPOSE__MAX_NAME", "60"),
        ("A_VARIABLE", "value"),
    ];
    let loaded = load_in(text, Syntax::Json, &variables);
    assert_eq!(loaded.config.expose.max_name, 60);
    let server = only(loaded);
    assert_eq!(server.prefix, "7");
    assert_eq!(server.timeouts.call, Duration::from_secs(120));
    let env: Vec<(&str, &str)> =
        stdio(&server).env.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(env, [("A", "1"), ("LOG_LEVEL", "debug")]);
    assert_eq!(stdio(&server).args, ["-v", "value"]);
}

#[test]
fn a_wrong_override_names_its_variable() {
    let variables = [
        ("SWITCHBOARD_DEFAULTS__TIMEOUT__CALL", "1m"),
        ("SWITCHBOARD_DEFAULTS__TIMEOUTS__CALL", "60"),
        ("SWITCHBOARD_DEFAULTS__TIMEOUTS__CALL__X", "60s"),
        ("SWITCHBOARD_SERVERS__FLIES__PREFIX", "x"),
        ("SWITCHBOARD_EXPOSE____X", "x"),
        ("SWITCHBOARD_PROXY__ENABLED", "true"),
    ];
    let loaded = load_in("servers: { files: { command: x } }", Syntax::Yaml, &variables);
    insta::assert_debug_snapshot!(lines(&loaded), @r#"
[
    "error: environment variable `SWITCHBOARD_DEFAULTS__TIMEOUTS__CALL__X`: there is nothing below this key, found `X` (SB-CFG-002)",
    "error: environment variable `SWITCHBOARD_DEFAULTS__TIMEOUT__CALL`: unknown key `timeout`; did you mean `TIMEOUTS`? (SB-CFG-002)",
    "error: environment variable `SWITCHBOARD_EXPOSE____X`: a part of the path is empty (SB-CFG-002)",
    "error: environment variable `SWITCHBOARD_PROXY__ENABLED`: unknown key `proxy` (SB-CFG-002)",
    "error: environment variable `SWITCHBOARD_SERVERS__FLIES__PREFIX`: there is no server `flies`; did you mean `FILES`? (SB-CFG-002)",
    "error: environment variable `SWITCHBOARD_DEFAULTS__TIMEOUTS__CALL`: `defaults.timeouts.call` must be a duration such as \"500ms\", \"30s\" or \"5m\", found `60`; a duration needs a unit: did you mean \"60s\"? (SB-CFG-003)",
]
"#);
    assert_eq!(state(&loaded, "files"), "ready");
}

#[test]
fn keys_of_other_programs_are_understood() {
    let loaded = yaml(
        r#"
mcpServers:
  opencode: { type: local, command: [bun, x, srv], environment: { A: b }, enabled: true }
  goose:    { type: stdio, cmd: uvx, args: [srv], envs: { A: b }, env_keys: [SECRET], available_tools: [one] }
  windsurf: { command: x, disabledTools: [two], alwaysAllow: [one], icon: i.png }
  zed:      { source: custom, command: x, enabled: false }
  cline:    { command: x, disabled: true, autoApprove: [] }
  vscode:   { type: stdio, command: x, dev: { watch: "**" }, sandboxEnabled: true, gallery: true }
inputs: [{ type: promptString, id: k }]
"#,
    );
    assert_eq!(lines(&loaded), [] as [String; 0]);
    let ready: Vec<&ServerConfig> = loaded.config.ready().collect();
    assert_eq!(stdio(ready[0]).command, "bun");
    assert_eq!(stdio(ready[0]).args, ["x", "srv"]);
    assert_eq!(stdio(ready[0]).env[0].1.expose(), "b");
    assert_eq!(
        (stdio(ready[1]).command.as_str(), &stdio(ready[1]).inherit_env[..]),
        ("uvx", &["SECRET".to_owned()][..])
    );
    assert!(ready[1].tools.allows("one") && !ready[1].tools.allows("two"));
    assert!(ready[2].tools.allows("one") && !ready[2].tools.allows("two"));
    assert_eq!((state(&loaded, "zed"), state(&loaded, "cline")), ("disabled", "disabled"));
    assert_eq!(state(&loaded, "vscode"), "ready");
}

#[test]
fn the_missions_shape_loads() {
    let text = std::fs::read_to_string("examples/config/proxy.yaml").unwrap();
    let loaded = load_in(
        &text,
        Syntax::Yaml,
        &[("HEALTH_CHECK_INTERVAL", "10"), ("MAX_RETRY_ATTEMPTS", "5"), ("DISCOVERY_ENABLED", "false")],
    );
    assert!(!loaded.has_errors(), "{:#?}", lines(&loaded));
    let servers: Vec<&ServerConfig> = loaded.config.ready().collect();
    assert_eq!(servers[0].name.as_str(), "file-server");
    assert_eq!(servers[0].timeouts.call, Duration::from_secs(60));
    assert_eq!(servers[0].categories, ["file-operations"]);
    assert!(
        matches!(&servers[0].launch, Launch::Remote(RemoteLaunch { url, .. }) if url == "http://localhost:8001")
    );
    assert_eq!(stdio(servers[1]).command, "uvx");
    let settings = Settings::to_json(loaded.settings.of(Some("time")).unwrap());
    assert_eq!(settings["health_check"]["interval"]["value"], "10s");
    assert_eq!(settings["health_check"]["timeout"]["value"], "5s");
    assert_eq!(settings["retry"]["max_attempts"]["origin"], "variable MAX_RETRY_ATTEMPTS");
    let settings = Settings::to_json(loaded.settings.of(None).unwrap());
    assert_eq!(settings["discovery"]["enabled"]["value"], false);
    assert_eq!(settings["security"]["level"]["value"], "medium");
}

#[test]
fn the_missions_switch_works_with_every_shape() {
    for (text, variables) in [
        ("proxy: { enabled: false, servers: [{ name: a, command: x }] }", &[][..]),
        ("proxy: { enabled: true, servers: [{ name: a, command: x }] }", &[("PROXY_ENABLED", "false")][..]),
        ("servers: { a: { command: x } }", &[("PROXY_ENABLED", "FALSE")][..]),
        ("servers: { a: { command: x } }\nenabled: false", &[][..]),
    ] {
        let loaded = load_in(text, Syntax::Yaml, variables);
        assert!(!loaded.config.enabled);
        assert_eq!(state(&loaded, "a"), "disabled", "{text}");
        assert!(lines(&loaded)[0].contains("none of its 1 servers is served"), "{:?}", lines(&loaded));
    }
    let loaded = load_in(
        "proxy: { enabled: false, servers: [{ name: a, command: x }] }",
        Syntax::Yaml,
        &[("PROXY_ENABLED", "true")],
    );
    assert_eq!(state(&loaded, "a"), "ready");
}
