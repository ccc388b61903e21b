//! Tasks of both forms, and pages that must be visited first.

use super::*;

fn fixture(name: &str) -> Client {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mock").join(name);
    Client::of(&std::fs::read_to_string(path).unwrap())
}

async fn legacy(name: &str, revision: &str) -> Client {
    let mut client = fixture(name);
    client.ask("initialize", json!({"protocolVersion": revision, "capabilities": {}})).await;
    client
}

fn modern(mut params: Value) -> Value {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"roots": {}, "elicitation": {"url": {}, "form": {}}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    params
}

impl Client {
    /// The response to this request; what is said before it is left out.
    async fn response(&mut self, id: u64) -> Value {
        loop {
            let message = self.json().await;
            if message["id"] == json!(id) && message.get("method").is_none() {
                return message;
            }
        }
    }

    /// The next message of this method.
    async fn next(&mut self, method: &str) -> Value {
        loop {
            let message = self.json().await;
            if message["method"] == method {
                return message;
            }
        }
    }

    async fn asked(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params).await;
        self.response(id).await
    }

    async fn task(&mut self, tool: &str) -> String {
        let call = json!({"name": tool, "arguments": {"nonce": "n"}, "task": {"ttl": 5000}});
        let created = self.asked("tools/call", call).await;
        let task = &created["result"]["task"];
        assert_eq!(task["status"], "working", "{created}");
        task["taskId"].as_str().unwrap().to_owned()
    }
}

fn related(message: &Value) -> &Value {
    let body = message.get("params").unwrap_or(&message["result"]);
    &body["_meta"]["io.modelcontextprotocol/related-task"]["taskId"]
}

#[tokio::test]
async fn the_form_of_2025_11_25() {
    let mut client = legacy("tasks.yaml", "2025-11-25").await;
    let tools = client.asked("tools/list", json!({})).await;
    let support = |name: &str| {
        let tools = tools["result"]["tools"].as_array().unwrap();
        tools.iter().find(|tool| tool["name"] == name).unwrap()["execution"]["taskSupport"].clone()
    };
    assert_eq!(
        (support("echo"), support("optional"), support("required")),
        (Value::Null, json!("optional"), json!("required"))
    );
    let id = client.task("optional").await;
    let got = client.asked("tasks/get", json!({"taskId": id})).await;
    assert_eq!((&got["result"]["ttl"], &got["result"]["pollInterval"]), (&json!(60000), &json!(20)));
    assert!(got["result"]["createdAt"].as_str().unwrap().ends_with('Z'), "{got}");
    let result = client.asked("tasks/result", json!({"taskId": id})).await;
    assert_eq!((said(&result), related(&result)), ("n: done", &json!(id)));
    assert_eq!(client.asked("tasks/get", json!({"taskId": id})).await["result"]["status"], "completed");
    // The same tools without a task, and the others.
    let plain = client.asked("tools/call", json!({"name": "optional", "arguments": {"nonce": "p"}})).await;
    assert_eq!(said(&plain), "p: done");
    let code = |response: Value| response["error"]["code"].clone();
    assert_eq!(code(client.asked("tools/call", json!({"name": "required"})).await), -32601);
    assert_eq!(code(client.asked("tools/call", json!({"name": "echo", "task": {}})).await), -32601);
    assert_eq!(code(client.asked("tasks/get", json!({"taskId": "none"})).await), -32602);
    assert_eq!(code(client.asked("tasks/cancel", json!({"taskId": id})).await), -32602);
    let listed = client.asked("tasks/list", json!({})).await;
    assert_eq!(listed["result"]["tasks"].as_array().unwrap().len(), 1);
    // Earlier revisions know nothing of this.
    let mut old = legacy("tasks.yaml", "2025-06-18").await;
    assert_eq!(code(old.asked("tasks/list", json!({})).await), -32601);
    let plain =
        old.asked("tools/call", json!({"name": "required", "arguments": {"nonce": "o"}, "task": {}})).await;
    assert_eq!(said(&plain), "o: done");
}

