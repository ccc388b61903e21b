//! An interceptor of your own, in Rust: it limits how often a tool is called, validates arguments, logs, and repairs what a tool answers.
//!
//! ```text
//! cargo run --example custom_interceptor
//! ```
//!
//! An [`Interceptor`] has a method for each moment: `before` a call, `after` it, and on an `error`. What it does not need it leaves
//! out. The [`Rules`] say when it is asked and what happens if it fails; the same rules stand under `interceptors:` in the config
//! for programs, addresses and servers that do the same (`examples/interceptors/guard.py`).

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use switchboard::app::Switchboard;
use switchboard::cli::client::{Answer, Client};
use switchboard::config::{self, Environment, Glob, Syntax};
use switchboard::interceptor::{BoxFuture, CallError, CallView, Error, Interceptor, Phase, Rules, Verdict};
use switchboard::mock::{self, Face, Hooks};
use switchboard::protocol::{ListKind, Method};

/// Lets so many calls pass, and none without a `path` below `/home/me`.
#[derive(Debug)]
struct Guard {
    calls_left: AtomicU32,
}

impl Interceptor for Guard {
    fn before<'a>(&'a self, call: &'a CallView) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(async move {
            // The rate limit.
            let left = self
                .calls_left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if left.is_err() {
                return Ok(Verdict::Deny("that was one call too many".to_owned()));
            }
            // The validation. An error here (`?`) is no verdict: then the rules decide.
            let arguments: serde_json::Value = serde_json::from_slice(&call.arguments)?;
            if !arguments["path"]
                .as_str()
                .is_some_and(|path| path.starts_with("/home/me/") && !path.contains(".."))
            {
                return Ok(Verdict::Deny("`path` must be below /home/me".to_owned()));
            }
            // The log.
            println!("calling {} of {} with {arguments}", call.original, call.server);
            Ok(Verdict::Pass)
        })
    }

    fn after<'a>(&'a self, call: &'a CallView, result: &'a Bytes) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(async move {
            println!("{} answered with {} bytes", call.original, result.len());
            let mut result: serde_json::Value = serde_json::from_slice(result)?;
            result["content"][0]["annotations"] = serde_json::json!({ "audience": ["user"] });
            Ok(Verdict::Change(serde_json::to_vec(&result)?.into()))
        })
    }

    fn error<'a>(
        &'a self,
        call: &'a CallView,
        error: &'a CallError,
    ) -> BoxFuture<'a, Result<Verdict, Error>> {
        println!("{} got no result: {error}", call.original);
        Box::pin(std::future::ready(Ok(Verdict::Pass)))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let script = mock::parse("tools: { read: { answer: \"The file {{path}}.\" } }\nhttp: {}\n")?;
    let server = mock::listen(script, &Face::Http(([127, 0, 0, 1], 0).into()), Hooks::in_memory()).await?;
    let text = format!("servers: {{ files: {{ url: {:?} }} }}", server.url);
    tokio::spawn(server.run());
    let loaded =
        config::load_text(&text, Syntax::Yaml, Path::new("/switchboard.yaml"), &Environment::default());

    let rules = Rules {
        on: vec![Phase::Before, Phase::After, Phase::Error],
        matches: vec![Glob::new("files__*")],
        ..Rules::named("guard")
    };
    let guard = Arc::new(Guard { calls_left: AtomicU32::new(2) });
    let switchboard = Switchboard::builder(loaded).interceptor(rules, guard).build();

    // A client on the other end of a pipe. In a program of yours these are stdin and stdout.
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (input, output) = tokio::io::split(theirs);
    let serving = tokio::spawn(switchboard.serve(input, output, std::future::pending()));
    let mut client = Client::new(ours);
    client.introduce().await?;
    client.list(ListKind::Tools).await?;
    for path in ["/home/me/notes.txt", "/etc/passwd", "/home/me/more.txt"] {
        let call = serde_json::json!({ "name": "files__read", "arguments": { "path": path } }).to_string();
        match client.request(Method::ToolsCall, call.as_bytes(), |_, _| {}).await? {
            Answer::Result(result) => println!("result: {}", String::from_utf8_lossy(&result)),
            Answer::Error(error) => return Err(String::from_utf8_lossy(&error).into()),
        }
    }
    drop(client);
    serving.await?;
    Ok(())
}
