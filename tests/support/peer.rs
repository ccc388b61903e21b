//! One client for both eras and both transports: legacy sessions and modern requests, over stdio and over HTTP.
//!
//! ```ignore
//! let house = House::stdio(Setup::new().server("a", "asks"));
//! let peer = house.peer("2026-07-28");
//! let answer = peer.converse("tools/call", json!({ "name": "a__form" }), |question| json!({ "action": "decline" }));
//! house.close();
//! ```
//!
//! Whatever comes is read strictly: a line that is not JSON-RPC, an answer to nobody, a second answer, and over HTTP anything that
//! came on another request's stream are faults, and [`House::close`] fails for each of them. It also checks that Switchboard ends
//! well, and its servers with it.
#![allow(dead_code, reason = "every test binary uses a part of it")]
#![allow(unreachable_pub, reason = "a module of a test binary has no outside")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::board::{DEADLINE, MAX_MESSAGE, Message, Setup};

/// The revision without a handshake.
pub const MODERN: &str = "2026-07-28";
/// Those with one, oldest first.
pub const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// All of them, oldest first.
pub const REVISIONS: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN];

/// A script of `fixtures/mock/` for [`Setup::script`], speaking these revisions alone: a name, or a list in brackets.
pub fn speaking(revisions: &str, fixture: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mock").join(format!("{fixture}.yaml"));
    let text = std::fs::read_to_string(path).unwrap();
    let replaced = ["revisions:", "record:", "record_process:"];
    let kept = text.lines().filter(|line| !replaced.iter().any(|key| line.starts_with(key)));
    let kept: Vec<&str> = kept.collect();
    format!("revisions: {revisions}\n{}\n", kept.join("\n"))
}

/// A list of the legacy revisions, for [`speaking`].
pub const EVERY_LEGACY: &str = "[ 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25 ]";

/// A list of all revisions, for [`speaking`].
pub const EVERY: &str = "[ 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28 ]";

/// The prefix of what belongs to a hop.
pub const HOP: &str = "io.modelcontextprotocol/";

/// Everything that a client of this revision may declare and that concerns servers.
pub fn everything(revision: &str) -> Value {
    match revision {
        "2024-11-05" | "2025-03-26" => json!({ "roots": {}, "sampling": {} }),
        "2025-06-18" => json!({ "roots": {}, "sampling": {}, "elicitation": {} }),
        _ => json!({ "roots": {}, "sampling": { "tools": {} }, "elicitation": { "form": {}, "url": {} } }),
    }
}

// === what came ===

/// Everything that came to a client and nobody has taken yet.
#[derive(Default)]
pub struct Inbox {
    state: Mutex<Heard>,
    changed: Condvar,
}

#[derive(Default)]
struct Heard {
    answers: HashMap<String, Message>,
    others: Vec<Message>,
    /// The ids of requests that may be answered yet.
    open: HashSet<String>,
    /// The open requests that want progress, by token.
    progressing: HashMap<String, String>,
    faults: Vec<String>,
    ended: bool,
}

