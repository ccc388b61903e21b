//! Mistakes, as their owner reads them.

use super::*;

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
