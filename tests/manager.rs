//! The manager as programs use it: servers come, change and go while Switchboard runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard::app::{Clients, Switchboard};
use switchboard::cli::client::{Answer, Client};
use switchboard::config::{self, Environment, Locations, Syntax};
use switchboard::failure::Code;
use switchboard::manager::{Actor, Event, Keep, Manager};
use switchboard::mock::{self, Face, Hooks};
use switchboard::protocol::{ListKind, Method};
use tokio::task::JoinHandle;

/// How long a test waits for what must come.
const SOON: Duration = Duration::from_secs(20);

fn me() -> Actor {
    Actor::new("test", "program")
}

/// A server at an address: the mission's `test_tool` among its tools.
async fn server() -> String {
    let script =
        "tools: { test_tool: { answer: success }, slow: { delay: 500ms, answer: slow } }\nhttp: {}\n";
    let script = mock::parse(script).unwrap();
    let server =
        mock::listen(script, &Face::Http(([127, 0, 0, 1], 0).into()), Hooks::in_memory()).await.unwrap();
    let url = server.url.clone();
    tokio::spawn(server.run());
    url
}

/// A Switchboard without a client.
fn proxy_manager(config: &str) -> (Switchboard, Arc<Manager>) {
    let loaded =
        config::load_text(config, Syntax::Yaml, Path::new("/switchboard.yaml"), &Environment::default());
    let switchboard = Switchboard::builder(loaded).clients(Clients::Many).build();
    switchboard.open_doors();
    let manager = Arc::clone(switchboard.manager());
    (switchboard, manager)
}

/// A Switchboard with one.
async fn served(config: &str) -> (Client, Arc<Manager>, JoinHandle<()>) {
    let loaded =
        config::load_text(config, Syntax::Yaml, Path::new("/switchboard.yaml"), &Environment::default());
    let switchboard = Switchboard::builder(loaded).build();
    let manager = Arc::clone(switchboard.manager());
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (input, output) = tokio::io::split(theirs);
    let serving = tokio::spawn(async move {
        let _ = switchboard.serve(input, output, std::future::pending()).await;
    });
    let mut client = Client::new(ours);
    client.introduce().await.unwrap();
    (client, manager, serving)
}

async fn call_tool(client: &mut Client, name: &str) -> String {
    let params = json!({ "name": name, "arguments": { "arg": "value" } }).to_string();
    match client.request(Method::ToolsCall, params.as_bytes(), |_, _| {}).await.unwrap() {
        Answer::Result(result) => {
            let result: Value = serde_json::from_slice(&result).unwrap();
            result["content"][0]["text"].as_str().unwrap_or_default().to_owned()
        }
        Answer::Error(error) => String::from_utf8_lossy(&error).into_owned(),
    }
}

/// Waits until the manager's view is as wanted.
async fn until(manager: &Manager, what: &str, holds: impl Fn(&Manager) -> bool) {
    let mut changes = manager.registry().changes();
    let wait = async {
        while !holds(manager) {
            changes.changed().await.unwrap();
        }
    };
    assert!(tokio::time::timeout(SOON, wait).await.is_ok(), "{what}: {:?}", manager.list());
}

fn state(manager: &Manager, server: &str) -> &'static str {
    manager.info(server).unwrap().report.state
}

// === the mission's TestProxyManager ===

#[tokio::test]
async fn test_register_server() {
    let (switchboard, manager) = proxy_manager("");
    let server_config = json!({ "url": server().await, "type": "http" });
    let server_id = manager.register(&me(), "test-server", server_config, Keep::Running).await.unwrap();
    assert_eq!(server_id.as_str(), "test-server");
    let servers = manager.list();
    assert_eq!(servers.len(), 1);
    assert_eq!(servers[0].name.as_str(), "test-server");
    assert_eq!(servers[0].keep, Keep::Running);
    switchboard.end().await;
}

#[tokio::test]
async fn test_health_check() {
    let (switchboard, manager) = proxy_manager("");
    let entry = json!({ "url": server().await });
    let server_id = manager.register(&me(), "test-server", entry, Keep::Running).await.unwrap();
    let health = manager.check(Some(server_id.as_str())).await.unwrap();
    assert!(health[0].healthy, "{health:?}");
    assert!(health[0].failure.is_none() && health[0].uptime.is_some());
    assert!(manager.info("test-server").unwrap().checked.unwrap().healthy);

    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let entry = json!({ "url": format!("http://{free}/mcp") });
    manager.register(&me(), "nobody", entry, Keep::Running).await.unwrap();
    let health = manager.check(None).await.unwrap();
    let of = |name: &str| health.iter().find(|health| health.server.as_str() == name).unwrap();
    assert!(of("test-server").healthy && !of("nobody").healthy);
    assert_eq!(of("nobody").failure.as_ref().unwrap().code, Code::NetUnreachable);
    switchboard.end().await;
}

