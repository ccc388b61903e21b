//! What is answered from what was answered before, and what is not. The first cases are those of the mission's tool cache: the key is
//! the tool with its arguments in any order, and an answer has its time.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{answered, await_calls, each, received, refused};
use crate::board::{DEADLINE, Message, Setup};
use crate::peer::{EVERY_LEGACY, House, MODERN, Peer, everything, speaking};

const TOOLS: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  look: { answer: "look {{mock.call}}" }
  take: { answer: "take {{mock.call}}" }
  slow: { delay: 300ms, answer: "slow {{mock.call}}" }
  hold: { calls: [ { wait_cancel: 20s, answer: held, times: 1 } ], answer: "hold {{mock.call}}" }
  sorry: { is_error: true, answer: "sorry {{mock.call}}" }
  wrong: { error: { code: -32602, message: no such thing } }
  fewer: { set_tools: [ echo, look, take ], answer: done }
  touch: { updated: "note://one", answer: done }
  die: { exit: 1 }
prompts:
  greet: { arguments: [ who ], answer: "Hello {{who}}" }
resources:
  "note://one": { text: one }
  "note://two": { text: two }
"#;

const KEYS: &str = "cache: { ttl: 1h }, effects: { look: read, slow: read, hold: read, sorry: read, wrong: read, form: read }";

/// What an answer says of having been kept.
fn mark(answer: &Message) -> Value {
    answer.result()["_meta"]["switchboard/cache"].clone()
}

/// Calls a tool that counts its calls, and gives the number.
#[track_caller]
fn number(peer: &Peer, tool: &str, arguments: Value) -> u64 {
    let answer = peer.tool(&format!("a__{tool}"), arguments);
    let number = answer.text().strip_prefix(tool).and_then(|text| text.trim().parse().ok());
    number.unwrap_or_else(|| panic!("{}", answer.raw))
}

/// How often the server has received this request.
fn requests(house: &House, method: &str) -> usize {
    house.received("a").iter().filter(|message| message["method"] == method).count()
}

#[test]
fn without_a_config_every_call_reaches_the_server() {
    each(TOOLS, "effects: { look: read }", |_, peer| {
        assert_eq!((number(peer, "look", json!({})), number(peer, "look", json!({}))), (1, 2));
    });
}

