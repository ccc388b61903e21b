//! `call`.

use std::time::{Duration, Instant};

use crate::home::{until, wait};
use crate::{GONE, two_servers, with_more};

#[test]
fn arguments_follow_the_tools_schema() {
    let home = two_servers();
    let ran = home.run(&["call", "tools__echo", "n=1.10", "s=1", "x=2", r#"y:={"a":[1e2]}"#]).code(0);
    assert_eq!(ran.out, "{\"n\":1.10,\"s\":\"1\",\"x\":\"2\",\"y\":{\"a\":[1e2]}}\n");
    home.run(&["call", "tools__echo", "--args", r#"{"big": 12345678901234567890123}"#])
        .code(0)
        .says("12345678901234567890123");
    home.write("text.txt", "from a file");
    let pair = format!("s=@{}", home.path("text.txt").display());
    home.run(&["call", "tools__echo", &pair]).code(0).says("from a file");
}

#[test]
fn arguments_that_cannot_be_meant_are_a_usage_error() {
    let home = two_servers();
    home.run(&["call", "tools__echo", "n=ten"]).code(2).warns("`n` must be of type number");
    home.run(&["call", "tools__echo", "n"]).code(2).warns("key=value");
    home.run(&["call", "tools__echo", "--args", "[]"]).code(2).warns("JSON object");
    home.run(&["call", "tools__echo", "--args", "{}", "s=1"]).code(2);
}

#[test]
fn tools_are_found_by_every_name_that_is_clear() {
    let home = two_servers();
    home.run(&["call", "notes__add", "text=x"]).code(0).says("noted x");
    home.run(&["call", "add", "text=x"]).code(0).says("noted x");
    home.run(&["call", "tools.echo"]).code(0);
    home.run(&["call", "tools__new"]).code(0).says("renamed");
    home.run(&["call", "both"]).code(5).warns("notes__both or tools__both");
    home.run(&["call", "notes__ad"]).code(5).warns("did you mean `notes__add`");
    home.run(&["call", "tools__secret_one"]).code(5);
    home.run(&["call", "switchboard__status"]).code(0).says("2 of 2 servers usable");
}

#[test]
fn answers_are_printed_plainly_or_raw() {
    let home = two_servers();
    home.run(&["call", "picture"]).code(0).says("Look:\n[image image/png 3 bytes]\n");
    let json = home.run(&["call", "picture", "--json"]).code(0).json();
    assert_eq!(json["content"][1]["data"], "AAAA");
}

#[test]
fn failures_have_their_codes() {
    let home = with_more(GONE);
    home.run(&["call", "tools__fail"]).code(1).says("it broke");
    home.run(&["call", "tools__refuse"]).code(1).warns("not like that");
    let refused = home.run(&["call", "tools__refuse", "--json"]).code(1).json();
    assert_eq!(refused["error"]["code"], -32602);
    home.run(&["call", "tools__slow"]).code(6).warns("SB-CALL-001");
    home.run(&["call", "gone__anything"]).code(6).warns("SB-SPAWN-001");
    home.run(&["call", "nothing_like_it_at_all"]).code(5).warns("nothing is known of gone");
}

/// A stuck call must not keep anybody from leaving, and its server is ended with it.
#[cfg(unix)]
#[test]
fn control_c_ends_a_call() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let home = crate::Home::with("servers: { a: { command: BIN, args: [mock, HERE/a.mock.yaml] } }");
    home.script("a", "tools: { stuck: { stderr: here, hang: true } }\nrecord: HERE/lines\n");
    let mut child = home.command(&["call", "a__stuck"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    until("the call", || home.read("lines").contains("tools/call"));
    let asked = Instant::now();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(wait(&mut child), 130);
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}
