//! Bodies: written piece by piece by a task, read by the connection, and broken off where a script says so.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::answer::with_id;
use super::log::{Entry, Log, Next};
use super::settings::{Cut, Place, Style};
use crate::mock::output::Kind;

/// How many pieces may wait for the connection.
const QUEUE: usize = 8;

/// The connection is to break.
#[derive(Debug)]
pub(super) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the script breaks the connection here")
    }
}

impl std::error::Error for Broken {}

/// The body of an answer.
pub(super) struct Pipe {
    pieces: mpsc::Receiver<Result<Bytes, Broken>>,
    /// Whether the break was seen, so that it happens at the next look.
    breaking: bool,
}

impl Body for Pipe {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.breaking {
            return Poll::Ready(Some(Err(Broken)));
        }
        match std::task::ready!(self.pieces.poll_recv(cx)) {
            Some(Ok(piece)) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            // What was written before is sent while there is nothing to read here.
            Some(Err(Broken)) => {
                self.breaking = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(None),
        }
    }
}

/// The writing end of a body. Errors mean that the client is gone.
pub(super) struct Writer {
    sender: mpsc::Sender<Result<Bytes, Broken>>,
    style: Style,
}

/// The client is gone.
pub(super) struct Gone;

pub(super) fn pipe(style: &Style) -> (Writer, Pipe) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Writer { sender, style: style.clone() }, Pipe { pieces: receiver, breaking: false })
}

/// A body of these bytes.
pub(super) fn whole(bytes: impl Into<Bytes>, style: &Style) -> Pipe {
    let (mut writer, pipe) = pipe(style);
    let bytes = bytes.into();
    tokio::spawn(async move { writer.write(bytes).await.is_ok() });
    pipe
}

/// A body that breaks off in the middle of these bytes.
pub(super) fn half(bytes: Bytes, style: &Style) -> Pipe {
    let (mut writer, pipe) = pipe(style);
    tokio::spawn(async move {
        let half = bytes.slice(..bytes.len() / 2);
        if writer.write(half).await.is_ok() {
            writer.break_off().await;
        }
    });
    pipe
}

impl Writer {
    pub(super) async fn write(&mut self, bytes: impl Into<Bytes>) -> Result<(), Gone> {
        let mut bytes: Bytes = bytes.into();
        while !bytes.is_empty() {
            let piece = bytes.split_to(self.style.bytes.unwrap_or(usize::MAX).min(bytes.len()));
            self.sender.send(Ok(piece)).await.map_err(|_| Gone)?;
            if !self.style.every.is_zero() {
                tokio::time::sleep(self.style.every).await;
            }
        }
        Ok(())
    }

    /// Breaks the connection.
    pub(super) async fn break_off(&mut self) {
        // Nobody is there to notice if this fails.
        let _ = self.sender.send(Err(Broken)).await;
    }

    /// Waits until the client is gone.
    pub(super) async fn gone(&self) {
        self.sender.closed().await;
    }

    async fn event(&mut self, name: &str, id: Option<String>, data: &[u8]) -> Result<(), Gone> {
        let bytes = self.style.event(name, id, data);
        self.write(bytes).await
    }
}

impl Style {
    /// The bytes of one event.
    pub(super) fn event(&self, name: &str, id: Option<String>, data: &[u8]) -> Vec<u8> {
        let end: &[u8] = if self.crlf { b"\r\n" } else { b"\n" };
        let mut out = Vec::with_capacity(data.len() + 64);
        let mut line = |parts: &[&[u8]]| {
            parts.iter().for_each(|part| out.extend_from_slice(part));
            out.extend_from_slice(end);
        };
        if self.comments {
            line(&[b": a comment"]);
        }
        if !name.is_empty() {
            line(&[b"event: ", name.as_bytes()]);
        }
        if let Some(id) = id {
            line(&[b"id: ", id.as_bytes()]);
        }
        if self.comments {
            line(&[b":data: {}"]);
        }
        // A line end is white space to JSON behind the first brace.
        let split = if self.multiline && data.first() == Some(&b'{') { 1 } else { 0 };
        if split > 0 {
            line(&[b"data:", &data[..split]]);
            line(&[b"data"]);
        }
        line(&[b"data: ", &data[split..]]);
        line(&[]);
        out
    }
}

