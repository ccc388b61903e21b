//! One legacy event stream: what was sent on it, for a client that lost its connection, and who reads it now.
//!
//! Source: MCP 2025-11-25 "Streamable HTTP", Resumability and Redelivery. A pump takes messages out of the mailbox and
//! numbers them; whoever is connected reads behind it. A client that is connected and does not read stops the pump, so
//! that its mailbox fills. One that is gone stops nobody: then the oldest messages are forgotten instead.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use crate::wire::Mailbox;

/// How much is kept for a client that comes back. The last message is kept however long it is: it is the answer.
const KEPT_EVENTS: usize = 256;
const KEPT_BYTES: usize = 1 << 20;
/// How much may wait for a client that is connected.
const UNREAD_BYTES: usize = 256 * 1024;

/// A stream of a session.
pub(super) struct Stream {
    mailbox: Arc<Mailbox>,
    log: Mutex<Log>,
    changed: Notify,
}

struct Log {
    /// The last messages, numbered without gaps.
    events: VecDeque<Bytes>,
    bytes: usize,
    /// The number of the last message; the first one has number 1.
    last: u64,
    /// The number of the last message that was handed to a connection.
    sent: u64,
    /// Counts connections; the newest one reads.
    readers: u64,
    /// Since when nobody is connected.
    left: Option<Instant>,
    finished: bool,
}

/// There is no such message on the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown;

impl Stream {
    /// A stream of what comes into the mailbox.
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Arc<Self> {
        let log = Log {
            events: VecDeque::new(),
            bytes: 0,
            last: 0,
            sent: 0,
            readers: 0,
            left: Some(Instant::now()),
            finished: false,
        };
        Arc::new(Self { mailbox, log: Mutex::new(log), changed: Notify::new() })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves messages from the mailbox to the log until the mailbox is closed. `first` has been taken out already.
    pub(super) async fn pump(self: Arc<Self>, first: Option<Bytes>) {
        let mut next = first;
        loop {
            let message = match next.take() {
                Some(message) => message,
                None => match self.mailbox.next().await {
                    Some(message) => message,
                    None => break,
                },
            };
            self.room().await;
            self.log().append(message);
            self.changed.notify_waiters();
        }
        self.log().finished = true;
        self.changed.notify_waiters();
    }

    async fn room(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.log().unread() < UNREAD_BYTES {
                return;
            }
            changed.await;
        }
    }

    /// Reads the stream from now on: what comes after message `after`, or else what nobody was sent yet. Whoever read it
    /// before is disconnected; that is usually the same client, whose connection is dead and has not noticed.
    ///
    /// # Errors
    /// `after` is a number that the stream has not reached.
    pub(super) fn read(self: &Arc<Self>, after: Option<u64>) -> Result<Reader, Unknown> {
        let mut log = self.log();
        let after = after.unwrap_or(log.sent);
        if after > log.last {
            return Err(Unknown);
        }
        log.readers += 1;
        log.left = None;
        log.sent = after;
        let reader = Reader { stream: Arc::clone(self), number: log.readers, at: after };
        drop(log);
        self.changed.notify_waiters();
        Ok(reader)
    }

    /// For how long nobody has been connected.
    pub(super) fn left_for(&self, now: Instant) -> Option<Duration> {
        self.log().left.map(|left| now.saturating_duration_since(left))
    }

    /// Forgets what was kept.
    pub(super) fn forget(&self) {
        let mut log = self.log();
        log.events.clear();
        log.bytes = 0;
        log.sent = log.last;
    }

    /// Ends the stream: nothing more is taken, and whoever reads it is disconnected.
    pub(super) fn end(&self) {
        self.mailbox.abandon();
        self.forget();
        self.log().readers += 1;
        self.changed.notify_waiters();
    }
}

impl Log {
    fn append(&mut self, message: Bytes) {
        self.last += 1;
        self.bytes += message.len();
        self.events.push_back(message);
        // What a connected client has not been sent is never forgotten; the pump sees to it that it does not grow.
        while self.events.len() > 1
            && (self.bytes > KEPT_BYTES || self.events.len() > KEPT_EVENTS)
            && (self.left.is_some() || self.first() <= self.sent)
        {
            self.bytes -= self.events.pop_front().map_or(0, |event| event.len());
        }
        if self.left.is_some() {
            self.sent = self.sent.max(self.first() - 1);
        }
    }

    /// The number of the first message that is kept.
    fn first(&self) -> u64 {
        self.last + 1 - self.events.len() as u64
    }

