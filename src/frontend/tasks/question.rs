//! What the server of a kept task wants to know, until it is told.

use std::sync::Arc;

use bytes::Bytes;

use crate::bridge::{elicitation, question};
use crate::call::{AskKey, AskKind, Asker};
use crate::frontend::answer::Answer;
use crate::protocol::{Revision, codes};
use crate::wire::{Body, Span};

/// See the module.
pub(super) struct Question {
    pub(super) key: AskKey,
    pub(super) asker: Arc<dyn Asker>,
    pub(super) kind: AskKind,
    pub(super) revision: &'static Revision,
    /// Its params: for a bearer in the words of its revision, for a session as the server wrote them.
    pub(super) params: Bytes,
    /// Its key among the `inputRequests`.
    pub(super) name: String,
    /// Whether the session has been asked.
    pub(super) put: bool,
}

impl Question {
    /// Hands the answer of a modern client to the server.
    pub(super) fn deliver(&self, answer: &[u8]) {
        match question::answer(self.kind, answer, self.revision) {
            Ok(None) => self.send("result", &Bytes::copy_from_slice(answer)),
            Ok(Some(text)) => self.send("result", &text),
            Err(why) => self.refuse(codes::INVALID_PARAMS, &why),
        }
    }

    /// Nobody will answer.
    pub(super) fn give_up(&self) {
        match self.kind {
            AskKind::Elicitation => {
                self.send("result", &Bytes::from_static(elicitation::CANCEL));
            }
            AskKind::Sampling | AskKind::Roots => {
                self.refuse(codes::INTERNAL_ERROR, "the client has given up the task");
            }
        }
    }

    pub(super) fn refuse(&self, code: i32, why: &str) {
        self.send("error", &Bytes::copy_from_slice(Answer::error(code, why).parts().1));
    }

    fn send(&self, member: &str, text: &Bytes) {
        let whole = Span { start: 0, end: text.len() };
        let body = if member == "result" { Body::Result(whole) } else { Body::Error(whole) };
        self.asker.answer(&self.key, text, body);
    }
}
