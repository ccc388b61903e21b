//! Processes of servers whose Switchboard is gone.

use super::finding::{Area, Finding, Level};
use super::repair::Repair;
use crate::supervisor;

pub(super) fn examine() -> Vec<Finding> {
    let orphans = supervisor::orphans();
    let found = orphans.into_iter().map(|orphan| {
        let what = format!("process {} ({}) has lost its Switchboard", orphan.pid, orphan.program);
        let server = orphan.server.clone();
        let finding = Finding::new(Area::Processes, Level::Warning, what).of(&server);
        if orphan.doubtful {
            // An older Switchboard runs; the process may be a daemon that a server of its started.
            finding.remedy(format!("if no running Switchboard needs it: kill {}", orphan.pid))
        } else {
            finding.repair(Repair::Kill(orphan))
        }
    });
    let found: Vec<Finding> = found.collect();
    if found.is_empty() && cfg!(target_os = "linux") {
        return vec![Finding::new(Area::Processes, Level::Well, "no server has outlived its Switchboard")];
    }
    found
}
