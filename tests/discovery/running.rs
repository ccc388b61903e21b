//! The search of a running Switchboard.

use crate::board::Setup;
use crate::mock::Mock;
use crate::port;

fn config(ports: &[&str], rule: &str) -> String {
    format!(
        "discovery: {{ network: {{ base_urls: [http://localhost], ports: [{}] }}, auto_register: {rule} }}",
        ports.join(", ")
    )
}

#[test]
fn what_a_rule_takes_is_served_and_nothing_else() {
    let wanted = Mock::http("server: { name: wanted }\ntools: { read_file: ok }\n");
    let other = Mock::http("server: { name: other }\ntools: { purge: ok }\n");
    let rule = "{ match: ['http://localhost:*'], tools: ['read_*'] }";
    let mut board = Setup::new()
        .entry("mine", "{ command: nothing-of-the-kind }")
        .config(&config(&[port(&wanted.url), port(&other.url)], rule))
        .start();
    board.initialize("2025-11-25");
    let list = board.until("tools/list", "", |list| list.raw.contains("wanted__read_file"));
    assert!(!list.raw.contains("purge"), "{}", list.raw);
    assert_eq!(board.tool("wanted__read_file", "{}").text(), "ok");
    board.close();
}

#[test]
fn without_a_rule_nothing_is_served_and_the_handshake_does_not_wait() {
    let mock = Mock::http("server: { name: found }\ntools: { echo: ok }\n");
    let silent = crate::strangers::Stranger::silent();
    let mut board = Setup::new().config(&config(&[&silent.port, port(&mock.url)], "false")).start();
    board.initialize_in_a_hurry();
    mock.wait_for("the search", |requests| requests.iter().any(|seen| seen.method == "DELETE"));
    assert!(!board.call("tools/list", "").raw.contains("echo"));
    board.close();
}

#[test]
fn a_command_in_a_file_is_served_only_by_a_rule_that_names_it() {
    let switchboard = env!("CARGO_BIN_EXE_switchboard");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    // Under another name: our own entry in a client's config is passed over.
    std::os::unix::fs::symlink(switchboard, folder.path().join("mocker")).unwrap();
    std::fs::write(folder.path().join("mock.yaml"), "tools: { echo: ok }\n").unwrap();
    let entry = serde_json::json!({ "servers": { "filed": { "command": path("mocker"), "args": ["mock", path("mock.yaml")] } } });
    std::fs::write(folder.path().join("mcp-servers.json"), entry.to_string()).unwrap();
    let marker = Mock::http("server: { name: marker }\ntools: { mark: ok }\n");
    let ports = [port(&marker.url).parse::<u16>().unwrap()];
    let serve = |pattern: &str| {
        let config = serde_json::json!({
            "network": { "base_urls": ["http://localhost"], "ports": ports },
            "files": [path("mcp-servers.json")],
            "auto_register": { "match": [pattern] },
            "interval": "200ms",
        });
        let mut board = Setup::new().config(&format!("discovery: {config}")).start();
        board.initialize("2025-11-25");
        board
    };
    let mut board = serve(&format!("{} mock *", path("mocker")));
    board.until("tools/list", "", |list| list.raw.contains("filed__echo"));
    board.close();
    let before = marker.messages("initialize").len();
    let mut board = serve("*");
    board.until("tools/list", "", |list| list.raw.contains("marker__mark"));
    // The second search began after the first had registered everything; the marker itself is greeted once more as a server.
    marker.wait_for("two searches", |requests| {
        requests.iter().filter(|seen| seen.calls("initialize")).count() >= before + 3
    });
    assert!(!board.tool("switchboard__status", "{}").text().contains("filed"));
    board.close();
}

#[test]
fn a_search_begins_when_the_config_asks_for_one() {
    let mock = Mock::http("server: { name: found }\ntools: { echo: ok }\n");
    let setup = Setup::new().entry("mine", "{ command: nothing-of-the-kind }");
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    assert!(!board.call("tools/list", "").raw.contains("found__echo"));
    let path = setup.home().join("config.yaml");
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{before}{}\n", config(&[port(&mock.url)], "true"))).unwrap();
    board.until("tools/list", "", |list| list.raw.contains("found__echo"));
    board.close();
}
