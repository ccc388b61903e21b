//! `server-everything` 0.6.2, which speaks only 2024-11-05: lists in pages, fields of its own in resources,
//! sampling and progress as they were.

use serde_json::{Value, json};

use crate::case::{Case, ask, call, prompt, read};

pub(crate) fn cases() -> Vec<Case> {
    let long = |token: Value| {
        call("longRunningOperation", json!({ "duration": 0.3, "steps": 3 }))
            .with(&format!("progress token {token}"))
            .meta(json!({ "progressToken": token }))
            .watching(&["notifications/progress"])
    };
    vec![
        call("echo", json!({ "message": "old ä ☃" })),
        call("add", json!({ "a": 1.5, "b": 2 })),
        call("getTinyImage", json!({})),
        call("sampleLLM", json!({ "prompt": "Say", "maxTokens": 3 })).watching(&["sampling/createMessage"]),
        long(json!("a text token")),
        long(json!(7)),
        call("echo", json!({})).with("argument missing"),
        call("no-such-tool", json!({})).refused_here(),
        prompt("simple_prompt", json!({})),
        prompt("complex_prompt", json!({ "temperature": "0.5", "style": "kurz" })),
        ask("complex_prompt without arguments", "prompts/get", json!({ "name": "complex_prompt" })),
        read("test://static/resource/1"),
        read("test://static/resource/2").with("blob"),
        read("test://static/resource/100").with("on the last page"),
        read("test://static/resource/101").with("missing, fits the template"),
    ]
}
