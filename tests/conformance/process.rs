//! The processes that a server run needs: a fixture server, and a Switchboard in front of one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::suite::Revision;
use crate::support::real;
use crate::workshop::Workshop;

/// How long a process may take until it listens, on a busy machine.
const START: Duration = Duration::from_secs(30);

/// A process that listens. It is ended with the value.
pub(crate) struct Listener {
    child: Child,
    url: String,
    /// Where it writes what it has to say about itself.
    log: PathBuf,
}

impl Listener {
    /// The address of its MCP endpoint.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it said on stderr.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Both end when their stdin does or when they are told to; a test need not wait for that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A fixture server that speaks one era.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixture {
    script: &'static str,
    set: &'static str,
}

/// How Switchboard reaches the server behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// As its child.
    Stdio,
    /// At its address.
    Http,
}

impl Fixture {
    /// The server of a revision.
    pub(crate) fn of(revision: Revision) -> Self {
        match revision {
            Revision::Legacy => Self { script: "legacy.mjs", set: "sdk-1-new" },
            Revision::Modern => Self { script: "modern.mjs", set: "server-2" },
        }
    }

    /// Starts it on a port of its own.
    pub(crate) fn listen(self, workshop: &Workshop) -> Listener {
        let log = workshop.folder("logs").join(self.script);
        let mut command = Command::new(real::node());
        command.arg(self.path(workshop)).arg("http");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(
            url.starts_with("http://"),
            "{command:?} said {url:?}\n{}",
            fs::read_to_string(&log).unwrap()
        );
        Listener { child, url: url.trim().to_owned(), log }
    }

    /// Its entry in a config that starts it over stdio.
    pub(crate) fn as_child(self, workshop: &Workshop) -> Value {
        json!({ "command": real::node(), "args": [self.path(workshop)], "prefix": "" })
    }

    fn path(self, workshop: &Workshop) -> PathBuf {
        workshop.scripts("servers", self.set).join(self.script)
    }
}

/// The program under test. `SWITCHBOARD_TEST_PROGRAM` puts another in its place.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("SWITCHBOARD_TEST_PROGRAM")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_switchboard")), PathBuf::from)
}

/// Starts a Switchboard whose HTTP face stands before one server.
pub(crate) fn switchboard(home: &Path, server: &Value) -> Listener {
    let config = home.join("switchboard.json");
    fs::write(&config, json!({ "servers": { "fixture": server } }).to_string()).unwrap();
    let address = free_address();
    let log = home.join("stderr");
    let mut command = Command::new(program());
    command.args(["serve", "--http", &address, "--config"]).arg(&config);
    command.env_clear().env("SWITCHBOARD_HOME", home).env("HOME", home);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();

    let end = Instant::now() + START;
    while TcpStream::connect(&address).is_err() {
        let ended = child.try_wait().unwrap();
        let said = || fs::read_to_string(&log).unwrap();
        assert!(ended.is_none(), "{command:?} ended with {ended:?}\n{}", said());
        assert!(Instant::now() < end, "{command:?} does not listen\n{}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    Listener { child, url: format!("http://{address}/mcp"), log }
}

/// A loopback address that nobody listens on.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
