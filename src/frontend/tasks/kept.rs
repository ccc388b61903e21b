//! Tasks of ours: a call that a client wants, or takes, as a task, and whose server has tasks in another form.
//!
//! To the backend a kept task is a caller like any other, one that can wait: whatever has to be done for the answer, looking
//! after a task of the server included, is done there. What the client is told of it is written by the two faces beside this
//! file, [`core`](super::core) and [`extension`](super::extension).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;

use crate::bridge::tasks::Status;
use crate::bridge::{self, question};
use crate::call::{
    Ask, AskKey, AskKind, Asker, Caller, CallerId, ClientInfo, Introduction, NotAsked, Notice, Progress,
    Reply, Ticket,
};
use crate::failure::{Code, Failure};
use crate::frontend::MAX_MESSAGE;
use crate::frontend::answer::Answer;
use crate::frontend::hall::Hall;
use crate::frontend::modern::{own_result, server_info};
use crate::frontend::session::{Session, too_large};
use crate::frontend::tasks::question::Question;
use crate::names::ServerName;
use crate::pipeline::Lane;
use crate::protocol::{Level, Method, Revision};
use crate::wire::time::rfc3339;
use crate::wire::{Body, json};

/// A kept task has one call, and one name for it.
pub(super) const CALL: Ticket = Ticket(0);
/// More open questions than this are refused.
const MAX_QUESTIONS: usize = 64;

/// See the module.
pub(in crate::frontend) struct Kept {
    pub(super) id: CallerId,
    /// The client's name for it.
    pub(super) name: String,
    pub(super) hall: Arc<Hall>,
    pub(super) owner: Owner,
    /// The client's revision.
    pub(super) own: &'static Revision,
    /// What the client declared, in the words of its revision.
    pub(super) declared: Bytes,
    pub(super) principal: Option<Arc<str>>,
    pub(super) client: Option<Arc<ClientInfo>>,
    pub(super) lane: Lane,
    pub(super) rewrites: bool,
    pub(super) created: SystemTime,
    /// For how long it is kept, from its creation.
    pub(super) ttl: Duration,
    pub(super) state: Mutex<State>,
    pub(super) changed: watch::Sender<()>,
}

/// Whose it is.
pub(super) enum Owner {
    /// A session's.
    Session(Weak<Session>),
    /// Whoever knows its name.
    Bearer,
}

pub(super) struct State {
    /// What the call has said of itself, a JSON string.
    message: Option<Bytes>,
    updated: SystemTime,
    end: Option<End>,
    questions: Vec<Question>,
}

/// How it ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    Result(Bytes),
    Error(Bytes),
    Cancelled,
}

impl End {
    /// How many bytes are kept of it.
    pub(super) fn size(&self) -> usize {
        match self {
            End::Result(text) | End::Error(text) => text.len(),
            End::Cancelled => 0,
        }
    }
}

impl State {
    pub(super) fn new(now: SystemTime) -> Self {
        Self { message: None, updated: now, end: None, questions: Vec::new() }
    }
}

impl Kept {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn server(&self) -> &ServerName {
        self.lane.backend().name()
    }

    /// Makes a change, unless the task has ended, and tells of it.
    fn change(&self, change: impl FnOnce(&mut State)) -> bool {
        {
            let mut state = self.state();
            if state.end.is_some() {
                return false;
            }
            change(&mut state);
            state.updated = SystemTime::now();
        }
        self.changed.send_replace(());
        self.tell();
        true
    }

    fn finish(&self, end: End) -> bool {
        self.change(|state| {
            state.questions.clear();
            state.end = Some(end);
        })
    }

    pub(super) fn end(&self) -> Option<End> {
        self.state().end.clone()
    }

    /// Nobody wants the outcome any more. Whether it had not ended by itself.
    pub(super) fn cancel(&self, reason: &str) -> bool {
        let questions = std::mem::take(&mut self.state().questions);
        let cancelled = self.finish(End::Cancelled);
        if cancelled {
            self.lane.cancel(self.id, CALL, Some(reason));
        }
        // After that, so that no answer sends the call on its next round.
        questions.iter().for_each(Question::give_up);
        cancelled
    }

