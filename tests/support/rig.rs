//! A real Switchboard in a home of its own, driven over raw lines, with an eye on its processes.
//!
//! [`Setup`] says what is configured, [`Rig`] runs it. Nothing here waits for luck: every wait has a condition and a
//! deadline. However a test ends, [`Rig::finish`] checks what must hold in every one of them: whatever came from stdout
//! is lines of valid JSON of at most 8 MiB, every request has exactly one answer, and no process is left.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of the rig")]

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");
/// No message to a client is longer.
pub const MAX_MESSAGE: usize = 8 << 20;
/// How long a test waits for what must come.
pub const SOON: Duration = Duration::from_secs(10);
/// When Switchboard must be gone after its client left or a signal came.
pub const GONE_WITHIN: Duration = Duration::from_millis(1800);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

pub fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

// === what is configured ===

/// One entry of the config.
pub struct Server {
    name: String,
    entry: Value,
    script: Option<String>,
}

impl Server {
    /// The mock server with a script of `fixtures/mock`.
    pub fn mock(name: &str, fixture: &str) -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mock").join(format!("{fixture}.yaml"));
        assert!(path.exists(), "there is no fixture {fixture}");
        Self::command(name, PROGRAM, &["mock", path.to_str().unwrap()]).watched()
    }

    /// The mock server with a script of the test's own.
    pub fn script(name: &str, script: &str) -> Self {
        let path = format!("${{HOME}}/{name}.yaml");
        let mut server = Self::command(name, PROGRAM, &["mock", &path]).watched();
        let watching = "record: \"{{env.MOCK_RECORD}}\"\nrecord_process: \"{{env.MOCK_PROCESS}}\"\n";
        server.script = Some(format!("{watching}{script}"));
        server
    }

    /// Any program.
    pub fn command(name: &str, command: &str, args: &[&str]) -> Self {
        Self { name: name.to_owned(), entry: json!({ "command": command, "args": args }), script: None }
    }

    /// Any entry.
    pub fn entry(name: &str, entry: Value) -> Self {
        Self { name: name.to_owned(), entry, script: None }
    }

    fn watched(self) -> Self {
        let file = |what: &str| format!("${{HOME}}/{}.{what}", self.name);
        let (record, process, state) = (file("record"), file("process"), file("state"));
        self.env("MOCK_RECORD", &record).env("MOCK_PROCESS", &process).env("MOCK_STATE", &state)
    }

    /// Sets a key of the entry.
    pub fn set(mut self, key: &str, value: Value) -> Self {
        self.entry[key] = value;
        self
    }

    /// Sets a variable of the server.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.entry["env"][name] = json!(value);
        self
    }
}

/// What our stdin and stdout are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipes {
    Pipes,
    /// One pair of sockets for each, as Node makes them.
    Sockets,
}

/// How a Switchboard is started.
pub struct Setup {
    home: TempDir,
    /// `None` leaves the file alone, whatever it is.
    config: Option<String>,
    file: &'static str,
    args: Vec<String>,
    env: Vec<(String, String)>,
    pipes: Pipes,
    through: Option<Vec<String>>,
    stderr: Option<Stdio>,
    own_group: bool,
}

impl Setup {
    /// These servers, and nothing else.
    pub fn of(servers: impl IntoIterator<Item = Server>) -> Self {
        let home = new_home();
        let config = written(home.path(), servers);
        Self::at(home, "switchboard.json", Some(config))
    }

    /// A config as it is written, in the syntax of the file's name.
    pub fn text(file: &'static str, config: impl Into<String>) -> Self {
        Self::at(new_home(), file, Some(config.into()))
    }

    /// `--config` names a file that this setup does not write.
    pub fn unwritten(file: &'static str) -> Self {
        Self::at(new_home(), file, None)
    }

    fn at(home: TempDir, file: &'static str, config: Option<String>) -> Self {
        Self {
            home,
            config,
            file,
            args: Vec::new(),
            env: Vec::new(),
            pipes: Pipes::Pipes,
            through: None,
            stderr: None,
            own_group: false,
        }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Puts these servers into the config file, while Switchboard runs.
    pub fn configure(&self, servers: impl IntoIterator<Item = Server>) {
        replace(self.home(), &written(self.home(), servers));
    }

    /// An argument behind `serve --config FILE`.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// A variable of Switchboard itself.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn pipes(mut self, pipes: Pipes) -> Self {
        self.pipes = pipes;
        self
    }

