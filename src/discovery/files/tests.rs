use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;

/// A home with these files in it, and what each of these programs has there.
fn found(files: &[(&str, &str)], names: &[&str]) -> Vec<(String, Value, Option<String>)> {
    let (home, environment) = home(files);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let read = read(&names, &[], &environment);
    drop(home);
    drafts(read)
}

fn home(files: &[(&str, &str)]) -> (TempDir, Environment) {
    let home = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = home.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let environment = [("HOME", home.path().to_str().unwrap())].into_iter().collect();
    (home, environment)
}

fn drafts(read: Vec<(String, Looked)>) -> Vec<(String, Value, Option<String>)> {
    let mut drafts = Vec::new();
    for (place, looked) in read {
        assert_eq!(looked.failed, [], "{place}");
        drafts.extend(
            looked
                .drafts
                .into_iter()
                .map(|draft| (draft.called.unwrap_or_default(), draft.entry, draft.problem)),
        );
    }
    drafts
}

/// What one program has, in its usual file, without problems.
fn only(name: &str, path: &str, text: &str) -> Vec<(String, Value)> {
    let found = found(&[(path, text)], &[name]);
    assert!(!found.is_empty(), "{name}: nothing in {path}");
    found
        .into_iter()
        .map(|(called, entry, problem)| {
            assert_eq!(problem, None, "{name}");
            (called, entry)
        })
        .collect()
}

fn one(name: &str, entry: Value) -> Vec<(String, Value)> {
    vec![(name.to_owned(), entry)]
}

