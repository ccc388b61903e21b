//! A modern server that needs input answers with questions; its legacy client is asked them.

use super::{CAPABLE, MODERN, ROOTS, is_error, requests, serve_modern_to};
use crate::board::Setup;

const ROUNDS: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  form:
    steps:
      - ask: { method: elicitation/create, save: reply, params: { mode: form, message: "Who?", requestedSchema: { type: object, properties: { name: { type: string } } } } }
      - answer: "{{reply.action}} {{reply.content.name}}"
  two:
    steps:
      - progress: 1
      - ask: { method: roots/list, save: where }
      - progress: 1
      - ask: { method: sampling/createMessage, save: said, params: { messages: [ { role: user, content: { type: text, text: Say } } ], maxTokens: 9 } }
      - progress: 1
      - answer: "{{where.roots.0.uri}} {{said.content.text}}"
  at_once:
    ask: { all: { a: { method: roots/list }, b: { method: elicitation/create, params: { message: B?, requestedSchema: { type: object, properties: {} } } } } }
    answer: "{{a.roots.0.uri}} {{b.action}}"
  no_state: { ask: { method: roots/list, state: false }, answer: no state }
  later: { ask: { state: alone }, answer: later }
  endless: { repeat: { times: 1000000, steps: [ { ask: { method: roots/list } } ] } }
  wrong: { ask: { method: roots/list, result_type: surprise } }
  untold: { ask: { method: elicitation/create, check: false, params: { message: hm, requestedSchema: { type: object, properties: {} } } }, answer: x }
prompts:
  asks: { ask: { method: roots/list, save: where }, answer: "{{where.roots.0.uri}}" }
"#;