    /// The members that both forms have, but for those that are called differently; no braces.
    pub(super) fn members(&self, status: impl FnOnce(&State) -> Status) -> Vec<u8> {
        let state = self.state();
        let mut text = format!(
            r#""taskId":"{}","status":"{}","createdAt":"{}","lastUpdatedAt":"{}""#,
            self.name,
            status(&state).name(),
            rfc3339(self.created),
            rfc3339(state.updated)
        )
        .into_bytes();
        if let Some(message) = &state.message {
            text.extend_from_slice(br#","statusMessage":"#);
            text.extend_from_slice(message);
        }
        text
    }

    /// Takes what an open question waits for.
    pub(super) fn take_question(&self, chosen: impl Fn(&Question) -> bool) -> Option<Question> {
        let question = {
            let mut state = self.state();
            let place = state.questions.iter().position(chosen)?;
            state.questions.remove(place)
        };
        self.change(|_| {});
        Some(question)
    }

    /// The questions that a session has not been asked yet. From now on they count as asked.
    pub(super) fn unput(&self) -> Vec<(AskKey, AskKind, &'static Revision, Bytes)> {
        let mut state = self.state();
        let mut new = Vec::new();
        for asked in state.questions.iter_mut().filter(|asked| !asked.put) {
            asked.put = true;
            new.push((asked.key.clone(), asked.kind, asked.revision, asked.params.clone()));
        }
        new
    }

    fn is_modern(&self) -> bool {
        self.own.is_modern()
    }

    /// The client's words for what the server answered.
    fn outcome(&self, reply: &Reply<'_>) -> End {
        let (Body::Result(span) | Body::Error(span)) = reply.body;
        let raw = span.of(reply.line);
        if raw.len() > MAX_MESSAGE - 4096 {
            return self.failed(&too_large(Some(self.server()), raw.len()));
        }
        if matches!(reply.body, Body::Error(_)) {
            let ours = bridge::error::relay(Method::ToolsCall, raw, reply.revision, self.own, &self.declared);
            return End::Error(ours.unwrap_or_else(|| Bytes::copy_from_slice(raw)));
        }
        let rewritten =
            self.rewrites.then(|| self.hall.catalog()?.rewrite_result(self.server(), raw)).flatten();
        let result = rewritten.as_deref().unwrap_or(raw);
        let ours = if self.is_modern() {
            bridge::result::to_modern(Method::ToolsCall, result, reply.revision, &server_info(), None)
        } else {
            bridge::result::to_legacy(Method::ToolsCall, result, reply.revision, self.own)
        };
        match ours {
            Ok(ours) => End::Result(ours.unwrap_or_else(|| Bytes::copy_from_slice(result))),
            Err(_) => {
                let failure = Failure::new(Code::CallMalformed, "it answered with a result that is none");
                self.failed(&failure.of(self.server()))
            }
        }
    }

    fn failed(&self, failure: &Failure) -> End {
        let answer = Answer::failure(Method::ToolsCall, failure);
        let text = answer.parts().1;
        End::Result(match self.is_modern() {
            true => own_result(Method::ToolsCall, text),
            false => Bytes::copy_from_slice(text),
        })
    }
}

impl State {
    /// How far it is, in the words of the extension: a tool that says it failed has completed.
    pub(super) fn status(&self) -> Status {
        match &self.end {
            Some(End::Result(_)) => Status::Completed,
            Some(End::Error(_)) => Status::Failed,
            Some(End::Cancelled) => Status::Cancelled,
            None if self.questions.is_empty() => Status::Working,
            None => Status::InputRequired,
        }
    }

    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    pub(super) fn questions(&self) -> &[Question] {
        &self.questions
    }
}

impl Caller for Kept {
    fn id(&self) -> CallerId {
        self.id
    }

