//! The bare relay: the least that a relay with ids of its own must do, done as well as we can.
//!
//! It starts its server, gives every request an id of its own and every answer its old id back, and leaves the rest of
//! the bytes alone. No names, no progress, no limits, no timeouts, no second server. This is what Switchboard is
//! measured against, so it is no straw man: ids are kept in place in a queue, small lines are written together, large
//! results are written from the buffer they were read into.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use memchr::{memchr, memmem};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;

/// From this size on, a payload is not copied.
const LARGE: usize = 16 * 1024;

/// How a line is understood.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// The whole line is checked: an envelope of raw values.
    Whole,
    /// The id is looked for at the beginning; nothing is checked.
    Id,
}

/// Who waits for bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// A thread per direction that blocks.
    Threads,
    /// One thread of tokio's, as in Switchboard.
    Tokio,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Ids of the client by ids of ours, which rise by one: a queue with holes.
#[derive(Default)]
struct Ids {
    first: u64,
    open: VecDeque<Option<Small>>,
}

/// An id of up to 23 bytes; benchmarks have no longer ones.
#[derive(Clone, Copy)]
struct Small {
    length: u8,
    bytes: [u8; 23],
}

impl Small {
    fn of(raw: &[u8]) -> Option<Small> {
        let mut bytes = [0; 23];
        bytes.get_mut(..raw.len())?.copy_from_slice(raw);
        Some(Small { length: raw.len() as u8, bytes })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl Ids {
    fn open(&mut self, id: Small) -> u64 {
        self.open.push_back(Some(id));
        self.first + self.open.len() as u64 - 1
    }

    fn close(&mut self, own: u64) -> Option<Small> {
        let id = self.open.get_mut(usize::try_from(own.checked_sub(self.first)?).ok()?)?.take();
        while let Some(None) = self.open.front() {
            self.open.pop_front();
            self.first += 1;
        }
        id
    }
}

/// A line on its way out: what is written before `rest`, which is a part of the line that came in.
struct Rewritten<'a> {
    rest: &'a [u8],
    tail: &'static [u8],
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[from..]);
}

/// One direction.
struct Direction<'a> {
    ids: &'a Mutex<Ids>,
    scan: Scan,
    to_server: bool,
}

impl Direction<'_> {
    /// Puts the beginning of the new line into `out` and says what follows it. `None` drops the line.
    fn rewrite<'l>(&self, line: &'l [u8], out: &mut Vec<u8>) -> Option<Rewritten<'l>> {
        match self.scan {
            Scan::Whole => self.whole(line, out),
            Scan::Id => self.id_only(line, out),
        }
    }

    fn whole<'l>(&self, line: &'l [u8], out: &mut Vec<u8>) -> Option<Rewritten<'l>> {
        let envelope: Envelope<'l> = serde_json::from_slice(line).ok()?;
        out.extend_from_slice(br#"{"jsonrpc":"2.0""#);
        if let Some(id) = envelope.id {
            out.extend_from_slice(br#","id":"#);
            if !self.exchange(id.get().as_bytes(), out) {
                return None;
            }
        }
        if let Some(method) = &envelope.method {
            out.extend_from_slice(br#","method":""#);
            out.extend_from_slice(method.as_bytes());
            out.push(b'"');
        }
        let payloads = [
            (",\"params\":", envelope.params),
            (",\"result\":", envelope.result),
            (",\"error\":", envelope.error),
        ];
        let Some((key, payload)) = payloads.into_iter().find_map(|(key, value)| Some((key, value?))) else {
            return Some(Rewritten { rest: &[], tail: b"}\n" });
        };
        out.extend_from_slice(key.as_bytes());
        Some(Rewritten { rest: payload.get().as_bytes(), tail: b"}\n" })
    }

    fn id_only<'l>(&self, line: &'l [u8], out: &mut Vec<u8>) -> Option<Rewritten<'l>> {
        let Some(at) = memmem::find(&line[..line.len().min(64)], br#""id":"#) else {
            return Some(Rewritten { rest: line, tail: b"\n" });
        };
        let (head, rest) = line.split_at(at + 5);
        let id = rest.iter().take_while(|byte| **byte != b',' && **byte != b'}').count();
        out.extend_from_slice(head);
        self.exchange(&rest[..id], out).then_some(Rewritten { rest: &rest[id..], tail: b"\n" })
    }

    fn exchange(&self, id: &[u8], out: &mut Vec<u8>) -> bool {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if self.to_server {
            let Some(small) = Small::of(id) else { return false };
            push_number(out, ids.open(small));
            return true;
        }
        let own = id.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit.wrapping_sub(b'0')));
        let Some(id) = ids.close(own) else { return false };
        out.extend_from_slice(id.as_bytes());
        true
    }
}

