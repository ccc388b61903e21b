//! Answers that are too much: without an end, huge, or small until they are unpacked.

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};

use super::answer::event_stream;
use super::body::{Pipe, Writer, pipe};
use super::settings::Style;

/// How much is sent at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// An event that never ends its line.
pub(super) fn endless() -> Response<Pipe> {
    let (writer, pipe) = pipe(&Style::default());
    tokio::spawn(fill(writer, "data: ".into(), u64::MAX, Bytes::new()));
    event_stream(pipe)
}

/// A JSON answer with a text of this many bytes.
pub(super) fn huge(id: Option<&str>, bytes: u64) -> Response<Pipe> {
    let (writer, pipe) = pipe(&Style::default());
    let (before, after) = around(id);
    tokio::spawn(fill(writer, before.into(), bytes, after.into()));
    json(pipe)
}

/// The same in the format of RFC 1952. The checksum is wrong: nobody is meant to read that far.
pub(super) fn compressed(id: Option<&str>, bytes: u64) -> Response<Pipe> {
    let (before, after) = around(id);
    let packed = pack(before.as_bytes(), bytes, after.as_bytes());
    let mut answer = json(super::body::whole(packed, &Style::default()));
    answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    answer
}

fn around(id: Option<&str>) -> (String, &'static str) {
    let id = id.unwrap_or("null");
    (format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":""#), r#""}]}}"#)
}

fn json(pipe: Pipe) -> Response<Pipe> {
    let mut answer = Response::new(pipe);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

async fn fill(mut writer: Writer, before: Bytes, bytes: u64, after: Bytes) {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let mut left = bytes;
    let mut going = writer.write(before).await.is_ok();
    while going && left > 0 {
        let now = left.min(PIECE as u64);
        going = writer.write(piece.slice(..now as usize)).await.is_ok();
        left -= now;
    }
    if going {
        // The client may leave at the very end too.
        let _ = writer.write(after).await;
    }
}

/// Bits in the order of RFC 1951: the first is the lowest of a byte.
#[derive(Default)]
struct Bits {
    out: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, bits: u32, count: u32) {
        self.held |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// A code of Huffman's, which goes with its highest bit first.
    fn code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }

    fn literal(&mut self, byte: u8) {
        match byte {
            0..=143 => self.code(0x30 + u32::from(byte), 8),
            _ => self.code(0x190 + u32::from(byte) - 144, 9),
        }
    }
}

/// One block of fixed codes: `before`, then `bytes` times the same letter, mostly as copies of the last 258, then `after`.
fn pack(before: &[u8], bytes: u64, after: &[u8]) -> Vec<u8> {
    let mut bits = Bits { out: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], ..Bits::default() };
    bits.push(0b011, 3);
    before.iter().for_each(|byte| bits.literal(*byte));
    bits.literal(b'x');
    let left = bytes.saturating_sub(1);
    for _ in 0..left / 258 {
        // Length 258 is the code 285, the distance 1 the code 0.
        bits.code(0b1100_0101, 8);
        bits.code(0, 5);
    }
    (0..left % 258).for_each(|_| bits.literal(b'x'));
    after.iter().for_each(|byte| bits.literal(*byte));
    bits.code(0, 7);
    bits.push(0, 7);
    let size = (before.len() + after.len()) as u64 + bytes;
    bits.out.extend_from_slice(&[0; 4]);
    bits.out.extend_from_slice(&(size as u32).to_le_bytes());
    bits.out
}
