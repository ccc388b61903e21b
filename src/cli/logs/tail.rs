//! The end of a file, and what is written behind it: also into the file that takes its place.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::exit::{self, Exit};

/// How much of the end of a file is looked at, in bytes: a server's log is no larger than this.
const WINDOW: u64 = 2 << 20;
/// How often to look for more.
const LOOK: Duration = Duration::from_millis(200);

/// A file that others write to.
pub(super) struct Tail {
    path: Option<PathBuf>,
    file: Option<File>,
    /// How far it was read, in bytes.
    at: u64,
    /// The line whose end was not written yet.
    open: Vec<u8>,
}

impl Tail {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self { path, file: None, at: 0, open: Vec::new() }
    }

    /// The last lines. None of a file that is not there.
    pub(super) fn last(&mut self, count: usize) -> io::Result<Vec<String>> {
        let Some(path) = &self.path else { return Ok(Vec::new()) };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let start = length.saturating_sub(WINDOW);
        file.seek(SeekFrom::Start(start))?;
        (self.file, self.at) = (Some(file), start);
        let mut lines = self.more()?;
        if start > 0 && !lines.is_empty() {
            lines.remove(0);
        }
        Ok(lines.split_off(lines.len().saturating_sub(count)))
    }

    /// Prints what comes until somebody presses Ctrl-C. `look` says where the log is now: it may begin anew.
    pub(super) fn follow(mut self, look: impl Fn() -> Option<PathBuf>, print: impl Fn(&str)) -> Exit {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return exit::FAILED;
        };
        runtime.block_on(async {
            let interrupted = tokio::signal::ctrl_c();
            tokio::pin!(interrupted);
            loop {
                // What is left of the old file comes before the new one.
                let lines = self.more().unwrap_or_default();
                lines.iter().for_each(|line| print(line));
                self.turn(look());
                tokio::select! {
                    _ = &mut interrupted => return exit::INTERRUPTED,
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        })
    }

    /// Goes over to another file, if the log is in another one by now.
    fn turn(&mut self, path: Option<PathBuf>) {
        let is_other = match (&self.file, path.as_ref().and_then(|path| std::fs::metadata(path).ok())) {
            (Some(file), Some(now)) => !is_same(file, &now) || now.len() < self.at,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if is_other {
            self.file = path.as_ref().and_then(|path| File::open(path).ok());
            self.path = path;
            self.at = 0;
            self.open.clear();
        }
    }

    /// The complete lines that were written since the last look.
    fn more(&mut self) -> io::Result<Vec<String>> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        let before = self.open.len();
        file.read_to_end(&mut self.open)?;
        self.at += (self.open.len() - before) as u64;
        let Some(end) = memchr::memrchr(b'\n', &self.open) else { return Ok(Vec::new()) };
        let rest = self.open.split_off(end + 1);
        let whole = std::mem::replace(&mut self.open, rest);
        Ok(String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect())
    }
}

#[cfg(unix)]
fn is_same(file: &File, now: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (now.dev(), now.ino()))
}

#[cfg(not(unix))]
fn is_same(file: &File, now: &std::fs::Metadata) -> bool {
    file.metadata().is_ok_and(|open| open.created().ok() == now.created().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    #[test]
    fn the_last_lines_then_what_comes_also_after_a_turn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        assert!(Tail::new(Some(path.clone())).last(5).unwrap().is_empty());
        fs::write(&path, "1\n2\n3\nhalf").unwrap();
        let mut tail = Tail::new(Some(path.clone()));
        assert_eq!(tail.last(2).unwrap(), ["2", "3"]);
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b" and whole\n4\n").unwrap();
        assert_eq!(tail.more().unwrap(), ["half and whole", "4"]);
        fs::rename(&path, path.with_extension("log.1")).unwrap();
        tail.turn(Some(path.clone()));
        assert_eq!(tail.more().unwrap(), Vec::<String>::new());
        fs::write(&path, "5\n").unwrap();
        tail.turn(Some(path));
        assert_eq!(tail.more().unwrap(), ["5"]);
    }
}
