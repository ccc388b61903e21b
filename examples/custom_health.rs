//! A health check of your own, in Rust: a server is well as long as its queue is short.
//!
//! ```text
//! cargo run --example custom_health
//! ```
//!
//! `health_check` in the server's entry says how often and how long a [`HealthChecker`] is asked, and how many failures in a row count.
//! Without Rust there are `health_check: { tool: NAME }`, `{ path: /health }` and `{ command: [./probe.sh] }`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use switchboard::app::Switchboard;
use switchboard::backend::Backend;
use switchboard::cli::client::{Answer, Client};
use switchboard::config::{self, Environment, Syntax};
use switchboard::failure::{Code, Failure};
use switchboard::mock::{self, Face, Hooks};
use switchboard::pipeline::{BoxFuture, HealthChecker};
use switchboard::protocol::{ListKind, Method};
use switchboard::wire::Body;

/// Asks a server how much it has to do.
#[derive(Debug)]
struct ShortQueue {
    longest: u64,
}

impl HealthChecker for ShortQueue {
    fn check<'a>(&'a self, instance: &'a Backend) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let params = br#"{"name":"queue"}"#;
            let (line, body) = instance.ask("tools/call", params, Duration::from_secs(1)).await?;
            let (Body::Result(span) | Body::Error(span)) = body;
            let answer: serde_json::Value = serde_json::from_slice(span.of(&line)).unwrap_or_default();
            let length = answer["structuredContent"]["length"].as_u64().unwrap_or(u64::MAX);
            println!("{} has {length} things to do", instance.name());
            if length <= self.longest {
                return Ok(());
            }
            Err(Failure::new(Code::HealthCheck, format!("{length} things wait")).of(instance.name()))
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let script = mock::parse("tools: { queue: { structured: { length: 12 } } }\nhttp: {}\n")?;
    let server = mock::listen(script, &Face::Http(([127, 0, 0, 1], 0).into()), Hooks::in_memory()).await?;
    let check = "health_check: { interval: 50ms, max_failures: 2 }";
    let text = format!("servers: {{ work: {{ url: {:?}, start: eager, {check} }} }}", server.url);
    tokio::spawn(server.run());
    let loaded =
        config::load_text(&text, Syntax::Yaml, Path::new("/switchboard.yaml"), &Environment::default());
    let checker = Arc::new(ShortQueue { longest: 10 });
    let switchboard = Switchboard::builder(loaded).health_check("work", checker).build();

    // A client on the other end of a pipe. In a program of yours these are stdin and stdout.
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (input, output) = tokio::io::split(theirs);
    let serving = tokio::spawn(switchboard.serve(input, output, std::future::pending()));
    let mut client = Client::new(ours);
    client.introduce().await?;
    client.list(ListKind::Tools).await?;
    loop {
        let call = br#"{"name":"switchboard__status","arguments":{"server":"work"}}"#;
        let Answer::Result(status) = client.request(Method::ToolsCall, call, |_, _| {}).await? else { break };
        let status = String::from_utf8_lossy(&status).into_owned();
        if status.contains("unhealthy") {
            println!("{status}");
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(client);
    serving.await?;
    Ok(())
}
