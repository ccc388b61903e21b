//! Several instances of one server: who gets calls, and what happens when one of them goes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::mock::Mock;
use super::{answered, each, is_call, received, refused};
use crate::board::{DEADLINE, Setup};
use crate::peer::{EVERY, House, MODERN, Peer, speaking};

const TOOLS: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  who: { answer: "{{mock.pid}}" }
  look: { delay: 200ms, answer: "{{input}}" }
  buy: { delay: 200ms, answer: "{{input}}" }
"#;

/// Calls until each of so many instances has answered; their process ids.
fn awake(peer: &Peer, count: usize) -> Vec<i32> {
    let (until, mut seen) = (Instant::now() + DEADLINE, BTreeMap::new());
    while seen.len() < count {
        *seen.entry(peer.tool("a__who", json!({})).text()).or_insert(0) += 1;
        assert!(Instant::now() < until, "only these have answered: {seen:?}");
    }
    seen.keys().map(|pid| pid.parse().unwrap()).collect()
}

/// Calls one after the other, and how many each instance answered.
fn spread(peer: &Peer, calls: usize) -> Vec<usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..calls {
        *counts.entry(peer.tool("a__who", json!({})).text()).or_insert(0) += 1;
    }
    counts.into_values().collect()
}

#[test]
fn replicas_take_turns() {
    each(TOOLS, "replicas: 3", |_, peer| {
        awake(peer, 3);
        assert_eq!(spread(peer, 30), [10, 10, 10]);
        assert!(peer.status("a").contains("3 of 3 instances usable"), "{}", peer.status("a"));
    });
}

#[test]
fn every_strategy_serves() {
    for balance in ["least_loaded", "health_based", "random"] {
        let keys = format!("replicas: 3, start: eager, balance: {balance}");
        let house = House::stdio(Setup::new().script("a", TOOLS).keys(&keys));
        let peer = house.peer("2025-11-25");
        peer.list_with("tools/list", "a__echo");
        // Many at once, so that every strategy needs all of them.
        let ids: Vec<String> = (0..60)
            .map(|input| {
                let arguments = json!({ "input": input.to_string() });
                peer.ask("tools/call", json!({ "name": "a__look", "arguments": arguments }))
            })
            .collect();
        for (input, id) in ids.iter().enumerate() {
            answered(&peer.answer(id), &input.to_string());
        }
        let seen: usize = spread(&peer, 60).iter().sum();
        assert_eq!(seen, 60, "{balance}");
        drop(peer);
        house.close();
    }
}

/// So many calls of a tool at once, and the death of an instance while they run. The answers, in order.
fn with_a_death(peer: &Peer, tool: &str, pids: &[i32]) -> Vec<crate::board::Message> {
    let ask = |input: usize| {
        let arguments = json!({ "input": input.to_string() });
        peer.ask("tools/call", json!({ "name": tool, "arguments": arguments }))
    };
    let mut ids: Vec<String> = (0..30).map(ask).collect();
    std::thread::sleep(Duration::from_millis(100));
    kill(Pid::from_raw(pids[1]), Signal::SIGKILL).unwrap();
    ids.extend((30..60).map(ask));
    ids.iter().map(|id| peer.answer(id)).collect()
}

#[test]
fn when_one_dies_the_others_take_over_and_no_answer_is_lost() {
    each(TOOLS, "replicas: 3, effects: { look: read }, retry: { base_delay: 10ms }", |_, peer| {
        let pids = awake(peer, 3);
        // Earns the right to repeat all that one instance can have in hand.
        spread(peer, 150);
        for (input, answer) in with_a_death(peer, "a__look", &pids).iter().enumerate() {
            answered(answer, &input.to_string());
        }
        // It comes back.
        assert_ne!(awake(peer, 3), pids);
    });
}

