//! What can be written for oneself: `CustomTransport`, `CustomAuthProvider`, `CustomHealthChecker`; and the guide's `MockMCPServer`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::json;
use switchboard::backend::Backend;
use switchboard::failure::{Code, Failure};
use switchboard::mock::{self, Face, Hooks, Listening};
use switchboard::pipeline::HealthChecker;
use switchboard::transport::{AuthProvider, BoxFuture, Challenge};
use tokio::time::sleep;

use super::world::{Act, Mock, World, to};

/// `connect`, `get_tools`, `call_tool`.
#[tokio::test(start_paused = true)]
async fn custom_transport_connects_lists_tools_and_calls_them() {
    let mock = Mock::new(&["look"], |call| Act::Say(format!("at {}", call.arguments["at"])));
    let world = World::of(&mock, "").await;
    let list = world.request("tools/list", json!({})).await;
    assert_eq!(list["result"]["tools"][0]["name"], "a__look", "{list}");
    assert_eq!(world.call("a__look", json!({ "at": 3 })).await, "at 3");
}

async fn listen(script: &str) -> Listening {
    let face = Face::Http(([127, 0, 0, 1], 0).into());
    mock::listen(mock::parse(script).unwrap(), &face, Hooks::in_memory()).await.unwrap()
}

/// `MockMCPServer`: a tool with a schema, started and stopped by a test.
#[tokio::test]
async fn mock_mcp_server_starts_answers_and_stops() {
    let script = "tools: { mock_tool: { inputSchema: { type: object, properties: { input: { type: string } }, required: [input] }, answer: \"Mock result: {{input}}\" } }\nhttp: {}\n";
    let server = listen(script).await;
    let config = format!("servers: {{ a: {{ url: {:?} }} }}", server.url);
    let running = tokio::spawn(server.run());
    let world = World::open(&config, |builder| builder).await;
    assert_eq!(world.call("a__mock_tool", json!({ "input": "x" })).await, "Mock result: x");
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let failed = world.result("a__mock_tool", json!({ "input": "x" })).await;
    assert_eq!(failed["isError"], true, "{failed}");
}

/// `get_auth_headers`; `authenticate` is what happens when they are refused.
#[derive(Debug, Default)]
struct CustomAuthProvider {
    is_fresh: AtomicBool,
}

impl AuthProvider for CustomAuthProvider {
    fn authorize<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<(HeaderName, HeaderValue)>, Failure>> {
        let token = if self.is_fresh.load(Ordering::Relaxed) { "Bearer new" } else { "Bearer old" };
        let header = (http::header::AUTHORIZATION, HeaderValue::from_static(token));
        Box::pin(std::future::ready(Ok(vec![header])))
    }

    fn challenged<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<(), Failure>> {
        let was_fresh = self.is_fresh.swap(true, Ordering::Relaxed);
        let refused = || Err(Failure::new(Code::AuthRefused, format!("HTTP {}", challenge.status)));
        Box::pin(std::future::ready(if was_fresh { refused() } else { Ok(()) }))
    }
}

#[tokio::test]
async fn custom_auth_provider_gives_the_headers_and_is_told_when_they_are_refused() {
    let server = listen("tools: { look: { answer: seen } }\nhttp: { bearer: new }\n").await;
    let config = format!("servers: {{ a: {{ url: {:?} }} }}", server.url);
    tokio::spawn(server.run());
    let provider = Arc::new(CustomAuthProvider::default());
    let world = World::open(&config, |builder| builder.auth("a", provider)).await;
    assert_eq!(world.call("a__look", json!({})).await, "seen");
}

/// `check_health`; its details are what a failure says.
#[derive(Debug, Default)]
struct CustomHealthChecker {
    is_well: AtomicBool,
}

impl HealthChecker for CustomHealthChecker {
    fn check<'a>(&'a self, instance: &'a Backend) -> BoxFuture<'a, Result<(), Failure>> {
        let checked = match self.is_well.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(Failure::new(Code::HealthCheck, format!("{} answered 503", instance.name()))),
        };
        Box::pin(std::future::ready(checked))
    }
}

#[tokio::test(start_paused = true)]
async fn custom_health_checker_decides_what_is_healthy() {
    let mock = Mock::new(&["look"], |_| Act::Say("seen".to_owned()));
    let checker = Arc::new(CustomHealthChecker::default());
    let health = "health_check: { interval: 30s, timeout: 5s, max_failures: 3 }";
    let config = format!("servers: {{ a: {{ command: none, start: eager, {health} }} }}");
    let own = Arc::clone(&checker);
    let world =
        World::open(&config, |builder| builder.transport("a", to(&mock)).health_check("a", own)).await;
    let status = async || world.call("switchboard__status", json!({ "server": "a" })).await;
    sleep(Duration::from_secs(60)).await;
    assert!(!status().await.contains("unhealthy"), "{}", status().await);
    sleep(Duration::from_secs(60)).await;
    let ill = status().await;
    assert!(ill.contains("unhealthy") && ill.contains("a answered 503"), "{ill}");
    checker.is_well.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(60)).await;
    assert!(!status().await.contains("unhealthy"), "{}", status().await);
}
