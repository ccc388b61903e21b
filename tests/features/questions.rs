//! What servers ask of clients: pings, roots, sampling; whose question it is, and how it ends.

use serde_json::json;

use super::{has, serve, serve_script_to};
use crate::board::{Message, Setup};

#[test]
fn pings_are_answered_by_whoever_is_next_to_the_pinger() {
    let mut board = serve("a", "b20-server-requests");
    assert_eq!(board.tool("a__ping", "{}").text(), "{}");
    board.wait_received("a", |line| line.contains(r#""result":{}"#));
    assert_eq!(board.call("ping", "{}").result.as_deref(), Some("{}"));
    assert_eq!(has(&board.received("a"), r#""method":"ping""#), 0);
    assert!(board.settled().is_empty(), "no ping crosses");
    board.close();
}

#[test]
fn questions_that_the_client_does_not_take_are_refused_to_the_server() {
    let mut board = serve("a", "b20-server-requests");
    for (tool, part) in [("roots", "roots"), ("sample", "sampling"), ("unknown", "vendor/question")] {
        let said = board.tool(&format!("a__{tool}"), "{}").text();
        assert!(said.contains("-32601") && said.contains(part), "{said}");
    }
    assert!(board.tool("a__elicit", "{}").result.is_some());
    assert!(board.settled().is_empty(), "nothing reached the client");
    let hello = board.received("a").remove(0);
    assert!(hello.contains(r#""capabilities":{},"#), "{hello}");
    board.close();
}

#[test]
fn servers_learn_the_abilities_of_the_client_that_are_relayed() {
    let capabilities = r#"{"roots":{"listChanged":true},"sampling":{"tools":{},"vendor":1.0},"elicitation":{"form":{},"url":{}},"experimental":{"x":{}},"tasks":{}}"#;
    let mut board = serve_script_to(capabilities, "tools: [echo]");
    board.call("tools/list", "");
    let hello = board.received("a").remove(0);
    let told = r#""capabilities":{"roots":{"listChanged":true},"sampling":{"tools":{},"vendor":1.0},"elicitation":{"form":{},"url":{}}},"#;
    assert!(hello.contains(told), "{hello}");
    board.close();
}

#[test]
fn roots_are_asked_of_the_client_and_their_changes_told_to_every_server() {
    let mut board =
        Setup::new().server("a", "b20-server-requests").server("b", "b20-server-requests").start();
    board.initialize_with("2025-11-25", r#"{"roots":{"listChanged":true}}"#);
    let id = board.ask("tools/call", r#"{"name":"b__roots"}"#);
    let question = board.asked("roots/list");
    board.reply(&question, r#"{"roots":[{"uri":"file:///x","name":"X","n":1.10}],"_meta":{"k":[]}}"#);
    let answer = board.answer(&id);
    assert!(answer.text().contains("file:///x"), "{}", answer.raw);
    board.wait_received("b", |line| {
        line.contains(r#""result":{"roots":[{"uri":"file:///x","name":"X","n":1.10}],"_meta":{"k":[]}}"#)
    });
    board.call("tools/list", "");
    board.notify("notifications/roots/list_changed", r#"{"_meta":{"n":1.10}}"#);
    for server in ["a", "b"] {
        board.wait_received(server, |line| {
            line.contains(r#""notifications/roots/list_changed","params":{"_meta":{"n":1.10}}"#)
        });
    }
    board.close();
}

#[test]
fn a_server_may_ask_without_being_called() {
    let script = "on: { initialized: { ask: { method: roots/list, save: roots }, log: \"{{roots.roots.0.uri}}\" } }\ntools: [t]";
    let mut board = serve_script_to(r#"{"roots":{}}"#, script);
    let question = board.asked("roots/list");
    board.reply(&question, r#"{"roots":[{"uri":"file:///here"}]}"#);
    assert_eq!(board.notification("notifications/message").params()["data"], "file:///here");
    board.close();
}

#[test]
fn no_question_comes_before_the_client_is_ready() {
    let script = "on: { initialized: { ask: { method: roots/list } } }\ntools: [t]";
    let mut board = Setup::new().script("a", script).start();
    let params = r#"{"protocolVersion":"2025-06-18","capabilities":{"roots":{}},"clientInfo":{"name":"c","version":"1"}}"#;
    board.call("initialize", params);
    // Its lists are asked for after that, so by then its question has come to us.
    board.wait_received("a", |line| line.contains("tools/list"));
    board.call("ping", "");
    let asked = |message: &Message| message.method.as_deref() == Some("roots/list");
    assert!(!board.settled().iter().any(|message| asked(message)));
    board.notify("notifications/initialized", "");
    let question = board.asked("roots/list");
    board.reply(&question, r#"{"roots":[]}"#);
    board.close();
}

#[test]
fn sampling_crosses_both_ways_unchanged() {
    let script = r#"
tools:
  sample:
    ask: { method: sampling/createMessage, params: { messages: [ { role: user, content: { type: text, text: "Hi\u0041" } } ], maxTokens: 10, temperature: 0.10, vendor: 12345678901234567890123 }, save: said }
    answer: "{{said.model}}"
"#;
    let mut board = serve_script_to(r#"{"sampling":{}}"#, script);
    let id = board.ask("tools/call", r#"{"name":"a__sample"}"#);
    let question = board.asked("sampling/createMessage");
    assert_eq!(
        question.params.as_deref(),
        Some(
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"HiA"}}],"maxTokens":10,"temperature":0.10,"vendor":12345678901234567890123}"#
        )
    );
    let said =
        r#"{"role":"assistant", "content":{"type":"text","text":"\u00e9"},"model":"m","n":1e400,"n":2}"#;
    board.reply(&question, said);
    assert_eq!(board.answer(&id).text(), "m");
    board.wait_received("a", |line| line.ends_with(&format!(r#""result":{said}}}"#)));
    board.close();
}

#[test]
fn an_error_of_the_client_reaches_the_server_that_asked() {
    let mut board = Setup::new().server("a", "b20-server-requests").start();
    board.initialize_with("2025-11-25", r#"{"sampling":{}}"#);
    let id = board.ask("tools/call", r#"{"name":"a__sample"}"#);
    let question = board.asked("sampling/createMessage");
    let number = question.id.unwrap();
    board.send(&format!(
        r#"{{"jsonrpc":"2.0","id":{number},"error":{{"code":-1,"message":"User said no","data":[1.10]}}}}"#
    ));
    assert!(board.answer(&id).text().contains("User said no"));
    board.wait_received("a", |line| {
        line.contains(r#""error":{"code":-1,"message":"User said no","data":[1.10]}"#)
    });
    // A second answer to the same question is nobody's.
    board.send(&format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{}}}}"#));
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn questions_of_two_servers_with_the_same_id_do_not_mix() {
    let mut board =
        Setup::new().server("a", "b20-server-requests").server("b", "b20-server-requests").start();
    board.initialize_with("2025-11-25", r#"{"elicitation":{}}"#);
    let a = board.ask("tools/call", r#"{"name":"a__elicit"}"#);
    let b = board.ask("tools/call", r#"{"name":"b__elicit"}"#);
    let mut questions = [board.asked("elicitation/create"), board.asked("elicitation/create")];
    questions.sort_by_key(|question| question.params()["message"].as_str().unwrap().to_owned());
    assert_ne!(questions[0].id, questions[1].id);
    // Answered the other way round.
    board.reply(&questions[1], r#"{"action":"accept","content":{"name":"of b"}}"#);
    board.reply(&questions[0], r#"{"action":"accept","content":{"name":"of a"}}"#);
    assert_eq!(board.answer(&a).text(), "accept of a");
    assert_eq!(board.answer(&b).text(), "accept of b");
    board.close();
}

#[test]
fn a_server_gets_its_own_id_back_in_its_own_spelling() {
    let ids = ["\"q\"", "1.0", "\"\\u0041/\"", "12345678901234567890123", "\"\"", "0"];
    let questions: String = ids
        .iter()
        .map(|id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"roots/list\"}}\n"))
        .collect();
    let script =
        format!("tools: {{ ask: {{ steps: [ {{ raw: {} }}, {{ answer: done }} ] }} }}", json!(questions));
    let mut board = serve_script_to(r#"{"roots":{}}"#, &script);
    board.tool("a__ask", "{}");
    let questions: Vec<Message> = ids.iter().map(|_| board.asked("roots/list")).collect();
    // Answered in reverse, each with its place.
    for (place, question) in questions.iter().enumerate().rev() {
        board.reply(question, &format!(r#"{{"roots":[],"place":{place}}}"#));
    }
    for (place, id) in ids.iter().enumerate() {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"roots":[],"place":{place}}}}}"#);
        board.wait_received("a", |line| line == answer);
    }
    board.close();
}

#[test]
fn a_question_with_an_id_that_is_open_is_refused_and_the_first_stays() {
    let question = "{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"roots/list\"}\n".repeat(2);
    let script =
        format!("tools: {{ ask: {{ steps: [ {{ raw: {} }}, {{ answer: done }} ] }} }}", json!(question));
    let mut board = serve_script_to(r#"{"roots":{}}"#, &script);
    board.tool("a__ask", "{}");
    let question = board.asked("roots/list");
    board.wait_received("a", |line| line.contains(r#""id":"q","error":{"code":-32600"#));
    board.reply(&question, r#"{"roots":[]}"#);
    board.wait_received("a", |line| line.contains(r#""id":"q","result":{"roots":[]}"#));
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn a_server_can_withdraw_its_question() {
    let script = r#"
tools:
  unsure:
    steps:
      - ask: { method: elicitation/create, params: { message: Well?, requestedSchema: { type: object, properties: {} } }, wait: false }
      - notify: { method: notifications/cancelled, params: { requestId: 1, reason: never mind } }
      - answer: done
"#;
    let mut board = serve_script_to(r#"{"elicitation":{}}"#, script);
    assert_eq!(board.tool("a__unsure", "{}").text(), "done");
    let question = board.asked("elicitation/create");
    let withdrawn = board.notification("notifications/cancelled").params();
    assert_eq!(withdrawn["requestId"].to_string(), question.id.clone().unwrap());
    assert_eq!(withdrawn["reason"], "never mind");
    // An answer all the same goes nowhere.
    board.reply(&question, r#"{"action":"accept","content":{}}"#);
    board.settled();
    assert_eq!(has(&board.received("a"), r#""action""#), 0);
    board.close();
}

#[test]
fn the_question_of_a_server_that_died_is_withdrawn() {
    let script = r#"
tools:
  die:
    steps:
      - ask: { method: elicitation/create, params: { message: Well?, requestedSchema: { type: object, properties: {} } }, wait: false }
      - exit: 1
"#;
    let mut board = serve_script_to(r#"{"elicitation":{}}"#, script);
    let id = board.ask("tools/call", r#"{"name":"a__die"}"#);
    let question = board.asked("elicitation/create");
    let withdrawn = board.notification("notifications/cancelled").params();
    assert_eq!(withdrawn["requestId"].to_string(), question.id.unwrap());
    assert!(board.answer(&id).text().contains("SB-CALL-002"));
    board.close();
}

#[test]
fn progress_of_the_client_on_a_question_reaches_the_server_under_its_token() {
    let script = r#"
tools:
  sample:
    ask: { method: sampling/createMessage, params: { _meta: { progressToken: theirs, x: 1 }, messages: [], maxTokens: 1 }, save: said }
    answer: "{{said.model}}"
"#;
    let mut board = serve_script_to(r#"{"sampling":{}}"#, script);
    let id = board.ask("tools/call", r#"{"name":"a__sample"}"#);
    let question = board.asked("sampling/createMessage");
    let token = question.params()["_meta"]["progressToken"].clone();
    board.notify(
        "notifications/progress",
        &format!(r#"{{"progress":0.50,"progressToken":{token},"vendor":[]}}"#),
    );
    board.wait_received("a", |line| {
        line.contains(
            r#""notifications/progress","params":{"progress":0.50,"progressToken":"theirs","vendor":[]}"#,
        )
    });
    board.reply(&question, r#"{"model":"m"}"#);
    board.answer(&id);
    board.close();
}

#[test]
fn nothing_that_a_server_says_is_longer_than_clients_read() {
    let script = r#"
tools:
  log: { notify: { method: notifications/message, params: { level: error, data: "{{fill 9MiB}}" } }, answer: logged }
  progress: { notify: { method: notifications/progress, params: { progressToken: "{{json mock.token}}", progress: 1, message: "{{fill 9MiB}}" } }, answer: progressed }
  ask: { ask: { method: sampling/createMessage, params: { messages: [], maxTokens: 1, systemPrompt: "{{fill 9MiB}}" }, save: said }, answer: "{{said}}" }
  done: { notify: { method: notifications/elicitation/complete, params: { elicitationId: "{{fill 9MiB}}" } }, answer: completed }
  fail: { error: { code: -1, message: "{{fill 9MiB}}" } }
  large: { size: 9MiB }
"#;
    let mut board = serve_script_to(r#"{"sampling":{}}"#, script);
    // The client of the tests refuses longer lines.
    for (tool, said) in [
        ("log", "logged"),
        ("progress", "progressed"),
        ("done", "completed"),
        ("ask", "error"),
        ("fail", "8 MiB"),
        ("large", "8 MiB"),
    ] {
        let answer =
            board.call("tools/call", &format!(r#"{{"name":"a__{tool}","_meta":{{"progressToken":1}}}}"#));
        assert!(answer.text().contains(said), "{}", answer.raw);
    }
    board.close();
}
