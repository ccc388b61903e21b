//! The modern era over lines: discovery, metadata, results, subscriptions, interim results.

use super::*;

const META: &str = "io.modelcontextprotocol/";

/// Params with the metadata of a modern client of these capabilities.
fn modern(mut params: Value, capabilities: Value) -> Value {
    params["_meta"][format!("{META}protocolVersion")] = json!("2026-07-28");
    params["_meta"][format!("{META}clientCapabilities")] = capabilities;
    params
}

fn call(tool: &str, capabilities: Value) -> Value {
    modern(json!({"name": tool, "arguments": {"n": "1.10"}}), capabilities)
}

fn everything() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}})
}

fn code(response: &Value) -> i64 {
    response["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error in {response}"))
}

fn message(response: &Value) -> &str {
    response["error"]["message"].as_str().unwrap_or_else(|| panic!("no error in {response}"))
}

/// The retry of a request: with answers, and with the state that the round gave.
fn retry(first: &Value, round: &Value, answers: Value) -> Value {
    assert_eq!(round["result"]["resultType"], "input_required", "{round}");
    let mut params = first.clone();
    params["inputResponses"] = answers;
    if let Some(state) = round["result"].get("requestState") {
        params["requestState"] = state.clone();
    }
    params
}

const MODERN: &str = "revisions: 2026-07-28\ncache: { ttl: 5s, scope: public }\n";
const DUAL: &str = "revisions: [2025-06-18, 2026-07-28]\n";

#[tokio::test]
async fn discovery_and_results() {
    let mut client = Client::of(&format!(
        "{MODERN}server: {{ name: new, instructions: Hi., extra: {{ }} }}\ntools: {{ t: hi }}\nresources: {{ 'x://a': {{ text: a }} }}"
    ));
    let found = client.ask("server/discover", modern(json!({}), json!({}))).await;
    assert_eq!(
        found["result"],
        json!({
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"logging": {}, "tools": {"listChanged": true}, "resources": {"subscribe": true, "listChanged": true}},
            "instructions": "Hi.",
            "resultType": "complete", "ttlMs": 5000, "cacheScope": "public",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "1.0.0"}}
        })
    );
    for (method, params) in [
        ("tools/list", json!({})),
        ("resources/list", json!({})),
        ("resources/read", json!({"uri": "x://a"})),
        ("resources/templates/list", json!({})),
    ] {
        let result = client.ask(method, modern(params, json!({}))).await["result"].clone();
        assert_eq!((&result["resultType"], &result["ttlMs"]), (&json!("complete"), &json!(5000)), "{method}");
    }
    let answer = client.ask("tools/call", call("t", json!({}))).await;
    assert_eq!((said(&answer), &answer["result"]["ttlMs"]), ("hi", &Value::Null));
    let missing = client.ask("resources/read", modern(json!({"uri": "x://b"}), json!({}))).await;
    assert_eq!((code(&missing), &missing["error"]["data"]["uri"]), (-32602, &json!("x://b")));
}

#[tokio::test]
async fn what_a_modern_request_must_carry() {
    let mut client =
        Client::of(&format!("{MODERN}tools: {{ t: {{ needs: {{ sampling: {{}} }}, answer: hi }} }}"));
    let bare = client.ask("tools/list", json!({})).await;
    assert_eq!(code(&bare), -32602);
    assert!(message(&bare).contains("protocolVersion and io.model"), "{bare}");
    let half =
        client.ask("tools/list", json!({"_meta": {(format!("{META}protocolVersion")): "2026-07-28"}})).await;
    assert_eq!(code(&half), -32602);
    let mut old = modern(json!({}), json!({}));
    old["_meta"][format!("{META}protocolVersion")] = json!("1900-01-01");
    let old = client.ask("tools/list", old).await;
    assert_eq!(code(&old), -32022);
    assert_eq!(old["error"]["data"], json!({"supported": ["2026-07-28"], "requested": "1900-01-01"}));
    let poor = client.ask("tools/call", call("t", json!({}))).await;
    assert_eq!(code(&poor), -32021);
    assert_eq!(poor["error"]["data"], json!({"requiredCapabilities": {"sampling": {}}}));
    assert_eq!(said(&client.ask("tools/call", call("t", everything())).await), "hi");
    for method in ["ping", "logging/setLevel", "resources/subscribe", "tasks/result"] {
        assert_eq!(code(&client.ask(method, modern(json!({}), json!({}))).await), -32601, "{method}");
    }
    let hello = client.ask("initialize", json!({"protocolVersion": "2025-11-25"})).await;
    assert_eq!(hello["error"]["data"], json!({"supported": ["2026-07-28"], "requested": "2025-11-25"}));
}