    /// Whatever the client's era: servers are asked as one who waits at the line asks, so that the answer is what comes.
    fn introduction(&self) -> Introduction {
        let revision = Revision::newest_legacy();
        let capabilities = match self.own == revision {
            true => self.declared.clone(),
            false => bridge::capabilities::for_server(&self.declared, self.own, revision, false),
        };
        Introduction { revision, capabilities }
    }

    fn principal(&self) -> Option<Arc<str>> {
        self.principal.clone()
    }

    fn profile(&self) -> Option<Arc<str>> {
        self.hall.profile_of(self.principal.as_deref())
    }

    /// Log messages belong to requests, and the request has been answered.
    fn client(&self) -> Option<Arc<ClientInfo>> {
        self.client.clone()
    }

    fn level(&self) -> Option<Level> {
        None
    }

    fn is_patient(&self) -> bool {
        true
    }

    fn reply(&self, _: Ticket, reply: Reply<'_>) {
        self.finish(self.outcome(&reply));
    }

    fn fail(&self, _: Ticket, failure: Failure) {
        self.finish(self.failed(&failure));
    }

    /// The extension forbids progress on tasks; what a message says of it is told in both forms.
    fn progress(&self, _: Ticket, progress: Progress<'_>) {
        let params = progress.notice.params.of(progress.notice.line);
        let message = json::get(params, "message").map(|span| span.of(params));
        if let Some(message) = message.filter(|text| json::kind(text) == json::Kind::String)
            && self.state().message.as_deref() != Some(message)
        {
            self.change(|state| state.message = Some(Bytes::copy_from_slice(message)));
        }
    }

    fn log(&self, _: Ticket, _: &ServerName, _: Notice<'_>) {}

    fn ask(&self, _: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        let raw = ask.params.map(|span| span.of(ask.line)).unwrap_or(b"{}");
        let name = format!("question-{}", self.hall.parked.next_question());
        let params = match self.owner {
            Owner::Bearer => {
                let told = question::params(ask.kind, raw, ask.revision, self.own, &self.declared, &name)?;
                let told = told.unwrap_or_else(|| Bytes::copy_from_slice(raw));
                super::extension::named(ask.kind, self.server(), &told).unwrap_or(told)
            }
            Owner::Session(_) => {
                bridge::capabilities::check(ask.kind, raw, &self.declared, self.own)?;
                Bytes::copy_from_slice(raw)
            }
        };
        let question = Question {
            key: ask.key,
            asker: ask.asker,
            kind: ask.kind,
            revision: ask.revision,
            params,
            name,
            put: false,
        };
        let (key, asker) = (question.key.clone(), Arc::clone(&question.asker));
        let mut fits = false;
        let is_open = self.change(|state| {
            fits = state.questions.len() < MAX_QUESTIONS;
            if fits {
                state.questions.push(question);
            }
        });
        match (is_open, fits) {
            (true, true) => {
                // Nobody knows when the client will look: the server may do other things meanwhile.
                asker.rests(&key);
                Ok(())
            }
            (true, false) => Err(NotAsked::Unacceptable("the client has too many open questions".to_owned())),
            (false, _) => Err(NotAsked::Unacceptable("the task that this belongs to is over".to_owned())),
        }
    }

    fn withdraw(&self, key: &AskKey, reason: &str) {
        let taken = self.take_question(|question| question.key == *key);
        if let (Some(Question { put: true, key, .. }), Owner::Session(session)) = (taken, &self.owner)
            && let Some(session) = session.upgrade()
        {
            session.take_back(&key, reason);
        }
    }
}

/// A session's answer to a question of the task.
impl Asker for Kept {
    fn answer(&self, key: &AskKey, line: &Bytes, body: Body) {
        if let Some(question) = self.take_question(|question| question.key == *key) {
            question.asker.answer(key, line, body);
        }
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("id", &self.id).field("server", self.server()).finish_non_exhaustive()
    }
}
