//! The config room from its front door: texts in, configs and problems out.

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
fn how_to_log_in() {
    let loaded = load_in(
        r#"
servers:
  a: { url: "https://a.example/mcp" }
  b:
    url: https://b.example/mcp
    auth:
      client_id: "${ID}"
      client_secret: "${SECRET}"
      scopes: "files:read files:write"
      redirect_port: 8123
      issuer: https://login.example
  c: { url: "https://c.example/mcp", auth: { type: client_credentials, client_id: me, client_secret: "${SECRET}", scopes: [x] } }
  d: { url: "https://d.example/mcp", auth: { type: none } }
  e: { url: "https://e.example/mcp", auth: { client_metadata_url: "https://me.example/client.json" } }
"#,
        Syntax::Yaml,
        &[("ID", "registered"), ("SECRET", "hunter2")],
    );
    assert_eq!(lines(&loaded), [] as [String; 0]);
    let auth: Vec<&AuthConfig> = loaded.config.ready().map(|server| &server.auth).collect();
    let oauth = |change: fn(&mut OauthConfig)| {
        let mut config = OauthConfig::default();
        change(&mut config);
        AuthConfig::Oauth(config)
    };
    assert_eq!(*auth[0], AuthConfig::default());
    let client = ConfiguredClient { id: "registered".into(), secret: Some(Secret::new("hunter2")) };
    let AuthConfig::Oauth(second) = auth[1] else { panic!("{auth:?}") };
    assert_eq!(second.client, Some(client));
    assert_eq!(second.scopes, ["files:read", "files:write"]);
    assert_eq!((second.redirect_port, second.issuer.as_deref()), (Some(8123), Some("https://login.example")));
    let AuthConfig::ClientCredentials(third) = auth[2] else { panic!("{auth:?}") };
    assert_eq!(
        (third.client_id.as_str(), &third.proof),
        ("me", &ClientProof::Secret(Secret::new("hunter2")))
    );
    assert_eq!(*auth[3], AuthConfig::None);
    assert_eq!(*auth[4], oauth(|c| c.client_metadata_url = Some("https://me.example/client.json".into())));
    assert!(!format!("{auth:?}").contains("hunter2"));
    assert!(loaded.config.secrets().iter().any(|secret| secret.expose() == "hunter2"));
}

#[test]
fn a_key_instead_of_a_secret() {
    const RSA: &str = include_str!("private_key/rsa-for-tests.pem");
    let loaded = load_in(
        r#"
servers:
  a: { url: "https://a.example/mcp", auth: { type: client_credentials, client_id: me, private_key: "${KEY}", algorithm: RS256, key_id: "${ID}" } }
  b: { url: "https://b.example/mcp", auth: { type: client_credentials, client_id: me, private_key: "${KEY}" } }
"#,
        Syntax::Yaml,
        &[("KEY", RSA), ("ID", "k1")],
    );
    let Some(AuthConfig::ClientCredentials(own)) = loaded.config.ready().map(|server| &server.auth).next()
    else {
        panic!("{:?}", lines(&loaded))
    };
    let ClientProof::Key(key) = &own.proof else { panic!("{own:?}") };
    assert_eq!((key.key.algorithm(), key.id.as_deref()), (Algorithm::Rs256, Some("k1")));
    assert!(loaded.config.secrets().iter().any(|secret| secret.expose() == RSA));
    assert_eq!((state(&loaded, "a"), state(&loaded, "b")), ("ready", "broken"));
    let said = loaded.problems.iter().map(|problem| problem.render(false)).collect::<String>();
    assert!(said.contains("is a key for RS256") && said.contains("write `algorithm: RS256`"), "{said}");
    assert!(!said.contains("MII"), "{said}");
}