impl Inbox {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, what: String) {
        self.heard().faults.push(what);
        self.changed.notify_all();
    }

    /// Takes in what came. `on` is the request on whose stream it came, over HTTP.
    fn take(&self, raw: &str, on: Option<&str>) {
        if raw.len() > MAX_MESSAGE {
            return self.fault(format!("a message of {} bytes", raw.len()));
        }
        let read = std::panic::catch_unwind(|| Message::read(raw, Instant::now()));
        let Ok(message) = read else { return self.fault(format!("not JSON-RPC: {raw:.300}")) };
        let mut heard = self.heard();
        if let Some(method) = &message.method {
            if method == "notifications/progress" {
                let token = message.params()["progressToken"].to_string();
                let whose = heard.progressing.get(&token);
                if whose.is_none_or(|whose| on.is_some_and(|on| on != whose)) {
                    let fault = format!("progress that nobody waits for, on {on:?}: {raw:.300}");
                    heard.faults.push(fault);
                }
            }
            heard.others.push(message);
        } else {
            let id = message.id.clone().unwrap_or_default();
            if on.is_some_and(|on| on != id && id != "null") {
                heard.faults.push(format!("on the stream of {on:?}: {raw:.300}"));
            } else if id != "null" && !heard.open.remove(&id) {
                heard.faults.push(format!("an answer that nobody waits for: {raw:.300}"));
            } else {
                heard.progressing.retain(|_, whose| *whose != id);
                let key = if id == "null" { on.unwrap_or("null").to_owned() } else { id };
                heard.answers.insert(key, message);
            }
        }
        drop(heard);
        self.changed.notify_all();
    }

    /// Waits until `found` gives something; `None` when the time is up.
    fn wait<T>(&self, patience: Duration, mut found: impl FnMut(&mut Heard) -> Option<T>) -> Option<T> {
        let end = Instant::now() + patience;
        let mut heard = self.heard();
        loop {
            if let Some(found) = found(&mut heard) {
                return Some(found);
            }
            let left = end.checked_duration_since(Instant::now()).filter(|_| !heard.ended)?;
            let waited = self.changed.wait_timeout(heard, left);
            heard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn show(&self) -> String {
        let heard = self.heard();
        let others: Vec<String> =
            heard.others.iter().rev().take(5).map(|message| format!("{:.300}", message.raw)).collect();
        let open: Vec<&String> = heard.open.iter().take(10).collect();
        let ended = if heard.ended { "; the output has ended" } else { "" };
        format!("open: {open:?}; faults: {:#?}; last unread: {others:#?}{ended}", heard.faults)
    }
}

// === a running Switchboard ===

/// A Switchboard and its folder.
pub struct House {
    pub setup: Setup,
    child: Child,
    stdin: Option<Arc<Mutex<Option<ChildStdin>>>>,
    address: Option<SocketAddr>,
    inbox: Arc<Inbox>,
    inboxes: Mutex<Vec<Arc<Inbox>>>,
    ids: Arc<AtomicU64>,
    stderr: Arc<Mutex<String>>,
}

impl House {
    /// Serves on stdio.
    pub fn stdio(setup: Setup) -> Self {
        let command = setup.command();
        Self::start(setup, command, true)
    }

    /// Serves over HTTP alone, at an address that the system chooses.
    pub fn http(setup: Setup) -> Self {
        let mut command = setup.command();
        command.args(["--http", "127.0.0.1:0"]);
        Self::start(setup, command, false)
    }

    /// Serves over HTTP or on stdio.
    pub fn over(http: bool, setup: Setup) -> Self {
        if http { Self::http(setup) } else { Self::stdio(setup) }
    }

    fn start(setup: Setup, mut command: Command, stdio: bool) -> Self {
        let (input, output) =
            if stdio { (Stdio::piped(), Stdio::piped()) } else { (Stdio::null(), Stdio::null()) };
        let mut child =
            command.stdin(input).stdout(output).stderr(Stdio::piped()).spawn().expect("Switchboard starts");
        let inbox = Arc::new(Inbox::default());
        if let Some(output) = child.stdout.take() {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || {
                for line in BufReader::with_capacity(1 << 16, output).split(b'\n') {
                    let Ok(line) = line else { break };
                    match String::from_utf8(line) {
                        Ok(line) => inbox.take(&line, None),
                        Err(_) => inbox.fault("a line that is not UTF-8".to_owned()),
                    }
                }
                inbox.heard().ended = true;
                inbox.changed.notify_all();
            });
        }
        let stderr = Arc::new(Mutex::new(String::new()));
        let (address, found) = std::sync::mpsc::channel();
        let errors = child.stderr.take().unwrap();
        let kept = Arc::clone(&stderr);
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("serving MCP at http://") {
                    let _ = address.send(url.trim_end_matches("/mcp").parse::<SocketAddr>().unwrap());
                }
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let stdin = child.stdin.take().map(|stdin| Arc::new(Mutex::new(Some(stdin))));
        let address = (!stdio).then(|| found.recv_timeout(DEADLINE).expect("an address"));
        Self {
            setup,
            child,
            stdin,
            address,
            inboxes: Mutex::new(vec![Arc::clone(&inbox)]),
            inbox,
            ids: Arc::new(AtomicU64::new(1)),
            stderr,
        }
    }

    /// A client of this revision that can do everything.
    pub fn peer(&self, revision: &'static str) -> Peer {
        self.peer_with(revision, everything(revision))
    }

    /// A client of this revision with these capabilities. On stdio there may be one legacy client, and any number of modern ones.
    pub fn peer_with(&self, revision: &'static str, capabilities: Value) -> Peer {
        let peer = self.stranger(revision, capabilities, None);
        if revision != MODERN {
            peer.initialize();
        }
        peer
    }

    /// The same with a bearer token, and without the handshake.
    pub fn stranger(&self, revision: &'static str, capabilities: Value, token: Option<&str>) -> Peer {
        let (way, inbox) = match (&self.stdin, self.address) {
            (Some(stdin), _) => (Way::Stdio(Arc::clone(stdin)), Arc::clone(&self.inbox)),
            (None, Some(address)) => {
                let inbox = Arc::new(Inbox::default());
                self.inboxes.lock().unwrap().push(Arc::clone(&inbox));
                (Way::Http(address), inbox)
            }
            (None, None) => unreachable!("served somehow"),
        };
        Peer {
            revision,
            capabilities,
            way,
            inbox,
            ids: Arc::clone(&self.ids),
            token: token.map(str::to_owned),
            session: Mutex::default(),
            streams: Arc::default(),
        }
    }

    /// The address of the HTTP face.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("served over HTTP")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// The messages that a mock server has received so far, parsed.
    pub fn received(&self, server: &str) -> Vec<Value> {
        let line = |line: &String| serde_json::from_str(line).unwrap_or(Value::Null);
        self.setup.received(server).iter().map(line).collect()
    }

    /// Waits until a server has received so many messages that fit; gives them.
    pub fn await_received(&self, server: &str, count: usize, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let until = Instant::now() + DEADLINE;
        loop {
            let mut messages = self.received(server);
            messages.retain(&fits);
            if messages.len() >= count {
                return messages;
            }
            let all: Vec<String> =
                self.received(server).iter().rev().take(8).map(|line| format!("{line:.300}")).collect();
            assert!(
                Instant::now() < until,
                "`{server}` received {} of {count}; last: {all:#?}",
                messages.len()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The client on stdio leaves.
    pub fn hang_up(&self) {
        if let Some(stdin) = &self.stdin {
            stdin.lock().unwrap().take();
        }
    }

    /// What came and should not have, so far.
    pub fn faults(&self) -> Vec<String> {
        self.inboxes.lock().unwrap().iter().flat_map(|inbox| inbox.heard().faults.clone()).collect()
    }

    /// Ends Switchboard as clients do, by the end of its input or by SIGTERM, and checks what must hold after every test.
    #[track_caller]
    pub fn close(mut self) {
        let servers = children(self.pid());
        match &self.stdin {
            Some(_) => self.hang_up(),
            None => signal(self.pid()),
        }
        let until = Instant::now() + Duration::from_secs(5);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "Switchboard does not end: {}", self.stderr());
            thread::sleep(Duration::from_millis(2));
        };
        assert_eq!(status.code(), Some(0), "{status}: {}", self.stderr());
        while let Some(pid) = servers.iter().find(|pid| parent(**pid).is_some()) {
            assert!(Instant::now() < until, "process {pid} outlived Switchboard");
            thread::sleep(Duration::from_millis(2));
        }
        if self.stdin.is_some() {
            self.inbox.wait(DEADLINE, |heard| heard.ended.then_some(()));
        }
        let faults = self.faults();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // Only a test that fails comes here with a live process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(pid: u32) {
    use nix::sys::signal::{Signal, kill};
    let _ = kill(nix::unistd::Pid::from_raw(pid as i32), Signal::SIGTERM);
}

/// The living children of a process (Linux).
pub fn children(of: u32) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| parent(*pid) == Some(of)).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?;
    let parent = rest.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(parent)
}