#[tokio::test]
async fn test_tool_execution() {
    let (mut client, manager, serving) = served("").await;
    let entry = json!({ "url": server().await });
    manager.register(&me(), "test-server", entry, Keep::Running).await.unwrap();
    until(&manager, "its tools", |manager| manager.info("test-server").unwrap().report.shown.tools > 0).await;
    client.list(ListKind::Tools).await.unwrap();
    assert_eq!(call_tool(&mut client, "test-server__test_tool").await, "success");
    drop(client);
    serving.await.unwrap();
}

// === what can go wrong ===

#[tokio::test]
async fn a_wish_that_cannot_be_granted_changes_nothing_and_says_why() {
    let (switchboard, manager) =
        proxy_manager("servers: { files: { url: \"http://127.0.0.1:1/mcp\", enabled: false } }");
    let (me, url) = (me(), server().await);
    manager.register(&me, "one", json!({ "url": url }), Keep::Running).await.unwrap();
    let before = manager.list().len();

    let again = manager.register(&me, "one", json!({ "url": url }), Keep::Running).await.unwrap_err();
    assert_eq!(again.code(), Code::ManageExists);
    for fault in [
        manager.update(&me, "on", json!({ "url": url }), Keep::Running).await.unwrap_err(),
        manager.unregister(&me, "on", Keep::Running).await.unwrap_err(),
        manager.restart(&me, "on").await.unwrap_err(),
        manager.check(Some("on")).await.unwrap_err(),
        manager.info("on").unwrap_err(),
    ] {
        assert_eq!(fault.code(), Code::ManageUnknown);
        assert_eq!(fault.failure.remedy.as_deref(), Some("Did you mean `one`?"));
    }
    for (entry, word) in [
        (json!({ "comand": "x" }), "did you mean `command`?"),
        (json!({ "url": url, "timeouts": { "call": "soon" } }), "`timeouts.call`"),
        (
            json!({ "url": url, "headers": { "Authorization": "Bearer ${NO_SUCH_VARIABLE}" } }),
            "NO_SUCH_VARIABLE",
        ),
        (json!("x"), "the entry must be a mapping"),
        (json!({}), "neither `command` nor `url`"),
    ] {
        let fault = manager.register(&me, "two", entry.clone(), Keep::Running).await.unwrap_err();
        assert_eq!(fault.code(), Code::ManageInvalid, "{entry}: {fault}");
        let said = format!("{fault} {:?}", fault.problems);
        assert!(said.contains(word) && !fault.problems.is_empty(), "{entry}: {said}");
        let fault = manager.update(&me, "one", entry, Keep::Running).await.unwrap_err();
        assert_eq!(fault.code(), Code::ManageInvalid);
    }
    let fault = manager.register(&me, "", json!({ "url": url }), Keep::Running).await.unwrap_err();
    assert_eq!(fault.code(), Code::ManageInvalid, "{fault}");
    let fault = manager.restart(&me, "files").await.unwrap_err();
    assert_eq!(fault.code(), Code::ManageInvalid, "{fault}");
    // Without a config file nothing can be kept.
    let fault = manager.register(&me, "two", json!({ "url": url }), Keep::Config).await.unwrap_err();
    assert_eq!(fault.code(), Code::ManageUnwritable, "{fault}");
    assert_eq!(manager.list().len(), before);
    switchboard.end().await;
}

// === what changes ===

