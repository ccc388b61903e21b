//! The folder with the log: the file that is written to, and those that were full.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The file that is written to.
const CURRENT: &str = "audit.jsonl";
/// Writers take turns by a lock on this file: the others come and go.
const LOCK: &str = "audit.lock";

/// See the module.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// One file of the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogFile {
    /// The number of its first line, if its name says so; the file that is written to comes last.
    pub first: Option<u64>,
    /// Where it is.
    pub path: PathBuf,
}

impl Folder {
    /// The folder at this path, which need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn current(&self) -> PathBuf {
        self.0.join(CURRENT)
    }

    fn full(&self, first: u64) -> PathBuf {
        self.0.join(format!("audit-{first:012}.jsonl"))
    }

    /// Makes the folder, for its owner alone.
    pub(super) fn make(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.0)
    }

    /// The right to write, until the file is dropped. Waits for others, who hold it for one write.
    pub(super) fn lock(&self) -> io::Result<File> {
        let file = open(OpenOptions::new().write(true).create(true).truncate(false), &self.0.join(LOCK))?;
        file.lock()?;
        Ok(file)
    }

    /// The file that is written to.
    pub(super) fn open_current(&self) -> io::Result<File> {
        open(OpenOptions::new().read(true).append(true).create(true), &self.current())
    }

    /// Puts the current file aside, and deletes the oldest of the full ones beyond `keep`.
    pub(super) fn rotate(&self, first: u64, keep: usize) -> io::Result<()> {
        fs::rename(self.current(), self.full(first))?;
        let mut full = self.files()?;
        full.retain(|file| file.first.is_some());
        let surplus = full.len().saturating_sub(keep);
        for file in full.iter().take(surplus) {
            fs::remove_file(&file.path)?;
        }
        Ok(())
    }

    /// All files, the oldest first.
    ///
    /// # Errors
    /// The folder cannot be read; one that does not exist has no files.
    pub fn files(&self) -> io::Result<Vec<LogFile>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = name.strip_prefix("audit-").and_then(|name| name.strip_suffix(".jsonl"));
            match number.and_then(|number| number.parse().ok()) {
                Some(first) => files.push(LogFile { first: Some(first), path }),
                None if name == CURRENT => files.push(LogFile { first: None, path }),
                None => {}
            }
        }
        files.sort_by_key(|file| file.first.unwrap_or(u64::MAX));
        Ok(files)
    }
}

/// Opens a file that only its owner may read.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}
