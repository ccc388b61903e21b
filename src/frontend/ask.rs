//! Questions of servers to the client's user or model: elicitation, sampling, roots.
//!
//! They are passed on only if the client declared that it takes them, always name the asking server where a person
//! reads them, and are never answered by us in the user's name.

use std::sync::Arc;

use bytes::Bytes;

use crate::bridge::{self, question};
use crate::call::{Ask, AskKey, AskKind, Caller, NotAsked, Ticket};
use crate::frontend::MAX_MESSAGE;
use crate::frontend::answer::Answer;
use crate::frontend::pending::Question;
use crate::frontend::session::{Session, fits, write_edited};
use crate::protocol::{Revision, Tasks, codes};
use crate::wire::outbox::render;
use crate::wire::{Body, Span, envelope, json};

/// More open questions than this are refused.
const MAX_QUESTIONS: usize = 1024;
/// What a server is told whose call was given up before its question was answered.
const CANCELLED: &[u8] = br#"{"code":-32603,"message":"the client has cancelled the call"}"#;

impl Session {
    /// Puts a question to the client, on the way of the call in whose middle it is asked, if there is one.
    pub(super) fn put(&self, ask: Ask<'_>, whose: Option<Ticket>) -> Result<(), NotAsked> {
        self.put_about(ask, whose, None)
    }

