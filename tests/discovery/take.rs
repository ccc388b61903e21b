//! Taking what was found.

use crate::mock::Mock;
use crate::{Machine, port, text};

#[test]
fn a_server_is_taken_by_its_name_and_the_rest_of_the_config_stays() {
    let mock = Mock::http("server: { name: files }\ntools: { read: ok }\n");
    let machine = Machine::with_config("# My servers.\nservers:\n  one: { command: one } # the first\n");
    let at = ["--port", port(&mock.url)];
    let page = text(&machine.run(&at).stdout);
    assert!(page.contains(&format!("switchboard discover --port {} --add files", port(&mock.url))), "{page}");
    let output = machine.run(&[&at[..], &["--add", "files"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let config = machine.read("switchboard.yaml");
    assert!(config.starts_with("# My servers.\nservers:\n  one: { command: one } # the first\n"), "{config}");
    assert!(config.contains(&format!("http://localhost:{}/mcp", port(&mock.url))), "{config}");
    let found = machine.discover(&at);
    assert_eq!(found["servers"][0]["known_as"], "files");
    // Again, and it is known.
    let again = machine.run(&[&at[..], &["--add", "files"]].concat());
    assert!(text(&again.stderr).contains("in the config already"), "{}", text(&again.stderr));
    assert_eq!(machine.read("switchboard.yaml"), config);
}

#[test]
fn all_are_taken_but_those_with_a_problem_and_a_config_is_made_if_there_is_none() {
    let mock = Mock::http("server: { name: files }\ntools: { read: ok }\n");
    let machine = Machine::new();
    machine.write(".cursor/mcp.json", r#"{ "mcpServers": { "a": { "command": "a" }, "b": { "command": "b", "env": { "K": "${env:NOT_SET}" } } } }"#);
    let found = machine.discover(&["--port", port(&mock.url), "--file", "cursor", "--add-all"]);
    assert_eq!(found["added"], serde_json::json!(["files", "a"]), "{found:#}");
    let config = machine.read("switchboard.json");
    assert!(
        config.contains("\"files\"") && config.contains("\"a\"") && !config.contains("NOT_SET"),
        "{config}"
    );
}

#[test]
fn a_name_that_was_not_found_changes_nothing() {
    let mock = Mock::http("server: { name: files }\ntools: { read: ok }\n");
    let machine = Machine::with_config("servers: {}\n");
    let output = machine.run(&["--port", port(&mock.url), "--add", "files", "fles"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stderr).contains("did you mean `files`"), "{}", text(&output.stderr));
    assert_eq!(machine.read("switchboard.yaml"), "servers: {}\n");
}
