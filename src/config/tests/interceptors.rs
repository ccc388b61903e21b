//! Who looks at calls.

use super::*;

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
