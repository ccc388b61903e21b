//! A Switchboard that is administered: the program itself, with an interface on a port of its own, and mock servers behind it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{self, Answer};

/// No condition of these tests takes this long, however busy the machine is.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const TOKEN: &str = "0123456789abcdef0123";

/// What stands in most configs: two servers with tools, one that cannot be started, one that is off.
pub(crate) const SERVERS: &str = "
  notes: { command: BIN, args: [mock, HERE/notes.mock.yaml], categories: [text], cache: { tools: [add] }, effects: { add: read }, breaker: { failure_threshold: 1 } }
  files: { command: BIN, args: [mock, HERE/files.mock.yaml], categories: [disk], timeouts: { call: 300ms } }
  broken: { command: HERE/not-there }
  off: { command: BIN, enabled: false }
";

const NOTES: &str = "
tools:
  add: { description: Writes a note., answer: \"noted {{text}}\" }
  both: from notes
  fail: { is_error: true, answer: it broke }
  refuse: { error: { code: -32602, message: not like that } }
";

const FILES: &str = "
tools:
  both: from files
  slow: { delay: 60s, answer: late }
on: { start: [{ stderr: first line }, { stderr: second line }] }
";

/// See the module. Ended with the value, however the test ends.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    child: Child,
    pub(crate) address: String,
}

/// The folder for a Switchboard, not started.
pub(crate) fn prepare(servers: &str, rest: &str) -> TempDir {
    let folder = tempfile::Builder::new().prefix("switchboard-admin-").tempdir().unwrap();
    write(folder.path(), "notes.mock.yaml", NOTES);
    write(folder.path(), "files.mock.yaml", FILES);
    write(folder.path(), "config.yaml", &format!("servers:\n{servers}\n{rest}\n"));
    folder
}

/// Writes a file, in which `BIN` stands for the program and `HERE` for the folder.
pub(crate) fn write(folder: &Path, name: &str, text: &str) {
    let here = folder.display().to_string();
    let text = text.replace("BIN", env!("CARGO_BIN_EXE_switchboard")).replace("HERE", &here);
    std::fs::write(folder.join(name), text).unwrap();
}

/// The program in a folder.
pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
        .env("HOME", folder)
        .env("SWITCHBOARD_HOME", folder)
        .env("SWITCHBOARD_CONFIG", folder.join("config.yaml"));
    // Whatever address somebody registers: no request leaves this machine.
    command
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env("NO_PROXY", "127.0.0.1,localhost");
    command.current_dir(folder);
    command
}

/// Waits until something is there.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl World {
    /// With the servers that most tests need.
    pub(crate) fn new() -> Self {
        Self::with(SERVERS, "")
    }

    /// With these servers, further members of `admin:`, and further blocks behind a line end.
    pub(crate) fn with(servers: &str, rest: &str) -> Self {
        let (admin, blocks) = rest.split_once('\n').unwrap_or((rest, ""));
        let rest = format!("admin: {{ listen: \"127.0.0.1:0\", token: {TOKEN}{admin} }}\n{blocks}");
        Self::start(prepare(servers, &rest))
    }

    /// Serves over HTTP, so that servers start without a client.
    pub(crate) fn start(folder: TempDir) -> Self {
        let errors = folder.path().join("stderr");
        let child = command(folder.path(), &["serve", "--http", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        let address = until("the interface is open", || {
            let said = std::fs::read_to_string(&errors).unwrap();
            let line = said.lines().find_map(|line| line.strip_prefix("administration at http://"));
            line.map(str::to_owned)
        });
        Self { folder, child, address }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A request with the token. The answer is checked against the document.
    pub(crate) fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string);
        let token = format!("Bearer {TOKEN}");
        let mut headers = vec![("Authorization", token.as_str())];
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        self.send(method, target, &headers, body.as_deref().unwrap_or_default())
    }

    /// A request as it is. The answer is checked against the document.
    pub(crate) fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = client::send(&self.address, method, target, headers, body);
        crate::document::check(method, target, &answer);
        answer
    }

    /// The data of a request that succeeds.
    #[track_caller]
    pub(crate) fn data(&self, method: &str, target: &str, body: Option<&Value>) -> Value {
        let answer = self.ask(method, target, body);
        assert_eq!(answer.status, 200, "{method} {target}: {}", answer.body);
        answer.json()["data"].take()
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Value {
        self.data("GET", target, None)
    }

    #[track_caller]
    pub(crate) fn post(&self, target: &str, body: Value) -> Value {
        self.data("POST", target, Some(&body))
    }

    /// The status and the code of a request that is refused.
    #[track_caller]
    pub(crate) fn refused(&self, method: &str, target: &str, body: Option<Value>) -> (u16, String, String) {
        let answer = self.ask(method, target, body.as_ref());
        let json = answer.json();
        let text = |key: &str| json["error"][key].as_str().unwrap_or_default().to_owned();
        assert!(answer.status >= 400, "{method} {target}: {}", answer.body);
        (answer.status, text("code"), text("message"))
    }

    /// Waits until a server is in this state, and gives what is known of it.
    pub(crate) fn until_state(&self, server: &str, state: &str) -> Value {
        until(&format!("{server} is {state}"), || {
            let value = self.get(&format!("/proxy/servers/{server}"));
            (value["state"] == state).then_some(value)
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits for it.
    pub(crate) fn terminate(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        until("it ends", || self.child.try_wait().unwrap());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end && self.child.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An entry at an address where nobody listens.
pub(crate) fn nowhere() -> Value {
    json!({ "name": "test-server", "endpoint": "http://127.0.0.1:9/mcp", "transport": "http" })
}