/// How many descriptors a process has open (Linux).
pub fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The resident memory of a process in KiB (Linux).
pub fn resident_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or_default()
}

// === a client ===

/// A client. It may be used by several threads.
pub struct Peer {
    pub revision: &'static str,
    pub capabilities: Value,
    way: Way,
    inbox: Arc<Inbox>,
    ids: Arc<AtomicU64>,
    token: Option<String>,
    session: Mutex<Option<String>>,
    /// The connections of open requests, by id.
    streams: Arc<Mutex<BTreeMap<String, TcpStream>>>,
}

#[derive(Clone)]
enum Way {
    Stdio(Arc<Mutex<Option<ChildStdin>>>),
    Http(SocketAddr),
}

/// A question of a server in the middle of a call.
#[derive(Clone, Debug)]
pub struct Question {
    /// Its key among the `inputRequests`, or the id of the request.
    pub key: String,
    pub method: String,
    pub params: Value,
}

impl Peer {
    pub fn is_modern(&self) -> bool {
        self.revision == MODERN
    }

    pub fn is_http(&self) -> bool {
        matches!(self.way, Way::Http(_))
    }

    /// An id that nobody has used.
    pub fn fresh_id(&self) -> String {
        self.ids.fetch_add(1, Ordering::Relaxed).to_string()
    }

