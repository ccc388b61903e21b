//! Chunks in, lines out: MCP's stdio framing (one message, one line) with a bound on the length of a line.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

/// How much is asked for in one read: what a pipe holds on Linux.
const CHUNK: usize = 64 * 1024;
/// A buffer that grew beyond this for one long line is given back after it.
const KEEP: usize = 256 * 1024;
/// How much of a line that is too long is kept from its beginning and from its end, to find its id.
const REMNANT: usize = 4 * 1024;
/// How many lines are cut off before the first of them is looked at.
const AT_ONCE: usize = 16;

/// Lines that stand next to each other.
///
/// The code that a call runs through is larger than the first instruction cache of common machines (32 KiB). If each line went the
/// whole way before the next is begun, every one would fetch that code anew; in small groups, step by step, most find it there.
pub type Cut = SmallVec<[Line; AT_ONCE]>;
/// What somebody makes of the lines of a [`Cut`], in their order.
pub type PerLine<T> = SmallVec<[T; AT_ONCE]>;

/// One line without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line within the limit. Never empty.
    Whole(Bytes),
    /// A line over the limit, of which only the ends are left.
    TooLong {
        /// Its first bytes.
        head: Bytes,
        /// Its last bytes.
        tail: Bytes,
        /// Its length in bytes.
        length: u64,
    },
}

/// What is left of something that was too long to keep: its ends.
pub(super) struct Skipped {
    head: Bytes,
    tail: BytesMut,
    length: u64,
}

/// Cuts a stream of bytes into lines. Accepts CRLF, blank lines, and a byte order mark in front
/// of a line: some programs write one each time they open their output.
pub struct LineReader {
    buffer: BytesMut,
    /// How much of `buffer` is known to hold no line end.
    scanned: usize,
    limit: usize,
    skipped: Option<Skipped>,
}

impl LineReader {
    /// A reader that refuses lines longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), scanned: 0, limit, skipped: None }
    }

    /// The buffer to read the next chunk into, with room for one.
    ///
    /// A long line doubles the room each time, so that its bytes are moved a bounded number of times.
    pub fn space(&mut self) -> &mut BytesMut {
        let spare = self.buffer.capacity() - self.buffer.len();
        if spare < CHUNK / 4 {
            self.buffer.reserve(CHUNK.max(self.buffer.len()));
        }
        &mut self.buffer
    }

    /// How many bytes the unfinished line has so far.
    pub fn pending(&self) -> u64 {
        self.skipped.as_ref().map_or(0, |skipped| skipped.length) + self.buffer.len() as u64
    }

    /// The next line, if the bytes read so far hold one.
    pub fn next_line(&mut self) -> Option<Line> {
        loop {
            let Some(offset) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                if self.buffer.len() > self.limit || self.skipped.is_some() {
                    self.skip_all();
                }
                return None;
            };
            let line = self.buffer.split_to(self.scanned + offset + 1).freeze();
            self.scanned = 0;
            if self.buffer.capacity() > KEEP && self.buffer.len() < CHUNK {
                self.buffer = BytesMut::from(&self.buffer[..]);
            }
            if let Some(line) = self.finish_line(line.slice(..line.len() - 1)) {
                return Some(line);
            }
        }
    }

    /// The next lines, a few at most; empty if the bytes read so far hold none.
    pub fn next_lines(&mut self) -> Cut {
        std::iter::from_fn(|| self.next_line()).take(AT_ONCE).collect()
    }

    /// What is left when the stream ends without a line end.
    pub fn last_line(&mut self) -> Option<Line> {
        let rest = self.buffer.split().freeze();
        self.scanned = 0;
        self.finish_line(rest)
    }

    fn finish_line(&mut self, mut line: Bytes) -> Option<Line> {
        if let Some(mut skipped) = self.skipped.take() {
            skipped.absorb(&line);
            return Some(skipped.into_line());
        }
        if line.starts_with(b"\xef\xbb\xbf") {
            line = line.slice(3..);
        }
        if line.ends_with(b"\r") {
            line.truncate(line.len() - 1);
        }
        if line.len() > self.limit {
            let mut skipped = Skipped::new();
            skipped.absorb(&line);
            return Some(skipped.into_line());
        }
        (!line.trim_ascii().is_empty()).then_some(Line::Whole(line))
    }

    fn skip_all(&mut self) {
        let skipped = self.skipped.get_or_insert_with(Skipped::new);
        skipped.absorb(&self.buffer);
        if self.buffer.capacity() > KEEP {
            self.buffer = BytesMut::new();
        } else {
            self.buffer.clear();
        }
        self.scanned = 0;
    }
}

