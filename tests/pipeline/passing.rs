//! What is said in the middle of a call passes the stages unseen.

use serde_json::json;

use super::{answered, each};
use crate::board::Setup;
use crate::peer::{EVERY, EVERY_LEGACY, House, MODERN, speaking};

const ALL: &str = "retry: {}, breaker: {}, concurrency: { max: 4 }, rate_limit: { calls: 1000 }";

#[test]
fn questions_in_the_middle_of_a_call_are_asked_and_answered() {
    for revisions in [EVERY_LEGACY, EVERY, MODERN] {
        each(&speaking(revisions, "asks"), ALL, |_, peer| {
            let call = json!({ "name": "a__form", "arguments": { "nonce": "n1" } });
            let answer = peer.converse("tools/call", call, |question| {
                assert_eq!(question.method, "elicitation/create");
                json!({ "action": "accept", "content": { "name": "Ada" } })
            });
            assert!(
                answer.text().starts_with("n1: accept") && answer.text().contains("Ada"),
                "{}",
                answer.raw
            );
        });
    }
}

#[test]
fn progress_comes_with_the_clients_own_token_and_only_rises() {
    let script = r#"
state: "{{env.MOCK_STATE}}"
runs: [ { tools: { look: { steps: [ { progress: 1 }, { progress: 2 }, { exit: 1 } ] } } } ]
tools:
  echo: { answer: "{{input}}" }
  look: { steps: [ { progress: 1 }, { progress: 2 }, { progress: 3 }, { answer: seen } ] }
"#;
    let keys = format!("effects: {{ look: read }}, {ALL}");
    each(script, &keys, |_, peer| {
        let call = json!({ "name": "a__look", "arguments": {}, "_meta": { "progressToken": "mine" } });
        answered(&peer.call("tools/call", call), "seen");
        let progress: Vec<f64> = peer
            .heard_of(|message| message.method.as_deref() == Some("notifications/progress"))
            .iter()
            .map(|message| {
                assert_eq!(message.params()["progressToken"], "mine");
                message.params()["progress"].as_f64().unwrap()
            })
            .collect();
        assert_eq!(progress, [1.0, 2.0, 3.0]);
    });
}

#[test]
fn a_parked_call_goes_on_where_it_was() {
    let house = House::stdio(Setup::new().script("a", &speaking(EVERY_LEGACY, "asks")).keys(ALL));
    let peer = house.peer(MODERN);
    peer.list_with("tools/list", "a__form");
    let id = peer.ask("tools/call", json!({ "name": "a__echo", "arguments": { "input": "first" } }));
    answered(&peer.answer(&id), "first");
    let call = json!({ "name": "a__form", "arguments": { "nonce": "n" } });
    let round = crate::peer::Round::expect(&peer.call("tools/call", call.clone()));
    let again = peer.ask("tools/call", round.retry_all(&call, &json!({ "action": "decline" })));
    assert!(peer.answer(&again).text().starts_with("n: decline"));
    drop(peer);
    house.close();
}

#[test]
fn servers_of_one_session_share_the_turns_of_all() {
    let script = "tools:\n  echo: { answer: \"{{input}}\" }\n  hold: { wait_cancel: 20s }\n";
    let house = House::http(
        Setup::new().script("a", script).keys("share: session, concurrency: { max: 1, queue: 0 }"),
    );
    let (first, second) = (house.peer("2025-11-25"), house.peer("2025-11-25"));
    first.list_with("tools/list", "a__echo");
    let hold = first.ask("tools/call", json!({ "name": "a__hold", "arguments": {} }));
    super::await_calls(&house, "hold", 1);
    super::refused(&second.tool("a__echo", json!({ "input": "x" })), "SB-LIMIT-002");
    first.cancel(&hold);
    let until = std::time::Instant::now() + crate::board::DEADLINE;
    while second.tool("a__echo", json!({ "input": "x" })).result()["isError"] == true {
        assert!(std::time::Instant::now() < until, "the turn is never free");
    }
    drop((first, second));
    house.close();
}
