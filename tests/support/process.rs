//! What `/proc` tells about a process: memory, open files, children. Linux only; elsewhere it tells nothing.

use std::fs;

/// A running process by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pid(pub(crate) u32);

impl Pid {
    /// Whether the process exists and is not a zombie.
    pub(crate) fn is_alive(self) -> bool {
        stat(self).is_some_and(|stat| stat.state != 'Z' && stat.state != 'X')
    }

    /// Resident memory in KiB (`VmRSS`); `None` when the process is gone.
    pub(crate) fn resident_kib(self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    }

    /// How many file descriptors are open; `None` when the process is gone.
    pub(crate) fn open_files(self) -> Option<usize> {
        Some(fs::read_dir(format!("/proc/{}/fd", self.0)).ok()?.count())
    }

    /// User plus system time spent so far, in clock ticks (100 per second on Linux).
    pub(crate) fn cpu_ticks(self) -> Option<u64> {
        stat(self).map(|stat| stat.ticks)
    }

    /// The command line, arguments joined by spaces.
    pub(crate) fn command_line(self) -> Option<String> {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.0)).ok()?;
        Some(String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned())
    }

    /// The direct children that are alive, in order of their ids.
    pub(crate) fn children(self) -> Vec<Pid> {
        let mut children: Vec<Pid> = all()
            .into_iter()
            .filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == self.0 && stat.state != 'Z'))
            .collect();
        children.sort_by_key(|pid| pid.0);
        children
    }

    /// Children, their children, and so on.
    pub(crate) fn descendants(self) -> Vec<Pid> {
        let mut found = self.children();
        let mut next = 0;
        while let Some(pid) = found.get(next).copied() {
            found.extend(pid.children());
            next += 1;
        }
        found
    }
}

/// Every process whose environment holds `NAME=value`. Finds what a test started even after it was orphaned,
/// provided that the test gave its children an own marker.
pub(crate) fn with_environment(name: &str, value: &str) -> Vec<Pid> {
    let wanted = format!("{name}={value}");
    let carries = |pid: &Pid| {
        let environment = fs::read(format!("/proc/{}/environ", pid.0)).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    all().into_iter().filter(|pid| pid.is_alive()).filter(carries).collect()
}

struct Stat {
    state: char,
    parent: u32,
    ticks: u64,
}

/// Reads `/proc/PID/stat`. The command name may hold spaces and brackets, so fields count from its last `)`.
fn stat(pid: Pid) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.0)).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Stat { state: fields.first()?.chars().next()?, parent: fields.get(1)?.parse().ok()?, ticks })
}

fn all() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid)).collect()
}
