//! A Switchboard that serves HTTP, as a process.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::rig::{SOON, Setup, is_alive};

/// See the module. Ended with the value, however the test ends.
pub(crate) struct Served {
    child: Child,
    pub(crate) setup: Setup,
    pub(crate) address: SocketAddr,
    /// Our ends of its pipes, if it has a client there.
    pub(crate) stdio: Option<OnPipes>,
}

/// A client on pipes.
pub(crate) struct OnPipes {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Served {
    /// Over HTTP alone.
    pub(crate) fn new(setup: Setup) -> Self {
        Self::start(setup, false)
    }

    /// With a client on pipes besides.
    pub(crate) fn beside_stdio(setup: Setup) -> Self {
        Self::start(setup, true)
    }

    fn start(setup: Setup, beside: bool) -> Self {
        let setup = setup.arg("--http").arg("127.0.0.1:0");
        let errors = setup.home().join("stderr");
        let pipe = || if beside { Stdio::piped() } else { Stdio::null() };
        let mut command = setup.command();
        command.stdin(pipe()).stdout(pipe()).stderr(File::create(&errors).unwrap());
        let mut child = command.spawn().unwrap();
        let until = Instant::now() + SOON;
        let address = loop {
            let said = std::fs::read_to_string(&errors).unwrap();
            let line = said.lines().find_map(|line| line.strip_prefix("serving MCP at http://"));
            if let Some(address) = line.and_then(|line| line.strip_suffix("/mcp")) {
                break address.parse().unwrap();
            }
            assert!(child.try_wait().unwrap().is_none() && Instant::now() < until, "it serves: {said}");
            std::thread::sleep(Duration::from_millis(5));
        };
        let stdio = child.stdin.take().zip(child.stdout.take());
        let stdio = stdio.map(|(input, output)| OnPipes { input, output: BufReader::new(output) });
        Self { child, setup, address, stdio }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn terminate(&mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        kill(Pid::from_raw(self.pid()), Signal::SIGTERM).unwrap();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, begun.elapsed());
            }
            assert!(begun.elapsed() < SOON, "it ends");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until && self.child.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl OnPipes {
    /// Sends a request and reads until its answer.
    pub(crate) fn request(&mut self, id: u64, method: &str, params: &Value) -> Value {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        writeln!(self.input, "{message}").unwrap();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "Switchboard is there");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
        }
    }
}

/// Waits until a process is gone.
pub(crate) async fn gone(pid: i32) {
    let until = Instant::now() + SOON;
    while is_alive(pid) {
        assert!(Instant::now() < until, "the process {pid} ends");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