#[test]
fn what_may_have_run_at_one_is_not_sent_to_another() {
    each(TOOLS, "replicas: 3, retry: { base_delay: 10ms }", |house, peer| {
        let pids = awake(peer, 3);
        let mut unknown = 0;
        for (input, answer) in with_a_death(peer, "a__buy", &pids).iter().enumerate() {
            if answer.result()["isError"] == true {
                assert_eq!(refused(answer, "SB-CALL-002")["outcome"], "unknown");
                assert!(answer.text().contains("of 3: "), "{}", answer.raw);
                unknown += 1;
            } else {
                answered(answer, &input.to_string());
            }
        }
        // Those that it had begun, and those that were sent before anybody knew: at most every third.
        assert!((1..=20).contains(&unknown), "{unknown}");
        let mut times = BTreeMap::new();
        for message in house.received("a").iter().filter(|message| is_call(message, "buy")) {
            *times.entry(message["params"]["arguments"]["input"].to_string()).or_insert(0) += 1;
        }
        assert!(times.values().all(|times| *times == 1), "{times:?}");
    });
}

const AT_AN_ADDRESS: &str = "tools: { echo: { answer: \"{{input}}\" }, who: { answer: \"{{mock.pid}}\" } }\n";

fn endpoints(mocks: &[&Mock], keys: &str) -> Setup {
    let urls: Vec<&str> = mocks.iter().map(|mock| mock.url.as_str()).collect();
    Setup::new().entry("a", &format!("{{ endpoints: {urls:?}{keys} }}"))
}

#[test]
fn an_address_where_nobody_is_delays_nobody() {
    let (mut dead, alive) = (Mock::http(AT_AN_ADDRESS), Mock::http(AT_AN_ADDRESS));
    dead.stop();
    for revision in ["2025-11-25", MODERN] {
        let house = House::stdio(endpoints(&[&dead, &alive], ""));
        let peer = house.peer(revision);
        // It is the first one, whose tools would be shown.
        peer.list_with("tools/list", "a__echo");
        for input in ["1", "2", "3", "4"] {
            let begun = Instant::now();
            answered(&peer.tool("a__echo", json!({ "input": input })), input);
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        }
        let status = peer.status("a");
        assert!(status.contains("of 2 instances usable") && status.contains("instance 1: "), "{status}");
        if revision == MODERN {
            dead.start_again(None);
            awake(&peer, 2);
        }
        drop(peer);
        house.close();
    }
}

#[test]
fn when_nobody_is_there_each_says_why() {
    let mut mocks = [Mock::http(AT_AN_ADDRESS), Mock::http(AT_AN_ADDRESS)];
    let house = House::stdio(endpoints(&[&mocks[0], &mocks[1]], ""));
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "a__echo");
    awake(&peer, 2);
    mocks.iter_mut().for_each(Mock::stop);
    let until = Instant::now() + DEADLINE;
    loop {
        let answer = peer.tool("a__echo", json!({ "input": "x" }));
        assert_eq!(answer.result()["isError"], true, "{}", answer.raw);
        let text = answer.text();
        if text.contains("instance 1 of 2: ") && text.contains("instance 2 of 2: ") {
            break;
        }
        assert!(Instant::now() < until, "{text}");
    }
    drop(peer);
    house.close();
}

#[test]
fn servers_of_one_session_are_spread_over_the_addresses_and_stay_there() {
    let mocks = [Mock::http(AT_AN_ADDRESS), Mock::http(AT_AN_ADDRESS)];
    let house = House::http(endpoints(&[&mocks[0], &mocks[1]], ", share: session"));
    let peers = [house.peer("2025-11-25"), house.peer("2025-11-25")];
    let pids = peers.each_ref().map(|peer| {
        peer.list_with("tools/list", "a__echo");
        let pid = peer.tool("a__who", json!({})).text();
        for _ in 0..3 {
            answered(&peer.tool("a__who", json!({})), &pid);
        }
        pid
    });
    assert_ne!(pids[0], pids[1]);
    drop(peers);
    house.close();
}

