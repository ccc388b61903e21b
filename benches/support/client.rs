//! A client of raw lines. It looks at as little of an answer as is needed to know that it is the right one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use memchr::{memchr, memmem};

use crate::support::Outcome;

const HEAD: &[u8] = br#"{"jsonrpc":"2.0","id":"#;
/// Requests that may be open at once; a power of two that is far above what is asked for.
const WINDOW: usize = 1024;
/// Nothing that is measured here takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that speaks MCP on its pipes.
pub(crate) struct Client {
    child: Child,
    input: Option<File>,
    output: File,
    buffer: Vec<u8>,
    next_id: u64,
}

/// What a series of calls showed.
pub(crate) struct Series {
    /// How many were answered.
    pub(crate) calls: usize,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// From the writing of a call to the reading of its answer, ascending, in microseconds.
    latencies: Vec<f64>,
}

impl Series {
    /// A share of the calls, in 0..1, was answered within so many microseconds.
    pub(crate) fn latency(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }
}

impl Client {
    /// Starts a process.
    pub(crate) fn start(mut command: Command) -> Outcome<Client> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("no stdin")?;
        let output = child.stdout.take().ok_or("no stdout")?;
        Ok(Client {
            child,
            input: Some(File::from(OwnedFd::from(input))),
            output: File::from(OwnedFd::from(output)),
            buffer: vec![0; 256 * 1024],
            next_id: 1,
        })
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn send(&mut self, text: &[u8]) -> Outcome<()> {
        self.input.as_mut().ok_or("the input is closed")?.write_all(text)?;
        Ok(())
    }

    /// Sends a request and returns the line of its answer; other lines are passed over.
    pub(crate) fn ask(&mut self, method: &str, params: &str) -> Outcome<Vec<u8>> {
        let id = self.next_id;
        self.next_id += 1;
        self.send(
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}\n")
                .as_bytes(),
        )?;
        let wanted = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},");
        let mut text = Vec::new();
        loop {
            let read = self.output.read(&mut self.buffer)?;
            if read == 0 {
                return Err(format!("no answer to {method}").into());
            }
            let searched = text.len();
            text.extend_from_slice(&self.buffer[..read]);
            let mut end = memchr(b'\n', &text[searched..]).map(|offset| searched + offset);
            while let Some(at) = end {
                if text.starts_with(wanted.as_bytes()) {
                    text.truncate(at);
                    return Ok(text);
                }
                text.drain(..=at);
                end = memchr(b'\n', &text);
            }
        }
    }

    /// The handshake.
    pub(crate) fn initialize(&mut self) -> Outcome<()> {
        let params = r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}"#;
        let answer = self.ask("initialize", params)?;
        if memmem::find(&answer, br#""result""#).is_none() {
            return Err(String::from_utf8_lossy(&answer).into());
        }
        self.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")
    }

    /// How many tools are listed, over all pages.
    pub(crate) fn count_tools(&mut self) -> Outcome<usize> {
        let mut count = 0;
        let mut params = "{}".to_owned();
        loop {
            let page = self.ask("tools/list", &params)?;
            count += memmem::find_iter(&page, br#""inputSchema""#).count();
            let Some(at) = memmem::rfind(&page, br#""nextCursor":"#) else { return Ok(count) };
            let rest = &page[at + br#""nextCursor":"#.len()..];
            let quoted = rest.splitn(3, |byte| *byte == b'"').nth(1).unwrap_or_default();
            params = format!(r#"{{"cursor":"{}"}}"#, String::from_utf8_lossy(quoted));
        }
    }

    /// Lists tools until there are `count`.
    pub(crate) fn wait_for_tools(&mut self, count: usize) -> Outcome<()> {
        let begun = Instant::now();
        loop {
            let found = self.count_tools()?;
            if found >= count {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{found} tools instead of {count}").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Calls `tool` again and again for this long, with `flight` calls open at any time. Answers must come with the
    /// right ids and have `size` bytes of result, the size at this `place` of the server's.
    pub(crate) fn call(
        &mut self,
        tool: &str,
        place: usize,
        size: usize,
        flight: usize,
        time: Duration,
        least: usize,
    ) -> Outcome<Series> {
        let tail = format!(
            concat!(
                r#","method":"tools/call","params":{{"name":"{}","arguments":{{"size":{},"#,
                r#""query":"all that a model says"}}}}}}"#,
                "\n"
            ),
            tool, place
        );
        let begun = Instant::now();
        let mut sent = [begun; WINDOW];
        let mut latencies = Vec::with_capacity(1 << 16);
        let mut requests = Vec::with_capacity(64 * 1024);
        let mut answer = Answer::EMPTY;
        let (mut open, mut due, mut total) = (0, flight, 0);
        loop {
            if due > 0 && (begun.elapsed() < time || total < least) {
                requests.clear();
                let now = Instant::now();
                for _ in 0..due {
                    sent[self.next_id as usize % WINDOW] = now;
                    write!(requests, r#"{{"jsonrpc":"2.0","id":{}"#, self.next_id)?;
                    requests.extend_from_slice(tail.as_bytes());
                    self.next_id += 1;
                }
                self.input.as_mut().ok_or("the input is closed")?.write_all(&requests)?;
                open += due;
                total += due;
                due = 0;
            }
            if open == 0 {
                break;
            }
            let read = self.output.read(&mut self.buffer)?;
            if read == 0 {
                return Err("the output ended".into());
            }
            let mut chunk = &self.buffer[..read];
            let mut now = None;
            while let Some(end) = memchr(b'\n', chunk) {
                answer.take(&chunk[..end]);
                chunk = &chunk[end + 1..];
                if let Some(id) = std::mem::replace(&mut answer, Answer::EMPTY).id(size)? {
                    let now = *now.get_or_insert_with(Instant::now);
                    latencies.push((now - sent[id as usize % WINDOW]).as_nanos() as f64 / 1000.0);
                    open -= 1;
                    due += 1;
                }
            }
            answer.take(chunk);
        }
        let elapsed = begun.elapsed();
        latencies.sort_by(f64::total_cmp);
        Ok(Series { calls: latencies.len(), elapsed, latencies })
    }

    /// Closes the input and waits for the end of the process.
    pub(crate) fn leave(mut self) -> Outcome<()> {
        self.input = None;
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest)?;
        self.child.wait()?;
        Ok(())
    }
}

/// One line as it comes in: its first bytes and its length.
struct Answer {
    head: [u8; 64],
    kept: usize,
    length: usize,
}

impl Answer {
    const EMPTY: Answer = Answer { head: [0; 64], kept: 0, length: 0 };

    fn take(&mut self, part: &[u8]) {
        let room = (self.head.len() - self.kept).min(part.len());
        self.head[self.kept..self.kept + room].copy_from_slice(&part[..room]);
        self.kept += room;
        self.length += part.len();
    }

    /// The id, if this is an answer; an error if it is not the expected one.
    fn id(&self, size: usize) -> Outcome<Option<u64>> {
        let head = &self.head[..self.kept];
        let Some(rest) = head.strip_prefix(HEAD) else { return Ok(None) };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_result = rest[digits..].starts_with(br#","result":"#);
        let length = HEAD.len() + digits + br#","result":"#.len() + size + 1;
        // What comes from the cache says so, and is longer by that.
        let is_kept = rest[digits..].starts_with(br#","result":{"_meta":{"switch"#);
        if !is_result || self.length != length && !(is_kept && self.length > length) {
            return Err(format!("unexpected answer: {}", String::from_utf8_lossy(head)).into());
        }
        Ok(Some(std::str::from_utf8(&rest[..digits])?.parse()?))
    }
}