impl Skipped {
    pub(super) fn new() -> Self {
        Self { head: Bytes::new(), tail: BytesMut::new(), length: 0 }
    }

    pub(super) fn absorb(&mut self, chunk: &[u8]) {
        if self.head.is_empty() {
            self.head = Bytes::copy_from_slice(&chunk[..chunk.len().min(REMNANT)]);
        }
        self.length += chunk.len() as u64;
        if chunk.len() >= REMNANT {
            self.tail.clear();
        }
        self.tail.extend_from_slice(&chunk[chunk.len().saturating_sub(REMNANT)..]);
        if self.tail.len() > 2 * REMNANT {
            let surplus = self.tail.len() - REMNANT;
            self.tail = BytesMut::from(&self.tail[surplus..]);
        }
    }

    pub(super) fn into_line(self) -> Line {
        Line::TooLong { head: self.head, tail: self.tail.freeze(), length: self.length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(limit: usize, chunks: &[&[u8]]) -> Vec<Line> {
        let mut reader = LineReader::new(limit);
        let mut lines = Vec::new();
        for chunk in chunks {
            reader.space().extend_from_slice(chunk);
            while let Some(line) = reader.next_line() {
                lines.push(line);
            }
        }
        lines.extend(reader.last_line());
        lines
    }

    fn whole(text: &str) -> Line {
        Line::Whole(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn line_ends_blank_lines_and_mark() {
        let lines = read_all(100, &[b"\xef\xbb\xbf{}\r\n\n \r\n[1]\n{\"a\"", b":1}"]);
        assert_eq!(lines, [whole("{}"), whole("[1]"), whole("{\"a\":1}")]);
    }

    #[test]
    fn a_line_over_the_limit_leaves_its_ends_and_the_next_line_whole() {
        let long = format!("{{\"id\":1,{}\"z\":2}}", " ".repeat(100_000));
        let input = format!("{long}\n{{}}\n");
        for size in [7, 1000, 70_000, 1_000_000] {
            let chunks: Vec<&[u8]> = input.as_bytes().chunks(size).collect();
            let lines = read_all(1000, &chunks);
            assert_eq!(lines.len(), 2, "chunks of {size}");
            let Line::TooLong { head, tail, length } = &lines[0] else { panic!("{:?}", lines[0]) };
            assert_eq!(*length, long.len() as u64);
            assert!(head.starts_with(b"{\"id\":1,"));
            assert!(tail.ends_with(b"\"z\":2}"));
            assert_eq!(lines[1], whole("{}"));
        }
    }

    #[test]
    fn skipping_keeps_no_memory() {
        let mut reader = LineReader::new(1000);
        for _ in 0..1000 {
            reader.space().extend_from_slice(&[b'x'; 10_000]);
            assert_eq!(reader.next_line(), None);
        }
        assert_eq!(reader.pending(), 10_000_000);
        assert!(reader.buffer.capacity() <= KEEP);
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(
            lines in prop::collection::vec("[a-z{}\"]{1,40}", 0..20),
            cuts in prop::collection::vec(1usize..30, 1..40),
        ) {
            let text: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
            let mut chunks = Vec::new();
            let mut rest = &text[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            let expected: Vec<Line> = lines.iter().map(|line| whole(line)).collect();
            prop_assert_eq!(read_all(1000, &chunks), expected);
        }
    }
}
