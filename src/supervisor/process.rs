//! A running process: waiting for it, ending it and all of its group.

use std::fmt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::group::Group;
use super::reaper::Reaper;
use super::stderr::{Drain, StderrTail};
use super::strays::{self, Mark};

/// What is left of a group when its leader is gone gets this long between SIGTERM and SIGKILL.
const STRAGGLER_GRACE: Duration = Duration::from_millis(100);

/// After SIGKILL only the kernel is in the way; a process that waits for a dead disk may stay longer.
const KILL_PATIENCE: Duration = Duration::from_millis(500);

/// How long an exit is held back for the last words on stderr when somebody else holds the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// The same when all is over: only who escaped from us can still hold the pipe.
const LAST_OF_ALL_WORDS: Duration = Duration::from_millis(100);

const POLL: Duration = Duration::from_millis(5);

/// One process and the group that it leads.
///
/// Dropping it without [`end`](Self::end) kills the whole group at once.
#[derive(Debug)]
pub struct Process {
    leader: Child,
    pid: u32,
    /// The group as long as it may have members; afterwards the number may belong to somebody else.
    group: Option<Group>,
    /// Names the processes below this one, until they have been swept.
    mark: Option<Mark>,
    stderr: Drain,
    reaper: Arc<Reaper>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned this exit code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It is gone, or cannot be ended, and nobody knows how.
    Unknown,
}

/// How long to wait before asking and before killing, both from the moment the caller closed stdin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// When the group gets SIGTERM.
    pub term_after: Duration,
    /// When the group gets SIGKILL. If it is not later than `term_after`, there is no SIGTERM.
    pub kill_after: Duration,
}

/// What it took to end a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How the leader ended.
    pub exit: Exit,
    /// What made it.
    pub by: EndedBy,
    /// How many processes had left the group and were killed one by one (Linux).
    pub stragglers: usize,
}

/// What made a process end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// It went by itself, or because its stdin was closed.
    Itself,
    /// It had to be asked with SIGTERM.
    Term,
    /// It had to be killed.
    Kill,
}

// === impl Ending ===

impl Ending {
    /// One server goes while the rest of us stays: seconds are affordable.
    pub const RELOAD: Self = Self::after(5_000, 7_000);

    /// We end. The shortest-tempered clients kill us two seconds after they closed our stdin.
    pub const SHUTDOWN: Self = Self::after(1_000, 1_500);

    /// No grace: the process is already gone, or nobody wants to wait.
    pub const NOW: Self = Self::after(0, 0);

    const fn after(term_millis: u64, kill_millis: u64) -> Self {
        Self {
            term_after: Duration::from_millis(term_millis),
            kill_after: Duration::from_millis(kill_millis),
        }
    }
}

// === impl Process ===

impl Process {
    pub(super) fn new(leader: Child, group: Group, mark: Mark, stderr: Drain, reaper: Arc<Reaper>) -> Self {
        Self { leader, pid: group.id(), group: Some(group), mark: Some(mark), stderr, reaper }
    }

    /// The process id, also after the process has ended.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What the process and its descendants wrote to stderr; can be read at any time, also after the end.
    pub fn stderr(&self) -> StderrTail {
        self.stderr.tail()
    }

