//! `server-everything`, current: every tool that a client without tasks can call, prompts, resources,
//! completion, progress, sampling, elicitation.

use serde_json::{Value, json};

use crate::blur;
use crate::case::{Case, ask, call, prompt, read};

const PROGRESS: &[&str] = &["notifications/progress"];
const ASKS: &[&str] = &["sampling/createMessage", "elicitation/create"];

pub(crate) fn cases() -> Vec<Case> {
    [tools(), refusals(), asks(), prompts(), resources(), completions()].concat()
}

fn tools() -> Vec<Case> {
    let long = |token: Value| {
        call("trigger-long-running-operation", json!({ "duration": 0.3, "steps": 3 }))
            .with(&format!("progress token {token}"))
            .meta(json!({ "progressToken": token }))
            .watching(PROGRESS)
    };
    // Spellings that do not survive a number type.
    let numbers: Value = serde_json::from_str("[1.10, 1e2, 12345678901234567890123, -0.0]").unwrap();
    vec![
        call("echo", json!({ "message": "plain" })),
        call("echo", json!({ "message": "ä ☃ \u{1f600} \u{2028} \" \\ \t \u{0} end" })).with("unicode"),
        call("echo", json!({ "message": "x".repeat(300_000) })).with("300 kB"),
        call("echo", json!({ "message": "kept", "unknown": { "b": numbers, "a": null } }))
            .with("unknown argument, foreign meta")
            .meta(json!({ "vendor.test/trace": "00-ab-cd-01", "n": numbers })),
        call("get-sum", json!({ "a": 1.5, "b": 1e2 })),
        call("get-sum", json!({ "a": 0.1, "b": 0.2 })).with("floating point"),
        call("get-env", json!({})).blurred(blur::environment),
        call("get-tiny-image", json!({})),
        call("get-annotated-message", json!({ "messageType": "error", "includeImage": true })),
        call("get-annotated-message", json!({ "messageType": "debug" })).with("debug"),
        call("get-structured-content", json!({ "location": "Chicago" })),
        call("get-resource-links", json!({ "count": 4 })).blurred(blur::time_of_day),
        call("get-resource-reference", json!({ "resourceType": "Text", "resourceId": 2 }))
            .blurred(blur::time_of_day),
        call("get-resource-reference", json!({ "resourceType": "Blob", "resourceId": 3 }))
            .with("blob")
            .blurred(blur::time_of_day),
        call(
            "gzip-file-as-resource",
            json!({ "name": "a.gz", "data": "data:text/plain,hello", "outputType": "resource" }),
        ),
        long(json!("a text token")),
        long(json!(123_456_789)),
        call("trigger-long-running-operation", json!({ "duration": 0.1, "steps": 2 }))
            .with("no progress token")
            .watching(PROGRESS),
    ]
}

fn refusals() -> Vec<Case> {
    vec![
        call("echo", json!({})).with("argument missing"),
        call("get-sum", json!({ "a": "one", "b": 2 })).with("argument of wrong type"),
        ask("arguments left out", "tools/call", json!({ "name": "echo" })),
        call("get-structured-content", json!({ "location": "Atlantis" })).with("not in the enumeration"),
        call("no-such-tool", json!({})).refused_here(),
        prompt("args-prompt", json!({})).with("argument missing"),
        prompt("resource-prompt", json!({ "resourceType": "Text", "resourceId": "abc" }))
            .with("bad argument"),
        prompt("no-such-prompt", json!({})).refused_here(),
        read("demo://resource/dynamic/text/abc").with("template refuses it"),
        read("demo://nowhere/at/all").refused_here(),
    ]
}

fn asks() -> Vec<Case> {
    let url = "https://example.test/authorize?state=ä%20b";
    vec![
        call("trigger-sampling-request", json!({ "prompt": "Say ☃", "maxTokens": 17 })).watching(ASKS),
        call("trigger-elicitation-request", json!({})).watching(ASKS),
        call("trigger-url-elicitation", json!({ "url": url, "elicitationId": "fixed-id" })).watching(ASKS),
        call("trigger-url-elicitation", json!({ "url": url, "errorPath": true }))
            .with("by error")
            .watching(ASKS)
            .blurred(blur::elicitation_id),
    ]
}

fn prompts() -> Vec<Case> {
    vec![
        prompt("simple-prompt", json!({})),
        ask("simple-prompt without arguments", "prompts/get", json!({ "name": "simple-prompt" })),
        prompt("args-prompt", json!({ "city": "Zürich", "state": "ZH" })),
        prompt("completable-prompt", json!({ "department": "Sales", "name": "Eve" })),
        prompt("resource-prompt", json!({ "resourceType": "Text", "resourceId": "4" }))
            .blurred(blur::time_of_day),
        prompt("resource-prompt", json!({ "resourceType": "Blob", "resourceId": "5" }))
            .with("blob")
            .blurred(blur::time_of_day),
    ]
}

fn resources() -> Vec<Case> {
    let documents =
        ["architecture", "extension", "features", "how-it-works", "instructions", "startup", "structure"];
    let mut cases: Vec<Case> =
        documents.iter().map(|name| read(&format!("demo://resource/static/document/{name}.md"))).collect();
    cases.push(read("demo://resource/dynamic/text/7").blurred(blur::time_of_day));
    cases.push(read("demo://resource/dynamic/blob/8").blurred(blur::time_of_day));
    cases
}

fn completions() -> Vec<Case> {
    let of_prompt = |argument: Value, context: Option<Value>| {
        let mut params =
            json!({ "ref": { "type": "ref/prompt", "name": "completable-prompt" }, "argument": argument });
        if let Some(context) = context {
            params["context"] = context;
        }
        ask(&params["argument"].to_string(), "completion/complete", params.clone())
    };
    let of_template = |uri: &str, value: &str| {
        let params = json!({
            "ref": { "type": "ref/resource", "uri": uri },
            "argument": { "name": "resourceId", "value": value },
        });
        ask(&format!("{uri} {value}"), "completion/complete", params)
    };
    vec![
        of_prompt(json!({ "name": "department", "value": "" }), None),
        of_prompt(json!({ "name": "department", "value": "S" }), None),
        of_prompt(
            json!({ "name": "name", "value": "" }),
            Some(json!({ "arguments": { "department": "Sales" } })),
        ),
        of_template("demo://resource/dynamic/text/{resourceId}", "12"),
        of_template("demo://resource/dynamic/blob/{resourceId}", "x"),
    ]
}
