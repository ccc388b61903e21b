//! What a process has used, as Linux tells it.

use std::fs;
use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Nanoseconds that all threads of `pid` have been running. Exact, unlike the 10 ms ticks of `stat`.
pub(crate) fn cpu_nanoseconds(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        sum += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// Memory of a process in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// `VmRSS`: what is resident now.
    pub(crate) resident: u64,
    /// `VmHWM`: the most that ever was.
    pub(crate) peak: u64,
    /// `Pss`: resident, with shared pages divided among their users.
    pub(crate) proportional: u64,
    /// Pages of its own that no file backs.
    pub(crate) anonymous: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> io::Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().trim_end_matches(" kB").parse().ok()
        };
        Ok(Memory {
            resident: field(&status, "VmRSS:").unwrap_or(0),
            peak: field(&status, "VmHWM:").unwrap_or(0),
            proportional: field(&rollup, "Pss:").unwrap_or(0),
            anonymous: field(&rollup, "Anonymous:").unwrap_or(0),
        })
    }
}

/// The children of a process, by command line.
pub(crate) fn children(pid: u32) -> io::Result<Vec<(u32, String)>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let pids = text.split_whitespace().filter_map(|pid| pid.parse().ok());
    Ok(pids
        .map(|pid: u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect())
}

/// The cores that this process may run on, to go back to.
pub(crate) struct Cores(CpuSet);

impl Cores {
    pub(crate) fn allowed() -> nix::Result<Cores> {
        sched_getaffinity(Pid::from_raw(0)).map(Cores)
    }

    /// Keeps this thread, and all processes that it starts from now on, on the last of the cores.
    pub(crate) fn pin(&self) -> nix::Result<()> {
        let last = (0..CpuSet::count()).rev().find(|core| self.0.is_set(*core) == Ok(true));
        let mut one = CpuSet::new();
        one.set(last.unwrap_or(0))?;
        sched_setaffinity(Pid::from_raw(0), &one)
    }

    /// Takes the restriction back.
    pub(crate) fn unpin(&self) -> nix::Result<()> {
        sched_setaffinity(Pid::from_raw(0), &self.0)
    }
}
