//! A mock server that listens, as a process of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::board::DEADLINE;

/// A mock server at an address; it is killed with the value.
pub(crate) struct Mock {
    child: Child,
    folder: TempDir,
    face: &'static str,
    /// What the entry of the config says.
    pub(crate) url: String,
}

/// A request as the server got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Of HTTP.
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Value,
    /// The message in it; null where there is none.
    pub(crate) message: Value,
}

impl Seen {
    /// A header's value; empty without it.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].as_str().unwrap_or_default()
    }

    pub(crate) fn calls(&self, method: &str) -> bool {
        self.message["method"] == method
    }
}

impl Mock {
    /// A server behind HTTP. In the script, `requests:` of `http:` is set by us.
    pub(crate) fn http(script: &str) -> Self {
        Self::start("--http", script)
    }

    /// A server behind `--http`, `--sse`, `--websocket` or `--unix`.
    pub(crate) fn start(face: &'static str, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = match face {
            "--unix" => folder.path().join("mock.sock").display().to_string(),
            _ => "127.0.0.1:0".to_owned(),
        };
        write_script(&folder, script);
        let (child, url) = spawn(&folder, face, &place);
        Self { child, folder, face, url }
    }

    /// Kills the server.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts the server at the same address, with another script if there is one. It knows nothing of its clients.
    pub(crate) fn start_again(&mut self, script: Option<&str>) {
        self.stop();
        if let Some(script) = script {
            write_script(&self.folder, script);
        }
        let place = self.url.split("//").nth(1).unwrap().split('/').next().unwrap().to_owned();
        let (child, url) = spawn(&self.folder, self.face, &place);
        assert_eq!(url, self.url);
        self.child = child;
    }

    /// Every request so far, over all its starts.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        let text = fs::read_to_string(self.folder.path().join("requests")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let request = |line: &str| {
            let mut request: Value = serde_json::from_str(line).unwrap();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let message = serde_json::from_str(request["body"].as_str().unwrap_or_default());
            Seen {
                method: text(&request["method"]),
                path: text(&request["path"]),
                headers: request["headers"].take(),
                message: message.unwrap_or_default(),
            }
        };
        whole.lines().map(request).collect()
    }

    /// Those that carry this method of MCP.
    pub(crate) fn messages(&self, method: &str) -> Vec<Seen> {
        self.requests().into_iter().filter(|seen| seen.calls(method)).collect()
    }

    /// Waits until the requests are as they should be, and gives them.
    pub(crate) fn wait_for(&self, what: &str, fits: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let end = Instant::now() + DEADLINE;
        loop {
            let requests = self.requests();
            if fits(&requests) {
                return requests;
            }
            assert!(Instant::now() < end, "{what}: there were only {requests:#?}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.stop();
    }
}

fn script_path(folder: &TempDir) -> PathBuf {
    folder.path().join("mock.yaml")
}

/// `REQUESTS` in the script becomes the file of requests.
fn write_script(folder: &TempDir, script: &str) {
    let requests = folder.path().join("requests").display().to_string();
    let script = match script.contains("\nhttp:") {
        true => script.replacen("\nhttp:", &format!("\nhttp:\n  requests: {requests:?}"), 1),
        false => format!("{script}\nhttp: {{ requests: {requests:?} }}\n"),
    };
    fs::write(script_path(folder), script).unwrap();
}

fn spawn(folder: &TempDir, face: &str, place: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_switchboard"))
        .arg("mock")
        .arg(script_path(folder))
        .args([face, place])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let Some(url) = line.trim().strip_prefix("listening on ") else {
        let mut rest = String::new();
        let _ = stderr.read_to_string(&mut rest);
        panic!("{line}{rest}");
    };
    let url = match url.strip_prefix("unix:/") {
        Some(path) if !url.starts_with("unix://") => format!("unix:///{path}"),
        _ => url.to_owned(),
    };
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut stderr, &mut std::io::sink());
    });
    (child, url)
}
