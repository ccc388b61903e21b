//! Asks the user's login shell for its `PATH`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use memchr::memmem;
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStdout, Command};
use tokio::time::timeout;

use crate::supervisor::group::{self, Group};

/// Start-up files that take longer are not worth the wait.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A shell that has answered may tidy up this long.
const FAREWELL: Duration = Duration::from_millis(200);

/// Start-up files print what they like, so the value stands between two marks.
const BEGIN: &[u8] = b"<switchboard-path:";
const END: &[u8] = b":switchboard-path>";

/// `printf` and a quoted variable mean the same to POSIX shells, zsh and fish.
const QUESTION: &str = r#"printf '<switchboard-path:%s:switchboard-path>' "$PATH""#;

/// Greetings longer than this come from something that will not answer.
const MAX_OUTPUT: u64 = 1024 * 1024;

/// `$SHELL`, else what the user database says.
pub(super) fn of_this_user() -> PathBuf {
    let of_variable = std::env::var_os("SHELL").map(PathBuf::from).filter(|shell| shell.is_absolute());
    let of_database = || Some(nix::unistd::User::from_uid(nix::unistd::getuid()).ok()??.shell);
    of_variable.or_else(of_database).unwrap_or_else(|| "/bin/sh".into())
}

/// The folders of the shell's `PATH`; none if it does not answer in time, or not in a way that we understand.
pub(super) async fn ask(shell: &Path, patience: Duration) -> Vec<PathBuf> {
    let mut command = Command::new(shell);
    command.arg("-lic").arg(QUESTION).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // An interactive shell in the background of a terminal would stop itself; in its own session it has no terminal.
    group::prepare_session(&mut command);
    group::end_with_us(&mut command);
    let mut process = match command.kill_on_drop(true).spawn() {
        Ok(process) => process,
        Err(error) => {
            tracing::warn!(shell = %shell.display(), %error, "the login shell did not start; its PATH is not used");
            return Vec::new();
        }
    };
    let group = process.id().and_then(Group::led_by);
    let answer = match process.stdout.take() {
        Some(stdout) => timeout(patience, read_answer(stdout)).await.ok().flatten(),
        None => None,
    };
    let farewell = if answer.is_some() { FAREWELL } else { Duration::ZERO };
    if timeout(farewell, process.wait()).await.is_err() {
        if let Some(group) = group {
            group.kill();
        }
        let _ = process.wait().await;
    }
    if answer.is_none() {
        tracing::warn!(shell = %shell.display(), "the login shell did not tell its PATH");
    }
    answer.unwrap_or_default()
}

/// Reads up to the second mark, not to the end: something in the background may keep the pipe open.
async fn read_answer(stdout: ChildStdout) -> Option<Vec<PathBuf>> {
    let mut stdout = stdout.take(MAX_OUTPUT);
    let mut output = Vec::new();
    while stdout.read_buf(&mut output).await.ok()? > 0 {
        if let Some(path) = between_marks(&output) {
            use std::os::unix::ffi::OsStrExt;
            return Some(std::env::split_paths(std::ffi::OsStr::from_bytes(path)).collect());
        }
    }
    None
}

fn between_marks(output: &[u8]) -> Option<&[u8]> {
    let after = &output[memmem::rfind(output, BEGIN)? + BEGIN.len()..];
    Some(&after[..memmem::find(after, END)?])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use super::*;

    /// A shell that runs `start_up` before it does what it is told.
    fn shell(folder: &Path, start_up: &str) -> PathBuf {
        let path = folder.join("shell");
        fs::write(&path, format!("#!/bin/sh\n{start_up}\nshift; eval \"$1\"\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn the_answer_is_found_among_greetings() {
        let folder = tempfile::tempdir().unwrap();
        let shell =
            shell(folder.path(), "echo welcome; (sleep 5 &) ; PATH=/a:/b; echo -n '<switchboard-path:'");
        assert_eq!(ask(&shell, PATIENCE).await, ["/a", "/b"].map(PathBuf::from));
    }

    #[tokio::test]
    async fn a_shell_that_hangs_or_fails_costs_its_time_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let none: [PathBuf; 0] = [];
        assert_eq!(ask(&shell(folder.path(), "sleep 60"), Duration::from_millis(100)).await, none);
        assert_eq!(ask(&shell(folder.path(), "exit 1"), PATIENCE).await, none);
        assert_eq!(ask(Path::new("/no/such/shell"), PATIENCE).await, none);
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