/// Its tasks are known to the instance that has begun them, and to no other.
#[test]
fn a_task_is_looked_after_where_it_was_begun() {
    let script = r#"
revisions: [ 2025-11-25 ]
tools:
  echo: { answer: "{{input}}" }
  who: { answer: "{{mock.pid}}" }
  works: { task: { poll: 20ms, support: optional }, delay: 100ms, answer: "{{mock.pid}}" }
"#;
    let house = House::stdio(Setup::new().script("a", script).keys("replicas: 3, start: eager"));
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "a__works");
    awake(&peer, 3);
    let mut seen = BTreeMap::new();
    for _ in 0..6 {
        let call = json!({ "name": "a__works", "arguments": {}, "task": { "ttl": 60_000 } });
        let created = peer.call("tools/call", call).result();
        let id = created["task"]["taskId"].as_str().expect("a task").to_owned();
        let told = peer.call("tasks/get", json!({ "taskId": id })).result();
        assert_eq!(told["taskId"], created["task"]["taskId"], "{told}");
        *seen.entry(peer.call("tasks/result", json!({ "taskId": id })).text()).or_insert(0) += 1;
    }
    assert_eq!(seen.into_values().collect::<Vec<usize>>(), [2, 2, 2]);
    drop(peer);
    house.close();
}

/// What a call has been asked is answered where it was asked, by clients of either era.
#[test]
fn questions_go_back_to_the_instance_that_asks() {
    each(&speaking(EVERY, "asks"), "replicas: 3, start: eager", |_, peer| {
        for nonce in ["n1", "n2", "n3", "n4", "n5", "n6"] {
            let call = json!({ "name": "a__form", "arguments": { "nonce": nonce } });
            let answer = peer.converse("tools/call", call, |question| {
                assert_eq!(question.method, "elicitation/create");
                json!({ "action": "accept", "content": { "name": "Ada" } })
            });
            assert!(answer.text().starts_with(&format!("{nonce}: accept")), "{}", answer.raw);
        }
    });
}

/// How often the server was asked whether it is there.
fn pings(house: &House) -> usize {
    house.received("a").iter().filter(|message| message["method"] == "ping").count()
}

#[track_caller]
fn await_status(peer: &Peer, word: &str) -> String {
    let until = Instant::now() + DEADLINE;
    loop {
        let status = peer.status("a");
        if status.contains(word) {
            return status;
        }
        assert!(Instant::now() < until, "{status}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_that_answers_no_checks_is_unhealthy_until_it_does() {
    let script = "tools: { echo: { answer: \"{{input}}\" } }\non: { ping: hang }\n";
    let checks = "health_check: { interval: 50ms, timeout: 100ms, max_failures: 2 }";
    each(script, checks, |house, peer| {
        let status = await_status(peer, "unhealthy");
        assert!(status.contains("SB-HEALTH-001"), "{status}");
        assert!(pings(house) >= 2);
        // There is no breaker and no other instance: calls are served.
        answered(&peer.tool("a__echo", json!({ "input": "x" })), "x");
    });
    each(script, &format!("{checks}, breaker: {{}}"), |_, peer| {
        await_status(peer, "breaker-open");
        refused(&peer.tool("a__echo", json!({ "input": "x" })), "SB-BREAKER-001");
    });
}

#[test]
fn checks_keep_nobody_awake_and_wake_nobody() {
    let keys = "timeouts: { call: 400ms, idle_stop: 600ms }, health_check: { interval: 50ms }";
    let house = House::stdio(Setup::new().script("a", TOOLS).keys(keys));
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "a__echo");
    answered(&peer.tool("a__echo", json!({ "input": "x" })), "x");
    await_status(&peer, "a: idle");
    let before = pings(&house);
    assert!(before >= 3, "{before}");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((pings(&house), received(&house, "echo")), (before, 1));
    await_status(&peer, "a: idle");
    answered(&peer.tool("a__echo", json!({ "input": "y" })), "y");
    drop(peer);
    house.close();
}
