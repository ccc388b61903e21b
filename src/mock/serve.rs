//! The server's loop: reads lines, finds what the script says about them, and lets it happen.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::lines::Lines;
use super::output::{Output, write_all};
use super::run::Job;
use super::script::{Eof, List, Plan, Reaction, Script, Signal};
use super::template::{Environment, Scope};

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
    let plan = script.plan(hooks.start);
    let survive = matches!(plan.eof, Eof::Ignore);
    let (output, queue) = Output::channel();
    let server = Arc::new(Server::new(plan, output, hooks));
    // Running calls stop when this function ends or is dropped.
    let _stop = server.stop.clone().drop_guard();
    tokio::select! {
        outcome = write_all(writer, queue, survive) => outcome,
        outcome = listen(&server, reader) => outcome,
    }
}

/// What the running calls share.
pub(super) struct Server {
    pub(super) plan: Arc<Plan>,
    pub(super) output: Output,
    pub(super) environment: Environment,
    pub(super) start: u64,
    pub(super) gate: watch::Sender<Gate>,
    /// One call at a time holds this where the script says `serial`.
    pub(super) turn: tokio::sync::Mutex<()>,
    stderr: Mutex<Box<dyn Write + Send>>,
    state: Mutex<State>,
    stop: CancellationToken,
    tasks: TaskTracker,
    signals: bool,
}

/// What changes while the server runs.
#[derive(Default)]
pub(super) struct State {
    /// Requests in the works, by the text of their id.
    pub(super) running: HashMap<String, CancellationToken>,
    /// Questions to the client that wait for an answer, by the text of their id.
    pub(super) asks: HashMap<String, oneshot::Sender<Value>>,
    /// How many questions were put.
    pub(super) asked: u64,
    /// How often each item was called.
    pub(super) calls: HashMap<(List, String), u64>,
    /// The items that are shown, where a step chose some.
    pub(super) shown: HashMap<List, Vec<String>>,
    pub(super) subscriptions: BTreeSet<String>,
    /// The least log level that the client wants, as an index into `LEVELS`.
    pub(super) log_level: usize,
    /// How many endless cursors were made.
    pub(super) cursors: u64,
}

/// Whether the server reads its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Stopped,
    Closed,
}

impl Server {
    fn new(plan: Arc<Plan>, output: Output, hooks: Hooks) -> Self {
        Self {
            plan,
            output,
            environment: hooks.environment,
            start: hooks.start,
            gate: watch::Sender::new(Gate::Open),
            turn: tokio::sync::Mutex::new(()),
            stderr: Mutex::new(hooks.stderr),
            state: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            signals: hooks.signals,
        }
    }

    /// The changing state. A poisoned lock is used as it is: the mock has no invariant to protect.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to stderr, and blocks as long as nobody reads it, as a server does.
    pub(super) fn write_stderr(&self, bytes: &[u8]) {
        let mut stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
    }

    fn scope(&self) -> Scope {
        Scope::new(Arc::clone(&self.environment), self.start)
    }
}

/// Runs a reaction that answers no request, in place.
async fn react(server: &Arc<Server>, reaction: &Arc<Reaction>) {
    Job::event(Arc::clone(server), Arc::clone(reaction), server.scope()).run().await;
}

/// Runs a job: at once where that takes no time, else beside the others.
async fn start(server: &Arc<Server>, job: Job) {
    if job.is_immediate() && !server.plan.serial {
        return job.run().await;
    }
    let (id, cancel) = (job.id().map(str::to_owned), job.cancellation());
    if let Some(id) = &id {
        server.state().running.insert(id.clone(), cancel);
    }
    let server = Arc::clone(server);
    let tasks = server.tasks.clone();
    tasks.spawn(async move {
        let work = async {
            let _turn = if server.plan.serial { Some(server.turn.lock().await) } else { None };
            job.run_until_cancelled().await;
        };
        tokio::select! {
            () = work => {}
            () = server.stop.cancelled() => {}
        }
        if let Some(id) = id {
            server.state().running.remove(&id);
        }
    });
}

async fn listen<R: AsyncRead + Unpin>(server: &Arc<Server>, reader: R) -> Outcome {
    if server.signals {
        take_signals(server);
    }
    if let Some(reaction) = server.plan.on.get("start") {
        react(server, reaction).await;
    }
    let record = server.plan.record.as_deref().map(|path| server.scope().text(path));
    let mut record = record.filter(|path| !path.is_empty()).and_then(|path| append(server, &path));
    let mut lines = Some(Lines::of(reader));
    let mut gate = server.gate.subscribe();
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
                        receive(server, &line).await;
                    }
                    None => end_of_input(server).await,
                },
            },
            (Gate::Closed, open) => {
                *open = None;
                tokio::time::sleep(LAST_RESORT).await;
                server.output.end(Outcome::Ended).await;
            }
            _ => tokio::select! {
                _ = gate.changed() => {}
                () = tokio::time::sleep(LAST_RESORT) => server.output.end(Outcome::Ended).await,
            },
        }
    }
}

