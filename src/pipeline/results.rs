//! What was too large for a client to get at once: kept for a while, to be read in parts.
//!
//! A piece has a URI of ours that nobody can guess, belongs to the client that it was made for, and is forgotten by age and when
//! room is needed. Reading it asks no server.

mod range;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::wire::json;
use range::Range;

/// How our URIs begin.
const SCHEME: &str = "switchboard://result/";
/// So many bytes are kept, for all clients together; the oldest go first.
const MAX_BYTES: usize = 64 << 20;
/// A larger piece is not kept: one of them would drive out all others.
const MAX_PIECE: usize = 16 << 20;
/// How long a piece is kept.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// The pieces of a whole Switchboard.
#[derive(Default)]
pub struct Results {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The oldest first.
    pieces: VecDeque<(String, Instant, Arc<Piece>)>,
    bytes: usize,
}

/// A part of a result that was too large.
#[derive(Debug)]
pub(super) struct Piece {
    /// Whose it is, by his token; `None` for all who show none.
    pub(super) principal: Option<Arc<str>>,
    pub(super) mime: String,
    pub(super) data: Data,
    /// The most that is read at once, in bytes.
    pub(super) limit: usize,
}

/// What a piece holds.
#[derive(Debug)]
pub(super) enum Data {
    /// Text.
    Text(String),
    /// Bytes, in base64.
    Blob(String),
}

/// Why a piece that is there is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRange(pub String);

impl Results {
    /// Keeps a piece and names it; `None` if it is too large to be kept.
    pub(super) fn keep(&self, piece: Piece, now: Instant) -> Option<String> {
        let size = piece.data.text().len();
        let number = fresh_number().filter(|_| size <= MAX_PIECE)?;
        let uri = format!("{SCHEME}{number:032x}");
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.make_room(size, now);
        kept.bytes += size;
        kept.pieces.push_back((uri.clone(), now, Arc::new(piece)));
        Some(uri)
    }

    /// Whether this may be a URI of ours.
    pub fn is_ours(uri: &str) -> bool {
        uri.starts_with(SCHEME)
    }

    /// Reads what a URI names, or the range of it that the URI asks for: `?offset=&length=` in bytes, `?lines=1-100`, or
    /// `?search=TEXT` for the lines that hold a text. The result of `resources/read`, as JSON text; `None` if nothing of this client's has that name.
    ///
    /// # Errors
    /// The range cannot be read.
    pub fn read(&self, uri: &str, principal: Option<&str>) -> Option<Result<Bytes, BadRange>> {
        self.read_at(uri, principal, Instant::now())
    }

    fn read_at(&self, uri: &str, principal: Option<&str>, now: Instant) -> Option<Result<Bytes, BadRange>> {
        let (name, query) = uri.split_once('?').unwrap_or((uri, ""));
        let piece = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.make_room(0, now);
            let (_, _, piece) = kept.pieces.iter().find(|(uri, ..)| uri == name)?;
            Arc::clone(piece)
        };
        if piece.principal.as_deref() != principal {
            return None;
        }
        Some(
            Range::parse(query)
                .and_then(|range| range.of(&piece))
                .map(|found| found.result(uri, name, &piece)),
        )
    }
}

impl Kept {
    fn make_room(&mut self, size: usize, now: Instant) {
        while let Some((_, since, piece)) = self.pieces.front()
            && (self.bytes + size > MAX_BYTES || now.saturating_duration_since(*since) >= MAX_AGE)
        {
            self.bytes -= piece.data.text().len();
            self.pieces.pop_front();
        }
    }
}

impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Results").field("pieces", &kept.pieces.len()).field("bytes", &kept.bytes).finish()
    }
}

impl Data {
    pub(super) fn text(&self) -> &str {
        match self {
            Data::Text(text) | Data::Blob(text) => text,
        }
    }
}

impl range::Found {
    fn result(&self, uri: &str, name: &str, piece: &Piece) -> Bytes {
        let mut out = br#"{"contents":[{"uri":"#.to_vec();
        json::push_string(&mut out, uri);
        out.extend_from_slice(br#","mimeType":"#);
        json::push_string(&mut out, if self.is_listing { "text/plain" } else { &piece.mime });
        out.extend_from_slice(if self.is_blob { br#","blob":"# } else { br#","text":"# });
        json::push_string(&mut out, &self.text);
        out.extend_from_slice(
            format!(r#","_meta":{{"switchboard/range":{{"total":{}"#, self.total).as_bytes(),
        );
        if let Some((from, to)) = self.bytes {
            out.extend_from_slice(format!(r#","offset":{from},"length":{}"#, to - from).as_bytes());
            if to < self.total {
                out.extend_from_slice(br#","next":"#);
                json::push_string(&mut out, &format!("{name}?offset={to}"));
            }
        }
        out.extend_from_slice(b"}}}]}");
        out.into()
    }
}

/// A random number; `None` if the system has none.
fn fresh_number() -> Option<u128> {
    let mut bytes = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).ok()?;
    Some(u128::from_le_bytes(bytes))
}
