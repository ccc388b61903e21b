//! What servers ask of users.

use serde_json::json;

use super::{serve_script_to, unread};
use crate::board::Setup;

#[test]
fn elicitation_names_the_server_that_asks() {
    let mut board = Setup::new().server("my server", "b20-server-requests").start();
    board.initialize_with("2025-06-18", r#"{"elicitation":{}}"#);
    let id = board.ask("tools/call", r#"{"name":"my-server__elicit"}"#);
    let question = board.asked("elicitation/create");
    assert_eq!(question.params()["message"], "[my server] Your name?");
    assert_eq!(question.params()["requestedSchema"]["required"], json!(["name"]));
    board.reply(&question, r#"{"action":"accept","content":{"name":"Ada"}}"#);
    assert_eq!(board.answer(&id).text(), "accept Ada");
    board.close();
}

const URLS: &str = r#"
tools:
  visit:
    ask: { method: elicitation/create, params: { mode: url, elicitationId: e1, url: "{{url}}", message: Log in }, save: reply }
    notify: { method: notifications/elicitation/complete, params: { elicitationId: e1, n: 1.10 } }
    answer: "{{reply}}"
  form:
    ask: { method: elicitation/create, params: { mode: form, message: Name, requestedSchema: { type: object, properties: {} } }, save: reply }
    answer: "{{reply}}"
"#;

#[test]
fn elicitation_by_url_is_relayed_for_web_addresses_only() {
    let mut board = serve_script_to(r#"{"elicitation":{"form":{},"url":{}}}"#, URLS);
    let visit = |url: &str| format!(r#"{{"name":"a__visit","arguments":{{"url":"{url}"}}}}"#);
    for url in ["https://login.example/x?y=1", "http://localhost:1/cb", "HTTPS://UPPER.example/"] {
        let id = board.ask("tools/call", &visit(url));
        let question = board.asked("elicitation/create");
        assert_eq!(
            question.params(),
            json!({"mode": "url", "elicitationId": "e1", "url": url, "message": "[a] Log in"})
        );
        board.reply(&question, r#"{"action":"decline"}"#);
        assert!(board.answer(&id).text().contains("decline"));
        let done = board.notification("notifications/elicitation/complete");
        assert_eq!(done.params.as_deref(), Some(r#"{"elicitationId":"e1","n":1.10}"#));
    }
    for url in [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "",
        "//x",
        " https://x",
        "vscode://x",
    ] {
        let said = board.call("tools/call", &visit(url)).text();
        assert!(said.contains("-32602"), "{url}: {said}");
    }
    assert!(unread(&board.settled(), "elicitation/create").is_empty());
    board.close();
}

#[test]
fn only_the_kinds_of_elicitation_that_the_client_declared_reach_it() {
    let cases = [
        (r#"{"elicitation":{}}"#, "a__visit", "a__form"),
        (r#"{"elicitation":{"url":{}}}"#, "a__form", "a__visit"),
    ];
    for (capabilities, refused, taken) in cases {
        let mut board = serve_script_to(capabilities, URLS);
        let params = |tool: &str| format!(r#"{{"name":"{tool}","arguments":{{"url":"https://x"}}}}"#);
        let said = board.call("tools/call", &params(refused)).text();
        assert!(said.contains("-32602"), "{capabilities}: {said}");
        let id = board.ask("tools/call", &params(taken));
        let question = board.asked("elicitation/create");
        board.reply(&question, r#"{"action":"cancel"}"#);
        assert!(board.answer(&id).text().contains("cancel"));
        board.close();
    }
}
