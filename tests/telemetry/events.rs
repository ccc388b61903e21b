//! Events of a run, in its log.

use serde_json::{Value, json};

use super::{TOOLS, house};
use crate::board::Setup;

/// The lines of the log that have an event.
fn events(setup: &Setup) -> Vec<Value> {
    let folder = setup.home().join("state/logs");
    let mut lines = Vec::new();
    for file in std::fs::read_dir(folder).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("switchboard.") {
            let text = std::fs::read_to_string(file.path()).unwrap();
            lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
    }
    lines.retain(|line| line.get("event").is_some());
    lines
}

#[test]
fn what_happens_to_servers_and_calls_stands_in_the_log_by_name() {
    let script = format!("{TOOLS}  die: {{ exit: 1 }}\n");
    let setup = Setup::new()
        .script("a", &script)
        .keys("breaker: { failure_threshold: 1 }")
        .config("interceptors: [{ log: {} }]");
    let (house, peer) = house(false, "2025-11-25", setup);
    peer.tool("a__echo", json!({ "input": "hunter2" }));
    peer.tool("a__die", json!({}));
    drop(peer);
    let found = {
        let until = std::time::Instant::now() + crate::board::DEADLINE;
        loop {
            let found = events(&house.setup);
            let has = |name: &str| found.iter().any(|line| line["event"] == name);
            if [
                "server.started",
                "server.exited",
                "call.finished",
                "call.failed",
                "breaker.opened",
                "client.connected",
            ]
            .iter()
            .all(|name| has(name))
            {
                break found;
            }
            assert!(std::time::Instant::now() < until, "{found:#?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    let of = |name: &str| found.iter().find(|line| line["event"] == name).unwrap();
    assert_eq!(of("server.started")["server"], "a");
    let failed = of("call.failed");
    assert_eq!((&failed["server"], &failed["method"]), (&"a".into(), &"tools/call".into()));
    assert!(failed["code"].as_str().unwrap().starts_with("SB-"), "{failed}");
    assert_eq!(of("call.finished")["tool"], "a__echo");
    assert!(found.iter().all(|line| !line.to_string().contains("hunter2")));
    house.close();
}
