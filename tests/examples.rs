//! The examples do what they show.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs an example and gives what it prints. Where only this test was built, the example is built first.
fn run(name: &str) -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_switchboard")).with_file_name("examples").join(name);
    if !program.exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", name])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success(), "{name} cannot be built");
    }
    let output = Command::new(program).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_transport_of_ones_own() {
    let printed = run("custom_transport");
    assert!(printed.contains(r#""name":"clock__strike""#), "{printed}");
    assert!(printed.contains("The clock struck 3."), "{printed}");
}

#[test]
fn credentials_of_ones_own() {
    let printed = run("custom_auth");
    assert_eq!(printed.matches("`sh` is run for a token").count(), 2, "{printed}");
    assert!(printed.contains("The file notes.txt."), "{printed}");
    assert!(!printed.contains("token-of"), "{printed}");
}

#[test]
fn servers_that_come_and_go() {
    let printed = run("manager");
    assert!(printed.contains("greeter is healthy"), "{printed}");
    assert!(printed.contains("did you mean `command`?"), "{printed}");
    assert!(printed.contains("0 servers are left"), "{printed}");
    for event in ["server.registered", "server.state", "server.restarted", "server.removed"] {
        assert!(printed.contains(event), "{event}: {printed}");
    }
}

#[test]
fn an_interceptor_of_ones_own() {
    let printed = run("custom_interceptor");
    assert!(printed.contains(r#"calling read of files with {"path":"/home/me/notes.txt"}"#), "{printed}");
    assert!(printed.contains("The file /home/me/notes.txt."), "{printed}");
    assert!(printed.contains(r#""annotations":{"audience":["user"]}"#), "{printed}");
    assert!(
        printed.contains("`path` must be below /home/me") && !printed.contains("with {\"path\":\"/etc"),
        "{printed}"
    );
    assert!(printed.contains("one call too many") && printed.contains("read got no result"), "{printed}");
}

#[test]
fn a_health_check_of_ones_own() {
    let printed = run("custom_health");
    assert!(printed.contains("work has 12 things to do"), "{printed}");
    assert!(printed.contains("2 health checks in a row have failed: 12 things wait"), "{printed}");
}