#[test]
fn the_key_is_the_tool_and_its_arguments_in_any_order() {
    each(TOOLS, KEYS, |house, peer| {
        let call = |text: &str| peer.call("tools/call", serde_json::from_str(text).unwrap());
        let first = call(r#"{"name":"a__look","arguments":{"a":1,"b":{"x":[1],"y":2}}}"#);
        answered(&first, "look 1");
        assert_eq!(mark(&first), Value::Null);
        let again = call(
            r#"{"arguments":{"b":{"y":2,"x":[1]},"a":1},"name":"a__look","_meta":{"progressToken":"t"}}"#,
        );
        answered(&again, "look 1");
        assert_eq!(mark(&again)["hit"], true, "{}", again.raw);
        assert!(mark(&again)["age_ms"].is_u64(), "{}", again.raw);
        for (place, other) in ["1.0", "\"1\"", "2", "null"].into_iter().enumerate() {
            let text = format!(r#"{{"name":"a__look","arguments":{{"a":{other},"b":{{"x":[1],"y":2}}}}}}"#);
            answered(&call(&text), &format!("look {}", place + 2));
        }
        assert_eq!(received(house, "look"), 5);
        assert!(peer.status("a").contains("cache: 1 of 6 calls"), "{}", peer.status("a"));
    });
}

#[test]
fn an_answer_has_its_time() {
    each(TOOLS, "cache: { ttl: 700ms }, effects: { look: read }", |_, peer| {
        let until = Instant::now() + DEADLINE;
        loop {
            let answer = peer.tool("a__look", json!({}));
            match answer.text().as_str() {
                "look 1" => assert!(mark(&answer)["age_ms"].as_u64().unwrap_or(0) < 700, "{}", answer.raw),
                _ => break,
            }
            assert!(Instant::now() < until, "it is kept for ever");
            sleep(Duration::from_millis(20));
        }
    });
}

#[test]
fn only_what_is_known_to_read_is_kept() {
    each(TOOLS, KEYS, |_, peer| {
        assert_eq!((number(peer, "take", json!({})), number(peer, "take", json!({}))), (1, 2));
    });
    let script = TOOLS.replace("look: {", "look: { annotations: { readOnlyHint: true },");
    each(&script, "cache: {}", |_, peer| {
        assert_eq!((number(peer, "look", json!({})), number(peer, "look", json!({}))), (1, 2));
    });
    each(&script, "cache: {}, trust_annotations: true", |_, peer| {
        assert_eq!((number(peer, "look", json!({})), number(peer, "look", json!({}))), (1, 1));
    });
    let keys = "cache: { tools: [ 'lo*' ] }, effects: { look: read, take: read }";
    each(TOOLS, keys, |_, peer| {
        assert_eq!((number(peer, "look", json!({})), number(peer, "look", json!({}))), (1, 1));
        assert_eq!((number(peer, "take", json!({})), number(peer, "take", json!({}))), (1, 2));
    });
}

#[test]
fn prompts_and_resources_are_kept() {
    each(TOOLS, KEYS, |house, peer| {
        for _ in 0..3 {
            let prompt =
                peer.call("prompts/get", json!({ "name": "a__greet", "arguments": { "who": "Ada" } }));
            assert!(prompt.raw.contains("Hello Ada"), "{}", prompt.raw);
            let read = peer.call("resources/read", json!({ "uri": "note://one" }));
            assert_eq!(read.result()["contents"][0]["text"], "one", "{}", read.raw);
        }
        let other = peer.call("prompts/get", json!({ "name": "a__greet", "arguments": { "who": "Bob" } }));
        assert!(other.raw.contains("Hello Bob"), "{}", other.raw);
        assert_eq!((requests(house, "prompts/get"), requests(house, "resources/read")), (2, 1));
    });
}

#[test]
fn errors_are_not_kept_unless_the_config_says_so() {
    let both = |peer: &Peer| {
        for _ in 0..2 {
            assert_eq!(peer.tool("a__sorry", json!({})).result()["isError"], true);
            assert_eq!(peer.tool("a__wrong", json!({})).code(), -32602);
        }
    };
    each(TOOLS, KEYS, |house, peer| {
        both(peer);
        assert_eq!((received(house, "sorry"), received(house, "wrong")), (2, 2));
    });
    each(TOOLS, &KEYS.replace("ttl: 1h", "negative_ttl: 1h"), |house, peer| {
        both(peer);
        assert_eq!((received(house, "sorry"), received(house, "wrong")), (1, 1));
    });
}

#[test]
fn a_client_may_want_an_answer_of_the_server_itself() {
    each(TOOLS, KEYS, |_, peer| {
        let fresh =
            json!({ "name": "a__look", "arguments": {}, "_meta": { "switchboard/cache": "no-cache" } });
        assert_eq!(number(peer, "look", json!({})), 1);
        let answer = peer.call("tools/call", fresh);
        answered(&answer, "look 2");
        assert_eq!(mark(&answer), Value::Null);
        assert_eq!(number(peer, "look", json!({})), 2);
    });
}

#[test]
fn equal_calls_at_the_same_time_are_one() {
    each(TOOLS, KEYS, |house, peer| {
        let call = json!({ "name": "a__slow", "arguments": { "a": 1 } });
        let ids: Vec<String> = (0..100).map(|_| peer.ask("tools/call", call.clone())).collect();
        for id in &ids {
            answered(&peer.answer(id), "slow 1");
        }
        assert_eq!(received(house, "slow"), 1);
    });
}

#[test]
fn when_the_one_who_went_gives_up_another_one_goes() {
    each(TOOLS, KEYS, |house, peer| {
        let call = json!({ "name": "a__hold", "arguments": {} });
        let first = peer.ask("tools/call", call.clone());
        await_calls(house, "hold", 1);
        let ids: Vec<String> = (0..20).map(|_| peer.ask("tools/call", call.clone())).collect();
        // Some of them wait before the first one leaves. (The server itself may be taken: it serves those who can be asked
        // one after the other.)
        peer.status("a");
        peer.cancel(&first);
        for id in &ids {
            answered(&peer.answer(id), "hold 2");
        }
        assert_eq!(received(house, "hold"), 2);
    });
}

#[test]
fn servers_with_the_same_tool_do_not_share_answers() {
    let setup = Setup::new();
    let setup = ["a", "b"].into_iter().fold(setup, |setup, name| {
        setup.script(name, &format!("tools: {{ look: {{ answer: I am {name} }} }}")).keys(KEYS)
    });
    let house = House::stdio(setup);
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "b__look");
    peer.list_with("tools/list", "a__look");
    for name in ["a", "b", "a", "b"] {
        answered(&peer.tool(&format!("{name}__look"), json!({})), &format!("I am {name}"));
    }
    drop(peer);
    house.close();
}

#[test]
fn clients_with_different_tokens_do_not_share_answers() {
    let tokens = "http: { tokens: { ann: token-of-ann-0123456789, bob: token-of-bob-0123456789 } }";
    for revision in ["2025-11-25", MODERN] {
        let house = House::http(Setup::new().script("a", TOOLS).keys(KEYS).config(tokens));
        let peers = ["ann", "bob", "ann"].map(|name| {
            let token = format!("token-of-{name}-0123456789");
            let peer = house.stranger(revision, everything(revision), Some(&token));
            if !peer.is_modern() {
                peer.initialize();
            }
            peer.list_with("tools/list", "a__look");
            peer
        });
        let numbers = peers.each_ref().map(|peer| number(peer, "look", json!({})));
        assert_eq!(numbers, [1, 2, 1]);
        assert_eq!(peers.each_ref().map(|peer| number(peer, "look", json!({}))), [1, 2, 1]);
        drop(peers);
        house.close();
    }
}

#[test]
fn instances_of_different_sessions_do_not_share_answers() {
    let house = House::http(Setup::new().script("a", TOOLS).keys(&format!("share: session, {KEYS}")));
    let peers = [house.peer("2025-11-25"), house.peer("2025-11-25")];
    peers[0].list_with("tools/list", "a__look");
    for peer in &peers {
        assert_eq!(number(peer, "look", json!({})), 1);
        assert_eq!(mark(&peer.tool("a__look", json!({})))["hit"], true);
    }
    assert_eq!(received(&house, "look"), 2);
    drop(peers);
    house.close();
}

#[test]
fn a_changed_list_ends_what_was_kept_of_it() {
    for revisions in [EVERY_LEGACY, MODERN] {
        each(&format!("revisions: {revisions}\n{TOOLS}"), KEYS, |house, peer| {
            let read = || peer.call("resources/read", json!({ "uri": "note://one" }));
            let is_modern = revisions == MODERN;
            assert_eq!((number(peer, "look", json!({})), number(peer, "look", json!({}))), (1, 1));
            read();
            read();
            answered(&peer.tool("a__fewer", json!({})), "done");
            let until = Instant::now() + DEADLINE;
            while number(peer, "look", json!({})) == 1 {
                assert!(Instant::now() < until, "it is kept although the list has changed");
            }
            read();
            // A modern server says itself how long its resources are good: not at all.
            assert_eq!(requests(house, "resources/read"), if is_modern { 3 } else { 1 });
        });
    }
}

#[test]
fn a_changed_resource_ends_what_was_kept_of_it() {
    let house = House::stdio(Setup::new().script("a", TOOLS).keys(KEYS));
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "a__touch");
    let read = |uri: &str| mark(&peer.call("resources/read", json!({ "uri": uri })))["hit"] == true;
    peer.call("resources/subscribe", json!({ "uri": "note://one" }));
    for uri in ["note://one", "note://two"] {
        assert!(!read(uri) && read(uri), "{uri}");
    }
    answered(&peer.tool("a__touch", json!({})), "done");
    assert!(!read("note://one"), "it has changed");
    assert!(read("note://one") && read("note://two"));
    drop(peer);
    house.close();
}

