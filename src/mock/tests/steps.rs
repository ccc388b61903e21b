//! Each kind of step, one after the other.

use super::*;

/// Calls `t`, a tool with these steps, and gives `count` lines of output as JSON.
async fn lines(steps: &str, count: usize) -> Vec<Value> {
    let (mut client, _) = calling(steps).await;
    let mut lines = Vec::new();
    for _ in 0..count {
        lines.push(client.json().await);
    }
    lines
}

/// A client that called `t`, a tool with these steps; and the call's id.
async fn calling(steps: &str) -> (Client, u64) {
    let mut client = Client::of(&format!("tools: {{ t: {steps} }}"));
    let id = client.begin("t").await;
    (client, id)
}

#[tokio::test]
async fn answers() {
    let check = async |steps: &str, expected: Value| {
        assert_eq!(lines(steps, 1).await[0]["result"], expected, "{steps}")
    };
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    check("{ answer: yes }", json!({"content": text("yes")})).await;
    check("{ answer: 5 }", json!({"content": text("5")})).await;
    check("just a text", json!({"content": text("just a text")})).await;
    check("{ answer: oh, is_error: true }", json!({"content": text("oh"), "isError": true})).await;
    check("{ is_error: true }", json!({"content": text("Mock result: "), "isError": true})).await;
    check("{ structured: { a: 1 } }", json!({"content": text("{\"a\":1}"), "structuredContent": {"a": 1}}))
        .await;
    check(
        "{ answer: [one, { type: image, data: AA }] }",
        json!({"content": [{"type": "text", "text": "one"}, {"type": "image", "data": "AA"}]}),
    )
    .await;
    check("{ result: { content: 5, x: ~ } }", json!({"content": 5, "x": null})).await;
    check("{ result: ~ }", Value::Null).await;
    check("{ size: 10B }", json!({"content": text("xxxxxxxxxx")})).await;
    check("{ depth: 2 }", json!({"content": [], "structuredContent": {"nested": [[]]}})).await;
    check("{ delay: 1ms, answer: late }", json!({"content": text("late")})).await;
}

#[tokio::test]
async fn numbers_of_a_result_keep_their_text() {
    let (mut client, id) =
        calling("{ result: { n: [1.10, 12345678901234567890123, 1e400], s: '1.10' } }").await;
    assert_eq!(
        client.text().await,
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"n":[1.10,12345678901234567890123,1e400],"s":"1.10"}}}}"#
        )
    );
}

#[tokio::test]
async fn errors() {
    let check = async |steps: &str, expected: Value| {
        assert_eq!(lines(steps, 1).await[0]["error"], expected, "{steps}")
    };
    check(
        "{ error: { code: -32602, message: no, data: { a: 1 } } }",
        json!({"code": -32602, "message": "no", "data": {"a": 1}}),
    )
    .await;
    check("{ error: no }", json!({"code": -32603, "message": "no"})).await;
    check("{ error: { code: E1 } }", json!({"code": "E1", "message": "Mock error"})).await;
    check("{ error: { code: ~ } }", json!({"message": "Mock error"})).await;
}

#[tokio::test]
async fn progress_logs_and_answer_come_in_the_order_of_the_script() {
    let steps = "{ steps: [ {progress: 1}, {progress: {progress: 2, total: 3, message: x}}, {log: hello}, {sleep: 1ms},
        {log: {level: error, logger: l, data: {a: 1}}}, {notify: notifications/x}, {notify: {method: m, params: [1]}},
        {answer: done} ] }";
    let lines = lines(steps, 7).await;
    let methods: Vec<_> = lines.iter().map(|line| line["method"].as_str().unwrap_or("answer")).collect();
    assert_eq!(
        methods,
        [
            "notifications/progress",
            "notifications/progress",
            "notifications/message",
            "notifications/message",
            "notifications/x",
            "m",
            "answer"
        ]
    );
    assert_eq!(lines[1]["params"], json!({"progressToken": "t1", "progress": 2, "total": 3, "message": "x"}));
    assert_eq!(lines[2]["params"], json!({"data": "hello", "level": "info"}));
    assert_eq!(lines[3]["params"], json!({"level": "error", "logger": "l", "data": {"a": 1}}));
    assert_eq!(lines[4].get("params"), None);
}

#[tokio::test]
async fn without_a_token_there_is_no_progress() {
    let mut client = Client::of("tools: { t: { progress: 1, answer: done } }");
    assert_eq!(said(&client.call("t", json!({})).await), "done");
    client.send(r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"t","_meta":{"progressToken":1.0}}}"#).await;
    assert_eq!(
        client.text().await,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1.0,"progress":1}}"#
    );
}