#[cfg(target_os = "linux")]
#[test]
fn every_program_is_understood_in_its_own_words() {
    let files = json!({ "command": "npx", "args": ["-y", "files"], "env": { "LEVEL": "info" } });
    let plain = r#"{ "mcpServers": { "files": { "command": "npx", "args": ["-y", "files"], "env": { "LEVEL": "info" } } } }"#;
    for (name, path) in [
        ("claude-desktop", ".config/Claude/claude_desktop_config.json"),
        ("lm-studio", ".lmstudio/mcp.json"),
        ("kiro", ".kiro/settings/mcp.json"),
        ("copilot-cli", ".copilot/mcp-config.json"),
        ("antigravity", ".gemini/antigravity/mcp_config.json"),
        ("cursor", ".cursor/mcp.json"),
    ] {
        assert_eq!(only(name, path, plain), one("files", files.clone()), "{name}");
    }
    assert_eq!(
        only(
            "amp",
            ".config/amp/settings.json",
            r#"{ "amp.mcpServers": { "a": { "url": "https://a.example/mcp" } } }"#
        ),
        one("a", json!({ "url": "https://a.example/mcp" }))
    );
    assert_eq!(
        only(
            "windsurf",
            ".codeium/windsurf/mcp_config.json",
            r#"{ "mcpServers": { "a": { "serverUrl": "https://a.example/mcp", "headers": { "K": "${env:KEY}" }, "disabledTools": ["x"] } } }"#
        ),
        one(
            "a",
            json!({ "url": "https://a.example/mcp", "headers": { "K": "${env:KEY}" }, "tools": { "exclude": ["x"] } })
        )
    );
    assert_eq!(
        only(
            "zed",
            ".config/zed/settings.json",
            "{\n  // my settings\n  \"theme\": \"One\",\n  \"context_servers\": { \"a\": { \"source\": \"custom\", \"enabled\": true, \"command\": { \"path\": \"npx\", \"args\": [\"a\"], \"env\": { \"X\": \"${Y}\" } } }, },\n}"
        ),
        one("a", json!({ "command": "npx", "args": ["a"], "env": { "X": "$${Y}" } }))
    );
    assert_eq!(
        only(
            "codex",
            ".codex/config.toml",
            "model = \"x\"\n[mcp_servers.a]\ncommand = \"npx\"\nargs = [\"a\"]\nenv_vars = [\"TOKEN\"]\nstartup_timeout_sec = 20\ntool_timeout_sec = 60.5\n\
             [mcp_servers.b]\nurl = \"https://b.example/mcp\"\nbearer_token_env_var = \"B\"\nhttp_headers = { X = \"y\" }\nenabled_tools = [\"q\"]\n"
        ),
        [
            (
                "a".to_owned(),
                json!({ "command": "npx", "args": ["a"], "inherit_env": ["TOKEN"], "timeouts": { "start": "20000ms", "call": "60500ms" } })
            ),
            (
                "b".to_owned(),
                json!({ "url": "https://b.example/mcp", "headers": { "X": "y" }, "bearer_token_env_var": "B", "tools": { "include": ["q"] } })
            ),
        ]
    );
    assert_eq!(
        only(
            "gemini-cli",
            ".gemini/settings.json",
            r#"{ "mcpServers": { "s": { "url": "http://a.example/sse" }, "h": { "httpUrl": "http://a.example/mcp", "timeout": 5000, "trust": true },
                "c": { "command": "x", "env": { "K": "$KEY" }, "includeTools": ["a"], "excludeTools": ["b"] } } }"#
        ),
        [
            ("s".to_owned(), json!({ "url": "http://a.example/sse", "type": "sse" })),
            (
                "h".to_owned(),
                json!({ "url": "http://a.example/mcp", "type": "http", "timeouts": { "call": "5000ms" } })
            ),
            (
                "c".to_owned(),
                json!({ "command": "x", "env": { "K": "${KEY}" }, "tools": { "include": ["a"], "exclude": ["b"] } })
            ),
        ]
    );
    assert_eq!(
        only(
            "opencode",
            ".config/opencode/opencode.json",
            r#"{ "mcp": { "a": { "type": "local", "command": ["npx", "-y", "a"], "environment": { "K": "{env:KEY}" }, "enabled": true },
                "b": { "type": "remote", "url": "https://b.example/mcp" } } }"#
        ),
        [
            ("a".to_owned(), json!({ "command": "npx", "args": ["-y", "a"], "env": { "K": "${env:KEY}" } })),
            ("b".to_owned(), json!({ "url": "https://b.example/mcp", "type": "http" })),
        ]
    );
    assert_eq!(
        only(
            "goose",
            ".config/goose/config.yaml",
            "extensions:\n  developer: { type: builtin, enabled: true, name: developer }\n  a:\n    type: stdio\n    cmd: uvx\n    args: [a]\n    envs: { A: b }\n    env_keys: [K]\n    timeout: 300\n  b: { type: streamable_http, uri: 'https://b.example/mcp' }\n"
        ),
        [
            (
                "a".to_owned(),
                json!({ "command": "uvx", "args": ["a"], "env": { "A": "b" }, "inherit_env": ["K"], "timeouts": { "call": "300000ms" } })
            ),
            ("b".to_owned(), json!({ "url": "https://b.example/mcp", "type": "http" })),
        ]
    );
    assert_eq!(
        only(
            "continue",
            ".continue/config.yaml",
            "name: x\nmcpServers:\n  - name: a\n    command: npx\n    args: [a]\n"
        ),
        one("a", json!({ "command": "npx", "args": ["a"] }))
    );
    assert_eq!(
        only(
            "cline",
            ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
            r#"{ "mcpServers": { "a": { "url": "https://a.example/sse", "timeout": 60, "autoApprove": ["x"] }, "b": { "transport": { "type": "streamableHttp", "url": "https://b.example/mcp" } } } }"#
        ),
        [
            (
                "a".to_owned(),
                json!({ "url": "https://a.example/sse", "type": "sse", "timeouts": { "call": "60000ms" } })
            ),
            ("b".to_owned(), json!({ "url": "https://b.example/mcp", "type": "http" })),
        ]
    );
    assert_eq!(
        only(
            "crush",
            ".config/crush/crush.json",
            r#"{ "mcp": { "a": { "type": "stdio", "command": "a", "env": { "K": "$K" }, "disabled_tools": ["x"] } } }"#
        ),
        one("a", json!({ "command": "a", "env": { "K": "${K}" }, "tools": { "exclude": ["x"] } }))
    );
    assert_eq!(
        only(
            "claude-code",
            ".claude.json",
            r#"{ "numStartups": 5, "mcpServers": { "u": { "type": "http", "url": "${BASE:-https://a.example}/mcp" } },
                "projects": { "/p": { "mcpServers": { "l": { "type": "stdio", "command": "l", "args": [], "env": {} } } }, "/q": { "mcpServers": {} } } }"#
        ),
        [
            ("u".to_owned(), json!({ "url": "${BASE:-https://a.example}/mcp", "type": "http" })),
            ("l".to_owned(), json!({ "command": "l" })),
        ]
    );
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_program_asks_its_user_for_is_said() {
    let text = r#"{ "inputs": [{ "type": "promptString", "id": "api-key", "password": true }],
        "servers": { "a": { "type": "stdio", "command": "a", "args": ["${workspaceFolder}"], "env": { "K": "${input:api-key}" }, "envFile": "x" } } }"#;
    let found = found(&[(".config/Code/User/mcp.json", text)], &["vscode"]);
    let [(name, entry, Some(problem))] = &found[..] else { panic!("{found:?}") };
    assert_eq!((name.as_str(), &entry["env"]["K"]), ("a", &json!("${API_KEY}")));
    assert!(
        problem.contains("set `API_KEY`") && problem.contains("folder") && problem.contains("envFile"),
        "{problem}"
    );
    let off = r#"{ "mcpServers": { "a": { "command": "a", "disabled": true } } }"#;
    let found = self::found(&[(".cursor/mcp.json", off)], &["cursor"]);
    assert!(found[0].2.as_deref().unwrap().contains("switched off"), "{found:?}");
}