#[test]
fn another_start_of_the_server_ends_everything() {
    each(TOOLS, KEYS, |house, peer| {
        assert_eq!((number(peer, "look", json!({})), number(peer, "look", json!({}))), (1, 1));
        refused(&peer.tool("a__die", json!({})), "SB-CALL-002");
        answered(&peer.tool("a__echo", json!({ "input": "here again" })), "here again");
        number(peer, "look", json!({}));
        assert_eq!(received(house, "look"), 2);
        number(peer, "look", json!({}));
        assert_eq!(received(house, "look"), 2);
    });
}

#[test]
fn what_is_too_old_stands_in_for_a_server_that_does_not_start() {
    let runs = "runs: [ {}, { on: { start: { exit: 1 } }, times: 99 } ]";
    let script = format!("state: \"{{{{env.MOCK_STATE}}}}\"\n{runs}\n{TOOLS}");
    let keys = KEYS.replace("ttl: 1h", "ttl: 100ms, stale_if_error: 1h") + ", timeouts: { start: 3s }";
    let house = House::stdio(Setup::new().script("a", &script).keys(&keys));
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "a__look");
    assert_eq!(number(&peer, "look", json!({})), 1);
    refused(&peer.tool("a__die", json!({})), "SB-CALL-002");
    sleep(Duration::from_millis(100));
    let answer = peer.tool("a__look", json!({}));
    answered(&answer, "look 1");
    let mark = mark(&answer);
    assert_eq!((&mark["hit"], &mark["stale"]), (&json!(true), &json!(true)), "{}", answer.raw);
    drop(peer);
    house.close();
}

