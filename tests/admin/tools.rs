//! Tools: listed, looked for, called; and the numbers that come of it.

use serde_json::{Value, json};

use crate::world::{World, until};

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
    world.refused("POST", "/proxy/tools/slow", None);
    for period in ["1h", "24h", "7d", "30d"] {
        let stats = world.get(&format!("/proxy/stats?period={period}"));
        assert_eq!((&stats["period"], &stats["complete"]), (&json!(period), &json!(false)));
        let requests = &stats["requests"];
        assert_eq!(
            [&requests["total"], &requests["successful"], &requests["failed"]],
            [&json!(4), &json!(3), &json!(1)]
        );
        assert!(requests["avg_response_time"].as_f64().unwrap() > 0.0);
        assert_eq!(stats["tools"], json!({ "total": 6, "by_category": { "disk": 2, "text": 4 } }));
        assert_eq!((&stats["servers"]["total"], &stats["servers"]["disabled"]), (&json!(4), &json!(1)));
    }
    let refused = world.refused("GET", "/proxy/stats?period=1y", None);
    assert!(refused.0 == 400 && refused.2.contains("1h, 24h, 7d, 30d"), "{refused:?}");
    let metrics = world.ask("GET", "/metrics", None);
    assert!(metrics.status == 200 && metrics.body.contains("# TYPE"), "{}", metrics.body);
}
