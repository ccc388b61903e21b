//! Messages as server-sent events.
//!
//! Source: the WHATWG HTML standard, "Server-sent events". Comments keep quiet streams alive: without them, proxies and
//! clients hang up.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// From this size on a message is shared instead of copied.
const SHARE: usize = 16 * 1024;
/// How long a client waits before it comes back to a stream that we closed, in milliseconds.
const RETRY: u64 = 1000;

/// Where events come from.
pub(crate) trait Source: Send {
    /// The next event. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Option<Event>> + Send;
}

/// One event.
pub(crate) struct Event {
    pub(crate) label: Label,
    pub(crate) data: Bytes,
}

/// What stands over the data of an event.
pub(crate) enum Label {
    Nothing,
    /// Its id: clients can come back to it.
    Id(String),
    /// Its type; without one it is `message`.
    Type(&'static str),
}

/// How a stream begins and ends.
pub(crate) struct Course {
    /// The id of an event without a message that begins the stream, so that clients can come back to it before there is any.
    pub(crate) prime: Option<String>,
    /// How often a quiet stream says that it lives.
    pub(crate) keep_alive: Duration,
    /// Ends the stream.
    pub(crate) closing: CancellationToken,
    /// Whether clients can come back to it.
    pub(crate) resumable: bool,
}

struct Events<S> {
    source: S,
    course: Course,
    ready: VecDeque<Bytes>,
    keep_alive_at: Instant,
    over: bool,
}

/// The stream of bytes that carries the events of a source.
pub(crate) fn stream<S: Source + 'static>(source: S, course: Course) -> impl Stream<Item = Bytes> + Send {
    let mut ready = VecDeque::new();
    if let Some(id) = &course.prime {
        ready.push_back(format!("id: {id}\nretry: {RETRY}\ndata: \n\n").into());
    }
    let keep_alive_at = Instant::now() + course.keep_alive;
    let events = Events { source, course, ready, keep_alive_at, over: false };
    futures_util::stream::unfold(events, |mut events| async move {
        let bytes = events.next().await?;
        Some((bytes, events))
    })
}

impl<S: Source> Events<S> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.keep_alive_at = Instant::now() + self.course.keep_alive;
                return Some(bytes);
            }
            if self.over {
                return None;
            }
            tokio::select! {
                biased;
                event = self.source.next() => match event {
                    Some(event) => write(&event, &mut self.ready),
                    None => self.over = true,
                },
                () = self.course.closing.cancelled() => {
                    self.over = true;
                    if self.course.resumable {
                        self.ready.push_back(format!("retry: {RETRY}\n\n").into());
                    }
                }
                () = tokio::time::sleep_until(self.keep_alive_at) => {
                    self.ready.push_back(Bytes::from_static(b":\n\n"));
                }
            }
        }
    }
}

/// Writes one event, in several pieces if it is large.
fn write(event: &Event, out: &mut VecDeque<Bytes>) {
    let message = &event.data;
    let mut text = Vec::with_capacity(64 + if message.len() < SHARE { message.len() } else { 0 });
    match &event.label {
        Label::Nothing => {}
        Label::Id(id) => text.extend_from_slice(format!("id: {id}\n").as_bytes()),
        Label::Type(name) => text.extend_from_slice(format!("event: {name}\n").as_bytes()),
    }
    // A server may have broken its message into lines; JSON does not mind where, and events take them line by line.
    let mut start = 0;
    loop {
        let end = memchr::memchr2(b'\n', b'\r', &message[start..]).map_or(message.len(), |at| start + at);
        text.extend_from_slice(b"data: ");
        if end - start < SHARE {
            text.extend_from_slice(&message[start..end]);
        } else {
            out.push_back(std::mem::take(&mut text).into());
            out.push_back(message.slice(start..end));
        }
        text.push(b'\n');
        start = end + 1;
        if start > message.len() {
            break;
        }
    }
    text.push(b'\n');
    out.push_back(text.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(label: Label, data: impl Into<Bytes>) -> Vec<u8> {
        let mut out = VecDeque::new();
        write(&Event { label, data: data.into() }, &mut out);
        out.iter().flat_map(|bytes| bytes.to_vec()).collect()
    }

    #[test]
    fn events_are_lines() {
        assert_eq!(written(Label::Nothing, "{}"), b"data: {}\n\n");
        assert_eq!(written(Label::Id("a.1".to_owned()), "{}"), b"id: a.1\ndata: {}\n\n");
        assert_eq!(written(Label::Type("message"), "{}"), b"event: message\ndata: {}\n\n");
        assert_eq!(
            written(Label::Nothing, "{\r\n\"a\":1\n}"),
            b"data: {\ndata: \ndata: \"a\":1\ndata: }\n\n"
        );
    }

    #[test]
    fn large_messages_are_shared() {
        let large = Bytes::from(vec![b'x'; SHARE]);
        let mut out = VecDeque::new();
        write(&Event { label: Label::Nothing, data: large.clone() }, &mut out);
        assert_eq!(out.len(), 3);
        assert_eq!(out[1].as_ptr(), large.as_ptr());
        assert_eq!(written(Label::Nothing, large.clone()), [b"data: ", &large[..], b"\n\n"].concat());
    }
}
