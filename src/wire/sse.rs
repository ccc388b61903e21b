//! Chunks in, events out: `text/event-stream` with a bound on the length of an event.
//!
//! Source: HTML, "Interpreting an event stream". Two things are freer than there. A block without data is given too, for
//! its id: servers send such a block first, so that a stream can be taken up again. And what stands at the end of a
//! stream without a blank line after it is given: some servers leave that line out.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use crate::wire::lines::{Line, Skipped};

/// What may stand before the first line: a byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// A longer id, name or pause is not kept: an id travels in a header, and nobody has names like that.
const MAX_FIELD: usize = 1024;
/// A buffer that grew beyond this for one long event is given back after it.
const KEEP: usize = 256 * 1024;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// The name, if it has one.
    pub name: Option<Bytes>,
    /// The data, without the last line end; empty if there are none.
    pub data: Line,
    /// The id, if this event has one. An empty one means that the stream has no place to return to.
    pub id: Option<Bytes>,
    /// How long to wait before connecting again, from here on.
    pub retry: Option<Duration>,
}

impl Event {
    /// Whether it is called `name`. An event without a name is a `message`.
    pub fn is(&self, name: &str) -> bool {
        self.name.as_deref().unwrap_or(b"message") == name.as_bytes()
    }
}

/// Cuts a stream of bytes into events.
pub struct SseReader {
    buffer: BytesMut,
    /// How much of `buffer` is known to hold no line end.
    scanned: usize,
    limit: usize,
    /// The last line ended with a carriage return, so a line feed that follows belongs to it.
    after_return: bool,
    /// Whether a byte order mark may still come.
    at_start: bool,
    /// The beginning of the current line is not in `buffer` any more.
    cut: Option<Cut>,
    /// The bytes of the unfinished event before `buffer`.
    seen: u64,
    block: Block,
}

/// What kind of line was too long to wait for its end.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Data,
    Other,
}

#[derive(Default)]
struct Block {
    name: Option<Bytes>,
    id: Option<Bytes>,
    retry: Option<Duration>,
    data: Data,
}

#[derive(Default)]
struct Data {
    kept: Kept,
    /// Once it is too long, only its ends.
    skipped: Option<Skipped>,
}

#[derive(Default)]
enum Kept {
    #[default]
    Nothing,
    /// One line, as it stands in the buffer: the usual case, without a copy.
    Line(Bytes),
    Lines(BytesMut),
}

// === impl SseReader ===

impl SseReader {
    /// A reader that keeps no event with more than `limit` bytes of data.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            scanned: 0,
            limit,
            after_return: false,
            at_start: true,
            cut: None,
            seen: 0,
            block: Block::default(),
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// How many bytes the unfinished event has so far. Comments are none of them.
    pub fn pending(&self) -> u64 {
        self.seen + self.buffer.len() as u64
    }

