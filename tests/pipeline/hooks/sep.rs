//! Servers that speak the interceptors draft (SEP-2624), here a small one in Python.

use serde_json::json;

use super::{asked, await_asked, await_log, echo, tells};
use crate::board::Setup;
use crate::peer::{House, MODERN, Peer};
use crate::{answered, received};

/// A server with these interceptors, as an expression, and this function of the parameters of an invocation.
fn server(interceptors: &str, invoke: &str) -> String {
    format!(
        r#"
from hook import *
interceptors = {interceptors}
{invoke}
for line in sys.stdin:
    message = json.loads(line)
    method, params, reply = message.get("method"), message.get("params") or {{}}, {{}}
    if "id" not in message: continue
    if method == "initialize":
        reply = {{"result": {{"protocolVersion": params["protocolVersion"], "capabilities": {{"extensions": {{"io.modelcontextprotocol/interceptors": {{}}}}}}, "serverInfo": {{"name": "guards", "version": "1"}}}}}}
    elif method == "interceptors/list":
        start = int(params.get("cursor", 0))
        reply = {{"result": {{"interceptors": interceptors[start:start + 2]}}}}
        if start + 2 < len(interceptors): reply["result"]["nextCursor"] = str(start + 2)
    elif method == "interceptor/invoke":
        note(params)
        reply = invoke(params)
    elif method == "ping":
        reply = {{"result": {{}}}}
    else:
        reply = {{"error": {{"code": -32601, "message": "unknown"}}}}
    print(json.dumps(dict(reply, jsonrpc="2.0", id=message["id"])), flush=True)
"#
    )
}

fn with(script: &str, keys: &str, case: impl Fn(&House, &Peer)) {
    for face in [(false, "2025-11-25"), (true, MODERN)] {
        with_one(face, script, keys, &case);
    }
}

fn with_one((http, revision): (bool, &'static str), script: &str, keys: &str, case: &dyn Fn(&House, &Peer)) {
    let setup = Setup::new().script("a", super::SERVER);
    let path = setup.home().join("guards.py").display().to_string();
    let setup = setup.entry("guards", &format!("{{ command: python3, args: [{path:?}] }}"));
    let entry = format!("  - {{ server: guards, match: 'a__*', timeout: 20s{keys} }}");
    super::run(setup, &entry, &[("guards.py", script)], http, revision, case);
}

const ADDS: &str = r#"
def invoke(params):
    payload = params["payload"]
    if params["phase"] == "request": payload["arguments"]["input"] += " " + params["name"]
    else: payload["content"][0]["text"] += " " + params["name"].upper()
    return {"result": {"modified": True, "payload": payload}}
"#;

#[test]
fn mutations_run_one_after_the_other_by_priority_and_name() {
    let interceptors = r#"[
        {"name": "late", "type": "mutation", "hooks": [{"events": ["tools/call"], "phase": "request"}], "priorityHint": 50},
        {"name": "b", "type": "mutation", "hooks": [{"events": ["*"], "phase": "request"}, {"events": ["*"], "phase": "response"}], "priorityHint": {"response": -1}},
        {"name": "a", "type": "mutation", "hook": {"events": ["tools/call"], "phase": "both"}, "mode": "enforce"},
        {"name": "other", "type": "mutation", "hooks": [{"events": ["prompts/get"], "phase": "request"}]},
        {"name": "early", "type": "mutation", "hooks": [{"events": ["tools/*"], "phase": "request"}], "priorityHint": {"request": -50}},
        {"name": "strange", "type": "sink", "hooks": [{"events": ["*"], "phase": "request"}]},
    ]"#;
    with(&server(interceptors, ADDS), ", config: { level: 3 }", |house, peer| {
        answered(&echo(peer, "x"), "x early a b late B A");
        let asked = asked(house, "a");
        assert_eq!(asked[0]["config"], json!({ "level": 3 }));
        assert_eq!((&asked[0]["event"], &asked[0]["timeoutMs"]), (&json!("tools/call"), &json!(20_000)));
        assert_eq!(asked[1]["phase"], "response");
        await_log(house, "unknown kind");
    });
}

