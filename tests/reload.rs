//! The config file changes while Switchboard runs: what changed in it takes effect, and no call is lost for it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

#[path = "support/rig.rs"]
mod rig;

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use rig::{Rig, SOON, Server, Setup, is_alive, millis};
use serde_json::{Value, json};

const LIST_CHANGED: &str = "notifications/tools/list_changed";
/// The file is looked at once a second, and left alone for a moment while it changes.
const NOTICED: Duration = Duration::from_secs(15);

/// A server whose calls take a while.
fn worker(name: &str, delay: &str) -> Server {
    Server::script(
        name,
        &format!(
            "tools: {{ work: {{ delay: {delay}, answer: \"{{{{n}}}}\" }}, echo: {{ answer: \"{{{{input}}}}\" }} }}"
        ),
    )
}

/// Waits until the list of tools is as wanted.
#[track_caller]
fn await_tools(rig: &mut Rig, what: &str, holds: impl Fn(&[String]) -> bool) -> Vec<String> {
    let begun = std::time::Instant::now();
    loop {
        let tools = rig.tools();
        if holds(&tools) {
            return tools;
        }
        assert!(begun.elapsed() < NOTICED, "{what}: {tools:?}\n{}", rig.stderr());
        std::thread::sleep(millis(20));
    }
}

#[track_caller]
fn await_true(rig: &Rig, what: &str, holds: impl Fn(&Rig) -> bool) {
    let begun = std::time::Instant::now();
    while !holds(rig) {
        assert!(begun.elapsed() < NOTICED, "{what}\n{}", rig.stderr());
        std::thread::sleep(millis(20));
    }
}

fn has(tools: &[String], name: &str) -> bool {
    tools.iter().any(|tool| tool == name)
}

/// How often each call of `work` came to a server, by its number.
fn works(rig: &Rig, servers: &[&str]) -> HashMap<u64, usize> {
    let mut counts = HashMap::new();
    for line in servers.iter().flat_map(|server| rig.received(server)) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
        if let Some(n) = line["params"]["arguments"]["n"].as_u64() {
            *counts.entry(n).or_default() += 1;
        }
    }
    counts
}

#[test]
fn a_thousand_calls_in_flight_survive_servers_that_come_change_and_go() {
    let changed = |round: usize| worker("changed", "700ms").env("ROUND", &round.to_string());
    let mut rig = Rig::of([worker("same", "700ms"), changed(0), worker("gone", "700ms")]);
    for server in ["same", "changed", "gone"] {
        rig.echo(server);
    }
    let (same, first) = (rig.pid_of("same"), rig.pid_of("changed"));
    let mut ids = Vec::new();
    let mut number = 0;
    let mut send = |rig: &mut Rig, servers: &[&str], count: usize| {
        for turn in 0..count {
            let server = servers[turn % servers.len()];
            ids.push((number, rig.call(&format!("{server}__work"), json!({ "n": number }))));
            number += 1;
        }
    };
    // In flight when the file changes, and for as long as it goes on changing.
    send(&mut rig, &["same", "changed", "gone"], 300);
    rig.configure([worker("same", "700ms"), changed(1), worker("new", "10ms")]);
    send(&mut rig, &["same", "changed", "gone"], 200);
    let changed_once = |rig: &Rig| rig.starts("changed").len() == 2;
    while !changed_once(&rig) {
        send(&mut rig, &["same", "changed"], 10);
        rig.read_for(millis(30));
    }
    send(&mut rig, &["same", "changed"], 250);
    rig.configure([worker("same", "700ms"), changed(2), worker("new", "10ms")]);
    while rig.starts("changed").len() < 3 {
        send(&mut rig, &["same", "changed"], 10);
        rig.read_for(millis(30));
    }
    send(&mut rig, &["same", "changed"], 250);
    assert!(ids.len() >= 1000, "{}", ids.len());
    for (n, id) in &ids {
        let answer = rig.answer_within(id, Duration::from_secs(30));
        assert_eq!(answer.text(), n.to_string(), "{}", answer.show());
    }
    let counts = works(&rig, &["same", "changed", "gone"]);
    assert_eq!(counts.len(), ids.len(), "each call came to a server");
    assert!(counts.values().all(|count| *count == 1), "and to one alone");
    assert_eq!((rig.pid_of("same"), rig.starts("same").len()), (same, 1));
    assert_eq!(rig.ask("new__work", json!({ "n": 1_000_000 })).text(), "1000000");
    await_true(&rig, "what was left ends", |rig| !is_alive(first) && !is_alive(rig.pid_of("gone")));
    eprintln!("measured: {} calls, each answered and received once", ids.len());
    rig.finish();
}

