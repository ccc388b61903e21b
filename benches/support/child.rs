//! The MCP server at the far end: as quick as one can be, so that what is measured is what stands before it.
//!
//! It reads what is there, answers every line of it, and writes once. Results are made before the first call.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use memchr::{memchr, memmem};

/// Sizes of results, in bytes of the `result` member. A call chooses one by its place here (`"size":1`).
pub(crate) const SIZES: [usize; 3] = [200, 100_000, 5_000_000];

/// How every request begins that the benchmarks, the bare relays and Switchboard send to a server.
const HEAD: &[u8] = br#"{"jsonrpc":"2.0","id":"#;

/// From this size on, a piece is written by itself instead of being gathered.
const LARGE: usize = 64 * 1024;

/// A tool result of exactly `size` bytes, with an escape about every 33 characters, as text with line ends has.
pub(crate) fn result(size: usize) -> Vec<u8> {
    let (head, tail) = (br#"{"content":[{"type":"text","text":""#, br#""}]}"#);
    let letters = size - head.len() - tail.len();
    let mut text = head.to_vec();
    while text.len() < head.len() + letters {
        let done = text.len() - head.len();
        match done % 33 {
            31 if done + 1 < letters => text.extend_from_slice(if done % 2 == 0 { br"\n" } else { br#"\""# }),
            phase => text.push(b'a' + (phase % 26) as u8),
        }
    }
    text.extend_from_slice(tail);
    text
}

/// The definition of tool number `index`: of the length that real ones have.
fn tool(index: usize) -> String {
    let name = if index == 0 { "echo".to_owned() } else { format!("look_up_records_{index}") };
    format!(
        concat!(
            r#"{{"name":"{}","title":"Look up records","description":"Looks up the records of one kind that match "#,
            r#"a query and returns them as text, newest first. Use it when the user asks for something that was "#,
            r#"noted before.","inputSchema":{{"type":"object","properties":{{"query":{{"type":"string","#,
            r#""description":"Words that must occur in the record"}},"limit":{{"type":"integer","minimum":1,"#,
            r#""maximum":100,"default":20,"description":"How many to return"}},"kind":{{"type":"string","#,
            r#""enum":["note","task","person"],"description":"Which kind of record"}}}},"required":["query"]}},"#,
            r#""annotations":{{"readOnlyHint":true,"openWorldHint":false}}}}"#
        ),
        name
    )
}

/// Serves on stdin and stdout until stdin ends, with `tools` tools.
pub(crate) fn run(tools: usize) -> io::Result<()> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let tools: Vec<String> = (0..tools).map(tool).collect();
    let mut server = Server {
        results: SIZES.map(|_| Vec::new()),
        tools: format!(r#"{{"tools":[{}]}}"#, tools.join(",")),
        out: Vec::with_capacity(2 * LARGE),
    };
    let mut buffer = vec![0; 64 * 1024];
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
        let read = input.read(&mut buffer[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let mut from = 0;
        while let Some(length) = memchr(b'\n', &buffer[from..filled]) {
            server.line(&buffer[from..from + length], &mut output)?;
            from += length + 1;
        }
        output.write_all(&server.out)?;
        server.out.clear();
        buffer.copy_within(from..filled, 0);
        filled -= from;
    }
}

struct Server {
    results: [Vec<u8>; SIZES.len()],
    tools: String,
    out: Vec<u8>,
}

impl Server {
    fn line(&mut self, line: &[u8], output: &mut File) -> io::Result<()> {
        let Some(rest) = line.strip_prefix(HEAD) else { return Ok(()) };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.out.extend_from_slice(HEAD);
        self.out.extend_from_slice(&rest[..digits]);
        self.out.extend_from_slice(br#","result":"#);
        let rest = &rest[digits..];
        if let Some(at) = memmem::find(rest, br#""size":"#) {
            let size =
                rest.get(at + 7).map_or(0, |digit| usize::from(digit.wrapping_sub(b'0')) % SIZES.len());
            if self.results[size].is_empty() {
                self.results[size] = result(SIZES[size]);
            }
            if SIZES[size] < LARGE {
                self.out.extend_from_slice(&self.results[size]);
            } else {
                output.write_all(&self.out)?;
                self.out.clear();
                output.write_all(&self.results[size])?;
            }
        } else if memmem::find(rest, br#""method":"initialize""#).is_some() {
            self.out.extend_from_slice(
                br#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"echo","version":"1"}}"#,
            );
        } else if memmem::find(rest, br#""method":"tools/list""#).is_some() {
            self.out.extend_from_slice(self.tools.as_bytes());
        } else {
            self.out.extend_from_slice(b"{}");
        }
        self.out.extend_from_slice(b"}\n");
        if self.out.len() > LARGE {
            output.write_all(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }
}