#[tokio::test]
async fn a_server_is_changed_switched_off_and_on_and_taken_out() {
    let (mut client, manager, serving) = served("defaults: { timeouts: { call: 7s } }").await;
    let me = me();
    let url = server().await;
    let mut events = manager.events();
    manager.register(&me, "one", json!({ "url": url }), Keep::Running).await.unwrap();
    until(&manager, "its tools", |manager| manager.info("one").unwrap().report.shown.tools == 2).await;
    let config = manager.info("one").unwrap().config.unwrap();
    assert_eq!(config.timeouts.call, Duration::from_secs(7), "defaults of the file count");

    let entry = json!({ "url": url, "tools": { "exclude": ["slow"] }, "description": "The one" });
    manager.update(&me, "one", entry, Keep::Running).await.unwrap();
    let info = manager.info("one").unwrap();
    assert_eq!((info.report.shown.tools, info.report.tallies.starts), (1, 1), "what runs goes on");
    assert_eq!(info.config.unwrap().description.as_deref(), Some("The one"));

    manager.disable(&me, "one", Keep::Running).await.unwrap();
    assert_eq!((state(&manager, "one"), manager.registry().catalog().counts().tools), ("disabled", 0));
    assert!(call_tool(&mut client, "one__test_tool").await.contains("Unknown tool"));
    manager.enable(&me, "one", Keep::Running).await.unwrap();
    until(&manager, "it is back", |manager| manager.info("one").unwrap().report.shown.tools == 1).await;
    assert_eq!(call_tool(&mut client, "one__test_tool").await, "success");

    let starts = manager.info("one").unwrap().report.tallies.starts;
    manager.restart(&me, "one").await.unwrap();
    until(&manager, "it is there again", |manager| {
        state(manager, "one") == "ready" && manager.info("one").unwrap().report.tallies.starts == starts + 1
    })
    .await;
    assert_eq!(call_tool(&mut client, "one__test_tool").await, "success");

    manager.unregister(&me, "one", Keep::Running).await.unwrap();
    assert!(manager.list().is_empty());
    assert!(call_tool(&mut client, "one__test_tool").await.contains("Unknown tool"));
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        if !matches!(event, Event::State { .. }) {
            told.push(event.name());
        }
    }
    let expected = [
        "server.registered",
        "server.changed",
        "server.disabled",
        "server.enabled",
        "server.restarted",
        "server.removed",
    ];
    assert_eq!(told, expected);
    drop(client);
    serving.await.unwrap();
}

#[tokio::test]
async fn a_call_in_flight_is_answered_by_the_server_that_is_left() {
    let (client, manager, serving) = served("").await;
    let url = server().await;
    manager.register(&me(), "one", json!({ "url": url }), Keep::Running).await.unwrap();
    until(&manager, "its tools", |manager| manager.info("one").unwrap().report.shown.tools == 2).await;
    let mut client = client;
    let calling = tokio::spawn(async move {
        let text = call_tool(&mut client, "one__slow").await;
        (client, text)
    });
    let there = async {
        while manager.registry().backends().iter().all(|backend| backend.open_calls() == 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, there).await.unwrap();
    manager.restart(&me(), "one").await.unwrap();
    manager.unregister(&me(), "one", Keep::Running).await.unwrap();
    let (client, text) = tokio::time::timeout(SOON, calling).await.unwrap().unwrap();
    assert_eq!(text, "slow");
    drop(client);
    serving.await.unwrap();
}

// === the file ===

/// A Switchboard whose config stands in a file.
fn in_file(text: &str) -> (tempfile::TempDir, Switchboard, Arc<Manager>) {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("switchboard.yaml"), text).unwrap();
    let environment = Environment::from_iter([("SWITCHBOARD_HOME", home.path().to_str().unwrap())]);
    let locations: Locations = config::locate(None, &environment);
    let loaded = config::load(&locations, &environment);
    assert!(!loaded.has_errors(), "{:?}", loaded.problems);
    let switchboard =
        Switchboard::builder(loaded).clients(Clients::Many).state(locations.state.clone()).build();
    switchboard.open_doors();
    let manager = Arc::clone(switchboard.manager());
    (home, switchboard, manager)
}

fn names(manager: &Manager) -> Vec<String> {
    manager.list().iter().map(|info| info.name.to_string()).collect()
}

#[tokio::test]
async fn what_was_registered_for_this_run_survives_a_reload_of_the_file() {
    let url = server().await;
    let (home, switchboard, manager) = in_file(&format!("servers: {{ a: {{ url: \"{url}\" }} }}"));
    let file = home.path().join("switchboard.yaml");
    manager.register(&me(), "mine", json!({ "url": url }), Keep::Running).await.unwrap();
    assert!(manager.reload(&me()).await.unwrap().is_empty());
    std::fs::write(
        &file,
        format!("servers: {{ b: {{ url: \"{url}\" }} }}\nhttp: {{ listen: 127.0.0.1:7777 }}\n"),
    )
    .unwrap();
    let changes = manager.reload(&me()).await.unwrap();
    assert_eq!((&changes.added[..], &changes.removed[..]), (&["b".into()][..], &["a".into()][..]));
    assert_eq!(changes.at_next_start, ["http"]);
    assert_eq!(names(&manager), ["b", "mine"]);
    assert_eq!(manager.info("b").unwrap().keep, Keep::Config);

    std::fs::write(&file, "servers: { b: { comand: x } }").unwrap();
    let fault = manager.reload(&me()).await.unwrap_err();
    assert_eq!(fault.code(), Code::ManageInvalid);
    let place = fault.problems[0].place.as_ref().unwrap();
    assert_eq!((place.line, place.file.as_path()), (1, file.as_path()));
    assert_eq!(names(&manager), ["b", "mine"]);
    assert_eq!(manager.registry().refused().len(), fault.problems.len());
    // Changes for this run alone go on: they stand above the last file that was good.
    manager.unregister(&me(), "b", Keep::Running).await.unwrap();
    assert_eq!(names(&manager), ["mine"]);
    switchboard.end().await;
}

