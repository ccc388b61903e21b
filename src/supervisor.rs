//! The supervisor starts a server's process, keeps its stderr, ends it and everything below it.
//!
//! In comes a [`SpawnPlan`]: a command, its arguments, its environment. Out goes a [`Child`]: two pipes for whoever
//! talks to it and a [`Process`] that is waited for and ended. When to start again is decided by [`RestartPolicy`],
//! which knows only times.
//!
//! No process that it started outlives it. Four nets hang below each other:
//!
//! 1. [`Process::end`] asks the process group to go, kills it, and sweeps what escaped from it by `setsid` (Linux).
//! 2. Dropping a [`Process`] kills its group.
//! 3. Linux kills the leader of each group when the thread that started it ends (the parent-death signal).
//! 4. A sidecar ([`reap_main`]) in a session of its own ends all groups when we die without a word.
//!
//! It knows processes and signals. It never looks at what goes through the pipes, so it knows nothing about MCP.
//!
//! # The thread that spawns
//!
//! The parent-death signal is bound to the *thread* that forked, not to the process. [`Supervisor::spawn`] forks on
//! the thread that polls it, so that thread must live as long as the children: the main thread of our current-thread
//! runtime does. Do not call it from `spawn_blocking` or from a short-lived runtime of its own.
//!
//! # Windows
//!
//! It compiles for Windows with less: a child is ended by terminating it alone, without a signal before. Its
//! descendants are not found (that needs a job object), and there is no sidecar.

mod command;
mod environment;
#[cfg(unix)]
mod group;
#[cfg(not(unix))]
#[path = "supervisor/group_elsewhere.rs"]
mod group;
mod log_file;
mod noise;
mod process;
mod reaper;
mod restart;
mod search_path;
mod stderr;
mod strays;
mod text;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::failure::{Code, Failure};
use crate::names::ServerName;

pub use self::log_file::path as log_path;
pub use self::noise::NoiseLog;
pub use self::process::{Ended, EndedBy, Ending, Exit, Process};
pub use self::reaper::{ReaperCommand, reap_main};
pub use self::restart::{Cause, Decision, RestartLimits, RestartPolicy};
pub use self::stderr::StderrTail;
pub use self::strays::{Orphan, kill_orphan, orphans};

use self::group::Group;
use self::log_file::LogFile;
use self::reaper::Reaper;
use self::search_path::SearchPath;
use self::strays::{Mark, RunId};

/// Starts processes. A cheap handle: clones share the sidecar and what is known about the `PATH`.
#[derive(Clone, Debug)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    run: RunId,
    search_path: SearchPath,
    reaper: Arc<Reaper>,
    logs: Option<PathBuf>,
    redact: RwLock<Vec<String>>,
    /// How many children there have been. It tells those apart that are alike: several instances of one server.
    children: AtomicU64,
}

/// What a [`Supervisor`] needs to know once.
#[derive(Clone, Debug, Default)]
pub struct SupervisorOptions {
    /// The folder below which `servers/<name>.log` is written; `None` keeps stderr in memory only.
    pub logs: Option<PathBuf>,
    /// The folder for what one run remembers for the next: the login shell's `PATH`; `None` remembers nothing.
    pub state: Option<PathBuf>,
    /// Secret values that never appear in the tail or in the log of any server.
    pub redact: Vec<String>,
    /// How the sidecar is started.
    pub reaper: ReaperCommand,
}

/// One process to start. Everything is resolved: no variable is expanded here.
#[derive(Clone, Debug)]
pub struct SpawnPlan {
    /// Whose process it is; names the log file.
    pub server: ServerName,
    /// The how-manieth start of this server it is.
    pub generation: u64,
    /// A name to look up on the `PATH`, or a path; a relative path with a separator starts at `cwd`.
    pub command: String,
    /// The arguments, without the command.
    pub args: Vec<String>,
    /// Variables to set, over all others. A `PATH` here is the only one that is searched and handed down.
    pub env: Vec<(String, String)>,
    /// Names of our own variables to hand down beyond the usual ones.
    pub inherit_env: Vec<String>,
    /// The working directory; `None` for ours.
    pub cwd: Option<PathBuf>,
    /// Secret values of this server that never appear in its tail or log.
    pub redact: Vec<String>,
}

/// A process that runs, with the two pipes that lead to it.
#[derive(Debug)]
pub struct Child {
    /// What the process reads. Close it before [`Process::end`].
    pub stdin: ChildStdin,
    /// What the process writes. Keep reading it while [`Process::end`] waits: a process that cannot write cannot exit.
    pub stdout: ChildStdout,
    /// Where lines on stdout go that mean nothing to who reads it.
    pub noise: NoiseLog,
    /// The process itself.
    pub process: Process,
}

// === impl Supervisor ===