    /// The same for a question of a task of ours, which the client knows by this name.
    pub(super) fn put_about(
        &self,
        ask: Ask<'_>,
        whose: Option<Ticket>,
        task: Option<&str>,
    ) -> Result<(), NotAsked> {
        let out = whose.and_then(|ticket| self.outlet_of(ticket));
        let declared = self.introduction().capabilities;
        let own = self.revision().unwrap_or_else(Revision::newest_legacy);
        let raw = ask.params.map(|span| span.of(ask.line)).unwrap_or(b"{}");
        let elicitation = format!("switchboard-{}", self.hall.parked.next_question());
        // Between equal conversations, and where a model is asked in older words, which newer clients still know, only what may
        // be asked is looked at.
        let is_older = ask.kind == AskKind::Sampling && ask.revision.name <= own.name;
        let is_older = !ask.revision.is_modern() && (is_older || std::ptr::eq(ask.revision, own));
        let (from, to) = if is_older {
            (Revision::newest_legacy(), Revision::newest_legacy())
        } else {
            (ask.revision, own)
        };
        let translated = question::params(ask.kind, raw, from, to, &declared, &elicitation)?;
        let told = translated.as_deref().unwrap_or(raw);
        let task = match task {
            Some(name) => Some(bridge::tasks::relate(told, name)),
            None if bridge::tasks::related(told).is_some() => {
                self.hall.with_our_task(&ask.key.server, Tasks::Core, self.principal(), told)
            }
            None => None,
        };
        let translated = task.or(translated);
        let ask = match &translated {
            Some(text) => Ask { line: text, params: Some(Span { start: 0, end: text.len() }), ..ask },
            None => ask,
        };
        if ask.params.is_some_and(|params| !fits(params.len())) {
            return unacceptable(&format!("the question has more than {} MiB", MAX_MESSAGE >> 20));
        }
        let edits = Edits::of(&ask);
        let out = out.unwrap_or_else(|| self.out.clone());
        let number = {
            let mut state = self.state();
            if state.questions.len() >= MAX_QUESTIONS {
                return unacceptable("the client has too many open questions");
            }
            let number = state.next_question;
            state.next_question += 1;
            let question = Question {
                key: ask.key.clone(),
                asker: Arc::clone(&ask.asker),
                kind: ask.kind,
                revision: ask.revision,
                token: edits.token(&ask),
                whose,
                out: out.clone(),
            };
            state.questions.insert(number, question);
            number
        };
        let digits = number.to_string();
        let line = render(|out| {
            out.copy(br#"{"jsonrpc":"2.0","id":"#);
            out.copy(digits.as_bytes());
            out.copy(br#","method":""#);
            out.copy(ask.kind.method().as_bytes());
            out.copy(b"\"");
            if let Some(params) = ask.params {
                out.copy(br#","params":"#);
                write_edited(out, ask.line, params, &edits.sorted(&digits));
            }
            out.copy(b"}");
        });
        match &mut self.state().held {
            Some(held) => held.push((number, line)),
            None => out.push(|out| out.copy(&line)),
        }
        Ok(())
    }

    /// The client has said that it is ready, or shown it by a request: questions may come from now on (MCP "Lifecycle":
    /// no requests before `notifications/initialized`).
    pub(super) fn ready(&self) {
        let held = self.state().held.take();
        for (_, line) in held.unwrap_or_default() {
            self.out.push(|out| out.copy(&line));
        }
    }

    /// Takes a question back: the client need not answer any more.
    pub(super) fn take_back(&self, key: &AskKey, reason: &str) {
        if self.asks.withdraw(key) {
            return;
        }
        let mut state = self.state();
        let number =
            state.questions.iter().find(|(_, question)| question.key == *key).map(|(number, _)| *number);
        let Some(number) = number else { return };
        let Some(question) = state.questions.remove(&number) else { return };
        if let Some(held) = &mut state.held {
            // It was never put.
            return held.retain(|(waiting, _)| *waiting != number);
        }
        drop(state);
        withdraw(number, &question, reason);
    }

    /// The client has given up a request: what a server asked in the middle of it needs no answer any more, and the server is told
    /// that there will be none (MCP "Cancellation").
    pub(super) fn give_up_questions(&self, ticket: Ticket) {
        let questions: Vec<(u64, Question)> =
            self.state().questions.extract_if(|_, question| question.whose == Some(ticket)).collect();
        for (number, question) in questions {
            withdraw(number, &question, "the request that it belongs to was cancelled");
            let (text, is_result) = match question.kind {
                AskKind::Elicitation => (bridge::elicitation::CANCEL, true),
                AskKind::Sampling | AskKind::Roots => (CANCELLED, false),
            };
            let whole = Span { start: 0, end: text.len() };
            let body = if is_result { Body::Result(whole) } else { Body::Error(whole) };
            question.asker.answer(&question.key, &Bytes::from_static(text), body);
        }
    }

    /// The client has answered a question, or something that we never asked.
    pub(super) fn answered(&self, line: &Bytes, id: Option<Span>, body: Body) {
        let number = id.and_then(|span| envelope::own_id(span.of(line)));
        let question = number.and_then(|number| self.state().questions.remove(&number));
        match question {
            Some(question) => self.hand_in(&question, line, body),
            None => tracing::debug!("an answer of the client to no open question was dropped"),
        }
    }

    /// Hands an answer to the server that asked, in its revision.
    fn hand_in(&self, question: &Question, line: &Bytes, body: Body) {
        let same = self.revision().is_some_and(|own| std::ptr::eq(own, question.revision));
        let translated = match body {
            Body::Result(span) if !same => question::answer(question.kind, span.of(line), question.revision),
            Body::Result(_) | Body::Error(_) => Ok(None),
        };
        match translated {
            Ok(None) => question.asker.answer(&question.key, line, body),
            Ok(Some(text)) => {
                let whole = Span { start: 0, end: text.len() };
                question.asker.answer(&question.key, &text, Body::Result(whole));
            }
            Err(why) => {
                let text = Bytes::from(Answer::error(codes::INVALID_PARAMS, &why).parts().1.to_vec());
                let whole = Span { start: 0, end: text.len() };
                question.asker.answer(&question.key, &text, Body::Error(whole));
            }
        }
    }

    /// The client reports progress on a question: the server gets it under its own token.
    pub(super) fn question_progress(&self, line: &Bytes, params: Span) {
        let raw = params.of(line);
        let Some(token) = json::get(raw, "progressToken") else { return };
        let Some(number) = envelope::own_id(token.of(raw)) else { return };
        let found = self
            .state()
            .questions
            .get(&number)
            .map(|question| (question.key.clone(), Arc::clone(&question.asker), question.token.clone()));
        let Some((key, asker, Some(own))) = found else { return };
        let mut edited = crate::wire::Splice::new(raw);
        edited.replace(token, own);
        asker.progress(&key, &edited.to_bytes());
    }
}

/// Tells the client that a question needs no answer any more.
fn withdraw(number: u64, question: &Question, reason: &str) {
    question.out.push(|out| {
        out.copy(br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"#);
        out.copy(number.to_string().as_bytes());
        out.copy(br#","reason":"#);
        out.copy(&json::quote(reason));
        out.copy(b"}}");
    });
}

fn unacceptable(why: &str) -> Result<(), NotAsked> {
    Err(NotAsked::Unacceptable(why.to_owned()))
}

/// The places of a question that change on the way to the client.
struct Edits {
    /// Where the message begins, after its quote, and the name to put there.
    server: Option<(usize, Vec<u8>)>,
    /// Where the server's progress token stands.
    token: Option<Span>,
}

impl Edits {
    fn of(ask: &Ask<'_>) -> Self {
        let Some(params) = ask.params else { return Self { server: None, token: None } };
        let raw = params.of(ask.line);
        let token = json::get_path(raw, &["_meta", "progressToken"]).map(|span| span.shifted(params.start));
        let message = json::get(raw, "message").filter(|span| json::kind(span.of(raw)) == json::Kind::String);
        let server = (ask.kind == AskKind::Elicitation).then_some(message).flatten().map(|span| {
            let mut name = json::quote(&format!("[{}] ", ask.key.server));
            name.pop();
            name.remove(0);
            (params.start + span.start + 1, name)
        });
        Self { server, token }
    }

    fn token(&self, ask: &Ask<'_>) -> Option<Bytes> {
        self.token.map(|span| Bytes::copy_from_slice(span.of(ask.line)))
    }

    fn sorted<'a>(&'a self, number: &'a str) -> Vec<(Span, &'a [u8])> {
        let mut edits: Vec<(Span, &[u8])> = Vec::new();
        edits.extend(self.token.map(|span| (span, number.as_bytes())));
        edits.extend(self.server.as_ref().map(|(at, name)| (Span { start: *at, end: *at }, &name[..])));
        edits.sort_by_key(|(span, _)| span.start);
        edits
    }
}
