//! `switchboard discover` and the search of a running Switchboard, against real servers, real registries, and strangers that
//! misbehave.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "support/board.rs"]
mod board;
#[path = "discovery/cards.rs"]
mod cards;
#[path = "discovery/etcd.rs"]
mod etcd;
#[path = "discovery/files.rs"]
mod files;
#[path = "discovery/import.rs"]
mod import;
#[allow(dead_code, reason = "another test crate uses the rest of it")]
#[path = "remote/mock.rs"]
mod mock;
#[path = "discovery/network.rs"]
mod network;
#[path = "discovery/real.rs"]
mod real;
#[path = "discovery/running.rs"]
mod running;
#[path = "discovery/services.rs"]
mod services;
#[path = "discovery/strangers.rs"]
mod strangers;
mod support;
#[path = "discovery/take.rs"]
mod take;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A user's machine: a home with nothing in it but what a test puts there.
struct Machine {
    home: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// The same with this config.
    fn with_config(yaml: &str) -> Self {
        let machine = Self::new();
        machine.write("switchboard.yaml", yaml);
        machine
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.home.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    /// Runs `switchboard discover` with these arguments.
    fn run(&self, arguments: &[&str]) -> Output {
        self.command("discover", arguments)
    }

    fn command(&self, command: &str, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_switchboard"))
            .arg(command)
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("SWITCHBOARD_HOME", self.home.path())
            .output()
            .unwrap()
    }

    /// What it found, as JSON. The search must have gone well.
    fn discover(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}\n{err}"))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The server of this name.
fn server<'f>(found: &'f Value, name: &str) -> &'f Value {
    let servers = found["servers"].as_array().unwrap();
    servers.iter().find(|server| server["name"] == name).unwrap_or_else(|| panic!("no `{name}` in {found:#}"))
}

/// The names of all servers, sorted.
fn names(found: &Value) -> Vec<&str> {
    let servers = found["servers"].as_array().unwrap();
    let mut names: Vec<&str> = servers.iter().map(|server| server["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

/// The names of a server's tools.
fn tools(server: &Value) -> Vec<&str> {
    server["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

/// The port of an address.
fn port(url: &str) -> &str {
    url.split(':').nth(2).and_then(|rest| rest.split('/').next()).unwrap()
}
