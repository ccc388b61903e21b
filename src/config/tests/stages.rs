//! What stands in the way of calls.

use super::*;

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
