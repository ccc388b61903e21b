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
pub(super) struct Inbox(Option<Arc<Mailbox>>);

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
        Self(Some(Arc::new(Mailbox::new(LIMIT))))
    }

    /// The mailbox, for the house.
    pub(super) fn mailbox(&self) -> Arc<Mailbox> {
        self.0.as_ref().map_or_else(|| Arc::new(Mailbox::new(0)), Arc::clone)
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        match &self.0 {
            Some(mailbox) => mailbox.next().await,
            None => None,
        }
    }

    /// The mailbox, for somebody else to empty.
    pub(super) fn hand_over(mut self) -> Arc<Mailbox> {
        let mailbox = self.mailbox();
        self.0 = None;
        mailbox
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
        if let Some(mailbox) = &self.0 {
            mailbox.abandon();
        }
    }
}
