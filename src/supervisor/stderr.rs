//! What a server writes to stderr: read always, kept a little, written to its log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::log_file::LogFile;
use super::text::{Redactor, printable};

const MAX_LINES: usize = 200;
const MAX_BYTES: usize = 64 * 1024;

/// A line longer than this is cut into several.
const MAX_LINE: usize = 64 * 1024;

const READ_SIZE: usize = 16 * 1024;

/// The last lines that a process and its descendants wrote to stderr: at most 200 lines and 64 KiB, without known
/// secrets, without control characters. A cheap handle; the content goes on growing while the process lives.
#[derive(Clone, Debug, Default)]
pub struct StderrTail {
    ring: Arc<Mutex<Ring>>,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<String>,
    /// The length of all `lines`.
    bytes: usize,
    /// A line without an end so far, as it came: a process that fails may never end its last one.
    pending: Vec<u8>,
    redactor: Redactor,
}

/// The task that reads a stderr to its end.
#[derive(Debug)]
pub(super) struct Drain {
    tail: StderrTail,
    closed: watch::Receiver<()>,
    task: AbortHandle,
}

// === impl StderrTail ===

impl StderrTail {
    /// The last `count` lines, oldest first, an unfinished one included.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let ring = self.lock();
        let unfinished = (!ring.pending.is_empty()).then(|| ring.shown(ring.pending.clone()));
        let total = ring.lines.len() + usize::from(unfinished.is_some());
        ring.lines.iter().cloned().chain(unfinished).skip(total.saturating_sub(count)).collect()
    }

    fn redacting(redactor: Redactor) -> Self {
        Self { ring: Arc::new(Mutex::new(Ring { redactor, ..Ring::default() })) }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ring ===

impl Ring {
    /// Takes what was read and gives back the lines that are now complete, fit to be kept.
    fn split(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut done = Vec::new();
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.pending.extend_from_slice(&bytes[..end]);
            done.extend(self.flush().or_else(|| Some(String::new())));
            bytes = &bytes[end + 1..];
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= MAX_LINE {
            done.push(self.cut());
        }
        done
    }

    /// Ends the pending line as it is.
    fn flush(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.pending);
        (!line.is_empty()).then(|| self.shown(line))
    }

    /// Ends a pending line that is too long, but holds back what may be the first part of a secret.
    fn cut(&mut self) -> String {
        self.redactor.redact(&mut self.pending);
        let mut length =
            self.pending.len().saturating_sub(self.redactor.overlap().min(MAX_LINE / 2)).min(MAX_LINE);
        // Not within a character, if it is UTF-8 at all.
        while length > MAX_LINE / 4 && self.pending.get(length).is_some_and(|byte| byte & 0xc0 == 0x80) {
            length -= 1;
        }
        let rest = self.pending.split_off(length);
        let line = std::mem::replace(&mut self.pending, rest);
        self.shown(line)
    }

    fn shown(&self, mut line: Vec<u8>) -> String {
        self.redactor.redact(&mut line);
        printable(&line)
    }

    fn keep(&mut self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            self.bytes += line.len();
            self.lines.push_back(line);
        }
        while self.lines.len() > MAX_LINES || (self.bytes > MAX_BYTES && self.lines.len() > 1) {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len());
        }
    }
}

// === impl Drain ===

impl Drain {
    /// Reads until every holder of the pipe has closed it. The server never waits for us for longer than it takes to
    /// copy what it wrote.
    pub(super) fn start(mut stderr: ChildStderr, redactor: Redactor, mut log: Option<LogFile>) -> Self {
        let tail = StderrTail::redacting(redactor);
        let (open, closed) = watch::channel(());
        let drained = tail.clone();
        let task = tokio::spawn(async move {
            let mut keep = |lines: Vec<String>| {
                if let Some(log) = &mut log
                    && !lines.is_empty()
                {
                    log.write(&lines);
                }
                drained.lock().keep(lines);
            };
            let mut buffer = vec![0; READ_SIZE];
            while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
                let lines = drained.lock().split(&buffer[..length]);
                keep(lines);
            }
            let last = drained.lock().flush();
            keep(last.into_iter().collect());
            drop(open);
        });
        Self { tail, closed, task: task.abort_handle() }
    }

    pub(super) fn tail(&self) -> StderrTail {
        self.tail.clone()
    }

    /// Waits until everything has been read, or for `patience` if somebody keeps the pipe open.
    pub(super) async fn closed_within(&mut self, patience: Duration) {
        let _ = timeout(patience, self.closed.changed()).await;
    }

    /// Reads no more, even if somebody still holds the pipe open.
    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(secret: &str, chunks: &[&[u8]]) -> StderrTail {
        let tail = StderrTail::redacting(Redactor::new(&[secret.to_owned()]));
        for chunk in chunks {
            let lines = tail.lock().split(chunk);
            tail.lock().keep(lines);
        }
        tail
    }

    #[test]
    fn lines_are_put_together_and_an_open_one_is_shown() {
        let tail = tail_of("none", &[b"one\ntw", b"o\r\n\nthr", b"ee"]);
        assert_eq!(tail.last_lines(9), ["one", "two", "", "three"]);
        assert_eq!(tail.last_lines(2), ["", "three"]);
    }

    #[test]
    fn the_ring_is_bounded_in_lines_and_bytes() {
        let many = "x\n".repeat(1000);
        assert_eq!(tail_of("none", &[many.as_bytes()]).last_lines(usize::MAX).len(), MAX_LINES);
        let long = format!("{}\n", "y".repeat(1000)).repeat(100);
        let lines = tail_of("none", &[long.as_bytes()]).last_lines(usize::MAX);
        assert_eq!(lines.len(), MAX_BYTES / 1000);
    }

    #[test]
    fn a_secret_across_a_cut_or_a_read_does_not_show() {
        let secret = "s3cret-value";
        for shift in 0..=secret.len() {
            let before = "ü".repeat(MAX_LINE / 2 - 8) + &".".repeat(shift);
            let text = format!("{before}{secret} and more\n");
            let (first, second) = text.as_bytes().split_at(before.len() + 5);
            let shown = tail_of(secret, &[first, second]);
            let text: String = shown.last_lines(9).concat();
            assert!(
                !text.contains("s3cret") && !text.contains("value"),
                "{shift}: {}",
                &text[text.len() - 60..]
            );
            assert!(text.ends_with("and more") && !text.contains('\u{fffd}'));
        }
    }
}