impl Supervisor {
    /// Prepares to start processes; starts none, and no sidecar, until the first [`spawn`](Self::spawn).
    pub fn new(options: SupervisorOptions) -> Self {
        let run = RunId::random();
        let reaper = Arc::new(Reaper::new(run.clone(), options.reaper));
        let search_path = SearchPath::of_this_process(options.state);
        let (logs, redact) = (options.logs, RwLock::new(options.redact));
        Self {
            shared: Arc::new(Shared { run, search_path, reaper, logs, redact, children: AtomicU64::new(0) }),
        }
    }

    /// Hides these secrets too, in what processes write that are started from now on.
    pub fn redact_too<'a>(&self, secrets: impl Iterator<Item = &'a str>) {
        let mut known = self.shared.redact.write().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets {
            if !known.iter().any(|known| known == secret) {
                known.push(secret.to_owned());
            }
        }
    }

    fn redactor(&self, secrets: &[String]) -> text::Redactor {
        let known = self.shared.redact.read().unwrap_or_else(PoisonError::into_inner);
        text::Redactor::new(known.iter().chain(secrets))
    }

    /// The file that a server's stderr is written to, if there are files. It need not exist yet.
    pub fn log_path(&self, server: &ServerName) -> Option<PathBuf> {
        self.shared.logs.as_deref().map(|folder| log_path(folder, server))
    }

    /// The program that [`spawn`](Self::spawn) would start, and the `PATH` it would get; nothing is started.
    ///
    /// # Errors
    /// Those of `spawn` that can be told beforehand.
    pub async fn find_program(&self, plan: &SpawnPlan) -> Result<(PathBuf, std::ffi::OsString), Failure> {
        command::check_directory(plan.cwd.as_deref())?;
        let resolved = command::resolve(plan, &self.shared.search_path).await?;
        Ok((resolved.program, resolved.path))
    }

    /// Where goes what a server without a process of ours sends that means nothing; in its log, without known secrets.
    pub fn noise_log(&self, server: &ServerName, generation: u64, secrets: &[String]) -> NoiseLog {
        let redactor = self.redactor(secrets);
        let log = self.shared.logs.as_deref().map(|folder| LogFile::new(folder, server, generation));
        NoiseLog::new(redactor, log)
    }

    /// Starts one process in a group of its own.
    ///
    /// Must be polled on a thread that lives as long as the process (see the module's text). It may take up to two
    /// seconds, without blocking, when the login shell has to be asked for its `PATH`.
    ///
    /// # Errors
    ///
    /// [`Code::SpawnNotFound`], [`Code::SpawnDenied`], [`Code::SpawnDirectory`] last until somebody mends something;
    /// [`Code::SpawnResources`] may pass.
    ///
    /// # Cancel safety
    ///
    /// Nothing has been started if the future is dropped before it is ready.
    pub async fn spawn(&self, plan: SpawnPlan) -> Result<Child, Failure> {
        let server = plan.server.clone();
        self.try_spawn(plan).await.map_err(|failure| failure.of(&server))
    }

    async fn try_spawn(&self, plan: SpawnPlan) -> Result<Child, Failure> {
        command::check_directory(plan.cwd.as_deref())?;
        let resolved = command::resolve(&plan, &self.shared.search_path).await?;
        let number = self.shared.children.fetch_add(1, Ordering::Relaxed) + 1;
        let mark = Mark::new(&self.shared.run, &plan.server, number);

        let mut command = Command::new(&resolved.program);
        command
            .args(&plan.args)
            .env_clear()
            .envs(environment::of_child(std::env::vars_os(), &plan, &resolved.path))
            .env(strays::VARIABLE, mark.as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(cwd) = &plan.cwd {
            command.current_dir(cwd);
        }
        group::prepare(&mut command);

        self.shared.reaper.ensure_started();
        let mut leader =
            command.spawn().map_err(|error| command::spawn_failure(&plan, &resolved.program, &error))?;
        let group = leader.id().and_then(Group::led_by);
        let (Some(group), Some(stdin), Some(stdout), Some(stderr)) =
            (group, leader.stdin.take(), leader.stdout.take(), leader.stderr.take())
        else {
            return Err(Failure::new(Code::SpawnResources, "the new process has no id or lacks a pipe"));
        };
        self.shared.reaper.add(group);

        let logs = self.shared.logs.as_deref();
        let log = || logs.map(|folder| LogFile::new(folder, &plan.server, plan.generation));
        let redactor = self.redactor(&plan.redact);
        let noise = NoiseLog::new(redactor.clone(), log());
        let stderr = stderr::Drain::start(stderr, redactor, log());
        let process = Process::new(leader, group, mark, stderr, self.shared.reaper.clone());
        tracing::debug!(server = %plan.server, generation = plan.generation, pid = process.pid(),
            program = %resolved.program.display(), "server process started");
        Ok(Child { stdin, stdout, noise, process })
    }
}

#[cfg(test)]
mod tests;
