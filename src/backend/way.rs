//! How a server is reached: as a child of ours, or over a transport to somewhere else.

use std::sync::Arc;

use crate::config::{Launch, ServerConfig, StdioLaunch};
use crate::failure::{Code, Failure};
use crate::supervisor::{Child, Ending, NoiseLog, Process, SpawnPlan, StderrTail, Supervisor};
use crate::transport::{BoxFuture, Connection, Opening, Over, Peer, Traffic, Transport};

/// How one server is reached, run after run.
#[derive(Clone, Debug)]
pub struct Way {
    supervisor: Supervisor,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// As the child that the config describes.
    Child,
    /// Over a transport.
    Over(Arc<dyn Transport>),
    /// Not at all.
    None(Failure),
}

/// What a new connection comes with.
pub(super) struct Reached {
    pub(super) connection: Connection,
    /// What the server says to its owner.
    pub(super) stderr: Option<StderrTail>,
    /// Where goes what it sends that is no message.
    pub(super) noise: NoiseLog,
}

impl Way {
    /// The child process that the config describes.
    pub fn child(supervisor: Supervisor) -> Self {
        Self { supervisor, kind: Kind::Child }
    }

    /// Over a transport.
    pub fn over(transport: Arc<dyn Transport>, supervisor: Supervisor) -> Self {
        Self { supervisor, kind: Kind::Over(transport) }
    }

    /// There is none, and this is why.
    pub fn none(failure: Failure, supervisor: Supervisor) -> Self {
        Self { supervisor, kind: Kind::None(failure) }
    }

    /// Whether what a server says comes with the call that it belongs to.
    pub(super) fn has_streams(&self) -> bool {
        matches!(&self.kind, Kind::Over(transport) if transport.has_streams())
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, config: &ServerConfig, opening: Opening) -> Result<Reached, Failure> {
        match (&self.kind, &config.launch) {
            (Kind::Child, Launch::Stdio(launch)) => self.spawn(launch, &opening).await,
            (Kind::Child, Launch::Remote(_)) => {
                Err(Failure::new(Code::NetUnreachable, "nobody said how to get to the address"))
            }
            (Kind::Over(transport), launch) => {
                let secrets = match launch {
                    Launch::Remote(remote) => {
                        remote.headers.iter().map(|(_, value)| value.expose().to_owned()).collect()
                    }
                    Launch::Stdio(_) => Vec::new(),
                };
                let noise = self.supervisor.noise_log(&config.name, opening.generation, &secrets);
                let connection = transport.connect(opening).await?;
                Ok(Reached { connection, stderr: None, noise })
            }
            (Kind::None(failure), _) => Err(failure.clone()),
        }
    }

    async fn spawn(&self, launch: &StdioLaunch, opening: &Opening) -> Result<Reached, Failure> {
        let Child { stdin, stdout, noise, process } =
            self.supervisor.spawn(spawn_plan(launch, opening)).await?;
        let stderr = Some(process.stderr());
        let traffic = Traffic::Lines { input: Box::new(stdout), output: Box::new(stdin) };
        Ok(Reached { connection: Connection { traffic, peer: Box::new(process) }, stderr, noise })
    }
}

impl Peer for Process {
    fn over(&mut self) -> BoxFuture<'_, Over> {
        Box::pin(async { Over::Exited(self.wait().await) })
    }

    fn end(self: Box<Self>, ending: Ending) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            Process::end(*self, ending).await;
        })
    }

    fn pid(&self) -> Option<u32> {
        Some(Process::pid(self))
    }
}

fn spawn_plan(launch: &StdioLaunch, opening: &Opening) -> SpawnPlan {
    SpawnPlan {
        server: opening.server.clone(),
        generation: opening.generation,
        command: launch.command.clone(),
        args: launch.args.clone(),
        env: launch.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
        inherit_env: launch.inherit_env.clone(),
        cwd: launch.cwd.clone(),
        redact: launch.env.iter().map(|(_, value)| value.expose().to_owned()).collect(),
    }
}