#[test]
fn one_announcement_tells_of_everything_that_changed_together() {
    let mut rig = Rig::of([worker("a", "10ms"), worker("b", "10ms"), worker("c", "10ms")]);
    for server in ["a", "b", "c"] {
        rig.echo(server);
    }
    assert!(!rig.read_for(millis(300)) || rig.inbox.notices(LIST_CHANGED).is_empty());
    let before = rig.inbox.notices(LIST_CHANGED).len();
    let changed = Server::script("c", "tools: { other: { answer: other } }").env("ROUND", "1");
    rig.configure([worker("a", "10ms"), worker("d", "10ms"), worker("e", "10ms"), changed]);
    rig.until("an announcement", NOTICED, |rig| {
        (rig.inbox.notices(LIST_CHANGED).len() > before).then_some(())
    });
    let tools = rig.tools();
    for (tool, is_there) in [("a__work", true), ("b__work", false), ("c__work", false), ("c__other", true)] {
        assert_eq!(has(&tools, tool), is_there, "{tool}: {tools:?}");
    }
    assert!(has(&tools, "d__work") && has(&tools, "e__work"), "{tools:?}");
    // Announcements are at least so far apart: a second one would have come by now.
    rig.read_for(millis(1500));
    assert_eq!(rig.inbox.notices(LIST_CHANGED).len(), before + 1);
    assert_eq!(rig.starts("a").len(), 1);
    rig.finish();
}

#[test]
fn an_invalid_file_changes_nothing_and_is_reported_with_its_place() {
    let mut rig = Rig::of([worker("a", "10ms")]);
    rig.echo("a");
    let pid = rig.pid_of("a");
    let good = fs::read_to_string(rig.home().join("switchboard.json")).unwrap();
    for (bad, place, word) in [
        ("{ \"servers\": {\n  oops", "switchboard.json:2:", "SB-CFG-001"),
        (
            "{ \"servers\": { \"b\": { \"command\": \"x\" },\n \"c\": { \"comand\": \"y\" } } }",
            "switchboard.json:2:",
            "comand",
        ),
    ] {
        rig.configure_text(bad);
        let begun = std::time::Instant::now();
        let status = loop {
            let status = rig.status();
            if status.contains("config file:") && status.contains(word) {
                break status;
            }
            assert!(begun.elapsed() < NOTICED, "{status}\n{}", rig.stderr());
            std::thread::sleep(millis(50));
        };
        assert!(status.contains(place), "{status}");
        assert!(status.contains("what was in force before stays"), "{status}");
        rig.echo("a");
        assert_eq!(rig.pid_of("a"), pid);
        assert!(!has(&rig.tools(), "b__x"));
    }
    assert!(rig.stderr().contains("what was in force stays"), "{}", rig.stderr());
    rig.configure_text(&good);
    let begun = std::time::Instant::now();
    while rig.status().contains("config file:") {
        assert!(begun.elapsed() < NOTICED);
        std::thread::sleep(millis(50));
    }
    assert_eq!(rig.starts("a").len(), 1);
    rig.finish();
}

#[test]
fn a_rotated_secret_restarts_only_its_server() {
    let script = "tools: { token: { answer: \"{{env.TOKEN}}\" } }";
    let with = |name: &str, token: &str| Server::script(name, script).env("TOKEN", token);
    let setup = Setup::of([with("a", "${file:token}"), with("b", "constant")]);
    fs::write(setup.home().join("token"), "first-secret\n").unwrap();
    let mut rig = setup.start();
    rig.hello();
    await_tools(&mut rig, "both are there", |tools| has(tools, "a__token") && has(tools, "b__token"));
    assert_eq!(rig.ask("a__token", json!({})).text(), "first-secret");
    assert_eq!(rig.ask("b__token", json!({})).text(), "constant");
    fs::write(rig.home().join("token.new"), "second-secret\n").unwrap();
    fs::rename(rig.home().join("token.new"), rig.home().join("token")).unwrap();
    await_true(&rig, "a new start", |rig| rig.starts("a").len() == 2);
    assert_eq!(rig.ask("a__token", json!({})).text(), "second-secret");
    assert_eq!(rig.ask("b__token", json!({})).text(), "constant");
    assert_eq!((rig.starts("a").len(), rig.starts("b").len()), (2, 1));
    // A secret that is away for a moment is no reason to let go of its server.
    fs::remove_file(rig.home().join("token")).unwrap();
    let begun = std::time::Instant::now();
    while !rig.status().contains("cannot be read") {
        assert!(begun.elapsed() < NOTICED);
        std::thread::sleep(millis(50));
    }
    assert_eq!(rig.ask("a__token", json!({})).text(), "second-secret");
    fs::write(rig.home().join("token"), "third-secret\n").unwrap();
    await_true(&rig, "another start", |rig| rig.starts("a").len() == 3);
    assert_eq!(rig.ask("a__token", json!({})).text(), "third-secret");
    rig.finish();
}