#[tokio::test]
async fn both_eras_on_one_process() {
    let mut client = Client::of(&format!(
        "{DUAL}tools: {{ t: 'speaks {{{{mock.revision}}}}', change: {{ set_tools: [change], answer: done }} }}"
    ));
    let found = client.ask("server/discover", modern(json!({}), json!({}))).await;
    assert_eq!(found["result"]["supportedVersions"], json!(["2026-07-28", "2025-06-18"]));
    // Before a handshake nothing is told unasked.
    assert_eq!(said(&client.ask("tools/call", call("change", json!({}))).await), "done");
    let hello = client.ask("initialize", json!({"protocolVersion": "2026-07-28", "capabilities": {}})).await;
    assert_eq!(hello["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(hello["result"].get("resultType"), None);
    let id = client.request("tools/call", json!({"name": "change"})).await;
    assert_eq!(client.json().await["method"], "notifications/tools/list_changed");
    assert_eq!(client.json().await["id"], id);
    assert_eq!(code(&client.ask("server/discover", json!({})).await), -32602);
}

#[tokio::test]
async fn the_first_message_can_be_a_test() {
    let script = |step: &str| format!("on: {{ first: {step} }}\ntools: [t]");
    let mut client = Client::of(&script("{ error: { code: -32000, message: who are you } }"));
    assert_eq!(code(&client.ask("server/discover", modern(json!({}), json!({}))).await), -32000);
    assert_eq!(client.ask("ping", json!({})).await["result"], json!({}));
    client.ask("initialize", json!({"protocolVersion": "2025-11-25"})).await;
    assert_eq!(code(&client.ask("server/discover", json!({})).await), -32601);
    let mut client = Client::of(&script("{ raw: \"Usage: server\\n\" }"));
    client.request("server/discover", json!({})).await;
    assert_eq!(client.text().await, "Usage: server");
    let mut client = Client::of(&script("{ exit: 1 }"));
    client.request("server/discover", json!({})).await;
    assert_eq!(client.outcome().await, Outcome::Exit(1));
}

#[tokio::test]
async fn logs_only_for_requests_that_want_them() {
    let script =
        format!("{MODERN}tools: {{ t: {{ log: {{ level: warning, data: careful }}, answer: hi }} }}");
    let mut client = Client::of(&script);
    assert_eq!(said(&client.ask("tools/call", call("t", json!({}))).await), "hi");
    let mut params = call("t", json!({}));
    params["_meta"][format!("{META}logLevel")] = json!("error");
    assert_eq!(said(&client.ask("tools/call", params.clone()).await), "hi");
    params["_meta"][format!("{META}logLevel")] = json!("info");
    client.request("tools/call", params.clone()).await;
    assert_eq!(client.json().await["params"]["data"], "careful");
    assert_eq!(said(&client.json().await), "hi");
    params["_meta"][format!("{META}logLevel")] = json!("loud");
    assert_eq!(code(&client.ask("tools/call", params).await), -32602);
}

#[tokio::test]
async fn subscriptions() {
    let mut client = Client::of(&format!(
        "{MODERN}tools: {{ hide: {{ set_tools: [hide, touch, end], answer: done }}, touch: {{ updated: 'x://a', answer: done }}, end: {{ end_subscriptions: true, answer: done }} }}\n\
         resources: {{ 'x://a': {{ text: a }} }}"
    ));
    let wishes = json!({"notifications": {"toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": ["x://a"]}});
    let tools = client.request("subscriptions/listen", modern(wishes, json!({}))).await;
    let subscription = |message: &Value| {
        let body = message.get("params").unwrap_or(&message["result"]);
        body["_meta"][format!("{META}subscriptionId")].clone()
    };
    let first = client.json().await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    // There are no prompts, so the wish for them is not granted.
    assert_eq!(
        first["params"]["notifications"],
        json!({"toolsListChanged": true, "resourceSubscriptions": ["x://a"]})
    );
    assert_eq!(subscription(&first), json!(tools));
    let other = modern(json!({"notifications": {"resourceSubscriptions": ["x://b"]}}), json!({}));
    let other = client.request("subscriptions/listen", other).await;
    assert_eq!(subscription(&client.json().await), json!(other));
    client.request("tools/call", call("hide", json!({}))).await;
    let changed = client.json().await;
    assert_eq!(
        (&changed["method"], subscription(&changed)),
        (&json!("notifications/tools/list_changed"), json!(tools))
    );
    assert_eq!(said(&client.json().await), "done");
    client.request("tools/call", call("touch", json!({}))).await;
    let updated = client.json().await;
    assert_eq!((&updated["params"]["uri"], subscription(&updated)), (&json!("x://a"), json!(tools)));
    assert_eq!(said(&client.json().await), "done");
    // A cancelled stream says nothing more, the other one ends with its result.
    client.notify("notifications/cancelled", json!({"requestId": other})).await;
    assert_eq!(client.ask("tools/call", call("nothing", json!({}))).await["error"]["code"], -32602);
    client.request("tools/call", call("end", json!({}))).await;
    let last = client.json().await;
    assert_eq!(
        (&last["id"], &last["result"]["resultType"], subscription(&last)),
        (&json!(tools), &json!("complete"), json!(tools))
    );
    assert_eq!(said(&client.json().await), "done");
    client.request("subscriptions/listen", modern(json!({"notifications": {}}), json!({}))).await;
    client.json().await;
    client.input = None;
    assert_eq!(client.json().await["result"]["resultType"], "complete");
}

const ASKING: &str = r#"
tools:
  form:
    steps:
      - progress: 1
      - ask: { method: elicitation/create, params: { message: Name?, requestedSchema: { type: object, properties: {} } }, save: reply }
      - progress: 2
      - answer: "{{mock.call}}: {{reply.content.name}} {{json args}}"
  two:
    steps:
      - ask: { method: roots/list, save: one }
      - ask: { method: sampling/createMessage, params: { messages: [], maxTokens: 5 }, save: two }
      - answer: "{{one.roots.0.uri}} {{two.model}}"
  both:
    ask: { all: { a: { method: elicitation/create, params: { message: A } }, b: roots/list } }
    answer: "{{a.action}} {{b.roots}}"
  stateless: { ask: { method: roots/list, save: r, state: false }, answer: "{{r.roots}}" }
  wait: { ask: { state: alone }, answer: waited }
  endless: { repeat: { times: 1000000, steps: [ { ask: { method: roots/list } } ] } }
  wrong: { ask: { method: roots/list, result_type: elicitation } }
  own: { ask: { method: roots/list, state: "own {{mock.call}}" }, answer: ok }
"#;

fn asking() -> Client {
    Client::of(&format!("{MODERN}{ASKING}"))
}

#[tokio::test]
async fn an_ask_is_an_interim_result_and_the_retry_goes_on_behind_it() {
    let mut client = asking();
    let mut first = call("form", everything());
    first["_meta"]["progressToken"] = json!("p");
    client.request("tools/call", first.clone()).await;
    assert_eq!(client.json().await["params"]["progress"], 1);
    let round = client.json().await;
    let asked = &round["result"]["inputRequests"]["reply"];
    assert_eq!(
        (&asked["method"], &asked["params"]["message"]),
        (&json!("elicitation/create"), &json!("Name?"))
    );
    assert_eq!(round["result"].get("ttlMs"), None);
    let again = retry(&first, &round, json!({"reply": {"action": "accept", "content": {"name": "Ada"}}}));
    client.request("tools/call", again.clone()).await;
    assert_eq!(client.json().await["params"]["progress"], 2);
    assert_eq!(said(&client.json().await), r#"1: Ada {"n":"1.10"}"#);
    // A state is good for one retry.
    assert!(message(&client.ask("tools/call", again).await).contains("used before"));
}

#[tokio::test]
async fn several_rounds_and_several_questions() {
    let mut client = asking();
    let first = call("two", everything());
    let round = client.ask("tools/call", first.clone()).await;
    let roots = json!({"roots": [{"uri": "file:///a"}]});
    let round = client.ask("tools/call", retry(&first, &round, json!({"one": roots}))).await;
    let said_by = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "x"}});
    let done = client.ask("tools/call", retry(&first, &round, json!({"two": said_by}))).await;
    assert_eq!(said(&done), "file:///a m");

    let first = call("both", everything());
    let round = client.ask("tools/call", first.clone()).await;
    assert_eq!(round["result"]["inputRequests"].as_object().unwrap().len(), 2);
    let answers = json!({"a": {"action": "decline"}, "b": {"roots": []}});
    assert_eq!(said(&client.ask("tools/call", retry(&first, &round, answers)).await), "decline []");
}

