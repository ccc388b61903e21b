//! The stages that look at arguments and results, before servers that nobody here wrote: their own schemas take what they take, and
//! what they answer comes in part and can be read.

use serde_json::{Value, json};

use crate::servers;
use crate::side::REVISION;
use crate::support::raw::Client;
use crate::support::real;
use crate::through;
use crate::world::World;

/// A Switchboard before this server, with these stages.
fn before(world: &World, server: &str) -> Client {
    let server = servers::named(world, server);
    let mut entry = server.entry(world);
    entry["validate"] = json!({ "input": "closed", "output": "strict", "coerce": true });
    entry["limits"] = json!({ "result": "4KiB" });
    let server = server.at(entry, false);
    through::connect(world, &[server], REVISION)
}

fn call(client: &Client, tool: &str, arguments: Value) -> Value {
    client.call("tools/call", json!({ "name": tool, "arguments": arguments }))["result"].clone()
}

fn text(result: &Value) -> String {
    result["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn everything_is_checked_by_its_own_schemas() {
    if real::skipped() {
        return;
    }
    let world = World::new();
    let client = before(&world, "everything");
    assert!(text(&call(&client, "everything__get-sum", json!({ "a": "2", "b": 3 }))).contains('5'));
    let wrong = text(&call(&client, "everything__get-sum", json!({ "a": "two", "c": 1 })));
    for expected in [
        "SB-VALID-001",
        "`arguments.a` must be a number",
        "`arguments.b` is missing",
        "`arguments.c` is unknown",
    ] {
        assert!(wrong.contains(expected), "{expected} not in {wrong}");
    }
    let weather = call(&client, "everything__get-structured-content", json!({ "location": "Chicago" }));
    assert!(weather["structuredContent"].is_object() && weather["isError"] != true, "{weather}");
    let image = call(&client, "everything__get-tiny-image", json!({}));
    assert!(image["isError"] != true && image.to_string().len() < 5000, "{image}");
}

#[test]
fn a_large_file_comes_in_part() {
    if real::skipped() {
        return;
    }
    let world = World::new();
    let client = before(&world, "filesystem");
    let whole: String = (0..5000).map(|n| format!("row {n}\n")).collect();
    let path = world.path("files").join("many-rows.txt");
    std::fs::write(&path, &whole).unwrap();
    let result = call(&client, "filesystem__read_text_file", json!({ "path": path, "tail": "2" }));
    assert!(text(&result).contains("row 4999"), "{result}");
    let result = call(&client, "filesystem__read_text_file", json!({ "path": path }));
    assert!(result.to_string().len() < 5000 && result["isError"] != true, "{result}");
    let shown = text(&result);
    let content = result["content"].as_array().cloned().unwrap_or_default();
    let uri = content
        .iter()
        .find_map(|block| block["uri"].as_str())
        .unwrap_or_else(|| panic!("{result}"))
        .to_owned();
    assert!(whole.starts_with(shown.trim_end_matches('…')), "{shown}");
    let read = client.call("resources/read", json!({ "uri": format!("{uri}?lines=4000-4001") }));
    assert_eq!(read["result"]["contents"][0]["text"], "row 3999\nrow 4000\n", "{read}");
}
