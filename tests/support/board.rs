//! A real Switchboard under test: the binary, its config and state in a temporary folder, mock servers behind it, and
//! a client that writes and reads raw lines.
//!
//! ```ignore
//! let mut board = Setup::new().server("a", "healthy").start();
//! board.initialize("2025-11-25");
//! let answer = board.call("tools/call", r#"{"name":"a__echo","arguments":{"input":"hi"}}"#);
//! assert_eq!(answer.text(), "hi");
//! board.close();
//! ```
//!
//! Everything waits for a condition with a deadline. [`Board::close`] checks what must hold in every test: each line
//! was JSON-RPC of at most 8 MiB, each request got exactly one answer (none or one if it was cancelled), Switchboard
//! ended with code 0 within two seconds, and so did the processes that it had started.
#![allow(dead_code, reason = "every test binary uses a part of it")]
#![allow(unreachable_pub, reason = "a module of a test binary has no outside")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tempfile::TempDir;

/// How long anything may take that should be quick. Generous: machines that run tests are busy.
pub const DEADLINE: Duration = Duration::from_secs(15);
/// Clients hang up on messages of 10 MiB; Switchboard promises to stay under this.
pub const MAX_MESSAGE: usize = 8 << 20;
/// Clients send SIGTERM two seconds after they closed our stdin.
const CLIENTS_PATIENCE: Duration = Duration::from_secs(2);

// === the config and its folder ===

/// A Switchboard in the making: servers, and a folder for config, state and records that lives as long as this does.
pub struct Setup {
    home: TempDir,
    servers: Vec<Server>,
    /// Entries of servers that are no mock servers of ours, as lines of YAML.
    entries: String,
    rest: String,
    environment: Vec<(String, String)>,
}

struct Server {
    name: String,
    script: PathBuf,
    keys: String,
}

