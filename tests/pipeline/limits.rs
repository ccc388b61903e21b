//! How often and how many at once.

use std::time::Duration;

use serde_json::json;

use super::{answered, await_calls, each, is_call, received, refused};
use crate::board::Setup;
use crate::peer::{House, MODERN, Round};

const TOOLS: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  other: { answer: other }
  hold: { wait_cancel: 20s, answer: held }
  slow: { delay: 30ms, answer: "{{input}}" }
resources:
  "note://one": { text: one }
"#;

#[test]
fn calls_over_the_rate_are_refused_with_the_time_of_the_next() {
    each(TOOLS, "rate_limit: { calls: 2, per: 1h, burst: 1 }", |house, peer| {
        for input in ["1", "2"] {
            answered(&peer.tool("a__echo", json!({ "input": input })), input);
        }
        let answer = peer.tool("a__echo", json!({ "input": "3" }));
        let data = refused(&answer, "SB-LIMIT-001");
        let wait = data["retry_after_ms"].as_u64().unwrap();
        assert!((1_700_000..=1_800_000).contains(&wait), "{}", answer.raw);
        assert!(
            answer.text().contains("call again in 30m") || answer.text().contains("call again in 1"),
            "{}",
            answer.raw
        );
        // Whatever else the server is asked counts, too; what is no tool is refused as an error.
        let read = peer.call("resources/read", json!({ "uri": "note://one" }));
        assert_eq!(read.error()["data"]["code"], "SB-LIMIT-001", "{}", read.raw);
        assert_eq!(received(house, "echo"), 2);
        // Lists are not calls.
        assert!(peer.call("tools/list", json!({})).names().contains(&"a__echo".to_owned()));
    });
}

#[test]
fn every_tool_may_have_a_rate_of_its_own() {
    each(TOOLS, "rate_limit: { calls: 1, per: 1h, each: tool }", |_, peer| {
        answered(&peer.tool("a__echo", json!({ "input": "1" })), "1");
        answered(&peer.tool("a__other", json!({})), "other");
        refused(&peer.tool("a__other", json!({})), "SB-LIMIT-001");
    });
}

#[test]
fn a_full_queue_and_a_turn_that_does_not_come_are_told_apart() {
    each(TOOLS, "concurrency: { max: 1, queue: 1, wait: 500ms }", |house, peer| {
        let hold = peer.ask("tools/call", json!({ "name": "a__hold", "arguments": {} }));
        await_calls(house, "hold", 1);
        let queued = peer.ask("tools/call", json!({ "name": "a__echo", "arguments": { "input": "1" } }));
        // Over HTTP two requests may overtake each other: what matters is that one is refused at once, and the other in time.
        let second = peer.ask("tools/call", json!({ "name": "a__echo", "arguments": { "input": "2" } }));
        let mut codes = [queued, second].map(|id| {
            let answer = peer.answer(&id);
            answer.result()["_meta"]["switchboard/error"]["code"].as_str().unwrap_or_default().to_owned()
        });
        codes.sort();
        assert_eq!(codes, ["SB-LIMIT-002", "SB-LIMIT-003"]);
        assert_eq!(received(house, "echo"), 0);
        peer.cancel(&hold);
        answered(&peer.tool("a__echo", json!({ "input": "3" })), "3");
    });
}

#[test]
fn a_cancelled_call_in_the_queue_never_reaches_the_server() {
    each(TOOLS, "concurrency: { max: 1 }", |house, peer| {
        let hold = peer.ask("tools/call", json!({ "name": "a__hold", "arguments": {} }));
        await_calls(house, "hold", 1);
        let queued = peer.ask("tools/call", json!({ "name": "a__other", "arguments": {} }));
        assert!(peer.answer_within(Duration::from_millis(100), &queued).is_none());
        peer.cancel(&queued);
        // Over HTTP a modern client cancels by leaving, which nobody confirms.
        std::thread::sleep(Duration::from_millis(if peer.is_http() { 200 } else { 0 }));
        peer.cancel(&hold);
        answered(&peer.tool("a__echo", json!({ "input": "next" })), "next");
        assert_eq!((received(house, "other"), received(house, "echo")), (0, 1));
        // The one at the server was cancelled there.
        let is_cancelled = |message: &serde_json::Value| message["method"] == "notifications/cancelled";
        house.await_received("a", 1, is_cancelled);
    });
}

