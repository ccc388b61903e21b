//! The one writer of an output: everything the server says passes a bounded queue in the order it was said.

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::serve::Outcome;

/// How many pieces of output may wait. When the client does not read, whoever speaks waits, as in a server that
/// writes to a pipe.
const QUEUE: usize = 64;

/// Something to do at stdout, or at what stands for it.
pub(super) enum Op {
    /// One message, without an end of line.
    Message(Vec<u8>, Kind),
    /// Bytes that are no message.
    Bytes(Vec<u8>),
    /// Closes stdout; later bytes are lost.
    Close,
    /// Ends the server once everything before this was written.
    End(Outcome),
}

/// What a message is to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A notification or a request.
    Other,
    /// A response, and the status it has where responses have one.
    Response { status: u16 },
}

/// The way to the writer.
#[derive(Clone)]
pub(super) struct Output(mpsc::Sender<Op>);

impl Output {
    pub(super) fn channel() -> (Output, mpsc::Receiver<Op>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Output(sender), receiver)
    }

    /// A way to no writer: whatever is said is lost.
    pub(super) fn nowhere() -> Output {
        Output(mpsc::channel(1).0)
    }

    /// Writes one message.
    pub(super) async fn message(&self, text: impl Into<Vec<u8>>, kind: Kind) {
        self.send(Op::Message(text.into(), kind)).await;
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

    /// Waits until nobody takes what is said.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }

    /// Whether nobody takes what is said.
    pub(super) fn is_gone(&self) -> bool {
        self.0.is_closed()
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
                Op::Message(mut bytes, _) => {
                    bytes.push(b'\n');
                    append(&mut buffer, bytes);
                    continue;
                }
                Op::Bytes(bytes) => {
                    append(&mut buffer, bytes);
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

fn append(buffer: &mut Vec<u8>, bytes: Vec<u8>) {
    if buffer.is_empty() {
        *buffer = bytes;
    } else {
        buffer.extend_from_slice(&bytes);
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
