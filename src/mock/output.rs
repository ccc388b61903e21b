//! The one writer of stdout: everything the server says passes a bounded queue in the order it was said.

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::serve::Outcome;

/// How many pieces of output may wait. When the client does not read, whoever speaks waits, as in a server that
/// writes to a pipe.
const QUEUE: usize = 64;

/// Something to do at stdout.
pub(super) enum Op {
    Bytes(Vec<u8>),
    /// Closes stdout; later bytes are lost.
    Close,
    /// Ends the server once everything before this was written.
    End(Outcome),
}

/// The way to the writer.
#[derive(Clone)]
pub(super) struct Output(mpsc::Sender<Op>);

impl Output {
    pub(super) fn channel() -> (Output, mpsc::Receiver<Op>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Output(sender), receiver)
    }

    /// Writes one message: adds the end of the line.
    pub(super) async fn line(&self, text: impl Into<Vec<u8>>) {
        let mut bytes = text.into();
        bytes.push(b'\n');
        self.bytes(bytes).await;
    }

    pub(super) async fn bytes(&self, bytes: Vec<u8>) {
        self.send(Op::Bytes(bytes)).await;
    }

    pub(super) async fn close(&self) {
        self.send(Op::Close).await;
    }

    /// Ends the server; never returns, since nothing happens after the end.
    pub(super) async fn end(&self, outcome: Outcome) -> ! {
        self.send(Op::End(outcome)).await;
        std::future::pending().await
    }

    async fn send(&self, op: Op) {
        // The writer is gone only when the server is ending; what is said then is lost with it.
        let _ = self.0.send(op).await;
    }
}

/// Writes until the end is asked for, or until the client is gone (unless `survive`).
pub(super) async fn write_all<W: AsyncWrite + Unpin>(
    writer: W,
    mut queue: mpsc::Receiver<Op>,
    survive: bool,
) -> Outcome {
    let mut writer = Some(writer);
    let mut ops = Vec::with_capacity(QUEUE);
    let mut buffer = Vec::new();
    loop {
        if queue.recv_many(&mut ops, QUEUE).await == 0 {
            return Outcome::Ended;
        }
        for op in ops.drain(..) {
            let (close, end) = match op {
                Op::Bytes(bytes) => {
                    if buffer.is_empty() {
                        buffer = bytes;
                    } else {
                        buffer.extend_from_slice(&bytes);
                    }
                    continue;
                }
                Op::Close => (true, None),
                Op::End(outcome) => (false, Some(outcome)),
            };
            flush(&mut writer, &mut buffer).await;
            if let Some(mut writer) = writer.take_if(|_| close) {
                // An in-memory pipe needs to be told; a real one closes when it is dropped.
                let _ = writer.shutdown().await;
            }
            if let Some(outcome) = end {
                return outcome;
            }
        }
        let was_open = writer.is_some();
        flush(&mut writer, &mut buffer).await;
        if was_open && writer.is_none() && !survive {
            return Outcome::Ended;
        }
    }
}

/// Writes the buffer and empties it; drops the writer when nobody reads any more.
async fn flush<W: AsyncWrite + Unpin>(writer: &mut Option<W>, buffer: &mut Vec<u8>) {
    let bytes = std::mem::take(buffer);
    if bytes.is_empty() {
        return;
    }
    if let Some(open) = writer {
        let written = async {
            open.write_all(&bytes).await?;
            open.flush().await
        };
        if written.await.is_err() {
            *writer = None;
        }
    }
}
