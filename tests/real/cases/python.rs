//! `remote/server.py`: a little of everything, on each of the Python SDKs.

use serde_json::{Value, json};

use crate::case::{Case, ask, call, prompt, read};

const ASKS: &[&str] = &["sampling/createMessage", "elicitation/create"];

pub(crate) fn cases() -> Vec<Case> {
    [without_questions(), questions()].concat()
}

/// What a server can answer that cannot ask anything.
pub(crate) fn without_questions() -> Vec<Case> {
    let complete = |name: &str, value: &str| {
        let params = json!({
            "ref": { "type": "ref/prompt", "name": "greet" },
            "argument": { "name": name, "value": value },
        });
        ask(value, "completion/complete", params)
    };
    vec![
        call("add", json!({ "a": 1, "b": 2 })),
        call("add", json!({ "a": "one" })).with("wrong arguments"),
        call("echo", json!({ "text": "ä ☃ \u{1f600} \u{2028} \" \\ end" })),
        call("echo", json!({ "text": "x".repeat(300_000) })).with("300 kB"),
        call("fail", json!({})),
        call("log", json!({})).watching(&["notifications/message"]),
        slow(json!("a text token")),
        slow(json!(7)),
        call("no-such-tool", json!({})).refused_here(),
        read("note://one"),
        read("note://by/Ada"),
        read("note://nowhere/at/all").refused_here(),
        prompt("greet", json!({ "name": "Zoë" })),
        complete("name", "A"),
        complete("name", ""),
    ]
}

/// What is left where nothing is said before the answer.
pub(crate) fn without_streams() -> Vec<Case> {
    let silent = |case: Case| Case { watch: &[], ..case };
    without_questions().into_iter().map(silent).collect()
}

/// What is left where logs have to be asked for.
pub(crate) fn without_logs() -> Vec<Case> {
    let mut cases = without_questions();
    cases.retain(|case| case.params["name"] != "log");
    cases
}

fn slow(token: Value) -> Case {
    call("slow", json!({ "steps": 3 }))
        .with(&format!("progress token {token}"))
        .meta(json!({ "progressToken": token }))
        .watching(&["notifications/progress"])
}

fn questions() -> Vec<Case> {
    vec![call("ask", json!({})).watching(ASKS), call("sample", json!({})).watching(ASKS)]
}
