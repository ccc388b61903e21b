//! Our end of the sidecar: starts it, and tells it which groups would have to go if we died now.
//!
//! The pipe to it is the whole link: when the kernel closes it, for whatever reason we ended, the sidecar acts. All
//! other processes we start lack that pipe, since both of its ends close on `exec`.

mod protocol;
#[cfg(unix)]
mod sidecar;

use std::io::{self, ErrorKind, PipeWriter, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use tokio::process::{Child, Command};

use self::protocol::Line;
use super::group::{self, Group};
use super::strays::{self, RunId};

#[cfg(unix)]
pub use self::sidecar::reap_main;

/// There is no sidecar on this system.
#[cfg(not(unix))]
pub fn reap_main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}

/// How the sidecar is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReaperCommand {
    /// This program again, with the one argument `__reap`, which must lead to [`reap_main`].
    #[default]
    Ourselves,
    /// Another program that calls [`reap_main`], with its arguments.
    Program(PathBuf, Vec<String>),
    /// No sidecar: whatever ignores the end of its stdin may survive our SIGKILL.
    Off,
}

/// The link to the sidecar, which is started with the first child.
#[derive(Debug)]
pub(super) struct Reaper {
    run: RunId,
    command: ReaperCommand,
    link: Mutex<Link>,
}

#[derive(Debug)]
enum Link {
    Unused,
    Open {
        pipe: PipeWriter,
        /// Kept so that the runtime reaps it when it ends.
        _process: Child,
    },
    /// There is none: not wanted, not startable, or gone. It is not started twice.
    Closed,
}

// === impl Reaper ===

impl Reaper {
    pub(super) fn new(run: RunId, command: ReaperCommand) -> Self {
        Self { run, command, link: Mutex::new(Link::Unused) }
    }

    /// Starts the sidecar if this has not been tried before. Without it we go on: it is the last net, not the first.
    pub(super) fn ensure_started(&self) {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*link, Link::Unused) {
            return;
        }
        *link = match self.start() {
            Ok(Some((process, pipe))) => Link::Open { pipe, _process: process },
            Ok(None) => Link::Closed,
            Err(error) => {
                tracing::warn!(%error, "the reaper did not start: if Switchboard is killed, servers may survive it");
                Link::Closed
            }
        };
        link.send(&Line::Run(self.run.clone()));
    }

    /// The group must go when we do.
    pub(super) fn add(&self, group: Group) {
        self.send(&Line::Add { group: group.id(), start_time: strays::start_time(group.id()) });
    }

    /// The group is gone, and its number may soon belong to somebody else.
    pub(super) fn remove(&self, group: Group) {
        self.send(&Line::Remove { group: group.id() });
    }

    fn send(&self, line: &Line) {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).send(line);
    }

    fn start(&self) -> io::Result<Option<(Child, PipeWriter)>> {
        let mut command = match &self.command {
            ReaperCommand::Off => return Ok(None),
            ReaperCommand::Ourselves if cfg!(not(unix)) => return Ok(None),
            ReaperCommand::Ourselves => ourselves()?,
            ReaperCommand::Program(program, arguments) => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
        };
        let (reader, pipe) = io::pipe()?;
        set_nonblocking(&pipe)?;
        // Without our environment it carries no mark: if we are ourselves the child of a Switchboard, its sweep
        // leaves our sidecar alone, which then finds the children of ours that it cannot know. In `/` it keeps no
        // file system busy.
        command.env_clear().current_dir("/").stdin(reader).stdout(Stdio::null()).stderr(Stdio::null());
        group::prepare_session(&mut command);
        Ok(Some((command.spawn()?, pipe)))
    }
}

// === impl Link ===

impl Link {
    fn send(&mut self, line: &Line) {
        let Self::Open { pipe, .. } = self else { return };
        // One write of less than a page is all or nothing, so a full pipe never tears a line.
        match pipe.write_all(line.to_string().as_bytes()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                tracing::warn!("the reaper does not read; it may miss a server");
            }
            Err(error) => {
                tracing::warn!(%error, "the reaper is gone: if Switchboard is killed, servers may survive it");
                *self = Self::Closed;
            }
        }
    }
}

/// The running program, even if its file has been replaced or removed since.
#[cfg(target_os = "linux")]
fn ourselves() -> io::Result<Command> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("switchboard").arg("__reap");
    Ok(command)
}

#[cfg(not(target_os = "linux"))]
fn ourselves() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("__reap");
    Ok(command)
}

#[cfg(unix)]
fn set_nonblocking(pipe: &PipeWriter) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

#[cfg(not(unix))]
fn set_nonblocking(_pipe: &PipeWriter) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn started(program: &str, arguments: &[&str]) -> Reaper {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let reaper = Reaper::new(RunId::random(), ReaperCommand::Program(program.into(), arguments));
        reaper.ensure_started();
        reaper
    }

    fn is_closed(reaper: &Reaper) -> bool {
        matches!(*reaper.link.lock().unwrap(), Link::Closed)
    }

    #[tokio::test]
    async fn a_sidecar_that_cannot_start_or_dies_is_no_obstacle() {
        let group = Group::led_by(4_000_000).unwrap();
        let missing = started("/no/such/program", &[]);
        missing.add(group);
        assert!(is_closed(&missing));

        let dead = started("true", &[]);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_closed(&dead) {
            assert!(Instant::now() < deadline, "writing to a dead sidecar goes on");
            dead.remove(group);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_sidecar_that_does_not_read_does_not_hold_us() {
        let stuck = started("sleep", &["60"]);
        let group = Group::led_by(4_000_000).unwrap();
        (0..10_000).for_each(|_| stuck.remove(group));
        if let Link::Open { _process, .. } = &mut *stuck.link.lock().unwrap() {
            _process.start_kill().unwrap();
        }
        assert!(!is_closed(&stuck));
    }
}