/// How one connection reads a stream.
pub(super) struct Reading {
    pub(super) log: std::sync::Arc<Log>,
    /// The first entry to read; none means the first that nobody read.
    pub(super) from: Option<usize>,
    pub(super) ids: bool,
    pub(super) prime: bool,
    pub(super) cut: Option<Cut>,
    /// Cancelled when the client leaves before the end.
    pub(super) leaving: Option<CancellationToken>,
    /// Ends the stream from outside.
    pub(super) stop: CancellationToken,
    /// What a stream says first, such as the endpoint.
    pub(super) preface: Option<Vec<u8>>,
    /// The id that every response gets, instead of its own.
    pub(super) id: Option<String>,
}

impl Reading {
    /// The body that reads the stream.
    pub(super) fn into_body(self, style: &Style) -> Pipe {
        let (writer, pipe) = pipe(style);
        tokio::spawn(self.run(writer));
        pipe
    }

    async fn run(self, mut writer: Writer) {
        let leaving = self.leaving.clone().map(CancellationToken::drop_guard);
        if self.copy(&mut writer).await.is_ok() {
            leaving.map(DropGuard::disarm);
        }
    }

    /// Copies the stream to the connection. An error means that the client did not see the end.
    async fn copy(&self, writer: &mut Writer) -> Result<(), Gone> {
        let (reader, unread) = self.log.take_over();
        if writer.style.bom {
            writer.write(Bytes::from_static(b"\xef\xbb\xbf")).await?;
        }
        if let Some(retry) = writer.style.retry {
            writer.write(format!("retry: {}\n\n", retry.as_millis())).await?;
        }
        if let Some(preface) = &self.preface {
            writer.write(preface.clone()).await?;
        }
        if self.prime {
            writer.event("", self.event_id(0), b"").await?;
        }
        if let Some(Cut { place: Place::Head, .. }) = self.cut {
            return self.break_off(writer).await;
        }
        for at in self.from.unwrap_or(unread).. {
            let next = tokio::select! {
                next = self.log.read(at, reader) => next,
                () = writer.gone() => return Err(Gone),
                () = self.stop.cancelled() => return Ok(()),
            };
            let (message, kind) = match next {
                Next::Entry(Entry::Message(message, kind)) => (message, kind),
                Next::Entry(Entry::Raw(bytes)) => {
                    writer.write(bytes).await?;
                    continue;
                }
                Next::Entry(Entry::Gone) => continue,
                Next::Entry(Entry::Close) | Next::End | Next::Replaced => return Ok(()),
            };
            let message = match (&self.id, kind) {
                (Some(id), Kind::Response { .. }) => with_id(&message, id),
                _ => message,
            };
            let cut = self.cut.filter(|_| matches!(kind, Kind::Response { .. }));
            if let Some(Cut { place: Place::Before, .. }) = cut {
                return self.break_off(writer).await;
            }
            let event = writer.style.event("message", self.event_id(at + 1), &message);
            if let Some(Cut { place: Place::Middle, .. }) = cut {
                let half = event.len() / 2;
                writer.write(event[..half].to_vec()).await?;
                return self.break_off(writer).await;
            }
            writer.write(event).await?;
            if cut.is_some() {
                return self.break_off(writer).await;
            }
        }
        Ok(())
    }

    fn event_id(&self, at: usize) -> Option<String> {
        self.ids.then(|| format!("{}-{at}", self.log.number))
    }

    async fn break_off(&self, writer: &mut Writer) -> Result<(), Gone> {
        if !self.cut.is_some_and(|cut| cut.clean) {
            writer.break_off().await;
        }
        Ok(())
    }
}
