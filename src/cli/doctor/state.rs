//! The state folder: is it ours, may others look in, is anything in it damaged or left over?

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::finding::{Area, Finding, Level};
use super::repair::Repair;
use crate::catalog::Store;

/// How many files are looked at; no state has as many.
const MOST: usize = 20_000;
/// How deep it is looked.
const DEEPEST: usize = 4;
/// A temporary file this old was left by a process that was killed.
const STALE: Duration = Duration::from_secs(3600);

pub(super) fn examine(folder: &Path) -> Vec<Finding> {
    let finding = |level, what: String| Finding::new(Area::State, level, what);
    let metadata = match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            let what = format!("{} is no folder: nothing is remembered", folder.display());
            return vec![finding(Level::Error, what).remedy("remove it")];
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return vec![finding(Level::Well, format!("{} does not exist yet", folder.display()))];
        }
        Err(error) => {
            let what = format!("{} cannot be read: {error}", folder.display());
            return vec![finding(Level::Error, what).remedy("make it yours: chown")];
        }
    };
    let mut findings = Vec::new();
    findings.extend(rights(folder, &metadata, true));
    let mut files = Vec::new();
    walk(folder, 0, &mut files);
    for (path, metadata) in &files {
        // In a folder that is closed to others, only logins are closed themselves.
        let is_login = path.strip_prefix(folder).is_ok_and(|path| path.starts_with("auth"));
        findings.extend(rights(path, metadata, is_login));
        findings.extend(leftover(path, metadata));
    }
    for (path, why) in Store::damaged(&folder.join("catalog")) {
        let what = format!("a stored catalog is damaged: {}: {why}", path.display());
        findings.push(finding(Level::Warning, what).repair(Repair::Aside(path)));
    }
    for (path, _) in files.iter().filter(|(path, _)| is_login_file(folder, path)) {
        let sound =
            fs::read(path).is_ok_and(|text| serde_json::from_slice::<serde_json::Value>(&text).is_ok());
        if !sound {
            let what = format!("a login is damaged: {}", path.display());
            findings.push(
                finding(Level::Warning, what)
                    .remedy("remove the file and log in again: switchboard auth login NAME"),
            );
        }
    }
    findings.extend(writable(folder));
    findings.extend(space(folder));
    if findings.is_empty() {
        findings.push(finding(Level::Well, format!("{}; {} files", folder.display(), files.len())));
    }
    findings
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<(PathBuf, Metadata)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if files.len() >= MOST {
            return;
        }
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let is_folder = metadata.is_dir();
        files.push((path.clone(), metadata));
        if is_folder && depth < DEEPEST {
            walk(&path, depth + 1, files);
        }
    }
}

fn is_login_file(folder: &Path, path: &Path) -> bool {
    path.strip_prefix(folder).is_ok_and(|it| it.starts_with("auth"))
        && path.extension().is_some_and(|it| it == "json")
}

/// Whose it is, and what others may do. `closed`: they may not even look.
#[cfg(unix)]
fn rights(path: &Path, metadata: &Metadata, closed: bool) -> Option<Finding> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    if metadata.is_symlink() {
        return None;
    }
    let finding = |level, what: String| Finding::new(Area::State, level, what);
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        let what = format!("{} belongs to another user", path.display());
        return Some(finding(Level::Error, what).remedy(format!("chown -R $(id -u) {}", path.display())));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    let allowed = if metadata.is_dir() { 0o700 } else { 0o600 };
    let repair = || Repair::Mode { path: path.to_owned(), mode: allowed };
    if mode & 0o022 != 0 {
        return Some(finding(Level::Error, format!("others may change {}", path.display())).repair(repair()));
    }
    let open = closed && mode & 0o077 != 0;
    open.then(|| finding(Level::Warning, format!("others may read {}", path.display())).repair(repair()))
}

#[cfg(not(unix))]
fn rights(_: &Path, _: &Metadata, _: bool) -> Option<Finding> {
    None
}

/// What a killed process left: temporary files, and sockets that nobody listens on.
fn leftover(path: &Path, metadata: &Metadata) -> Option<Finding> {
    let age = metadata.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
    let what = if metadata.is_file() && path.extension().is_some_and(|it| it == "tmp") && age > STALE {
        format!("{} was left by a process that was killed", path.display())
    } else if is_dead_socket(path, metadata) {
        format!("nobody listens on {} any more", path.display())
    } else {
        return None;
    };
    Some(Finding::new(Area::State, Level::Warning, what).repair(Repair::Remove(path.to_owned())))
}

#[cfg(unix)]
fn is_dead_socket(path: &Path, metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::UnixStream;
    let refused = std::io::ErrorKind::ConnectionRefused;
    metadata.file_type().is_socket() && UnixStream::connect(path).is_err_and(|error| error.kind() == refused)
}

#[cfg(not(unix))]
fn is_dead_socket(_: &Path, _: &Metadata) -> bool {
    false
}

/// Whether something can be written there: a read-only file system keeps nothing.
fn writable(folder: &Path) -> Option<Finding> {
    let probe = folder.join(format!(".doctor-{}.tmp", std::process::id()));
    let written = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe));
    written.err().map(|error| {
        let what = format!("nothing can be written to {}: {error}", folder.display());
        Finding::new(Area::State, Level::Error, what)
            .remedy("make it writable, or name another place: SWITCHBOARD_HOME or XDG_STATE_HOME")
    })
}

/// A full disk makes logs, logins and audit fail at the worst time.
#[cfg(unix)]
#[cfg_attr(
    target_os = "linux",
    expect(clippy::useless_conversion, reason = "other systems count blocks in 32 bits")
)]
fn space(folder: &Path) -> Option<Finding> {
    const LEAST: u64 = 50 << 20;
    let disk = nix::sys::statvfs::statvfs(folder).ok()?;
    let free = u64::from(disk.blocks_available()).saturating_mul(disk.fragment_size());
    (free < LEAST).then(|| {
        let what = format!("only {} MiB are free where {} is", free >> 20, folder.display());
        Finding::new(Area::State, Level::Warning, what).remedy("make room")
    })
}

#[cfg(not(unix))]
fn space(_: &Path) -> Option<Finding> {
    None
}