    // --- the handshake of the legacy era ---

    /// Introduces a legacy client; the whole answer. Over HTTP the standing stream is opened, too.
    pub fn initialize(&self) -> Message {
        let answer = self.call(
            "initialize",
            json!({ "protocolVersion": self.revision, "capabilities": self.capabilities,
                    "clientInfo": { "name": "claude-ai", "version": "1" } }),
        );
        self.notify("notifications/initialized", Value::Null);
        if let Way::Http(address) = self.way {
            let get = Request { method: "GET", body: String::new(), headers: self.headers(None) };
            let inbox = Arc::clone(&self.inbox);
            let streams = Arc::clone(&self.streams);
            thread::spawn(move || {
                let event = |message: &str| inbox.take(message, None);
                let _ = get.send(
                    address,
                    |stream| drop(streams.lock().unwrap().insert("get".into(), stream)),
                    event,
                );
            });
        }
        answer
    }

    /// The id of the session, over HTTP.
    pub fn session(&self) -> Option<String> {
        self.session.lock().unwrap().clone()
    }

    // --- sending ---

    /// The params of a request as this client sends them: a modern one says what it is.
    pub fn dressed(&self, mut params: Value) -> Value {
        if !self.is_modern() {
            return params;
        }
        if !params.is_object() {
            params = json!({});
        }
        let given = params["_meta"].take();
        let mut meta = json!({ format!("{HOP}protocolVersion"): self.revision,
                               format!("{HOP}clientInfo"): { "name": "peer", "version": "1" },
                               format!("{HOP}clientCapabilities"): self.capabilities });
        for (key, value) in given.as_object().into_iter().flatten() {
            meta[key] = value.clone();
        }
        params["_meta"] = meta;
        params
    }

    /// Sends a request under an id (JSON text), with what its era demands.
    pub fn request(&self, id: &str, method: &str, params: Value) {
        let params = self.dressed(params);
        if let Some(token) = params["_meta"].get("progressToken") {
            self.inbox.heard().progressing.insert(token.to_string(), id.to_owned());
        }
        let mut message = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}""#);
        if !params.is_null() {
            message.push_str(&format!(r#","params":{params}"#));
        }
        message.push('}');
        self.send(Some(id), &message, self.headers(Some((method, &params))));
    }

    /// Sends a request and gives its id.
    pub fn ask(&self, method: &str, params: Value) -> String {
        let id = self.fresh_id();
        self.request(&id, method, params);
        id
    }

    /// Sends a request and waits for its answer.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Message {
        let id = self.ask(method, params);
        self.answer(&id)
    }

    /// Calls a tool and waits for the answer.
    #[track_caller]
    pub fn tool(&self, name: &str, arguments: Value) -> Message {
        self.call("tools/call", json!({ "name": name, "arguments": arguments }))
    }

    pub fn notify(&self, method: &str, params: Value) {
        let mut message = json!({ "jsonrpc": "2.0", "method": method });
        if !params.is_null() {
            message["params"] = params;
        }
        self.send(None, &message.to_string(), self.headers(None));
    }

