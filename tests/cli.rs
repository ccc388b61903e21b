//! The command line, as people and scripts use it: the program itself, in a folder of its own, with mock servers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what stands around the tests is a test, too")]

#[path = "cli/add.rs"]
mod add;
#[path = "cli/auth.rs"]
mod auth;
#[path = "cli/call.rs"]
mod call;
#[path = "cli/check.rs"]
mod check;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/examples.rs"]
mod examples;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/home.rs"]
mod home;
#[path = "cli/lists.rs"]
mod lists;
#[path = "cli/logs.rs"]
mod logs;
#[path = "cli/profiles.rs"]
mod profiles;
#[path = "cli/trust.rs"]
mod trust;

use home::Home;

/// Two good servers and one that cannot be started.
const CONFIG: &str = "
servers:
  notes: { command: BIN, args: [mock, HERE/notes.mock.yaml] }
  tools: { command: BIN, args: [mock, HERE/tools.mock.yaml], timeouts: { call: 300ms }, tools: { exclude: [secret*], rename: { old: new } } }
";

const NOTES: &str = "
tools:
  add: { description: \"Writes a note.\\nAnd more.\", answer: \"noted {{text}}\" }
  both: from notes
prompts:
  tidy: { description: Sorts., answer: hello }
resources:
  note://all: { name: All, description: Every note., text: none }
templates:
  note://page/{n}: { name: One page, text: none }
record_process: HERE/starts
";

const TOOLS: &str = "
tools:
  echo:
    input_schema: { type: object, properties: { n: { type: number }, s: { type: string } } }
    extra: { _meta: { price: 1.10 } }
    answer: \"{{args}}\"
  both: from tools
  old: renamed
  fail: { is_error: true, answer: it broke }
  refuse: { error: { code: -32602, message: not like that } }
  slow: { delay: 60s, answer: late }
  secret_one: hidden
  picture: { answer: [ \"Look:\", { type: image, data: AAAA, mimeType: image/png } ] }
";

/// A home with the two good servers.
fn two_servers() -> Home {
    with_more("")
}

/// The same with more entries in its config.
fn with_more(entries: &str) -> Home {
    let home = Home::with(&format!("{CONFIG}{entries}"));
    home.script("notes", NOTES);
    home.script("tools", TOOLS);
    home
}

/// A server whose command is not there.
const GONE: &str = "  gone: { command: no-such-program-anywhere }\n";

#[test]
fn without_a_config_every_command_says_where_it_belongs() {
    let home = Home::empty();
    for args in [&["tools"][..], &["check"], &["call", "x"], &["explain", "x"]] {
        home.run(args).code(78).warns("no config file").warns("switchboard demo");
    }
    home.write("switchboard.yaml", "servers: [");
    home.run(&["tools"]).code(78).warns("SB-CFG-001");
}

#[test]
fn wrong_arguments_are_a_usage_error() {
    let home = Home::empty();
    for args in [&["no-such-command"][..], &["call"], &["serve", "--http", "x"], &["completions", "klingon"]]
    {
        home.run(args).code(2);
    }
    home.run(&["--help"]).code(0).says("demo");
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Home::empty().run(&["completions", shell]).code(0).says("switchboard").says("check");
        assert!(!ran.out.contains("__reap"), "hidden commands are not completed in {shell}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let home = two_servers();
    for command in
        ["tools", "tools --json", "check", "explain SB-CFG-001", "completions bash", "--help", "demo"]
    {
        let script = format!("({} {command}; echo rc=$? >&2) | head -c 1", env!("CARGO_BIN_EXE_switchboard"));
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script]).env("SWITCHBOARD_HOME", home.path(""));
        let ran = home.finish(&mut shell).code(0);
        assert!(ran.err.contains("rc=0"), "{command}: {ran:#?}");
    }
}
