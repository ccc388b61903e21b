//! The login shell's last answer, kept in a small file as long as the shell's start-up files stay as they are.
//!
//! Start-up files may read others that we do not know of, so an answer is good enough to find a command, but never to
//! say that there is none.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

const FILE: &str = "login-shell-path";

const START_UP_FILES: &[&str] = &[
    ".profile",
    ".bash_profile",
    ".bash_login",
    ".bashrc",
    ".zshenv",
    ".zprofile",
    ".zshrc",
    ".zlogin",
    ".config/fish/config.fish",
];

/// The folders that this shell named, if nothing has changed since.
pub(super) fn read(state: &Path, shell: &Path) -> Option<Vec<PathBuf>> {
    let content = fs::read(state.join(FILE)).ok()?;
    let path = content.strip_prefix(key(shell).as_slice())?.strip_prefix(b"\n")?;
    Some(std::env::split_paths(OsStr::from_bytes(path)).collect())
}

/// Remembers them; a failure only costs time in the next run.
pub(super) fn write(state: &Path, shell: &Path, folders: &[PathBuf]) {
    let mut content = key(shell);
    content.push(b'\n');
    content.extend_from_slice(super::join(folders).as_bytes());
    // Another Switchboard may read or write at the same moment, so the file changes in one step.
    let draft = state.join(format!("{FILE}.{}", std::process::id()));
    let _ = fs::create_dir_all(state)
        .and_then(|()| fs::write(&draft, content))
        .and_then(|()| fs::rename(&draft, state.join(FILE)));
}

/// One line that changes with the shell and with every start-up file.
fn key(shell: &Path) -> Vec<u8> {
    let home = std::env::home_dir().unwrap_or_default();
    let changed = |file: &&str| {
        let modified = fs::metadata(home.join(file)).and_then(|found| found.modified());
        let age = modified.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        age.map_or(0, |age| age.as_nanos()).to_string()
    };
    let changes: Vec<String> = START_UP_FILES.iter().map(changed).collect();
    [shell.as_os_str().as_bytes(), b" ", changes.join(" ").as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_remembered_for_one_shell() {
        let folder = tempfile::tempdir().unwrap();
        let (state, shell) = (folder.path().join("new"), Path::new("/bin/sh"));
        let folders = ["/a b", "/c"].map(PathBuf::from);
        assert_eq!(read(&state, shell), None);
        write(&state, shell, &folders);
        assert_eq!(read(&state, shell).unwrap(), folders);
        assert_eq!(read(&state, Path::new("/bin/other")), None);
        fs::write(state.join(FILE), "cut").unwrap();
        assert_eq!(read(&state, shell), None);
    }
}
