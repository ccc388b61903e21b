//! One connection with all that hangs on it, and how it breaks.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::Lifecycle;
use crate::backend::link::OUTBOX_LIMIT;
use crate::backend::lock;
use crate::backend::messages::MessageSink;
use crate::backend::reader::{self, ReadEnd};
use crate::backend::way::Reached;
use crate::failure::{Code, Failure};
use crate::transport::{Connection, Opening, Over, Peer, Traffic};
use crate::wire::Outbox;

/// A server whose side of the connection ends gets this long to end by itself.
const AFTER_CLOSE: Duration = Duration::from_millis(100);
/// A server that has ended gets this long to have its last lines read.
const LAST_LINES: Duration = Duration::from_millis(50);

/// One connection with its tasks.
pub(super) struct Run {
    pub(super) generation: u64,
    pub(super) peer: Box<dyn Peer>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) reader: JoinHandle<ReadEnd>,
    pub(super) writer: JoinHandle<()>,
    pub(super) started: Instant,
}

/// How a connection breaks by itself.
pub(super) enum Broken {
    /// It is over.
    Over(Over),
    /// One direction has ended, and the server lives on.
    Mute(Failure),
}

/// The first sign that a connection breaks; [`Run::broken`] tells what it means.
pub(super) enum Sign {
    Over(Over),
    InputEnded(ReadEnd),
    OutputEnded,
}

impl Run {
    /// Resolves when the connection begins to break. Cancel safe; not to be asked again afterwards.
    pub(super) async fn breaks(&mut self) -> Sign {
        tokio::select! {
            over = self.peer.over() => Sign::Over(over),
            end = &mut self.reader => Sign::InputEnded(end.unwrap_or(ReadEnd::Closed)),
            _ = &mut self.writer => Sign::OutputEnded,
        }
    }

    /// What has happened to a connection that breaks.
    pub(super) async fn broken(&mut self, sign: Sign) -> Broken {
        match sign {
            Sign::Over(over) => Broken::Over(over),
            // Where we closed it, because of a line without end, an exit would only be the consequence.
            Sign::InputEnded(ReadEnd::Flood) => {
                Broken::Mute(Failure::new(Code::ProcessFlood, "it wrote a line that does not end"))
            }
            Sign::InputEnded(ReadEnd::Closed) => self.over_soon("stdout").await,
            Sign::OutputEnded => self.over_soon("stdin").await,
        }
    }

    async fn over_soon(&mut self, pipe: &str) -> Broken {
        match timeout(AFTER_CLOSE, self.peer.over()).await {
            Ok(over) => Broken::Over(over),
            Err(_) => Broken::Mute(match self.peer.pid() {
                Some(_) => {
                    Failure::new(Code::ProcessExited, format!("it closed its {pipe} and went on running"))
                }
                None => Failure::new(Code::NetLost, "the connection was closed"),
            }),
        }
    }

    /// What the server wrote before it went may still stand in the pipe, answers among it.
    pub(super) async fn read_last_lines(&mut self) {
        if !self.reader.is_finished() {
            let _ = timeout(LAST_LINES, &mut self.reader).await;
        }
    }
}

impl Lifecycle {
    /// Opens a connection and sets the tasks going that read from it and write to it.
    pub(super) async fn reach(&mut self) -> Result<Run, Failure> {
        let backend = &self.backend;
        let config = backend.config();
        let generation = backend.link.next_generation();
        let opening = Opening {
            server: config.name.clone(),
            generation,
            max_message: config.limits.message,
            header_params: Arc::clone(&self.header_params),
        };
        let reached = self.way.connect(config, opening).await.map_err(|failure| failure.of(&config.name))?;
        let Reached { connection: Connection { traffic, peer }, stderr, noise } = reached;
        *lock(&backend.stderr) = stderr;
        let outbox = Arc::new(Outbox::new(OUTBOX_LIMIT));
        backend.link.attach(generation, Arc::clone(&outbox));
        let (reader, writer) = match traffic {
            Traffic::Lines { input, mut output } => {
                let (queue, name) = (Arc::clone(&outbox), config.name.clone());
                let writer = tokio::spawn(async move {
                    // Its end closes the server's stdin.
                    if let Err(error) = queue.write_to(&mut output).await {
                        tracing::debug!(server = %name, %error, "the server closed its stdin");
                    }
                });
                (tokio::spawn(reader::read_lines(Arc::clone(backend), generation, input, noise)), writer)
            }
            Traffic::Messages { outgoing, incoming } => {
                let queue = Arc::clone(&outbox);
                let mut sink = MessageSink::new(outgoing);
                let writer = tokio::spawn(async move {
                    let _ = queue.write_to(&mut sink).await;
                });
                (
                    tokio::spawn(reader::read_messages(Arc::clone(backend), generation, incoming, noise)),
                    writer,
                )
            }
        };
        Ok(Run { generation, peer, outbox, reader, writer, started: Instant::now() })
    }
}
