//! What is said in the middle of a call, without secrets: progress, log messages, questions and their answers.

use std::sync::Arc;

use bytes::Bytes;

use super::Hidden;
use crate::call::{Ask, AskKey, Asker, Between, Caller, NotAsked, Notice, Progress, Ticket};
use crate::names::ServerName;
use crate::wire::{Body, Span, json};

/// The client of a call, behind what is hidden from it and from its server.
#[derive(Debug)]
pub(super) struct Veil {
    pub(super) client: Arc<dyn Caller>,
    pub(super) hidden: Arc<Hidden>,
    /// Whether secrets are hidden from the server.
    pub(super) arguments: bool,
    /// Whether they are hidden from the client.
    pub(super) results: bool,
}

impl Veil {
    /// What the client hears instead; `None` if it may hear all of it.
    fn told(&self, line: &Bytes, span: Span) -> Option<Bytes> {
        self.results.then(|| self.hidden.changed(span.of(line))).flatten()
    }
}

impl Between for Veil {
    fn client(&self) -> &Arc<dyn Caller> {
        &self.client
    }

    fn progress(&self, ticket: Ticket, progress: Progress<'_>) {
        let told = self.told(progress.notice.line, progress.notice.params);
        // The token is ours, a number; it stands somewhere else now.
        let place = told.as_ref().and_then(|told| Some((told, json::get(told, "progressToken")?)));
        let progress = match place {
            Some((line, token)) => {
                Progress { notice: Notice { line, params: whole(line) }, token, ..progress }
            }
            None => progress,
        };
        self.client.progress(ticket, progress);
    }

    fn log(&self, ticket: Ticket, server: &ServerName, notice: Notice<'_>) {
        match self.told(notice.line, notice.params) {
            Some(told) => self.client.log(ticket, server, Notice { line: &told, params: whole(&told) }),
            None => self.client.log(ticket, server, notice),
        }
    }

    fn ask(&self, ticket: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        let asker: Arc<dyn Asker> = match self.arguments {
            true => Arc::new(Answered { asker: Arc::clone(&ask.asker), hidden: Arc::clone(&self.hidden) }),
            false => Arc::clone(&ask.asker),
        };
        match ask.params.and_then(|params| self.told(ask.line, params)) {
            Some(told) => {
                self.client.ask(ticket, Ask { asker, line: &told, params: Some(whole(&told)), ..ask })
            }
            None => self.client.ask(ticket, Ask { asker, ..ask }),
        }
    }
}

/// The server that has asked.
#[derive(Debug)]
struct Answered {
    asker: Arc<dyn Asker>,
    hidden: Arc<Hidden>,
}

impl Asker for Answered {
    fn answer(&self, key: &AskKey, line: &Bytes, body: Body) {
        let (Body::Result(span) | Body::Error(span)) = body;
        let Some(told) = self.hidden.changed(span.of(line)) else {
            return self.asker.answer(key, line, body);
        };
        let body = match body {
            Body::Result(_) => Body::Result(whole(&told)),
            Body::Error(_) => Body::Error(whole(&told)),
        };
        self.asker.answer(key, &told, body);
    }

    fn progress(&self, key: &AskKey, params: &[u8]) {
        self.asker.progress(key, params);
    }

    fn rests(&self, key: &AskKey) {
        self.asker.rests(key);
    }
}

fn whole(text: &Bytes) -> Span {
    Span { start: 0, end: text.len() }
}
