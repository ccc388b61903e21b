//! Every verdict in every phase, and every way to write an interceptor.

use serde_json::{Value, json};

use super::{asked, await_asked, echo, listen, ok, tells, with, with_one};
use crate::board::Setup;
use crate::{answered, received};

/// Says what the call asks it to say, so that one script shows every verdict.
const SAYS: &str = r#"
from hook import *

def answer(question):
    if question["phase"] == "request":
        arguments = question["payload"].get("arguments", {})
        do = arguments.get("do")
        if do == "deny": return deny("not on a Sunday")
        if do == "warn": return {"valid": False, "severity": "warn", "messages": [{"message": "hm", "severity": "warn"}]}
        if do == "change": return {"modified": True, "payload": {"name": question["payload"]["name"], "arguments": {"input": "changed"}}}
        if do == "answer": return {"answer": {"content": [{"type": "text", "text": "from the hook"}]}}
        if do == "delay": return {"delayMs": 300}

serve(answer)
"#;

#[test]
fn a_program_says_every_verdict_before_a_call() {
    let entry = "  - { command: [./says.py], match: a__echo }";
    with(entry, &[("says.py", SAYS)], |house, peer| {
        let call = |what: &str| peer.tool("a__echo", json!({ "input": "plain", "do": what }));
        answered(&call("nothing"), "plain");
        answered(&call("warn"), "plain");
        answered(&call("change"), "changed");
        answered(&call("answer"), "from the hook");
        let begun = std::time::Instant::now();
        answered(&call("delay"), "plain");
        assert!(begun.elapsed().as_millis() >= 300);
        tells(&call("deny"), "SB-HOOK-001", &["`says.py`", "not on a Sunday", "It did not run"]);
        assert_eq!(received(house, "echo"), 4);
        let status = peer.tool("switchboard__status", json!({})).text();
        assert!(status.contains("interceptor says.py: asked 6 times, refused 1, failed 0"), "{status}");
        let changed =
            house.received("a").into_iter().rfind(|message| message.to_string().contains("changed"));
        assert_eq!(changed.unwrap()["params"]["arguments"], json!({ "input": "changed" }));
    });
}

