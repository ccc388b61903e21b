//! The first message decides how a request is answered: with one JSON text, if it is the answer and nothing else belongs to it;
//! with a stream of events otherwise.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;

use super::message::{Outgoing, outgoing};
use super::reply::Refusal;
use crate::protocol::codes;
use crate::wire::Mailbox;

/// How many bytes of answers may wait before the house is told to pause.
const LIMIT: usize = 1 << 20;

/// The mailbox of a request. Dropping it tells the house that nobody waits for the answers.
pub(super) struct Inbox {
    mailbox: Arc<Mailbox>,
    handed_over: bool,
}

/// How to go on.
pub(super) enum First {
    /// This is the answer, and all of it.
    Answer(Outgoing, Bytes),
    /// There is more to come, or nothing yet.
    More(Option<Bytes>),
}

impl Inbox {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self { mailbox: Arc::new(Mailbox::new(LIMIT)), handed_over: false }
    }

    /// The mailbox, for the house to fill.
    pub(super) fn mailbox(&self) -> Arc<Mailbox> {
        Arc::clone(&self.mailbox)
    }

    /// The next message. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        self.mailbox.next().await
    }

    /// The mailbox, for somebody else to empty.
    pub(super) fn hand_over(mut self) -> Arc<Mailbox> {
        self.handed_over = true;
        self.mailbox()
    }

    /// Waits for the first message, for a while: a client that has heard nothing at all takes the connection for dead. `answers`
    /// is how many answers are expected.
    ///
    /// # Errors
    /// We are ending.
    pub(super) async fn first(
        &mut self,
        answers: usize,
        settle: Duration,
        ending: &CancellationToken,
    ) -> Result<First, Refusal> {
        let first = tokio::select! {
            biased;
            first = self.next() => first,
            () = tokio::time::sleep(settle) => None,
            () = ending.cancelled() => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return Err(Refusal::new(status, codes::INTERNAL_ERROR, "Switchboard is ending"));
            }
        };
        let Some(first) = first else { return Ok(First::More(None)) };
        Ok(match outgoing(&first) {
            kind @ Outgoing::Batch => First::Answer(kind, first),
            kind @ (Outgoing::Result | Outgoing::Error(_)) if answers == 1 => First::Answer(kind, first),
            _ => First::More(Some(first)),
        })
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if !self.handed_over {
            self.mailbox.abandon();
        }
    }
}
