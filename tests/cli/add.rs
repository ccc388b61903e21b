//! `add` and `remove`.

use crate::home::Home;
use crate::{NOTES, two_servers};

/// The program that the tests use as a server.
const BIN: &str = env!("CARGO_BIN_EXE_switchboard");

#[test]
fn the_first_server_creates_the_config_and_is_looked_at() {
    let home = Home::empty();
    home.script("notes", NOTES);
    let script = home.path("notes.mock.yaml");
    let script = script.to_str().unwrap();
    let ran = home.run(&["add", "notes", "--env", "LEVEL=info", "--", BIN, "mock", script]).code(0);
    ran.warns("switchboard.json, which is new").says("notes       ✓").says("2 tools");
    let expected = format!(
        "{{\n  \"mcpServers\": {{\n    \"notes\": {{\n      \"command\": \"{BIN}\",\n      \"args\": [\"mock\", \"{script}\"],\n      \
         \"env\": {{\n        \"LEVEL\": \"info\"\n      }}\n    }}\n  }}\n}}\n"
    );
    assert_eq!(home.read("switchboard.json"), expected);
    home.run(&["tools"]).code(0).says("notes__add");
    home.run(&["remove", "notes"]).code(0).warns("removed `notes`").warns("switchboard.json.bak");
    assert_eq!(home.read("switchboard.json"), "{\n  \"mcpServers\": {}\n}\n");
    assert_eq!(home.read("switchboard.json.bak"), expected);
}

#[test]
fn comments_and_layout_stay() {
    let text = "# mine\nservers:\n  a:   # the first\n    command: x\n\n# end\nexpose: { max_name: 40 }\n";
    let home = Home::with(text);
    home.run(&["add", "b", "--no-check", "--url", "https://b.example/mcp", "-H", "X-Team: ${TEAM}"]).code(0);
    let added = "  b:\n    url: https://b.example/mcp\n    headers:\n      X-Team: \"${TEAM}\"\n";
    assert_eq!(home.read("switchboard.yaml"), text.replace("x\n", &format!("x\n{added}")));
    home.run(&["remove", "b"]).code(0);
    assert_eq!(home.read("switchboard.yaml"), text);
}

#[test]
fn a_server_that_is_not_well_is_added_and_said_so() {
    let home = Home::empty();
    let ran = home.run(&["add", "gone", "--", "no-such-program-anywhere"]).code(3);
    ran.warns("added `gone`").says("SB-SPAWN-001");
    assert!(home.read("switchboard.json").contains("no-such-program-anywhere"));
}

#[test]
fn a_name_that_is_taken_needs_a_word() {
    let home = Home::with("servers:\n  a:\n    command: x # why\n    cwd: .\n");
    let ran = home.run(&["add", "a", "--no-check", "--", "y"]).code(1).warns("has a server `a` already");
    let ran = ran.warns("error[SB-MANAGE-001]");
    ran.warns("--replace");
    home.run(&["add", "a", "--no-check", "--replace", "--json", "{\"command\": \"z\"}"])
        .code(0)
        .warns("replaced `a`");
    assert_eq!(home.read("switchboard.yaml"), "servers:\n  a:\n    command: z # why\n");
}

#[test]
fn an_entry_that_is_wrong_is_not_written() {
    let text = "servers:\n  a: { command: x }\n";
    let home = Home::with(text);
    let ran = home.run(&["add", "b", "--json", "{\"comand\": \"y\"}"]).code(78);
    ran.warns("did you mean `command`?").warns("switchboard.yaml:4").warns("Nothing was written");
    home.run(&["add", "b", "--json", "[]"]).code(2);
    home.run(&["add", "b"]).code(2);
    assert_eq!(home.read("switchboard.yaml"), text);
    assert_eq!(home.read("switchboard.yaml.bak"), "");
    let broken = Home::with("servers: [");
    broken.run(&["add", "b", "--no-check", "--", "x"]).code(78);
    assert_eq!(broken.read("switchboard.yaml"), "servers: [");
}

#[test]
fn what_works_differently_from_what_one_may_expect_is_told() {
    let home = Home::with("servers:\n  a: { command: x }\n");
    home.run(&["add", "A", "--no-check", "--", "x"]).code(0).warns("belongs to an earlier server");
    let ran = home.run(&["add", "c", "--no-check", "--", "x"]).code(0);
    assert!(!ran.err.contains("belongs to an earlier server"), "it is no news: {ran:#?}");
}

#[test]
fn another_wrong_entry_is_no_obstacle() {
    let home = Home::with("servers:\n  typo: { comand: x }\n");
    home.run(&["add", "b", "--no-check", "--", "x"]).code(0);
    home.run(&["remove", "typo"]).code(0);
    assert_eq!(home.read("switchboard.yaml"), "servers:\n  b:\n    command: x\n");
}

#[test]
fn secrets_on_the_command_line_get_a_hint() {
    let home = Home::empty();
    let ran = home.run(&["add", "a", "--no-check", "-e", "API_KEY=sk-0123456789abcdef", "--", "x"]).code(0);
    let ran = ran.warns("--env 'API_KEY=${API_KEY}'");
    assert!(!ran.err.contains("sk-0123456789abcdef"), "{ran:#?}");
    let ran = home.run(&["add", "b", "--no-check", "-e", "API_KEY=${KEY}", "--", "x"]).code(0);
    assert!(!ran.err.contains("hint"), "{ran:#?}");
}

#[test]
fn all_that_are_named_are_removed_or_none() {
    let home = two_servers();
    let before = home.read("switchboard.yaml");
    home.run(&["remove", "notes", "tols"])
        .code(5)
        .warns("error[SB-MANAGE-002]")
        .warns("no server `tols`")
        .warns("did you mean `tools`?");
    assert_eq!(home.read("switchboard.yaml"), before);
    home.run(&["remove", "notes", "tools"]).code(0).warns("removed `notes`, `tools`");
    home.run(&["remove", "notes"]).code(5);
    home.run(&["remove"]).code(2);
}

#[test]
fn what_cannot_be_edited_is_shown() {
    let text = "servers:\n  a: &a { command: x }\n  b: *a\n";
    let home = Home::with(text);
    home.run(&["remove", "a"])
        .code(1)
        .warns("error[SB-EDIT-001]")
        .warns("cannot be changed safely")
        .warns("by hand");
    home.run(&["add", "a", "--replace", "--no-check", "--", "z"]).code(1).warns("command: z");
    assert_eq!(home.read("switchboard.yaml"), text);
}
