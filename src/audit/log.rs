//! The file under the journal: appends lines to the chain, whoever else writes to it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::chain::{self, Link};
use super::folder::Folder;

/// No line is longer than this: arguments beyond it are hashed.
pub(super) const LONGEST_LINE: u64 = 256 << 10;

/// See the module.
pub(super) struct Log {
    folder: Folder,
    max_bytes: u64,
    keep: usize,
    open: Option<Open>,
}

/// The current file as we left it.
struct Open {
    file: File,
    /// How long it was then.
    length: u64,
    last: Link,
    /// The number of its first line.
    first: u64,
}

impl Log {
    pub(super) fn new(folder: Folder, max_bytes: u64, keep: usize) -> Self {
        Self { folder, max_bytes, keep, open: None }
    }

    /// Appends lines with these members, all or none.
    pub(super) fn append(&mut self, entries: &[Vec<u8>]) -> io::Result<()> {
        self.folder.make()?;
        let _turn = self.folder.lock()?;
        let mut open = match self.open.take() {
            Some(open) if is_untouched(&open, &self.folder) => open,
            _ => self.reopen()?,
        };
        if open.length >= self.max_bytes {
            open.file.sync_all()?;
            self.folder.rotate(open.first, self.keep)?;
            open = Open { file: self.folder.open_current()?, length: 0, first: open.last.number + 1, ..open };
        }
        let mut lines = Vec::new();
        let mut last = open.last.clone();
        for members in entries {
            last = last.forge(&mut lines, members);
        }
        if let Err(error) = open.file.write_all(&lines) {
            // A half line would stand in the way of the next one.
            let _ = open.file.set_len(open.length);
            return Err(error);
        }
        let length = open.length + lines.len() as u64;
        self.open = Some(Open { length, last, ..open });
        Ok(())
    }

    /// Finds the end of the chain.
    fn reopen(&self) -> io::Result<Open> {
        let mut file = self.folder.open_current()?;
        let length = file.metadata()?.len();
        let tail = tail(&mut file, length)?;
        if let Some(last) = last_link(&tail) {
            let length = end_torn_line(&mut file, &tail, length)?;
            let first = first_number(&mut file)?.unwrap_or(last.number);
            return Ok(Open { file, length, last, first });
        }
        let last = self.last_of_full()?;
        let length = end_torn_line(&mut file, &tail, length)?;
        Ok(Open { file, length, first: last.number + 1, last })
    }

    /// The end of the file before the current one.
    fn last_of_full(&self) -> io::Result<Link> {
        let full = self.folder.files()?.into_iter().rfind(|file| file.first.is_some());
        let Some(full) = full else { return Ok(Link::none()) };
        let mut file = File::open(full.path)?;
        let length = file.metadata()?.len();
        Ok(last_link(&tail(&mut file, length)?).unwrap_or_else(Link::none))
    }
}

/// Whether the file at the path is still the one that we wrote to last, and nobody has written to it since.
fn is_untouched(open: &Open, folder: &Folder) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let (Ok(ours), Ok(theirs)) = (open.file.metadata(), std::fs::metadata(folder.current())) else {
            return false;
        };
        (ours.dev(), ours.ino(), open.length) == (theirs.dev(), theirs.ino(), theirs.len())
    }
    #[cfg(not(unix))]
    {
        std::fs::metadata(folder.current()).is_ok_and(|theirs| theirs.len() == open.length)
    }
}

/// The last lines.
fn tail(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(length.saturating_sub(2 * LONGEST_LINE)))?;
    let mut tail = Vec::new();
    file.take(2 * LONGEST_LINE).read_to_end(&mut tail)?;
    Ok(tail)
}

/// The last line that is whole.
fn last_link(tail: &[u8]) -> Option<Link> {
    tail.rsplit(|byte| *byte == b'\n').find_map(|line| chain::read(line).map(|sound| sound.link))
}

/// A line that was cut off when its writer died or the disk was full gets an end; it stays where it is, for all to see.
fn end_torn_line(file: &mut File, tail: &[u8], length: u64) -> io::Result<u64> {
    if tail.last().is_none_or(|byte| *byte == b'\n') {
        return Ok(length);
    }
    file.write_all(b"\n")?;
    Ok(length + 1)
}

fn first_number(file: &mut File) -> io::Result<Option<u64>> {
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    file.take(LONGEST_LINE).read_to_end(&mut head)?;
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(chain::read(line).map(|sound| sound.link.number))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::verify::{Break, verify};
    use super::*;

    fn log(folder: &tempfile::TempDir, max_bytes: u64) -> Log {
        Log::new(Folder::new(folder.path().join("audit")), max_bytes, 3)
    }

    fn add(log: &mut Log, count: usize) {
        for number in 0..count {
            log.append(&[format!(r#""n":{number}"#).into_bytes()]).unwrap();
        }
    }

    fn check(log: &Log) -> super::super::Verdict {
        verify(&log.folder.files().unwrap()).unwrap()
    }

    #[test]
    fn two_writers_make_one_chain() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut other) = (log(&folder, u64::MAX), log(&folder, u64::MAX));
        for _ in 0..5 {
            add(&mut one, 2);
            add(&mut other, 3);
        }
        let verdict = check(&one);
        assert_eq!((verdict.first, verdict.last, verdict.breaks), (Some(1), Some(25), vec![]));
    }

    #[test]
    fn the_chain_goes_on_from_file_to_file_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut other) = (log(&folder, 1000), log(&folder, 1000));
        for _ in 0..10 {
            add(&mut one, 3);
            add(&mut other, 3);
        }
        let files = one.folder.files().unwrap();
        assert_eq!(files.iter().filter(|file| file.first.is_some()).count(), 3, "{files:?}");
        let verdict = check(&one);
        assert_eq!((verdict.first, verdict.last), (files[0].first, Some(60)));
        assert_eq!(verdict.breaks, []);
        // Somebody starts anew right behind a full file.
        let mut third = log(&folder, 1000);
        add(&mut third, 1);
        assert_eq!((check(&third).last, check(&third).breaks), (Some(61), vec![]));
    }

    #[test]
    fn a_line_that_was_cut_off_stays_and_breaks_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = log(&folder, u64::MAX);
        add(&mut one, 2);
        let current = one.folder.current();
        let whole = fs::read(&current).unwrap();
        fs::write(&current, &whole[..whole.len() - 20]).unwrap();
        let mut other = log(&folder, u64::MAX);
        add(&mut other, 1);
        let verdict = check(&one);
        assert_eq!(verdict.last, Some(2), "the one that was cut off is not counted");
        assert!(matches!(&verdict.breaks[..], [Break::Torn { line: 2, .. }]), "{:?}", verdict.breaks);
    }

    #[test]
    fn what_was_changed_or_taken_out_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = log(&folder, u64::MAX);
        add(&mut one, 4);
        let current = one.folder.current();
        let text = fs::read_to_string(&current).unwrap();
        fs::write(&current, text.replacen(r#""n":1"#, r#""n":7"#, 1)).unwrap();
        assert!(matches!(
            &check(&one).breaks[..],
            [Break::Changed { line: 2, .. }, Break::Missing { line: 3, .. }]
        ));
        let without: String = text
            .lines()
            .enumerate()
            .filter(|(at, _)| *at != 1)
            .map(|(_, line)| format!("{line}\n"))
            .collect();
        fs::write(&current, without).unwrap();
        assert!(matches!(&check(&one).breaks[..], [Break::Missing { line: 2, after: 1, .. }]));
    }
}
