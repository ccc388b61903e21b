//! The queue in front of a writer: lines go in from anywhere, one task takes them out in batches.
//!
//! Small lines are copied behind each other, so that one write carries many; large pieces travel as shared slices.
//! The queue is bounded in bytes. What happens at the bound is the caller's to say: a call to a server is refused
//! ([`Outbox::try_push`]); answers to a client are never refused, instead their readers pause ([`Outbox::room`]).

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// From this size on a piece is shared instead of copied.
const SHARE: usize = 16 * 1024;
/// A buffer that grew beyond this is given back after its batch.
const KEEP: usize = 1024 * 1024;

/// The queue holds as many bytes as it may.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// Lines waiting for one writer. Shared by reference; dropping it drops what waits.
pub struct Outbox {
    queue: Mutex<Queue>,
    filled: Notify,
    drained: Notify,
    limit: usize,
    /// Bytes the other side has taken, ever: a writer that stalls shows as a count that stands still.
    taken: AtomicU64,
}

#[derive(Default)]
struct Queue {
    batch: Batch,
    /// Bytes handed to the writer and not yet written.
    in_writing: usize,
    /// Bytes that ever came in.
    pushed: u64,
    closed: bool,
}

/// Some lines, cut loose from the queue to be written.
#[derive(Default)]
pub struct Batch {
    copied: Vec<u8>,
    /// Shared pieces, each with the offset in `copied` before which it stands.
    shared: Vec<(usize, Bytes)>,
    bytes: usize,
}

/// Puts the pieces of one line into the queue.
pub struct LineWriter<'a>(&'a mut Batch);

impl LineWriter<'_> {
    /// Appends a piece by copying it.
    #[inline]
    pub fn copy(&mut self, piece: &[u8]) {
        self.0.copied.extend_from_slice(piece);
        self.0.bytes += piece.len();
    }

    /// Appends the part `start..end` of `text`: shared if it is large, copied if it is not.
    #[inline]
    pub fn part(&mut self, text: &Bytes, start: usize, end: usize) {
        if end - start < SHARE {
            self.copy(&text[start..end]);
        } else {
            self.0.bytes += end - start;
            self.0.shared.push((self.0.copied.len(), text.slice(start..end)));
        }
    }
}

