//! A folder of its own for each test, and the program run in it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// No command of these tests takes this long, however busy the machine is.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Where the tested program finds its config and keeps its state.
pub(crate) struct Home {
    folder: TempDir,
}

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    /// A home without a config.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A home with this config, in which `BIN` stands for the program and `HERE` for the folder.
    pub(crate) fn with(config: &str) -> Self {
        let home = Self::empty();
        home.write("switchboard.yaml", config);
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let here = self.folder.path().display().to_string();
        let text = text.replace("BIN", env!("CARGO_BIN_EXE_switchboard")).replace("HERE", &here);
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A script for the mock server, and the config entry that runs it.
    pub(crate) fn script(&self, name: &str, text: &str) {
        self.write(&format!("{name}.mock.yaml"), text);
    }

    /// The program with these arguments, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("SWITCHBOARD_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.args(args).env("SWITCHBOARD_HOME", self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.finish(&mut self.command(args))
    }

    /// Runs a command to its end. Its output goes to files, so that it never waits for us.
    pub(crate) fn finish(&self, command: &mut Command) -> Ran {
        let outputs = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(outputs.path().join(name)).unwrap();
        let mut child = command.stdout(file("out")).stderr(file("err")).spawn().unwrap();
        let code = wait(&mut child);
        let text = |name: &str| std::fs::read_to_string(outputs.path().join(name)).unwrap();
        Ran { code, out: text("out"), err: text("err") }
    }
}

/// The exit code; a process that does not end is killed.
pub(crate) fn wait(child: &mut Child) -> i32 {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().expect("killed by a signal");
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the program did not end within {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until `done` is true.
pub(crate) fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Ran {
    /// Checks the exit code, and what every output has in common: no panic, no colours where nobody sees them.
    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "{self:#?}");
        assert!(!self.err.contains("panicked"), "{self:#?}");
        assert!(!self.out.contains('\x1b') && !self.err.contains('\x1b'), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, expected: &str) -> Self {
        assert!(self.out.contains(expected), "no {expected:?} on stdout: {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn warns(self, expected: &str) -> Self {
        assert!(self.err.contains(expected), "no {expected:?} on stderr: {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A file of this project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
