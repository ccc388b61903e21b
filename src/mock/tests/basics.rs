//! A well-behaved mock: what every MCP server does.

use super::*;

#[tokio::test]
async fn the_mission_s_mock_tool_answers() {
    let mut client = Client::of("tools: [mock_tool]");
    let hello = client.ask("initialize", json!({"protocolVersion": "2025-06-18", "capabilities": {}})).await;
    assert_eq!(
        hello["result"],
        json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {"logging": {}, "tools": {"listChanged": true}},
            "serverInfo": {"name": "mock", "version": "1.0.0"}
        })
    );
    client.notify("notifications/initialized", json!({})).await;
    let tools = client.ask("tools/list", json!({})).await;
    assert_eq!(
        tools["result"],
        json!({"tools": [{"name": "mock_tool", "inputSchema": {
            "type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}}]})
    );
    let answer = client.call("mock_tool", json!({"input": "test"})).await;
    assert_eq!(answer["result"], json!({"content": [{"type": "text", "text": "Mock result: test"}]}));
    assert_eq!(client.ask("ping", json!({})).await["result"], json!({}));
    assert_eq!(client.close().await, Outcome::Ended);
}

#[tokio::test]
async fn ids_are_echoed_byte_for_byte() {
    let mut client = Client::of("tools: { t: { result: {} } }");
    for id in [
        "0",
        "-3",
        "9007199254740993",
        "\"\"",
        "\"7\"",
        "1.0",
        "1e2",
        "\"a\\u0041\"",
        "12345678901234567890123",
    ] {
        client
            .send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"t"}}}}"#))
            .await;
        assert_eq!(client.text().await, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
    }
}

#[tokio::test]
async fn unknown_things_are_errors() {
    let mut client = Client::of("tools: [t]");
    let code = |response: Value| response["error"]["code"].as_i64().unwrap();
    assert_eq!(code(client.ask("server/discover", json!({})).await), -32601);
    assert_eq!(code(client.ask("tools/call", json!({"name": "none"})).await), -32602);
    assert_eq!(code(client.ask("tools/call", json!({})).await), -32602);
    assert_eq!(code(client.ask("prompts/get", json!({"name": "none"})).await), -32602);
    assert_eq!(code(client.ask("resources/read", json!({"uri": "x://y"})).await), -32002);
    assert_eq!(code(client.ask("tools/list", json!({"cursor": "forged"})).await), -32602);
    assert_eq!(code(client.ask("logging/setLevel", json!({"level": "loud"})).await), -32602);
    client.send("{broken").await;
    let broken = client.json().await;
    assert_eq!((broken["id"].clone(), broken["error"]["code"].clone()), (Value::Null, json!(-32700)));
    client.notify("notifications/unheard-of", json!({})).await;
    client.send(r#"{"jsonrpc":"2.0","id":99,"result":{}}"#).await;
    assert_eq!(client.ask("ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn the_server_block_shapes_the_handshake() {
    let mut client = Client::of(
        r#"
server:
  name: odd
  version: 2.10
  title: Odd one
  instructions: Be nice.
  protocol: 1999-01-01
  capabilities: { logging: ~, tools: { listChanged: false }, experimental: { x: {} } }
  extra: { vendor: { n: 1.10 } }
tools: [t]
"#,
    );
    let hello = client.ask("initialize", json!({"protocolVersion": "2025-06-18"})).await;
    assert_eq!(
        hello["result"].to_string(),
        concat!(
            r#"{"protocolVersion":"1999-01-01","capabilities":{"tools":{"listChanged":false},"experimental":{"x":{}}},"#,
            r#""serverInfo":{"name":"odd","title":"Odd one","version":"2.10"},"instructions":"Be nice.","vendor":{"n":1.10}}"#
        )
    );
}

#[tokio::test]
async fn an_unknown_revision_gets_the_newest() {
    for asked in ["2026-07-28", "1.0"] {
        let mut client = Client::of("{}");
        let hello = client.ask("initialize", json!({"protocolVersion": asked})).await;
        assert_eq!(hello["result"]["protocolVersion"], "2025-11-25");
    }
}

#[tokio::test]
async fn definitions_keep_every_member() {
    let mut client = Client::of(
        r#"
tools:
  - name: twice
    input_schema: { type: strin, maximum: 1.10 }
    output_schema: { type: object }
    annotations: { readOnlyHint: true, vendor: 1 }
    extra: { _meta: { a: 1 }, execution: { taskSupport: optional } }
  - twice
  - { name: bare, input_schema: ~ }
  - { name: many_, copies: 2, pad: 3B, description: d, input_schema: { type: object } }
"#,
    );
    let list = client.ask("tools/list", json!({})).await;
    assert_eq!(
        list["result"]["tools"][0].to_string(),
        concat!(
            r#"{"name":"twice","inputSchema":{"type":"strin","maximum":1.10},"outputSchema":{"type":"object"},"#,
            r#""annotations":{"readOnlyHint":true,"vendor":1},"_meta":{"a":1},"execution":{"taskSupport":"optional"}}"#
        )
    );
    let names: Vec<_> =
        list["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["twice", "twice", "bare", "many_1", "many_2"]);
    assert_eq!(list["result"]["tools"][2], json!({"name": "bare"}));
    assert_eq!(list["result"]["tools"][4]["description"], "dxxx");
    assert_eq!(said(&client.call("many_2", json!({"input": "x"})).await), "Mock result: x");
}

#[tokio::test]
async fn prompts_resources_templates_and_completions() {
    let mut client = Client::of(
        r#"
prompts:
  greet:
    description: Greets
    arguments: [who, { name: how, required: true }]
    answer: [ "Hello {{who}}", { assistant: "Hi." } ]
resources:
  "note://a": { name: A, mime_type: text/markdown, text: "A!" }
  "note://b": { blob: "AAEC" }
templates:
  "note://by/{id}": { name: by id, mime_type: text/plain, text: "note {{id}}" }
completions:
  greet: { who: [Anna, Anton, Bert] }
"#,
    );
    let hello = client.ask("initialize", json!({})).await;
    let capabilities = hello["result"]["capabilities"].as_object().unwrap();
    assert_eq!(capabilities.keys().collect::<Vec<_>>(), ["logging", "prompts", "resources", "completions"]);
    let prompts = client.ask("prompts/list", json!({})).await;
    assert_eq!(
        prompts["result"]["prompts"][0],
        json!({"name": "greet", "description": "Greets", "arguments": [{"name": "who"}, {"name": "how", "required": true}]})
    );
    let prompt = client.ask("prompts/get", json!({"name": "greet", "arguments": {"who": "Eva"}})).await;
    assert_eq!(
        prompt["result"],
        json!({"messages": [
            {"role": "user", "content": {"type": "text", "text": "Hello Eva"}},
            {"role": "assistant", "content": {"type": "text", "text": "Hi."}}]})
    );
    let resources = client.ask("resources/list", json!({})).await;
    assert_eq!(
        resources["result"]["resources"],
        json!([{"uri": "note://a", "name": "A", "mimeType": "text/markdown"}, {"uri": "note://b", "name": "note://b"}])
    );
    let templates = client.ask("resources/templates/list", json!({})).await;
    assert_eq!(templates["result"]["resourceTemplates"][0]["uriTemplate"], "note://by/{id}");
    let read = client.ask("resources/read", json!({"uri": "note://a"})).await;
    assert_eq!(
        read["result"],
        json!({"contents": [{"uri": "note://a", "text": "A!", "mimeType": "text/markdown"}]})
    );
    let read = client.ask("resources/read", json!({"uri": "note://b"})).await;
    assert_eq!(read["result"], json!({"contents": [{"uri": "note://b", "blob": "AAEC"}]}));
    let read = client.ask("resources/read", json!({"uri": "note://by/7"})).await;
    assert_eq!(read["result"]["contents"][0]["text"], "note 7");
    assert_eq!(read["result"]["contents"][0]["uri"], "note://by/7");
    let complete = client
        .ask(
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "who", "value": "An"}}),
        )
        .await;
    assert_eq!(
        complete["result"],
        json!({"completion": {"values": ["Anna", "Anton"], "total": 2, "hasMore": false}})
    );
}

#[tokio::test]
async fn pages_of_every_kind() {
    async fn cursors(script: &str) -> Vec<(usize, Value)> {
        let mut client = Client::of(script);
        let (mut seen, mut params) = (Vec::new(), json!({}));
        while seen.len() < 4 {
            let list = client.ask("tools/list", params).await;
            let next = list["result"]["nextCursor"].clone();
            seen.push((list["result"]["tools"].as_array().unwrap().len(), next.clone()));
            if next.is_null() {
                break;
            }
            params = json!({"cursor": next});
        }
        seen
    }
    let five = "tools: { t: { copies: 5 } }\n";
    let check = async |pages: &str, expected: Value| {
        let seen = cursors(&format!("{five}pages: {pages}")).await;
        assert_eq!(json!(seen), expected, "{pages}");
    };
    check("2", json!([[2, "item-2"], [2, "item-4"], [1, null]])).await;
    check("5", json!([[5, null]])).await;
    check("{ size: 3, cursor: loop }", json!([[3, "item-3"], [2, "item-0"], [3, "item-3"], [2, "item-0"]]))
        .await;
    check("{ size: 3, cursor: same }", json!([[3, "same"], [3, "same"], [3, "same"], [3, "same"]])).await;
    check(
        "{ cursor: endless }",
        json!([[5, "endless-1"], [5, "endless-2"], [5, "endless-3"], [5, "endless-4"]]),
    )
    .await;
}

#[tokio::test]
async fn batches_bom_crlf_and_blank_lines() {
    let mut client = Client::of("tools: [t]");
    client.send("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\r").await;
    assert_eq!(client.json().await["id"], 1);
    client.send("\r\n").await;
    client
        .send(r#"[{"jsonrpc":"2.0","id":2,"method":"ping"},{"jsonrpc":"2.0","id":3,"method":"ping"}]"#)
        .await;
    assert_eq!(client.json().await["id"], 2);
    assert_eq!(client.json().await["id"], 3);
}

#[tokio::test]
async fn slow_calls_hold_nobody_unless_serial() {
    let tools = "tools: { slow: { delay: 200ms, answer: slow }, quick: { answer: quick } }\n";
    for (serial, expected) in [("", ["quick", "slow"]), ("serial: true", ["slow", "quick"])] {
        let mut client = Client::of(&format!("{tools}{serial}"));
        client.begin("slow").await;
        client.begin("quick").await;
        let order = [client.json().await, client.json().await];
        assert_eq!([said(&order[0]), said(&order[1])], expected);
    }
}

#[tokio::test]
async fn a_cancelled_call_is_not_answered() {
    let mut client = Client::of("tools: { slow: { delay: 1h } }");
    let id = client.begin("slow").await;
    client.notify("notifications/cancelled", json!({"requestId": id})).await;
    client.notify("notifications/cancelled", json!({"requestId": "unknown"})).await;
    assert_eq!(client.ask("ping", json!({})).await["result"], json!({}));
    assert_eq!(client.close().await, Outcome::Ended);
}

#[tokio::test]
async fn everything_received_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("received");
    let shown = path.display().to_string();
    let mut client = Client::with("tools: [t]\nrecord: '{{env.RECORD}}'", |hooks| {
        hooks.environment = Arc::new(move |name| (name == "RECORD").then(|| shown.clone()));
    });
    client.send("not json \u{1F600}").await;
    client.json().await;
    client.ask("ping", json!({})).await;
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        "not json \u{1F600}\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{}}\n"
    );
}

#[tokio::test]
async fn large_arguments_and_results_pass() {
    let mut client = Client::of("tools: { echo: { answer: '{{text}}' } }");
    let text = "ä".repeat(3 << 20);
    let answer = client.call("echo", json!({"text": text})).await;
    assert!(said(&answer) == text);
}

#[tokio::test]
async fn items_that_say_nothing_have_a_default_answer() {
    let mut client = Client::of(
        "tools: { t: { calls: [ { delay: 1ms } ], answer: later } }\nprompts: [p]\nresources: [ { uri: 'x://y' }, { uri: 'x://z', text: z, delay: 1ms } ]",
    );
    assert_eq!(said(&client.call("t", json!({"input": 1})).await), "Mock result: 1");
    assert_eq!(said(&client.call("t", json!({"input": 1})).await), "later");
    let prompt = client.ask("prompts/get", json!({"name": "p"})).await;
    assert_eq!(prompt["result"]["messages"][0]["content"]["text"], "Mock prompt: p");
    let read = client.ask("resources/read", json!({"uri": "x://y"})).await;
    assert_eq!(read["result"]["contents"][0]["text"], "Mock resource: x://y");
    let read = client.ask("resources/read", json!({"uri": "x://z"})).await;
    assert_eq!(read["result"]["contents"], json!([{"uri": "x://z", "text": "z"}]));
}