    fn after(&self, number: u64) -> Option<(u64, Bytes)> {
        let number = (number + 1).max(self.first());
        let index = usize::try_from(number - self.first()).ok()?;
        self.events.get(index).map(|event| (number, event.clone()))
    }

    /// How many bytes wait for a client that is connected.
    fn unread(&self) -> usize {
        let unread = usize::try_from(self.last - self.sent).unwrap_or(usize::MAX);
        match self.left {
            Some(_) => 0,
            None => self.events.iter().rev().take(unread).map(Bytes::len).sum(),
        }
    }
}

/// A connection that reads a stream. Dropping it says that the client is gone.
pub(super) struct Reader {
    stream: Arc<Stream>,
    number: u64,
    at: u64,
}

impl Reader {
    /// The number of the last message that was read.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next message with its number; `None` at the end, and when another connection has taken over. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<(u64, Bytes)> {
        loop {
            let changed = self.stream.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut log = self.stream.log();
                if log.readers != self.number {
                    return None;
                }
                if let Some((number, event)) = log.after(self.at) {
                    self.at = number;
                    log.sent = number;
                    drop(log);
                    self.stream.changed.notify_waiters();
                    return Some((number, event));
                }
                if log.finished {
                    return None;
                }
            }
            changed.await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut log = self.stream.log();
        if log.readers == self.number {
            log.left = Some(Instant::now());
            drop(log);
            self.stream.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    fn running() -> (Arc<Mailbox>, Arc<Stream>) {
        let mailbox = Arc::new(Mailbox::new(1 << 20));
        let stream = Stream::new(Arc::clone(&mailbox));
        tokio::spawn(Arc::clone(&stream).pump(None));
        (mailbox, stream)
    }

    #[tokio::test]
    async fn a_client_that_comes_back_goes_on_where_it_was() {
        let (mailbox, stream) = running();
        let mut reader = stream.read(None).unwrap();
        mailbox.push_whole("one".into());
        mailbox.push_whole("two".into());
        assert_eq!(reader.next().await, Some((1, "one".into())));
        assert_eq!(reader.next().await, Some((2, "two".into())));
        drop(reader);
        mailbox.push_whole("three".into());
        settle().await;
        let mut again = stream.read(Some(1)).unwrap();
        assert_eq!(again.next().await, Some((2, "two".into())));
        assert_eq!(again.next().await, Some((3, "three".into())));
        mailbox.close();
        assert_eq!(again.next().await, None);
        assert!(stream.read(Some(4)).is_err(), "never sent");
        assert_eq!(
            stream.read(Some(2)).unwrap().next().await,
            Some((3, "three".into())),
            "also after the end"
        );
    }

    #[tokio::test]
    async fn the_newest_connection_reads() {
        let (mailbox, stream) = running();
        let mut old = stream.read(None).unwrap();
        let mut new = stream.read(None).unwrap();
        assert_eq!(old.next().await, None);
        drop(old);
        mailbox.push_whole("one".into());
        assert_eq!(new.next().await, Some((1, "one".into())));
        assert_eq!(stream.left_for(Instant::now()), None, "the old one's going is no news");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_stops_the_pump_and_one_that_is_gone_does_not() {
        let (mailbox, stream) = running();
        let reader = stream.read(None).unwrap();
        let push = |count: usize| (0..count).for_each(|_| mailbox.push_whole(vec![b'x'; 64 * 1024].into()));
        push(40);
        settle().await;
        assert!(mailbox.waiting() > 30 * 64 * 1024, "{}", mailbox.waiting());
        drop(reader);
        let emptied = async {
            while mailbox.waiting() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), emptied).await.unwrap();
        settle().await;
        assert!(stream.log().bytes <= KEPT_BYTES);
        let mut late = stream.read(Some(0)).unwrap();
        let (number, _) = late.next().await.unwrap();
        assert_eq!(number, 25, "the sixteen newest are kept");
    }

    #[tokio::test]
    async fn the_answer_is_kept_however_long_it_is() {
        let (mailbox, stream) = running();
        mailbox.push_whole("small".into());
        mailbox.push_whole(vec![b'x'; 3 << 20].into());
        settle().await;
        let (number, answer) = stream.read(Some(0)).unwrap().next().await.unwrap();
        assert_eq!((number, answer.len()), (2, 3 << 20));
    }

    #[tokio::test]
    async fn the_end_disconnects() {
        let (mailbox, stream) = running();
        mailbox.push_whole("one".into());
        settle().await;
        let mut reader = stream.read(None).unwrap();
        stream.end();
        assert_eq!(reader.next().await, None);
        assert!(mailbox.is_closed());
    }
}
