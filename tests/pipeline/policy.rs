//! Who may call what: what a client must not use is neither shown to it nor done for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{answered, received, refused};
use crate::board::{DEADLINE, Setup};
use crate::peer::{House, MODERN, Peer, everything};

const TOOLS: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  look: { annotations: { readOnlyHint: true }, answer: "look {{mock.call}}" }
  wipe: { annotations: { destructiveHint: true }, answer: wiped }
  read: { input_schema: { type: object, properties: { path: { type: string } } }, answer: "read {{path}}" }
prompts:
  greet: { arguments: [ who ], answer: "Hello {{who}}" }
  plot: { answer: "evil" }
resources:
  "note://one": { text: one }
  "note://two": { text: two }
"#;

/// Everything is permitted, but for what each of these lines forbids.
const MOST: &str = r#"
permit(principal, action, resource);

@id("no-wiping") @reason("wiping is for people")
forbid(principal, action == Action::"call_tool", resource)
  when { resource.annotations has destructiveHint && resource.annotations.destructiveHint };

@id("stay-inside")
forbid(principal, action == Action::"call_tool", resource == Tool::"a__read")
  unless { context.arguments has path && context.arguments.path like "/srv/*" && !(context.arguments.path like "*..*") };

@id("no-plots")
forbid(principal, action == Action::"get_prompt", resource) when { resource.original == "plot" };

@id("one-only")
forbid(principal, action == Action::"read_resource", resource == Resource::"note://two");
"#;

/// Two servers and a file of policies.
fn setup(policies: &str, config: &str) -> (Setup, PathBuf) {
    let setup = Setup::new().script("a", TOOLS).script("b", TOOLS).keys("categories: [web]");
    let path = setup.home().join("policy.cedar");
    std::fs::write(&path, policies).unwrap();
    let policy = format!("policy: {{ file: {:?} }}\n{config}", path.to_str().unwrap());
    (setup.config(&policy), path)
}

/// The config and every kind of client.
fn each(policies: &str, case: impl Fn(&House, &Peer, &Path)) {
    for (http, revision) in [(false, "2025-11-25"), (true, "2025-11-25"), (false, MODERN), (true, MODERN)] {
        let (setup, path) = setup(policies, "");
        let house = House::over(http, setup);
        let peer = house.peer(revision);
        case(&house, &peer, &path);
        drop(peer);
        house.close();
    }
}

fn list(peer: &Peer, method: &str) -> Vec<String> {
    peer.call(method, json!({})).names()
}

