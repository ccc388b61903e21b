//! The log of one server: what it wrote to stderr, with times, in two files of 1 MiB that take turns.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::names::ServerName;

const MAX_BYTES: u64 = 1024 * 1024;

/// Enough for every name that a person would choose; file systems end at 255 bytes.
const MAX_NAME: usize = 100;

/// Appends to `<folder>/servers/<name>.log`. It is created with the first line; failures are ignored, since a log
/// must never be a reason not to run. Several processes may write the same file: each line goes out in one piece.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    generation: u64,
    file: Option<File>,
}

/// Where the log of this server is.
pub(super) fn path(folder: &Path, server: &ServerName) -> PathBuf {
    let safe = |character: char| match character {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_' | '.' => character,
        _ => '_',
    };
    // A name is a stranger's word: with the dots gone from its front, it names no other folder and no hidden file.
    let name: String = server.as_str().chars().take(MAX_NAME).map(safe).collect();
    let name = name.trim_start_matches('.');
    folder.join("servers").join(format!("{}.log", if name.is_empty() { "_" } else { name }))
}

// === impl LogFile ===

impl LogFile {
    pub(super) fn new(folder: &Path, server: &ServerName, generation: u64) -> Self {
        Self { path: path(folder, server), generation, file: None }
    }

    pub(super) fn write(&mut self, lines: &[String]) {
        let time = rfc3339(SystemTime::now());
        let mut text = String::new();
        for line in lines {
            text.extend([&time, " #", &self.generation.to_string(), " ", line, "\n"]);
        }
        if self.try_write(text.as_bytes()).is_err() {
            self.file = None;
        }
    }

    fn try_write(&mut self, text: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) if file.metadata()?.len() < MAX_BYTES => file,
            Some(full) => self.turn(&full)?,
            None => self.open()?,
        };
        file.write_all(text)?;
        self.file = Some(file);
        Ok(())
    }

    fn open(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            create_private_folder(folder)?;
        }
        let file = open_private(&self.path)?;
        if file.metadata()?.len() < MAX_BYTES { Ok(file) } else { self.turn(&file) }
    }

    /// Puts the full file aside, unless another process has already done so, and opens the next one.
    fn turn(&self, full: &File) -> io::Result<File> {
        if fs::metadata(&self.path).is_ok_and(|now| is_same(&now, full)) {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
        }
        open_private(&self.path)
    }
}

#[cfg(unix)]
fn is_same(now: &fs::Metadata, open: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    open.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (now.dev(), now.ino()))
}

#[cfg(not(unix))]
fn is_same(now: &fs::Metadata, open: &File) -> bool {
    open.metadata().is_ok_and(|open| open.len() == now.len())
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// UTC with milliseconds, as RFC 3339 writes it.
fn rfc3339(time: SystemTime) -> String {
    let age = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = age.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", age.subsec_millis())
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar. Years are counted from March, so that the
/// leap day is the last one and months have a regular length: 153 days for every five.
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_utc() {
        let check = |seconds, expected: &str| {
            assert_eq!(rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_399, "2000-02-28T23:59:59.000Z");
        check(951_782_400, "2000-02-29T00:00:00.000Z");
        check(4_107_542_399, "2100-02-28T23:59:59.000Z");
        check(4_107_542_400, "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        let check = |name: &str, expected: &str| {
            assert_eq!(path(Path::new("/l"), &name.into()), Path::new("/l/servers").join(expected), "{name}");
        };
        check("files", "files.log");
        check("../../etc/passwd", "_.._etc_passwd.log");
        check("..", "_.log");
        check("ü b", "__b.log");
    }

    #[test]
    fn two_writers_share_two_files_of_bounded_size() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerName::from("a");
        let mut writers = [1, 2].map(|generation| LogFile::new(folder.path(), &server, generation));
        let line = vec!["x".repeat(10_000)];
        for _ in 0..200 {
            writers.iter_mut().for_each(|writer| writer.write(&line));
        }
        let size = |name| fs::metadata(folder.path().join("servers").join(name)).unwrap().len();
        for name in ["a.log", "a.log.1"] {
            assert!((1..=MAX_BYTES + 20_100).contains(&size(name)), "{name}: {}", size(name));
        }
        let text = fs::read_to_string(folder.path().join("servers/a.log")).unwrap();
        assert!(text.contains("Z #1 xxx") && text.contains("Z #2 xxx"));
    }
}