#[test]
fn what_concerns_no_process_restarts_none() {
    let mut rig = Rig::of([worker("a", "10ms"), worker("b", "300ms")]);
    rig.echo("a");
    rig.echo("b");
    let flying = rig.call("b__work", json!({ "n": 1 }));
    let renamed = worker("a", "10ms").set("tools", json!({ "exclude": ["work"] }));
    let guarded = worker("b", "300ms").set("concurrency", json!({ "max": 1 })).set("prefix", json!("bee"));
    rig.configure([renamed, guarded]);
    let tools = await_tools(&mut rig, "the new names", |tools| has(tools, "bee__work"));
    assert!(!has(&tools, "a__work") && has(&tools, "a__echo") && !has(&tools, "b__work"), "{tools:?}");
    assert_eq!(rig.answer(&flying).text(), "1");
    assert_eq!(rig.ask("bee__work", json!({ "n": 2 })).text(), "2");
    assert_eq!((rig.starts("a").len(), rig.starts("b").len()), (1, 1));
    rig.finish();
}

#[test]
fn a_reload_in_the_middle_of_initialize_leaves_nobody_waiting() {
    let at = |round: &str, delay: &str| {
        let script = format!(
            "on: {{ initialize: {{ delay: {delay} }} }}\ntools: {{ echo: {{ answer: \"{{{{input}}}}\" }} }}"
        );
        Server::script("slow", &script).env("ROUND", round)
    };
    let mut rig = Rig::of([at("0", "1ms"), worker("quick", "10ms")]);
    rig.echo("slow");
    rig.echo("quick");
    rig.configure([at("1", "3s"), worker("quick", "10ms")]);
    await_true(&rig, "the second start", |rig| rig.starts("slow").len() == 2);
    let waiting = rig.call("slow__echo", json!({ "input": "patient" }));
    rig.configure([at("2", "3s"), worker("quick", "10ms")]);
    await_true(&rig, "the third start", |rig| rig.starts("slow").len() == 3);
    let later = rig.call("slow__echo", json!({ "input": "too" }));
    rig.echo("quick");
    assert_eq!(rig.answer_within(&waiting, Duration::from_secs(20)).text(), "patient");
    assert_eq!(rig.answer_within(&later, Duration::from_secs(20)).text(), "too");
    let calls = |word: &str| rig.received("slow").iter().filter(|line| line.contains(word)).count();
    assert_eq!((calls("patient"), calls("\"too\"")), (1, 1));
    assert_eq!(rig.starts("quick").len(), 1);
    rig.finish();
}

#[test]
fn a_server_that_is_taken_out_answers_what_is_in_flight_and_ends() {
    let mut rig = Rig::of([worker("a", "4s"), worker("b", "10ms")]);
    rig.echo("a");
    let flying = rig.call("a__work", json!({ "n": 7 }));
    let cancelled = rig.call("a__work", json!({ "n": 8 }));
    await_true(&rig, "they have arrived", |rig| works(rig, &["a"]).len() == 2);
    rig.configure([worker("b", "10ms")]);
    await_tools(&mut rig, "its tools are gone", |tools| !has(tools, "a__work"));
    let late = rig.ask("a__work", json!({ "n": 9 }));
    assert!(late.show().contains("Unknown tool") || late.show().contains("a__work"), "{}", late.show());
    // Whoever has a call there can still give it up.
    rig.cancel(&cancelled);
    await_true(&rig, "the cancellation arrives", |rig| {
        rig.received("a").iter().any(|line| line.contains("notifications/cancelled"))
    });
    assert_eq!(rig.answer_within(&flying, SOON).text(), "7");
    let pid = rig.pid_of("a");
    await_true(&rig, "it ends", |_| !is_alive(pid));
    assert!(!works(&rig, &["a"]).contains_key(&9));
    rig.echo("b");
    rig.finish();
}

#[test]
fn the_file_may_appear_change_in_place_and_be_replaced_behind_a_link() {
    let mut rig = Rig::of([worker("a", "10ms")]);
    rig.echo("a");
    let config = rig.home().join("switchboard.json");
    let good: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    // In place, without a new file.
    let mut disabled = good.clone();
    disabled["servers"]["a"]["enabled"] = json!(false);
    fs::write(&config, disabled.to_string()).unwrap();
    await_tools(&mut rig, "switched off", |tools| !has(tools, "a__work"));
    assert!(rig.status().contains("disabled"), "{}", rig.status());
    // Behind a link that is replaced, as in containers.
    let versions = ["one", "two"].map(|name| rig.home().join(name));
    for version in &versions {
        fs::create_dir(version).unwrap();
    }
    fs::write(versions[0].join("config"), disabled.to_string()).unwrap();
    fs::write(versions[1].join("config"), good.to_string()).unwrap();
    let data = rig.home().join("data");
    std::os::unix::fs::symlink(&versions[0], &data).unwrap();
    fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink(data.join("config"), &config).unwrap();
    let next = rig.home().join("data.next");
    std::os::unix::fs::symlink(&versions[1], &next).unwrap();
    fs::rename(next, &data).unwrap();
    await_tools(&mut rig, "switched on", |tools| has(tools, "a__work"));
    rig.echo("a");
    rig.finish();
}

