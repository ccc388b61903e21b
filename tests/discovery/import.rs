//! `switchboard import`: other programs' servers, in our config.

use serde_json::json;

use crate::{Machine, text};

/// The configs of two programs and a file.
fn machine() -> Machine {
    let machine = Machine::with_config("# Mine.\nservers:\n  one: { command: one } # the first\n");
    machine.write(
        ".cursor/mcp.json",
        r#"{ "mcpServers": { "one": { "command": "one" }, "files": { "command": "npx", "args": ["-y", "files"], "env": { "KEY": "hunter2-hunter2" } }, "waits": { "command": "w", "args": ["${env:NOT_SET}"] } } }"#,
    );
    machine.write(".codex/config.toml", "[mcp_servers.docs]\nurl = \"https://docs.example/mcp\"\n");
    machine.write("team.json", r#"{ "mcpServers": { "team": { "command": "team" } } }"#);
    machine
}

#[test]
fn everything_that_is_new_is_taken_and_the_config_keeps_its_comments() {
    let machine = machine();
    let before = machine.read(".cursor/mcp.json");
    let output = machine.command("import", &[]);
    let page = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{page} {}", text(&output.stderr));
    for said in
        ["added: files", "added: waits", "added: docs", "in the config already: one", "3 new servers in "]
    {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(!page.contains("hunter2") && !page.contains("team"), "{page}");
    let config = machine.read("switchboard.yaml");
    assert!(config.starts_with("# Mine.\nservers:\n  one: { command: one } # the first\n"), "{config}");
    for said in ["hunter2-hunter2", "https://docs.example/mcp", "${env:NOT_SET}"] {
        assert!(config.contains(said), "{said}: {config}");
    }
    assert_eq!(machine.read(".cursor/mcp.json"), before, "a program's own file is only read");
    // Again, and nothing is new.
    let again = machine.command("import", &["cursor"]);
    assert!(text(&again.stdout).contains("nothing new was found"), "{}", text(&again.stdout));
    assert_eq!(machine.read("switchboard.yaml"), config);
}

#[test]
fn a_dry_run_and_a_choice() {
    let machine = machine();
    let before = machine.read("switchboard.yaml");
    let page = text(&machine.command("import", &["cursor", "--dry-run"]).stdout);
    assert!(page.contains("would be added: files") && page.contains("NOT_SET"), "{page}");
    assert!(!page.contains("hunter2"), "{page}");
    assert_eq!(machine.read("switchboard.yaml"), before);
    let output = machine.command("import", &["cursor", "--only", "files", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!((&found["added"], &found["known"]), (&json!(["files"]), &json!([])), "{found:#}");
    let output = machine.command("import", &["./team.json"]);
    assert!(text(&output.stdout).contains("added: team"), "{}", text(&output.stdout));
    assert!(!machine.read("switchboard.yaml").contains("docs.example"));
}

#[test]
fn mistakes_are_told_and_change_nothing() {
    let machine = machine();
    let before = machine.read("switchboard.yaml");
    machine.write("broken.json", "{ \"mcpServers\": ");
    for (arguments, code, said) in [
        (&["curser"][..], 5, "did you mean `cursor`"),
        (&["no/such.json"], 5, "no file"),
        (&["cursor", "--only", "fles"], 5, "did you mean `files`"),
        (&["./broken.json"], 1, "not usable"),
        (&["zed"], 5, "nothing new was found"),
    ] {
        let output = machine.command("import", arguments);
        let page = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {page}");
        assert!(page.contains(said), "{arguments:?}: {page}");
    }
    assert_eq!(machine.read("switchboard.yaml"), before);
}