/// One line as a text of its own, for what must be gathered before it is sent.
pub fn render(write: impl FnOnce(&mut LineWriter<'_>)) -> Vec<u8> {
    let mut batch = Batch::default();
    write(&mut LineWriter(&mut batch));
    let mut text = Vec::with_capacity(batch.bytes);
    for slice in batch.slices() {
        text.extend_from_slice(&slice);
    }
    text
}

impl Outbox {
    /// A queue that is full at `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            queue: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            limit,
            taken: AtomicU64::new(0),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends one line, however full the queue is. After [`Outbox::close`] the line is dropped.
    pub fn push(&self, write: impl FnOnce(&mut LineWriter<'_>)) {
        let mut queue = self.queue();
        if !queue.closed {
            queue.append(write);
            drop(queue);
            self.filled.notify_one();
        }
    }

    /// Appends one line, unless the queue is full or closed.
    pub fn try_push(&self, write: impl FnOnce(&mut LineWriter<'_>)) -> Result<(), Full> {
        let mut queue = self.queue();
        if queue.closed || queue.waiting() >= self.limit {
            return Err(Full);
        }
        queue.append(write);
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// How many bytes wait or are being written.
    pub fn waiting(&self) -> usize {
        self.queue().waiting()
    }

    /// Bytes that came in since the beginning. A line that began at or after [`Outbox::taken`] was never written.
    pub fn pushed(&self) -> u64 {
        self.queue().pushed
    }

    /// Bytes that the other side has taken since the beginning.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether the queue is full.
    pub fn is_full(&self) -> bool {
        self.waiting() >= self.limit
    }

    /// Waits until the queue is not full, or closed. Cancel safe.
    pub async fn room(&self) {
        self.below(self.limit).await;
    }

    /// Waits until everything has been written, or the queue is closed by its writer. Cancel safe.
    pub async fn flushed(&self) {
        self.below(1).await;
    }

    async fn below(&self, bytes: usize) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.waiting() < bytes {
                return;
            }
            drained.await;
        }
    }

    /// Takes no more lines; the writer ends after what waits.
    pub fn close(&self) {
        self.queue().closed = true;
        self.filled.notify_one();
    }

    /// Waits for lines and takes all of them; `None` when closed and empty. For the one writer. Cancel safe.
    async fn take(&self, mut empty: Batch) -> Option<Batch> {
        loop {
            let filled = self.filled.notified();
            {
                let mut queue = self.queue();
                if queue.batch.bytes > 0 {
                    std::mem::swap(&mut queue.batch, &mut empty);
                    queue.in_writing = empty.bytes;
                    return Some(empty);
                }
                if queue.closed {
                    return None;
                }
            }
            filled.await;
        }
    }

    fn written(&self, bytes: usize) {
        let mut queue = self.queue();
        queue.in_writing = queue.in_writing.saturating_sub(bytes);
        drop(queue);
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
        self.drained.notify_waiters();
    }

    /// Drops what waits and takes no more: the other side is gone.
    fn abandon(&self) {
        let mut queue = self.queue();
        *queue = Queue { closed: true, pushed: queue.pushed, ..Queue::default() };
        drop(queue);
        self.drained.notify_waiters();
    }

    /// Writes lines as they come until the queue is closed and empty (`Ok`) or the other side is gone (`Err`).
    pub async fn write_to<W: AsyncWrite + Unpin>(&self, writer: &mut W) -> io::Result<()> {
        let mut batch = Batch::default();
        while let Some(mut full) = self.take(std::mem::take(&mut batch)).await {
            if let Err(error) = self.write_batch(writer, &full).await {
                self.abandon();
                return Err(error);
            }
            full.clear();
            batch = full;
        }
        writer.flush().await
    }

    async fn write_batch<W: AsyncWrite + Unpin>(&self, writer: &mut W, batch: &Batch) -> io::Result<()> {
        let mut slices = batch.slices();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let count = rest.len().min(64);
            let written = writer.write_vectored(&rest[..count]).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.written(written);
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }
}

impl Queue {
    fn waiting(&self) -> usize {
        self.batch.bytes + self.in_writing
    }

    fn append(&mut self, write: impl FnOnce(&mut LineWriter<'_>)) {
        let before = self.batch.bytes;
        let mut writer = LineWriter(&mut self.batch);
        write(&mut writer);
        writer.copy(b"\n");
        self.pushed += (self.batch.bytes - before) as u64;
    }
}

impl Batch {
    fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(2 * self.shared.len() + 1);
        let mut from = 0;
        for (before, piece) in &self.shared {
            if from < *before {
                slices.push(IoSlice::new(&self.copied[from..*before]));
            }
            slices.push(IoSlice::new(piece));
            from = *before;
        }
        if from < self.copied.len() {
            slices.push(IoSlice::new(&self.copied[from..]));
        }
        slices
    }

    fn clear(&mut self) {
        if self.copied.capacity() > KEEP {
            self.copied = Vec::new();
        }
        self.copied.clear();
        self.shared.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    async fn written(fill: impl FnOnce(&Outbox)) -> Vec<u8> {
        let outbox = Outbox::new(1 << 20);
        fill(&outbox);
        outbox.close();
        let mut out = Vec::new();
        outbox.write_to(&mut out).await.unwrap();
        out
    }

    #[tokio::test]
    async fn small_and_shared_pieces_keep_their_order() {
        let big = Bytes::from(vec![b'x'; SHARE + 5]);
        let out = written(|outbox| {
            outbox.push(|line| line.copy(b"one"));
            outbox.push(|line| {
                line.copy(b"<");
                line.part(&big, 0, big.len());
                line.part(&big, 0, 2);
                line.copy(b">");
            });
            outbox.push(|line| line.part(&big, 1, big.len()));
            outbox.push(|line| line.copy(b"end"));
        })
        .await;
        let x = |count: usize| "x".repeat(count);
        let expected = format!("one\n<{}xx>\n{}\nend\n", x(SHARE + 5), x(SHARE + 4));
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_later_has_room() {
        let outbox = Arc::new(Outbox::new(10));
        outbox.try_push(|line| line.copy(b"0123456789")).unwrap();
        assert_eq!(outbox.try_push(|line| line.copy(b"x")), Err(Full));
        assert!(outbox.is_full());
        let (mut near, mut far) = tokio::io::duplex(4);
        let writer = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.write_to(&mut near).await }
        });
        let mut taken = [0; 4];
        tokio::io::AsyncReadExt::read_exact(&mut far, &mut taken).await.unwrap();
        outbox.room().await;
        assert_eq!(outbox.try_push(|line| line.copy(b"y")), Ok(()));
        drop(far);
        assert!(writer.await.unwrap().is_err());
        outbox.flushed().await;
        assert_eq!(outbox.try_push(|line| line.copy(b"z")), Err(Full), "nobody is left to read it");
    }
}
