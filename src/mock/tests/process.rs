//! The mock as a real process: exit codes, signals, descriptors, grandchildren.
//!
//! The child is this test program again, told by its environment to be a mock.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::*;
use crate::mock::process;

const SCRIPT: &str = "SWITCHBOARD_TEST_MOCK_SCRIPT";

/// The child's side of the other tests; alone it has nothing to do.
#[test]
fn child() {
    if let Some(script) = std::env::var_os(SCRIPT) {
        let code = process::run(load(Path::new(&script)).unwrap());
        // The test runner would print its summary and choose the exit code.
        std::process::exit(code.into());
    }
}

struct Mock {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Mock {
    fn start(script: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), script)
    }

    /// `{{env.FOLDER}}` in the script is the folder.
    fn start_in(folder: tempfile::TempDir, script: &str) -> Self {
        let path = folder.path().join("script.yaml");
        std::fs::write(&path, script).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "mock::tests::process::child", "--nocapture", "--quiet"])
            .env(SCRIPT, &path)
            .env("FOLDER", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output, folder }
    }

    async fn request(&mut self, method: &str, params: Value) {
        let line = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string() + "\n";
        self.input.as_mut().unwrap().write_all(line.as_bytes()).await.unwrap();
    }

    /// The next message, past what the test runner prints; none at the end of the output.
    async fn message(&mut self) -> Option<Value> {
        let read = async {
            let mut line = String::new();
            while self.output.read_line(&mut line).await.unwrap() > 0 {
                if let Ok(message @ Value::Object(_)) = serde_json::from_str(&line) {
                    return Some(message);
                }
                line.clear();
            }
            None
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("a message in time")
    }

    async fn ping(&mut self) {
        self.request("ping", json!({})).await;
        assert_eq!(self.message().await.unwrap()["result"], json!({}));
    }

    async fn call(&mut self) {
        self.request("tools/call", json!({"name": "t"})).await;
    }

    async fn status(&mut self) -> std::process::ExitStatus {
        tokio::time::timeout(Duration::from_secs(20), self.child.wait())
            .await
            .expect("an end in time")
            .unwrap()
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().unwrap() as i32);
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

#[tokio::test]
async fn it_ends_when_its_input_ends() {
    let mut mock = Mock::start("tools: [t]");
    mock.ping().await;
    mock.input = None;
    assert_eq!(mock.status().await.code(), Some(0));
}

#[tokio::test]
async fn it_dies_of_the_signal_it_is_told() {
    for (name, number) in [("SIGKILL", 9), ("SIGSEGV", 11), ("SIGABRT", 6)] {
        let mut mock = Mock::start(&format!("tools: {{ t: {{ crash: {name} }} }}"));
        mock.call().await;
        assert_eq!(mock.status().await.signal(), Some(number), "{name}");
    }
}

#[tokio::test]
async fn signals_are_ignored_or_answered() {
    use nix::sys::signal::Signal;
    let mut mock = Mock::start("tools: [t]\non: { eof: ignore, term: ignore, hup: { notify: hup } }");
    mock.ping().await;
    mock.signal(Signal::SIGTERM);
    mock.signal(Signal::SIGHUP);
    assert_eq!(mock.message().await.unwrap()["method"], "hup");
    mock.ping().await;
    mock.input = None;
    mock.signal(Signal::SIGTERM);
    // Not SIGINT: whoever runs these tests in the background may have had it ignored, which is inherited.
    mock.signal(Signal::SIGUSR1);
    assert_eq!(mock.status().await.signal(), Some(Signal::SIGUSR1 as i32));
}

#[tokio::test]
async fn closed_descriptors_are_closed() {
    let mut mock = Mock::start("tools: { t: { close_stdout: true, close_stdin: true } }");
    mock.call().await;
    assert_eq!(mock.message().await, None);
    let broken = async { while mock.input.as_mut().unwrap().write_all(b"\n").await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), broken).await.expect("the pipe breaks");
    assert_eq!(mock.child.try_wait().unwrap(), None);
}

#[tokio::test]
async fn it_tells_of_itself_and_counts_its_starts() {
    let script = "state: '{{env.FOLDER}}/starts'\nrecord_process: '{{env.FOLDER}}/process'\nruns: [ { on: { start: { exit: 7 } } } ]\n";
    let mut mock = Mock::start(script);
    assert_eq!(mock.status().await.code(), Some(7));
    let mut mock = Mock::start_in(mock.folder, script);
    mock.ping().await;
    let pid = mock.child.id().unwrap();
    let text = std::fs::read_to_string(mock.folder.path().join("process")).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 2);
    assert_eq!((&records[1]["start"], &records[1]["pid"]), (&json!(2), &json!(pid)));
    assert_eq!(records[1]["env"]["FOLDER"], json!(mock.folder.path()));
}

#[tokio::test]
async fn a_grandchild_keeps_stdout_open() {
    use nix::sys::signal::{Signal, kill};
    let mut mock = Mock::start(
        "record_process: '{{env.FOLDER}}/process'\nchildren: { g: { keep_stdout: true, ignore_term: true, lifetime: 60s } }\ntools: { t: { exit: 0 } }",
    );
    mock.ping().await;
    let text = std::fs::read_to_string(mock.folder.path().join("process")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let grandchild = nix::unistd::Pid::from_raw(record["children"]["g"].as_i64().unwrap() as i32);
    mock.call().await;
    mock.status().await;
    let still_open = tokio::time::timeout(Duration::from_millis(50), mock.output.fill_buf()).await.is_err();
    kill(grandchild, Signal::SIGKILL).unwrap();
    assert!(still_open, "the grandchild holds the pipe");
    assert_eq!(mock.message().await, None);
}