#[test]
fn wrong_ways_to_log_in_are_told() {
    let loaded = yaml(
        r#"
servers:
  key: { url: "https://k.example/mcp", auth: { client_id: me, private_key: x } }
  both: { url: "https://l.example/mcp", auth: { type: client_credentials, client_id: me, client_secret: s, private_key: x } }
  word: { url: "https://m.example/mcp", auth: { type: client_credentials, client_id: me, private_key: x, algorithm: HS256 } }
  a: { url: "https://a.example/mcp", auth: { type: client_credentials, client_id: me } }
  b: { url: "https://b.example/mcp", auth: { client_secret: s } }
  c: { url: "https://c.example/mcp", auth: { client_metadata_url: "http://me.example/client.json" } }
  d: { command: x, auth: { type: oauth } }
  e: { url: "https://e.example/mcp", auth: { clientid: x } }
"#,
    );
    let said = lines(&loaded).join("\n");
    for expected in [
        "needs `client_id`, and `client_secret` or `private_key`",
        "no `client_id`",
        "begins with `https://`",
        "only used where Switchboard logs in by itself",
        "both a `client_secret` and a `private_key`",
        "must be `ES256` or `RS256`",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(said.contains("this one is a program") && said.contains("did you mean `client_id`?"), "{said}");
    assert_eq!((state(&loaded, "a"), state(&loaded, "d")), ("broken", "ready"));
}

#[test]
fn logging_in_as_other_programs_say_it() {
    let loaded = yaml(
        r#"
mcpServers:
  claude:   { type: http, url: "https://a.example/mcp", oauth: { clientId: me, callbackPort: 8080, other: 1 } }
  cursor:   { url: "https://b.example/mcp", auth: { CLIENT_ID: me, CLIENT_SECRET: s, scopes: [read] } }
  fastmcp:  { url: "https://c.example/mcp", auth: oauth }
  token:    { url: "https://d.example/mcp", auth: "abcdef" }
  opencode: { url: "https://e.example/mcp", oauth: false }
  gemini:   { httpUrl: "https://f.example/mcp", authProviderType: dynamic_discovery, oauth: { enabled: true, scopes: [read] } }
  codex:    { url: "https://g.example/mcp", scopes: [read], oauth_resource: x }
"#,
    );
    assert_eq!(lines(&loaded), [] as [String; 0]);
    let servers: Vec<&ServerConfig> = loaded.config.ready().collect();
    let oauth = |index: usize| match &servers[index].auth {
        AuthConfig::Oauth(config) => config,
        other => panic!("{other:?}"),
    };
    let id = |index: usize| oauth(index).client.as_ref().map(|client| client.id.as_str());
    assert_eq!((id(0), oauth(0).redirect_port), (Some("me"), Some(8080)));
    assert_eq!((id(1), oauth(1).scopes.len()), (Some("me"), 1));
    assert_eq!(*oauth(2), OauthConfig::default());
    let Launch::Remote(token) = &servers[3].launch else { panic!() };
    assert_eq!(token.headers[0].1.expose(), "Bearer abcdef");
    assert_eq!(servers[4].auth, AuthConfig::None);
    assert_eq!(oauth(5).scopes, ["read"]);
}

#[test]
fn addresses_are_kept_for_later_versions() {
    let loaded = load_in(
        r#"
[servers.a]
httpUrl = "https://a.example/mcp"
headers = { Authorization = "Bearer ${TOKEN}" }
[servers.b]
type = "streamable-http"
serverUrl = "${URL}"
bearer_token_env_var = "TOKEN"
env_http_headers = { "X-Key" = "TOKEN" }
[servers.c]
url = "ftp://x"
"#,
        Syntax::Toml,
        &[("TOKEN", "hunter2"), ("URL", "https://b.example/mcp?key=s3cret")],
    );
    let launches: Vec<String> = loaded
        .config
        .ready()
        .map(|server| match &server.launch {
            Launch::Remote(RemoteLaunch { url, headers, .. }) => {
                let headers: Vec<String> =
                    headers.iter().map(|(name, value)| format!("{name}: {}", value.expose())).collect();
                format!("{url} {headers:?}")
            }
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        launches,
        [
            r#"https://a.example/mcp ["Authorization: Bearer hunter2"]"#,
            r#"https://b.example/mcp?key=s3cret ["X-Key: hunter2", "Authorization: Bearer hunter2"]"#,
        ]
    );
    assert_eq!(state(&loaded, "c"), "broken");
    assert!(!format!("{loaded:?}").contains("s3cret"));
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

#[test]
fn one_broken_entry_disables_no_other() {
    let loaded = yaml(
        "servers:\n  bad: { comand: x }\n  worse: 5\n  good: { command: x }\n  empty:\nexpse: {}\ndefaults: { timeouts: { cal: 1s } }\n",
    );
    assert_eq!(
        ["bad", "worse", "good", "empty"].map(|name| state(&loaded, name)),
        ["broken", "broken", "ready", "broken"]
    );
    assert!(loaded.has_errors());
}

#[test]
fn a_variable_that_is_not_set_holds_back_one_server() {
    // faults.md J13.
    let loaded = yaml(
        "servers:\n  a: { command: x, env: { TOKEN: \"${NOPE}\" }, args: [\"${ALSO_NOT}\"] }\n  b: { command: x }\n  c: { command: x, disabled: true, args: [\"${NOPE}\"] }\n",
    );
    assert_eq!(["a", "b", "c"].map(|name| state(&loaded, name)), ["needs-config", "ready", "disabled"]);
    insta::assert_debug_snapshot!(lines(&loaded), @r#"
[
    "error: yaml:2:34: server `a`: `env.TOKEN`: the environment variable `NOPE` is not set; set `NOPE` where your client starts Switchboard, write `${NOPE:-default}`, or put the value into a file and write `${file:path}` (SB-CFG-007)",
    "error: yaml:2:54: server `a`: `args`: the environment variable `ALSO_NOT` is not set; set `ALSO_NOT` where your client starts Switchboard, write `${ALSO_NOT:-default}`, or put the value into a file and write `${file:path}` (SB-CFG-007)",
]
"#);
}

#[test]
fn secrets_are_collected_and_never_printed() {
    let text = r#"{"mcpServers": {
        "a": {"command": "x", "comandd": 1, "env": {"API_KEY": "hunter-one", "LEVEL": "info"}, "args": ["--k=${KEY}"],
              "headers": {"Authorization": "Bearer hunter-two"}},
        "b": {"command": "x", "args": ["--k=${KEY}"], "env": {"API_KEY": "hunter-one"}, "cwd": "${HOME}"},
        "c": {"command": "x", "env": {"TOKEN": "hunter-four", "TOKEN": "hunter-five"}, "apiKey": "hunter-six"} }}"#;
    let loaded = load_in(text, Syntax::Json, &[("KEY", "hunter-three"), ("HOME", "/home/me")]);
    let secrets: Vec<&str> = loaded.config.secrets().iter().map(Secret::expose).collect();
    for secret in ["hunter-one", "hunter-three"] {
        assert!(secrets.contains(&secret), "{secret} in {secrets:?}");
    }
    assert!(!secrets.contains(&"info") && !secrets.contains(&"/home/me"));
    let mut printed = format!("{loaded:?}");
    for problem in &loaded.problems {
        printed.push_str(&problem.render(false));
        printed.push_str(&problem.one_line());
    }
    printed.push_str(&Settings::render(loaded.settings.of(None).unwrap()));
    printed.push_str(&Settings::to_json(loaded.settings.of(None).unwrap()).to_string());
    assert!(printed.contains("unknown key `comandd`"));
    assert!(!printed.contains("hunter"), "{printed}");
}

#[test]
fn prefixes_are_unique() {
    let loaded = yaml(
        "servers:\n  a_b: { command: x }\n  a-b: { command: x }\n  switchboard: { command: x }\n  none1: { command: x, prefix: \"\" }\n  none2: { command: x, prefix: \"\" }\n  日本: { command: x }\n",
    );
    let prefixes: Vec<&str> = loaded.config.ready().map(|server| server.prefix.as_str()).collect();
    insta::assert_debug_snapshot!(prefixes, @r#"
[
    "a-b",
    "a-b-d443",
    "switchboard-4875",
    "",
    "",
    "scf2a",
]
"#);
    assert_eq!(loaded.problems.len(), 2);
    assert!(!loaded.has_errors());
}

#[test]
fn mending_a_server_does_not_rename_another() {
    let text = |first: &str| format!("servers:\n  a_b: {first}\n  a-b: {{ command: x }}\n");
    let prefix = |first: &str| {
        let loaded = yaml(&text(first));
        loaded.config.ready().find(|server| server.name.as_str() == "a-b").unwrap().prefix.clone()
    };
    let with_good = prefix("{ command: x }");
    assert_ne!(with_good, "a-b");
    assert_eq!(prefix("{ command: x, disabled: true }"), with_good);
    assert_eq!(prefix("{ comand: x }"), with_good);
    assert_eq!(prefix("{ command: \"${NOPE}\" }"), with_good);
}

#[test]
fn names_that_stand_twice_are_named_with_both_places() {
    for (syntax, text) in [
        (Syntax::Yaml, "servers:\n  a: { command: x }\n  a: { command: y }\n  b: { command: x }\n"),
        (
            Syntax::Json,
            "{\"servers\": {\n\"a\": {\"command\": \"x\"},\n\"a\": {\"command\": \"y\"}, \"b\": {\"command\": \"x\"}}}",
        ),
        (
            Syntax::Toml,
            "[servers.b]\ncommand = \"x\"\n[servers.a]\ncommand = \"x\"\n[servers.a]\ncommand = \"y\"\n",
        ),
    ] {
        let loaded = load_in(text, syntax, &[]);
        assert_eq!([state(&loaded, "a"), state(&loaded, "b")], ["broken", "ready"], "{:?}", lines(&loaded));
        let problem = loaded.problems.iter().find(|problem| problem.code == Code::ConfigConflict).unwrap();
        assert!(problem.message.contains("stands twice in `servers`, first in line"), "{}", problem.message);
        assert!(problem.render(false).contains("first here"), "{}", problem.render(false));
    }
}

#[test]
fn everything_wrong_is_said_at_once_in_every_syntax() {
    let yaml_text =
        "servers:\n  github:\n    comand: npx\n    timeouts: { call: 60 }\n    start: lasy\n    args: -y\n";
    insta::assert_snapshot!(rendered(&load_in(yaml_text, Syntax::Yaml, &[])), @r#"
error[SB-CFG-002]: server `github`: unknown key `comand`
 --> /etc/sb/switchboard.yaml:3:5
  |
3 |     comand: npx
  |     ^^^^^^
  |
  = help: did you mean `command`?

error[SB-CFG-003]: server `github`: `timeouts.call` must be a duration such as "500ms", "30s" or "5m", found the number `60`
 --> /etc/sb/switchboard.yaml:4:23
  |
4 |     timeouts: { call: 60 }
  |                       ^^
  |
  = help: a duration needs a unit: did you mean "60s"?

error[SB-CFG-003]: server `github`: `start` must be `lazy` or `eager`, found `lasy`
 --> /etc/sb/switchboard.yaml:5:12
  |
5 |     start: lasy
  |            ^^^^
  |
  = help: did you mean `lazy`?

error[SB-CFG-003]: server `github`: `args` must be a list, found a string
 --> /etc/sb/switchboard.yaml:6:11
  |
6 |     args: -y
  |           ^^
  |
  = help: put it into brackets: `[…]`
"#);
    let json_text = "{\n  \"mcpServers\": {\n    \"github\": { \"comand\": \"npx\" }\n  }\n}\n";
    insta::assert_snapshot!(rendered(&load_in(json_text, Syntax::Json, &[])), @r#"
error[SB-CFG-002]: server `github`: unknown key `comand`
 --> /etc/sb/switchboard.json:3:17
  |
3 |     "github": { "comand": "npx" }
  |                 ^^^^^^^^
  |
  = help: did you mean `command`?
"#);
    let toml_text = "[servers.github]\ncommand = \"npx\"\nlimits = { message = \"16 MBit\" }\n";
    insta::assert_snapshot!(rendered(&load_in(toml_text, Syntax::Toml, &[])), @r#"
error[SB-CFG-003]: server `github`: `limits.message` must be a size such as "64KiB" or "16MiB", found `16 MBit`
 --> /etc/sb/switchboard.toml:3:22
  |
3 | limits = { message = "16 MBit" }
  |                      ^^^^^^^^^
"#);
}

fn rendered(loaded: &Loaded) -> String {
    let texts: Vec<String> = loaded.problems.iter().map(|problem| problem.render(false)).collect();
    texts.join("\n\n")
}

#[test]
fn sections_that_stand_twice_are_errors() {
    for text in [
        "servers: { a: { command: x } }\nservers: { b: { command: x } }\n",
        "expose: { max_name: 52 }\nexpose: { max_name: 60 }\n",
        "proxy: { enabled: true }\nproxy: { enabled: false }\n",
    ] {
        let loaded = yaml(text);
        assert_eq!(loaded.problems.len(), 1, "{:?}", lines(&loaded));
        assert!(lines(&loaded)[0].contains("stands twice, first in line 1"), "{:?}", lines(&loaded));
    }
    let merged = yaml("servers: { a: { command: x } }\nmcpServers: { b: { command: x } }\n");
    assert_eq!((merged.problems.len(), merged.config.ready().count()), (0, 2));
}

#[test]
fn syntax_errors_have_a_place_in_every_syntax() {
    let mut found = Vec::new();
    for (syntax, text) in [
        (Syntax::Json, "{\n  \"servers\": {\n    \"a\": {\"command\" \"x\"}\n  }\n}"),
        (Syntax::Json, "[1]"),
        (Syntax::Json, "{\"servers\": {\"a\": {\"command\": \"x\"}}"),
        (Syntax::Json, "{'servers': {}}"),
        (Syntax::Yaml, "a: *nope\n"),
        (Syntax::Yaml, "a: \"x\nb: y\n"),
        (Syntax::Yaml, "servers:\n  a:\n    command: [x\n"),
        (Syntax::Yaml, "servers:\n\ta: 1\n"),
        (Syntax::Yaml, "- a\n"),
        (Syntax::Toml, "[servers.a\ncommand = \"x\"\n"),
        (Syntax::Toml, "a = 1\nb = = 2\nc = \"\n"),
    ] {
        let loaded = load_in(text, syntax, &[]);
        assert!(loaded.config.servers.is_empty());
        assert!(loaded.has_errors(), "{syntax:?} {text}");
        for problem in &loaded.problems {
            assert_eq!(problem.code, Code::ConfigSyntax);
            assert!(problem.place.is_some());
            problem.render(true);
        }
        found.push(lines(&loaded).join(" | "));
    }
    insta::assert_snapshot!(found.join("\n"), @r#"
error: json:3:21: not valid JSON: expected colon after the string or word in object property (SB-CFG-001)
error: json:1:1: a config is a mapping, found a list; begin with `servers:` (SB-CFG-001)
error: json:1:1: not valid JSON: unterminated object; close it with `}`, `]` or `*/` (SB-CFG-001)
error: json:1:2: not valid JSON: single-quoted strings are not allowed; write double quotes (SB-CFG-001)
error: yaml:1:4: not valid YAML: while parsing node, found unknown anchor; an alias `*name` needs an anchor `&name` before it; quote the text if it is none (SB-CFG-001)
error: yaml:1:4: not valid YAML: invalid indentation in quoted scalar (SB-CFG-001)
error: yaml:4:1: not valid YAML: while parsing a flow sequence, expected ',' or ']' (SB-CFG-001)
error: yaml:2:2: not valid YAML: tabs disallowed within this context (block indentation); indent with spaces (SB-CFG-001)
error: yaml:1:1: a config is a mapping, found a list; begin with `servers:` (SB-CFG-001)
error: toml:1:11: not valid TOML: unclosed table, expected `]` (SB-CFG-001)
error: toml:2:5: not valid TOML: extra `=`, expected nothing (SB-CFG-001) | error: toml:2:7: not valid TOML: unexpected key or value, expected newline, `#` (SB-CFG-001) | error: toml:3:6: not valid TOML: invalid basic string, expected `"` (SB-CFG-001)
"#);
}

/// One line per kind of mistake, as a newcomer reads it.
#[test]
fn every_kind_of_mistake() {
    let check = |entry: &str| {
        let loaded = yaml(&format!("servers:\n  s: {entry}\n"));
        let line = lines(&loaded).join(" | ");
        format!("{} <- {line}", state(&loaded, "s"))
    };
    let found: Vec<String> = [
        "{ comand: x }",
        "{ command: x, inheritEnv: [] }",
        "{ command: x, expose: {} }",
        "{ command: x, qwertz: 1 }",
        "{ args: [x] }",
        "{ command: x, url: https://x }",
        "{ type: stdio, url: https://x }",
        "{ type: sse, command: x }",
        "{ type: studio, command: x }",
        "{ url: x.example }",
        "{ command: \"\" }",
        "{ command: npx -y server }",
        "{ command: {} }",
        "{ command: x, args: -y }",
        "{ command: x, env: [A=b] }",
        "{ command: x, env: { A: } }",
        "{ command: x, env: { A: [1] } }",
        "{ command: x, env: { A=B: c } }",
        "{ command: x, cmd: y }",
        "{ command: x, enabled: false, disabled: false }",
        "{ command: x, enabled: \"yes\" }",
        "{ command: x, timeouts: { call: 60 } }",
        "{ command: x, timeouts: { call: \"60\" } }",
        "{ command: x, timeouts: { call: soon } }",
        "{ command: x, timeouts: { call: 0s } }",
        "{ command: x, timeouts: { call: 999d } }",
        "{ command: x, timeouts: { call: 1h } }",
        "{ command: x, timeouts: { call: never } }",
        "{ command: x, timeouts: 5s }",
        "{ command: x, limits: { message: big } }",
        "{ command: x, limits: { result: 9MiB } }",
        "{ command: x, prefix: \"___\" }",
        "{ command: x, prefix: 5 }",
        "{ command: x, tools: { include: 5 } }",
        "{ command: x, protocol: 2025-06-19 }",
        "{ command: x, protocol: 2026-07-28 }",
        "{ command: x, timeout: 60 }",
        "{ command: x, envFile: .env }",
        "{ command: x, replicas: 0 }",
        "{ command: x, cache: { ttl: 5m, tools: \"query_*\" } }",
        "{ command: x, rate_limit: { per: 1m } }",
        "{ command: x, definitions: { changes: deny } }",
        "{ command: x, cache: true }",
        "{ command: x, health_check: { path: /health } }",
        "{ url: https://x, health_check: { path: health } }",
        "{ command: x, health_check: { tool: a, command: b } }",
        "{ command: x, health_check: { arguments: { a: 1 } } }",
        "{ command: \"${keyring:x}\" }",
        "{ command: \"${A\" }",
        "{ command: \"${A-b}\" }",
        "{ <<: 1, command: x }",
        "{ command: x, inherit_env: [A=b] }",
        "{ url: https://x, headers: { A: \"b\\nc\" } }",
    ]
    .iter()
    .map(|entry| format!("{entry}\n    {}", check(entry)))
    .collect();
    insta::assert_snapshot!(found.join("\n"), @r#"
{ comand: x }
    broken <- error: yaml:2:8: server `s`: unknown key `comand`; did you mean `command`? (SB-CFG-002)
{ command: x, inheritEnv: [] }
    broken <- error: yaml:2:20: server `s`: unknown key `inheritEnv`; did you mean `inherit_env`? (SB-CFG-002)
{ command: x, expose: {} }
    broken <- error: yaml:2:20: server `s`: unknown key `expose`; this key belongs at the top of the file (SB-CFG-002)
{ command: x, qwertz: 1 }
    broken <- error: yaml:2:20: server `s`: unknown key `qwertz` (SB-CFG-002)
{ args: [x] }
    broken <- error: yaml:2:3: server `s`: the entry has neither `command` nor `url`; add `command: …` (a program) or `url: …` (an address) (SB-CFG-004)
{ command: x, url: https://x }
    broken <- error: yaml:2:25: server `s`: the entry has both `command` and `url`; keep one of them, or say which with `type: stdio` or `type: http` (SB-CFG-005)
{ type: stdio, url: https://x }
    broken <- error: yaml:2:3: server `s`: `type: stdio` needs `command`, which is not there; add `command: …` (SB-CFG-004)
{ type: sse, command: x }
    broken <- error: yaml:2:3: server `s`: `type: sse` needs `url`, which is not there; add `url: …` (SB-CFG-004)
{ type: studio, command: x }
    broken <- error: yaml:2:14: server `s`: `type` must be `stdio`, `http`, `sse` or `websocket`, found `studio`; did you mean `stdio`? (SB-CFG-003)
{ url: x.example }
    broken <- error: yaml:2:13: server `s`: `url` must begin with `http://`, `https://`, `ws://`, `wss://`, `unix://` or `http+unix://` (SB-CFG-003)
{ command: "" }
    broken <- error: yaml:2:17: server `s`: `command` is empty (SB-CFG-003)
{ command: npx -y server }
    ready <- warning: yaml:2:17: server `s`: `command` is one program's name, found a whole line; put each argument into `args`: no shell splits the line (SB-CFG-003)
{ command: {} }
    broken <- error: yaml:2:17: server `s`: `command` must be a string or a list, found a mapping (SB-CFG-003)
{ command: x, args: -y }
    broken <- error: yaml:2:26: server `s`: `args` must be a list, found a string; put it into brackets: `[…]` (SB-CFG-003)
{ command: x, env: [A=b] }
    broken <- error: yaml:2:25: server `s`: `env` must be a mapping, found a list (SB-CFG-003)
{ command: x, env: { A: } }
    broken <- error: yaml:2:28: server `s`: `env.A` has no value; write `""` if it is meant to be empty (SB-CFG-003)
{ command: x, env: { A: [1] } }
    broken <- error: yaml:2:30: server `s`: `env.A` must be a string, found a list (SB-CFG-003)
{ command: x, env: { A=B: c } }
    broken <- error: yaml:2:27: server `s`: `A=B` cannot be a name in `env` (SB-CFG-003)
{ command: x, cmd: y }
    broken <- error: yaml:2:20: server `s`: `cmd` says the same as another key of this mapping: both mean `command`; keep one of them (SB-CFG-005)
{ command: x, enabled: false, disabled: false }
    broken <- error: yaml:2:46: server `s`: `enabled` and `disabled` contradict each other; keep one of them (SB-CFG-005)
{ command: x, enabled: "yes" }
    broken <- error: yaml:2:29: server `s`: `enabled` must be `true` or `false`, found a string; write `true`, without quotes (SB-CFG-003)
{ command: x, timeouts: { call: 60 } }
    broken <- error: yaml:2:38: server `s`: `timeouts.call` must be a duration such as "500ms", "30s" or "5m", found the number `60`; a duration needs a unit: did you mean "60s"? (SB-CFG-003)
{ command: x, timeouts: { call: "60" } }
    broken <- error: yaml:2:38: server `s`: `timeouts.call` must be a duration such as "500ms", "30s" or "5m", found `60`; a duration needs a unit: did you mean "60s"? (SB-CFG-003)
{ command: x, timeouts: { call: soon } }
    broken <- error: yaml:2:38: server `s`: `timeouts.call` must be a duration such as "500ms", "30s" or "5m", found `soon` (SB-CFG-003)
{ command: x, timeouts: { call: 0s } }
    broken <- error: yaml:2:38: server `s`: `timeouts.call` must be longer than nothing (SB-CFG-003)
{ command: x, timeouts: { call: 999d } }
    broken <- error: yaml:2:38: server `s`: `timeouts.call` is longer than 30 days, found `999d` (SB-CFG-003)
{ command: x, timeouts: { call: 1h } }
    ready <- warning: yaml:2:38: server `s`: `timeouts.call` is longer than `timeouts.total`, which ends the call first; raise `timeouts.total` as well (SB-CFG-005)
{ command: x, timeouts: { call: never } }
    broken <- error: yaml:2:38: server `s`: `timeouts.call` must be a duration such as "500ms", "30s" or "5m", found `never` (SB-CFG-003)
{ command: x, timeouts: 5s }
    broken <- error: yaml:2:30: server `s`: `timeouts` must be a mapping, found a string (SB-CFG-003)
{ command: x, limits: { message: big } }
    broken <- error: yaml:2:39: server `s`: `limits.message` must be a size such as "64KiB" or "16MiB", found `big` (SB-CFG-003)
{ command: x, limits: { result: 9MiB } }
    broken <- error: yaml:2:38: server `s`: `limits.result` must be from 1KiB to 8MiB, found `9MiB` (SB-CFG-003)
{ command: x, prefix: "___" }
    broken <- error: yaml:2:28: server `s`: `prefix` has no letter (a-z) or digit; write `""` if the names should have no prefix (SB-CFG-003)
{ command: x, prefix: 5 }
    broken <- error: yaml:2:28: server `s`: `prefix` must be a string, found the number `5` (SB-CFG-003)
{ command: x, tools: { include: 5 } }
    broken <- error: yaml:2:38: server `s`: `tools.include` must be a string, found the number `5` (SB-CFG-003)
{ command: x, protocol: 2025-06-19 }
    broken <- error: yaml:2:30: server `s`: `protocol` must be `auto`, `legacy`, `2024-11-05`, `2025-03-26`, `2025-06-18`, `2025-11-25` or `2026-07-28`, found `2025-06-19`; did you mean `2025-06-18`? (SB-CFG-003)
{ command: x, protocol: 2026-07-28 }
    ready <- 
{ command: x, timeout: 60 }
    ready <- warning: yaml:2:20: server `s`: `timeout` is a key of other programs and is ignored; programs differ on its unit; write `timeouts: { call: 60s }` (SB-CFG-008)
{ command: x, envFile: .env }
    ready <- warning: yaml:2:20: server `s`: `envFile` is a key of other programs and is ignored; this file is not read; write the variables under `env`, or use `${file:path}` (SB-CFG-008)
{ command: x, replicas: 0 }
    broken <- error: yaml:2:30: server `s`: `replicas` must be a whole number from 1 to 64, found the number `0` (SB-CFG-003)
{ command: x, cache: { ttl: 5m, tools: "query_*" } }
    ready <- warning: yaml:2:45: server `s`: nothing of `cache.tools` is kept, because no tool is known to do nothing but read; write, for example, `effects: { query: read }`, or `trust_annotations: true` (SB-CFG-004)
{ command: x, rate_limit: { per: 1m } }
    broken <- error: yaml:2:32: server `s`: `rate_limit` needs `calls`, which is not there; write, for example, `rate_limit: { calls: 60, per: 1m }` (SB-CFG-004)
{ command: x, definitions: { changes: deny } }
    broken <- error: yaml:2:44: server `s`: `definitions.changes` must be `allow`, `flag` or `hold`, found `deny` (SB-CFG-003)
{ command: x, cache: true }
    broken <- error: yaml:2:27: server `s`: `cache` must be a mapping, or `false`, found `true` (SB-CFG-003)
{ command: x, health_check: { path: /health } }
    broken <- error: yaml:2:34: server `s`: `health_check.path` must begin with `/`, and the server must be one with an HTTP address; for other servers there are `health_check.tool` and `health_check.command` (SB-CFG-003)
{ url: https://x, health_check: { path: health } }
    broken <- error: yaml:2:38: server `s`: `health_check.path` must begin with `/`, and the server must be one with an HTTP address; for other servers there are `health_check.tool` and `health_check.command` (SB-CFG-003)
{ command: x, health_check: { tool: a, command: b } }
    broken <- error: yaml:2:34: server `s`: `health_check` has `tool` and `command`: only one can be meant; remove one of them (SB-CFG-005)
{ command: x, health_check: { arguments: { a: 1 } } }
    broken <- error: yaml:2:47: server `s`: `health_check.arguments` are those of `health_check.tool`, which is not there; write, for example, `health_check: { tool: status, arguments: { deep: false } }` (SB-CFG-004)
{ command: "${keyring:x}" }
    needs-config <- error: yaml:2:17: server `s`: `command`: `${keyring:x}` needs a keyring, which this version does not have; use `${env:NAME}` or `${file:path}` instead (SB-CFG-007)
{ command: "${A" }
    broken <- error: yaml:2:17: server `s`: `command`: the reference `${A` has no closing brace; write `$${` for a literal `${` (SB-CFG-003)
{ command: "${A-b}" }
    broken <- error: yaml:2:17: server `s`: `command`: `${A-b}` is not a reference: it is none of `${VAR}`, `${VAR:-default}`, `${env:VAR}`, `${file:path}`; write `$${` for a literal `${` (SB-CFG-003)
{ <<: 1, command: x }
    broken <- error: yaml:2:8: server `s`: unknown key `<<`; merge keys are not part of YAML 1.2; put shared settings under `defaults:` (SB-CFG-002)
{ command: x, inherit_env: [A=b] }
    broken <- error: yaml:2:34: server `s`: `inherit_env[0]` must be the name of an environment variable, found a string (SB-CFG-003)
{ url: https://x, headers: { A: "b\nc" } }
    broken <- error: yaml:2:38: server `s`: `headers.A` contains a line break (SB-CFG-003)
"#);
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let load_file = |name: &str, content: Option<&[u8]>| {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let loaded = load(&locate(Some(&path), &Environment::default()), &Environment::default());
        assert!(loaded.config.servers.is_empty());
        lines(&loaded).join(" | ").replace(folder.path().to_str().unwrap(), "/f")
    };
    let found = [
        load_file("missing.json", None),
        load_file("unknown.conf", Some(b"{}")),
        load_file("latin.yaml", Some(b"a: 1\nb: \xe9\n")),
        load_file("wide.json", Some(b"\xff\xfe{\0}\0")),
        load_file("large.json", Some(&vec![b' '; (4 << 20) + 1])),
        load_file(".", None),
        load_file("empty.json", Some(b"")),
        load_file("bom.json", Some(b"\xef\xbb\xbf{\"servers\": {}}")),
    ];
    insta::assert_debug_snapshot!(found, @r#"
[
    "error: the config file /f/missing.json cannot be opened: No such file or directory (os error 2); `switchboard config path` shows which file is used and why (SB-CFG-006)",
    "error: the name of /f/unknown.conf does not tell its syntax; end it with .json, .jsonc, .yaml, .yml or .toml (SB-CFG-006)",
    "error: the config file /f/latin.yaml is not valid UTF-8 in line 2; save it as UTF-8 (SB-CFG-006)",
    "error: the config file /f/wide.json is encoded as UTF-16; save it as UTF-8 (SB-CFG-006)",
    "error: the config file /f/large.json is larger than 4MiB (SB-CFG-006)",
    "error: the name of /f does not tell its syntax; end it with .json, .jsonc, .yaml, .yml or .toml (SB-CFG-006)",
    "",
    "",
]
"#);
}

#[test]
fn stages_are_what_the_config_asks_for() {
    assert_eq!(only(yaml("servers:\n  a: { command: x }\n")).stages, Stages::default());
    let text = "
defaults: { retry: { max_attempts: 5 }, breaker: {}, concurrency: { max: 2 } }
servers:
  a:
    command: x
    retry: { base_delay: 1s }
    concurrency: { queue: 0, wait: 0s }
    rate_limit: { calls: 60, burst: 10, each: client }
    cache: { ttl: 5m, tools: query_*, max_bytes: 1MiB, negative_ttl: 2s, stale_if_error: 1h }
    validate: { input: closed, coerce: true }
    effects: { look: read, purge: destructive }
    trust_annotations: true
    balance: least_loaded
    health_check: { interval: 7s }
";
    let expected = Stages {
        rate_limit: Some(RateLimit {
            calls: 60,
            per: Duration::from_secs(60),
            burst: 10,
            each: Each::Client,
        }),
        cache: Some(CacheRules {
            ttl: Duration::from_secs(300),
            tools: Some(vec![Glob::new("query_*")]),
            max_bytes: 1 << 20,
            negative_ttl: Some(Duration::from_secs(2)),
            stale_if_error: Some(Duration::from_secs(3600)),
        }),
        level: SecurityLevel::Low,
        built_ins: BuiltIns::default(),
        validate: Some(Validation { input: InputCheck::Closed, output: OutputCheck::Off, coerce: true }),
        concurrency: Some(Concurrency { max: 2, queue: 0, wait: Duration::ZERO }),
        retry: Some(Retry { max_attempts: 5, base_delay: Duration::from_secs(1), ..Retry::default() }),
        breaker: Some(BreakerRules::default()),
        effects: [("look", Effect::Read), ("purge", Effect::Destructive)].into_iter().collect(),
        trust_annotations: true,
        balance: Balance::LeastLoaded,
        health_check: Some(HealthCheck { interval: Duration::from_secs(7), ..HealthCheck::default() }),
    };
    assert_eq!(only(yaml(text)).stages, expected);
    let built_in = only(yaml("servers:\n  a: { command: x, rate_limit: { calls: 4 } }\n")).stages;
    assert_eq!(built_in.rate_limit.map(|limit| limit.burst), Some(3));
}

#[test]
fn a_stage_of_the_defaults_is_switched_off_for_one_server() {
    let text = "
defaults: { cache: {}, retry: {}, breaker: {}, concurrency: {}, validate: {}, rate_limit: { calls: 1 }, health_check: {}, definitions: {} }
servers:
  a: { command: x, security_level: high, cache: false, retry: false, breaker: false, concurrency: false, validate: false,
       rate_limit: false, health_check: false, definitions: false }
";
    let config = only(yaml(text));
    let Stages { cache, retry, breaker, concurrency, validate, rate_limit, health_check, .. } = config.stages;
    assert!(cache.is_none() && retry.is_none() && breaker.is_none() && concurrency.is_none());
    assert!(validate.is_none() && rate_limit.is_none() && health_check.is_none());
    assert!(config.definitions.is_none());
}

#[test]
fn a_security_level_counts_where_nothing_else_is_said() {
    let stages = |text: &str| only(yaml(text)).stages;
    assert_eq!(stages("security: { level: low }\nservers: { a: { command: x } }\n"), Stages::default());
    let medium = stages("security: { level: medium }\nservers: { a: { command: x } }\n");
    assert_eq!(medium.validate, Some(Validation::default()));
    assert_eq!((medium.rate_limit, medium.built_ins), (None, BuiltIns::default()));
    let high = stages(
        "servers: { a: { command: x, security_level: high, validate: { output: warn }, rate_limit: { calls: 5 } } }\n",
    );
    let expected = Validation { input: InputCheck::Closed, output: OutputCheck::Warn, coerce: false };
    assert_eq!(high.validate, Some(expected));
    assert_eq!(high.rate_limit.map(|limit| (limit.calls, limit.each)), Some((5, Each::Server)));
    assert_eq!(high.built_ins.redact.len(), 1);
    let loaded =
        yaml("security: { level: high }\nservers: { a: { command: x, validate: { input: off } } }\n");
    let shown = loaded.settings.of(Some("a")).map(Settings::render).unwrap_or_default();
    assert!(shown.contains("preset high") && shown.contains("output: \"strict\""), "{shown}");
}

#[test]
fn built_in_interceptors_are_read() {
    let text = "
servers: { a: { command: x, env: { API_TOKEN: abcdefgh12 } } }
interceptors:
  - { on: before, match: 'a__*', redact: { secrets: [aws, email], patterns: ['x+'], with: '#' } }
  - { log: { arguments: true } }
";
    let found = only(yaml(text)).stages.built_ins;
    let redact = &found.redact[0];
    assert_eq!((redact.arguments, redact.results, redact.with.as_str()), (true, false, "#"));
    assert_eq!(redact.kinds, [SecretKind::Aws, SecretKind::Email]);
    assert_eq!(redact.tools, Some(vec![Glob::new("a__*")]));
    assert_eq!(redact.secrets.iter().map(Secret::expose).collect::<Vec<_>>(), ["abcdefgh12"]);
    assert!(found.log[0].arguments);
    for (pattern, why) in
        [("(", "no regular expression"), ("x*", "matches the empty text"), ("(?=x)", "no regular expression")]
    {
        let loaded =
            yaml(&format!("servers: {{}}\ninterceptors: [ {{ redact: {{ patterns: ['{pattern}'] }} }} ]\n"));
        assert!(lines(&loaded).iter().any(|line| line.contains(why)), "{pattern}: {:?}", lines(&loaded));
    }
}

#[test]
fn rules_for_arguments_are_read() {
    let entry = |rules: &str| {
        let tools = format!("tools: {{ override: {{ q: {{ arguments: {{ r: {rules} }} }} }} }}");
        format!("servers:\n  a: {{ command: x, {tools} }}\n")
    };
    let rules = |text: &str| only(yaml(&entry(text))).tools.overrides[0].1.arguments.clone();
    assert_eq!(rules("{ fixed: [1] }"), [("r".to_owned(), ArgumentRule::Fixed(serde_json::json!([1])))]);
    let open = ArgumentRule::Open { rename: Some("s".to_owned()), default: Some(serde_json::json!(5)) };
    assert_eq!(rules("{ rename: s, default: 5 }"), [("r".to_owned(), open)]);
    assert!(lines(&yaml(&entry("{ fixed: 1, default: 2 }")))[0].contains("has a fixed value"));
}

#[test]
fn definitions_are_watched_as_the_config_asks() {
    let rules = |text: &str| only(yaml(text)).definitions;
    assert_eq!(rules("servers: { a: { command: x } }"), None);
    let flag = DefinitionRules { changes: Answer::Flag, findings: Answer::Flag };
    assert_eq!(rules("servers: { a: { command: x, definitions: {} } }"), Some(flag));
    let text = "
defaults: { definitions: { changes: hold, findings: allow } }
servers: { a: { command: x, definitions: { findings: hold } } }
";
    assert_eq!(rules(text), Some(DefinitionRules { changes: Answer::Hold, findings: Answer::Hold }));
    let text = "servers: { a: { command: x, definitions: { changes: allow, findings: allow } } }";
    assert_eq!(rules(text), None, "what asks for nothing costs nothing");
    let foreign = yaml("servers: { a: { command: x, trust: true } }");
    assert!(foreign.problems.is_empty(), "`trust` is a key of another client");
}

#[test]
fn a_server_may_be_several() {
    let urls = |server: &ServerConfig| -> Vec<String> {
        let all = std::iter::once(&server.launch).chain(&server.others);
        all.map(|launch| match launch {
            Launch::Stdio(launch) => launch.command.clone(),
            Launch::Remote(launch) => format!("{} {:?} {}", launch.url, launch.kind, launch.headers.len()),
        })
        .collect()
    };
    let of = |entry: &str| urls(&only(yaml(&format!("servers:\n  s: {entry}\n"))));
    assert_eq!(of("{ command: x, replicas: 3 }"), ["x", "x", "x"]);
    assert_eq!(of("{ command: x, replicas: 1 }"), ["x"]);
    let both =
        of("{ url: \"http://a\", endpoints: [\"http://b\", \"http://a\", \"ws://c\"], headers: { k: v } }");
    assert_eq!(both, ["http://a Auto 1", "http://b Auto 1", "ws://c WebSocket 1"]);
    assert_eq!(of("{ endpoints: [\"http://a\", \"http://b\"] }"), ["http://a Auto 0", "http://b Auto 0"]);
    for entry in [
        "{ command: x, endpoints: [\"http://a\"] }",
        "{ url: \"http://a\", replicas: 2 }",
        "{ endpoints: [] }",
        "{ endpoints: [\"http://a\", \"ftp://b\"] }",
    ] {
        assert!(yaml(&format!("servers:\n  s: {entry}\n")).has_errors(), "{entry}");
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

fn examples() -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> =
        std::fs::read_dir("examples/config").unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5);
    paths
}

#[test]
fn the_examples_load_without_errors() {
    let environment = environment(&[("HOME", "/home/me")]);
    for path in examples() {
        let loaded = load(&locate(Some(&path), &environment), &environment);
        assert!(!loaded.has_errors(), "{path:?}: {:#?}", lines(&loaded));
        assert!(loaded.config.ready().count() > 0, "{path:?}");
        let planned = ["everything.yaml", "proxy.yaml"].iter().any(|name| path.ends_with(name));
        assert!(planned || loaded.problems.is_empty(), "{path:?}: {:#?}", lines(&loaded));
        assert!(loaded.problems.iter().all(|problem| problem.code == Code::ConfigNotInForce), "{path:?}");
    }
}

#[test]
fn the_schema_accepts_the_examples_and_refuses_mistakes() {
    let schema = json_schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for path in examples() {
        let syntax = Syntax::of_extension(path.extension().unwrap().to_str().unwrap()).unwrap();
        let tree = super::tree::parse(&std::fs::read_to_string(&path).unwrap(), syntax).unwrap().to_json();
        let tree = without_nulls(tree);
        let errors: Vec<String> = validator.iter_errors(&tree).map(|error| error.to_string()).collect();
        assert_eq!(errors, [] as [String; 0], "{path:?}");
    }
    for wrong in [
        serde_json::json!({ "servers": { "a": { "comand": "x" } } }),
        serde_json::json!({ "servers": { "a": { "command": "x", "timeouts": { "call": 60 } } } }),
        serde_json::json!({ "expose": { "max_name": 5 } }),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}

/// `otlp: null` says nothing, and the schema need not allow it.
fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(elements) => elements.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// The schema and the checker agree about single values, whatever the shape.
#[test]
fn every_key_of_the_tables_is_in_the_schema() {
    fn walk(table: &super::shape::Table, schema: &serde_json::Value) {
        for key in table.keys() {
            for name in std::iter::once(&key.name).chain(key.aliases) {
                assert!(schema["properties"].get(name).is_some(), "{name} is not in the schema");
            }
            if let super::shape::Shape::Table(below) = key.shape {
                walk(below, &schema["properties"][key.name]);
            }
        }
    }
    let schema = json_schema();
    walk(&super::keys::ROOT, &schema);
    walk(&super::keys::SERVER, &schema["$defs"]["server"]);
}

#[test]
fn no_name_means_two_keys() {
    for table in [&super::keys::ROOT, &super::keys::SERVER, &super::keys::DEFAULTS, &super::keys::MISSION] {
        let mut seen = std::collections::HashSet::new();
        for key in table.keys() {
            for name in std::iter::once(&key.name).chain(key.aliases) {
                assert!(seen.insert(*name), "{name} stands twice");
            }
        }
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever stands in the file, loading and rendering give an answer.
        #[test]
        fn any_text_loads(text in "(\\PC|\n|\t|[{}\\[\\]:,\"'&*#$-]){0,200}") {
            for syntax in [Syntax::Json, Syntax::Yaml, Syntax::Toml] {
                for problem in load_in(&text, syntax, &[]).problems {
                    problem.render(false);
                    problem.one_line();
                }
            }
        }

        /// The same, with texts that are almost a config.
        #[test]
        fn any_entry_loads(key in "[a-z_]{1,8}|command|args|env|timeouts|tools|prefix|type|url", value in "\\PC{0,12}|[0-9]{1,5}|\\[\\]|\\{\\}|\\$\\{[A-Z]*[:}-]{0,3}") {
            let text = format!("servers:\n  a:\n    command: x\n    {key}: {value}\n  b: {{ command: y }}\n");
            let loaded = load_in(&text, Syntax::Yaml, &[]);
            for problem in &loaded.problems {
                problem.render(false);
            }
            let is_tree = loaded.problems.iter().all(|problem| problem.code != Code::ConfigSyntax);
            prop_assert!(!is_tree || state(&loaded, "b") == "ready");
        }
    }
}

#[test]
fn who_looks_at_calls() {
    let loaded = yaml(
        r#"
servers: { guards: { command: x } }
interceptors:
  - { match: "files__*", command: ./guard.py, timeout: 500ms }
  - name: words
    on: [before, after]
    events: tools/call
    command: [python3, words.py]
    env: { PLAIN: "hunter2" }
    once: true
    fail: open
    priority: -7
    type: validation
    mode: audit
    config: { list: [1.10] }
  - { on: error, url: "https://me:secret@hooks.example/x", type: validation }
  - { server: guards }
  - { deny: no }
  - { redact: {} }
"#,
    );
    assert_eq!(lines(&loaded), [""; 0]);
    let interceptors = &loaded.config.interceptors;
    let names: Vec<&str> = interceptors.iter().map(|entry| entry.rules.name.as_str()).collect();
    assert_eq!(names, ["guard.py", "words", "hooks.example", "guards", "deny"]);
    let default = InterceptorRules::named("guard.py");
    let first = InterceptorRules {
        matches: vec![Glob::new("files__*")],
        timeout: Duration::from_millis(500),
        ..default
    };
    assert_eq!(interceptors[0].rules, first);
    let words = InterceptorRules {
        on: vec![Phase::Before, Phase::After],
        events: Some(vec![Glob::new("tools/call")]),
        fail: Some(Fail::Open),
        priority: Some(-7),
        kind: InterceptorKind::Validation,
        mode: Some(InterceptorMode::Audit),
        ..InterceptorRules::named("words")
    };
    assert_eq!(interceptors[1].rules, words);
    let shown = Settings::to_json(loaded.settings.of(None).unwrap()).to_string();
    assert!(shown.contains(r#""env":{"PLAIN":"***"}"#), "{shown}");
    let InterceptorWay::Command { launch, once: true, config } = &interceptors[1].way else {
        panic!("{interceptors:?}")
    };
    assert_eq!((launch.command.as_str(), &launch.args[..]), ("python3", &["words.py".to_owned()][..]));
    assert_eq!(launch.cwd.as_deref(), Some(Path::new("/etc/sb")));
    assert_eq!(config.as_deref(), Some(r#"{"list":[1.10]}"#));
    assert!(matches!(&interceptors[2].way, InterceptorWay::Url { .. }));
    assert_eq!(interceptors[3].rules.on, [Phase::Before, Phase::After]);
    assert!(matches!(&interceptors[4].way, InterceptorWay::Deny(reason) if reason == "no"));
}

#[test]
fn an_interceptor_that_is_wrong_is_kept_as_one_that_fails() {
    let loaded = yaml(
        r#"
servers: { guards: { command: x } }
interceptors:
  - { match: "a__*", comand: ./guard.py }
  - { match: "b__*" }
  - { command: x, url: "https://a.example" }
  - { url: "ws://a.example" }
  - { server: gards }
  - { command: x, env: { KEY: "${NOT_SET}" } }
  - { command: x, fail: opne, timeout: 5, priority: 1.5, on: never }
  - 7
  - { command: "" }
"#,
    );
    insta::assert_debug_snapshot!(lines(&loaded), @r#"
[
    "error: yaml:4:22: unknown key `comand` in `interceptors[0]`; did you mean `command`? (SB-CFG-002)",
    "error: yaml:5:5: `interceptors[1]` does not say who is asked; write one of `command`, `url`, `server`, `deny`, `redact` and `log` (SB-CFG-004)",
    "error: yaml:6:5: `interceptors[2]` has `command` and `url`: only one can be meant; write one of `command`, `url`, `server`, `deny`, `redact` and `log` (SB-CFG-005)",
    "error: yaml:7:12: `interceptors[3].url` must begin with `https://` or `http://` (SB-CFG-003)",
    "error: yaml:8:15: `interceptors[4].server`: there is no server `gards`; did you mean `guards`? (SB-CFG-003)",
    "error: yaml:9:31: `env.KEY`: the environment variable `NOT_SET` is not set; set `NOT_SET` where your client starts Switchboard, write `${NOT_SET:-default}`, or put the value into a file and write `${file:path}` (SB-CFG-007)",
    "error: yaml:10:25: `interceptors[6].fail` must be `open` or `closed`, found `opne`; did you mean `open`? (SB-CFG-003)",
    "error: yaml:10:40: `interceptors[6].timeout` must be a duration such as \"500ms\", \"30s\" or \"5m\", found the number `5`; a duration needs a unit: did you mean \"5s\"? (SB-CFG-003)",
    "error: yaml:10:53: `interceptors[6].priority` must be a whole number, found the number `1.5` (SB-CFG-003)",
    "error: yaml:10:62: `interceptors[6].on` must be `before`, `after` or `error`, found `never` (SB-CFG-003)",
    "error: yaml:11:5: `interceptors[7]` must be a mapping, found the number `7` (SB-CFG-003)",
    "error: yaml:12:16: `command` is empty (SB-CFG-003)",
]
"#);
    assert_eq!(state(&loaded, "guards"), "ready");
    let interceptors = &loaded.config.interceptors;
    assert_eq!(interceptors.len(), 9);
    for interceptor in interceptors {
        assert!(matches!(interceptor.way, InterceptorWay::Broken(_)), "{interceptor:?}");
        assert_ne!(interceptor.rules.fail, Some(Fail::Open));
    }
    assert_eq!(interceptors[0].rules.matches, [Glob::new("a__*")]);
    for text in ["interceptors: { command: x }\n", "interceptors: []\ninterceptors: [ { deny: x } ]\n"] {
        let loaded = yaml(text);
        assert!(loaded.has_errors());
        assert!(matches!(loaded.config.interceptors[0].way, InterceptorWay::Broken(_)), "{text}");
    }
}
