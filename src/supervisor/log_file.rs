//! The log of one server: what it wrote to stderr, with times, in two files of 1 MiB that take turns.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::names::ServerName;
use crate::wire::time::rfc3339;

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

/// Where in the folder of logs that of this server is. It need not exist yet.
pub fn path(folder: &Path, server: &ServerName) -> PathBuf {
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

#[cfg(test)]
mod tests {
    use super::*;

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