#[test]
fn guards_that_stand_before_all_servers_come_and_go_without_a_restart() {
    let mut rig = Rig::of([worker("a", "10ms")]);
    rig.echo("a");
    let good: Value =
        serde_json::from_str(&fs::read_to_string(rig.home().join("switchboard.json")).unwrap()).unwrap();
    let mut guarded = good.clone();
    guarded["interceptors"] = json!([{ "name": "guard", "deny": "not today", "match": ["a__echo"] }]);
    let until = |rig: &mut Rig, what: &str, expected: &str| {
        let begun = std::time::Instant::now();
        loop {
            let answer = rig.ask("a__echo", json!({ "input": "let through" }));
            if answer.show().contains(expected) {
                return;
            }
            assert!(begun.elapsed() < NOTICED, "{what}: {}\n{}", answer.show(), rig.stderr());
            std::thread::sleep(millis(50));
        }
    };
    rig.configure_text(&guarded.to_string());
    until(&mut rig, "an interceptor", "not today");
    rig.configure_text(&good.to_string());
    until(&mut rig, "none", "let through");

    // Policies that cannot be used are refused with the file that names them.
    let mut ruled = good.clone();
    ruled["policy"] = json!({ "file": "policy.cedar" });
    rig.configure_text(&ruled.to_string());
    let begun = std::time::Instant::now();
    while !rig.status().contains("config file:") {
        assert!(begun.elapsed() < NOTICED, "{}", rig.status());
        std::thread::sleep(millis(50));
    }
    until(&mut rig, "the old policies", "let through");
    let policy = "permit(principal, action, resource);\nforbid(principal, action == Action::\"call_tool\", resource == Tool::\"a__echo\");\n";
    fs::write(rig.home().join("policy.cedar"), policy).unwrap();
    // Once they are there, the config is good.
    until(&mut rig, "a policy", "SB-POLICY-001");
    assert!(!has(&rig.tools(), "a__echo") && has(&rig.tools(), "a__work"));
    assert_eq!(rig.starts("a").len(), 1);
    rig.finish();
}

/// What stages have counted and kept is of use to whoever pays for the calls: an edit that does not concern them takes nothing away.
#[test]
fn what_stages_know_outlives_what_does_not_concern_them() {
    let script = "
tools:
  look: { answer: \"look {{mock.call}}\" }
  broken: { result: 5 }
  often: { answer: often }
  other: { answer: other }
  first: { answer: x }
  second: { answer: x }
";
    let server = |description: &str, hidden: &str, threshold: u32| {
        Server::script("a", script)
            .set("description", json!(description))
            .set("tools", json!({ "exclude": [hidden] }))
            .set("cache", json!({ "ttl": "1h" }))
            .set("effects", json!({ "look": "read" }))
            .set("rate_limit", json!({ "calls": 3, "per": "1h", "each": "tool" }))
            .set("breaker", json!({ "failure_threshold": threshold, "recovery_timeout": "1h" }))
    };
    let mut rig = Rig::of([server("before", "first", 1)]);
    assert_eq!(rig.ask("a__look", json!({})).text(), "look 1");
    for _ in 0..3 {
        assert_eq!(rig.ask("a__often", json!({})).text(), "often");
    }
    rig.ask("a__often", json!({})).expect_code("SB-LIMIT-001");
    rig.ask("a__broken", json!({})).expect_code("SB-CALL-006");
    rig.ask("a__other", json!({})).expect_code("SB-BREAKER-001");

    rig.configure([server("after", "second", 1)]);
    await_tools(&mut rig, "the edit", |tools| has(tools, "a__first") && !has(tools, "a__second"));
    rig.ask("a__often", json!({})).expect_code("SB-LIMIT-001");
    rig.ask("a__other", json!({})).expect_code("SB-BREAKER-001");
    assert_eq!(rig.ask("a__look", json!({})).text(), "look 1");

    // The breaker has other rules: it begins anew, and it alone.
    rig.configure([server("after", "first", 2)]);
    await_tools(&mut rig, "the edit", |tools| has(tools, "a__second") && !has(tools, "a__first"));
    rig.ask("a__often", json!({})).expect_code("SB-LIMIT-001");
    assert_eq!(rig.ask("a__second", json!({})).text(), "x");
    assert_eq!(rig.ask("a__look", json!({})).text(), "look 1");
    assert_eq!(rig.starts("a").len(), 1);
    rig.finish();
}
