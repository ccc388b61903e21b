//! Finds processes that left their group, by a variable that every child inherits.
//!
//! Only Linux shows other processes' environment to us. A process that wiped its environment is not found.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::names::ServerName;

/// The variable that marks whose child a process is: `<run id>/<server>/<number of the child>`.
pub(super) const VARIABLE: &str = "SWITCHBOARD_CHILD";

/// Names one run of Switchboard among all that this machine has ever seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunId(String);

/// The value of [`VARIABLE`] for one child, which no other child has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark(String);

// === impl RunId ===

impl RunId {
    pub(super) fn random() -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos());
        Self(format!("{:016x}{:016x}", nanos as u64, fastrand::u64(..)))
    }

    /// Takes an id that another process wrote. Anything else than an id of ours could match foreign processes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| Self(text.to_owned()))
    }

    /// What the value of [`VARIABLE`] starts with for every child of this run.
    pub(super) fn prefix(&self) -> String {
        format!("{}/", self.0)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Mark ===

impl Mark {
    pub(super) fn new(run: &RunId, server: &ServerName, number: u64) -> Self {
        Self(format!("{run}/{server}/{number}"))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Kills every process that carries exactly this mark; returns how many there were.
pub(super) fn kill_marked(mark: &Mark) -> usize {
    processes::kill_where(|value| value == mark.as_str().as_bytes())
}

/// Kills every process that any child of this run left behind; returns how many there were.
pub(super) fn kill_run(run: &RunId) -> usize {
    let prefix = run.prefix();
    processes::kill_where(|value| value.starts_with(prefix.as_bytes()))
}

pub(super) use processes::{group_has_living_member, start_time};

#[cfg(target_os = "linux")]
mod processes {
    use std::collections::HashSet;
    use std::fs;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::VARIABLE;

    /// A stray may fork while we look, so we look again until nobody is found, but not forever.
    const ROUNDS: usize = 3;

    pub(in super::super) fn kill_where(wanted: impl Fn(&[u8]) -> bool) -> usize {
        let mut killed = HashSet::new();
        for _ in 0..ROUNDS {
            let found: Vec<i32> =
                all().filter(|pid| mark_of(*pid).is_some_and(|mark| wanted(&mark))).collect();
            if found.is_empty() {
                break;
            }
            for pid in found {
                if kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() && killed.insert(pid) {
                    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                    tracing::info!(
                        event = "process.killed",
                        pid,
                        name = name.trim(),
                        "killed a process that a server left behind"
                    );
                }
            }
        }
        killed.len()
    }

    /// When a process started, in clock ticks since boot: with its id, it names one process for good.
    pub(in super::super) fn start_time(pid: u32) -> Option<u64> {
        stat_fields(pid.try_into().ok()?)?.split(' ').nth(19)?.parse().ok()
    }

    pub(in super::super) fn group_has_living_member(group: u32) -> bool {
        let group = group.to_string();
        all().filter_map(stat_fields).any(|fields| {
            let mut fields = fields.split(' ');
            let state = fields.next();
            !matches!(state, Some("Z" | "X")) && fields.nth(1) == Some(&group)
        })
    }

    fn all() -> impl Iterator<Item = i32> {
        let own = nix::unistd::getpid().as_raw();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(move |pid| *pid > 1 && *pid != own)
    }

    /// The fields of `/proc/<pid>/stat` from the third (`state`) on. The second is the name, which may hold anything.
    fn stat_fields(pid: i32) -> Option<String> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let after_name = memchr::memrchr(b')', &stat)? + 2;
        String::from_utf8(stat.get(after_name..)?.to_vec()).ok()
    }

    fn mark_of(pid: i32) -> Option<Vec<u8>> {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mut entries = environment.split(|byte| *byte == 0);
        let mark = entries.find_map(|entry| entry.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"="))?;
        Some(mark.to_vec())
    }
}

#[cfg(not(target_os = "linux"))]
mod processes {
    pub(in super::super) fn kill_where(_wanted: impl Fn(&[u8]) -> bool) -> usize {
        0
    }

    pub(in super::super) fn start_time(_pid: u32) -> Option<u64> {
        None
    }

    /// Asked only after `killpg` found somebody, who is then taken to be alive.
    pub(in super::super) fn group_has_living_member(_group: u32) -> bool {
        true
    }
}