#[tokio::test]
async fn unusual_rounds() {
    let mut client = asking();
    let first = call("stateless", everything());
    let round = client.ask("tools/call", first.clone()).await;
    assert_eq!(round["result"].get("requestState"), None);
    assert_eq!(
        said(&client.ask("tools/call", retry(&first, &round, json!({"r": {"roots": [1]}}))).await),
        "[1]"
    );

    let first = call("wait", everything());
    let round = client.ask("tools/call", first.clone()).await;
    assert_eq!(round["result"].get("inputRequests"), None);
    let mut again = first.clone();
    again["requestState"] = round["result"]["requestState"].clone();
    assert_eq!(said(&client.ask("tools/call", again).await), "waited");

    let first = call("endless", everything());
    let mut round = client.ask("tools/call", first.clone()).await;
    for _ in 0..20 {
        round = client.ask("tools/call", retry(&first, &round, json!({"ask": {"roots": []}}))).await;
    }
    assert_eq!(
        client.ask("tools/call", call("wrong", everything())).await["result"]["resultType"],
        "elicitation"
    );
    assert_eq!(client.ask("tools/call", call("own", everything())).await["result"]["requestState"], "own 1");
    let poor = client.ask("tools/call", call("both", json!({"elicitation": {}}))).await;
    assert_eq!(poor["error"]["data"]["requiredCapabilities"], json!({"roots": {}}));
}

