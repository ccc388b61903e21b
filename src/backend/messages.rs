//! The way of our bytes into a transport that takes messages one by one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

/// Cuts what an outbox writes into messages. A byte counts as written when the message before it has been handed on, so
/// that an outbox still knows what never left.
pub(super) struct MessageSink {
    outgoing: PollSender<Bytes>,
    /// The beginning of the next message.
    begun: BytesMut,
}

impl MessageSink {
    pub(super) fn new(outgoing: mpsc::Sender<Bytes>) -> Self {
        Self { outgoing: PollSender::new(outgoing), begun: BytesMut::new() }
    }
}

fn gone<E>(_: E) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl AsyncWrite for MessageSink {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.outgoing.poll_reserve(cx)).map_err(gone)?;
        let Some(end) = memchr::memchr(b'\n', buf) else {
            self.begun.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        };
        self.begun.extend_from_slice(&buf[..end]);
        let message = std::mem::take(&mut self.begun).freeze();
        self.outgoing.send_item(message).map_err(gone)?;
        Poll::Ready(Ok(end + 1))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.close();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Outbox;

    #[tokio::test]
    async fn messages_come_whole_and_in_order() {
        let (sender, mut receiver) = mpsc::channel(1);
        let outbox = std::sync::Arc::new(Outbox::new(1 << 20));
        let long = Bytes::from(vec![b'x'; 40_000]);
        outbox.push(|line| line.copy(b"one"));
        outbox.push(|line| {
            line.copy(b"<");
            line.part(&long, 0, long.len());
            line.copy(b">");
        });
        outbox.push(|line| line.copy(b"three"));
        let writer = tokio::spawn({
            let outbox = std::sync::Arc::clone(&outbox);
            async move { outbox.write_to(&mut MessageSink::new(sender)).await }
        });
        assert_eq!(receiver.recv().await.unwrap(), &b"one"[..]);
        assert_eq!(receiver.recv().await.unwrap().len(), 40_002);
        assert_eq!(receiver.recv().await.unwrap(), &b"three"[..]);
        outbox.close();
        writer.await.unwrap().unwrap();
        assert_eq!(receiver.recv().await, None, "the end of the outbox is the end of the channel");
    }

    #[tokio::test]
    async fn a_transport_that_is_gone_ends_the_writing() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let outbox = Outbox::new(1 << 20);
        outbox.push(|line| line.copy(b"one"));
        assert!(outbox.write_to(&mut MessageSink::new(sender)).await.is_err());
    }
}
