//! What is sent again, how often, and when.

use std::time::{Duration, Instant};

use serde_json::json;

use super::mock::Mock;
use super::{answered, await_calls, each, received, refused};
use crate::board::Setup;
use crate::peer::House;

const QUICKLY: &str = "retry: { max_attempts: 3, base_delay: 20ms, max_delay: 50ms }";

/// Its first run dies in the middle of a call.
const DIES: &str = r#"
state: "{{env.MOCK_STATE}}"
runs: [ { tools: { look: { answer: ~, exit: 1 }, buy: { answer: ~, exit: 1 } } } ]
tools:
  echo: { answer: "{{input}}" }
  look: { answer: "seen at start {{mock.start}}" }
  buy: { answer: "bought at start {{mock.start}}" }
"#;

/// It answers with what is no answer.
const MALFORMED: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  look: { calls: [ { result: 5, times: 2 } ], answer: seen }
  broken: { result: 5 }
"#;

#[test]
fn what_only_reads_is_called_again_when_its_server_dies() {
    let keys = format!("effects: {{ look: read }}, {QUICKLY}");
    each(DIES, &keys, |house, peer| {
        answered(&peer.tool("a__look", json!({})), "seen at start 2");
        assert_eq!(received(house, "look"), 2);
    });
}

#[test]
fn what_may_have_run_and_has_no_effect_in_the_config_is_received_once() {
    each(DIES, QUICKLY, |house, peer| {
        let answer = peer.tool("a__buy", json!({}));
        assert_eq!(refused(&answer, "SB-CALL-002")["outcome"], "unknown");
        assert!(!answer.text().contains("tried"), "{}", answer.raw);
        answered(&peer.tool("a__echo", json!({ "input": "x" })), "x");
        assert_eq!(received(house, "buy"), 1);
    });
}

#[test]
fn a_servers_word_counts_only_where_it_is_trusted_and_its_warning_everywhere() {
    let script = DIES
        .replace("look: { answer: \"seen", "look: { annotations: { readOnlyHint: true }, answer: \"seen")
        .replace(
            "buy: { answer: \"bought",
            "buy: { annotations: { destructiveHint: true }, answer: \"bought",
        );
    each(&script, QUICKLY, |house, peer| {
        refused(&peer.tool("a__look", json!({})), "SB-CALL-002");
        assert_eq!(received(house, "look"), 1);
    });
    each(&script, &format!("trust_annotations: true, {QUICKLY}"), |house, peer| {
        answered(&peer.tool("a__look", json!({})), "seen at start 2");
        assert_eq!(received(house, "look"), 2);
    });
    each(&script, &format!("effects: {{ buy: read }}, {QUICKLY}"), |house, peer| {
        refused(&peer.tool("a__buy", json!({})), "SB-CALL-002");
        assert_eq!(received(house, "buy"), 1);
    });
}

#[test]
fn what_was_never_written_is_sent_again_whatever_it_does() {
    let script = r#"
state: "{{env.MOCK_STATE}}"
runs:
  - {}
  - { on: { start: { exit: 1 } } }
tools:
  echo: { answer: "{{input}}" }
  die: { exit: 1 }
  buy: { answer: "bought at start {{mock.start}}" }
"#;
    let keys = "effects: { buy: destructive }, retry: { max_attempts: 5, base_delay: 200ms }";
    each(script, keys, |house, peer| {
        refused(&peer.tool("a__die", json!({})), "SB-CALL-002");
        answered(&peer.tool("a__buy", json!({})), "bought at start 3");
        assert_eq!(received(house, "buy"), 1);
    });
}

#[test]
fn a_server_that_answers_with_nonsense_is_asked_as_often_as_configured() {
    let keys = format!("effects: {{ look: idempotent, broken: read }}, {QUICKLY}");
    each(MALFORMED, &keys, |house, peer| {
        answered(&peer.tool("a__look", json!({})), "seen");
        assert_eq!(received(house, "look"), 3);
        let answer = peer.tool("a__broken", json!({}));
        refused(&answer, "SB-CALL-006");
        assert!(answer.text().contains("tried 3 times"), "{}", answer.raw);
        assert_eq!(received(house, "broken"), 3);
    });
}

#[test]
fn errors_of_tools_and_of_the_protocol_are_answers_and_not_repeated() {
    let script = r#"
tools:
  echo: { answer: "{{input}}" }
  sorry: { is_error: true, answer: no }
  wrong: { error: { code: -32602, message: no such thing } }
"#;
    let keys = format!("effects: {{ sorry: read, wrong: read }}, {QUICKLY}");
    each(script, &keys, |house, peer| {
        assert_eq!(peer.tool("a__sorry", json!({})).text(), "no");
        assert_eq!(peer.tool("a__wrong", json!({})).code(), -32602);
        assert_eq!((received(house, "sorry"), received(house, "wrong")), (1, 1));
    });
}

/// F10: repetitions of what cannot be done are bounded.
#[test]
fn an_outage_is_not_multiplied() {
    let keys = "effects: { broken: read }, retry: { max_attempts: 5, base_delay: 0s, max_delay: 0s }";
    each(MALFORMED, keys, |house, peer| {
        let ids: Vec<String> = (0..100)
            .map(|_| peer.ask("tools/call", json!({ "name": "a__broken", "arguments": {} })))
            .collect();
        let answers: Vec<String> = ids.iter().map(|id| peer.answer(id).text()).collect();
        assert!(answers.iter().any(|text| text.contains("too many calls")), "{answers:#?}");
        let count = received(house, "broken");
        assert!((101..=100 + 10 + 10).contains(&count), "{count}");
    });
}

/// A server behind HTTP that refuses the first call for a second, before it looks at it.
fn busy() -> Mock {
    let faults = "[ { on: tools/call, calls: 1, status: 429, headers: { Retry-After: 1 } } ]";
    Mock::http(&format!("tools: {{ buy: bought }}\nhttp:\n  faults: {faults}\n"))
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let mock = busy();
    let entry =
        format!("{{ url: {:?}, effects: {{ buy: destructive }}, retry: {{ base_delay: 1ms }} }}", mock.url);
    let house = House::stdio(Setup::new().entry("a", &entry));
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "a__buy");
    let begun = Instant::now();
    answered(&peer.tool("a__buy", json!({})), "bought");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(mock.messages("tools/call").len(), 2);
    drop(peer);
    house.close();
}

#[test]
fn a_call_that_is_cancelled_in_a_pause_is_not_sent_again() {
    let mock = busy();
    let house = House::stdio(Setup::new().entry("a", &format!("{{ url: {:?}, retry: {{}} }}", mock.url)));
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "a__buy");
    let id = peer.ask("tools/call", json!({ "name": "a__buy", "arguments": {} }));
    mock.wait_for("the first attempt", |seen| seen.iter().any(|seen| seen.calls("tools/call")));
    peer.cancel(&id);
    assert!(peer.answer_within(Duration::from_millis(1500), &id).is_none(), "a cancelled call was answered");
    assert_eq!(mock.messages("tools/call").len(), 1);
    drop(peer);
    house.close();
}

#[test]
fn a_call_that_pauses_does_not_delay_the_end() {
    let keys = "effects: { broken: read }, retry: { base_delay: 10m, max_delay: 10m }";
    each(MALFORMED, keys, |house, peer| {
        peer.ask("tools/call", json!({ "name": "a__broken", "arguments": {} }));
        await_calls(house, "broken", 1);
    });
}
