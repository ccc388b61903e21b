//! The sidecar: a second, tiny process of this program that waits for the first one to end.
//!
//! It is plain and synchronous: no runtime, no log, one pipe to read. It runs in a session of its own, so neither a
//! terminal nor a client that kills our process group reaches it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, Signal, signal};

use super::protocol::Line;
use crate::supervisor::group::Group;
use crate::supervisor::strays::{self, RunId};

/// What the groups get between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(300);

const POLL: Duration = Duration::from_millis(10);

/// The entry of the sidecar: `switchboard __reap`, and nothing but that, must come here before anything else is done.
///
/// Reads from stdin until it ends, then ends all groups that are still registered. Exits within 1.5 seconds of that.
pub fn reap_main() -> ExitCode {
    ignore_signals();
    reap(BufReader::new(std::io::stdin()));
    ExitCode::SUCCESS
}

/// Keeps the table until the other end of the pipe closes, then ends what is in it.
fn reap(reader: impl BufRead) {
    let (run, table) = read_table(reader);
    let groups = still_ours(&table);
    if table.is_empty() {
        return;
    }
    for group in &groups {
        group.terminate();
    }
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline && groups.iter().any(|group| group.is_alive()) {
        std::thread::sleep(POLL);
    }
    for group in groups.iter().filter(|group| group.is_alive()) {
        group.kill();
    }
    if let Some(run) = run {
        strays::kill_run(&run);
    }
}

fn read_table(reader: impl BufRead) -> (Option<RunId>, BTreeMap<u32, Option<u64>>) {
    let (mut run, mut table) = (None, BTreeMap::new());
    // An error in reading means the same as the end: nobody will tell us anything any more.
    for text in reader.lines().map_while(Result::ok) {
        match Line::parse(&text) {
            Some(Line::Run(id)) => run = Some(id),
            Some(Line::Add { group, start_time }) => drop(table.insert(group, start_time)),
            Some(Line::Remove { group }) => drop(table.remove(&group)),
            None => {}
        }
    }
    (run, table)
}

/// Leaves out groups whose number has gone to another process since. Where the leader is gone and others are not, the
/// number still names our group: the kernel does not give it away before the last member has left.
fn still_ours(table: &BTreeMap<u32, Option<u64>>) -> Vec<Group> {
    let is_ours = |id: u32, registered: Option<u64>| match (registered, strays::start_time(id)) {
        (Some(registered), Some(now)) => registered == now,
        _ => true,
    };
    table.iter().filter(|(id, time)| is_ours(**id, **time)).filter_map(|(id, _)| Group::led_by(*id)).collect()
}

fn ignore_signals() {
    for number in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        #[expect(
            unsafe_code,
            reason = "ignoring a signal installs no handler that could run at a wrong time"
        )]
        // SAFETY: `SigIgn` runs no code of ours.
        let _ = unsafe { signal(number, SigHandler::SigIgn) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_what_came_and_did_not_go() {
        let run = RunId::random();
        let text = format!("run {run}\n+ 10 7\n+ 11\ngarbage\n- 10\n+ 12 8\n+ 13");
        let (found, table) = read_table(text.as_bytes());
        assert_eq!(found, Some(run));
        assert_eq!(table, BTreeMap::from([(11, None), (12, Some(8)), (13, None)]));
    }

    #[test]
    fn a_number_that_went_to_another_process_is_left_alone() {
        let own = std::process::id();
        assert_eq!(still_ours(&BTreeMap::from([(own, Some(1)), (0, None), (1, None)])), []);
    }
}
