//! Questions of servers in the middle of calls, in every cell.

use serde_json::{Value, json};

use super::board::Message;
use super::peer::{Question, Round};
use super::{Cell, each, each_with, since};

/// Whether servers of this revision ask in this way: what is not of a revision is no cell.
fn asks(server: &str, since: &str) -> bool {
    server >= since
}

/// Calls a tool that asks, answers, and gives what was asked and what the tool made of the answer.
fn ask(cell: &Cell<'_>, tool: &str, reply: Value) -> (Vec<Question>, Message) {
    let mut questions = Vec::new();
    let answer = cell.peer.converse("tools/call", json!({ "name": cell.name(tool) }), |question| {
        questions.push(question.clone());
        reply.clone()
    });
    (questions, answer)
}

/// One that is answered: what was asked, once.
#[track_caller]
fn answered(cell: &Cell<'_>, tool: &str, reply: Value) -> Question {
    let (mut questions, answer) = ask(cell, tool, reply.clone());
    assert_eq!(questions.len(), 1, "{questions:#?} {}", answer.raw);
    let seen: Value = serde_json::from_str(answer.text().trim_start_matches("= ")).unwrap_or(Value::Null);
    assert_eq!(seen, reply, "{}", answer.raw);
    questions.remove(0)
}

/// One that cannot be asked: the server, or the client, is told why, in a sentence.
#[track_caller]
fn refused(cell: &Cell<'_>, tool: &str, says: &[&str]) {
    let (questions, answer) = ask(cell, tool, json!({}));
    assert!(questions.is_empty(), "{questions:#?}");
    let is_said = says.iter().any(|words| answer.raw.contains(words));
    assert!(is_said, "nothing of {says:?} in {}", answer.raw);
    if let Some(code) = answer.error.as_ref().map(|_| answer.code()) {
        let legal: &[i64] =
            if cell.has_modern_client() { &[-32021, -32602, -32603] } else { &[-32602, -32603] };
        assert!(legal.contains(&code), "check 21: {}", answer.raw);
    }
}

/// Checks 54, 55, 56, 60: forms of every level; checks 19, 57.
fn forms(cell: &Cell<'_>) {
    if !asks(cell.server, "2025-06-18") {
        return;
    }
    let reply = json!({ "action": "accept", "content": { "colour": "r" } });
    if !since(cell.client, "2025-06-18") {
        for tool in ["plain", "named"] {
            refused(cell, tool, &["elicitation"]);
        }
        return;
    }
    let question = answered(cell, "plain", json!({ "action": "accept", "content": { "name": "Ada" } }));
    assert_eq!(question.params["message"], format!("[{}] Who?", cell.named), "check 60");
    assert_eq!(question.params["requestedSchema"]["properties"]["name"]["minLength"], 1);
    answered(cell, "plain", json!({ "action": "decline" }));
    answered(cell, "plain", json!({ "action": "cancel" }));

    let field = |question: &Question| question.params["requestedSchema"]["properties"]["colour"].clone();
    let named = field(&answered(cell, "named", reply.clone()));
    let titled_for_us = json!([{ "const": "r", "title": "Red" }, { "const": "g", "title": "Green" }]);
    if cell.server == "2025-06-18" && cell.client != "2025-06-18" {
        assert_eq!(named["oneOf"], titled_for_us, "{named}");
        assert!(named.get("enumNames").is_none(), "{named}");
    } else {
        assert_eq!(named["enumNames"], json!(["Red", "Green"]), "{named}");
    }
    if !asks(cell.server, "2025-11-25") {
        return;
    }
    let question = answered(cell, "titled", reply);
    let titled = field(&question);
    if cell.client == "2025-06-18" {
        assert_eq!((&titled["enum"], &titled["enumNames"]), (&json!(["r", "g"]), &json!(["Red", "Green"])));
        assert!(titled.get("oneOf").is_none() && titled.get("default").is_none(), "{titled}");
        assert!(question.params.get("mode").is_none());
        refused(cell, "several", &["takes several choices"]);
    } else {
        assert_eq!((&titled["oneOf"], &titled["default"]), (&titled_for_us, &json!("r")));
        let several =
            answered(cell, "several", json!({ "action": "accept", "content": { "colours": ["r", "b"] } }));
        assert_eq!(several.params["requestedSchema"]["properties"]["colours"]["type"], "array");
    }
}

#[test]
fn forms_over_stdio() {
    each(false, "matrix-asks", forms);
}

#[test]
fn forms_over_http() {
    each(true, "matrix-asks", forms);
}

