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

/// A server's process whose Switchboard is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The process.
    pub pid: i32,
    /// Its name, as the system knows it.
    pub program: String,
    /// Whose process it was.
    pub server: String,
    /// Another Switchboard runs that is older, so that it may belong to that one after all.
    pub doubtful: bool,
    /// The whole mark, by which it is known again.
    mark: Vec<u8>,
}

/// The processes of this user that a Switchboard started and left behind when it died. Linux only.
pub fn orphans() -> Vec<Orphan> {
    processes::orphans()
}

/// Kills an orphan, if the process with its id is still the same one. Returns whether it did.
pub fn kill_orphan(orphan: &Orphan) -> bool {
    processes::kill_orphan(orphan)
}

/// The server in a mark: `<run id>/<server>/<number>`.
fn server_of(mark: &[u8]) -> Option<String> {
    let mark = String::from_utf8_lossy(mark);
    let (run, rest) = mark.split_once('/')?;
    RunId::parse(run)?;
    Some(rest.rsplit_once('/')?.0.to_owned())
}

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

    /// Who adopts processes whose parent has died, besides the first process.
    const ADOPTERS: [&str; 8] =
        ["systemd", "init", "tini", "dumb-init", "docker-init", "catatonit", "containerd-shim", "conmon"];

    /// The name of our program in the list of processes.
    const OURSELVES: &str = "switchboard";

    pub(super) fn orphans() -> Vec<super::Orphan> {
        let mut orphans = Vec::new();
        for pid in all() {
            let Some(mark) = mark_of(pid) else { continue };
            let Some(server) = super::server_of(&mark) else { continue };
            if is_dead(pid) || !is_orphaned(pid) {
                continue;
            }
            let started = start_time(pid.unsigned_abs());
            let older = |other: i32| {
                name_of(other) == OURSELVES
                    && !is_sidecar(other)
                    && start_time(other.unsigned_abs()) <= started
            };
            let doubtful = all().any(older);
            orphans.push(super::Orphan { pid, program: name_of(pid), server, doubtful, mark });
        }
        orphans
    }

    pub(super) fn kill_orphan(orphan: &super::Orphan) -> bool {
        let is_same = mark_of(orphan.pid).is_some_and(|mark| mark == orphan.mark);
        is_same && kill(Pid::from_raw(orphan.pid), Signal::SIGKILL).is_ok()
    }

    /// Whether nobody above it is alive but those who adopt orphans. Somebody else's program may have us as a library, so any
    /// other parent counts as its owner.
    fn is_orphaned(pid: i32) -> bool {
        let mut pid = pid;
        // Processes die while we look; a chain is never this long.
        for _ in 0..64 {
            let Some(parent) = parent_of(pid) else { return true };
            if parent <= 1 {
                return true;
            }
            let name = name_of(parent);
            if ADOPTERS.iter().any(|adopter| name.starts_with(adopter)) {
                return true;
            }
            if mark_of(parent).is_none() {
                return false;
            }
            pid = parent;
        }
        false
    }

    fn is_dead(pid: i32) -> bool {
        stat_fields(pid).is_none_or(|fields| fields.starts_with(['Z', 'X']))
    }

    fn parent_of(pid: i32) -> Option<i32> {
        stat_fields(pid)?.split(' ').nth(1)?.parse().ok()
    }

    fn name_of(pid: i32) -> String {
        fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
    }

    fn is_sidecar(pid: i32) -> bool {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).nth(1) == Some(b"__reap")
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

    pub(super) fn orphans() -> Vec<super::Orphan> {
        Vec::new()
    }

    pub(super) fn kill_orphan(_: &super::Orphan) -> bool {
        false
    }

    pub(in super::super) fn start_time(_pid: u32) -> Option<u64> {
        None
    }

    /// Asked only after `killpg` found somebody, who is then taken to be alive.
    pub(in super::super) fn group_has_living_member(_group: u32) -> bool {
        true
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_the_server() {
        let run = "0123456789abcdef0123456789abcdef";
        assert_eq!(server_of(format!("{run}/a/b/3").as_bytes()), Some("a/b".to_owned()));
        assert_eq!(server_of(b"short/a/3"), None);
        assert_eq!(server_of(b""), None);
    }

    #[test]
    fn only_the_process_that_was_found_is_killed() {
        let run = RunId::random();
        let mark = Mark::new(&run, &"files".into(), 1);
        let mut child =
            std::process::Command::new("sleep").arg("300").env(VARIABLE, mark.as_str()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(orphans().iter().all(|orphan| orphan.pid != pid), "its parent is alive: we are");
        let orphan = |mark: &str| Orphan {
            pid,
            program: "sleep".into(),
            server: "files".into(),
            doubtful: false,
            mark: mark.as_bytes().to_vec(),
        };
        assert!(!kill_orphan(&orphan("another")));
        assert!(kill_orphan(&orphan(mark.as_str())));
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
    }
}
