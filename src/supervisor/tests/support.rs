//! What the tests with real processes share.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::*;

/// Long enough for a busy machine; a test that passes never waits for it.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// Far in the future: nothing should get so far.
pub(super) const PATIENT: Ending = Ending { term_after: DEADLINE, kill_after: DEADLINE };

/// A supervisor without sidecar and files.
pub(super) fn plain() -> Supervisor {
    Supervisor::new(SupervisorOptions { reaper: ReaperCommand::Off, ..Default::default() })
}

/// A process that runs a script of `sh`, its stdout read by lines.
pub(super) struct Script {
    pub stdin: ChildStdin,
    pub process: Process,
    stdout: BufReader<ChildStdout>,
}

impl Script {
    pub(super) async fn start(supervisor: &Supervisor, script: &str) -> Self {
        Self::of(supervisor.spawn(plan("sh", ["-c", script])).await.unwrap())
    }

    pub(super) fn of(child: Child) -> Self {
        Self { stdin: child.stdin, process: child.process, stdout: BufReader::new(child.stdout) }
    }

    /// Its next line of output, without the end of the line.
    pub(super) async fn line(&mut self) -> String {
        let mut line = String::new();
        tokio::time::timeout(DEADLINE, self.stdout.read_line(&mut line))
            .await
            .expect("a line in time")
            .unwrap();
        line.trim_end().to_owned()
    }

    /// A process id out of its output.
    pub(super) async fn pid(&mut self) -> i32 {
        let line = self.line().await;
        line.parse().unwrap_or_else(|_| panic!("`{line}` is no process id"))
    }

    pub(super) async fn end(self, ending: Ending) -> Ended {
        drop(self.stdin);
        self.process.end(ending).await
    }
}

/// Whether the process exists and is not just waiting to be reaped.
pub(super) fn is_alive(pid: i32) -> bool {
    let is_zombie = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X'])),
        Err(_) => cfg!(target_os = "linux"),
    };
    kill(Pid::from_raw(pid), None).is_ok() && !is_zombie()
}

pub(super) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether this process was started by [`role`] to play this part.
pub(super) fn plays(part: &str) -> bool {
    std::env::args().any(|argument| argument == format!("--skip=part:{part}"))
}

/// The arguments that make this test program run one test in the part of that name.
pub(super) fn role(test: &str, part: &str) -> Vec<String> {
    let arguments = [test, "--exact", "--nocapture", "--test-threads=1", &format!("--skip=part:{part}")];
    arguments.map(str::to_owned).to_vec()
}

/// This test program in another part, in a process group of its own.
pub(super) fn another(test: &str, part: &str, folder: &Path) -> std::process::Child {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.args(role(test, part)).env("TEST_FOLDER", folder).stdout(Stdio::null()).spawn().unwrap()
}

pub(super) fn folder_of_part() -> PathBuf {
    std::env::var_os("TEST_FOLDER").unwrap().into()
}