    /// Gives a request up in the way of the era and the transport. No answer is awaited any more.
    ///
    /// What the server said before it knew may still come.
    pub fn cancel(&self, id: &str) {
        self.inbox.heard().open.remove(id);
        if self.is_http() && self.is_modern() {
            if let Some(stream) = self.streams.lock().unwrap().remove(id) {
                let _ = stream.shutdown(Shutdown::Both);
            }
            return;
        }
        let id: Value = serde_json::from_str(id).unwrap();
        self.notify("notifications/cancelled", json!({ "requestId": id, "reason": "enough" }));
    }

    /// Answers a legacy question.
    pub fn respond(&self, question: &str, result: &Value) {
        let message = format!(r#"{{"jsonrpc":"2.0","id":{question},"result":{result}}}"#);
        self.send(None, &message, self.headers(None));
    }

    /// Answers a legacy question with an error.
    pub fn respond_error(&self, question: &str, error: &Value) {
        let message = format!(r#"{{"jsonrpc":"2.0","id":{question},"error":{error}}}"#);
        self.send(None, &message, self.headers(None));
    }

    /// Sends a text as it is. `id` is the request in it that will be answered.
    pub fn send(&self, id: Option<&str>, message: &str, headers: Vec<(String, String)>) {
        if let Some(id) = id {
            self.inbox.heard().open.insert(id.to_owned());
        }
        match &self.way {
            Way::Stdio(stdin) => {
                let mut stdin = stdin.lock().unwrap();
                let stdin = stdin.as_mut().expect("stdin is open");
                stdin.write_all(format!("{message}\n").as_bytes()).expect("Switchboard reads");
            }
            Way::Http(address) => self.post(*address, id, message, headers),
        }
    }

    fn post(&self, address: SocketAddr, id: Option<&str>, message: &str, headers: Vec<(String, String)>) {
        let request = Request { method: "POST", body: message.to_owned(), headers };
        let is_initialize = message.contains(r#""method":"initialize""#);
        let Some(id) = id.map(str::to_owned) else {
            let reply = request.send(address, |_| {}, |_| {}).expect("an HTTP answer");
            if reply.status != 202 {
                self.inbox.fault(format!("status {} to {message:.300}: {:.300}", reply.status, reply.body));
            }
            return;
        };
        let (inbox, streams) = (Arc::clone(&self.inbox), Arc::clone(&self.streams));
        let run = move || {
            let keep = |stream| drop(streams.lock().unwrap().insert(id.clone(), stream));
            let reply = request.send(address, keep, |event| inbox.take(event, Some(&id)));
            streams.lock().unwrap().remove(&id);
            let reply = reply.ok()?;
            if !reply.is_stream {
                inbox.take(&reply.body, Some(&id));
            }
            reply.header("mcp-session-id")
        };
        if is_initialize {
            *self.session.lock().unwrap() = run();
        } else {
            thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap();
        }
    }

    /// The HTTP headers of a message.
    pub fn headers(&self, request: Option<(&str, &Value)>) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
        add("Accept", "application/json, text/event-stream");
        if let Some(token) = &self.token {
            add("Authorization", &format!("Bearer {token}"));
        }
        if let Some(session) = &*self.session.lock().unwrap() {
            add("Mcp-Session-Id", session);
            add("MCP-Protocol-Version", self.revision);
        }
        if self.is_modern() {
            add("MCP-Protocol-Version", self.revision);
            if let Some((method, params)) = request {
                add("Mcp-Method", method);
                let named = match method {
                    "tools/call" | "prompts/get" => params["name"].as_str(),
                    "resources/read" => params["uri"].as_str(),
                    "tasks/get" | "tasks/update" | "tasks/cancel" => params["taskId"].as_str(),
                    _ => None,
                };
                named.into_iter().for_each(|name| add("Mcp-Name", name));
            }
        }
        headers
    }

    // --- receiving ---

    /// Waits for the answer to a request.
    #[track_caller]
    pub fn answer(&self, id: &str) -> Message {
        let found = self.inbox.wait(DEADLINE, |heard| heard.answers.remove(id));
        found.unwrap_or_else(|| panic!("{} had no answer to {id}; {}", self.revision, self.inbox.show()))
    }

    /// The answer to a request, if it comes in time.
    pub fn answer_within(&self, patience: Duration, id: &str) -> Option<Message> {
        self.inbox.wait(patience, |heard| heard.answers.remove(id))
    }

    /// Takes the first request or notification of Switchboard's that fits.
    #[track_caller]
    pub fn hear(&self, what: &str, fits: impl Fn(&Message) -> bool) -> Message {
        let found = self.hear_within(DEADLINE, fits);
        found.unwrap_or_else(|| panic!("{} did not hear {what}; {}", self.revision, self.inbox.show()))
    }

    /// The same, if it comes in time.
    pub fn hear_within(&self, patience: Duration, fits: impl Fn(&Message) -> bool) -> Option<Message> {
        self.inbox.wait(patience, |heard| {
            let place = heard.others.iter().position(&fits)?;
            Some(heard.others.remove(place))
        })
    }

    /// Takes the first notification of this method.
    #[track_caller]
    pub fn notification(&self, method: &str) -> Message {
        self.hear(method, |message| message.id.is_none() && message.method.as_deref() == Some(method))
    }

    /// Takes everything that came so far and is no answer. What was written before the answer to the last request is here.
    pub fn heard(&self) -> Vec<Message> {
        std::mem::take(&mut self.inbox.heard().others)
    }

    /// Takes what came so far, is no answer and fits.
    pub fn heard_of(&self, fits: impl Fn(&Message) -> bool) -> Vec<Message> {
        let mut heard = self.inbox.heard();
        let (taken, left) = std::mem::take(&mut heard.others).into_iter().partition(fits);
        heard.others = left;
        taken
    }

    /// Calls, and answers whatever is asked in the middle of the call in the form of the era, until the call is answered.
    #[track_caller]
    pub fn converse(
        &self,
        method: &str,
        params: Value,
        mut answer: impl FnMut(&Question) -> Value,
    ) -> Message {
        let mut id = self.ask(method, params.clone());
        for _ in 0..50 {
            let next = self.inbox.wait(DEADLINE, |heard| {
                if let Some(answer) = heard.answers.remove(&id) {
                    return Some(answer);
                }
                let place = heard.others.iter().position(|message| message.id.is_some())?;
                Some(heard.others.remove(place))
            });
            let next = next
                .unwrap_or_else(|| panic!("{} had no answer to {id}; {}", self.revision, self.inbox.show()));
            if let Some(method) = &next.method {
                assert!(!self.is_modern(), "a request to a modern client: {}", next.raw);
                let key = next.id.clone().unwrap();
                let result =
                    answer(&Question { key: key.clone(), method: method.clone(), params: next.params() });
                self.respond(&key, &result);
                continue;
            }
            let Some(round) = Round::of(&next) else { return next };
            let responses: Vec<(String, Value)> =
                round.questions.iter().map(|question| (question.key.clone(), answer(question))).collect();
            id = self.ask(method, round.retry(&params, responses));
        }
        panic!("{} was asked again and again", self.revision);
    }

    /// The names in a list, once it has `name` in it.
    #[track_caller]
    pub fn list_with(&self, method: &str, name: &str) -> Vec<String> {
        let until = Instant::now() + DEADLINE;
        loop {
            let names = self.call(method, json!({})).names();
            if names.iter().any(|found| found == name) {
                return names;
            }
            assert!(Instant::now() < until, "{} sees no {name} in {names:?}", self.revision);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What our own tool says of one server.
    #[track_caller]
    pub fn status(&self, server: &str) -> String {
        self.tool("switchboard__status", json!({ "server": server })).text()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for stream in self.streams.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// One `input_required` result.
#[derive(Clone, Debug)]
pub struct Round {
    pub questions: Vec<Question>,
    pub state: Option<Value>,
}

impl Round {
    /// The round that an answer asks for, if it does.
    pub fn of(answer: &Message) -> Option<Self> {
        let result: Value = serde_json::from_str(answer.result.as_deref()?).unwrap();
        (result["resultType"] == "input_required").then(|| {
            let requests = result["inputRequests"].as_object().cloned().unwrap_or_default();
            let questions = requests.into_iter().map(|(key, request)| Question {
                key,
                method: request["method"].as_str().unwrap_or_default().to_owned(),
                params: request["params"].clone(),
            });
            Self { questions: questions.collect(), state: result.get("requestState").cloned() }
        })
    }

    /// The round that an answer must ask for.
    #[track_caller]
    pub fn expect(answer: &Message) -> Self {
        Self::of(answer).unwrap_or_else(|| panic!("no question: {:.600}", answer.raw))
    }

    /// The params of the next request: the same, and what was asked for.
    pub fn retry(&self, params: &Value, responses: impl IntoIterator<Item = (String, Value)>) -> Value {
        let mut params = params.clone();
        params["inputResponses"] = responses.into_iter().collect::<serde_json::Map<_, _>>().into();
        if let Some(state) = &self.state {
            params["requestState"] = state.clone();
        }
        params
    }

    /// The same with one answer to every question.
    pub fn retry_all(&self, params: &Value, answer: &Value) -> Value {
        self.retry(params, self.questions.iter().map(|question| (question.key.clone(), answer.clone())))
    }
}

// === HTTP/1.1, by hand: tests send what no client library would ===

/// A request.
pub struct Request {
    pub method: &'static str,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// An answer. The events of a stream are handed out as they come.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub is_stream: bool,
}

impl Reply {
    /// The value of a header; its name in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// The code of the JSON-RPC error in the body.
    pub fn code(&self) -> Option<i64> {
        serde_json::from_str::<Value>(&self.body).ok()?["error"]["code"].as_i64()
    }
}

impl Request {
    /// Sends it on a connection of its own, which is handed to `keep`, and reads the answer to its end.
    pub fn send(
        &self,
        address: SocketAddr,
        keep: impl FnOnce(TcpStream),
        mut event: impl FnMut(&str),
    ) -> std::io::Result<Reply> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(DEADLINE * 2))?;
        let mut head = format!("{} /mcp HTTP/1.1\r\nConnection: close\r\n", self.method);
        let mut add = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            add("Host", &address.to_string());
        }
        self.headers.iter().for_each(|(name, value)| add(name, value));
        if self.method == "POST" {
            if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                add("Content-Type", "application/json");
            }
            add("Content-Length", &self.body.len().to_string());
        }
        stream.write_all(format!("{head}\r\n{}", self.body).as_bytes())?;
        keep(stream.try_clone()?);
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let header = |line: &String| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let mut reply = Reply {
            status,
            headers: lines[1..].iter().filter_map(header).collect(),
            body: String::new(),
            is_stream: false,
        };
        let mut body: Box<dyn Read> = match reply.header("transfer-encoding") {
            Some(_) => Box::new(Chunks { reader, left: 0, ended: false }),
            None => {
                let length = reply.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
                Box::new(reader.take(length))
            }
        };
        reply.is_stream =
            reply.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !reply.is_stream {
            body.read_to_string(&mut reply.body)?;
            return Ok(reply);
        }
        let mut data = String::new();
        for line in BufReader::new(body).lines() {
            let line = line?;
            match line.strip_prefix("data:") {
                Some(text) => data.push_str(text.strip_prefix(' ').unwrap_or(text)),
                None if line.is_empty() && !data.trim().is_empty() => event(&std::mem::take(&mut data)),
                None => {}
            }
        }
        Ok(reply)
    }

    /// Sends it and reads an answer that is no stream.
    #[track_caller]
    pub fn reply(&self, address: SocketAddr) -> Reply {
        self.send(address, |_| {}, |_| {}).expect("an HTTP answer")
    }
}

/// Reads the chunked coding.
struct Chunks<R> {
    reader: R,
    left: usize,
    ended: bool,
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 && !self.ended {
            let mut size = String::new();
            while size.trim().is_empty() {
                size.clear();
                if self.reader.read_line(&mut size)? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            let size = size.trim();
            self.left = usize::from_str_radix(size, 16)
                .map_err(|_| std::io::Error::other(format!("no chunk: {size}")))?;
            self.ended = self.left == 0;
        }
        let wanted = self.left.min(buffer.len());
        let count = self.reader.read(&mut buffer[..wanted])?;
        self.left -= count;
        Ok(count)
    }
}
