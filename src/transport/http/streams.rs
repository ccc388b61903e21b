//! Event streams: reading one within bounds, and where to take it up again when it breaks.

use std::time::Duration;

use http::HeaderValue;
use reqwest::Response;
use tokio::time::{Instant, sleep};

use super::body::{self, deadline};
use super::errors;
use crate::failure::{Code, Failure};
use crate::transport::Patience;
use crate::wire::{Event, Line, SseReader, json};

/// A stream whose unfinished event is this many times as long as an event may be is given up.
const FLOOD: u64 = 4;
/// A server that names its own pause is taken by its word so often; when nothing comes by then, we slow down.
const TRUSTED: u32 = 10;
/// Bounds of the pause that a server names.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// An event stream that is being read.
pub(super) struct Events {
    response: Response,
    reader: SseReader,
    limit: usize,
    /// How long the stream may be silent; `None` if it may be for ever.
    quiet: Option<Duration>,
    /// How long a single event may take, besides what its length earns.
    patience: Duration,
    /// Since when the current event is awaited.
    since: Instant,
    place: String,
}

impl Events {
    pub(super) fn new(
        response: Response,
        limit: usize,
        quiet: Option<Duration>,
        patience: &Patience,
        place: &str,
    ) -> Self {
        Self {
            response,
            reader: SseReader::new(limit),
            limit,
            quiet,
            patience: patience.quiet,
            since: Instant::now(),
            place: place.to_owned(),
        }
    }

    /// The next event; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(event) = self.reader.next_event() {
                self.since = Instant::now();
                return Ok(Some(event));
            }
            let pending = self.reader.pending();
            if pending > FLOOD * self.limit as u64 {
                let cause = format!("{} sent an event that does not end: {pending} bytes so far", self.place);
                return Err(Failure::new(Code::NetProtocol, cause));
            }
            if pending == 0 {
                self.since = Instant::now();
            }
            match self.chunk(pending).await? {
                Some(chunk) => self.reader.push(&chunk),
                None => return Ok(self.reader.last_event().filter(is_whole)),
            }
        }
    }

    async fn chunk(&mut self, pending: u64) -> Result<Option<bytes::Bytes>, Failure> {
        let silent = self.quiet.map(|quiet| Instant::now() + quiet);
        // An event that trickles is not waited for, however busy the stream looks.
        let slow = (pending > 0).then(|| deadline(self.since, self.patience, pending));
        let chunk = self.response.chunk();
        let read = match (silent, slow) {
            (None, None) => Ok(chunk.await),
            (Some(until), None) | (None, Some(until)) => tokio::time::timeout_at(until, chunk).await,
            (Some(silent), Some(slow)) => tokio::time::timeout_at(silent.min(slow), chunk).await,
        };
        match read {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(errors::of_error(&error, &self.place)),
            Err(_) => {
                let cause = format!("the stream from {} fell silent, or is too slow", self.place);
                Err(Failure::new(Code::NetTimeout, cause))
            }
        }
    }

    /// Reads what is left, so that the connection can be used again. Whoever does not end in time is left alone.
    pub(super) async fn finish(self, within: Duration) {
        body::drain(self.response, within).await;
    }
}

/// At the end of a stream nothing says whether an event is whole, but its JSON does.
fn is_whole(event: &Event) -> bool {
    matches!(&event.data, Line::Whole(data) if json::check(data).is_ok())
}

/// Where a stream is taken up again, and when.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The id of the last event that had one.
    pub last: Option<HeaderValue>,
    retry: Option<Duration>,
    /// How often in a row connecting brought nothing.
    fruitless: u32,
}

impl Cursor {
    /// Notes an event.
    pub(super) fn note(&mut self, event: &Event) {
        if let Some(id) = &event.id {
            self.last = HeaderValue::from_bytes(id).ok().filter(|id| !id.is_empty());
        }
        self.retry = event.retry.or(self.retry);
        if event.data != Line::Whole(bytes::Bytes::new()) {
            self.fruitless = 0;
        }
    }

    /// Waits before the next attempt: as long as the server said ("the client MUST respect the `retry` field"), or longer
    /// and longer; and `at_least` in any case.
    pub(super) async fn wait(&mut self, patience: &Patience, at_least: Option<Duration>) {
        let pause = self.pause(patience).max(at_least.unwrap_or_default().min(LONGEST_PAUSE));
        self.fruitless = self.fruitless.saturating_add(1);
        sleep(pause).await;
    }

    fn pause(&self, patience: &Patience) -> Duration {
        match self.retry {
            Some(retry) if self.fruitless < TRUSTED => retry.clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
            Some(retry) => patience.pause(self.fruitless - TRUSTED).max(retry.min(LONGEST_PAUSE)),
            None => patience.pause(self.fruitless),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Event {
        let mut reader = SseReader::new(100);
        reader.push(text.as_bytes());
        reader.next_event().unwrap()
    }

    #[test]
    fn a_cursor_knows_place_and_pause() {
        let patience = Patience::default();
        let mut cursor = Cursor::default();
        assert!(cursor.pause(&patience) <= patience.retry);
        cursor.note(&event("id: 5\nretry: 700\ndata:\n\n"));
        assert_eq!(cursor.last.as_ref().unwrap(), "5");
        assert_eq!(cursor.pause(&patience), Duration::from_millis(700));
        cursor.note(&event("data: x\n\n"));
        assert_eq!((cursor.last.as_ref().unwrap().as_bytes(), cursor.fruitless), (&b"5"[..], 0));
        cursor.fruitless = TRUSTED + 20;
        assert!(
            cursor.pause(&patience) > Duration::from_secs(40),
            "a server that brings nothing is asked less often"
        );
        cursor.note(&event("id:\ndata: x\n\n"));
        assert_eq!(cursor.last, None);
        cursor.note(&event("retry: 0\n\n"));
        assert_eq!(cursor.pause(&patience), SHORTEST_PAUSE);
    }
}