#[test]
fn a_modern_servers_word_makes_the_time_shorter() {
    let script = |ttl: &str| format!("revisions: {MODERN}\ncache: {{ ttl: {ttl}, scope: public }}\n{TOOLS}");
    let twice = |peer: &Peer| [(); 2].map(|()| peer.call("resources/read", json!({ "uri": "note://one" })));
    each(&script("0s"), KEYS, |house, peer| {
        twice(peer);
        assert_eq!(requests(house, "resources/read"), 2);
    });
    each(&script("30m"), KEYS, |house, peer| {
        let [first, again] = twice(peer);
        assert_eq!(mark(&again)["hit"], true, "{}", again.raw);
        assert_eq!(requests(house, "resources/read"), 1);
        if peer.is_modern() {
            let left = |answer: &Message| answer.result()["ttlMs"].as_u64().unwrap();
            assert_eq!(left(&first), 1_800_000);
            assert_eq!(left(&again), 1_800_000 - mark(&again)["age_ms"].as_u64().unwrap());
        }
    });
}

#[test]
fn whoever_is_asked_has_an_answer_of_its_own() {
    for revisions in [EVERY_LEGACY, MODERN] {
        each(&speaking(revisions, "asks"), KEYS, |_, peer| {
            for name in ["Ada", "Bob"] {
                let call = json!({ "name": "a__form", "arguments": { "nonce": "n" } });
                let answer = peer.converse("tools/call", call, |question| {
                    assert_eq!(question.method, "elicitation/create");
                    json!({ "action": "accept", "content": { "name": name } })
                });
                assert!(answer.text().contains(name), "{}", answer.raw);
                assert_eq!(mark(&answer), Value::Null);
            }
        });
    }
}