    /// The next event, if the bytes so far hold one.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let line = self.next_line()?;
            if let Some(event) = self.take_line(line) {
                return Some(event);
            }
        }
    }

    /// What is left when the stream ends.
    pub fn last_event(&mut self) -> Option<Event> {
        let rest = self.buffer.split().freeze();
        self.scanned = 0;
        if (!rest.is_empty() || self.cut.is_some())
            && let Some(event) = self.take_line(rest)
        {
            return Some(event);
        }
        self.take_line(Bytes::new())
    }

    fn next_line(&mut self) -> Option<Bytes> {
        if self.at_start {
            if self.buffer.len() < MARK.len() && MARK.starts_with(&self.buffer) {
                return None;
            }
            if self.buffer.starts_with(MARK) {
                self.buffer.advance(MARK.len());
            }
            self.at_start = false;
        }
        if self.after_return && !self.buffer.is_empty() {
            self.after_return = false;
            if self.buffer[0] == b'\n' {
                self.buffer.advance(1);
            }
        }
        let Some(offset) = memchr::memchr2(b'\n', b'\r', &self.buffer[self.scanned..]) else {
            self.scanned = self.buffer.len();
            // Whatever is cut here would not have been kept as a whole line either.
            let longest = match self.cut {
                None if self.buffer.starts_with(b"data:") => {
                    b"data: ".len() + self.limit.saturating_sub(self.block.data.len())
                }
                _ => b"event: ".len() + MAX_FIELD,
            };
            if self.buffer.len() > longest {
                self.cut_line();
            }
            return None;
        };
        let end = self.scanned + offset;
        let line = self.buffer.split_to(end + 1).freeze();
        self.scanned = 0;
        self.after_return = line[end] == b'\r';
        if self.buffer.capacity() > KEEP && self.buffer.len() < KEEP / 4 {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        Some(line.slice(..end))
    }

    /// Takes what there is of a line that is too long to be waited for.
    fn cut_line(&mut self) {
        let part = self.buffer.split().freeze();
        self.scanned = 0;
        self.seen += part.len() as u64;
        match self.cut {
            Some(Cut::Data) => self.block.data.skip().absorb(&part),
            Some(Cut::Other) => {}
            None => match field(&part) {
                (b"data", value) => {
                    self.block.data.push(value, self.limit);
                    self.cut = Some(Cut::Data);
                }
                _ => self.cut = Some(Cut::Other),
            },
        }
        self.buffer = BytesMut::new();
    }

    /// Takes a whole line, or the end of one that was cut.
    fn take_line(&mut self, line: Bytes) -> Option<Event> {
        match self.cut.take() {
            Some(Cut::Data) => {
                self.block.data.skip().absorb(&line);
                return None;
            }
            Some(Cut::Other) => return None,
            None => {}
        }
        if line.is_empty() {
            self.seen = 0;
            return std::mem::take(&mut self.block).finish();
        }
        if line[0] == b':' {
            return None;
        }
        self.seen += line.len() as u64 + 1;
        let (name, value) = field(&line);
        match name {
            b"data" => self.block.data.push(value, self.limit),
            b"event" if value.len() <= MAX_FIELD => self.block.name = Some(value),
            b"id" if value.len() <= MAX_FIELD && !value.contains(&0) => {
                self.block.id = Some(value);
            }
            b"retry" if value.len() <= MAX_FIELD => {
                self.block.retry = milliseconds(&value).or(self.block.retry);
            }
            _ => {}
        }
        None
    }
}

/// A line's name and its value, without the one space that may follow the colon.
fn field(line: &Bytes) -> (&[u8], Bytes) {
    match memchr::memchr(b':', line) {
        Some(colon) => {
            let value = line.slice(colon + 1..);
            let value = if value.starts_with(b" ") { value.slice(1..) } else { value };
            (&line[..colon], value)
        }
        None => (line, Bytes::new()),
    }
}

fn milliseconds(value: &[u8]) -> Option<Duration> {
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value)?;
    std::str::from_utf8(digits).ok()?.parse().ok().map(Duration::from_millis)
}

// === impl Block ===

impl Block {
    fn finish(self) -> Option<Event> {
        let Self { name, id, retry, data } = self;
        let data = match (data.skipped, data.kept) {
            (Some(skipped), _) => skipped.into_line(),
            (None, Kept::Line(line)) => Line::Whole(line),
            (None, Kept::Lines(lines)) => Line::Whole(lines.freeze()),
            (None, Kept::Nothing) if id.is_none() && retry.is_none() => return None,
            (None, Kept::Nothing) => Line::Whole(Bytes::new()),
        };
        Some(Event { name: name.filter(|name| !name.is_empty()), data, id, retry })
    }
}

// === impl Data ===

impl Data {
    /// How many bytes are kept.
    fn len(&self) -> usize {
        match &self.kept {
            Kept::Nothing => 0,
            Kept::Line(line) => line.len(),
            Kept::Lines(lines) => lines.len(),
        }
    }