fn append(server: &Server, path: &str) -> Option<std::fs::File> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.inspect_err(|error| {
        server.write_stderr(format!("mock: cannot record to {path}: {error}\n").as_bytes())
    })
    .ok()
}

async fn end_of_input(server: &Arc<Server>) -> ! {
    match &server.plan.eof {
        Eof::Exit => {}
        Eof::Finish => {
            server.tasks.close();
            server.tasks.wait().await;
        }
        Eof::Ignore => tokio::time::sleep(LAST_RESORT).await,
        Eof::React(reaction) => react(server, reaction).await,
    }
    server.output.end(Outcome::Ended).await
}

/// Takes the signals that the script speaks of; the others keep their usual meaning.
#[cfg(unix)]
fn take_signals(server: &Arc<Server>) {
    use tokio::signal::unix::{SignalKind, signal};
    for (name, reaction) in &server.plan.signals {
        let kind = match name {
            Signal::Int => SignalKind::interrupt(),
            Signal::Hup => SignalKind::hangup(),
            _ => SignalKind::terminate(),
        };
        let Ok(mut arrivals) = signal(kind) else { continue };
        let (task, reaction) = (Arc::clone(server), reaction.clone());
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
fn take_signals(_: &Arc<Server>) {}

// === Messages ===

#[derive(Deserialize)]
struct Envelope<'l> {
    #[serde(borrow)]
    id: Option<&'l RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'l, str>>,
    #[serde(borrow)]
    params: Option<&'l RawValue>,
    #[serde(borrow)]
    result: Option<&'l RawValue>,
    #[serde(borrow)]
    error: Option<&'l RawValue>,
}

async fn receive(server: &Arc<Server>, line: &[u8]) {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return;
    }
    if line.first() == Some(&b'[') {
        // 2025-03-26 lets a line be a batch; the answers need not be one.
        if let Ok(batch) = serde_json::from_slice::<Vec<&RawValue>>(line) {
            for message in batch {
                receive_one(server, message.get().as_bytes()).await;
            }
            return;
        }
    }
    receive_one(server, line).await;
}

async fn receive_one(server: &Arc<Server>, message: &[u8]) {
    let envelope = match serde_json::from_slice::<Envelope<'_>>(message) {
        Ok(envelope) => envelope,
        Err(error) => {
            let mut text = String::from(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"#);
            super::template::push_quoted(&format!("Parse error: {error}"), &mut text);
            return server.output.line(text + "}}").await;
        }
    };
    let params = envelope.params.map_or("{}", RawValue::get);
    match (envelope.id, envelope.method) {
        (Some(id), Some(method)) => {
            let job = Job::request(Arc::clone(server), id.get().to_owned(), method.into_owned(), params);
            start(server, job).await;
        }
        (None, Some(method)) => notified(server, &method, params).await,
        (Some(id), None) => answered(server, id.get(), envelope.result, envelope.error),
        (None, None) => {}
    }
}

async fn notified(server: &Arc<Server>, method: &str, params: &str) {
    let values: Value = serde_json::from_str(params).unwrap_or(Value::Null);
    if method == "notifications/cancelled"
        && let Some(id) = values.get("requestId")
        && let Some(cancel) = server.state().running.get(&id.to_string())
    {
        cancel.cancel();
    }
    if let Some(reaction) = server.plan.on.get(method) {
        let mut scope = server.scope();
        scope.target = method.to_owned();
        scope.args_text = params.to_owned();
        scope.args = values;
        start(server, Job::event(Arc::clone(server), Arc::clone(reaction), scope)).await;
    }
}

/// The client answered a question. An error is kept as `{"error": …}`.
fn answered(server: &Server, id: &str, result: Option<&RawValue>, error: Option<&RawValue>) {
    let Some(waiting) = server.state().asks.remove(id) else { return };
    let parse = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or(Value::Null);
    let answer = match (result, error) {
        (_, Some(error)) => serde_json::json!({"error": parse(error)}),
        (Some(result), None) => parse(result),
        (None, None) => Value::Null,
    };
    // The asker may have been cancelled meanwhile.
    let _ = waiting.send(answer);
}
