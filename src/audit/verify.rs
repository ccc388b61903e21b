//! Looks whether the chain of the log is whole.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::PathBuf;

use super::chain::{self, Link};
use super::folder::LogFile;

/// What is wrong at a place of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    /// The line does not agree with its own hash: it was changed.
    Changed {
        /// The file.
        path: PathBuf,
        /// The line in it, counted from one.
        line: u64,
    },
    /// The line does not hang on the one before: something is missing between them, or was changed.
    Missing {
        /// The file.
        path: PathBuf,
        /// The line in it, counted from one.
        line: u64,
        /// The number of the line before it.
        after: u64,
    },
    /// The line was cut off when it was written, and the chain goes on without it: a full disk, or a writer that was killed.
    Torn {
        /// The file.
        path: PathBuf,
        /// The line in it, counted from one.
        line: u64,
    },
}

/// How the log is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The number of the first line that there still is.
    pub first: Option<u64>,
    /// The number of the last line.
    pub last: Option<u64>,
    /// What is wrong, in order.
    pub breaks: Vec<Break>,
}

impl Verdict {
    /// Whether nobody has changed anything or taken it out. What was cut off while it was written does not count.
    pub fn is_whole(&self) -> bool {
        self.breaks.iter().all(|found| matches!(found, Break::Torn { .. }))
    }
}

/// Walks through the files, the oldest first.
///
/// # Errors
/// A file cannot be read.
pub fn verify(files: &[LogFile]) -> io::Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut before: Option<Link> = None;
    // What does not agree with its hash was either changed, or cut off: then it does not end like a line, and the next one
    // does not miss it.
    let mut unsound: Option<(PathBuf, u64, bool)> = None;
    for file in files {
        let mut reader = BufReader::new(File::open(&file.path)?);
        let (mut text, mut line) = (Vec::new(), 0);
        loop {
            text.clear();
            if reader.read_until(b'\n', &mut text)? == 0 {
                break;
            }
            line += 1;
            let Some(sound) = chain::read(text.strip_suffix(b"\n").unwrap_or(&text)) else {
                verdict.breaks.extend(unsound.take().map(|(path, line, _)| Break::Changed { path, line }));
                unsound = Some((file.path.clone(), line, text.ends_with(b"}\n")));
                continue;
            };
            let hangs = match &before {
                Some(before) => sound.previous == before.hash && sound.link.number == before.number + 1,
                None => sound.link.number != 1 || sound.previous == Link::none().hash,
            };
            if let Some((path, line, is_ended)) = unsound.take() {
                let is_torn = hangs && !is_ended;
                let found = if is_torn { Break::Torn { path, line } } else { Break::Changed { path, line } };
                verdict.breaks.push(found);
            }
            if !hangs {
                let after = before.as_ref().map_or(0, |before| before.number);
                verdict.breaks.push(Break::Missing { path: file.path.clone(), line, after });
            }
            verdict.first.get_or_insert(sound.link.number);
            verdict.last = Some(sound.link.number);
            before = Some(sound.link);
        }
    }
    verdict.breaks.extend(unsound.map(|(path, line, is_ended)| match is_ended {
        true => Break::Changed { path, line },
        false => Break::Torn { path, line },
    }));
    Ok(verdict)
}
