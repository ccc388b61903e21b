//! Switchboard in a program of your own, which puts a server in while it runs, looks at it, and takes it out again.
//!
//! ```text
//! cargo run --example manager
//! ```
//!
//! [`Manager`](switchboard::manager::Manager) is what the REST interface and discovery use too. An entry is what would stand under
//! the server's name in the config file; with [`Keep::Config`] it is written there.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::Path;

use serde_json::json;
use switchboard::app::{Clients, Switchboard};
use switchboard::config::{self, Environment, Syntax};
use switchboard::manager::{Actor, Keep};
use switchboard::mock::{self, Face, Hooks};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let script = mock::parse("tools: { greet: \"Hello {{name}}\" }\nhttp: {}\n")?;
    let server = mock::listen(script, &Face::Http(([127, 0, 0, 1], 0).into()), Hooks::in_memory()).await?;
    let url = server.url.clone();
    tokio::spawn(server.run());

    // No server yet: all of them come while it runs.
    let loaded = config::load_text("", Syntax::Yaml, Path::new("/switchboard.yaml"), &Environment::default());
    let switchboard = Switchboard::builder(loaded).clients(Clients::Many).build();
    switchboard.open_doors();
    let manager = switchboard.manager();
    let mut events = manager.events();
    let me = Actor::new("example", "program");

    manager.register(&me, "greeter", json!({ "url": url, "categories": ["demo"] }), Keep::Running).await?;
    for health in manager.check(None).await? {
        println!("{} is {}", health.server, if health.healthy { "healthy" } else { "not healthy" });
    }
    for info in manager.list() {
        println!("{}: {} ({} tools)", info.name, info.report.state, info.report.shown.tools);
    }
    let mistake = manager.register(&me, "broken", json!({ "comand": "x" }), Keep::Running).await;
    println!("{}", mistake.err().map(|fault| fault.to_string()).unwrap_or_default());

    manager.restart(&me, "greeter").await?;
    manager.unregister(&me, "greeter", Keep::Running).await?;
    println!("{} servers are left", manager.list().len());
    while let Ok(event) = events.try_recv() {
        println!("event: {}", event.to_json());
    }
    switchboard.end().await;
    Ok(())
}
