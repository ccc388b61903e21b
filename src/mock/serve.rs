//! The server's loop: reads lines, finds what the script says about them, and lets it happen.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::lines::Lines;
use super::output::{Output, write_all};
use super::receive::receive;
use super::script::{Eof, Script, Signal};
use super::server::Server;
use super::session::{Gate, Session, react};
use super::template::Environment;

/// How long a server stays that ignores the end of its input or stopped reading, so that a forgotten one does not
/// stay for ever.
const LAST_RESORT: Duration = Duration::from_secs(600);

/// How the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client closed the connection.
    Ended,
    /// A step asked for this exit code.
    Exit(u8),
    /// A step asked to die of this signal.
    Crash(Signal),
}

/// What the server needs of the process it runs in.
pub struct Hooks {
    /// Reads the environment for `{{env.NAME}}`.
    pub environment: Environment,
    /// Where `stderr` steps write.
    pub stderr: Box<dyn Write + Send>,
    /// The number of this start, counted from 1; chooses among `runs`.
    pub start: u64,
    /// Whether to take the process's signals as the script says.
    pub signals: bool,
}

impl Hooks {
    /// The hooks of this process.
    pub fn of_process(start: u64) -> Self {
        Self {
            environment: Arc::new(|name| std::env::var(name).ok()),
            stderr: Box::new(std::io::stderr()),
            start,
            signals: true,
        }
    }

    /// The hooks for a server in memory: an empty environment, stderr lost, signals left alone.
    pub fn in_memory() -> Self {
        Self { environment: Arc::new(|_| None), stderr: Box::new(std::io::sink()), start: 1, signals: false }
    }
}

/// Serves one client until the script or the client ends it.
///
/// Dropping the future ends the server at once; running calls end with it.
pub async fn serve<R, W>(script: Script, reader: R, writer: W, hooks: Hooks) -> Outcome
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let server = Server::new(script.plan(hooks.start), hooks);
    // Running calls stop when this function ends or is dropped.
    let _stop = server.stop.clone().drop_guard();
    converse(&server, reader, writer, Role::Only).await
}

/// What a connection is to the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The server lives for it: it sees the start, and what signals do.
    Only,
    /// One of many.
    OneOfMany,
}

/// Serves one connection of lines.
pub(super) async fn converse<R, W>(server: &Arc<Server>, reader: R, writer: W, role: Role) -> Outcome
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let survive = matches!(server.plan.eof, Eof::Ignore);
    let (output, queue) = Output::channel();
    let session = Session::begin(server, output);
    let _stop = session.stop.clone().drop_guard();
    let listening = async {
        if role == Role::Only {
            begin(&session).await;
        }
        listen(&session, reader, role).await
    };
    tokio::select! {
        outcome = write_all(writer, queue, survive) => outcome,
        outcome = listening => outcome,
    }
}

/// What a server does before it reads anything.
pub(super) async fn begin(session: &Arc<Session>) {
    if session.server.signals {
        take_signals(session);
    }
    if let Some(reaction) = session.server.plan.on.get("start") {
        react(session, reaction).await;
    }
}

async fn listen<R: AsyncRead + Unpin>(session: &Arc<Session>, reader: R, role: Role) -> Outcome {
    let mut record = record_of(&session.server);
    let mut lines = Some(Lines::of(reader));
    let mut gate = session.gate.subscribe();
    loop {
        let now = *gate.borrow_and_update();
        match (now, &mut lines) {
            (Gate::Open, Some(lines)) => tokio::select! {
                biased;
                _ = gate.changed() => {}
                line = lines.next() => match line {
                    Some(line) => {
                        if let Some(file) = &mut record {
                            // A record that cannot be written is missed by whoever reads it.
                            let _ = file.write_all(&line);
                        }
                        receive(session, &line).await;
                    }
                    None => end_of_input(session, role).await,
                },
            },
            (Gate::Closed, open) => {
                *open = None;
                tokio::time::sleep(LAST_RESORT).await;
                session.output.end(Outcome::Ended).await;
            }
            _ => tokio::select! {
                _ = gate.changed() => {}
                () = tokio::time::sleep(LAST_RESORT) => session.output.end(Outcome::Ended).await,
            },
        }
    }
}

/// The file to which everything received is written, where the script wants one.
pub(super) fn record_of(server: &Server) -> Option<std::fs::File> {
    let path = server.plan.record.as_deref().map(|path| server.scope().text(path))?;
    if path.is_empty() {
        return None;
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    file.inspect_err(|error| {
        server.write_stderr(format!("mock: cannot record to {path}: {error}\n").as_bytes())
    })
    .ok()
}

async fn end_of_input(session: &Arc<Session>, role: Role) -> ! {
    let server = &session.server;
    match &server.plan.eof {
        // What `eof` says is about a server that lives for one client.
        _ if role == Role::OneOfMany => {}
        Eof::Exit => {}
        Eof::Finish => {
            // Nobody comes back for these, and open streams have no end of their own.
            server.state().rounds.clear();
            server.end_subscriptions(Some(session.number)).await;
            server.tasks.close();
            server.tasks.wait().await;
        }
        Eof::Ignore => tokio::time::sleep(LAST_RESORT).await,
        Eof::React(reaction) => react(session, reaction).await,
    }
    server.end_subscriptions(Some(session.number)).await;
    session.output.end(Outcome::Ended).await
}

/// Takes the signals that the script speaks of; the others keep their usual meaning.
#[cfg(unix)]
fn take_signals(session: &Arc<Session>) {
    use tokio::signal::unix::{SignalKind, signal};
    for (name, reaction) in &session.server.plan.signals {
        let kind = match name {
            Signal::Int => SignalKind::interrupt(),
            Signal::Hup => SignalKind::hangup(),
            _ => SignalKind::terminate(),
        };
        let Ok(mut arrivals) = signal(kind) else { continue };
        let (task, reaction) = (Arc::clone(session), reaction.clone());
        // Not tracked: `eof: finish` waits for calls, not for signals.
        tokio::spawn(async move {
            while arrivals.recv().await.is_some() {
                if let Some(reaction) = &reaction {
                    react(&task, reaction).await;
                }
            }
        });
    }
}

#[cfg(not(unix))]
fn take_signals(_: &Arc<Session>) {}