#[tokio::test]
async fn what_a_task_says_and_asks_names_it() {
    let mut client = legacy("tasks.yaml", "2025-11-25").await;
    let call = json!({"name": "talks", "task": {}, "_meta": {"progressToken": "p"}});
    let created = client.asked("tools/call", call).await;
    let id = created["result"]["task"]["taskId"].clone();
    let status = client.next("notifications/tasks/status").await;
    assert_eq!(
        (&status["params"]["taskId"], &status["params"]["statusMessage"]),
        (&id, &json!("first half"))
    );
    assert_eq!(related(&client.next("notifications/progress").await), &id);
    client.next("notifications/tasks/status").await;
    let last = client.next("notifications/tasks/status").await;
    assert_eq!(last["params"]["status"], "completed");

    let id = client.task("asks").await;
    assert_eq!(client.next("notifications/tasks/status").await["params"]["status"], "input_required");
    let waiting = client.request("tasks/result", json!({"taskId": id})).await;
    for (method, result) in
        [("elicitation/create", json!({"action": "accept"})), ("roots/list", json!({"roots": []}))]
    {
        let question = client.next(method).await;
        assert_eq!(related(&question), &json!(id));
        client.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string()).await;
    }
    assert_eq!(said(&client.response(waiting).await), "n: accept []");
    client.task("asks_directly").await;
    client.next("roots/list").await;
}

#[tokio::test]
async fn how_tasks_end() {
    let mut client = legacy("tasks.yaml", "2025-11-25").await;
    for (tool, error) in [
        ("fails", json!({"code": -32603, "message": "It broke", "data": {"id": 7}})),
        ("is_error", Value::Null),
    ] {
        let id = client.task(tool).await;
        let result = client.asked("tasks/result", json!({"taskId": id})).await;
        assert_eq!(result.get("error").cloned().unwrap_or_default(), error, "{result}");
        assert_eq!(
            client.asked("tasks/get", json!({"taskId": id})).await["result"]["status"],
            "failed",
            "{tool}"
        );
    }
    for tool in ["never", "stubborn"] {
        let id = client.task(tool).await;
        let waiting = client.request("tasks/result", json!({"taskId": id})).await;
        let cancelled = client.request("tasks/cancel", json!({"taskId": id})).await;
        let (mut answer, mut result) = (Value::Null, Value::Null);
        while answer.is_null() || result.is_null() {
            let message = client.json().await;
            match message["id"].as_u64() {
                Some(id) if id == waiting => result = message,
                Some(id) if id == cancelled => answer = message,
                _ => {}
            }
        }
        assert_eq!(
            (&answer["result"]["status"], &result["error"]["code"]),
            (&json!("cancelled"), &json!(-32603)),
            "{tool}"
        );
    }
    let id = client.task("short_lived").await;
    let gone =
        async { while client.asked("tasks/get", json!({"taskId": id})).await.get("error").is_none() {} };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the task is forgotten");
}