/// What was read and is not yet cut into lines.
struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
    /// How much of it is known to hold no line end.
    scanned: usize,
}

impl Buffer {
    fn new() -> Self {
        Self { bytes: vec![0; 64 * 1024], filled: 0, scanned: 0 }
    }

    fn space(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() {
            self.bytes.resize(2 * self.filled, 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// The end of the line that begins at `from`.
    fn line_end(&mut self, from: usize) -> Option<usize> {
        let start = self.scanned.max(from);
        let end = memchr(b'\n', &self.bytes[start..self.filled]).map(|offset| start + offset);
        self.scanned = end.map_or(self.filled, |end| end + 1);
        end
    }

    /// Forgets what stands before `from`.
    fn forget(&mut self, from: usize) {
        self.bytes.copy_within(from..self.filled, 0);
        self.filled -= from;
        self.scanned -= from;
    }
}

/// Relays between our own stdin and stdout and the server that `arguments` of this program start.
pub(crate) fn run(scan: Scan, engine: Engine, arguments: &[&str]) -> io::Result<()> {
    let ids = Mutex::new(Ids { first: 1, ..Ids::default() });
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let forth = Direction { ids: &ids, scan, to_server: true };
    let back = Direction { ids: &ids, scan, to_server: false };
    let mut server = std::process::Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (Some(stdin), Some(stdout)) = (server.stdin.take(), server.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let (stdin, stdout) = (OwnedFd::from(stdin), OwnedFd::from(stdout));
    match engine {
        Engine::Threads => std::thread::scope(|scope| {
            scope.spawn(|| pump(forth, File::from(input), File::from(stdin)));
            pump(back, File::from(stdout), File::from(output))
        })?,
        Engine::Tokio => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let forth = pump_async(
                    forth,
                    pipe::Receiver::from_owned_fd(input)?,
                    pipe::Sender::from_owned_fd(stdin)?,
                );
                let back = pump_async(
                    back,
                    pipe::Receiver::from_owned_fd(stdout)?,
                    pipe::Sender::from_owned_fd(output)?,
                );
                tokio::try_join!(forth, back).map(|_| ())
            })?;
        }
    }
    server.wait().map(|_| ())
}

fn pump(direction: Direction<'_>, mut from: File, mut to: File) -> io::Result<()> {
    let mut buffer = Buffer::new();
    let mut out = Vec::with_capacity(64 * 1024);
    loop {
        let read = from.read(buffer.space())?;
        if read == 0 {
            return Ok(());
        }
        buffer.filled += read;
        let mut at = 0;
        while let Some(end) = buffer.line_end(at) {
            let kept = out.len();
            match direction.rewrite(&buffer.bytes[at..end], &mut out) {
                None => out.truncate(kept),
                Some(line) if line.rest.len() < LARGE => {
                    out.extend_from_slice(line.rest);
                    out.extend_from_slice(line.tail);
                }
                Some(line) => {
                    let mut pieces = [IoSlice::new(&out), IoSlice::new(line.rest), IoSlice::new(line.tail)];
                    let mut pieces = &mut pieces[..];
                    while !pieces.is_empty() {
                        let written = to.write_vectored(pieces)?;
                        IoSlice::advance_slices(&mut pieces, written);
                    }
                    out.clear();
                }
            }
            at = end + 1;
        }
        to.write_all(&out)?;
        out.clear();
        buffer.forget(at);
    }
}

async fn pump_async(
    direction: Direction<'_>,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut buffer = Buffer::new();
    let mut out = Vec::with_capacity(64 * 1024);
    loop {
        let read = from.read(buffer.space()).await?;
        if read == 0 {
            return Ok(());
        }
        buffer.filled += read;
        let mut at = 0;
        while let Some(end) = buffer.line_end(at) {
            let kept = out.len();
            match direction.rewrite(&buffer.bytes[at..end], &mut out) {
                None => out.truncate(kept),
                Some(line) if line.rest.len() < LARGE => {
                    out.extend_from_slice(line.rest);
                    out.extend_from_slice(line.tail);
                }
                Some(line) => {
                    let mut pieces = [IoSlice::new(&out), IoSlice::new(line.rest), IoSlice::new(line.tail)];
                    let mut pieces = &mut pieces[..];
                    while !pieces.is_empty() {
                        let written = to.write_vectored(pieces).await?;
                        IoSlice::advance_slices(&mut pieces, written);
                    }
                    out.clear();
                }
            }
            at = end + 1;
        }
        to.write_all(&out).await?;
        out.clear();
        buffer.forget(at);
    }
}
