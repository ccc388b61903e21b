//! Legacy clients before servers of the modern era, and how the era of a server is found out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "support/board.rs"]
mod board;

use std::time::{Duration, Instant};

use board::{Board, Message, Setup};
use serde_json::{Value, json};

const MODERN: &str = "revisions: 2026-07-28\n";

/// How long a server may stay silent before it is asked in other words.
const SILENCE: Duration = Duration::from_secs(3);

fn serve(name: &str, fixture: &str) -> Board {
    let mut board = Setup::new().server(name, fixture).start();
    board.initialize("2025-11-25");
    board
}

/// One modern server `a` with this script, and a client with these capabilities.
fn serve_modern_to(capabilities: &str, script: &str) -> Board {
    let mut board = Setup::new().script("a", &format!("{MODERN}{script}")).start();
    board.initialize_with("2025-11-25", capabilities);
    board
}

/// The lines that a server has received with this method, parsed.
fn requests(lines: &[String], method: &str) -> Vec<Value> {
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["method"] == method).collect()
}

fn methods(lines: &[String]) -> Vec<String> {
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["method"].as_str().unwrap_or("an answer").to_owned()).collect()
}

fn meta<'v>(request: &'v Value, key: &str) -> &'v Value {
    &request["params"]["_meta"][format!("io.modelcontextprotocol/{key}").as_str()]
}

fn is_error(answer: &Message) -> bool {
    answer.result()["isError"] == json!(true)
}

// === which era a server speaks ===

#[test]
fn a_modern_server_serves_a_legacy_client() {
    let mut board = serve("a", "modern");
    let echo = board.tool("a__echo", r#"{"input":"hi"}"#);
    assert_eq!(
        echo.result(),
        json!({"content": [{"type": "text", "text": "hi"}]}),
        "nothing of the other era"
    );
    let names = board.call("tools/list", "").names();
    assert!(names.contains(&"a__mirror".to_owned()), "{names:?}");
    let received = board.received("a");
    assert_eq!(&methods(&received)[..2], ["initialize", "server/discover"]);
    assert!(!methods(&received).iter().any(|method| method.starts_with("notifications/initialized")));
    for request in received.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()).skip(1) {
        assert_eq!(meta(&request, "protocolVersion"), "2026-07-28", "{request}");
        assert!(meta(&request, "clientCapabilities").is_object(), "{request}");
        assert_eq!(meta(&request, "clientInfo")["name"], "switchboard", "{request}");
    }
    board.close();
}

