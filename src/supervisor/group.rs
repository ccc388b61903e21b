//! A process group and the signals to it: the only place where a number becomes a target.

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgrp};
use tokio::process::Command;

use super::strays;

/// The id of a process group that we may signal: never ours, never that of `init`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group(Pid);

impl Group {
    /// The group that a child of ours leads.
    pub(super) fn led_by(pid: u32) -> Option<Self> {
        i32::try_from(pid).ok().and_then(Self::new)
    }

    /// Refuses 0 and 1 and negative numbers, which mean other things to `kill`, and the group that we are in.
    pub(super) fn new(id: i32) -> Option<Self> {
        let pid = Pid::from_raw(id);
        (id > 1 && pid != getpgrp()).then_some(Self(pid))
    }

    /// The process id of the leader, which is also the id of the group.
    pub(super) fn id(self) -> u32 {
        self.0.as_raw().unsigned_abs()
    }

    /// Asks every member to end (SIGTERM).
    pub(super) fn terminate(self) {
        self.signal(Signal::SIGTERM);
    }

    /// Ends every member (SIGKILL).
    pub(super) fn kill(self) {
        self.signal(Signal::SIGKILL);
    }

    /// Whether any member still runs. Zombies do not count: whoever has to reap them may never do so.
    pub(super) fn is_alive(self) -> bool {
        match killpg(self.0, None) {
            Err(Errno::ESRCH) => false,
            _ => strays::group_has_living_member(self.id()),
        }
    }

    fn signal(self, signal: Signal) {
        // The only errors are "nobody there any more" and "not permitted" (a set-uid program): nothing to do for us.
        let _ = killpg(self.0, signal);
    }
}

/// Makes the command start as the leader of a new group that ends with us.
pub(super) fn prepare(command: &mut Command) {
    command.process_group(0);
    end_with_us(command);
}

/// Makes the command end when the thread that starts it does (Linux), and leave no core dump behind.
pub(super) fn end_with_us(command: &mut Command) {
    let parent = nix::unistd::getpid();
    let in_child = move || {
        // A core dump of a server may hold the secrets that it was given.
        let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
        keep_only_stdio();
        die_with_parent(parent)
    };
    #[expect(
        unsafe_code,
        reason = "the closure makes four system calls, allocates nothing and takes no lock"
    )]
    // SAFETY: everything between fork and exec is async-signal-safe.
    unsafe {
        command.pre_exec(in_child);
    }
}

/// Keeps the files from the server that our client left open in us by mistake. A server that holds such a pipe could
/// keep the client waiting for its end. Ours are closed on `exec` anyway.
#[cfg(target_os = "linux")]
fn keep_only_stdio() {
    use nix::libc;
    #[expect(unsafe_code, reason = "nix does not have this system call")]
    // SAFETY: it takes three numbers and changes no memory. A kernel that does not know it answers with an error.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

#[cfg(not(target_os = "linux"))]
fn keep_only_stdio() {}

/// Asks Linux to kill this process when the thread that forked it ends. Other systems rely on the sidecar alone.
#[cfg(target_os = "linux")]
fn die_with_parent(parent: Pid) -> std::io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // A parent that died before the call above sends no signal any more; it shows in our new parent.
    if nix::unistd::getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_parent: Pid) -> std::io::Result<()> {
    Ok(())
}

/// Makes the command start in a session of its own: no terminal can stop it and no signal to our group reaches it.
pub(super) fn prepare_session(command: &mut Command) {
    #[expect(unsafe_code, reason = "the closure makes one system call")]
    // SAFETY: `setsid` is async-signal-safe.
    unsafe {
        command.pre_exec(|| Ok(nix::unistd::setsid().map(drop)?));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_numbers_are_no_groups() {
        for id in [i32::MIN, -5, -1, 0, 1, getpgrp().as_raw()] {
            assert_eq!(Group::new(id), None, "{id}");
        }
        assert_eq!(Group::led_by(u32::MAX), None);
    }
}
