//! A client that speaks raw lines: it spawns a command, writes what the test says byte for byte, keeps every
//! line that comes back in order, and answers the server's own requests by a script. It knows JSON-RPC only
//! as far as ids; it never checks, repairs or reorders what it saw.
//!
//! ```ignore
//! let client = Client::spawn(&mut Command::new(env!("CARGO_BIN_EXE_switchboard")));
//! client.initialize("2025-11-25", json!({}));
//! let answer = client.call("tools/list", json!({}));
//! let id = client.request("tools/call", json!({ "name": "slow" }));
//! assert!(client.try_answer(id, Duration::from_millis(100)).is_none());
//! client.close_stdin();
//! assert!(client.wait_exit(Duration::from_secs(2)).unwrap().success());
//! ```
//!
//! Every method takes `&self`, so several threads may drive one client. Waiting is always for a condition
//! with a deadline; a missed deadline panics with everything that was received and the tail of stderr.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::Pid;

/// How long [`Client::call`] and [`Client::initialize`] wait for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One line that the process wrote.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The line as it came, without its line end.
    pub(crate) raw: Arc<str>,
    /// The line as JSON (number text and key order kept), or `Null` for noise that is not JSON.
    pub(crate) value: Value,
    /// When the line was complete.
    pub(crate) at: Instant,
}

impl Message {
    /// The method of a request or notification.
    pub(crate) fn method(&self) -> Option<&str> {
        self.value.get("method")?.as_str()
    }

    /// Whether this is a request of the server to the client.
    pub(crate) fn is_request(&self) -> bool {
        self.method().is_some() && self.value.get("id").is_some()
    }

    /// Whether this is a notification.
    pub(crate) fn is_notification(&self) -> bool {
        self.method().is_some() && self.value.get("id").is_none()
    }

    fn answers(&self, id: &Value) -> bool {
        self.method().is_none() && self.value.get("id") == Some(id)
    }
}

/// What the script says to a request of the server.
pub(crate) enum Reply {
    /// `{"result": ...}`
    Result(Value),
    /// `{"error": ...}`
    Error(Value),
    /// Nothing; the test answers later with [`Client::reply`], or never.
    Silence,
}

type Script = Box<dyn FnMut(&Value) -> Reply + Send>;

/// Where lines wait for the writing thread. Emptying the slot closes stdin, whoever else holds the slot.
type Outbox = Arc<Mutex<Option<Sender<Vec<u8>>>>>;

/// A running process and the conversation with it. Dropping it closes stdin, waits a little and kills.
pub(crate) struct Client {
    pid: Pid,
    child: Mutex<Child>,
    outbox: Outbox,
    heard: Arc<Heard>,
    script: Arc<Mutex<Script>>,
    next_id: AtomicI64,
    cursor: AtomicUsize,
}

#[derive(Default)]
struct Heard {
    state: Mutex<Transcript>,
    changed: Condvar,
}

#[derive(Default)]
struct Transcript {
    messages: Vec<Message>,
    stdout_ended: bool,
    stderr: Vec<u8>,
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Transcript> {
        self.state.lock().unwrap()
    }

    fn note(&self, change: impl FnOnce(&mut Transcript)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl Client {
    /// Starts the command with three pipes. The script at first answers `ping` and refuses all else with
    /// -32601; [`Client::answer_with`] changes that.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let heard = Arc::new(Heard::default());
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(ping_only)));

        let outbox: Outbox = Arc::new(Mutex::new(Some(spawn_writer(child.stdin.take().unwrap()))));
        spawn_reader(child.stdout.take().unwrap(), heard.clone(), script.clone(), outbox.clone());
        spawn_stderr(child.stderr.take().unwrap(), heard.clone());