    /// Waits until the leader ends by itself; descendants that live on, even with its pipes open, delay it by 20 ms at
    /// most. Gives the same answer again afterwards. Call [`end`](Self::end) next, to sweep what it left behind.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn wait(&mut self) -> Exit {
        let exit = Exit::of(self.leader.wait().await);
        self.stderr.closed_within(LAST_WORDS).await;
        self.forget_empty_group();
        exit
    }

    /// Ends the leader and everything below it, and tells what it took.
    ///
    /// The caller has closed stdin and keeps reading stdout; stderr is read here. The leader gets the times of
    /// `ending`; what is left of its group then gets SIGTERM and 100 ms; who left the group is killed (Linux).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future kills the group at once: that is how a second signal cuts a graceful end short.
    pub async fn end(mut self, ending: Ending) -> Ended {
        let (exit, by) = self.end_leader(ending).await;
        self.sweep_group(by).await;
        let stragglers = self.sweep_strays().await;
        self.stderr.closed_within(LAST_OF_ALL_WORDS).await;
        self.stderr.stop();
        tracing::debug!(pid = self.pid, %exit, ?by, stragglers, "server process ended");
        Ended { exit, by, stragglers }
    }

    async fn end_leader(&mut self, ending: Ending) -> (Exit, EndedBy) {
        let begin = Instant::now();
        if let Some(exit) = self.exit_until(begin + ending.term_after).await {
            return (exit, EndedBy::Itself);
        }
        if ending.term_after < ending.kill_after {
            if let Some(group) = self.group {
                group.terminate();
            }
            if let Some(exit) = self.exit_until(begin + ending.kill_after).await {
                return (exit, EndedBy::Term);
            }
        }
        self.kill();
        let exit = self.exit_until(Instant::now() + KILL_PATIENCE).await;
        (exit.unwrap_or(Exit::Unknown), EndedBy::Kill)
    }

    async fn exit_until(&mut self, deadline: Instant) -> Option<Exit> {
        // Asking first matters where the deadline has passed: `wait` learns of an exit only from the driver.
        if let Ok(Some(status)) = self.leader.try_wait() {
            return Some(status.into());
        }
        timeout_at(deadline, self.leader.wait()).await.ok().map(Exit::of)
    }

    /// Wrappers such as `npx` may exit and leave the real server behind.
    async fn sweep_group(&mut self, leader_ended_by: EndedBy) {
        let Some(group) = self.group else { return };
        if leader_ended_by != EndedBy::Kill && group.is_alive() {
            group.terminate();
            empty_within(group, STRAGGLER_GRACE).await;
        }
        if group.is_alive() {
            group.kill();
            empty_within(group, KILL_PATIENCE).await;
        }
        self.forget_empty_group();
    }

    async fn sweep_strays(&mut self) -> usize {
        let Some(mark) = self.mark.take() else { return 0 };
        // Reading about every process of the machine takes milliseconds; the one thread has other things to do.
        tokio::task::spawn_blocking(move || strays::kill_marked(&mark)).await.unwrap_or(0)
    }

    fn kill(&mut self) {
        if let Some(group) = self.group {
            group.kill();
        }
        // Ends the leader where there are no groups; says so in an error if it is already gone.
        let _ = self.leader.start_kill();
    }

    fn forget_empty_group(&mut self) {
        if let Some(group) = self.group.take_if(|group| !group.is_alive()) {
            self.reaper.remove(group);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            group.kill();
            let _ = self.leader.start_kill();
            self.reaper.remove(group);
        }
        if let Some(mark) = self.mark.take() {
            strays::kill_marked(&mark);
        }
    }
}

async fn empty_within(group: Group, patience: Duration) {
    let empty = async {
        while group.is_alive() {
            sleep(POLL).await;
        }
    };
    let _ = timeout(patience, empty).await;
}

// === impl Exit ===

impl Exit {
    fn of(status: std::io::Result<ExitStatus>) -> Self {
        status.map_or(Self::Unknown, Self::from)
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
            return Self::Signal(signal);
        }
        status.code().map_or(Self::Unknown, Self::Code)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => {
                f.write_str("was killed by ")?;
                #[cfg(unix)]
                if let Ok(signal) = nix::sys::signal::Signal::try_from(*signal) {
                    return f.write_str(signal.as_str());
                }
                write!(f, "signal {signal}")
            }
            Self::Unknown => f.write_str("ended in an unknown way"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_reads_as_the_rest_of_a_sentence() {
        assert_eq!(Exit::Code(1).to_string(), "exited with code 1");
        assert_eq!(Exit::Signal(9).to_string(), "was killed by SIGKILL");
        assert_eq!(Exit::Signal(40).to_string(), "was killed by signal 40");
    }
}