#[test]
fn a_question_in_a_result_becomes_a_question_to_the_client() {
    let mut board = serve_modern_to(CAPABLE, ROUNDS);
    let id = board.ask("tools/call", r#"{"name":"a__form","arguments":{"k":1}}"#);
    let question = board.asked("elicitation/create");
    assert_eq!(question.params()["message"], "[a] Who?");
    board.reply(&question, r#"{"action":"accept","content":{"name":"Ada"}}"#);
    assert_eq!(board.answer(&id).text(), "accept Ada");
    let calls = requests(&board.received("a"), "tools/call");
    let [first, second] = &calls[..] else { panic!("{calls:?}") };
    assert_ne!(first["id"], second["id"]);
    assert_eq!(first["params"]["arguments"], second["params"]["arguments"]);
    assert!(second["params"]["inputResponses"].is_object() && second["params"]["requestState"].is_string());
    board.close();
}

#[test]
fn several_rounds_are_one_call_whose_progress_rises() {
    let mut board = serve_modern_to(CAPABLE, ROUNDS);
    let id = board.ask("tools/call", r#"{"name":"a__two","arguments":{},"_meta":{"progressToken":1}}"#);
    let question = board.asked("roots/list");
    board.reply(&question, ROOTS);
    let question = board.asked("sampling/createMessage");
    board.reply(&question, r#"{"role":"assistant","content":{"type":"text","text":"hi"},"model":"m"}"#);
    assert_eq!(board.answer(&id).text(), "file:///w hi");
    let values: Vec<f64> = board
        .unread()
        .iter()
        .filter(|message| message.method.as_deref() == Some("notifications/progress"))
        .map(|message| message.params()["progress"].as_f64().unwrap())
        .collect();
    assert!(!values.is_empty() && values.is_sorted_by(|a, b| a < b), "{values:?}");
    assert_eq!(requests(&board.received("a"), "tools/call").len(), 3);
    board.close();
}

#[test]
fn questions_that_come_together_are_put_together() {
    let mut board = serve_modern_to(CAPABLE, ROUNDS);
    let id = board.ask("tools/call", r#"{"name":"a__at_once","arguments":{}}"#);
    let (form, roots) = (board.asked("elicitation/create"), board.asked("roots/list"));
    board.reply(&form, r#"{"action":"decline"}"#);
    board.reply(&roots, ROOTS);
    assert_eq!(board.answer(&id).text(), "file:///w decline");
    board.close();
}

#[test]
fn a_state_is_sent_back_only_if_there_was_one() {
    let mut board = serve_modern_to(CAPABLE, ROUNDS);
    let id = board.ask("tools/call", r#"{"name":"a__no_state","arguments":{}}"#);
    let question = board.asked("roots/list");
    board.reply(&question, ROOTS);
    assert_eq!(board.answer(&id).text(), "no state");
    assert!(requests(&board.received("a"), "tools/call")[1]["params"].get("requestState").is_none());
    // A state without a question is sent back by itself.
    assert_eq!(board.tool("a__later", "{}").text(), "later");
    let calls = requests(&board.received("a"), "tools/call");
    assert!(calls.last().unwrap()["params"].get("inputResponses").is_none());
    board.close();
}

#[test]
fn prompts_have_rounds_as_well() {
    let mut board = serve_modern_to(CAPABLE, ROUNDS);
    board.tool("a__echo", "{}");
    let id = board.ask("prompts/get", r#"{"name":"a__asks"}"#);
    let question = board.asked("roots/list");
    board.reply(&question, ROOTS);
    assert_eq!(board.answer(&id).result()["messages"][0]["content"]["text"], "file:///w");
    board.close();
}

#[test]
fn a_server_that_asks_for_ever_is_stopped() {
    let mut board = serve_modern_to(CAPABLE, ROUNDS);
    let id = board.ask("tools/call", r#"{"name":"a__endless","arguments":{}}"#);
    for _ in 0..10 {
        let question = board.asked("roots/list");
        board.reply(&question, ROOTS);
    }
    let answer = board.answer(&id);
    assert!(is_error(&answer) && answer.text().contains("SB-CALL-006"), "{}", answer.raw);
    board.close();
}

#[test]
fn what_the_client_cannot_be_asked_fails_the_call_with_a_sentence() {
    let mut board = serve_modern_to("{}", ROUNDS);
    board.tool("a__echo", "{}");
    let answer = board.tool("a__untold", "{}");
    assert!(is_error(&answer) && answer.text().contains("elicitation"), "{}", answer.raw);
    board.close();
}

#[test]
fn an_unknown_kind_of_result_fails_the_call() {
    let mut board = serve_modern_to(CAPABLE, ROUNDS);
    let answer = board.tool("a__wrong", "{}");
    assert!(is_error(&answer) && answer.text().contains("surprise"), "{}", answer.raw);
    board.close();
}

#[test]
fn an_error_of_the_client_fails_the_call_and_takes_back_the_other_questions() {
    let mut board = serve_modern_to(CAPABLE, ROUNDS);
    let id = board.ask("tools/call", r#"{"name":"a__at_once","arguments":{}}"#);
    let (form, roots) = (board.asked("elicitation/create"), board.asked("roots/list"));
    let refused = format!(
        r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-1,"message":"the user said no"}}}}"#,
        form.id.unwrap()
    );
    board.send(&refused);
    let answer = board.answer(&id);
    assert!(is_error(&answer) && answer.text().contains("the user said no"), "{}", answer.raw);
    let taken_back = board.notification("notifications/cancelled").params();
    assert_eq!(taken_back["requestId"].to_string(), roots.id.unwrap());
    board.close();
}

#[test]
fn a_call_that_is_cancelled_between_two_rounds_is_over() {
    let mut board = serve_modern_to(CAPABLE, ROUNDS);
    let id = board.ask("tools/call", r#"{"name":"a__form","arguments":{}}"#);
    let question = board.asked("elicitation/create");
    board.cancel(&id);
    let taken_back = board.notification("notifications/cancelled").params();
    assert_eq!(taken_back["requestId"].to_string(), question.id.clone().unwrap());
    board.reply(&question, r#"{"action":"accept","content":{"name":"Ada"}}"#);
    board.tool("a__echo", "{}");
    assert_eq!(requests(&board.received("a"), "tools/call").len(), 2, "it was not sent again");
    board.close();
}

#[test]
fn a_question_that_nobody_answers_ends_in_time() {
    let script = format!("{MODERN}{ROUNDS}");
    let setup = Setup::new().script("a", &script).keys("timeouts: { question: 300ms }");
    let mut board = setup.start();
    board.initialize_with("2025-11-25", CAPABLE);
    let id = board.ask("tools/call", r#"{"name":"a__form","arguments":{}}"#);
    board.asked("elicitation/create");
    let answer = board.answer(&id);
    assert!(is_error(&answer) && answer.text().contains("timeouts.question"), "{}", answer.raw);
    board.notification("notifications/cancelled");
    board.close();
}

#[test]
fn all_rounds_of_a_call_together_end_in_time() {
    let script = format!("{MODERN}{ROUNDS}");
    let setup =
        Setup::new().script("a", &script).keys("timeouts: { call: 300ms, total: 500ms, question: 20s }");
    let mut board = setup.start();
    board.initialize_with("2025-11-25", CAPABLE);
    let id = board.ask("tools/call", r#"{"name":"a__form","arguments":{}}"#);
    board.asked("elicitation/create");
    let answer = board.answer(&id);
    assert!(is_error(&answer) && answer.text().contains("timeouts.total"), "{}", answer.raw);
    board.notification("notifications/cancelled");
    board.close();
}

#[test]
fn a_question_of_a_legacy_server_that_nobody_answers_ends_in_time_too() {
    let script = ROUNDS.replace("mode: form, ", "");
    let setup = Setup::new().script("a", &script).keys("timeouts: { question: 300ms, call: 1s }");
    let mut board = setup.start();
    board.initialize_with("2025-11-25", CAPABLE);
    let id = board.ask("tools/call", r#"{"name":"a__form","arguments":{}}"#);
    board.asked("elicitation/create");
    let answer = board.answer(&id);
    assert!(answer.text().starts_with("cancel"), "{}", answer.raw);
    board.notification("notifications/cancelled");
    board.close();
}

#[test]
fn a_server_may_restart_while_its_question_is_open() {
    let script = r#"
tools:
  echo: { answer: "{{input}}" }
  die: { exit: 1 }
  form: { ask: { method: roots/list, check: false, save: where }, answer: "{{where}}" }
"#;
    let mut board = serve_modern_to(CAPABLE, script);
    let id = board.ask("tools/call", r#"{"name":"a__form","arguments":{}}"#);
    let question = board.asked("roots/list");
    board.tool("a__die", "{}");
    board.reply(&question, ROOTS);
    // The mock keeps its state in memory, so the new process knows nothing of it; but the call reaches it, and is answered.
    let answer = board.wait_for("an answer or a question", |message| {
        message.id.as_deref() == Some(&id) || message.method.as_deref() == Some("roots/list")
    });
    if answer.method.is_some() {
        board.reply(&answer, ROOTS);
        board.answer(&id);
    }
    assert!(requests(&board.received("a"), "tools/call").len() >= 3);
    board.close();
}
