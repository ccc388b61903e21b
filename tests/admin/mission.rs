//! The mission's own integration tests (`TestProxyIntegration`), by their names.

use serde_json::json;

use crate::world::{World, nowhere};

#[test]
fn test_register_server_api() {
    let world = World::with("", "");
    let data = world.post("/proxy/servers", nowhere());
    assert_eq!(data, json!({ "server_id": "test-server" }));
    let servers = world.get("/proxy/servers");
    assert_eq!((servers.as_array().unwrap().len(), &servers[0]["name"]), (1, &json!("test-server")));
}

#[test]
fn test_health_check_api() {
    let world = World::new();
    world.until_state("notes", "ready");
    let health = world.get("/proxy/health");
    assert_eq!(health["notes"]["healthy"], true);
    assert!(health["notes"]["uptime"].is_number() && health["notes"]["response_time"].is_number());
    assert_eq!(
        (&health["broken"]["healthy"], &health["broken"]["status"]),
        (&json!(false), &json!("unhealthy"))
    );
    assert!(health["broken"]["error"].as_str().unwrap().contains("does not exist"));
    assert_eq!(health["off"]["status"], "unknown");
    let one = world.get("/proxy/health?server_id=notes");
    assert_eq!(one.as_object().unwrap().len(), 1);
    let checked = world.post("/proxy/health", json!({ "server_id": "notes" }));
    assert_eq!((&checked["checked_servers"], &checked["healthy_servers"]), (&json!(1), &json!(1)));
    let all = world.data("POST", "/proxy/health", None);
    assert_eq!((&all["healthy_servers"], &all["unhealthy_servers"]), (&json!(2), &json!(1)));
    assert_eq!(
        world.refused("POST", "/proxy/health", Some(json!({ "server_id": "x" }))).1,
        "PROXY_SERVER_NOT_FOUND"
    );
}

#[test]
fn test_discovery_api() {
    let world = World::new();
    world.until_state("notes", "ready");
    let found = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = found.local_addr().unwrap().port();
    // A port where somebody listens and says nothing, and a config with a server.
    std::fs::write(
        world.path("mcp-servers.json"),
        r#"{"mcpServers":{"shell":{"command":"sh","args":["-c","x"],"env":{"KEY":"hunter2"}}}}"#,
    )
    .unwrap();
    let path = world.path("mcp-servers.json").display().to_string();
    let data = world.post(
        "/proxy/discovery",
        json!({ "network_discovery": true, "base_urls": ["http://127.0.0.1"], "ports": [silent], "config_paths": [path], "timeout": 0.3 }),
    );
    assert_eq!((&data["discovered_count"], &data["auto_registered"]), (&json!(1), &json!(0)));
    assert!(!data.to_string().contains("hunter2"));
    let listed = world.get("/proxy/discovery/servers?status=discovered");
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["transport"]), (1, &json!("stdio")));
    let stats = world.get("/proxy/stats");
    assert_eq!(stats["discovery"]["discovered_count"], 1);
    assert!(stats["discovery"]["last_run"].is_string());
    assert!(world.data("DELETE", "/proxy/discovery/servers", None)["cleared_count"].as_u64().unwrap() >= 1);
    assert_eq!(world.get("/proxy/discovery/servers"), json!([]));
    let refused = world.refused("POST", "/proxy/discovery", Some(json!({ "ports": [0] })));
    assert_eq!((refused.0, refused.1.as_str()), (422, "PROXY_DISCOVERY_FAILED"));
}
