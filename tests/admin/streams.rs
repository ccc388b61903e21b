//! What goes on: events, and logs that are followed.

use serde_json::json;

use crate::client;
use crate::world::{TOKEN, World, nowhere, until};

#[test]
fn a_registration_is_an_event() {
    let world = World::with("", "");
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str())];
    let mut stream = client::open(&world.address, "GET", "/proxy/events?server_id=test-server", &headers, "");
    let (status, answered) = client::head(&mut stream);
    assert_eq!(status, 200);
    assert!(answered.contains(&("content-type".to_owned(), "text/event-stream".to_owned())));
    client::event(&mut stream, |name, _| name == "hello");
    let mut other = nowhere();
    other["name"] = "another".into();
    world.post("/proxy/servers", other);
    world.post("/proxy/servers", nowhere());
    let event = client::event(&mut stream, |name, data| {
        assert_ne!(data["server"], "another", "{name}: {data}");
        name == "server.registered"
    });
    assert_eq!((&event["server"], &event["event"]), (&json!("test-server"), &json!("server.registered")));
    world.data("DELETE", "/proxy/servers/test-server", None);
    client::event(&mut stream, |name, _| name == "server.removed");
}

#[test]
fn logs_and_their_end() {
    let world = World::new();
    world.until_state("files", "ready");
    let log = until("the server has written", || {
        let log = world.get("/proxy/logs?server_id=files&lines=1");
        (log["lines"].as_array().unwrap().len() == 1 && log["truncated"] == true).then_some(log)
    });
    assert!(log["lines"][0].as_str().unwrap().ends_with("second line"), "{log}");
    let ours = world.get("/proxy/logs?lines=1000");
    assert!(ours["path"].as_str().unwrap().contains("switchboard."));
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str())];
    let mut stream =
        client::open(&world.address, "GET", "/proxy/logs?server_id=files&lines=0&follow=true", &headers, "");
    assert_eq!(client::head(&mut stream).0, 200);
    world.data("POST", "/proxy/servers/files/restart", None);
    client::event(&mut stream, |name, data| name == "lines" && data.to_string().contains("first line"));
    assert_eq!(world.get("/proxy/logs?server_id=notes&lines=5")["lines"], json!([]));
    assert_eq!(world.refused("GET", "/proxy/logs?lines=100000", None).0, 400);
    assert_eq!(world.refused("GET", "/proxy/logs?server_id=nobody", None).0, 404);
}

#[test]
fn streams_end_with_switchboard() {
    let mut world = World::with("", "");
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str())];
    let mut stream = client::open(&world.address, "GET", "/proxy/events", &headers, "");
    client::head(&mut stream);
    client::event(&mut stream, |name, _| name == "hello");
    let begun = std::time::Instant::now();
    world.terminate();
    assert!(begun.elapsed() < std::time::Duration::from_secs(3), "{:?}", begun.elapsed());
}