    /// Starts through a shell that runs this line first, for limits that only a shell can set safely.
    pub fn shell(mut self, line: &str) -> Self {
        self.through = Some(vec!["sh".into(), "-c".into(), format!("{line}; exec \"$@\""), "sh".into()]);
        self
    }

    /// Another place for our stderr than a file that everybody may write.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stderr = Some(stderr.into());
        self
    }

    /// In a process group of its own, as clients start us that kill groups.
    pub fn own_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    /// The command, without its pipes.
    pub fn command(&self) -> Command {
        let config = self.home.path().join(self.file);
        if let Some(text) = &self.config {
            fs::write(&config, text).unwrap();
        }
        let mut line = self.through.clone().unwrap_or_default();
        line.extend([PROGRAM.to_owned(), "serve".into(), "--config".into(), config.to_str().unwrap().into()]);
        line.extend(self.args.iter().cloned());
        let mut command = Command::new(&line[0]);
        command
            .args(&line[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            // Every process below inherits it: that is how they are found.
            .env("HOME", self.home.path())
            .env("SHELL", "/bin/sh")
            .env("SWITCHBOARD_HOME", self.home.path().join("switchboard"))
            .envs(self.env.iter().cloned())
            .current_dir(self.home.path());
        if self.own_group {
            command.process_group(0);
        }
        command
    }

    /// Runs it.
    pub fn start(mut self) -> Rig {
        let mut command = self.command();
        let errors = self.home.path().join("stderr");
        command.stderr(self.stderr.take().unwrap_or_else(|| File::create(&errors).unwrap().into()));
        let begun = Instant::now();
        let (child, input, output): (Child, Box<dyn Write + Send>, OwnedFd) = match self.pipes {
            Pipes::Pipes => {
                let mut child =
                    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
                let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
                (child, Box::new(input), output.into())
            }
            Pipes::Sockets => {
                let (input, theirs_in) = UnixStream::pair().unwrap();
                let (output, theirs_out) = UnixStream::pair().unwrap();
                command.stdin(OwnedFd::from(theirs_in)).stdout(OwnedFd::from(theirs_out));
                (command.spawn().expect("it starts"), Box::new(input), output.into())
            }
        };
        drop(command);
        let flags = OFlag::from_bits_retain(fcntl(&output, FcntlArg::F_GETFL).unwrap());
        fcntl(&output, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
        Rig {
            child,
            begun,
            home: self.home,
            input: Some(input),
            output: Some(File::from(output)),
            buffer: Vec::new(),
            inbox: Inbox::default(),
            next_id: 1,
            status: None,
        }
    }
}

/// The config with these servers, whose scripts are put into the home.
fn written(home: &Path, servers: impl IntoIterator<Item = Server>) -> String {
    let mut entries = serde_json::Map::new();
    for server in servers {
        if let Some(script) = server.script {
            fs::write(home.join(format!("{}.yaml", server.name)), script).unwrap();
        }
        entries.insert(server.name, server.entry);
    }
    serde_json::to_string_pretty(&json!({ "servers": entries })).unwrap()
}

/// Puts this text into the config file at once, as careful editors do.
fn replace(home: &Path, text: &str) {
    let new = home.join("switchboard.json.new");
    fs::write(&new, text).unwrap();
    fs::rename(new, home.join("switchboard.json")).unwrap();
}

fn new_home() -> TempDir {
    tempfile::Builder::new().prefix("switchboard-rig-").tempdir().unwrap()
}

// === what came back ===

/// One line of Switchboard, and when we had it.
#[derive(Clone, Debug)]
pub struct Message {
    pub raw: Vec<u8>,
    pub at: Instant,
}

/// The members of an envelope, unread.
#[derive(serde::Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Message {
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.raw).unwrap_or_else(|error| panic!("{error}: {}", self.show()))
    }

    pub fn show(&self) -> String {
        String::from_utf8_lossy(&self.raw[..self.raw.len().min(2000)]).into_owned()
    }

    /// The text of a tool's answer.
    pub fn text(&self) -> String {
        self.value()["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether a tool says that it failed.
    pub fn is_tool_error(&self) -> bool {
        self.value()["result"]["isError"] == json!(true)
    }

    /// The code of a failure of ours, for example `SB-CALL-001`.
    pub fn code(&self) -> Option<String> {
        let value = self.value();
        let of = |data: &Value| data["code"].as_str().map(str::to_owned);
        of(&value["result"]["_meta"]["switchboard/error"]).or_else(|| of(&value["error"]["data"]))
    }

    /// Fails unless the tool answered well with this text.
    #[track_caller]
    pub fn expect_text(&self, text: &str) {
        assert!(!self.is_tool_error() && self.text() == text, "expected {text:?}, got {}", self.show());
    }

    /// Fails unless this is the failure of a tool call with this code.
    #[track_caller]
    pub fn expect_code(&self, code: &str) -> String {
        assert_eq!(self.code().as_deref(), Some(code), "{}", self.show());
        self.text()
    }
}

/// Everything that came from stdout.
#[derive(Default)]
pub struct Inbox {
    pub answers: HashMap<String, Message>,
    /// Notifications and questions, in order.
    pub others: Vec<(String, Message)>,
    /// What must never be.
    pub faults: Vec<String>,
    /// The requests by id, each with its method or tool.
    asked: HashMap<String, String>,
    cancelled: HashSet<String>,
    pub lines: usize,
    pub longest: usize,
}

impl Inbox {
    fn take(&mut self, raw: Vec<u8>) {
        self.lines += 1;
        self.longest = self.longest.max(raw.len());
        if raw.len() > MAX_MESSAGE {
            self.faults.push(format!("a line of {} bytes", raw.len()));
        }
        let message = Message { at: Instant::now(), raw };
        // Borrowed texts are not decoded, so depth, surrogates and numbers cannot fail here; what is no JSON does.
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(&message.raw) else {
            return self.faults.push(format!("no JSON-RPC: {}", message.show()));
        };
        match (envelope.method, envelope.id.map(|id| id.get().to_owned())) {
            (Some(method), _) => self.others.push((method, message)),
            (None, Some(id)) if envelope.result.is_some() != envelope.error.is_some() => {
                if id != "null" && !self.asked.contains_key(&id) {
                    self.faults.push(format!("an answer to nobody: {}", message.show()));
                }
                if id != "null" && self.answers.insert(id.clone(), message).is_some() {
                    self.faults.push(format!("a second answer to {id}"));
                }
            }
            (None, _) => self.faults.push(format!("neither an answer nor a request: {}", message.show())),
        }
    }

    /// The notifications of this method.
    pub fn notices(&self, method: &str) -> Vec<&Message> {
        self.others.iter().filter(|(name, _)| name == method).map(|(_, message)| message).collect()
    }
}

// === a running one ===

pub struct Rig {
    child: Child,
    pub begun: Instant,
    home: TempDir,
    input: Option<Box<dyn Write + Send>>,
    output: Option<File>,
    buffer: Vec<u8>,
    pub inbox: Inbox,
    next_id: u64,
    status: Option<ExitStatus>,
}

impl Rig {
    /// These servers, after the handshake and the first list.
    pub fn of(servers: impl IntoIterator<Item = Server>) -> Self {
        let mut rig = Setup::of(servers).start();
        rig.hello();
        rig.tools();
        rig
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    // --- configuring ---

    /// Puts these servers into the config file, while Switchboard runs.
    pub fn configure(&self, servers: impl IntoIterator<Item = Server>) {
        self.configure_text(&written(self.home(), servers));
    }

    /// Puts this text into the config file.
    pub fn configure_text(&self, text: &str) {
        replace(self.home(), text);
    }

    // --- talking ---

    /// Sends bytes as they are.
    #[track_caller]
    pub fn raw(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("stdin is open");
        input.write_all(bytes).and_then(|()| input.flush()).expect("Switchboard reads");
    }

    /// Sends a request and gives its id.
    #[track_caller]
    pub fn request(&mut self, method: &str, params: Value) -> String {
        let id = self.next_id.to_string();
        self.next_id += 1;
        let label = params["name"].as_str().unwrap_or(method).to_owned();
        self.inbox.asked.insert(id.clone(), label);
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        self.raw(format!("{line}\n").as_bytes());
        id
    }

    /// Sends many calls of one tool in one write, without waiting for any answer.
    #[track_caller]
    pub fn burst(&mut self, tool: &str, arguments: &Value, count: usize) -> Vec<String> {
        let mut text = String::new();
        let ids: Vec<String> = (0..count)
            .map(|_| {
                let id = self.next_id.to_string();
                self.next_id += 1;
                self.inbox.asked.insert(id.clone(), tool.to_owned());
                let params = json!({ "name": tool, "arguments": arguments });
                let line =
                    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#);
                text.push_str(&line);
                text.push('\n');
                id
            })
            .collect();
        self.raw(text.as_bytes());
        ids
    }

    #[track_caller]
    pub fn notify(&mut self, method: &str, params: Value) {
        self.raw(format!("{}\n", json!({ "jsonrpc": "2.0", "method": method, "params": params })).as_bytes());
    }

    /// Cancels a request: it need not be answered.
    #[track_caller]
    pub fn cancel(&mut self, id: &str) {
        self.inbox.cancelled.insert(id.to_owned());
        let params: Value = serde_json::from_str(&format!(r#"{{"requestId":{id}}}"#)).unwrap();
        self.notify("notifications/cancelled", params);
    }

    /// Does the handshake as a client without abilities.
    #[track_caller]
    pub fn hello(&mut self) -> Message {
        self.hello_as(json!({}))
    }

    #[track_caller]
    pub fn hello_as(&mut self, capabilities: Value) -> Message {
        let id = self.request(
            "initialize",
            json!({
                "protocolVersion": "2025-11-25", "capabilities": capabilities,
                "clientInfo": { "name": "rig", "version": "1" }
            }),
        );
        let answer = self.answer(&id);
        self.notify("notifications/initialized", json!({}));
        answer
    }

    #[track_caller]
    pub fn call(&mut self, tool: &str, arguments: Value) -> String {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Waits for the answer to a request.
    #[track_caller]
    pub fn answer(&mut self, id: &str) -> Message {
        self.answer_within(id, SOON)
    }

    #[track_caller]
    pub fn answer_within(&mut self, id: &str, patience: Duration) -> Message {
        self.until(&format!("the answer to {id}"), patience, |rig| rig.inbox.answers.get(id).cloned())
    }

    /// Waits for all of these answers.
    #[track_caller]
    pub fn answers(&mut self, ids: &[String], patience: Duration) -> Vec<Message> {
        let mut missing: &[String] = ids;
        self.until(&format!("{} answers", ids.len()), patience, |rig| {
            while missing.first().is_some_and(|id| rig.inbox.answers.contains_key(id)) {
                missing = &missing[1..];
            }
            missing.is_empty().then_some(())
        });
        ids.iter().map(|id| self.inbox.answers[id].clone()).collect()
    }

    /// Calls a tool and waits for its answer.
    #[track_caller]
    pub fn ask(&mut self, tool: &str, arguments: Value) -> Message {
        let id = self.call(tool, arguments);
        self.answer(&id)
    }

    /// Calls `<server>__echo` and fails unless it answers well within `patience`.
    #[track_caller]
    pub fn echo_within(&mut self, server: &str, patience: Duration) -> Duration {
        let begun = Instant::now();
        let id = self.call(&format!("{server}__echo"), json!({ "input": "are you there" }));
        let answer = self.answer_within(&id, patience);
        assert!(answer.text().starts_with("are you there"), "{}", answer.show());
        answer.at - begun
    }

    /// Calls `<server>__echo` and fails unless it answers well.
    #[track_caller]
    pub fn echo(&mut self, server: &str) -> Duration {
        self.echo_within(server, SOON)
    }

    /// The names of all tools.
    #[track_caller]
    pub fn tools(&mut self) -> Vec<String> {
        let id = self.request("tools/list", json!({}));
        let list = self.answer(&id).value();
        let tools = list["result"]["tools"].as_array().expect("a list of tools").clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What `switchboard__status` says.
    #[track_caller]
    pub fn status(&mut self) -> String {
        self.ask("switchboard__status", json!({})).text()
    }

    /// What it says about one server.
    #[track_caller]
    pub fn status_of(&mut self, server: &str) -> String {
        self.ask("switchboard__status", json!({ "server": server })).text()
    }

    /// Waits until the status of a server contains this.
    #[track_caller]
    pub fn await_status(&mut self, server: &str, part: &str) -> String {
        let begun = Instant::now();
        loop {
            let status = self.status_of(server);
            if status.contains(part) {
                return status;
            }
            assert!(begun.elapsed() < SOON, "the status of {server} never had {part:?}; it is: {status}");
            thread::sleep(LOOK);
        }
    }

    /// Fails if anything came but answers, and notices of changed lists.
    #[track_caller]
    pub fn expect_silence(&self) {
        let loud = self.inbox.others.iter().find(|(method, _)| !method.ends_with("list_changed"));
        assert!(loud.is_none(), "{}", loud.map(|(_, message)| message.show()).unwrap_or_default());
    }

    // --- waiting ---

    /// Reads what is there, for at most `patience`. Gives false when stdout has ended.
    pub fn read_for(&mut self, patience: Duration) -> bool {
        let Some(mut output) = self.output.as_ref() else {
            thread::sleep(patience);
            return false;
        };
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut wanted = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut wanted, timeout);
        let mut chunk = vec![0; 256 * 1024];
        let scanned = self.buffer.len();
        let open = loop {
            match output.read(&mut chunk) {
                Ok(0) => break false,
                Ok(length) => self.buffer.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("stdout cannot be read: {error}"),
            }
        };
        self.cut_lines(scanned);
        if !open {
            self.output = None;
            if !self.buffer.is_empty() {
                let rest = String::from_utf8_lossy(&self.buffer).into_owned();
                self.inbox.faults.push(format!("stdout ends in the middle of a line: {rest:.200}"));
            }
        }
        open
    }

    fn cut_lines(&mut self, scanned: usize) {
        let mut from = 0;
        while let Some(end) = memchr::memchr(b'\n', &self.buffer[from.max(scanned)..]) {
            let end = from.max(scanned) + end;
            self.inbox.take(self.buffer[from..end].to_vec());
            from = end + 1;
        }
        self.buffer.drain(..from);
    }

    /// Reads until `found` gives something; fails after `patience` and says what was waited for.
    #[track_caller]
    pub fn until<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut found: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            if begun.elapsed() > patience {
                let faults = self.inbox.faults.join("\n");
                let last: Vec<String> =
                    self.inbox.others.iter().rev().take(3).map(|(_, message)| message.show()).collect();
                let open: Vec<(&String, &String)> = self
                    .inbox
                    .asked
                    .iter()
                    .filter(|(id, _)| {
                        !self.inbox.answers.contains_key(*id) && !self.inbox.cancelled.contains(*id)
                    })
                    .take(20)
                    .collect();
                panic!(
                    "open: {open:?}; no {what} within {patience:?}\nfaults: {faults}\nlast notices: {last:?}\nstderr: {}",
                    self.stderr()
                );
            }
            self.read_for(LOOK);
        }
    }

    // --- looking ---

    /// What Switchboard wrote to its stderr.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.home().join("stderr")).unwrap_or_default()
    }

    /// The log that Switchboard keeps of a server.
    pub fn server_log(&self, server: &str) -> String {
        let path = self.state().join(format!("logs/servers/{server}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Where Switchboard keeps its state.
    pub fn state(&self) -> PathBuf {
        let home = self.home().join("switchboard");
        let inner = home.join("state");
        if inner.exists() { inner } else { home }
    }

    /// The lines that a mock server received.
    pub fn received(&self, server: &str) -> Vec<String> {
        let text = fs::read(self.home().join(format!("{server}.record"))).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    /// What a mock server noted of each of its starts.
    pub fn starts(&self, server: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.home().join(format!("{server}.process"))).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The process id of a mock server's last start.
    pub fn pid_of(&self, server: &str) -> i32 {
        self.starts(server).last().and_then(|start| start["pid"].as_i64()).expect("it has started") as i32
    }

    /// Every living process below this Switchboard that carries its environment: servers and whatever they started.
    pub fn family(&self) -> Vec<Process> {
        let mark = format!("HOME={}", self.home().display());
        processes().filter(|process| process.pid != self.pid() && process.has_variable(&mark)).collect()
    }

    /// The children of Switchboard that carry no environment: its sidecar.
    pub fn sidecars(&self) -> Vec<Process> {
        processes()
            .filter(|process| process.ppid == self.pid() && process.command_line().contains("__reap"))
            .collect()
    }

    // --- ending ---

    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// The client no longer reads.
    pub fn close_output(&mut self) {
        self.output = None;
        self.buffer.clear();
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it runs");
    }

    /// Waits until Switchboard has ended, and reads the rest of its stdout.
    #[track_caller]
    pub fn ended_within(&mut self, patience: Duration) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        while self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
            assert!(
                begun.elapsed() < patience,
                "Switchboard still runs after {patience:?}: {}",
                self.stderr()
            );
            self.read_for(millis(2));
        }
        let took = begun.elapsed();
        (self.status.unwrap(), took)
    }

    /// Closes stdin, waits for a good end and checks what must hold in every test. Gives how long the end took.
    #[track_caller]
    pub fn finish(mut self) -> Duration {
        self.close_input();
        let (status, took) = self.ended_within(GONE_WITHIN);
        assert_eq!(status.code(), Some(0), "{status}: {}", self.stderr());
        self.check(millis(2000));
        took
    }

    /// What must hold after the end, however it came: clean lines, one answer to each request, nobody left.
    #[track_caller]
    pub fn check(&mut self, patience: Duration) {
        let begun = Instant::now();
        while self.read_for(LOOK) && begun.elapsed() < patience {}
        assert!(self.inbox.faults.is_empty(), "{:#?}\n{}", self.inbox.faults, self.stderr());
        let missing: Vec<(&String, &String)> = self
            .inbox
            .asked
            .iter()
            .filter(|(id, _)| !self.inbox.answers.contains_key(*id) && !self.inbox.cancelled.contains(*id))
            .collect();
        assert!(missing.is_empty(), "requests without an answer: {missing:?}");
        self.check_nobody_left(begun + patience);
    }

    /// Requests that nobody need answer any more: the client that made them is gone.
    pub fn forget_open(&mut self) {
        let open: Vec<String> =
            self.inbox.asked.keys().filter(|id| !self.inbox.answers.contains_key(*id)).cloned().collect();
        self.inbox.cancelled.extend(open);
    }

    #[track_caller]
    pub fn check_nobody_left(&self, deadline: Instant) {
        loop {
            let left = self.family();
            if left.is_empty() {
                return;
            }
            let shown: Vec<String> = left.iter().map(Process::show).collect();
            assert!(Instant::now() < deadline, "processes are left: {shown:#?}");
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Rig {
    /// A failed test leaves nobody behind. Only processes with this rig's own home are touched.
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for process in self.family() {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
    }
}

/// The signal that ended a process, or its exit code, as one number as shells show it.
pub fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

// === processes ===

/// A process as `/proc` shows it.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    pub ppid: i32,
    pub state: char,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        Some(Self { pid, ppid: fields.next()?.parse().ok()?, state })
    }

    fn has_variable(&self, variable: &str) -> bool {
        fs::read(format!("/proc/{}/environ", self.pid))
            .is_ok_and(|text| text.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes()))
    }

    /// Whose child it is: `<run>/<server>/<number of the child>`.
    pub fn mark(&self) -> Option<String> {
        let text = fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let mut entries = text.split(|byte| *byte == 0);
        let mark = entries.find_map(|entry| entry.strip_prefix(b"SWITCHBOARD_CHILD="))?;
        Some(String::from_utf8_lossy(mark).into_owned())
    }

    pub fn command_line(&self) -> String {
        let text = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&text).replace('\0', " ")
    }

    pub fn show(&self) -> String {
        format!("{} (of {}, {}) {} {:?}", self.pid, self.ppid, self.state, self.command_line(), self.mark())
    }
}

/// All living processes; zombies are not.
pub fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Process::read)
        .filter(|process| !matches!(process.state, 'Z' | 'X'))
}

/// The children of a process that have ended and that it has not waited for.
pub fn zombies_of(pid: i32) -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Process::read)
        .filter(|process| process.ppid == pid && process.state == 'Z')
        .count()
}

pub fn is_alive(pid: i32) -> bool {
    Process::read(pid).is_some_and(|process| !matches!(process.state, 'Z' | 'X'))
}

/// A number of `/proc/<pid>/status` in MiB: `VmRSS` is the memory in use, `VmHWM` the most that ever was.
pub fn memory_mib(pid: i32, what: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':')).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
}

/// How many descriptors a process has open.
pub fn open_files(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}