#[test]
fn only_errors_of_validations_block() {
    let interceptors = r#"[
        {"name": "judge", "type": "validation", "hooks": [{"events": ["tools/call"], "phase": "request"}]},
        {"name": "audit", "type": "validation", "mode": "audit", "hooks": [{"events": ["*"], "phase": "request"}]},
    ]"#;
    let invoke = r#"
def invoke(params):
    if params["name"] == "audit": return {"result": dict(deny("only audited"), type="validation")}
    text = params["payload"]["arguments"]["input"]
    if text in ("warn", "info"): return {"result": {"valid": False, "severity": text}}
    if text == "error": return {"result": {"valid": False, "severity": "error", "messages": [{"path": "arguments.input", "message": "no errors here", "severity": "error"}]}}
    return {"result": {"valid": True}}
"#;
    with(&server(interceptors, invoke), "", |house, peer| {
        for text in ["fine", "warn", "info"] {
            answered(&echo(peer, text), text);
        }
        tells(&echo(peer, "error"), "SB-HOOK-001", &["`judge`", "arguments.input: no errors here"]);
        assert_eq!(received(house, "echo"), 3);
        await_asked(house, "audit", 4);
    });
}

#[test]
fn fail_open_is_what_the_config_says_or_else_the_server() {
    let interceptors = |open: &str| {
        format!(
            r#"[{{"name": "judge", "type": "validation", "failOpen": {open}, "hooks": [{{"events": ["*"], "phase": "request"}}]}}]"#
        )
    };
    let invoke =
        "def invoke(params): return {'error': {'code': -32603, 'message': 'Interceptor execution failed'}}\n";
    for (open, keys, passes) in [
        ("False", "", false),
        ("True", "", true),
        ("True", ", fail: closed", false),
        ("False", ", fail: open", true),
        ("False", ", mode: audit", true),
    ] {
        with_one((true, MODERN), &server(&interceptors(open), invoke), keys, &|_, peer| match passes {
            true => answered(&echo(peer, "x"), "x"),
            false => tells(&echo(peer, "x"), "SB-HOOK-002", &["`judge`", "Interceptor execution failed"]),
        });
    }
}

#[test]
fn a_server_that_is_not_there_or_has_no_interceptors() {
    for (script, words) in [("import sys\nsys.exit(4)\n", "exited with code 4"), ("", "")] {
        let mock = server("None", "").replace("interceptors[start:start + 2]", "'none'");
        let script = if script.is_empty() { &mock } else { script };
        let script = script.replace("len(interceptors)", "0");
        for (keys, passes) in [("", false), (", fail: open", true)] {
            with_one((false, "2025-11-25"), &script, keys, &|house, peer| {
                match passes {
                    true => answered(&echo(peer, "x"), "x"),
                    false => tells(&echo(peer, "x"), "SB-HOOK-002", &["`guards`", "cannot be listed", words]),
                }
                let read = peer.call("resources/read", json!({ "uri": "note://one" }));
                assert_eq!(read.result()["contents"][0]["text"], "one", "{}", house.stderr());
            });
        }
    }
}

#[test]
fn a_server_that_was_started_again_is_asked_what_it_has() {
    let interceptors = r#"[{"name": "judge", "type": "validation", "hooks": [{"events": ["*"], "phase": "request"}]}] if not os.path.exists(here + "/judge.asked") else []"#;
    let invoke = "def invoke(params): os._exit(1)\n";
    with(&server(interceptors, invoke), "", |_, peer| {
        tells(&echo(peer, "x"), "SB-HOOK-002", &["`judge`"]);
        let until = std::time::Instant::now() + crate::board::DEADLINE;
        while echo(peer, "x").result()["isError"] == true {
            assert!(std::time::Instant::now() < until, "it is never asked again");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
}