fn uris(peer: &Peer) -> Vec<String> {
    let answer = peer.call("resources/list", json!({})).result();
    let items = answer["resources"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["uri"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Repeats until it is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_refused_is_hidden_and_what_depends_on_arguments_is_decided_by_them() {
    each(MOST, |house, peer, _| {
        peer.list_with("tools/list", "b__echo");
        assert_eq!(
            list(peer, "tools/list"),
            ["a__echo", "a__look", "a__read", "b__echo", "b__look", "b__read", "switchboard__status"]
        );
        assert_eq!(list(peer, "prompts/list"), ["a__greet", "b__greet"]);
        assert_eq!(uris(peer)[0], "note://one");
        assert!(!uris(peer).contains(&"note://two".to_owned()), "{:?}", uris(peer));
        answered(&peer.tool("a__echo", json!({ "input": "x" })), "x");
        // What is hidden is refused with the reason, under any of its names.
        for name in ["a__wipe", "a.wipe"] {
            let answer = peer.tool(name, json!({}));
            refused(&answer, "SB-POLICY-001");
            assert!(answer.text().contains("wiping is for people"), "{}", answer.raw);
            assert!(answer.text().contains("`no-wiping` (policy.cedar:4)"), "{}", answer.raw);
        }
        answered(&peer.tool("a__read", json!({ "path": "/srv/x" })), "read /srv/x");
        for arguments in
            [json!({ "path": "/etc/passwd" }), json!({ "path": "/srv/../etc" }), json!({}), Value::Null]
        {
            refused(
                &peer.call("tools/call", json!({ "name": "a__read", "arguments": arguments })),
                "SB-POLICY-001",
            );
        }
        let plot = peer.call("prompts/get", json!({ "name": "a__plot" }));
        assert_eq!(plot.error()["data"]["code"], "SB-POLICY-001", "{}", plot.raw);
        assert!(
            peer.call("prompts/get", json!({ "name": "a__greet", "arguments": { "who": "Ann" } }))
                .raw
                .contains("Hello Ann")
        );
        let two = peer.call("resources/read", json!({ "uri": "note://two" }));
        assert_eq!(two.error()["data"]["code"], "SB-POLICY-001", "{}", two.raw);
        assert!(peer.call("resources/read", json!({ "uri": "note://one" })).raw.contains("\"one\""));
        let argument = json!({ "name": "who", "value": "" });
        let complete = json!({ "ref": { "type": "ref/prompt", "name": "a__plot" }, "argument": argument });
        let complete = peer.call("completion/complete", complete);
        assert_eq!(complete.error()["data"]["code"], "SB-POLICY-001", "{}", complete.raw);
        if !peer.is_modern() {
            let follow = peer.call("resources/subscribe", json!({ "uri": "note://two" }));
            assert_eq!(follow.error()["data"]["code"], "SB-POLICY-001", "{}", follow.raw);
        }
        assert_eq!((received(house, "wipe"), received(house, "read")), (0, 1));
        assert!(
            house.received("a").iter().all(|message| !message.to_string().contains("plot")
                && !message.to_string().contains("note://two"))
        );
        assert!(peer.tool("switchboard__status", json!({})).text().contains("policies: 5 in force"));
    });
}

/// What stands twice means one thing to us and perhaps another to the server.
#[test]
fn nobody_gets_past_by_saying_things_twice() {
    let (setup, _) = setup(MOST, "");
    let mut board = setup.start();
    board.initialize("2025-11-25");
    for params in [
        r#"{"name":"a__echo","name":"a__wipe","arguments":{}}"#,
        r#"{"name":"wipe","n\u0061me":"a__echo","arguments":{}}"#,
        r#"{"name":"a__read","arguments":{"path":"/etc/passwd"},"arguments":{"path":"/srv/x"}}"#,
        r#"{"name":"a__read","arguments":{"path":"/etc/passwd","path":"/srv/x"}}"#,
    ] {
        let answer = board.call("tools/call", params);
        assert!(answer.raw.contains("SB-POLICY-001"), "{params}: {}", answer.raw);
    }
    assert!(board.received("a").iter().all(|message| !message.contains("tools/call")));
    board.close();
}

#[test]
fn clients_differ_by_token_and_servers_by_category() {
    let policies = r#"
        permit(principal == Client::"ann", action, resource);
        permit(principal, action == Action::"call_tool", resource in Category::"web")
          when { principal has token && principal.token == "bob" };
        permit(principal, action, resource in Server::"b") when { principal.transport == "stdio" };
    "#;
    let tokens = "http: { tokens: { ann: aaaaaaaaaaaaaaaaaaaaaaaa, bob: bbbbbbbbbbbbbbbbbbbbbbbb, cat: cccccccccccccccccccccccc } }";
    let (setup, _) = setup(policies, tokens);
    let house = House::http(setup);
    for revision in ["2025-11-25", MODERN] {
        let [ann, bob, cat] = ["a", "b", "c"].map(|letter| {
            let peer = house.stranger(revision, everything(revision), Some(&letter.repeat(24)));
            if revision != MODERN {
                peer.initialize();
            }
            peer
        });
        let all = ann.list_with("tools/list", "b__wipe");
        assert_eq!(all.len(), 9, "{all:?}");
        assert_eq!(
            list(&bob, "tools/list"),
            ["b__echo", "b__look", "b__wipe", "b__read", "switchboard__status"]
        );
        assert!(list(&bob, "prompts/list").is_empty());
        assert_eq!(list(&cat, "tools/list"), ["switchboard__status"]);
        answered(&ann.tool("a__echo", json!({ "input": "1" })), "1");
        answered(&bob.tool("b__echo", json!({ "input": "2" })), "2");
        let answer = bob.tool("a__echo", json!({ "input": "3" }));
        refused(&answer, "SB-POLICY-001");
        assert!(
            answer.text().contains("client `bob` may not use `a__echo`: no policy permits it"),
            "{}",
            answer.raw
        );
        refused(&cat.tool("a__echo", json!({})), "SB-POLICY-001");
    }
    assert_eq!(received(&house, "echo"), 2);
    house.close();
}

#[test]
fn clients_on_pipes_are_known_by_what_they_call_themselves() {
    let policies = r#"permit(principal, action, resource)
        when { principal in [Client::"claude-ai", Client::"peer"] && !(principal has token) && principal.transport == "stdio" && principal has version && principal.version == "1" };"#;
    let (setup, _) = setup(policies, "");
    let house = House::stdio(setup);
    for revision in ["2025-11-25", MODERN] {
        let peer = house.peer(revision);
        peer.list_with("tools/list", "a__echo");
        answered(&peer.tool("a__echo", json!({ "input": "1" })), "1");
    }
    let stranger = house.peer_with(MODERN, everything(MODERN));
    let name = json!({ "io.modelcontextprotocol/clientInfo": { "name": "mallory", "version": "1" } });
    let answer = stranger.call("tools/list", json!({ "_meta": name }));
    assert_eq!(answer.names(), ["switchboard__status"]);
    let answer = stranger.call("tools/call", json!({ "name": "a__echo", "arguments": {}, "_meta": name }));
    assert!(answer.text().contains("client `mallory` may not use `a__echo`"), "{}", answer.raw);
    house.close();
}

/// Whoever may not call gets nothing that was kept for others.
#[test]
fn refused_calls_are_answered_by_no_cache_and_cost_no_rate() {
    let policies = r#"permit(principal, action == Action::"call_tool", resource)
        when { context.arguments has key && context.arguments.key == "good" };"#;
    let path_of = |setup: &Setup| setup.home().join("policy.cedar");
    let setup = Setup::new().script("a", TOOLS);
    let path = path_of(&setup);
    std::fs::write(&path, policies).unwrap();
    let setup = setup
        .keys("cache: { ttl: 1h }, effects: { look: read }, rate_limit: { calls: 3, per: 1h, burst: 0 }")
        .config(&format!("policy: {{ file: {:?} }}", path.to_str().unwrap()));
    let house = House::stdio(setup);
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "a__look");
    for _ in 0..5 {
        refused(&peer.tool("a__look", json!({ "key": "bad" })), "SB-POLICY-001");
    }
    answered(&peer.tool("a__look", json!({ "key": "good" })), "look 1");
    assert_eq!(received(&house, "look"), 1);
    house.close();
}

#[test]
fn a_broken_file_refuses_every_call_until_it_is_mended_and_reloads_whole() {
    each("permit(principal, action, resource", |house, peer, path| {
        until("the status tells of the file", || {
            peer.tool("switchboard__status", json!({})).text().contains("nobody may call anything")
        });
        assert_eq!(list(peer, "tools/list"), ["switchboard__status"]);
        let answer = peer.tool("a__echo", json!({ "input": "x" }));
        assert!(answer.text().contains("policy.cedar:1:"), "{}", answer.raw);
        assert!(answer.text().contains("SB-POLICY-002"), "{}", answer.raw);
        std::fs::write(path, "permit(principal, action, resource in Server::\"a\");").unwrap();
        peer.list_with("tools/list", "a__echo");
        if !peer.is_modern() {
            // Of the tools it knows already.
            peer.notification("notifications/prompts/list_changed");
        }
        answered(&peer.tool("a__echo", json!({ "input": "x" })), "x");
        refused_by_b(peer);
        // What breaks later changes nothing, and is told.
        std::fs::write(path, "permit(principal, action,").unwrap();
        until("the status tells of the file", || {
            peer.tool("switchboard__status", json!({})).text().contains("not those of the file as it is now")
        });
        answered(&peer.tool("a__echo", json!({ "input": "y" })), "y");
        refused_by_b(peer);
        std::fs::write(
            path,
            "forbid(principal, action, resource in Server::\"a\"); permit(principal, action, resource);",
        )
        .unwrap();
        let names = peer.list_with("tools/list", "b__echo");
        assert!(!names.contains(&"a__echo".to_owned()), "{names:?}");
        refused(&peer.tool("a__echo", json!({ "input": "z" })), "SB-POLICY-001");
        assert_eq!(received(house, "echo"), 2);
    });
}

#[track_caller]
fn refused_by_b(peer: &Peer) {
    let answer = peer.tool("b__echo", json!({ "input": "x" }));
    assert!(answer.text().contains("SB-POLICY-001"), "{}", answer.raw);
}

/// Lists of many pages have cursors of the client's own list.
#[test]
fn pages_of_a_filtered_list_fit_together() {
    let mut script = String::from("tools:\n");
    for number in 0..60 {
        let text = "x".repeat(100_000);
        script.push_str(&format!("  t{number}: {{ description: \"{text}\", answer: x }}\n"));
    }
    let setup = Setup::new().script("a", &script);
    let path = setup.home().join("policy.cedar");
    std::fs::write(&path, "permit(principal, action, resource) unless { resource.original like \"*7\" };")
        .unwrap();
    let house = House::stdio(setup.config(&format!("policy: {{ file: {:?} }}", path.to_str().unwrap())));
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "a__t0");
    let first = peer.call("tools/list", json!({}));
    let cursor = first.result()["nextCursor"].clone();
    assert!(cursor.is_string(), "one page");
    let mut names = first.names();
    names.extend(peer.call("tools/list", json!({ "cursor": cursor })).names());
    let expected: Vec<String> =
        (0..60).filter(|number| number % 10 != 7).map(|number| format!("a__t{number}")).collect();
    assert_eq!(names[..names.len() - 1], expected);
    house.close();
}

// === the command line ===

fn run(setup: &Setup, arguments: &[&str]) -> (i32, String, String) {
    let served = setup.command();
    let mut command = Command::new(served.get_program());
    for (name, value) in served.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let config = setup.home().join("config.yaml");
    let output = command.args(arguments).arg("--config").arg(config).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[test]
fn explain_says_which_policy_decides() {
    let (setup, _) = setup(MOST, "");
    let setup = setup.config("defaults: { rate_limit: { calls: 60, per: 1m }, retry: { max_attempts: 2 } }");
    let (code, out, err) = run(&setup, &["explain", "a__wipe", "--client", "claude-ai"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("forbidden for `claude-ai`"), "{out}");
    assert!(out.contains("`no-wiping`") && out.contains("policy.cedar:4"), "{out}");
    let (_, out, _) = run(&setup, &["explain", "a__read", "--client", "claude-ai", "--json"]);
    let value: Value = serde_json::from_str(&out).unwrap();
    let policy = &value["tools"][0]["policy"];
    assert_eq!((&policy["client"], &policy["ruling"]), (&json!("claude-ai"), &json!("depends")), "{out}");
    let by = policy["by"].as_array().unwrap();
    let inside = by.iter().find(|rule| rule["id"] == "stay-inside").unwrap();
    assert_eq!((&inside["effect"], &inside["line"]), (&json!("forbid"), &json!(8)), "{out}");
    let stages: Vec<&str> = value["tools"][0]["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["policy", "rate_limit", "retry"], "{out}");
}

#[test]
fn check_and_validate_tell_what_is_wrong_with_policies() {
    let (bad, path) = setup("permit(principal, action, resource)\n  when { principal.nmae == \"x\" };", "");
    let (code, _, err) = run(&bad, &["config", "validate"]);
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("policy.cedar:2:10") && err.contains("did you mean `name`?"), "{err}");
    let (code, _, err) = run(&bad, &["check"]);
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("SB-POLICY-002") && err.contains("principal.nmae"), "{err}");
    std::fs::write(&path, "forbid(principal, action, resource);").unwrap();
    let (code, _, err) = run(&bad, &["config", "validate"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("no policy permits anything"), "{err}");
    let (none, path) = setup("", "");
    std::fs::remove_file(&path).unwrap();
    let (code, _, err) = run(&none, &["config", "validate"]);
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("cannot be opened"), "{err}");
}

/// A block that cannot be read is not the same as none.
#[test]
fn a_policy_without_a_file_lets_nobody_call() {
    for policy in ["policy: {}", "policy: { fle: policy.cedar }", "policy: { file: 5 }", "policy: yes"] {
        let house = House::stdio(Setup::new().script("a", TOOLS).config(policy));
        let peer = house.peer("2025-11-25");
        let answer = peer.tool("switchboard__status", json!({}));
        assert!(answer.text().contains("nobody may call anything"), "{policy}: {}", answer.raw);
        until("the server has shown its tools", || {
            peer.tool("a__echo", json!({})).text().contains("SB-POLICY-002")
        });
        assert_eq!(received(&house, "echo"), 0);
        house.close();
    }
}

/// How a server wants to be used is nobody's business who may use none of its tools.
#[test]
fn instructions_of_a_server_whose_tools_are_all_hidden_are_not_shown() {
    let script = |words: &str| format!("server: {{ instructions: {words} }}\n{TOOLS}");
    let setup = Setup::new().script("a", &script("use alpha gently")).script("b", &script("use beta boldly"));
    let path = setup.home().join("policy.cedar");
    std::fs::write(&path, "permit(principal, action, resource in Server::\"a\");\n").unwrap();
    let house = House::http(setup.config(&format!("policy: {{ file: {:?} }}", path.to_str().unwrap())));
    let first = house.peer("2025-11-25");
    first.list_with("tools/list", "a__echo");
    let until = std::time::Instant::now() + crate::board::DEADLINE;
    loop {
        let legacy = house.stranger("2025-11-25", json!({}), None).initialize().result();
        let modern = house.peer(MODERN).call("server/discover", json!({})).result();
        let words: Vec<String> = [legacy, modern]
            .iter()
            .map(|one| one["instructions"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert!(words.iter().all(|words| !words.contains("beta")), "{words:?}");
        if words.iter().all(|words| words.contains("alpha")) {
            break;
        }
        assert!(std::time::Instant::now() < until, "{words:?}");
    }
    drop(first);
    house.close();
}
