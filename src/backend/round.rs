//! A call that a modern server answers with questions, for a client that expects an answer (MCP 2026-07-28, "Multi
//! Round-Trip Requests").
//!
//! The client's request stays open here. Each question is put to the client as the request that such clients know; when all are
//! answered, the call is sent again with the answers and the server's state, and whatever comes of that is the answer, or
//! the next round. Between two rounds the call is in nobody's table but [`Rounds`]: it can be cancelled there, and it
//! survives a restart of the server, which has to know nothing of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::backend::link::Past;
use crate::backend::words::Words;
use crate::backend::{Backend, show_duration};
use crate::bridge::{capabilities, input_required};
use crate::call::{Ask, AskKey, Asker, Call, CallerId, NotAsked, Ticket, TokenPlace};
use crate::failure::{Code, Failure};
use crate::protocol::Revision;
use crate::protocol::meta::PROGRESS_TOKEN;
use crate::wire::{Body, Id, Span, json};

/// A server that asks more often than this over one call goes round in circles.
const MAX_ROUNDS: u32 = 10;
/// The same for rounds in which it asks nothing and only wants to be called again.
const MAX_IDLE_ROUNDS: u32 = 3;
/// The pause before a call is sent again that the server only wants to have sent again.
const IDLE_PAUSE: Duration = Duration::from_millis(250);

/// The calls whose clients are being asked.
#[derive(Default)]
pub(super) struct Rounds(Mutex<Vec<Arc<Round>>>);

/// See the module.
pub(super) struct Round {
    backend: Arc<Backend>,
    /// The call as it came.
    call: Call,
    /// Its parameters in the words of the server, without what we say of ourselves.
    params: Bytes,
    /// The server's revision.
    revision: &'static Revision,
    /// When its first answer came: all rounds together take no longer than `timeouts.total`.
    since: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rounds: u32,
    idle_rounds: u32,
    /// What is asked in this round.
    questions: Vec<Question>,
    /// What the server wants to have back, raw.
    request_state: Option<Bytes>,
    /// Ends this round in time, or begins the next.
    timer: Option<AbortHandle>,
    /// How far progress had come before the call was sent the last time.
    progress: f64,
    /// Whether it is our turn; else the call is at the server, or over.
    is_asking: bool,
}

struct Question {
    key: AskKey,
    /// The server's key for it, with quotes.
    name: Bytes,
    answer: Option<Bytes>,
}

impl Rounds {
    fn all(&self) -> MutexGuard<'_, Vec<Arc<Round>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls wait for their clients here.
    pub(super) fn count(&self) -> usize {
        self.all().len()
    }

    fn forget(&self, round: &Round) {
        self.all().retain(|known| !std::ptr::eq(&**known, round));
    }

    /// The client no longer wants the answer. Whether the call was here.
    pub(super) fn cancel(&self, caller: CallerId, ticket: Ticket) -> bool {
        let found = |round: &Arc<Round>| round.call.ticket == ticket && round.call.caller.id() == caller;
        let round = self.all().iter().find(|round| found(round)).cloned();
        round.is_some_and(|round| round.end("the call was cancelled").is_some())
    }

    /// We are ending.
    pub(super) fn fail_all(&self, failure: &Failure) {
        let all: Vec<Arc<Round>> = self.all().drain(..).collect();
        all.iter().for_each(|round| round.give_up(failure.clone()));
    }
}

