//! The configs of other programs, as they lie in a home.

use serde_json::json;

use crate::{Machine, names, server, text};

#[test]
fn the_configs_of_other_programs_are_read_by_name_and_by_path() {
    let machine = Machine::with_config("servers:\n  mine: { command: npx, args: [-y, same] }\n");
    machine.write(
        ".cursor/mcp.json",
        r#"{ "mcpServers": { "same": { "command": "npx", "args": ["-y", "same"] }, "gate": { "command": "switchboard", "args": ["serve"] },
            "web": { "url": "https://web.example/mcp", "headers": { "Authorization": "Bearer hunter2hunter2" } } } }"#,
    );
    machine.write(
        ".claude.json",
        r#"{ "mcpServers": { "web": { "type": "http", "url": "https://web.example/mcp" }, "notes": { "command": "notes", "args": ["--token", "hunter2"] } } }"#,
    );
    machine.write("mcp-servers.json", r#"{ "servers": { "local": { "command": "local" } } }"#);
    let found = machine.discover(&[
        "--file",
        "cursor",
        "--file",
        "claude-code",
        "--file",
        "./mcp-servers.json",
        "--file",
        "codex",
    ]);
    assert_eq!(names(&found), ["local", "mine", "notes", "web"], "{found:#}");
    assert_eq!(server(&found, "mine")["known_as"], "mine");
    let web = server(&found, "web");
    assert_eq!(web["also_in"].as_array().unwrap().len(), 1, "found in both, told once: {found:#}");
    assert_eq!(web["entry"]["headers"], json!({ "Authorization": "***" }));
    assert!(!found.to_string().contains("hunter2"), "{found:#}");
    assert_eq!(found["failed"], json!([]), "a program that is not there is no failure");
    let page = text(&machine.run(&["--files"]).stdout);
    assert!(
        !page.contains("hunter2")
            && page.contains("(claude-code ")
            && page.contains("1 in the config already"),
        "{page}"
    );
}

#[test]
fn nothing_that_is_found_is_run() {
    let machine = Machine::new();
    let trace = machine.path("was-run");
    let entry =
        json!({ "mcpServers": { "trap": { "command": "touch", "args": [trace.to_str().unwrap()] } } });
    machine.write(".cursor/mcp.json", &entry.to_string());
    let found = machine.discover(&["--files"]);
    assert_eq!(names(&found), ["trap"]);
    assert_eq!(server(&found, "trap")["asked"], false);
    assert!(!trace.exists());
}