        Self {
            pid: Pid(child.id()),
            child: Mutex::new(child),
            outbox,
            heard,
            script,
            next_id: AtomicI64::new(1),
            cursor: AtomicUsize::new(0),
        }
    }

    /// Answers requests of the server from now on with `script`. It gets the whole message and runs on the
    /// reading thread, so it must not wait.
    pub(crate) fn answer_with(&self, script: impl FnMut(&Value) -> Reply + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    // === what goes out ===

    /// Writes these bytes and nothing else: no line end, no check. Never blocks; a thread does the writing.
    pub(crate) fn send_raw(&self, bytes: &[u8]) {
        post(&self.outbox, bytes.to_vec());
    }

    /// Writes one message as one line.
    pub(crate) fn send(&self, message: &Value) {
        self.send_raw(&line(message));
    }

    /// Sends a request under the next integer id and returns that id. `Null` params are left out.
    pub(crate) fn request(&self, method: &str, params: Value) -> Value {
        let id = json!(self.next_id.fetch_add(1, Ordering::Relaxed));
        self.request_as(&id, method, params);
        id
    }

    /// Sends a request under an id of the test's choice.
    pub(crate) fn request_as(&self, id: &Value, method: &str, params: Value) {
        let mut message = json!({ "jsonrpc": "2.0", "id": id, "method": method });
        if !params.is_null() {
            message["params"] = params;
        }
        self.send(&message);
    }

    /// Sends a notification. `Null` params are left out.
    pub(crate) fn notify(&self, method: &str, params: Value) {
        let mut message = json!({ "jsonrpc": "2.0", "method": method });
        if !params.is_null() {
            message["params"] = params;
        }
        self.send(&message);
    }

    /// Answers a request of the server that the script kept silent about.
    pub(crate) fn reply(&self, id: &Value, result: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
    }

    /// The legacy handshake: `initialize`, its answer, `notifications/initialized`. Returns the whole answer.
    pub(crate) fn initialize(&self, revision: &str, capabilities: Value) -> Value {
        let params = json!({
            "protocolVersion": revision,
            "capabilities": capabilities,
            "clientInfo": { "name": "raw-test-client", "version": "1.0.0" },
        });
        let answer = self.call("initialize", params);
        self.notify("notifications/initialized", Value::Null);
        answer
    }

    /// Closes the process's stdin once everything sent so far is written.
    pub(crate) fn close_stdin(&self) {
        self.outbox.lock().unwrap().take();
    }

    // === what comes in ===

    /// Sends a request and waits [`PATIENCE`] for its answer, the whole message.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        self.answer(&id, PATIENCE)
    }

    /// Waits for the answer to `id`, the whole message; panics when it does not come in time.
    pub(crate) fn answer(&self, id: &Value, deadline: Duration) -> Value {
        self.try_answer(id, deadline)
            .unwrap_or_else(|| panic!("no answer to {id} within {deadline:?}\n{}", self.transcript()))
    }

    /// Waits for the answer to `id`; `None` when it does not come in time or stdout ended without it.
    pub(crate) fn try_answer(&self, id: &Value, deadline: Duration) -> Option<Value> {
        self.try_wait_for(0, deadline, |message| message.answers(id)).map(|message| message.value)
    }

    /// The next message that this method has not returned yet, of whatever kind; `None` at the deadline or
    /// at the end of stdout.
    pub(crate) fn next_message(&self, deadline: Duration) -> Option<Message> {
        let at = self.cursor.load(Ordering::Relaxed);
        let message = self.try_wait_for(at, deadline, |_| true)?;
        self.cursor.store(at + 1, Ordering::Relaxed);
        Some(message)
    }

    /// Waits for a message that came at or after `mark` (see [`Client::mark`]) and fits; panics at the deadline.
    pub(crate) fn wait_for(
        &self,
        what: &str,
        mark: usize,
        deadline: Duration,
        fits: impl Fn(&Message) -> bool,
    ) -> Message {
        self.try_wait_for(mark, deadline, fits)
            .unwrap_or_else(|| panic!("no {what} within {deadline:?}\n{}", self.transcript()))
    }

    /// Like [`Client::wait_for`], with `None` at the deadline or when stdout ended without it.
    pub(crate) fn try_wait_for(
        &self,
        mark: usize,
        deadline: Duration,
        fits: impl Fn(&Message) -> bool,
    ) -> Option<Message> {
        let end = Instant::now() + deadline;
        let mut next = mark;
        let mut heard = self.heard.lock();
        loop {
            while let Some(message) = heard.messages.get(next) {
                if fits(message) {
                    return Some(message.clone());
                }
                next += 1;
            }
            let left = end.checked_duration_since(Instant::now())?;
            if heard.stdout_ended {
                return None;
            }
            heard = self.heard.changed.wait_timeout(heard, left).unwrap().0;
        }
    }

    /// The number of messages so far: a place in the conversation to look from.
    pub(crate) fn mark(&self) -> usize {
        self.heard.lock().messages.len()
    }

    /// Every message from `mark` on, in order.
    pub(crate) fn since(&self, mark: usize) -> Vec<Message> {
        self.heard.lock().messages.get(mark..).unwrap_or_default().to_vec()
    }

    /// Every notification so far, in order.
    pub(crate) fn notifications(&self) -> Vec<Value> {
        self.since(0).into_iter().filter(Message::is_notification).map(|message| message.value).collect()
    }

    /// Every line so far that was not JSON.
    pub(crate) fn noise(&self) -> Vec<Arc<str>> {
        self.since(0)
            .into_iter()
            .filter(|message| message.value.is_null())
            .map(|message| message.raw)
            .collect()
    }

    /// What the process wrote to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().stderr).into_owned()
    }

    /// Waits until stderr holds `text`; `false` at the deadline.
    pub(crate) fn wait_stderr(&self, text: &str, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        let mut heard = self.heard.lock();
        loop {
            if memchr::memmem::find(&heard.stderr, text.as_bytes()).is_some() {
                return true;
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else { return false };
            heard = self.heard.changed.wait_timeout(heard, left).unwrap().0;
        }
    }

    // === the process ===

    /// The process id; [`Pid`] tells memory, open files and children.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the end of the process; `None` at the deadline.
    pub(crate) fn wait_exit(&self, deadline: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.child.lock().unwrap().try_wait().unwrap() {
                return Some(status);
            }
            if Instant::now() >= end {
                return None;
            }
            // The standard library cannot wait for a child with a deadline.
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the process (SIGKILL) and waits for it.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// The last messages and the tail of stderr, for a failure's text.
    pub(crate) fn transcript(&self) -> String {
        let mut text = String::from("--- received (last 30) ---\n");
        let messages = self.since(0);
        for message in &messages[messages.len().saturating_sub(30)..] {
            let cut: String = message.raw.chars().take(300).collect();
            let _ = writeln!(text, "{cut}");
        }
        let stderr = self.stderr();
        let lines: Vec<&str> = stderr.lines().collect();
        let _ = writeln!(text, "--- stderr (last 30) ---");
        for line in &lines[lines.len().saturating_sub(30)..] {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close_stdin();
        if self.wait_exit(Duration::from_secs(3)).is_none() {
            self.kill();
        }
    }
}

// === threads ===

fn ping_only(request: &Value) -> Reply {
    match request["method"].as_str() {
        Some("ping") => Reply::Result(json!({})),
        _ => Reply::Error(json!({ "code": -32601, "message": "Method not found" })),
    }
}

fn line(message: &Value) -> Vec<u8> {
    let mut bytes = message.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// Hands bytes to the writing thread; after stdin was closed they are dropped.
fn post(outbox: &Outbox, bytes: Vec<u8>) {
    if let Some(writer) = &*outbox.lock().unwrap() {
        let _ = writer.send(bytes);
    }
}

/// Writing has its own thread: a process that does not read must not block the test.
fn spawn_writer(mut stdin: impl Write + Send + 'static) -> Sender<Vec<u8>> {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        for bytes in receiver {
            // A closed pipe is not this thread's to judge: the test sees the missing answer.
            if stdin.write_all(&bytes).and_then(|()| stdin.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

fn spawn_reader(
    stdout: impl Read + Send + 'static,
    heard: Arc<Heard>,
    script: Arc<Mutex<Script>>,
    outbox: Outbox,
) {
    thread::spawn(move || {
        let mut reader = BufReader::with_capacity(1 << 16, stdout);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let raw = String::from_utf8_lossy(&bytes);
            let raw: Arc<str> = raw.trim_end_matches(['\n', '\r']).into();
            let value = serde_json::from_str(&raw).unwrap_or(Value::Null);
            let message = Message { raw, value, at: Instant::now() };
            bytes.clear();
            let reply = message.is_request().then(|| answer(&message.value, &script)).flatten();
            heard.note(|transcript| transcript.messages.push(message));
            if let Some(reply) = reply {
                post(&outbox, line(&reply));
            }
        }
        heard.note(|transcript| transcript.stdout_ended = true);
    });
}

fn answer(request: &Value, script: &Mutex<Script>) -> Option<Value> {
    let id = &request["id"];
    match (script.lock().unwrap())(request) {
        Reply::Result(result) => Some(json!({ "jsonrpc": "2.0", "id": id, "result": result })),
        Reply::Error(error) => Some(json!({ "jsonrpc": "2.0", "id": id, "error": error })),
        Reply::Silence => None,
    }
}

fn spawn_stderr(mut stderr: impl Read + Send + 'static, heard: Arc<Heard>) {
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut chunk) {
            heard.note(|transcript| transcript.stderr.extend_from_slice(&chunk[..count]));
        }
    });
}
