//! The interface under a fuzzer: schemathesis makes requests of the document, right ones and wrong ones, and compares what comes
//! back with it.

use std::process::Command;

use serde_json::{Value, json};

use crate::real;
use crate::world::{TOKEN, World};

/// All checks are made. A stream has no end: its first event is looked at. That whatever fits the schema is accepted is not asked of entries of
/// servers, since no schema knows which of them make sense, nor of calls: what becomes of them is for the server behind us to say.
const SETTINGS: &str = r#"
max-stream-events = 1

[[operations]]
include-operation-id = ["followEvents", "showLogs"]
request-timeout = 2

[[operations]]
include-operation-id = ["registerServer", "updateServer"]
checks = { positive_data_acceptance = { enabled = false } }

[[operations]]
include-operation-id = "callTool"
checks.positive_data_acceptance.enabled = false
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "502", "503", "504"]
"#;
/// What a search finds.
const FOUND: &str = r#"{ "mcpServers": { "found": { "command": "true" }, "odd": { "command": 5 } } }"#;

/// The document, with what the fuzzer has to know of a stream: that of OpenAPI 3.1 describes it as a whole, and so as a text.
fn with_events(mut document: Value) -> Value {
    let event = json!({
        "type": "object", "required": ["event", "data"],
        "properties": { "event": { "enum": ["hello", "lines"] }, "data": { "type": "string" } },
    });
    for path in ["/proxy/events", "/proxy/logs"] {
        document["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]["itemSchema"] =
            event.clone();
    }
    document
}

#[test]
fn no_request_breaks_it_and_every_answer_is_as_described() {
    if real::skipped() {
        return;
    }
    let python = real::python("schemathesis");
    // Whatever is registered is given up soon, and checks of it with it.
    let world = World::with(crate::world::SERVERS, "\ndefaults: { timeouts: { start: 1s } }");
    world.until_state("notes", "ready");
    let document = world.path("openapi.json");
    std::fs::write(&document, with_events(crate::document::document()).to_string()).unwrap();
    for (name, text) in [
        ("schemathesis.toml", SETTINGS),
        ("fuzz_hooks.py", include_str!("fuzz_hooks.py")),
        ("found.json", FOUND),
    ] {
        std::fs::write(world.path(name), text).unwrap();
    }
    let mut fuzzer = Command::new(python);
    fuzzer.env("SCHEMATHESIS_HOOKS", "fuzz_hooks").env("PYTHONDONTWRITEBYTECODE", "1");
    fuzzer.args(["-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"]).arg(&document);
    fuzzer.args([
        "--url",
        &format!("http://{}", world.address),
        "--header",
        &format!("Authorization: Bearer {TOKEN}"),
    ]);
    fuzzer.args(["--max-examples", "15", "--max-time", "45", "--seed", "4711", "--request-timeout", "30"]);
    fuzzer.args(["--continue-on-failure", "--no-color", "--warnings", "off"]);
    let output = fuzzer.current_dir(world.folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Tested: 28"), "{said}");
    // It has gone on serving meanwhile, whatever is left of its servers.
    assert_eq!(world.get("/proxy/status")["pid"], world.pid());
    assert_eq!(world.refused("POST", "/proxy/servers", Some(json!({}))).0, 422);
}
