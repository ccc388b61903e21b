//! Who is asked, when, and after whom.

use serde_json::json;

use super::{asked, await_asked, await_log, echo, tells, with, with_one};
use crate::board::Setup;
use crate::peer::{MODERN, speaking};
use crate::{answered, received};

/// Adds its own name to the text on the way there, and on the way back.
const ADDS: &str = r#"
from hook import *

def answer(question):
    payload, name = question["payload"], question["name"]
    if question["phase"] == "request":
        payload["arguments"]["input"] += " " + name
    else:
        payload["content"][0]["text"] += " " + name.upper()
    return {"modified": True, "payload": payload}

serve(answer)
"#;

#[test]
fn in_the_order_of_the_list_and_of_their_priority() {
    let entries = "
  - { name: c, priority: 10, command: ./adds.py, on: [before, after], match: a__echo }
  - { name: a, command: ./adds.py, on: [before, after], match: a__echo }
  - { name: b, command: ./adds.py, on: [before, after], match: a__echo }
  - { name: d, priority: -5, command: ./adds.py, on: before, match: a__echo }";
    with(entries, &[("adds.py", ADDS)], |_, peer| {
        answered(&echo(peer, "x"), "x d a b c A B C");
    });
}

#[test]
fn only_what_matches_is_shown() {
    let script = "from hook import *\nserve(lambda q: None)\n";
    let entries = "
  - { name: echo, command: ./sees.py, match: ['*echo', 'nothing'] }
  - { name: prompts, command: ./sees.py, events: 'prompts/*' }
  - { name: notes, command: ./sees.py, match: 'note:*' }
  - { name: after, command: ./sees.py, on: after, events: tools/call }";
    with(entries, &[("sees.py", script)], |house, peer| {
        answered(&echo(peer, "x"), "x");
        answered(&peer.tool("a__count", json!({})), "count 1");
        peer.call("prompts/get", json!({ "name": "a__greet", "arguments": { "who": "Ada" } }));
        peer.call("resources/read", json!({ "uri": "note://one" }));
        let count = |name| asked(house, name).len();
        assert_eq!((count("echo"), count("prompts"), count("notes"), count("after")), (1, 1, 1, 2));
    });
}

#[test]
fn judges_come_after_those_that_change_a_call_and_cannot_change_it() {
    let judge = r#"
from hook import *
serve(lambda q: None if q["payload"]["arguments"]["input"] == "x adds" else deny("too early"))
"#;
    let entries = "
  - { name: judge, type: validation, command: ./judge.py, match: a__echo }
  - { name: adds, command: ./adds.py, match: a__echo }";
    with(entries, &[("adds.py", ADDS), ("judge.py", judge)], |_, peer| {
        answered(&echo(peer, "x"), "x adds");
    });
    let entry = "  - { name: adds, type: validation, command: ./adds.py }";
    with_one(entry, &[("adds.py", ADDS)], |house, peer| {
        tells(&echo(peer, "x"), "SB-HOOK-002", &["it only validates"]);
        assert_eq!(received(house, "echo"), 0);
    });
}

#[test]
fn judges_are_asked_at_the_same_time() {
    // Each waits until the other has been asked.
    let meets = r#"
from hook import *

def answer(question):
    other = "one" if question["name"] == "two" else "two"
    while not os.path.exists(os.path.join(here, other + ".asked")): time.sleep(0.005)

serve(answer)
"#;
    let entries = "
  - { name: one, type: validation, command: ./meets.py, timeout: 20s }
  - { name: two, type: validation, command: ./meets.py, timeout: 20s }";
    with_one(entries, &[("meets.py", meets)], |_, peer| answered(&echo(peer, "x"), "x"));
}