#[tokio::test]
async fn a_retry_that_is_wrong_is_told_so() {
    let mut client = asking();
    let first = call("form", everything());
    let round = client.ask("tools/call", first.clone()).await;
    let fine = retry(&first, &round, json!({"reply": {"action": "cancel"}}));
    let change = |edit: &dyn Fn(&mut Value)| {
        let mut params = fine.clone();
        edit(&mut params);
        params
    };
    for (params, expected) in [
        (change(&|params| params["requestState"] = json!("forged")), "unknown `requestState`: forged"),
        (change(&|params| params["arguments"]["n"] = json!(2)), "other params"),
        (
            change(&|params| drop(params.as_object_mut().unwrap().remove("requestState"))),
            "`requestState` is missing",
        ),
        (
            change(&|params| params["inputResponses"]["more"] = json!({})),
            "the questions were [reply], the answers are [reply, more]",
        ),
        (change(&|params| params["inputResponses"] = json!({})), "the answers are []"),
        (
            change(&|params| params["inputResponses"]["reply"] = json!({"result": {}})),
            "none of accept, decline, cancel",
        ),
    ] {
        let response = client.ask("tools/call", params.clone()).await;
        assert_eq!(code(&response), -32602, "{params}");
        assert!(message(&response).contains(expected), "{response}");
    }
    let old = json!({"jsonrpc": "2.0", "id": round["id"], "method": "tools/call", "params": fine});
    client.send(&old.to_string()).await;
    assert!(message(&client.json().await).contains("of an earlier round"));
    assert!(said(&client.ask("tools/call", fine).await).starts_with("1: "));
}

#[tokio::test]
async fn the_legacy_form_of_the_same_asks() {
    let mut client = Client::of(&format!("{DUAL}{ASKING}"));
    client.ask("initialize", json!({"protocolVersion": "2025-06-18", "capabilities": {}})).await;
    let call = client.request("tools/call", json!({"name": "both", "arguments": {}})).await;
    let (a, b) = (client.json().await, client.json().await);
    assert_eq!((&a["method"], &b["method"]), (&json!("elicitation/create"), &json!("roots/list")));
    for (question, result) in [(b, json!({"roots": []})), (a, json!({"action": "accept"}))] {
        client.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string()).await;
    }
    let done = client.json().await;
    assert_eq!((&done["id"], said(&done)), (&json!(call), "accept []"));
    assert_eq!(said(&client.call("wait", json!({})).await), "waited");
}

#[tokio::test]
async fn a_cancelled_retry_cancels_the_call() {
    let script = "tools: { t: { ask: { method: roots/list }, wait_cancel: 20s, log: { level: error, data: 'cancelled {{cancelled}}' } } }";
    let mut client = Client::of(&format!("{MODERN}{script}"));
    let mut first = call("t", everything());
    first["_meta"][format!("{META}logLevel")] = json!("debug");
    let round = client.ask("tools/call", first.clone()).await;
    let id = client.request("tools/call", retry(&first, &round, json!({"ask": {"roots": []}}))).await;
    client.notify("notifications/cancelled", json!({"requestId": id})).await;
    assert_eq!(client.json().await["params"]["data"], "cancelled true");
}

#[tokio::test]
async fn serial_calls_do_not_block_the_retry() {
    let mut client = Client::of(&format!("{MODERN}serial: true\n{ASKING}"));
    let first = call("stateless", everything());
    let round = client.ask("tools/call", first.clone()).await;
    assert_eq!(
        client.ask("tools/call", call("wait", json!({}))).await["result"]["resultType"],
        "input_required"
    );
    assert_eq!(
        said(&client.ask("tools/call", retry(&first, &round, json!({"r": {"roots": []}}))).await),
        "[]"
    );
}