#[test]
fn the_question_has_everything_that_may_be_known() {
    let server = super::SERVER.replace("echo: {", "echo: { annotations: { readOnlyHint: true },");
    let setup = Setup::new().script("a", &server).keys("effects: { echo: idempotent }");
    let entry = "  - { command: [./says.py], on: [before, after], name: guard, timeout: 30s, config: { strict: true } }";
    super::run(setup, entry, &[("says.py", SAYS)], false, "2025-11-25", &|house, peer| {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let call = json!({ "name": "a__echo", "arguments": { "input": "hi", "n": 1.10 }, "_meta": { "traceparent": trace } });
        answered(&peer.call("tools/call", call), "hi");
        let asked = asked(house, "guard");
        let (before, after) = (&asked[0], &asked[1]);
        assert_eq!(before["event"], "tools/call");
        assert_eq!((&before["phase"], &after["phase"]), (&json!("request"), &json!("response")));
        assert_eq!(before["payload"]["name"], "a__echo");
        assert_eq!(before["payload"]["arguments"], json!({ "input": "hi", "n": 1.10 }));
        assert_eq!(after["payload"]["content"][0]["text"], "hi");
        assert_eq!((&before["config"], &before["timeoutMs"]), (&json!({ "strict": true }), &json!(30_000)));
        let context = &before["context"];
        assert_eq!(context["principal"], json!({ "type": "anonymous" }));
        assert_eq!(context["traceId"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context["spanId"], "b7ad6b7169203331");
        assert!(context["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
        let ours = json!({
            "server": "a", "name": "echo", "exposed": "a__echo", "effect": "idempotent", "attempt": 1,
            "annotations": { "readOnlyHint": true },
        });
        assert_eq!(context["switchboard"], ours);
        assert_eq!(after["context"]["switchboard"]["arguments"]["input"], "hi");
    });
}

#[test]
fn results_are_changed_and_withheld_and_all_else_keeps_its_text() {
    let script = r#"
from hook import *

def answer(question):
    payload = question["payload"]
    text = payload["content"][0]["text"]
    if text == "secret": return deny("it is a secret")
    if text == "loud":
        payload["content"][0]["text"] = "quiet"
        return {"modified": True, "payload": payload}

serve(answer)
"#;
    with("  - { on: after, command: [./after.py] }", &[("after.py", script)], |house, peer| {
        answered(&echo(peer, "plain"), "plain");
        answered(&echo(peer, "loud"), "quiet");
        let withheld = echo(peer, "secret");
        tells(&withheld, "SB-HOOK-001", &["it is a secret", "It has run"]);
        assert!(!withheld.raw.contains("\"secret\""), "{}", withheld.raw);
        let whole = peer.tool("a__whole", json!({}));
        assert!(whole.raw.contains("1.10") && whole.raw.contains("12345678901234567890123"), "{}", whole.raw);
        assert_eq!(received(house, "echo"), 3);
    });
}

#[test]
fn errors_are_shown_and_may_be_answered() {
    let script = r#"
from hook import *

def answer(question):
    error = question["payload"]["error"]
    if error["code"] == -32602: return {"answer": {"content": [{"type": "text", "text": "a fallback"}]}}
    if error["code"] == "SB-CALL-002": return deny("tell nobody")

serve(answer)
"#;
    let entry = "  - { on: error, command: [./error.py], match: 'a__*' }";
    with(entry, &[("error.py", script)], |house, peer| {
        // What a tool says of itself is a result.
        assert_eq!(peer.tool("a__sorry", json!({})).result()["isError"], true);
        assert_eq!(asked(house, "error.py"), [] as [Value; 0]);
        answered(&peer.tool("a__wrong", json!({})), "a fallback");
        tells(&peer.tool("a__gone", json!({})), "SB-HOOK-001", &["tell nobody"]);
        assert_eq!(await_asked(house, "error.py", 2)[1]["context"]["switchboard"]["name"], "gone");
    });
}

#[test]
fn prompts_and_resources_pass_by_too() {
    let script = r#"
from hook import *

def answer(question):
    payload = question["payload"]
    if question["event"] == "prompts/get" and question["phase"] == "request":
        return {"modified": True, "payload": {"arguments": {"who": "Grace"}}}
    if question["event"] == "resources/read" and question["phase"] == "response":
        payload["contents"][0]["text"] = "two"
        return {"modified": True, "payload": payload}

serve(answer)
"#;
    with("  - { on: [before, after], command: [./both.py] }", &[("both.py", script)], |house, peer| {
        let prompt = peer.call("prompts/get", json!({ "name": "a__greet", "arguments": { "who": "Ada" } }));
        assert!(prompt.raw.contains("Hello Grace"), "{}", prompt.raw);
        let read = peer.call("resources/read", json!({ "uri": "note://one" }));
        assert_eq!(read.result()["contents"][0]["text"], "two", "{}", read.raw);
        let asked = asked(house, "both.py");
        assert_eq!(asked[2]["payload"], json!({ "uri": "note://one" }));
    });
}

#[test]
fn a_program_for_every_call() {
    let script =
        "from hook import *\nonce(lambda q: deny('never') if 'no' in json.dumps(q['payload']) else None)\n";
    let silent = "import sys\nsys.stdin.read()\nprint('{\"valid\": true}')\n";
    let entries = "  - { command: [python3, ./one.py], once: true }\n  - { command: ./silent.py, once: true, env: { A: b } }";
    with(entries, &[("one.py", script), ("silent.py", silent)], |house, peer| {
        answered(&echo(peer, "yes"), "yes");
        tells(&echo(peer, "no"), "SB-HOOK-001", &["`one.py`", "never"]);
        assert_eq!(asked(house, "one.py").len(), 2);
    });
    let fails =
        "import sys\nprint('{\"valid\": true}')\nprint('out of paper', file=sys.stderr)\nsys.exit(3)\n";
    with_one("  - { command: ./fails.py, once: true }", &[("fails.py", fails)], |_, peer| {
        tells(&echo(peer, "x"), "SB-HOOK-002", &["code 3", "out of paper", "`fail: open`"]);
    });
}

#[test]
fn an_address_is_posted_to() {
    let address = listen(|head, body| {
        let question: Value = serde_json::from_str(body).unwrap();
        assert!(head.starts_with("POST /hook HTTP/1.1"), "{head}");
        assert!(head.to_lowercase().contains("x-key: k1"), "{head}");
        match question["payload"]["arguments"]["input"].as_str() {
            Some("no") => {
                ok(r#"{"valid":false,"messages":[{"message":"says the address","severity":"error"}]}"#)
            }
            Some("other") => ok(r#"{"modified":true,"payload":{"arguments":{"input":"new"}}}"#),
            _ => ok(r#"{"valid":true}"#),
        }
    });
    let entry = format!("  - {{ url: 'http://{address}/hook', headers: {{ X-Key: k1 }} }}");
    with(&entry, &[], |house, peer| {
        answered(&echo(peer, "yes"), "yes");
        answered(&echo(peer, "other"), "new");
        tells(&echo(peer, "no"), "SB-HOOK-001", &["says the address"]);
        assert_eq!(received(house, "echo"), 2);
    });
}

#[test]
fn what_is_denied_by_the_config_needs_nobody() {
    with("  - { match: ['a__c*', 'note:*'], deny: 'not in this house' }", &[], |house, peer| {
        answered(&echo(peer, "yes"), "yes");
        tells(&peer.tool("a__count", json!({})), "SB-HOOK-001", &["not in this house"]);
        let read = peer.call("resources/read", json!({ "uri": "note://one" }));
        assert!(read.error().to_string().contains("SB-HOOK-001"), "{}", read.raw);
        assert_eq!(received(house, "count"), 0);
    });
}

#[test]
fn the_example_keeps_calls_below_one_folder() {
    let guard = include_str!("../../../examples/interceptors/guard.py");
    let setup = Setup::new().script("a", "tools:\n  echo: x\n  read: { answer: \"The file {{path}}\" }\n");
    let entry = "  - { match: a__read, command: ./guard.py, timeout: 20s }";
    super::run(setup, entry, &[("guard.py", guard)], false, "2025-11-25", &|house, peer| {
        let read = |path: &str| peer.tool("a__read", json!({ "path": path }));
        answered(&read("/home/me/notes.txt"), "The file /home/me/notes.txt");
        for path in ["/etc/passwd", "/home/me/../you/notes.txt"] {
            tells(&read(path), "SB-HOOK-001", &["`guard.py`", "path must be below /home/me"]);
        }
        assert_eq!(received(house, "read"), 1);
    });
}
