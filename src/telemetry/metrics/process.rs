//! What this process takes of the machine, by the names that Prometheus' own libraries use. Only where `/proc` tells.

use std::time::{Duration, UNIX_EPOCH};

use super::families;
use super::text::Sheet;
use crate::meter::Meters;

pub(super) fn write(sheet: &mut Sheet, meters: &Meters) {
    if let Some(cpu) = cpu() {
        sheet.family(&families::CPU).add(&[], cpu);
    }
    if let Some(memory) = memory() {
        sheet.family(&families::MEMORY).add(&[], memory);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        sheet.family(&families::FILES).add(&[], files.count());
    }
    if let Some(most) = max_files() {
        sheet.family(&families::MAX_FILES).add(&[], most);
    }
    let began = meters.began().duration_since(UNIX_EPOCH).unwrap_or_default();
    sheet.family(&families::BEGAN).add(&[], began);
}

/// See `proc_pid_stat(5)`: the name may hold spaces, so what follows its bracket is counted.
#[cfg(unix)]
fn cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    // What `sysconf(_SC_CLK_TCK)` tells on every Linux.
    Some(Duration::from_millis(ticks * 10))
}

#[cfg(not(unix))]
fn cpu() -> Option<Duration> {
    None
}

fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(unix)]
fn max_files() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit};
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

#[cfg(not(unix))]
fn max_files() -> Option<u64> {
    None
}
