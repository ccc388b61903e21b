//! The queue in front of a reader that takes whole messages: an answer over HTTP is a message, not a part of a stream of lines.
//!
//! As an [`Outbox`](crate::wire::Outbox), it is bounded in bytes and never refuses: whoever fills it looks at
//! [`Mailbox::is_full`] and waits for [`Mailbox::room`]. It is closed by the one who fills it, behind the last message, or
//! abandoned by the one who empties it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::wire::LineWriter;
use crate::wire::outbox::render;

/// Messages waiting for one reader. Shared by reference; dropping it drops what waits.
pub struct Mailbox {
    queue: Mutex<Queue>,
    filled: Notify,
    drained: Notify,
    limit: usize,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
}

impl Mailbox {
    /// A queue that is full at `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { queue: Mutex::default(), filled: Notify::new(), drained: Notify::new(), limit }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends one message, however full the queue is. After [`Mailbox::close`] the message is dropped.
    pub fn push(&self, write: impl FnOnce(&mut LineWriter<'_>)) {
        if self.queue().closed {
            return;
        }
        // Written outside of the lock: a message may be megabytes, and the other side must not wait for the copy.
        self.push_whole(render(write).into());
    }

    /// Appends a message that is there already.
    pub fn push_whole(&self, message: Bytes) {
        let mut queue = self.queue();
        if !queue.closed {
            queue.bytes += message.len();
            queue.messages.push_back(message);
            drop(queue);
            self.filled.notify_one();
        }
    }

    /// The next message; `None` when the queue is closed and empty. For one reader at a time. Cancel safe.
    pub async fn next(&self) -> Option<Bytes> {
        loop {
            let filled = self.filled.notified();
            {
                let mut queue = self.queue();
                if let Some(message) = queue.messages.pop_front() {
                    queue.bytes -= message.len();
                    drop(queue);
                    self.drained.notify_waiters();
                    return Some(message);
                }
                if queue.closed {
                    return None;
                }
            }
            filled.await;
        }
    }

    /// How many bytes wait.
    pub fn waiting(&self) -> usize {
        self.queue().bytes
    }

    /// Whether the queue is full. One that is closed never is: nobody has to wait for its reader.
    pub fn is_full(&self) -> bool {
        let queue = self.queue();
        queue.bytes >= self.limit && !queue.closed
    }

    /// Whether it takes no more messages.
    pub fn is_closed(&self) -> bool {
        self.queue().closed
    }

    /// Waits until the queue is not full, or closed. Cancel safe.
    pub async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if !self.is_full() {
                return;
            }
            drained.await;
        }
    }

    /// Takes no more messages; the reader ends after what waits.
    pub fn close(&self) {
        self.queue().closed = true;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Drops what waits and takes no more: the reader is gone.
    pub fn abandon(&self) {
        *self.queue() = Queue { closed: true, ..Queue::default() };
        self.filled.notify_one();
        self.drained.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn text(message: Option<Bytes>) -> Option<String> {
        message.map(|message| String::from_utf8(message.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn messages_come_out_whole_and_in_order() {
        let mailbox = Mailbox::new(100);
        mailbox.push(|line| line.copy(b"one"));
        mailbox.push(|line| {
            line.copy(b"<");
            line.part(&Bytes::from_static(b"two"), 0, 3);
            line.copy(b">");
        });
        assert_eq!(mailbox.waiting(), 8);
        assert_eq!(text(mailbox.next().await).as_deref(), Some("one"));
        mailbox.close();
        mailbox.push(|line| line.copy(b"late"));
        assert_eq!(text(mailbox.next().await).as_deref(), Some("<two>"));
        assert_eq!(mailbox.next().await, None);
        assert_eq!(mailbox.next().await, None, "and again");
    }

    #[tokio::test]
    async fn a_full_queue_has_room_when_it_was_read_or_closed_or_abandoned() {
        for release in [
            |mailbox: &Mailbox| drop(futures_util::FutureExt::now_or_never(mailbox.next())),
            Mailbox::close,
            Mailbox::abandon,
        ] {
            let mailbox = Arc::new(Mailbox::new(4));
            mailbox.push(|line| line.copy(b"12345"));
            assert!(mailbox.is_full());
            let waiting = tokio::spawn({
                let mailbox = Arc::clone(&mailbox);
                async move { mailbox.room().await }
            });
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            release(&mailbox);
            waiting.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_reader_that_gave_up_waiting_loses_nothing() {
        let mailbox = Mailbox::new(4);
        {
            let next = mailbox.next();
            tokio::pin!(next);
            assert!(futures_util::poll!(&mut next).is_pending());
            mailbox.push(|line| line.copy(b"x"));
        }
        assert_eq!(text(mailbox.next().await).as_deref(), Some("x"));
    }
}
