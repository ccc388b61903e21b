//! Hooks on what servers ask of clients: sampling, elicitation and roots, in every pair of eras.

use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use super::{asked, furnished};
use crate::board::Setup;
use crate::peer::{House, MODERN, Peer, everything};

const ASKS: &str = r#"
tools:
  sure: { steps: [ { ask: { method: elicitation/create, params: { message: "Sure?", requestedSchema: { type: object, properties: { name: { type: string } } } }, save: s } }, { answer: "{{s.action}} {{s.content.name}}" } ] }
  model: { steps: [ { ask: { method: sampling/createMessage, params: { messages: [ { role: user, content: { type: text, text: hi } } ], maxTokens: 5 }, save: m } }, { answer: "{{m.content.text}}" } ] }
  where: { steps: [ { ask: { method: roots/list, save: r } }, { answer: "{{r.roots}}" } ] }
"#;

/// Changes the question and the answer, answers in the model's place, and keeps where the client works to itself.
const GUARD: &str = r#"
from hook import *

def answer(question):
    event, phase, payload = question["event"], question["phase"], question["payload"]
    if event == "elicitation/create":
        if phase == "request": payload["message"] += " (asked by a tool)"
        else: payload["content"]["name"] = payload["content"]["name"].upper()
        return {"modified": True, "payload": payload}
    if event == "sampling/createMessage":
        return {"answer": {"role": "assistant", "content": {"type": "text", "text": "from the guard"}, "model": "none"}}
    if event == "roots/list": return deny("nobody needs to know")

serve(answer)
"#;

fn each(entry: &str, script: &str, case: impl Fn(&House, &Peer)) {
    each_with("", entry, script, case);
}

/// The same with more in the config.
fn each_with(config: &str, entry: &str, script: &str, case: impl Fn(&House, &Peer)) {
    for server in ["2025-11-25", MODERN] {
        for (http, client) in [(false, "2025-11-25"), (true, MODERN)] {
            let setup = Setup::new().script("a", &format!("revisions: [ {server} ]\n{ASKS}")).config(config);
            let house = furnished(setup, entry, &[("guard.py", script)], http);
            let peer = house.peer_with(client, everything(client));
            peer.list_with("tools/list", "a__sure");
            let run = catch_unwind(AssertUnwindSafe(|| case(&house, &peer)));
            assert!(run.is_ok(), "a client of {client}, a server of {server}; {}", house.stderr());
            drop(peer);
            house.close();
        }
    }
}

/// Calls a tool, gives the client's answer to whatever it is asked, and says what that was.
fn converse(peer: &Peer, tool: &str, reply: Value) -> (Vec<Value>, crate::board::Message) {
    let mut heard = Vec::new();
    let answer = peer.converse("tools/call", json!({ "name": tool }), |question| {
        heard.push(question.params.clone());
        reply.clone()
    });
    (heard, answer)
}

/// An older server is told why it gets no answer; a newer one is not called again, and the client is told.
#[track_caller]
fn told(house: &House, answer: &crate::board::Message, why: &str) {
    let server = house.received("a").iter().any(|message| message["error"].to_string().contains(why));
    assert!(server || answer.raw.contains(why), "{}", answer.raw);
}

/// Everything about questions, for the guard above.
const ENTRY: &str = "  - { command: [./guard.py], on: [before, after], events: ['*/create*', roots/list], match: 'a__*', timeout: 30s }";

#[test]
fn questions_and_answers_are_changed_answered_and_refused() {
    each(ENTRY, GUARD, changed_answered_and_refused);
}

/// Whoever counts calls, and whoever makes spans of them, stands between the server and those who look at its questions.
#[test]
fn questions_are_looked_at_where_calls_are_counted_and_traced() {
    // Nobody is there to take the spans, which nobody waits for.
    let collector = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let counted = "admin: { listen: \"127.0.0.1:0\", token: a-token-of-the-tests-0123456789 }";
    let traced = format!("telemetry: {{ otlp: \"http://{collector}\" }}");
    for config in [counted, &traced, &format!("{counted}\n{traced}")] {
        each_with(config, ENTRY, GUARD, changed_answered_and_refused);
    }
}

/// What a task asks would stand in what is told of it, where no guard looks.
#[test]
fn a_call_whose_questions_are_looked_at_does_not_become_a_task() {
    let script =
        format!("revisions: [ {MODERN} ]\n{}", ASKS.replace("sure: {", "sure: { task: { poll: 20ms },"));
    let house = furnished(Setup::new().script("a", &script), ENTRY, &[("guard.py", GUARD)], true);
    house.peer(MODERN).list_with("tools/list", "a__sure");
    let mut capabilities = everything(MODERN);
    capabilities["extensions"] = json!({ "io.modelcontextprotocol/tasks": {} });
    let peer = house.peer_with(MODERN, capabilities);
    let (heard, answer) =
        converse(&peer, "a__sure", json!({ "action": "accept", "content": { "name": "ada" } }));
    assert!(heard[0]["message"].as_str().unwrap().ends_with("Sure? (asked by a tool)"), "{heard:?}");
    assert_eq!(answer.text(), "accept ADA", "{}", answer.raw);
    drop(peer);
    house.close();
}

fn changed_answered_and_refused(house: &House, peer: &Peer) {
    let accept = json!({ "action": "accept", "content": { "name": "ada" } });
    let (heard, answer) = converse(peer, "a__sure", accept.clone());
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0]["message"].as_str().unwrap().ends_with("Sure? (asked by a tool)"), "{heard:?}");
    assert_eq!(answer.text(), "accept ADA", "{}", answer.raw);
    let (heard, answer) = converse(peer, "a__model", json!({}));
    assert_eq!((heard.len(), &*answer.text()), (0, "from the guard"), "{}", answer.raw);
    let (heard, answer) = converse(peer, "a__where", json!({ "roots": [] }));
    assert!(heard.is_empty(), "{heard:?}");
    told(house, &answer, "nobody needs to know");
    let asked = asked(house, "guard.py");
    let switchboard = &asked[0]["context"]["switchboard"];
    assert_eq!((&switchboard["exposed"], &switchboard["server"]), (&json!("a__sure"), &json!("a")));
    assert_eq!(asked[0]["payload"]["message"], "Sure?");
}

#[test]
fn a_guard_of_questions_that_fails_costs_what_its_entry_says() {
    for (fail, passes) in [("open", true), ("closed", false)] {
        let entry = format!(
            "  - {{ command: [./guard.py], events: elicitation/create, match: 'a__*', timeout: 20s, fail: {fail} }}"
        );
        each(&entry, "import sys\nsys.exit(3)\n", |house, peer| {
            let accept = json!({ "action": "accept", "content": { "name": "ada" } });
            let (heard, answer) = converse(peer, "a__sure", accept);
            match passes {
                true => assert_eq!((heard.len(), &*answer.text()), (1, "accept ada"), "{}", answer.raw),
                false => {
                    assert!(heard.is_empty(), "{heard:?}");
                    told(house, &answer, "SB-HOOK-002");
                }
            }
        });
    }
}

#[test]
fn a_guard_of_calls_sees_no_questions() {
    let entry = "  - { command: [./guard.py], on: [before, after, error] }";
    each(entry, GUARD, |house, peer| {
        let (heard, answer) = converse(peer, "a__where", json!({ "roots": [] }));
        assert_eq!((heard.len(), &*answer.text()), (1, "[]"), "{}", answer.raw);
        assert!(asked(house, "guard.py").iter().all(|asked| asked["event"] == "tools/call"));
    });
}
