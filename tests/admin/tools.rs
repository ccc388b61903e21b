//! Tools: listed, looked for, called; and the numbers that come of it.

use serde_json::{Value, json};

use crate::world::{TOKEN, World, prepare, until};

fn names(tools: &Value) -> Vec<&str> {
    tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

fn ready() -> World {
    let world = World::new();
    until("all tools are there", || (world.get("/proxy/tools").as_array().unwrap().len() == 6).then_some(()));
    world
}

#[test]
fn the_list_and_its_filters() {
    let world = ready();
    let list = |query: &str| world.get(&format!("/proxy/tools{query}"));
    assert_eq!(names(&list("?server_id=files")), ["files__both", "files__slow"]);
    assert_eq!(names(&list("?category=disk")), ["files__both", "files__slow"]);
    assert_eq!(names(&list("?search=WRITES+a")), ["notes__add"]);
    assert_eq!(names(&list("?search=both&category=text")), ["notes__both"]);
    let add = &list("?search=add")[0];
    assert_eq!((&add["server_id"], &add["original_name"]), (&json!("notes"), &json!("add")));
    assert_eq!((&add["categories"], &add["input_schema"]["type"]), (&json!(["text"]), &json!("object")));
    assert_eq!(world.refused("GET", "/proxy/tools?server_id=nobody", None).1, "PROXY_SERVER_NOT_FOUND");
}

#[test]
fn a_call_by_either_name_and_how_it_may_end() {
    let world = ready();
    let called = world.post("/proxy/tools/notes__add", json!({ "arguments": { "text": "hi" } }));
    assert_eq!(called["result"], json!({ "content": [{ "type": "text", "text": "noted hi" }] }));
    assert_eq!((&called["server_id"], &called["status"]), (&json!("notes"), &json!("success")));
    let text = |called: Value| called["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(text(world.post("/proxy/tools/both", json!({ "server_id": "files" }))), "from files");
    assert_eq!(text(world.post("/proxy/tools/notes__both", json!({ "server_id": "notes" }))), "from notes");
    assert_eq!(world.data("POST", "/proxy/tools/fail", None)["status"], "error");
    for (tool, body, status, code) in [
        ("both", json!({}), 404, "PROXY_TOOL_NOT_FOUND"),
        ("nothing", json!({}), 404, "PROXY_TOOL_NOT_FOUND"),
        ("notes__add", json!({ "server_id": "files" }), 404, "PROXY_TOOL_NOT_FOUND"),
        ("add", json!({ "server_id": "nobody" }), 404, "PROXY_SERVER_NOT_FOUND"),
        ("add", json!({ "arguments": [] }), 422, "PROXY_INVALID_REQUEST"),
        ("add", json!({ "argument": {} }), 422, "PROXY_INVALID_REQUEST"),
        ("refuse", json!({}), 422, "PROXY_TOOL_EXECUTION_FAILED"),
        ("slow", json!({}), 504, "PROXY_TOOL_EXECUTION_FAILED"),
    ] {
        let refused = world.refused("POST", &format!("/proxy/tools/{tool}"), Some(body));
        assert_eq!((refused.0, refused.1.as_str()), (status, code), "{tool}: {refused:?}");
    }
    assert!(world.refused("POST", "/proxy/tools/notes__ad", None).2.contains("did you mean notes__add"));
}

#[test]
#[cfg(feature = "policy")]
fn policies_know_the_caller_as_admin() {
    let world = World::with(
        "  notes: { command: BIN, args: [mock, HERE/notes.mock.yaml] }",
        "\npolicy: { file: policy.cedar }",
    );
    std::fs::write(
        world.path("policy.cedar"),
        "permit(principal == Client::\"admin\", action, resource == Tool::\"notes__both\");",
    )
    .unwrap();
    until("the policies are in force", || {
        let answer = world.ask("POST", "/proxy/tools/notes__both", None);
        (answer.status == 200).then_some(())
    });
    let refused = world.refused("POST", "/proxy/tools/notes__add", None);
    assert_eq!((refused.0, refused.1.as_str()), (403, "PROXY_TOOL_EXECUTION_FAILED"));
}

#[test]
fn numbers_of_a_period() {
    let world = ready();
    for _ in 0..3 {
        world.post("/proxy/tools/notes__both", json!({}));
    }
    // The second time the cache answers.
    for _ in 0..2 {
        world.post("/proxy/tools/notes__add", json!({ "arguments": { "text": "x" } }));
    }
    world.post("/proxy/tools/fail", json!({}));
    world.refused("POST", "/proxy/tools/slow", None);
    for period in ["1h", "24h", "7d", "30d"] {
        let stats = world.get(&format!("/proxy/stats?period={period}"));
        assert_eq!((&stats["period"], &stats["complete"]), (&json!(period), &json!(false)));
        assert_eq!(numbers(&stats["requests"]), [7, 5, 2], "{stats:#}");
        assert_eq!(numbers(&stats["attempts"]), [6, 5, 1], "{stats:#}");
        assert!(stats["requests"]["avg_response_time"].as_f64().unwrap() > 0.0);
        assert_eq!(stats["tools"], json!({ "total": 6, "by_category": { "disk": 2, "text": 4 } }));
        assert_eq!((&stats["servers"]["total"], &stats["servers"]["disabled"]), (&json!(4), &json!(1)));
    }
    let refused = world.refused("GET", "/proxy/stats?period=1y", None);
    assert!(refused.0 == 400 && refused.2.contains("1h, 24h, 7d, 30d"), "{refused:?}");
    // The metrics say the same.
    let metrics = world.ask("GET", "/metrics", None);
    assert!(metrics.status == 200 && metrics.body.contains("# TYPE"), "{}", metrics.body);
    assert_eq!(sum(&metrics.body, "switchboard_calls_total{"), 7.0);
    assert_eq!(sum(&metrics.body, "switchboard_tool_calls_total{"), 7.0);
    assert_eq!(sum(&metrics.body, "switchboard_attempts_total{"), 6.0);
    let tools = world.get("/proxy/tools?search=both&server_id=notes");
    assert_eq!((&tools[0]["calls"]["total"], &tools[0]["calls"]["failed"]), (&json!(3), &json!(0)));
    let calls = &tools[0]["calls"];
    assert!(calls["p50"].as_f64().unwrap() <= calls["p95"].as_f64().unwrap(), "{calls}");
}

/// How many there were, and how they ended.
fn numbers(counted: &Value) -> [u64; 3] {
    ["total", "successful", "failed"].map(|member| counted[member].as_u64().unwrap())
}

/// The sum of a metric over all its labels.
fn sum(metrics: &str, prefix: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.starts_with(prefix));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn a_call_that_is_sent_again_is_one_request() {
    let folder = prepare(
        "  a: { command: BIN, args: [mock, HERE/a.mock.yaml], retry: { max_attempts: 3, base_delay: 1ms }, effects: { flaky: read } }",
        &format!("admin: {{ listen: \"127.0.0.1:0\", token: {TOKEN} }}"),
    );
    let script = "tools: { flaky: { calls: [ { result: 5, times: 2 } ], answer: at last } }";
    crate::world::write(folder.path(), "a.mock.yaml", script);
    let world = World::start(folder);
    until("its tool is there", || (world.get("/proxy/tools").as_array().unwrap().len() == 1).then_some(()));
    assert_eq!(world.post("/proxy/tools/flaky", json!({}))["result"]["content"][0]["text"], "at last");
    let stats = world.get("/proxy/stats");
    assert_eq!(numbers(&stats["requests"]), [1, 1, 0], "{stats:#}");
    assert_eq!(numbers(&stats["attempts"]), [3, 1, 2], "{stats:#}");
}

#[test]
fn what_is_not_counted_is_no_number() {
    let world = World::with(crate::world::SERVERS, "\ntelemetry: { metrics: false }");
    until("all tools are there", || (world.get("/proxy/tools").as_array().unwrap().len() == 6).then_some(()));
    world.post("/proxy/tools/notes__both", json!({}));
    let stats = world.get("/proxy/stats");
    assert_eq!((&stats["requests"], numbers(&stats["attempts"])), (&Value::Null, [1, 1, 0]));
    assert_eq!(world.get("/proxy/tools")[0]["calls"], Value::Null);
}
