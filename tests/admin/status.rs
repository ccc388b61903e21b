//! `switchboard status`: one instance, several, none, and the changes of one.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use serde_json::Value;

use crate::world::{SERVERS, World, command, prepare, until};

/// The code, what is printed, and what is said beside it.
fn status(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output = command(folder, &[&["status"], args].concat()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// A Switchboard on pipes, as AI clients run it, that nobody talks to.
fn on_pipes(folder: &Path) -> (Child, ChildStdin) {
    let mut child = command(folder, &["serve"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let socket = folder.join(format!("state/run/{}.sock", child.id()));
    until("its socket is there", || socket.exists().then_some(()));
    let stdin = child.stdin.take().unwrap();
    (child, stdin)
}

#[test]
fn nothing_runs() {
    let folder = prepare(SERVERS, "");
    let (code, out, err) = status(folder.path(), &[]);
    assert_eq!((code, out.as_str()), (5, ""));
    assert!(err.contains("no Switchboard runs") && err.contains("switchboard serve"), "{err}");
}

#[test]
fn how_servers_are() {
    let world = World::new();
    world.until_state("notes", "ready");
    world.until_state("files", "ready");
    world.until_state("broken", "failed");
    let (code, out, _) = status(world.folder.path(), &[]);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("2 of 3 servers usable · 6 tools"), "{out}");
    let row = |name: &str| out.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("notes").contains("healthy") && row("notes").contains("4 tools"), "{out}");
    assert!(row("broken").contains("unhealthy") && row("broken").contains("since 20"), "{out}");
    assert!(out.contains("does not exist (SB-SPAWN-001)") && out.contains("install the program"), "{out}");
    assert!(row("off").contains("disabled"), "{out}");
    let (code, out, _) = status(world.folder.path(), &["notes"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("ready for") && out.contains("process ") && !out.contains("broken"), "{out}");
    let (code, _, err) = status(world.folder.path(), &["note"]);
    assert!(code == 5 && err.contains("notes"), "{err}");
    let (code, out, _) = status(world.folder.path(), &["--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["instances"][0]["servers"][0]["server"].as_str()), (3, Some("notes")));
    assert_eq!(json["instances"][0]["servers"][2]["failure"]["code"], "SB-SPAWN-001");
}

#[test]
fn two_instances_and_what_a_dead_one_left() {
    let folder = prepare("  notes: { command: BIN, args: [mock, HERE/notes.mock.yaml] }", "");
    let (mut first, first_stdin) = on_pipes(folder.path());
    let (mut second, second_stdin) = on_pipes(folder.path());
    let (code, out, err) = status(folder.path(), &[]);
    assert_eq!(code, 0, "{out}{err}");
    let heads = |out: &str| out.lines().filter(|line| line.starts_with("Switchboard ")).count();
    assert_eq!(heads(&out), 2, "{out}");
    let (_, out, _) = status(folder.path(), &["--pid", &second.id().to_string()]);
    assert!(heads(&out) == 1 && out.contains(&format!("pid {}", second.id())), "{out}");
    assert_eq!(status(folder.path(), &["--pid", "1"]).0, 5);

    first.kill().unwrap();
    first.wait().unwrap();
    let left = folder.path().join(format!("state/run/{}.sock", first.id()));
    assert!(left.exists(), "a killed process cannot clean up");
    let (_, out, _) = status(folder.path(), &[]);
    assert!(heads(&out) == 1 && !left.exists(), "{out}");

    drop(second_stdin);
    until("it ends", || second.try_wait().unwrap());
    assert_eq!(std::fs::read_dir(folder.path().join("state/run")).unwrap().count(), 0);
    assert_eq!(status(folder.path(), &[]).0, 5);
    drop(first_stdin);
}

#[test]
fn changes_are_told_one_by_one() {
    let mut world = World::new();
    world.until_state("notes", "ready");
    let mut watching = command(world.folder.path(), &["status", "--watch"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next = |what: &str, fits: &dyn Fn(&str) -> bool| {
        lines.by_ref().map_while(Result::ok).find(|line| fits(line)).unwrap_or_else(|| panic!("{what}"))
    };
    next("why one is not well", &|line| line.contains("broken  unhealthy") && line.contains("SB-SPAWN-001"));
    next("what is there", &|line| line.contains("notes  healthy  ready  4 tools"));
    world.data("POST", "/proxy/servers/notes/disable", None);
    next("that it is off", &|line| line.contains("notes  disabled"));
    world.data("DELETE", "/proxy/servers/files", None);
    next("that it is gone", &|line| line.contains("files  gone"));
    world.terminate();
    next("that the others are gone", &|line| line.contains("notes  gone"));
    assert_eq!(watching.wait().unwrap().code(), Some(5));
}