#[test]
fn files_are_told_by_their_place_or_by_what_is_in_them() {
    let (home, environment) = home(&[
        (
            "p/.cursor/mcp.json",
            r#"{ "mcpServers": { "a": { "command": "a", "args": ["${file:/etc/passwd}", "${nothing such}"] } } }"#,
        ),
        ("any.toml", "[mcp_servers.b]\ncommand = \"b\"\n"),
        (
            "proxy.yaml",
            "proxy:\n  servers:\n    - { name: c, endpoint: 'http://localhost:1', transport: http, auth_token: t }\n",
        ),
        (
            "mcp-servers.json",
            r#"{ "servers": { "d": { "command": "d" }, "us": { "command": "switchboard" }, "none": {}, "odd": 5 } }"#,
        ),
    ]);
    let paths: Vec<PathBuf> =
        ["p/.cursor/mcp.json", "any.toml", "proxy.yaml", "mcp-servers.json", "missing.json"]
            .iter()
            .map(|path| home.path().join(path))
            .collect();
    let found = drafts(read(&[], &paths, &environment));
    let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d"], "{found:?}");
    assert_eq!(found[0].1["args"], json!(["${file:/etc/passwd}", "$${nothing such}"]));
    assert_eq!(found[2].1, json!({ "url": "http://localhost:1", "type": "http", "auth_token": "t" }));
}

#[test]
fn files_that_cannot_be_read_are_told_and_bounded() {
    let many: serde_json::Map<String, Value> = (0..600)
        .map(|number| (format!("s{number}"), json!({ "command": "x", "args": [number.to_string()] })))
        .collect();
    let (home, environment) = home(&[
        ("broken.json", "{ \"mcpServers\": "),
        ("deep.json", &"[".repeat(100_000)),
        ("many.json", &json!({ "mcpServers": many }).to_string()),
        ("list.json", "[1, 2]"),
    ]);
    let paths: Vec<PathBuf> = ["broken.json", "deep.json", "many.json", "list.json", "."]
        .iter()
        .map(|path| home.path().join(path))
        .collect();
    let outcome: Vec<(usize, usize, bool)> = read(&[], &paths, &environment)
        .into_iter()
        .map(|(_, looked)| (looked.drafts.len(), looked.failed.len(), looked.is_partial))
        .collect();
    assert_eq!(outcome, [(0, 1, false), (0, 1, false), (MOST, 0, true), (0, 0, false), (0, 1, false)]);
}