#[test]
fn audits_never_block() {
    let denies = "from hook import *\nserve(lambda q: deny('never'))\n";
    let hangs = "from hook import *\nserve(lambda q: time.sleep(1000))\n";
    let entries = "
  - { name: denies, mode: audit, command: ./denies.py, on: [before, after] }
  - { name: adds, mode: audit, command: ./adds.py }
  - { name: hangs, mode: audit, command: ./hangs.py, timeout: 20s }
  - { name: gone, mode: audit, command: ./gone.py }";
    let scripts = [("denies.py", denies), ("adds.py", ADDS), ("hangs.py", hangs)];
    with(entries, &scripts, |house, peer| {
        answered(&echo(peer, "x"), "x");
        await_asked(house, "denies", 2);
        await_asked(house, "hangs", 1);
        await_log(house, "an auditing interceptor failed");
    });
}

#[test]
fn what_a_hook_answers_is_shown_to_those_that_look_at_results() {
    let answers =
        "from hook import *\nserve(lambda q: {'answer': {'content': [{'type': 'text', 'text': 'mine'}]}})\n";
    let entries = "
  - { name: answers, command: ./answers.py, match: a__echo }
  - { name: adds, on: after, command: ./adds.py }";
    with(entries, &[("answers.py", answers), ("adds.py", ADDS)], |house, peer| {
        answered(&echo(peer, "x"), "mine ADDS");
        assert_eq!(received(house, "echo"), 0);
    });
}

#[test]
fn what_is_kept_is_looked_at_each_time() {
    let judge = "from hook import *\nserve(lambda q: deny('enough') if len(open(here + '/j.asked').readlines()) > 2 else None)\n";
    let setup = Setup::new().script("a", super::SERVER).keys("cache: { ttl: 1h }, effects: { count: read }");
    let entry = "  - { name: j, command: ./judge.py }";
    super::run(setup, entry, &[("judge.py", judge)], false, "2025-11-25", &|house, peer| {
        answered(&peer.tool("a__count", json!({})), "count 1");
        answered(&peer.tool("a__count", json!({})), "count 1");
        tells(&peer.tool("a__count", json!({})), "SB-HOOK-001", &["enough"]);
        assert_eq!(received(house, "count"), 1);
    });
}

#[test]
fn arguments_that_stand_twice_are_not_passed_by_a_guard() {
    with_one(
        "  - { match: nothing_else, deny: no }\n  - { match: a__echo, events: tools/call, on: after, deny: no }",
        &[],
        |house, peer| {
            let call = r#"{"jsonrpc":"2.0","id":"twice","method":"tools/call","params":{"name":"a__echo","arguments":{"input":"good"},"arguments":{"input":"bad"}}}"#;
            let id = "\"twice\"".to_owned();
            peer.send(Some(&id), call, Vec::new());
            tells(&peer.answer(&id), "SB-HOOK-002", &["twice"]);
            assert_eq!(received(house, "echo"), 0);
        },
    );
}

#[test]
fn no_result_gets_by_as_that_of_a_task() {
    let setup = |revision| Setup::new().script("a", &speaking(revision, "tasks"));
    let after = "  - { on: after, command: ./adds.py, name: adds }";
    let call = json!({ "name": "a__required", "arguments": { "nonce": "n" } });
    // A modern server may make a task of any call of a client that knows them. Such a client waits here.
    let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let house = super::furnished(setup(MODERN), after, &[("adds.py", ADDS)], true);
    let peer = house.peer_with(MODERN, tasks);
    peer.list_with("tools/list", "a__required");
    answered(&peer.call("tools/call", call.clone()), "n: done ADDS");
    drop(peer);
    house.close();
    // A legacy client asks for one, and is told why there is none.
    let house = super::furnished(setup("2025-11-25"), after, &[("adds.py", ADDS)], false);
    let peer = house.peer_with("2025-11-25", json!({ "tasks": { "requests": { "tools": { "call": {} } } } }));
    peer.list_with("tools/list", "a__required");
    let as_task = json!({ "name": "a__optional", "arguments": { "nonce": "n" }, "task": { "ttl": 60_000 } });
    tells(&peer.call("tools/call", as_task), "SB-CALL-008", &["cannot run as a task", "without `task`"]);
    answered(
        &peer.call("tools/call", json!({ "name": "a__optional", "arguments": { "nonce": "n" } })),
        "n: done ADDS",
    );
    drop(peer);
    house.close();
}