#[tokio::test]
async fn the_form_of_the_extension() {
    let mut client = fixture("tasks.yaml");
    let found = client.asked("server/discover", modern(json!({}))).await;
    assert_eq!(found["result"]["capabilities"]["extensions"], json!({"io.modelcontextprotocol/tasks": {}}));
    assert_eq!(found["result"]["capabilities"].get("tasks"), None);
    let created =
        client.asked("tools/call", modern(json!({"name": "asks", "arguments": {"nonce": "n"}}))).await;
    assert_eq!(
        (&created["result"]["resultType"], &created["result"]["ttlMs"]),
        (&json!("task"), &Value::Null)
    );
    let id = created["result"]["taskId"].clone();
    let wishes = modern(json!({"notifications": {"taskIds": [id]}}));
    let listening = client.request("subscriptions/listen", wishes).await;
    assert_eq!(client.json().await["params"]["notifications"], json!({"taskIds": [id]}));
    let about = |more: Value| {
        let mut params = modern(more);
        params["taskId"] = id.clone();
        params
    };
    let got = client.asked("tasks/get", about(json!({}))).await;
    assert_eq!(
        (&got["result"]["status"], &got["result"]["resultType"]),
        (&json!("input_required"), &json!("complete"))
    );
    assert_eq!(got["result"]["inputRequests"]["reply-1"]["params"]["message"], "Go on, n?");
    // Answers to no open question are ignored.
    let answers = json!({"inputResponses": {"other": {}, "reply-1": {"action": "accept"}}});
    assert_eq!(client.asked("tasks/update", about(answers)).await["result"]["resultType"], "complete");
    let news = loop {
        let news = client.next("notifications/tasks").await;
        if news["params"]["status"] == "input_required" {
            break news;
        }
    };
    assert_eq!(news["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], listening);
    assert_eq!(news["params"]["inputRequests"]["where-2"]["method"], "roots/list");
    client.asked("tasks/update", about(json!({"inputResponses": {"where-2": {"roots": []}}}))).await;
    let last = loop {
        let news = client.next("notifications/tasks").await;
        if news["params"]["status"] == "completed" {
            break news;
        }
    };
    assert_eq!(last["params"]["result"]["content"][0]["text"], "n: accept []");

    let mut poor = modern(json!({"name": "required"}));
    poor["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let refused = client.asked("tools/call", poor.clone()).await;
    assert_eq!(
        refused["error"]["data"]["requiredCapabilities"],
        json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
    );
    poor["name"] = json!("optional");
    assert_eq!(said(&client.asked("tools/call", poor).await), ": done");
    assert_eq!(client.asked("tasks/result", about(json!({}))).await["error"]["code"], -32601);
}

#[tokio::test]
async fn how_tasks_of_the_extension_end() {
    let mut client = fixture("tasks.yaml");
    for (tool, status) in
        [("fails", "failed"), ("is_error", "completed"), ("never", "cancelled"), ("stubborn", "completed")]
    {
        let created = client.asked("tools/call", modern(json!({"name": tool}))).await;
        let about = modern(json!({"taskId": created["result"]["taskId"]}));
        if matches!(tool, "never" | "stubborn") {
            assert!(client.asked("tasks/cancel", about.clone()).await.get("result").is_some());
        }
        let ended = async {
            loop {
                let got = client.asked("tasks/get", about.clone()).await;
                if got["result"]["status"] != "working" {
                    return got;
                }
            }
        };
        let got = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("an end");
        assert_eq!(got["result"]["status"], status, "{tool}");
        assert_eq!(got["result"].get("error").is_some(), tool == "fails", "{got}");
    }
}

#[tokio::test]
async fn pages_that_must_be_visited() {
    let mut client = legacy("url-required.yaml", "2025-11-25").await;
    let call = |tool: &str, nonce: &str| json!({"name": tool, "arguments": {"nonce": nonce}});
    let refused = client.asked("tools/call", call("private", "a")).await;
    assert_eq!(refused["error"]["code"], -32042);
    assert_eq!(
        refused["error"]["data"]["elicitations"],
        json!([{"mode": "url", "url": "https://login.example/start?n=a", "message": "Please log in.", "elicitationId": "visit-a"}])
    );
    client.request("tools/call", call("announce", "a")).await;
    assert_eq!(
        client.next("notifications/elicitation/complete").await["params"],
        json!({"elicitationId": "visit-a"})
    );
    assert_eq!(said(&client.json().await), "announced");
    assert_eq!(said(&client.asked("tools/call", call("private", "a")).await), "a: welcome");
    assert_eq!(client.asked("tools/call", call("told", "b")).await["error"]["code"], -32042);
    assert_eq!(client.next("notifications/elicitation/complete").await["params"]["elicitationId"], "told-b");
    for _ in 0..2 {
        assert_eq!(client.asked("tools/call", call("never", "c")).await["error"]["code"], -32042);
    }

    let first = modern(call("private", "m"));
    let round = client.asked("tools/call", first.clone()).await;
    let question = &round["result"]["inputRequests"]["url"]["params"];
    assert_eq!((&question["mode"], question.get("elicitationId")), (&json!("url"), None));
    let mut again = first;
    again["requestState"] = round["result"]["requestState"].clone();
    again["inputResponses"] = json!({"url": {"action": "accept"}});
    assert_eq!(said(&client.asked("tools/call", again).await), "m: welcome");
}