impl Setup {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (entries, rest) = Default::default();
        Self { home, servers: Vec::new(), entries, rest, environment: Vec::new() }
    }

    /// Adds a mock server with a script of `fixtures/mock/`.
    pub fn server(mut self, name: &str, fixture: &str) -> Self {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mock").join(format!("{fixture}.yaml"));
        assert!(script.exists(), "there is no {}", script.display());
        self.servers.push(Server { name: name.to_owned(), script, keys: String::new() });
        self
    }

    /// Adds a mock server with a script of its own. What it receives is recorded, see [`Setup::received`].
    pub fn script(mut self, name: &str, script: &str) -> Self {
        let path = self.home.path().join(format!("{name}.mock.yaml"));
        let script = format!("record: \"{{{{env.MOCK_RECORD}}}}\"\n{script}");
        std::fs::write(&path, script).unwrap();
        self.servers.push(Server { name: name.to_owned(), script: path, keys: String::new() });
        self
    }

    /// Adds keys to the last server's entry of the config, as members of a YAML flow mapping: `prefix: web, start: eager`.
    pub fn keys(mut self, keys: &str) -> Self {
        self.servers.last_mut().unwrap().keys = format!(", {keys}");
        self
    }

    /// Adds a server by its entry in the config, as a YAML flow mapping: `{ url: "http://…" }`.
    pub fn entry(mut self, name: &str, entry: &str) -> Self {
        writeln!(self.entries, "  \"{name}\": {entry}").unwrap();
        self
    }

    /// Adds top-level keys to the config, as YAML.
    pub fn config(mut self, yaml: &str) -> Self {
        self.rest.push_str(yaml);
        self.rest.push('\n');
        self
    }

    /// Sets a variable of Switchboard's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes another script for a server that has one of its own; the next start uses it.
    pub fn rewrite(&self, name: &str, script: &str) {
        let script = format!("record: \"{{{{env.MOCK_RECORD}}}}\"\n{script}");
        std::fs::write(self.home.path().join(format!("{name}.mock.yaml")), script).unwrap();
    }

    /// The folder that holds config, state and records.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Starts a Switchboard that lives no longer than its folder.
    pub fn start(self) -> Board {
        let mut board = self.launch();
        board.setup = Some(self);
        board
    }

    /// Starts a Switchboard and keeps the folder: for several starts, one after the other or side by side.
    pub fn launch(&self) -> Board {
        Board::spawn(self.command(), self.home.path())
    }

    /// The command line of a Switchboard, for tests that need other pipes.
    pub fn command(&self) -> Command {
        let config = self.home.path().join("config.yaml");
        std::fs::write(&config, self.yaml()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.arg("serve").arg("--config").arg(&config);
        for name in ["SWITCHBOARD_CONFIG", "SWITCHBOARD_LOG", "RUST_LOG", "PROXY_ENABLED"] {
            command.env_remove(name);
        }
        command.env("SWITCHBOARD_HOME", self.home.path()).env("HOME", self.home.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn yaml(&self) -> String {
        let mut yaml = String::from("servers:\n");
        for Server { name, script, keys } in &self.servers {
            let place = |kind: &str| self.home.path().join(format!("{name}.{kind}")).display().to_string();
            writeln!(
                yaml,
                "  \"{name}\": {{ command: {:?}, args: [mock, {:?}], env: {{ MOCK_RECORD: {:?}, MOCK_PROCESS: {:?}, \
                 MOCK_STATE: {:?} }}{keys} }}",
                env!("CARGO_BIN_EXE_switchboard"),
                script.display().to_string(),
                place("record"),
                place("process"),
                place("state"),
            )
            .unwrap();
        }
        yaml += &self.entries;
        if self.servers.is_empty() && self.entries.is_empty() {
            yaml = "servers: {}\n".to_owned();
        }
        yaml + &self.rest
    }

    /// The lines that a server has received so far, byte for byte, over all its starts.
    pub fn received(&self, server: &str) -> Vec<String> {
        received(self.home.path(), server)
    }
}

fn received(home: &Path, server: &str) -> Vec<String> {
    let bytes = std::fs::read(home.join(format!("{server}.record"))).unwrap_or_default();
    // A last line without its end is still being written.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    String::from_utf8(bytes[..whole].to_vec()).unwrap().lines().map(str::to_owned).collect()
}

// === a line ===

/// One message of Switchboard's, with its raw parts.
#[derive(Clone, Debug)]
pub struct Message {
    /// The whole line, or the element of a batch.
    pub raw: String,
    /// When it was read.
    pub at: Instant,
    pub id: Option<String>,
    pub method: Option<String>,
    pub params: Option<String>,
    pub result: Option<String>,
    pub error: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'l> {
    jsonrpc: String,
    #[serde(borrow)]
    id: Option<&'l RawValue>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'l RawValue>,
    #[serde(borrow)]
    result: Option<&'l RawValue>,
    #[serde(borrow)]
    error: Option<&'l RawValue>,
}

impl Message {
    /// Reads a message strictly: anything that JSON-RPC does not allow fails the test.
    pub fn read(raw: &str, at: Instant) -> Self {
        let envelope: Envelope<'_> = serde_json::from_str(raw)
            .unwrap_or_else(|error| panic!("not JSON-RPC: {error}: {}", shorten(raw)));
        assert_eq!(envelope.jsonrpc, "2.0", "{}", shorten(raw));
        let text = |value: Option<&RawValue>| value.map(|value| value.get().to_owned());
        // serde reads `null` as absent; an answer to nobody has the id `null`.
        let id = text(envelope.id).or_else(|| raw.contains(r#""id":null"#).then(|| "null".to_owned()));
        let message = Self {
            at,
            id,
            method: envelope.method,
            params: text(envelope.params),
            result: text(envelope.result),
            error: text(envelope.error),
            raw: raw.to_owned(),
        };
        let bodies = usize::from(message.result.is_some()) + usize::from(message.error.is_some());
        match &message.method {
            Some(_) => assert_eq!(bodies, 0, "{}", shorten(raw)),
            None => assert!(message.id.is_some() && bodies == 1, "{}", shorten(raw)),
        }
        message
    }

    fn is_answer_to(&self, id: &str) -> bool {
        self.method.is_none() && self.id.as_deref() == Some(id)
    }

    /// The result, parsed. Fails if it is an error.
    pub fn result(&self) -> Value {
        let result = self.result.as_deref().unwrap_or_else(|| panic!("no result: {}", shorten(&self.raw)));
        serde_json::from_str(result).unwrap()
    }

    /// The error, parsed. Fails if it is a result.
    pub fn error(&self) -> Value {
        let error = self.error.as_deref().unwrap_or_else(|| panic!("no error: {}", shorten(&self.raw)));
        serde_json::from_str(error).unwrap()
    }

    /// The code of the error.
    pub fn code(&self) -> i64 {
        self.error()["code"].as_i64().unwrap()
    }

    /// The parameters, parsed.
    pub fn params(&self) -> Value {
        serde_json::from_str(self.params.as_deref().unwrap_or("null")).unwrap()
    }

    /// The first text of a tool's result.
    pub fn text(&self) -> String {
        let result = self.result();
        let text = result["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("no text: {}", shorten(&self.raw))).to_owned()
    }

    /// The names of a list's items, or their URIs.
    pub fn names(&self) -> Vec<String> {
        let result = self.result();
        let mut items = ["tools", "prompts", "resources", "resourceTemplates"].into_iter();
        let items = items.find_map(|kind| result[kind].as_array()).expect("a list");
        let name = |item: &Value| {
            let name = item["uri"].as_str().or(item["uriTemplate"].as_str()).or(item["name"].as_str());
            name.expect("a name").to_owned()
        };
        items.iter().map(name).collect()
    }
}

fn shorten(text: &str) -> String {
    if text.len() <= 600 {
        text.to_owned()
    } else {
        format!("{}…", String::from_utf8_lossy(&text.as_bytes()[..600]))
    }
}

// === the client ===

/// A running Switchboard and the client in front of it.
pub struct Board {
    setup: Option<Setup>,
    home: PathBuf,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<(Vec<u8>, Instant)>,
    /// Everything that came and nobody has taken yet.
    unread: Vec<Message>,
    /// How often each id was sent and answered.
    sent: HashMap<String, usize>,
    answered: HashMap<String, usize>,
    cancelled: BTreeSet<String>,
    next_id: u64,
}

impl Board {
    fn spawn(mut command: Command, home: &Path) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Switchboard starts");
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::with_capacity(1 << 16, stdout);
            loop {
                let mut line = Vec::new();
                match stdout.read_until(b'\n', &mut line) {
                    Ok(1..) if sender.send((line, Instant::now())).is_ok() => {}
                    _ => return,
                }
            }
        });
        Self {
            setup: None,
            home: home.to_owned(),
            stdin: child.stdin.take(),
            child,
            lines,
            unread: Vec::new(),
            sent: HashMap::new(),
            answered: HashMap::new(),
            cancelled: BTreeSet::new(),
            next_id: 1000,
        }
    }

    // --- sending ---

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("Switchboard reads");
    }

    /// Writes a line, whatever it says. Answers to it are not counted.
    pub fn send(&mut self, line: &str) {
        self.bytes(format!("{line}\n").as_bytes());
    }

    /// Writes a request; `id` and `params` are JSON texts, empty params are left out.
    pub fn request(&mut self, id: &str, method: &str, params: &str) {
        *self.sent.entry(id.to_owned()).or_default() += 1;
        let params = if params.is_empty() { String::new() } else { format!(r#","params":{params}"#) };
        self.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"{params}}}"#));
    }

    /// Writes a request with an id of its own, and gives the id.
    pub fn ask(&mut self, method: &str, params: &str) -> String {
        self.next_id += 1;
        let id = self.next_id.to_string();
        self.request(&id, method, params);
        id
    }

    /// Writes a request and waits for the answer.
    pub fn call(&mut self, method: &str, params: &str) -> Message {
        let id = self.ask(method, params);
        self.answer(&id)
    }

    /// Calls a tool with raw arguments and waits for the answer.
    pub fn tool(&mut self, name: &str, arguments: &str) -> Message {
        self.call("tools/call", &format!(r#"{{"name":"{name}","arguments":{arguments}}}"#))
    }

    /// Writes a notification.
    pub fn notify(&mut self, method: &str, params: &str) {
        let params = if params.is_empty() { String::new() } else { format!(r#","params":{params}"#) };
        self.send(&format!(r#"{{"jsonrpc":"2.0","method":"{method}"{params}}}"#));
    }

    /// Cancels a request: it may get no answer from now on.
    pub fn cancel(&mut self, id: &str) {
        self.cancelled.insert(id.to_owned());
        self.notify("notifications/cancelled", &format!(r#"{{"requestId":{id},"reason":"enough"}}"#));
    }

    /// Answers a question of a server with a result.
    pub fn reply(&mut self, question: &Message, result: &str) {
        let id = question.id.clone().unwrap();
        self.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#));
    }

    // --- the handshake ---

    /// Introduces the client, which has no abilities.
    pub fn initialize(&mut self, revision: &str) -> Message {
        self.initialize_with(revision, "{}")
    }

    /// Introduces the client with these capabilities (JSON), as one that never looks at a list twice: its first lists
    /// wait for servers for seconds, so that a busy machine does not fail a test.
    pub fn initialize_with(&mut self, revision: &str, capabilities: &str) -> Message {
        self.initialize_as("claude-ai", revision, capabilities)
    }

    /// Introduces the client as one that is kept waiting for a second at most.
    pub fn initialize_in_a_hurry(&mut self) -> Message {
        self.initialize_as("board", "2025-11-25", "{}")
    }

    fn initialize_as(&mut self, name: &str, revision: &str, capabilities: &str) -> Message {
        let answer = self.call(
            "initialize",
            &format!(
                r#"{{"protocolVersion":"{revision}","capabilities":{capabilities},"clientInfo":{{"name":"{name}","version":"1"}}}}"#
            ),
        );
        self.notify("notifications/initialized", "");
        answer
    }

    // --- receiving ---

    /// Reads what has come, up to `until`. False when nothing came before then.
    fn read_one(&mut self, until: Instant) -> bool {
        let patience = until.saturating_duration_since(Instant::now());
        let (line, at) = match self.lines.recv_timeout(patience) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(patience.min(Duration::from_millis(10)));
                return false;
            }
        };
        self.take_line(line, at);
        true
    }

    fn take_line(&mut self, line: Vec<u8>, at: Instant) {
        assert_eq!(line.last(), Some(&b'\n'), "a line without an end");
        assert!(line.len() <= MAX_MESSAGE, "a message of {} bytes", line.len());
        let line = String::from_utf8(line).expect("UTF-8");
        let line = line.trim_end_matches('\n');
        let messages: Vec<Message> = if line.starts_with('[') {
            let elements: Vec<&RawValue> = serde_json::from_str(line).expect("JSON");
            assert!(!elements.is_empty(), "an empty batch");
            elements.iter().map(|element| Message::read(element.get(), at)).collect()
        } else {
            vec![Message::read(line, at)]
        };
        for message in &messages {
            if let (None, Some(id)) = (&message.method, &message.id) {
                *self.answered.entry(id.clone()).or_default() += 1;
            }
        }
        self.unread.extend(messages);
    }

    /// Takes the first message that fits, waiting for it if need be.
    pub fn wait_for(&mut self, what: &str, fits: impl Fn(&Message) -> bool) -> Message {
        match self.within(DEADLINE, fits) {
            Some(message) => message,
            None => panic!(
                "{what} did not come; unread: {:#?}",
                self.unread.iter().map(|message| shorten(&message.raw)).collect::<Vec<_>>()
            ),
        }
    }

    /// Takes the first message that fits, if one comes in time.
    pub fn within(&mut self, patience: Duration, fits: impl Fn(&Message) -> bool) -> Option<Message> {
        let until = Instant::now() + patience;
        let mut looked_at = 0;
        loop {
            if let Some(place) = self.unread[looked_at..].iter().position(&fits) {
                return Some(self.unread.remove(looked_at + place));
            }
            looked_at = self.unread.len();
            if !self.read_one(until) && Instant::now() >= until {
                return None;
            }
        }
    }

    /// Waits for the answer to a request.
    pub fn answer(&mut self, id: &str) -> Message {
        self.wait_for(&format!("the answer to {id}"), |message| message.is_answer_to(id))
    }

    /// Waits for a notification.
    pub fn notification(&mut self, method: &str) -> Message {
        self.wait_for(method, |message| message.id.is_none() && message.method.as_deref() == Some(method))
    }

    /// Waits for a request of Switchboard's.
    pub fn asked(&mut self, method: &str) -> Message {
        self.wait_for(method, |message| message.id.is_some() && message.method.as_deref() == Some(method))
    }

    /// Sends a ping and waits for its answer: whatever Switchboard had to say before is now read. Gives everything
    /// that nobody has taken yet, but for `list_changed`, which comes in its own time.
    pub fn settled(&mut self) -> Vec<&Message> {
        let answer = self.call("ping", "");
        assert_eq!(answer.result.as_deref(), Some("{}"));
        let is_change = |message: &&Message| !message.raw.contains("/list_changed");
        self.unread.iter().filter(is_change).collect()
    }

    /// What came and was not taken, among the lines read so far.
    pub fn unread(&self) -> &[Message] {
        &self.unread
    }

    /// Forgets what came so far.
    pub fn forget(&mut self) {
        self.settled();
        self.unread.clear();
    }

    /// Calls again and again until the answer fits.
    pub fn until(&mut self, method: &str, params: &str, fits: impl Fn(&Message) -> bool) -> Message {
        let until = Instant::now() + DEADLINE;
        loop {
            let answer = self.call(method, params);
            if fits(&answer) {
                return answer;
            }
            assert!(Instant::now() < until, "still: {}", shorten(&answer.raw));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    // --- the servers behind ---

    /// The lines that a server has received so far.
    pub fn received(&self, server: &str) -> Vec<String> {
        received(&self.home, server)
    }

    /// Waits until a server has received a line that fits, and gives it.
    pub fn wait_received(&self, server: &str, fits: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let lines = self.received(server);
            if let Some(line) = lines.iter().find(|line| fits(line)) {
                return line.clone();
            }
            assert!(Instant::now() < until, "`{server}` received only {lines:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Our process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The resident memory of Switchboard in bytes (Linux).
    pub fn resident(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// The processes whose parent is Switchboard; none where there is no `/proc`.
    pub fn children(&self) -> Vec<u32> {
        let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
        let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter(|pid| parent(*pid) == Some(self.pid())).collect()
    }

    // --- the end ---

    /// Closes Switchboard's stdin and checks what must hold at the end of every test. Gives what nobody has taken.
    pub fn close(mut self) -> Vec<Message> {
        let children = self.children();
        drop(self.stdin.take());
        let status = self.exit(CLIENTS_PATIENCE);
        assert_eq!(status, Some(0), "the exit code after stdin was closed");
        let until = Instant::now() + CLIENTS_PATIENCE;
        while let Some(pid) = children.iter().find(|pid| parent(**pid).is_some()) {
            assert!(Instant::now() < until, "process {pid} outlived Switchboard");
            std::thread::sleep(Duration::from_millis(2));
        }
        while let Ok((line, at)) = self.lines.recv() {
            self.take_line(line, at);
        }
        for (id, count) in &self.sent {
            let answers = self.answered.get(id).copied().unwrap_or(0);
            let least = if self.cancelled.contains(id) { 0 } else { *count };
            assert!(
                (least..=*count).contains(&answers),
                "request {id} was sent {count} times and got {answers} answers"
            );
        }
        std::mem::take(&mut self.unread)
    }

    /// Waits for Switchboard to end by itself; its exit code.
    pub fn exit(&mut self, patience: Duration) -> Option<i32> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "Switchboard is still there after {patience:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The parent of a process that is alive (Linux).
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the state and the parent follow it.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?;
    let parent = rest.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(parent)
}

impl Drop for Board {
    fn drop(&mut self) {
        // Only a test that fails comes here with a live process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
