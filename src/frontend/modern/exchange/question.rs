//! What a server wants to know in the middle of a parked call.

use std::sync::Arc;

use bytes::Bytes;

use crate::bridge::{self, question};
use crate::call::{AskKey, AskKind, Asker};
use crate::frontend::modern::server_info;
use crate::protocol::{Revision, codes};
use crate::wire::{Body, Span, json};

pub(super) struct Question {
    pub(super) key: AskKey,
    pub(super) asker: Arc<dyn Asker>,
    pub(super) kind: AskKind,
    pub(super) revision: &'static Revision,
    /// Its params for the client.
    pub(super) params: Bytes,
    /// Its key among the `inputRequests`.
    pub(super) name: String,
}

impl Question {
    pub(super) fn deliver(&self, answer: &[u8]) {
        let (member, text) = match question::answer(self.kind, answer, self.revision) {
            Ok(None) => ("result", Bytes::copy_from_slice(answer)),
            Ok(Some(text)) => ("result", text),
            Err(why) => ("error", error_object(codes::INVALID_PARAMS, &why)),
        };
        self.send(member, &text);
    }

    pub(super) fn give_up(&self) {
        match self.kind {
            AskKind::Elicitation => {
                self.send("result", &Bytes::from_static(bridge::elicitation::CANCEL));
            }
            AskKind::Sampling | AskKind::Roots => {
                let text = error_object(codes::INTERNAL_ERROR, "the client did not answer");
                self.send("error", &text);
            }
        }
    }

    fn send(&self, member: &str, text: &Bytes) {
        let whole = Span { start: 0, end: text.len() };
        let body = if member == "result" { Body::Result(whole) } else { Body::Error(whole) };
        self.asker.answer(&self.key, text, body);
    }
}

/// Which questions have been answered, and with what; and the others.
pub(super) fn sort_out(
    questions: Vec<Question>,
    responses: Option<&[u8]>,
) -> (Vec<(Question, Bytes)>, Vec<Question>) {
    let mut answered = Vec::new();
    let mut left = Vec::new();
    for question in questions {
        let found = responses.and_then(|responses| {
            let span = json::get(responses, &question.name)?;
            (json::kind(span.of(responses)) == json::Kind::Object).then(|| span.of(responses))
        });
        match found {
            Some(answer) => answered.push((question, Bytes::copy_from_slice(answer))),
            None => left.push(question),
        }
    }
    (answered, left)
}

fn error_object(code: i32, message: &str) -> Bytes {
    let mut text = format!(r#"{{"code":{code},"message":"#).into_bytes();
    json::push_string(&mut text, message);
    text.push(b'}');
    text.into()
}

pub(super) fn input_required(questions: &[Question], sealed: &str) -> Bytes {
    let mut text = br#"{"resultType":"input_required","inputRequests":{"#.to_vec();
    for (index, question) in questions.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        json::push_string(&mut text, &question.name);
        text.extend_from_slice(br#":{"method":""#);
        text.extend_from_slice(question.kind.method().as_bytes());
        text.push(b'"');
        if !question.params.is_empty() {
            text.extend_from_slice(br#","params":"#);
            text.extend_from_slice(&question.params);
        }
        text.push(b'}');
    }
    text.extend_from_slice(br#"},"requestState":"#);
    json::push_string(&mut text, sealed);
    text.extend_from_slice(br#","_meta":{"io.modelcontextprotocol/serverInfo":"#);
    text.extend_from_slice(&server_info());
    text.extend_from_slice(b"}}");
    text.into()
}
