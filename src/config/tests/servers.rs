//! Entries of servers: each stands for itself, whatever the others are.

use super::*;

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
