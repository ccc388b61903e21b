//! Health checks of one's own: a tool, a path, a program.

use std::time::{Duration, Instant};

use serde_json::json;

use super::mock::Mock;
use super::{answered, each};
use crate::board::{DEADLINE, Setup};
use crate::peer::{House, Peer};

const EVERY: &str = "interval: 50ms, timeout: 10s, max_failures: 2";

#[track_caller]
pub(super) fn await_status(peer: &Peer, fits: impl Fn(&str) -> bool) -> String {
    let until = Instant::now() + DEADLINE;
    loop {
        let status = peer.status("a");
        if fits(&status) {
            return status;
        }
        assert!(Instant::now() < until, "{status}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_tool_that_answers_with_an_error_makes_its_server_unhealthy() {
    let script = "tools: { echo: { answer: \"{{input}}\" }, probe: { is_error: true, answer: \"the {{what}} is gone\" } }";
    let keys = format!("health_check: {{ {EVERY}, tool: probe, arguments: {{ what: disk }} }}");
    each(script, &keys, |_, peer| {
        let status = await_status(peer, |status| status.contains("unhealthy"));
        assert!(status.contains("SB-HEALTH-001") && status.contains("the disk is gone"), "{status}");
        answered(&peer.tool("a__echo", json!({ "input": "x" })), "x");
    });
}

#[test]
fn a_path_is_asked_for_with_the_headers_of_the_server() {
    let script = |status: u16| {
        format!(
            "tools: {{ echo: {{ answer: \"{{{{input}}}}\" }} }}\nhttp:\n  paths: {{ /health: {{ status: {status}, body: {{}} }} }}\n"
        )
    };
    let mut mock = Mock::http(&script(200));
    let keys = format!(
        "headers: {{ Authorization: Bearer open-sesame }}, health_check: {{ {EVERY}, path: /health }}"
    );
    let house = House::stdio(Setup::new().entry("a", &format!("{{ url: {:?}, {keys} }}", mock.url)));
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "a__echo");
    let checks = |seen: &[super::mock::Seen]| seen.iter().filter(|one| one.path == "/health").count();
    let seen = mock.wait_for("three checks", |seen| checks(seen) >= 3);
    let check = seen.iter().find(|seen| seen.path == "/health").unwrap();
    assert_eq!((&*check.method, check.header("authorization")), ("GET", "Bearer open-sesame"));
    assert!(!peer.status("a").contains("unhealthy"), "{}", peer.status("a"));
    mock.stop();
    mock.start_again(Some(&script(503)));
    let until = Instant::now() + DEADLINE;
    loop {
        // A call reaches the server that was started again; until then there is nothing to check.
        peer.tool("a__echo", json!({ "input": "x" }));
        let status = peer.status("a");
        if status.contains("unhealthy") {
            assert!(status.contains("/health") && status.contains("503"), "{status}");
            break;
        }
        assert!(Instant::now() < until, "{status}");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(peer);
    house.close();
}

#[test]
fn a_program_says_whether_its_server_is_well_and_wakes_nobody() {
    let script = "tools: { echo: { answer: \"{{input}}\" } }";
    let keys =
        format!("timeouts: {{ idle_stop: 600ms }}, health_check: {{ {EVERY}, command: [./probe.sh] }}");
    let setup = Setup::new().script("a", script).keys(&keys);
    let probe = "#!/bin/sh\necho x >> probes\nif test -e ill; then echo \"$SWITCHBOARD_SERVER has a cold\" >&2; exit 3; fi\n";
    let path = setup.home().join("probe.sh");
    std::fs::write(&path, probe).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ill = setup.home().join("ill");
    let house = House::stdio(setup);
    let peer = house.peer("2025-11-25");
    peer.list_with("tools/list", "a__echo");
    std::fs::write(&ill, "").unwrap();
    let until = Instant::now() + DEADLINE;
    let status = loop {
        answered(&peer.tool("a__echo", json!({ "input": "x" })), "x");
        let status = peer.status("a");
        if status.contains("unhealthy") {
            break status;
        }
        assert!(Instant::now() < until, "{status}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.contains("exited with code 3") && status.contains("a has a cold"), "{status}");
    std::fs::remove_file(&ill).unwrap();
    let until = Instant::now() + DEADLINE;
    while peer.status("a").contains("unhealthy") {
        answered(&peer.tool("a__echo", json!({ "input": "x" })), "x");
        assert!(Instant::now() < until, "{}", peer.status("a"));
        std::thread::sleep(Duration::from_millis(50));
    }
    await_status(&peer, |status| status.contains("a: idle"));
    let probes = || std::fs::read_to_string(house.setup.home().join("probes")).unwrap().len();
    // One may have been under way when the server went to sleep.
    std::thread::sleep(Duration::from_millis(300));
    let before = probes();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(probes(), before);
    drop(peer);
    house.close();
}