#[test]
fn a_server_of_both_eras_is_spoken_to_in_the_clients() {
    let mut board = serve("a", "dual");
    board.tool("a__echo", r#"{"input":"hi"}"#);
    let said = methods(&board.received("a"));
    assert!(
        said.contains(&"initialize".to_owned()) && !said.contains(&"server/discover".to_owned()),
        "{said:?}"
    );
    board.close();
}

#[test]
fn an_era_is_remembered_from_one_start_to_the_next() {
    let setup = Setup::new().server("a", "modern");
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    board.tool("a__echo", r#"{"input":"hi"}"#);
    board.close();
    let first = setup.received("a").len();
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    board.tool("a__echo", r#"{"input":"hi"}"#);
    let second = &board.received("a")[first..];
    assert_eq!(methods(second)[0], "server/discover", "nobody has to be refused again");
    board.close();
}

/// Servers of the Rust SDK that speak the newest revision alone do this.
#[test]
fn a_server_that_ends_once_it_has_refused_initialize_is_asked_in_the_other_era_at_its_next_start() {
    let refusal =
        "error: { code: -32022, message: Unsupported protocol version, data: { supported: [ 2026-07-28 ] } }";
    let script = format!("{MODERN}on: {{ initialize: [ {{ {refusal} }}, {{ exit: 0 }} ] }}\ntools: [echo]");
    let mut board = Setup::new().script("a", &script).start();
    board.initialize("2025-11-25");
    assert!(!is_error(&board.tool("a__echo", r#"{"input":"hi"}"#)));
    let received = methods(&board.received("a"));
    assert_eq!(received.iter().filter(|method| *method == "initialize").count(), 1, "{received:?}");
    board.close();
}

#[test]
fn an_era_that_is_no_longer_true_is_found_out_again() {
    let setup = Setup::new().script("a", &format!("{MODERN}tools: [echo]"));
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    board.tool("a__echo", r#"{"input":"hi"}"#);
    board.close();
    let first = setup.received("a").len();
    setup.rewrite("a", "tools: [echo]");
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    assert!(!is_error(&board.tool("a__echo", r#"{"input":"hi"}"#)));
    assert_eq!(&methods(&board.received("a")[first..])[..2], ["server/discover", "initialize"]);
    board.close();
}

#[test]
fn a_revision_in_the_config_is_spoken_without_a_question() {
    for (choice, first) in
        [("2026-07-28", "server/discover"), ("2025-06-18", "initialize"), ("legacy", "initialize")]
    {
        let mut board = Setup::new().server("a", "dual").keys(&format!("protocol: {choice}")).start();
        board.initialize("2025-11-25");
        let seen = board.tool("a__whoami", "{}").result();
        let expected = if choice == "legacy" { "2025-11-25" } else { choice };
        assert_eq!(seen["structuredContent"]["revision"], expected);
        assert_eq!(methods(&board.received("a"))[0], first, "{choice}");
        board.close();
    }
}

/// Legacy servers that do not know the question about the modern era, each in its own way.
const PROBED: &[(&str, &str)] = &[
    ("method-not-found", "tools: [echo]"),
    ("invalid-request", r#"on: { first: { error: { code: -32600, message: no } } }"#),
    ("not-initialized", r#"on: { first: { error: { code: -32000, message: not initialized } } }"#),
    ("invalid-params", r#"on: { first: { error: { code: -32602, message: no } } }"#),
    ("internal", r#"on: { first: { error: { code: -32603, message: no } } }"#),
    ("garbage", r#"on: { first: { raw: "Usage: server\n" } }"#),
    ("silence", r#"on: { first: hang }"#),
    ("exit", r#"on: { first: { stderr: "expected initialize", exit: 1 } }"#),
];

#[test]
fn a_legacy_server_is_reached_whatever_it_says_to_the_question_of_the_modern_era() {
    let mut setup = Setup::new();
    for (name, script) in PROBED {
        let tools = if script.starts_with("tools") { "" } else { "tools: [echo]\n" };
        setup = setup.script(name, &format!("{tools}{script}\n"));
    }
    let mut board = setup.start();
    board.send(
        r#"{"jsonrpc":"2.0","id":"m","method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    );
    board.answer("\"m\"");
    let begin = Instant::now();
    for (name, _) in PROBED {
        let line = format!(
            r#"{{"jsonrpc":"2.0","id":"{name}","method":"tools/call","params":{{"name":"{name}__echo","arguments":{{"input":"{name}"}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        );
        // Its tools are known once it has been reached.
        let until = Instant::now() + board::DEADLINE;
        loop {
            board.send(&line);
            let answer = board.answer(&format!("\"{name}\""));
            if answer.error.is_none() {
                assert!(answer.text().ends_with(name), "{}", answer.raw);
                break;
            }
            assert!(Instant::now() < until, "{name}: {}", answer.raw);
            std::thread::sleep(Duration::from_millis(50));
        }
        let said = methods(&board.received(name));
        assert_eq!(said[0], "server/discover", "{name}");
        assert_eq!(said.iter().filter(|method| *method == "initialize").count(), 1, "{name}: {said:?}");
    }
    assert!(begin.elapsed() < SILENCE + Duration::from_secs(10));
    let status = r#"{"jsonrpc":"2.0","id":"s","method":"tools/call","params":{"name":"switchboard__status","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    board.send(status);
    let status = board.answer("\"s\"").text();
    assert!(!status.contains("restarting") && !status.contains("failed"), "{status}");
    board.close();
}

#[test]
fn a_silent_server_costs_a_pause_once_and_never_again() {
    let setup = Setup::new().server("a", "d09-silent-discover");
    let list = r#"{"jsonrpc":"2.0","id":"m","method":"tools/call","params":{"name":"a__echo","arguments":{"input":"hi"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    for (turn, first) in ["server/discover", "initialize"].into_iter().enumerate() {
        let before = setup.received("a").len();
        let mut board = setup.launch();
        let until = Instant::now() + board::DEADLINE;
        loop {
            board.send(list);
            if board.answer("\"m\"").error.is_none() {
                break;
            }
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(methods(&board.received("a")[before..])[0], first, "start {turn}");
        board.close();
    }
}

#[test]
fn a_modern_server_of_unknown_revisions_is_not_sent_initialize() {
    let script = r#"
on: { server/discover: { error: { code: -32022, message: no, data: { supported: [ "2031-01-01" ], requested: "2026-07-28" } } } }
tools: [echo]
"#;
    let mut board = Setup::new().script("a", script).keys("protocol: auto").start();
    board.send(
        r#"{"jsonrpc":"2.0","id":"m","method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    );
    board.answer("\"m\"");
    let status = r#"{"jsonrpc":"2.0","id":"s","method":"tools/call","params":{"name":"switchboard__status","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    board.send(status);
    let status = board.answer("\"s\"").text();
    assert!(status.contains("2031-01-01") && status.contains("SB-HAND-003"), "{status}");
    assert!(!methods(&board.received("a")).contains(&"initialize".to_owned()));
    board.close();
}

// === features ===

#[test]
fn what_crosses_hops_crosses_and_nothing_else() {
    let mut board = serve("a", "modern");
    let answer = board.call(
        "tools/call",
        r#"{"name":"a__mirror","arguments":{"n":1.10,"big":12345678901234567890123},"_meta":{"progressToken":"mine","traceparent":"00-1","v.example/x":[1],"io.modelcontextprotocol/logLevel":"debug"}}"#,
    );
    let raw = answer.result.clone().unwrap();
    assert!(raw.contains(r#""n":1.10"#) && raw.contains("12345678901234567890123"), "{raw}");
    let seen = &answer.result()["structuredContent"]["meta"];
    assert_eq!((&seen["traceparent"], &seen["v.example/x"]), (&json!("00-1"), &json!([1])));
    assert_ne!(seen["progressToken"], "mine");
    assert_eq!(seen.get("io.modelcontextprotocol/logLevel"), None, "this client has set no level");
    board.close();
}

#[test]
fn the_level_of_a_session_goes_with_its_calls() {
    let mut board = serve("a", "modern");
    board.tool("a__talk", "{}");
    assert!(!board.settled().iter().any(|message| message.raw.contains("mind the gap")));
    board.call("logging/setLevel", r#"{"level":"info"}"#);
    board.tool("a__talk", "{}");
    let log = board.notification("notifications/message").params();
    assert_eq!((&log["data"], &log["logger"]), (&json!("mind the gap"), &json!("a/guide")));
    board.call("logging/setLevel", r#"{"level":"error"}"#);
    board.tool("a__talk", "{}");
    assert!(!board.settled().iter().any(|message| message.raw.contains("mind the gap")));
    let said = methods(&board.received("a"));
    assert!(!said.contains(&"logging/setLevel".to_owned()) && !said.contains(&"ping".to_owned()), "{said:?}");
    board.close();
}

#[test]
fn progress_comes_under_the_clients_token() {
    let mut board = serve("a", "modern");
    let id =
        board.ask("tools/call", r#"{"name":"a__progress","arguments":{},"_meta":{"progressToken":"p"}}"#);
    board.answer(&id);
    let values: Vec<Value> = board
        .unread()
        .iter()
        .filter(|message| message.method.as_deref() == Some("notifications/progress"))
        .map(|message| message.params())
        .collect();
    assert_eq!(values.len(), 3, "{values:?}");
    assert!(values.iter().all(|params| params["progressToken"] == "p"));
    board.close();
}

#[test]
fn a_cancelled_call_is_cancelled_at_the_server() {
    let script = "tools: { echo: x, wait: { wait_cancel: 10s, answer: late } }";
    let mut board = serve_modern_to("{}", script);
    board.tool("a__echo", "{}");
    let id = board.ask("tools/call", r#"{"name":"a__wait","arguments":{}}"#);
    let sent = board.wait_received("a", |line| line.contains(r#""name":"wait""#));
    board.cancel(&id);
    let cancelled = board.wait_received("a", |line| line.contains("notifications/cancelled"));
    let sent: Value = serde_json::from_str(&sent).unwrap();
    let cancelled: Value = serde_json::from_str(&cancelled).unwrap();
    assert_eq!(cancelled["params"]["requestId"], sent["id"]);
    board.close();
}

#[test]
fn changed_lists_are_heard_of_and_told() {
    let mut board = serve("a", "modern");
    let before = board.call("tools/list", "").names();
    board.wait_received("a", |line| line.contains("subscriptions/listen"));
    board.tool("a__hide", "{}");
    board.notification("notifications/tools/list_changed");
    let after = board.until("tools/list", "", |list| list.names().len() < before.len()).names();
    assert!(after.contains(&"a__echo".to_owned()) && !after.contains(&"a__mirror".to_owned()), "{after:?}");
    let listens = requests(&board.received("a"), "subscriptions/listen");
    assert_eq!(listens.len(), 1);
    assert_eq!(listens[0]["params"]["notifications"]["toolsListChanged"], true);
    board.close();
}

#[test]
fn resources_are_followed_over_one_stream_after_the_other() {
    let mut board = serve("a", "modern");
    board.tool("a__echo", "{}");
    board.wait_received("a", |line| line.contains("subscriptions/listen"));
    assert_eq!(board.call("resources/subscribe", r#"{"uri":"note://one"}"#).result(), json!({}));
    let second = board.wait_received("a", |line| line.contains("resourceSubscriptions"));
    let second: Value = serde_json::from_str(&second).unwrap();
    assert_eq!(second["params"]["notifications"]["resourceSubscriptions"], json!(["note://one"]));
    // The first stream ends once the second is agreed to.
    let first = requests(&board.received("a"), "subscriptions/listen")[0]["id"].clone();
    let ended = board.wait_received("a", |line| line.contains("notifications/cancelled"));
    assert_eq!(serde_json::from_str::<Value>(&ended).unwrap()["params"]["requestId"], first);
    board.tool("a__touch", "{}");
    let updated = board.notification("notifications/resources/updated");
    assert_eq!(updated.params(), json!({"uri": "note://one"}), "and nothing of the other hop");
    assert_eq!(board.call("resources/unsubscribe", r#"{"uri":"note://one"}"#).result(), json!({}));
    board.wait_received("a", |line| {
        line.contains("notifications/cancelled") && line.contains(&format!("\"requestId\":{}", second["id"]))
    });
    board.tool("a__touch", "{}");
    assert!(!board.settled().iter().any(|message| message.raw.contains("resources/updated")));
    let said = methods(&board.received("a"));
    assert!(!said.iter().any(|method| method.ends_with("subscribe")), "{said:?}");
    board.close();
}

#[test]
fn a_server_without_subscriptions_says_so() {
    let script =
        "server: { capabilities: { resources: { listChanged: true } } }\nresources: { \"note://one\": x }";
    let mut board = serve_modern_to("{}", &format!("{script}\ntools: [echo]"));
    board.tool("a__echo", "{}");
    let answer = board.call("resources/subscribe", r#"{"uri":"note://one"}"#);
    if answer.error.is_some() {
        assert_eq!(answer.code(), -32601);
    }
    board.close();
}

#[test]
fn a_stream_that_ends_is_opened_again() {
    let mut board = serve("a", "modern");
    board.tool("a__echo", "{}");
    board.wait_received("a", |line| line.contains("subscriptions/listen"));
    board.tool("a__hang_up", "{}");
    let until = Instant::now() + board::DEADLINE;
    while requests(&board.received("a"), "subscriptions/listen").len() < 2 {
        assert!(Instant::now() < until, "nobody listens again");
        std::thread::sleep(Duration::from_millis(20));
    }
    board.tool("a__hide", "{}");
    board.until("tools/list", "", |list| !list.names().contains(&"a__mirror".to_owned()));
    board.close();
}

#[test]
fn a_restarted_server_is_listened_to_and_followed_again() {
    let script = r#"
tools: { echo: "{{input}}", die: { exit: 1 }, touch: { updated: "note://one", answer: x } }
resources: { "note://one": first }
"#;
    let mut board = serve_modern_to("{}", script);
    board.tool("a__echo", "{}");
    board.call("resources/subscribe", r#"{"uri":"note://one"}"#);
    board.wait_received("a", |line| line.contains("resourceSubscriptions"));
    board.tool("a__die", "{}");
    assert!(!is_error(&board.tool("a__echo", "{}")));
    let until = Instant::now() + board::DEADLINE;
    let listens = |board: &Board| {
        let received = board.received("a");
        received.iter().filter(|line| line.contains("resourceSubscriptions")).count()
    };
    while listens(&board) < 2 {
        assert!(Instant::now() < until, "it is not followed again");
        std::thread::sleep(Duration::from_millis(20));
    }
    board.tool("a__touch", "{}");
    board.notification("notifications/resources/updated");
    board.close();
}

#[test]
fn prompts_resources_and_completions_cross_too() {
    let mut board = serve("a", "modern");
    let prompt = board.call("prompts/get", r#"{"name":"a__greet","arguments":{"who":"Ada"}}"#).result();
    assert_eq!(prompt["messages"][0]["content"]["text"], "Greet Ada.");
    let read = board.call("resources/read", r#"{"uri":"note://one"}"#).result();
    assert_eq!(read["contents"][0]["text"], "first");
    assert_eq!((read.get("resultType"), read.get("ttlMs")), (None, None));
    let completion =
        r#"{"ref":{"type":"ref/prompt","name":"a__greet"},"argument":{"name":"who","value":"A"}}"#;
    let values = board.call("completion/complete", completion).result();
    assert_eq!(values["completion"]["values"], json!(["Ada", "Alan"]));
    board.close();
}

// === rounds ===

const CAPABLE: &str = r#"{"roots":{},"sampling":{},"elicitation":{"form":{},"url":{}}}"#;

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

const ROOTS: &str = r#"{"roots":[{"uri":"file:///w"}]}"#;

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

// === tasks ===

/// The same tools in both forms, for clients that know neither.
fn before_tasks(revision: &str) -> Board {
    let mut board = Setup::new().server("a", "tasks").keys(&format!("protocol: {revision}")).start();
    board.initialize_with("2025-06-18", CAPABLE);
    board.tool("a__echo", r#"{"input":"hi"}"#);
    board
}

#[test]
fn a_tool_that_can_be_called_as_a_task_alone_is_looked_after() {
    for revision in ["2025-11-25", "2026-07-28"] {
        let mut board = before_tasks(revision);
        for nonce in ["one", "two"] {
            let answer = board.tool("a__required", &format!(r#"{{"nonce":"{nonce}"}}"#));
            assert_eq!(answer.text(), format!("{nonce}: done"), "{revision}");
            assert!(!answer.raw.contains("taskId") && !answer.raw.contains("resultType"), "{}", answer.raw);
        }
        assert_eq!(board.tool("a__optional", r#"{"nonce":"x"}"#).text(), "x: done", "{revision}");
        let said = methods(&board.received("a"));
        assert!(said.contains(&"tasks/get".to_owned()), "{said:?}");
        board.close();
    }
}

/// Tools that are served as tasks alone, in either form.
const TASKS: &str = r#"
revisions: [ 2025-11-25, 2026-07-28 ]
tools:
  echo: { answer: "{{input}}" }
  talks:
    task: { poll: 20ms, support: required }
    steps: [ { status: "first half" }, { sleep: 80ms }, { status: "second half" }, { sleep: 80ms }, { answer: done } ]
  asks:
    task: { poll: 20ms, support: required }
    steps:
      - ask: { method: elicitation/create, save: reply, params: { message: "Go on?", requestedSchema: { type: object, properties: {} } } }
      - ask: { method: roots/list, save: where }
      - answer: "{{reply.action}} {{where.roots.0.uri}}"
  fails: { task: { poll: 20ms, support: required }, delay: 20ms, error: { code: -32603, message: It broke, data: { id: 7 } } }
  is_error: { task: { poll: 20ms, support: required }, delay: 20ms, is_error: true, answer: That did not work. }
  never: { task: { poll: 20ms, support: required }, hang: true }
"#;

fn before_only_tasks(revision: &str) -> Board {
    let mut board = Setup::new().script("a", TASKS).keys(&format!("protocol: {revision}")).start();
    board.initialize_with("2025-06-18", CAPABLE);
    board.tool("a__echo", r#"{"input":"hi"}"#);
    board
}

#[test]
fn questions_of_tasks_reach_the_client() {
    for revision in ["2025-11-25", "2026-07-28"] {
        let mut board = before_only_tasks(revision);
        let id = board.ask("tools/call", r#"{"name":"a__asks","arguments":{}}"#);
        let question = board.asked("elicitation/create");
        board.reply(&question, r#"{"action":"accept","content":{}}"#);
        let question = board.asked("roots/list");
        board.reply(&question, ROOTS);
        assert_eq!(board.answer(&id).text(), "accept file:///w", "{revision}");
        board.close();
    }
}

#[test]
fn what_a_task_says_of_itself_is_progress() {
    let mut board = before_only_tasks("2026-07-28");
    let id = board.ask("tools/call", r#"{"name":"a__talks","arguments":{},"_meta":{"progressToken":"p"}}"#);
    assert_eq!(board.answer(&id).text(), "done");
    let said: Vec<Value> = board
        .unread()
        .iter()
        .filter(|message| message.method.as_deref() == Some("notifications/progress"))
        .map(|message| message.params())
        .collect();
    assert!(said.iter().any(|params| params["message"] == "second half"), "{said:?}");
    assert!(said.iter().all(|params| params["progressToken"] == "p"), "{said:?}");
    board.close();
}

#[test]
fn the_end_of_a_task_is_the_end_of_the_call() {
    for revision in ["2025-11-25", "2026-07-28"] {
        let mut board = before_only_tasks(revision);
        let broke = board.tool("a__fails", "{}");
        assert!(
            broke.error()["message"].as_str().is_some_and(|text| text.contains("It broke")),
            "{}",
            broke.raw
        );
        let answer = board.tool("a__is_error", "{}");
        assert!(is_error(&answer) && answer.text() == "That did not work.", "{revision}: {}", answer.raw);
        board.close();
    }
}

#[test]
fn a_cancelled_call_cancels_its_task() {
    for revision in ["2025-11-25", "2026-07-28"] {
        let mut board = before_only_tasks(revision);
        let id = board.ask("tools/call", r#"{"name":"a__never","arguments":{}}"#);
        board.wait_received("a", |line| line.contains("tasks/get"));
        board.cancel(&id);
        board.wait_received("a", |line| line.contains("tasks/cancel"));
        board.tool("a__echo", "{}");
        let looks = requests(&board.received("a"), "tasks/get").len();
        board.tool("a__echo", "{}");
        assert_eq!(
            requests(&board.received("a"), "tasks/get").len(),
            looks,
            "{revision}: it is still looked after"
        );
        board.close();
    }
}
