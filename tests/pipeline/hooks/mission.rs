//! The mission's examples of hooks, one by one: the before hook, the after hook, the error handler, and its custom interceptor.

use serde_json::json;

use super::{asked, await_asked, echo, tells, with};
use crate::{answered, received};

#[test]
fn the_before_hook_gets_the_tool_the_server_and_the_arguments() {
    let script = "from hook import *\nserve(lambda q: None)\n";
    with(
        "  - { on: before, command: ./before_tool_call.py }",
        &[("before_tool_call.py", script)],
        |house, peer| {
            answered(&echo(peer, "hello"), "hello");
            let asked = asked(house, "before_tool_call.py");
            assert_eq!(asked[0]["context"]["switchboard"]["name"], "echo");
            assert_eq!(asked[0]["context"]["switchboard"]["server"], "a");
            assert_eq!(asked[0]["payload"]["arguments"], json!({ "input": "hello" }));
        },
    );
}

#[test]
fn the_after_hook_gets_the_result_and_may_give_another() {
    let script = r#"
from hook import *

def answer(question):
    result = question["payload"]
    result["content"][0]["text"] = "checked: " + result["content"][0]["text"]
    return {"modified": True, "payload": result}

serve(answer)
"#;
    with(
        "  - { on: after, command: ./after_tool_call.py }",
        &[("after_tool_call.py", script)],
        |house, peer| {
            answered(&echo(peer, "hello"), "checked: hello");
            assert_eq!(asked(house, "after_tool_call.py")[0]["context"]["switchboard"]["name"], "echo");
        },
    );
}

#[test]
fn the_error_handler_gets_what_went_wrong() {
    let script = "from hook import *\nserve(lambda q: None)\n";
    with("  - { on: error, command: ./on_error.py }", &[("on_error.py", script)], |house, peer| {
        assert_eq!(peer.tool("a__wrong", json!({})).code(), -32602);
        let gone = peer.tool("a__gone", json!({}));
        assert_eq!(gone.result()["isError"], true);
        let asked = await_asked(house, "on_error.py", 2);
        assert_eq!(asked[0]["payload"]["error"], json!({ "code": -32602, "message": "no such thing" }));
        assert_eq!(asked[1]["payload"]["error"]["code"], "SB-CALL-002");
        assert_eq!(asked[1]["context"]["switchboard"]["server"], "a");
    });
}

#[test]
fn the_custom_interceptor_limits_validates_and_logs() {
    let script = r#"
from hook import *
calls = 0

def before(question):
    global calls
    calls += 1
    if calls > 3: return deny("rate limit: three calls are enough")
    if not question["payload"]["arguments"].get("input"): return deny("input must not be empty")
    print("calling", question["context"]["switchboard"]["name"], file=sys.stderr, flush=True)

def after(question):
    if "content" not in question["payload"]: return deny("no content")

serve(lambda q: before(q) if q["phase"] == "request" else after(q))
"#;
    with(
        "  - { on: [before, after], command: ./custom.py, match: a__echo }",
        &[("custom.py", script)],
        |house, peer| {
            answered(&echo(peer, "one"), "one");
            tells(&echo(peer, ""), "SB-HOOK-001", &["input must not be empty"]);
            answered(&echo(peer, "two"), "two");
            tells(&echo(peer, "three"), "SB-HOOK-001", &["rate limit"]);
            assert_eq!(received(house, "echo"), 2);
            // What it says on stderr is kept as that of servers is.
            let logs = house.setup.home().join("state/logs/servers");
            let texts =
                std::fs::read_dir(&logs).unwrap().flatten().map(|file| std::fs::read_to_string(file.path()));
            assert!(texts.flatten().any(|text| text.contains("calling echo")), "{logs:?}");
        },
    );
}