#[tokio::test]
async fn every_change_is_in_the_audit_log() {
    let url = server().await;
    let (home, switchboard, manager) = in_file("telemetry: { audit: true }\nservers: {}\n");
    manager.register(&me(), "one", json!({ "url": url }), Keep::Running).await.unwrap();
    manager.register(&me(), "one", json!({ "url": url }), Keep::Running).await.unwrap_err();
    manager.restart(&me(), "one").await.unwrap();
    manager.unregister(&me(), "one", Keep::Running).await.unwrap();
    switchboard.end().await;
    let folder = home.path().join("state/audit");
    let text: String = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok())
        .collect();
    let entries: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let seen: Vec<(&str, &str)> = entries
        .iter()
        .filter_map(|entry| Some((entry["method"].as_str()?, entry["decision"].as_str()?)))
        .collect();
    let expected = [
        ("switchboard/register", "allowed"),
        ("switchboard/register", "refused"),
        ("switchboard/restart", "allowed"),
        ("switchboard/unregister", "allowed"),
    ];
    assert_eq!(seen, expected, "{text}");
    assert!(entries.iter().all(|entry| entry["client"] == "test (program)" && entry["server"] == "one"));
}

#[tokio::test]
async fn what_is_to_be_kept_is_written_into_the_file_among_its_comments() {
    let url = server().await;
    let text = format!("# Mine.\nservers:\n  a: {{ url: \"{url}\" }} # the first\n");
    let (home, switchboard, manager) = in_file(&text);
    let read = || std::fs::read_to_string(home.path().join("switchboard.yaml")).unwrap();
    let me = me();
    manager.register(&me, "b", json!({ "url": url, "categories": ["x"] }), Keep::Config).await.unwrap();
    assert!(read().starts_with(&text.trim_end()[..20]) && read().contains("# the first"), "{}", read());
    assert_eq!(names(&manager), ["a", "b"]);
    assert_eq!(manager.info("b").unwrap().keep, Keep::Config);

    manager.disable(&me, "a", Keep::Config).await.unwrap();
    assert!(read().contains("enabled: false") && read().contains("# the first"), "{}", read());
    assert_eq!(state(&manager, "a"), "disabled");
    manager.enable(&me, "a", Keep::Config).await.unwrap();
    assert_ne!(state(&manager, "a"), "disabled");

    // For this run first, for good then.
    manager.register(&me, "c", json!({ "url": url }), Keep::Running).await.unwrap();
    assert!(!read().contains("c:"), "{}", read());
    manager.disable(&me, "c", Keep::Config).await.unwrap();
    assert!(read().contains("c:"), "{}", read());
    assert_eq!((state(&manager, "c"), manager.info("c").unwrap().keep), ("disabled", Keep::Config));

    manager.update(&me, "b", json!({ "url": url, "description": "Second" }), Keep::Config).await.unwrap();
    assert!(read().contains("Second") && !read().contains("categories"), "{}", read());
    manager.unregister(&me, "c", Keep::Config).await.unwrap();
    manager.unregister(&me, "b", Keep::Config).await.unwrap();
    assert_eq!(names(&manager), ["a"]);
    // What it wrote itself is no news.
    assert!(manager.reload(&me).await.unwrap().is_empty());

    let fault = manager.register(&me, "d", json!({ "comand": "x" }), Keep::Config).await.unwrap_err();
    assert_eq!(fault.code(), Code::ManageInvalid);
    assert!(!read().contains("comand"), "{}", read());
    // A file that somebody has broken is left alone.
    let broken = format!("{}oops: [", read());
    std::fs::write(home.path().join("switchboard.yaml"), &broken).unwrap();
    let fault = manager.register(&me, "d", json!({ "url": url }), Keep::Config).await.unwrap_err();
    assert_eq!(fault.code(), Code::ConfigSyntax, "{fault}");
    assert_eq!(read(), broken);
    assert_eq!(names(&manager), ["a"]);
    switchboard.end().await;
}