#[tokio::test]
async fn the_log_level_is_obeyed() {
    let mut client = Client::of(
        "tools: { t: [ {log: {level: info, data: a}}, {log: {level: error, data: b}}, {answer: x} ] }"
            .replace("[ {log", "{ steps: [ {log")
            .replace("x} ] }", "x} ] } }")
            .as_str(),
    );
    client.ask("logging/setLevel", json!({"level": "warning"})).await;
    client.begin("t").await;
    assert_eq!(client.json().await["params"]["data"], "b");
    assert_eq!(said(&client.json().await), "x");
}

#[tokio::test]
async fn asks_wait_and_save() {
    let (mut client, _) = calling("{ steps: [ {ask: {method: elicitation/create, params: {message: \"{{mock.target}}?\"}, save: reply}},
        {ask: {method: roots/list, save: roots}}, {answer: \"{{reply.action}} {{roots.error.code}}\"} ] }").await;
    let ask = client.json().await;
    assert_eq!((&ask["method"], &ask["params"]["message"]), (&json!("elicitation/create"), &json!("t?")));
    client
        .send(&json!({"jsonrpc": "2.0", "id": ask["id"], "result": {"action": "accept"}}).to_string())
        .await;
    let ask = client.json().await;
    assert_eq!(ask["method"], "roots/list");
    client
        .send(
            &json!({"jsonrpc": "2.0", "id": ask["id"], "error": {"code": -32601, "message": "no"}})
                .to_string(),
        )
        .await;
    assert_eq!(said(&client.json().await), "accept -32601");
}

#[tokio::test]
async fn an_ask_need_not_wait() {
    let lines = lines("{ steps: [ {ask: {method: ping, wait: false}}, {answer: done} ] }", 2).await;
    assert_eq!((lines[0]["method"].clone(), said(&lines[1])), (json!("ping"), "done"));
}

#[tokio::test]
async fn raw_bytes_and_more_than_one_answer() {
    let (mut client, id) = calling(r#"{ steps: [ {raw: ["{\"id\":\"{{id}}\",\"x\":", {hex: "ff"}, "}\n"]}, {answer: once}, {answer_again: true}, {answer: twice} ] }"#).await;
    assert_eq!(
        client.line().await.unwrap(),
        [format!("{{\"id\":\"{id}\",\"x\":").as_bytes(), b"\xff}"].concat()
    );
    let answers = [client.json().await, client.json().await, client.json().await];
    assert_eq!(answers.each_ref().map(said), ["once", "once", "twice"]);
    assert!(answers.iter().all(|answer| answer["id"] == json!(id)));
}

#[tokio::test]
async fn noise_on_both_outputs() {
    let (mut client, _) = calling("{ steps: [ {noise: {lines: 100000, text: 'log {{mock.call}}'}}, {noise: {to: stderr, size: 300KiB, text: e, newline: false}}, {noise: {size: 5, text: abc, newline: false}}, {raw: \"\\n\"}, {answer: done} ] }").await;
    for _ in 0..100_000 {
        assert_eq!(client.line().await.unwrap(), b"log 1");
    }
    assert_eq!(client.text().await, "abcab");
    assert_eq!(said(&client.json().await), "done");
    assert_eq!(client.stderr(), "e".repeat(300 << 10));
}

#[tokio::test]
async fn large_results() {
    let line = &lines("{ size: 5MiB }", 1).await[0];
    assert_eq!(said(line).len(), 5 << 20);
    let (mut client, _) = calling("{ depth: 100000 }").await;
    assert!(client.text().await.len() > 200_000);
}

#[tokio::test]
async fn stderr_and_exit() {
    let (mut client, _) =
        calling("{ steps: [ {stderr: 'call {{call}}'}, {raw: partial}, {exit: 3}, {answer: never} ] }").await;
    assert_eq!(client.text().await, "partial");
    assert_eq!(client.line().await, None);
    assert_eq!(client.stderr(), "call 1\n");
    assert_eq!(client.outcome().await, Outcome::Exit(3));
}

#[tokio::test]
async fn crash() {
    for (name, _) in script::Signal::NAMES {
        let (client, _) = calling(&format!("{{ crash: {name} }}")).await;
        assert!(matches!(client.outcome().await, Outcome::Crash(_)), "{name}");
    }
}

#[tokio::test]
async fn hang_leaves_the_others_alone() {
    let (mut client, _) = calling("{ hang: true }").await;
    assert_eq!(client.ask("ping", json!({})).await["result"], json!({}));
    assert_eq!(client.close().await, Outcome::Ended);
}

#[tokio::test]
async fn stdout_closed() {
    let (mut client, _) =
        calling("{ steps: [ {answer: last}, {close_stdout: true}, {answer: lost}, {stderr: still here} ] }")
            .await;
    assert_eq!(said(&client.json().await), "last");
    assert_eq!(client.line().await, None);
    assert_eq!(client.close().await, Outcome::Ended);
}

#[tokio::test]
async fn stdin_closed_or_left_unread() {
    let (mut client, _) = calling("{ close_stdin: true, answer: closed }").await;
    assert_eq!(said(&client.json().await), "closed");
    let closed = async {
        while client.input.as_mut().unwrap().write_all(b"\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.expect("the pipe breaks");

    let before = std::time::Instant::now();
    let (mut client, _) = calling("{ stop_reading: 50ms, answer: soon }").await;
    assert_eq!(said(&client.json().await), "soon");
    client.ask("ping", json!({})).await;
    assert!(before.elapsed() >= Duration::from_millis(50), "it was deaf for a while");

    let (mut client, _) = calling("{ stop_reading: true, answer: never again }").await;
    assert_eq!(said(&client.json().await), "never again");
    let full = client.input.as_mut().unwrap().write_all(&[b'x'; 1 << 20]);
    assert!(tokio::time::timeout(Duration::from_millis(50), full).await.is_err(), "nobody reads");
}

#[tokio::test]
async fn lists_change() {
    let mut client = Client::of("tools: { a: { set_tools: [a, c], answer: x }, b: ~, c: ~ }");
    client.begin("a").await;
    assert_eq!(client.json().await["method"], "notifications/tools/list_changed");
    client.json().await;
    let list = client.ask("tools/list", json!({})).await;
    let names: Vec<_> =
        list["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["a", "c"]);
    assert_eq!(client.call("b", json!({})).await["error"]["code"], -32602);
}

#[tokio::test]
async fn updates_go_to_subscribers_only() {
    let mut client = Client::of(
        "tools: { t: { updated: 'x://{{id}}', answer: ok } }\nresources: { 'x://1': { text: one } }",
    );
    assert_eq!(said(&client.call("t", json!({"id": 1})).await), "ok");
    client.ask("resources/subscribe", json!({"uri": "x://1"})).await;
    client.request("tools/call", json!({"name": "t", "arguments": {"id": 1}})).await;
    let updated = client.json().await;
    assert_eq!(
        (&updated["method"], &updated["params"]),
        (&json!("notifications/resources/updated"), &json!({"uri": "x://1"}))
    );
    client.json().await;
    client.ask("resources/unsubscribe", json!({"uri": "x://1"})).await;
    assert_eq!(said(&client.call("t", json!({"id": 1})).await), "ok");
}

#[tokio::test]
async fn wait_cancel_says_whether_it_came() {
    let (mut client, _) = calling("{ wait_cancel: 1ms, answer: 'cancelled: {{cancelled}}' }").await;
    assert_eq!(said(&client.json().await), "cancelled: false");
    let (mut client, id) = calling("{ wait_cancel: 1h, answer: 'cancelled: {{cancelled}}' }").await;
    client.notify("notifications/cancelled", json!({"requestId": id})).await;
    assert_eq!(said(&client.json().await), "cancelled: true");
}

#[tokio::test]
async fn a_cancel_can_be_ignored() {
    let (mut client, id) = calling("{ ignore_cancel: true, delay: 50ms, answer: anyway }").await;
    client.notify("notifications/cancelled", json!({"requestId": id})).await;
    assert_eq!(said(&client.json().await), "anyway");
}

#[tokio::test]
async fn repeat_counts_its_turns() {
    let lines = lines("{ steps: [ {repeat: {times: 3, every: 1ms, steps: [ {progress: '{{json n}}'} ]}}, {answer: done} ] }", 4).await;
    let progress: Vec<_> = lines[..3].iter().map(|line| line["params"]["progress"].clone()).collect();
    assert_eq!(progress, [1, 2, 3]);
}

#[tokio::test]
async fn calls_can_differ() {
    let mut client =
        Client::of("tools: { t: { calls: [ {error: first, times: 2}, third ], answer: 'call {{call}}' } }");
    let mut seen = Vec::new();
    for _ in 0..4 {
        let answer = client.call("t", json!({})).await;
        seen.push(answer["error"]["message"].as_str().unwrap_or_else(|| said(&answer)).to_owned());
    }
    assert_eq!(seen, ["first", "first", "third", "call 4"]);
}

// === Moments ===

#[tokio::test]
async fn reactions_before_the_usual_answer() {
    let mut client = Client::of(
        "on: { start: {stderr: starting}, initialize: {raw: \"hello\\n\", default: true}, initialized: {ask: {method: roots/list, wait: false}},
         list: {delay: 1ms}, call: {notify: before}, unknown: {error: what}, ping: {result: {pong: 1}},
         resources/list: {error: no}, notifications/x: {notify: 'got {{a}}'} }\ntools: [t]",
    );
    client.request("initialize", json!({})).await;
    assert_eq!(client.text().await, "hello");
    assert_eq!(client.json().await["result"]["serverInfo"]["name"], "mock");
    client.notify("notifications/initialized", json!({})).await;
    assert_eq!(client.json().await["method"], "roots/list");
    assert_eq!(client.ask("tools/list", json!({})).await["result"]["tools"][0]["name"], "t");
    assert_eq!(client.ask("resources/list", json!({})).await["error"]["message"], "no");
    client.begin("t").await;
    assert_eq!(client.json().await["method"], "before");
    assert_eq!(said(&client.json().await), "Mock result: ");
    assert_eq!(client.ask("what/ever", json!({})).await["error"]["message"], "what");
    assert_eq!(client.ask("ping", json!({})).await["result"], json!({"pong": 1}));
    client.notify("notifications/x", json!({"a": 7})).await;
    assert_eq!(client.json().await["method"], "got 7");
    assert_eq!(client.stderr(), "starting\n");
}

#[tokio::test]
async fn a_server_may_end_at_its_start() {
    let client = Client::of("on: { start: { stderr: need API_KEY, exit: 1 } }");
    assert_eq!(client.outcome().await, Outcome::Exit(1));
}

#[tokio::test]
async fn the_end_of_input() {
    let slow = "tools: { t: { delay: 50ms, answer: done } }\n";
    let ending = async |eof: &str| {
        let mut client = Client::of(&format!("{slow}on: {{ eof: {eof} }}"));
        client.begin("t").await;
        client.input = None;
        let mut lines = Vec::new();
        while let Some(line) = client.line().await {
            lines.push(String::from_utf8(line).unwrap());
        }
        (lines.len(), client.outcome().await)
    };
    assert_eq!(ending("exit").await, (0, Outcome::Ended));
    assert_eq!(ending("finish").await, (1, Outcome::Ended));
    assert_eq!(ending("{ noise: {lines: 5}, exit: 4 }").await, (5, Outcome::Exit(4)));

    let mut client = Client::of("on: { eof: ignore }");
    client.input = None;
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut client.server).await.is_err(), "it stays");
}

#[tokio::test]
async fn a_client_that_is_gone_ends_the_server() {
    let (mut client, _) = calling("{ noise: { lines: 100000 } }").await;
    let (gone, _) = tokio::io::duplex(1);
    client.output = gone;
    assert_eq!(client.outcome().await, Outcome::Ended);
}

#[tokio::test]
async fn starts_can_differ() {
    let script = "state: none\ntools: { t: { answer: base } }\nruns:\n  - { times: 2, on: { start: { exit: 1 } } }\n  - tools: { t: { answer: third }, u: ~ }\n";
    let at = |start: u64| Client::with(script, |hooks| hooks.start = start);
    assert_eq!(at(1).outcome().await, Outcome::Exit(1));
    assert_eq!(at(2).outcome().await, Outcome::Exit(1));
    assert_eq!(said(&at(3).call("t", json!({})).await), "third");
    assert_eq!(said(&at(4).call("t", json!({})).await), "base");
}

#[tokio::test]
async fn structured_content_is_shown_as_text_too() {
    let mut client =
        Client::of("tools: { t: { structured: { all: '{{json args}}', n: '{{json n}}' }, is_error: true } }");
    let answer = client.call("t", json!({"n": "a\"b"})).await;
    let structured = json!({"all": {"n": "a\"b"}, "n": "a\"b"});
    assert_eq!(
        answer["result"],
        json!({
        "content": [{"type": "text", "text": structured.to_string()}], "structuredContent": structured, "isError": true})
    );
}
