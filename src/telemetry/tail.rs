//! The end of a log, and what is written behind it: also into the file that takes its place.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// So much of the end of a file is looked at, and so much of what is new is taken at once, in bytes: a server's log is no larger.
const WINDOW: u64 = 2 << 20;

/// Where a log is.
#[derive(Clone, Debug)]
pub enum Place {
    /// In this file.
    File(PathBuf),
    /// In this folder, where our own log has a file for each day.
    Days(PathBuf),
}

impl Place {
    /// The file that is written to now; `None` if nothing was ever logged.
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Days(folder) => newest(folder),
        }
    }
}

/// Our own log of the last day on which anything was logged: the names hold the date, so the last one is the newest.
fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("switchboard.") && name.ends_with(".log")
    };
    entries.filter(is_ours).max()
}

/// The last lines of a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// The lines, without their ends.
    pub lines: Vec<String>,
    /// Whether there are earlier ones.
    pub is_cut: bool,
}

/// A log that others write to. Reading it blocks.
#[derive(Debug)]
pub struct Tail {
    place: Place,
    file: Option<File>,
    /// How far it was read, in bytes.
    at: u64,
    /// The line whose end was not written yet.
    open: Vec<u8>,
}

impl Tail {
    /// The log at this place. Nothing is read yet.
    pub fn new(place: Place) -> Self {
        Self { place, file: None, at: 0, open: Vec::new() }
    }

    /// The last complete lines, this many at most. A file that is not there has none.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn last(&mut self, count: usize) -> io::Result<Last> {
        let Some(path) = self.place.file() else { return Ok(Last::default()) };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Last::default()),
            Err(error) => return Err(error),
        };
        let start = file.metadata()?.len().saturating_sub(WINDOW);
        file.seek(SeekFrom::Start(start))?;
        (self.file, self.at) = (Some(file), start);
        let mut lines = self.read()?;
        // The first one may have begun before.
        if start > 0 && !lines.is_empty() {
            lines.remove(0);
        }
        let skipped = lines.len().saturating_sub(count);
        Ok(Last { lines: lines.split_off(skipped), is_cut: start > 0 || skipped > 0 })
    }

    /// The complete lines that were written since the last look.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn more(&mut self) -> io::Result<Vec<String>> {
        // Whatever is written to the old file was written before there was another one, so that is looked for first.
        let other = self.other();
        let before = self.at;
        let mut lines = self.read()?;
        let is_at_end = self.at - before < WINDOW;
        if let Some(other) = other.filter(|_| is_at_end) {
            (self.file, self.at) = (Some(other), 0);
            self.open.clear();
            lines.extend(self.read()?);
        }
        Ok(lines)
    }

    /// The file that has taken the place of ours. One that has become shorter begins anew, too.
    fn other(&self) -> Option<File> {
        let path = self.place.file()?;
        let now = std::fs::metadata(&path).ok()?;
        let is_ours = self.file.as_ref().is_some_and(|file| is_same(file, &now) && now.len() >= self.at);
        if is_ours { None } else { File::open(path).ok() }
    }

    fn read(&mut self) -> io::Result<Vec<String>> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        self.at += file.take(WINDOW).read_to_end(&mut self.open)? as u64;
        let end = match memchr::memrchr(b'\n', &self.open) {
            Some(end) => end + 1,
            // A line without an end is not waited for without an end.
            None if self.open.len() as u64 >= WINDOW => self.open.len(),
            None => return Ok(Vec::new()),
        };
        let rest = self.open.split_off(end);
        let whole = std::mem::replace(&mut self.open, rest);
        Ok(String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect())
    }
}

#[cfg(unix)]
fn is_same(file: &File, now: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (now.dev(), now.ino()))
}

#[cfg(not(unix))]
fn is_same(file: &File, now: &Metadata) -> bool {
    file.metadata().is_ok_and(|open| open.created().ok() == now.created().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    fn append(path: &Path, text: &str) {
        File::options().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn the_last_lines_then_what_comes_also_after_a_turn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut tail = Tail::new(Place::File(path.clone()));
        assert_eq!(tail.last(5).unwrap(), Last::default());
        fs::write(&path, "1\n2\n3\nhalf").unwrap();
        let last = tail.last(2).unwrap();
        assert_eq!((&last.lines[..], last.is_cut), (&["2".to_owned(), "3".to_owned()][..], true));
        append(&path, " and whole\n4\n");
        assert_eq!(tail.more().unwrap(), ["half and whole", "4"]);
        append(&path, "the last one\n");
        fs::rename(&path, path.with_extension("log.1")).unwrap();
        fs::write(&path, "the first one\n").unwrap();
        assert_eq!(tail.more().unwrap(), ["the last one", "the first one"]);
        fs::write(&path, "anew\n").unwrap();
        assert_eq!(tail.more().unwrap(), ["anew"]);
    }

    #[test]
    fn a_log_that_begins_later_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let mut tail = Tail::new(Place::Days(folder.path().to_owned()));
        assert_eq!(tail.last(5).unwrap(), Last::default());
        for name in ["switchboard.2026-01-02.log", "switchboard.2026-01-10.log", "servers", "z.log"] {
            fs::write(folder.path().join(name), name.replace("switchboard", "line\n")).unwrap();
        }
        assert!(tail.place.file().unwrap().ends_with("switchboard.2026-01-10.log"));
        assert_eq!(tail.more().unwrap(), ["line"]);
        fs::write(folder.path().join("switchboard.2026-01-11.log"), "next day\n").unwrap();
        assert_eq!(tail.more().unwrap(), ["next day"]);
    }

    #[test]
    fn a_long_file_is_read_from_its_end_and_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let line = "0123456789abcde\n";
        fs::write(&path, line.repeat(200_000)).unwrap();
        let mut tail = Tail::new(Place::File(path.clone()));
        let last = tail.last(10_000).unwrap();
        assert!(last.is_cut && last.lines.len() == 10_000);
        assert!(last.lines.iter().all(|shown| format!("{shown}\n") == line));
        append(&path, &line.repeat(200_000));
        fs::rename(&path, path.with_extension("log.1")).unwrap();
        fs::write(&path, "new\n").unwrap();
        let mut lines = Vec::new();
        for _ in 0..3 {
            lines.extend(tail.more().unwrap());
        }
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (200_001, Some("new")));
    }
}
