//! Which part of a piece is read.

use super::{BadRange, Data, Piece};

/// So many lines are found at most, and so much of each is shown, in characters.
const MAX_FOUND: usize = 50;
const MAX_LINE: usize = 400;

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// So many bytes from there on.
    Bytes { offset: usize, length: Option<usize> },
    /// Lines, counted from one, both included.
    Lines { first: usize, last: usize },
    /// The lines that hold this text, whatever its case.
    Search(String),
}

/// What is read.
pub(super) struct Found {
    pub(super) text: String,
    pub(super) is_blob: bool,
    /// Whether it tells of places in the piece instead of being a part of it.
    pub(super) is_listing: bool,
    /// From where to where, where that is known.
    pub(super) bytes: Option<(usize, usize)>,
    /// How many bytes there are in all.
    pub(super) total: usize,
}

impl Range {
    pub(super) fn parse(query: &str) -> Result<Self, BadRange> {
        let (mut offset, mut length) = (0, None);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.replace('+', " ");
            let value = percent_encoding::percent_decode_str(&value).decode_utf8_lossy().into_owned();
            let number = |text: &str| {
                text.parse::<usize>().map_err(|_| BadRange(format!("`{key}` must be a whole number")))
            };
            match key {
                "offset" => offset = number(&value)?,
                "length" => length = Some(number(&value)?.max(1)),
                "lines" => {
                    let (first, last) = value.split_once('-').unwrap_or((&value, &value));
                    let (first, last) = (number(first)?.max(1), number(last)?);
                    return Ok(Self::Lines { first, last });
                }
                "search" if !value.is_empty() => return Ok(Self::Search(value)),
                _ => {
                    let text = "a range is `?offset=N&length=N` (bytes), `?lines=1-100` or `?search=TEXT`";
                    return Err(BadRange(text.to_owned()));
                }
            }
        }
        Ok(Self::Bytes { offset, length })
    }

    pub(super) fn of(&self, piece: &Piece) -> Result<Found, BadRange> {
        match (&piece.data, self) {
            (Data::Text(text), Self::Bytes { offset, length }) => {
                Ok(part(text, *offset, length.unwrap_or(usize::MAX).min(piece.limit)))
            }
            (Data::Text(text), Self::Lines { first, last }) => Ok(lines(text, *first, *last, piece.limit)),
            (Data::Text(text), Self::Search(wanted)) => Ok(search(text, wanted)),
            (Data::Blob(blob), Self::Bytes { offset, length }) => {
                Ok(blob_part(blob, *offset, length.unwrap_or(usize::MAX).min(piece.limit)))
            }
            (Data::Blob(_), _) => Err(BadRange("what is no text is read by `?offset=N&length=N`".to_owned())),
        }
    }
}

/// A part of a text, moved to where characters begin.
fn part(text: &str, offset: usize, length: usize) -> Found {
    let from = floor(text, offset.min(text.len()));
    let mut to = floor(text, from.saturating_add(length).min(text.len()));
    if to <= from && from < text.len() {
        // A single character that is longer than what was asked for.
        to = (from + 1..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    }
    let text_of = text.get(from..to).unwrap_or_default().to_owned();
    Found { text: text_of, is_blob: false, is_listing: false, bytes: Some((from, to)), total: text.len() }
}

fn lines(text: &str, first: usize, last: usize, limit: usize) -> Found {
    let mut at = 0;
    let mut bounds = (text.len(), text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index + 1 == first {
            bounds.0 = at;
        }
        at += line.len();
        if index + 1 == last {
            bounds.1 = at;
            break;
        }
    }
    part(text, bounds.0, (bounds.1.saturating_sub(bounds.0)).min(limit))
}

/// Lists the lines that hold a text, each with its number and where it begins.
fn search(text: &str, wanted: &str) -> Found {
    let wanted = wanted.to_lowercase();
    let (mut at, mut count, mut listing) = (0, 0, String::new());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let place = line.to_lowercase().find(&wanted);
        if let Some(place) = place {
            count += 1;
            if count <= MAX_FOUND {
                let shown = around(line.trim_end(), place);
                listing.push_str(&format!("line {}, offset {at}: {shown}\n", index + 1));
            }
        }
        at += line.len();
    }
    listing.push_str(&match count {
        0 => "no line holds this text".to_owned(),
        1 => "1 line".to_owned(),
        count if count > MAX_FOUND => format!("{count} lines, of which the first {MAX_FOUND} are shown"),
        count => format!("{count} lines"),
    });
    Found { text: listing, is_blob: false, is_listing: true, bytes: None, total: text.len() }
}

/// A line; of a long one what stands around a place.
fn around(line: &str, place: usize) -> String {
    if line.len() <= MAX_LINE {
        return line.to_owned();
    }
    let from = floor(line, place.saturating_sub(MAX_LINE / 2).min(line.len()));
    let to = floor(line, (from + MAX_LINE).min(line.len()));
    format!("…{}…", line.get(from..to).unwrap_or_default())
}

/// A part of base64: three bytes are four characters.
fn blob_part(blob: &str, offset: usize, length: usize) -> Found {
    let padding = blob.bytes().rev().take_while(|byte| *byte == b'=').count();
    let total = (blob.len() / 4 * 3).saturating_sub(padding);
    let from = (offset / 3).saturating_mul(4).min(blob.len());
    let to = from.saturating_add((length / 3).max(1).saturating_mul(4)).min(blob.len());
    let text = blob.get(from..to).unwrap_or_default().to_owned();
    let bytes = Some(((from / 4 * 3).min(total), (to / 4 * 3).min(total)));
    Found { text, is_blob: true, is_listing: false, bytes, total }
}

/// The beginning of the character at this place.
pub(super) fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