/// Checks 54, 60: URLs are for clients that open them, unchanged, and never become forms.
fn urls(cell: &Cell<'_>) {
    if !asks(cell.server, "2025-11-25") {
        return;
    }
    if !since(cell.client, "2025-11-25") {
        return refused(cell, "url", &["elicitation", "URL"]);
    }
    let question = answered(cell, "url", json!({ "action": "accept" }));
    assert_eq!(question.params["url"], "https://login.example/secret?x=1");
    assert_eq!(question.params["mode"], "url");
    let has_id = question.params.get("elicitationId").is_some();
    assert!(has_id == (cell.client == "2025-11-25") || cell.has_modern_server(), "{question:?}");
    assert!(!cell.house.stderr().contains("login.example"), "check 60");
}

#[test]
fn urls_over_stdio() {
    each(false, "matrix-asks", urls);
}

#[test]
fn urls_over_http() {
    each(true, "matrix-asks", urls);
}

/// Check 54: the error by which a server of 2025-11-25 demands that URLs be opened first.
#[test]
fn demanded_urls_over_stdio() {
    each(false, "matrix-asks", |cell| {
        let params = json!({ "name": cell.name("login") });
        let answer = cell.peer.call("tools/call", params.clone());
        if cell.client == cell.server && !cell.has_modern_client() {
            // Between a client and a server of one legacy revision nothing is translated.
            return assert_eq!(answer.code(), -32042, "{}", answer.raw);
        }
        if !cell.has_modern_client() || cell.server != "2025-11-25" {
            let code = answer.error.as_ref().map(|_| answer.code());
            assert_ne!(code, Some(-32042), "check 21: {}", answer.raw);
            return assert!(answer.raw.contains("Log in first."), "{}", answer.raw);
        }
        let round = Round::expect(&answer);
        assert_eq!(round.questions[0].params["url"], "https://login.example/");
        assert!(round.questions[0].params.get("elicitationId").is_none());
        let retry = round.retry_all(&params, &json!({ "action": "accept" }));
        Round::expect(&cell.peer.call("tools/call", retry));
        let calls = cell.received(|line| line["params"]["name"] == "login");
        assert_eq!(calls.len(), 2, "it is called again");
        let again = &calls[1]["params"];
        assert!(again.get("inputResponses").is_none() && again.get("requestState").is_none(), "{again}");
    });
}

/// Check 54: sampling, which every revision knows.
fn sampling(cell: &Cell<'_>) {
    let reply = json!({ "role": "assistant", "model": "m", "stopReason": "endTurn", "content": { "type": "text", "text": "It." } });
    let question = answered(cell, "sample", reply);
    assert_eq!(question.method, "sampling/createMessage");
    assert_eq!(question.params["modelPreferences"]["costPriority"].to_string(), "0.50");
    assert_eq!(question.params["messages"][0]["content"]["text"], "Say it.");
}

#[test]
fn sampling_over_stdio() {
    each(false, "matrix-asks", sampling);
}

#[test]
fn sampling_over_http() {
    each(true, "matrix-asks", sampling);
}

/// Checks 55, 56, 57: roots, in tools, prompts and resources; several rounds; several questions at once.
fn roots(cell: &Cell<'_>) {
    let reply = json!({ "roots": [{ "uri": "file:///r", "name": "R" }] });
    assert_eq!(answered(cell, "roots", reply.clone()).method, "roots/list");
    let (questions, answer) = ask(cell, "rounds", reply.clone());
    assert_eq!(questions.len(), 3);
    assert!(answer.text().contains("file:///r"), "{}", answer.raw);
    let prompt = cell.peer.converse("prompts/get", json!({ "name": cell.name("roots") }), |_| reply.clone());
    assert!(prompt.raw.contains("file:///r"), "{}", prompt.raw);
    let read = json!({ "uri": cell.uri("//roots") });
    let resource = cell.peer.converse("resources/read", read, |_| reply.clone());
    assert!(resource.raw.contains("file:///r"), "{}", resource.raw);
}

#[test]
fn roots_over_stdio() {
    each(false, "matrix-asks", roots);
}

#[test]
fn roots_over_http() {
    each(true, "matrix-asks", roots);
}

/// Check 54: a client that declared nothing is asked nothing, and the refusal says what is missing.
#[test]
fn nothing_undeclared_is_asked_over_stdio() {
    each_with(
        false,
        "matrix-asks",
        |_| json!({}),
        |cell| {
            for (tool, capability) in [("sample", "sampling"), ("roots", "roots"), ("plain", "elicitation")] {
                if tool != "plain" || asks(cell.server, "2025-06-18") {
                    refused(cell, tool, &[capability]);
                }
            }
        },
    );
}
