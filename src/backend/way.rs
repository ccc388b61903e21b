//! How a server is reached: as a child of ours, or over a transport to somewhere else.

use std::sync::Arc;

use crate::config::{Launch, RemoteKind, ServerConfig, StdioLaunch};
use crate::failure::{Code, Failure};
use crate::supervisor::{Child, Ending, NoiseLog, Process, SpawnPlan, StderrTail, Supervisor};
use crate::transport::{BoxFuture, Connection, Opening, Over, Peer, Traffic, Transport};

/// How one server is reached, run after run.
#[derive(Clone, Debug)]
pub struct Way {
    supervisor: Supervisor,
    /// `None`: as the config says, as a child.
    transport: Option<Arc<dyn Transport>>,
    has_streams: bool,
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
        Self { supervisor, transport: None, has_streams: false }
    }

    /// Some other way. Whether a server's questions come with the call that they belong to is told by the config.
    pub fn over(transport: Arc<dyn Transport>, config: &ServerConfig, supervisor: Supervisor) -> Self {
        let has_streams = match &config.launch {
            Launch::Remote(remote) => matches!(remote.kind, RemoteKind::Auto | RemoteKind::Http),
            Launch::Stdio(_) => false,
        };
        Self { supervisor, transport: Some(transport), has_streams }
    }

    /// Whether what a server says comes with the call that it belongs to.
    pub(super) fn has_streams(&self) -> bool {
        self.has_streams
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, config: &ServerConfig, opening: Opening) -> Result<Reached, Failure> {
        match (&self.transport, &config.launch) {
            (Some(transport), launch) => {
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
            (None, Launch::Stdio(launch)) => self.spawn(launch, &opening).await,
            (None, Launch::Remote(_)) => {
                Err(Failure::new(Code::TransportPlanned, "this version reaches servers over stdio only"))
            }
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
