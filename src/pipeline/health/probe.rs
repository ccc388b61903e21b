//! The ways to check an instance that a config can ask for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{copy, sink};

use super::HealthChecker;
use crate::backend::Backend;
use crate::bridge::result::check_final;
use crate::config::{Launch, Probe, ServerConfig, StdioLaunch};
use crate::failure::{Code, Failure};
use crate::names::ServerName;
use crate::pipeline::BoxFuture;
use crate::supervisor::{Child, Ending, Exit, SpawnPlan, Supervisor};
use crate::transport::{AuthProvider, Endpoint};
use crate::wire::{Body, json};

/// What checks live on.
pub(crate) struct Means<'a> {
    /// Who starts programs.
    pub(crate) supervisor: &'a Supervisor,
    /// What shows the server's address who we are.
    pub(crate) auth: &'a dyn Fn() -> Arc<dyn AuthProvider>,
}

/// The one that an instance of this config asks for.
pub(crate) fn checker(config: &ServerConfig, means: &Means<'_>) -> Arc<dyn HealthChecker> {
    let check = config.stages.health_check.clone().unwrap_or_default();
    match (check.probe, &config.launch) {
        (Probe::Path(path), Launch::Remote(launch)) => {
            let endpoint = Endpoint::beside(launch, &path, (means.auth)());
            Arc::new(Get { endpoint, path, patience: check.timeout })
        }
        (Probe::Tool { name, arguments }, _) => {
            let params = serde_json::json!({ "name": name, "arguments": arguments }).to_string();
            Arc::new(Tool { name, params, patience: check.timeout })
        }
        (Probe::Command(launch), _) => {
            Arc::new(Program { server: config.name.clone(), launch, supervisor: means.supervisor.clone() })
        }
        // A config with a path for anything else is refused.
        (Probe::Ping | Probe::Path(_), _) => Arc::new(Ping(check.timeout)),
    }
}

/// A legacy server is sent `ping`, a modern one `server/discover`; whatever it answers, it is there.
#[derive(Debug)]
struct Ping(Duration);

impl HealthChecker for Ping {
    fn check<'a>(&'a self, instance: &'a Backend) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(instance.check(self.0))
    }
}

/// A call of one of its tools.
#[derive(Debug)]
struct Tool {
    name: String,
    params: String,
    patience: Duration,
}

impl HealthChecker for Tool {
    fn check<'a>(&'a self, instance: &'a Backend) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let (line, body) = instance.ask("tools/call", self.params.as_bytes(), self.patience).await?;
            let said = match body {
                Body::Error(span) => text(span.of(&line), "message"),
                Body::Result(span) => {
                    let result = span.of(&line);
                    let is_error = json::get(result, "isError").is_some_and(|it| it.of(result) == b"true");
                    match (is_error, check_final(result)) {
                        (false, Ok(())) => return Ok(()),
                        (false, Err(_)) => "it gave no result at once".to_owned(),
                        (true, _) => json::get(result, "content")
                            .and_then(|span| {
                                json::elements(span.of(result)).next().map(|first| first.shifted(span.start))
                            })
                            .map(|first| text(first.of(result), "text"))
                            .unwrap_or_default(),
                    }
                }
            };
            Err(failed(format!("`{}` answered with an error: {}", self.name, shorten(&said))))
        })
    }
}

/// A path at its address.
#[derive(Debug)]
struct Get {
    /// Why there is none, if it cannot be used.
    endpoint: Result<Endpoint, Failure>,
    path: String,
    patience: Duration,
}

impl HealthChecker for Get {
    fn check<'a>(&'a self, _: &'a Backend) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let endpoint = self.endpoint.as_ref().map_err(Failure::clone)?;
            let got = endpoint.get(self.patience).await;
            got.map_err(|failure| failed(format!("`{}`: {}", self.path, failure.cause)))
        })
    }
}

/// A program that is run for it.
#[derive(Debug)]
struct Program {
    server: ServerName,
    launch: StdioLaunch,
    supervisor: Supervisor,
}

impl HealthChecker for Program {
    fn check<'a>(&'a self, _: &'a Backend) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            // Dropping the process, when the time is up, kills it and what it has started.
            let child = self.supervisor.spawn(self.plan()).await?;
            let Child { stdin, mut stdout, noise: _, mut process } = child;
            drop(stdin);
            // Nobody wants to know what it says there, but it must be able to say it.
            let unheard = async {
                let _ = copy(&mut stdout, &mut sink()).await;
                std::future::pending::<Infallible>().await
            };
            let exit = tokio::select! {
                exit = process.wait() => exit,
                never = unheard => match never {},
            };
            let last = process.stderr().last_lines(1);
            process.end(Ending::NOW).await;
            match (exit, last.last()) {
                (Exit::Code(0), _) => Ok(()),
                (exit, Some(line)) if !line.trim().is_empty() => {
                    Err(failed(format!("`{}` {exit}: {}", self.launch.command, shorten(line.trim()))))
                }
                (exit, _) => Err(failed(format!("`{}` {exit}", self.launch.command))),
            }
        })
    }
}

impl Program {
    fn plan(&self) -> SpawnPlan {
        SpawnPlan {
            server: ServerName::new(format!("health_check {}", self.server)),
            generation: 1,
            command: self.launch.command.clone(),
            args: self.launch.args.clone(),
            env: vec![("SWITCHBOARD_SERVER".to_owned(), self.server.to_string())],
            inherit_env: self.launch.inherit_env.clone(),
            cwd: self.launch.cwd.clone(),
            redact: Vec::new(),
        }
    }
}

fn failed(cause: String) -> Failure {
    Failure::new(Code::HealthCheck, cause)
}

fn text(object: &[u8], member: &str) -> String {
    let text = json::get(object, member).and_then(|span| json::string(span.of(object)));
    text.map_or_else(|| "it does not say why".to_owned(), |text| text.into_owned())
}

/// A stranger's words, as long as a status should be.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