impl Round {
    /// A call whose first answer is a question.
    pub(super) fn new(backend: &Arc<Backend>, call: Call, revision: &'static Revision) -> Arc<Self> {
        let from = call.caller.introduction().revision;
        let params = Words::new(revision).plain(&call, from).unwrap_or_else(|| Bytes::from_static(b"{}"));
        Arc::new(Self {
            backend: Arc::clone(backend),
            call,
            params,
            revision,
            since: Instant::now(),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call as it came.
    pub(super) fn first(&self) -> &Call {
        &self.call
    }

    /// How far progress has come in earlier rounds: what comes now is counted from there.
    pub(super) fn progress(&self) -> f64 {
        self.state().progress
    }

    /// The server has answered with questions. `reached` is the progress that it reported meanwhile.
    pub(super) fn asked(self: &Arc<Self>, generation: u64, result: &Bytes, reached: f64) {
        let read = match input_required::read(result) {
            Ok(read) => read,
            Err(why) => return self.fail(self.failure(Code::CallMalformed, &why)),
        };
        let introduction = self.call.caller.introduction();
        for asked in &read.requests {
            let params = asked.params.map(|span| span.of(result)).unwrap_or_default();
            let check =
                capabilities::check(asked.kind, params, &introduction.capabilities, introduction.revision);
            if let Err(why) = check {
                return self.fail(self.cannot_ask(why));
            }
        }
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let key = |index: usize| {
            let id = Id::new(format!("\"round-{number}-{index}\"").as_bytes())?;
            Some(AskKey { server: self.backend.name().clone(), generation, id })
        };
        let keys: Vec<AskKey> = (0..read.requests.len()).filter_map(key).collect();
        let round = {
            let mut state = self.state();
            state.rounds += 1;
            state.idle_rounds = if read.requests.is_empty() { state.idle_rounds + 1 } else { 0 };
            state.request_state = read.request_state.map(|span| Bytes::copy_from_slice(span.of(result)));
            state.progress += reached.max(0.0);
            state.is_asking = true;
            let question = |(asked, key): (&input_required::InputRequest, &AskKey)| Question {
                key: key.clone(),
                name: Bytes::copy_from_slice(asked.key.of(result)),
                answer: None,
            };
            state.questions = read.requests.iter().zip(&keys).map(question).collect();
            state.rounds
        };
        self.backend.rounds.all().push(Arc::clone(self));
        if round > MAX_ROUNDS || self.state().idle_rounds > MAX_IDLE_ROUNDS {
            let cause = format!("it answered `{}` with more questions {round} times", self.call.label);
            return self.give_up(self.failure(Code::CallMalformed, &cause));
        }
        if read.requests.is_empty() {
            return self.after(IDLE_PAUSE, |round| round.send_again());
        }
        let timeouts = &self.backend.config().timeouts;
        let left = timeouts.total.saturating_sub(self.since.elapsed());
        let (patience, what, key) = match left < timeouts.question {
            true => (left, show_duration(timeouts.total), "total"),
            false => (timeouts.question, show_duration(timeouts.question), "question"),
        };
        self.after(patience, move |round| {
            let cause =
                format!("`{}` waited {what} for answers of the user (`timeouts.{key}`)", round.call.label);
            round.give_up(round.failure(Code::BridgeExpired, &cause));
        });
        for (asked, key) in read.requests.iter().zip(keys) {
            if !self.state().is_asking {
                return;
            }
            let ask = Ask {
                key,
                asker: Arc::clone(self) as Arc<dyn Asker>,
                revision: self.revision,
                kind: asked.kind,
                line: result,
                params: asked.params,
            };
            if let Err(why) = self.call.caller.ask(self.call.ticket, ask) {
                return self.give_up(self.cannot_ask(why));
            }
        }
    }

    fn after(self: &Arc<Self>, pause: Duration, then: impl FnOnce(Arc<Self>) + Send + 'static) {
        let round = Arc::clone(self);
        let timer = tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            then(round);
        });
        self.state().timer = Some(timer.abort_handle());
    }

    fn failure(&self, code: Code, cause: &str) -> Failure {
        Failure::new(code, cause).of(self.backend.name())
    }

    fn cannot_ask(&self, why: NotAsked) -> Failure {
        let (NotAsked::Unsupported(why) | NotAsked::Unacceptable(why)) = why;
        self.failure(Code::BridgeUnsupported, &format!("`{}` needs input: {why}", self.call.label))
    }

    /// Ends our turn. `None` if it was not ours.
    fn end(&self, why: &str) -> Option<()> {
        let mut state = self.state();
        if !std::mem::take(&mut state.is_asking) {
            return None;
        }
        let questions = std::mem::take(&mut state.questions);
        let timer = state.timer.take();
        drop(state);
        self.backend.rounds.forget(self);
        for question in questions.into_iter().filter(|question| question.answer.is_none()) {
            self.call.caller.withdraw(&question.key, why);
        }
        // Last: it may be the timer that runs this.
        timer.inspect(AbortHandle::abort);
        Some(())
    }

    /// Fails the call, if it is still our turn.
    fn give_up(&self, failure: Failure) {
        if self.end("the call has failed").is_some() {
            self.fail(failure);
        }
    }

    fn fail(&self, failure: Failure) {
        self.backend.tally(|tallies| tallies.failures += 1);
        self.call.caller.fail(self.call.ticket, failure);
    }

    /// Sends the call with the answers.
    fn send_again(self: Arc<Self>) {
        let mut state = self.state();
        if !std::mem::take(&mut state.is_asking) {
            return;
        }
        let questions = std::mem::take(&mut state.questions);
        let (request_state, timer) = (state.request_state.take(), state.timer.take());
        drop(state);
        self.backend.rounds.forget(&self);
        timer.inspect(AbortHandle::abort);
        let answers = questions
            .iter()
            .filter_map(|question| Some((&question.name[..], &question.answer.as_ref()?[..])));
        let responses = (!questions.is_empty()).then(|| input_required::write_responses(answers));
        let params = input_required::retry(&self.params, responses.as_deref(), request_state.as_deref());
        let line = params.unwrap_or_else(|| self.params.clone());
        let token = match self.call.token {
            // The place is what matters least: a request to a modern server is written anew.
            TokenPlace::Client(_) => {
                json::get_path(&line, &["_meta", PROGRESS_TOKEN]).map_or(TokenPlace::None, TokenPlace::Client)
            }
            other => other,
        };
        let call = Call {
            params: Some(Span { start: 0, end: line.len() }),
            target: None,
            meta: json::get(&line, "_meta"),
            token,
            line,
            ..self.call.clone()
        };
        let backend = Arc::clone(&self.backend);
        backend.submit(call, Past { again: false, round: Some(self) });
    }
}

impl Asker for Round {
    fn answer(&self, key: &AskKey, line: &Bytes, body: Body) {
        let span = match body {
            Body::Result(span) => span,
            Body::Error(span) => {
                let error = span.of(line);
                let message = json::get(error, "message").and_then(|place| json::string(place.of(error)));
                let cause = format!(
                    "`{}` needs input, and the client answered with an error: {}",
                    self.call.label,
                    message.as_deref().unwrap_or("no message")
                );
                {
                    let mut state = self.state();
                    let Some(place) = state.questions.iter().position(|question| question.key == *key) else {
                        return;
                    };
                    state.questions.remove(place);
                }
                return self.give_up(self.failure(Code::CallNotSupported, &cause));
            }
        };
        let mut state = self.state();
        let Some(question) = state.questions.iter_mut().find(|question| question.key == *key) else { return };
        question.answer = Some(Bytes::copy_from_slice(span.of(line)));
        let is_done = state.questions.iter().all(|question| question.answer.is_some());
        drop(state);
        if is_done {
            let all = self.backend.rounds.all();
            let round = all.iter().find(|round| std::ptr::eq(&***round, self)).cloned();
            drop(all);
            if let Some(round) = round {
                round.send_again();
            }
        }
    }
}

impl std::fmt::Debug for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Round").field("call", &self.call.label).finish_non_exhaustive()
    }
}