    /// Begins another line.
    fn push(&mut self, line: Bytes, limit: usize) {
        let end = usize::from(!matches!(self.kept, Kept::Nothing));
        if self.skipped.is_some() {
            self.skip().absorb(b"\n");
        } else if self.len() + end + line.len() > limit {
            self.skip();
        }
        if let Some(skipped) = &mut self.skipped {
            skipped.absorb(&line);
            return;
        }
        let mut lines = match std::mem::take(&mut self.kept) {
            Kept::Nothing => {
                self.kept = Kept::Line(line);
                return;
            }
            Kept::Line(before) => {
                let mut lines = BytesMut::with_capacity(before.len() + line.len() + 1);
                lines.extend_from_slice(&before);
                lines
            }
            Kept::Lines(lines) => lines,
        };
        lines.extend_from_slice(b"\n");
        lines.extend_from_slice(&line);
        self.kept = Kept::Lines(lines);
    }

    /// From here on only the ends are kept.
    fn skip(&mut self) -> &mut Skipped {
        let kept = std::mem::take(&mut self.kept);
        self.skipped.get_or_insert_with(|| {
            let mut skipped = Skipped::new();
            match &kept {
                Kept::Nothing => {}
                Kept::Line(line) => {
                    skipped.absorb(line);
                    skipped.absorb(b"\n");
                }
                Kept::Lines(lines) => {
                    skipped.absorb(lines);
                    skipped.absorb(b"\n");
                }
            }
            skipped
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(limit: usize, chunks: &[&[u8]]) -> Vec<Event> {
        let mut reader = SseReader::new(limit);
        let mut events = Vec::new();
        for chunk in chunks {
            reader.push(chunk);
            while let Some(event) = reader.next_event() {
                events.push(event);
            }
        }
        events.extend(reader.last_event());
        events
    }

    fn event(data: &str) -> Event {
        Event {
            name: None,
            data: Line::Whole(Bytes::copy_from_slice(data.as_bytes())),
            id: None,
            retry: None,
        }
    }

    fn check(text: &str, expected: &[Event]) {
        assert_eq!(read_all(1000, &[text.as_bytes()]), expected, "{text:?}");
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(read_all(1000, &bytes), expected, "{text:?} byte by byte");
    }

    #[test]
    fn data_names_ids_and_pauses() {
        check("data: a\n\ndata:b\n\ndata:  c\n\n", &[event("a"), event("b"), event(" c")]);
        check("data: a\r\n\r\ndata: b\r\rdata: c\n\n", &[event("a"), event("b"), event("c")]);
        check("data: {\ndata:  \"x\":1\ndata: }\n\n", &[event("{\n \"x\":1\n}")]);
        check("\u{feff}data: a\n\n", &[event("a")]);
        check(": comment\n\n:\n\ndata: a\n: between\n\n", &[event("a")]);
        check("data\n\nnonsense\n\nnonsense: x\n\n", &[event("")]);
        check("event: x\n\n", &[]);
        check("data: ö😀\n\n", &[event("ö😀")]);
        check(
            "event: endpoint\nid: 7\nretry: 1500\ndata: /x\n\n",
            &[Event {
                name: Some("endpoint".into()),
                id: Some("7".into()),
                retry: Some(Duration::from_millis(1500)),
                ..event("/x")
            }],
        );
    }

    #[test]
    fn a_block_without_data_brings_its_id() {
        check("id: 1\ndata:\n\n", &[Event { id: Some("1".into()), ..event("") }]);
        check("id: 1\n\n", &[Event { id: Some("1".into()), ..event("") }]);
        check("retry: 5\n\n", &[Event { retry: Some(Duration::from_millis(5)), ..event("") }]);
        check("id: a\0b\nretry: soon\nretry: -1\n\n", &[]);
    }

    #[test]
    fn the_end_of_the_stream_ends_the_event() {
        check("data: a\n\ndata: b\n", &[event("a"), event("b")]);
        check("data: a\n\ndata: b", &[event("a"), event("b")]);
        check("data: a\n\n", &[event("a")]);
    }

    #[test]
    fn an_event_over_the_limit_leaves_its_ends_and_the_next_event_whole() {
        let long = format!("{{\"id\":1,{}\"z\":2}}", " ".repeat(100_000));
        let halves = format!("data: {}\ndata: {}\n\n", &long[..50_000], &long[50_000..]);
        for text in [format!("data: {long}\n\n"), halves, format!("id: 1\ndata: {long}\n\n")] {
            for size in [7, 1000, 70_000, 1_000_000] {
                let input = format!("{text}data: {{}}\n\n");
                let chunks: Vec<&[u8]> = input.as_bytes().chunks(size).collect();
                let events = read_all(1000, &chunks);
                assert_eq!(events.len(), 2, "chunks of {size}");
                let Line::TooLong { head, tail, length } = &events[0].data else { panic!("{:?}", events[0]) };
                assert!((100_000..100_030).contains(length), "{length}");
                assert!(head.starts_with(b"{\"id\":1,"), "{head:?}");
                assert!(tail.ends_with(b"\"z\":2}"));
                assert_eq!(events[1], event("{}"));
            }
        }
    }

    #[test]
    fn a_stream_without_an_end_keeps_no_memory() {
        for begin in ["data: x", "event: x", ": x"] {
            let mut reader = SseReader::new(1000);
            reader.push(begin.as_bytes());
            for _ in 0..100 {
                reader.push(&[b'x'; 10_000]);
                assert_eq!(reader.next_event(), None);
                assert!(reader.buffer.capacity() <= 20_000);
            }
            assert!(reader.pending() >= 1_000_000);
        }
    }

    #[test]
    fn an_id_beside_data_of_any_length_is_kept_however_it_comes() {
        let id = |length| "1".repeat(length);
        for (data, limit, length) in [("retry: 3data:", 4, 21), ("abcd", 4, 1024), ("ab\ndata: c", 4, 1024)] {
            let text = format!("data: {data}\rid: {}\rretry: 7\r", id(length)).repeat(50);
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            for events in [read_all(limit, &bytes), read_all(limit, &[text.as_bytes()])] {
                assert_eq!(events.len(), 1);
                assert_eq!(events[0].id, Some(id(length).into()), "{data}, {limit}");
                assert_eq!(events[0].retry, Some(Duration::from_millis(7)));
            }
        }
        let exact = format!("data: {}\nid: 123456789\n\n", "x".repeat(5000));
        let bytes: Vec<&[u8]> = exact.as_bytes().chunks(1).collect();
        assert_eq!(read_all(5000, &bytes)[0].id, Some("123456789".into()));
    }

    #[test]
    fn the_ends_of_lines_count_for_the_limit() {
        assert_eq!(read_all(5, &[b"data: a\ndata: b\ndata: c\n\n"]), [event("a\nb\nc")]);
        let events = read_all(4, &[b"data: a\ndata: b\ndata: c\n\n"]);
        let Line::TooLong { head, tail, length } = &events[0].data else { panic!("{events:?}") };
        assert_eq!((&head[..], &tail[..], *length), (&b"a\nb"[..], &b"a\nb\nc"[..], 5));
    }

    #[test]
    fn a_byte_order_mark_may_stand_before_an_event_over_the_limit() {
        let text = format!("\u{feff}data: {}\n\n\u{feff}data: b\n\n", "x".repeat(5000));
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        for events in [read_all(10, &bytes), read_all(10, &[text.as_bytes()])] {
            assert_eq!(events.len(), 1, "{events:?}");
            assert!(matches!(events[0].data, Line::TooLong { length: 5000, .. }), "{events:?}");
        }
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(
            text in "\u{feff}?(data: ?|data:x|id: 1|retry: 3|event: e|:c|ö|[a-z]{0,30}|1{1010,1030}|\r|\n|\r\n|\n\n){0,60}",
            cuts in prop::collection::vec(1usize..20, 1..40),
            limit in 4usize..60,
            many in 1usize..10,
        ) {
            let text = text.repeat(many);
            let mut chunks = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            // How much of the ends of a long event is left depends on the chunks.
            let shorter = |mut events: Vec<Event>| {
                for event in &mut events {
                    if let Line::TooLong { head, tail, .. } = &mut event.data {
                        head.truncate(1);
                        *tail = tail.slice(tail.len().saturating_sub(1)..);
                    }
                }
                events
            };
            let events = read_all(limit, &chunks);
            for event in &events {
                if let Line::Whole(data) = &event.data {
                    prop_assert!(data.len() <= limit);
                }
            }
            prop_assert_eq!(shorter(events), shorter(read_all(limit, &[text.as_bytes()])));
        }
    }
}