#[test]
fn the_queue_keeps_its_order_and_the_server_its_peace() {
    let serial = format!("serial: true\n{TOOLS}");
    each(&serial, "concurrency: { max: 2, queue: 100 }", |house, peer| {
        let ask = |input: usize| {
            let input = input.to_string();
            peer.ask("tools/call", json!({ "name": "a__slow", "arguments": { "input": input } }))
        };
        let ids: Vec<String> = (0..12).map(ask).collect();
        for (input, id) in ids.iter().enumerate() {
            answered(&peer.answer(id), &input.to_string());
        }
        let calls = house.received("a").into_iter().filter(|message| is_call(message, "slow"));
        let order: Vec<usize> = calls
            .map(|call| call["params"]["arguments"]["input"].as_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!(order.len(), 12);
        if !peer.is_http() {
            assert!(order.is_sorted(), "{order:?}");
        }
    });
}

/// M1, in small: some run, some wait, the rest is refused, and everyone is answered.
#[test]
fn a_flood_is_taken_in_turns() {
    each(TOOLS, "concurrency: { max: 4, queue: 16 }", |house, peer| {
        let ids: Vec<String> = (0..60)
            .map(|_| peer.ask("tools/call", json!({ "name": "a__slow", "arguments": { "input": "x" } })))
            .collect();
        let refused = ids.iter().filter(|id| peer.answer(id).raw.contains("SB-LIMIT-002")).count();
        let served = received(house, "slow");
        assert_eq!(served + refused, 60);
        assert!(served >= 20, "{served}");
        if !peer.is_http() {
            assert!(refused > 0);
        }
    });
}

#[test]
fn who_waits_at_the_end_is_answered_and_delays_nobody() {
    each(TOOLS, "concurrency: { max: 1 }", |house, peer| {
        peer.ask("tools/call", json!({ "name": "a__hold", "arguments": {} }));
        await_calls(house, "hold", 1);
        let queued = peer.ask("tools/call", json!({ "name": "a__other", "arguments": {} }));
        assert!(peer.answer_within(Duration::from_millis(50), &queued).is_none());
        if !peer.is_http() {
            house.hang_up();
            let answer = peer.answer(&queued);
            assert!(answer.raw.contains("SB-CALL-007"), "{}", answer.raw);
            assert_eq!(received(house, "other"), 0);
        }
    });
}

/// A modern client's call that waits for its user to come back leaves its slot to others.
#[test]
fn a_parked_call_keeps_no_slot() {
    let script = r#"
revisions: [ 2025-11-25 ]
tools:
  echo: { answer: "{{input}}" }
  form: { steps: [ { ask: { method: elicitation/create, params: { message: "Who?", requestedSchema: { type: object, properties: { name: { type: string } } } }, save: r } }, { answer: "{{r.content.name}}" } ] }
"#;
    let setup = Setup::new().script("a", script).keys("concurrency: { max: 1, queue: 1, wait: 10s }");
    let house = House::stdio(setup);
    let peer = house.peer(MODERN);
    peer.list_with("tools/list", "a__form");
    let call = json!({ "name": "a__form" });
    for _ in 0..2 {
        let round = Round::expect(&peer.call("tools/call", call.clone()));
        for input in ["1", "2", "3"] {
            answered(&peer.tool("a__echo", json!({ "input": input })), input);
        }
        let accept = json!({ "action": "accept", "content": { "name": "Ada" } });
        answered(&peer.call("tools/call", round.retry_all(&call, &accept)), "Ada");
    }
    drop(peer);
    house.close();
}
