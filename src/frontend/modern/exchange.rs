//! One request of a modern client on its way through a server, over as many rounds as it takes.
//!
//! To the backend an exchange is a caller with one call. What the client sees of it depends on the server: a modern one asks
//! for input by its result, which is passed on sealed; a legacy one asks in the middle of its work, so its call is *parked*
//! here, the client gets an `input_required` of ours, and its retry wakes the call (MCP 2026-07-28, "Multi Round-Trip
//! Requests").

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;

use crate::bridge::{self, question};
use crate::call::{
    Ask, AskKey, AskKind, Asker, Call, Caller, CallerId, Introduction, NotAsked, Notice, Progress, Reply,
    Ticket, TokenPlace,
};
use crate::failure::{Code, Failure};
use crate::frontend::MAX_MESSAGE;
use crate::frontend::answer::Answer;
use crate::frontend::hall::Hall;
use crate::frontend::modern::scope::{Open, Responder};
use crate::frontend::modern::seal::{Bound, State as Sealed, digest};
use crate::frontend::modern::{rounds, server_info};
use crate::frontend::route::Way;
use crate::frontend::session::{fits, named_logger, too_large, write_edited};
use crate::names::ServerName;
use crate::protocol::{Level, Method, Revision, Tasks};
use crate::wire::{Body, LineWriter, Span, json};

/// Questions that come within this time of each other are put together.
const GATHER: Duration = Duration::from_millis(30);
/// More questions than this at once are refused.
const MAX_QUESTIONS: usize = 64;
/// So many bytes waiting, and log messages are dropped rather than put in front of answers.
const CROWDED: usize = 1 << 20;

/// See the module.
pub(super) struct Exchange {
    /// Itself: what it is called with is a reference, what it starts has to hold on to it.
    me: Weak<Exchange>,
    id: CallerId,
    hall: Arc<Hall>,
    method: Method,
    introduction: Introduction,
    level: Option<Level>,
    principal: Option<Arc<str>>,
    /// What is asked for, to know it again.
    digest: [u8; 32],
    backend: Arc<crate::backend::Backend>,
    rewrites: bool,
    limit: usize,
    state: Mutex<State>,
}

/// What a client says of itself and of how it wants to be served, in one request.
pub(super) struct Terms {
    pub(super) introduction: Introduction,
    pub(super) level: Option<Level>,
    pub(super) principal: Option<Arc<str>>,
}

/// The text of a request, as it goes to the server but for the names in it.
pub(super) struct Sent {
    /// The text that holds the params.
    pub(super) line: Bytes,
    pub(super) params: Span,
    /// Where the object `_meta` stands.
    pub(super) meta: Option<Span>,
}

/// An exchange has one call, and one name for it.
const CALL: Ticket = Ticket(0);

struct State {
    phase: Phase,
    /// What the server wants to know and has not been told.
    questions: Vec<Question>,
    /// What the server wanted to ask and the client does not take: a raw capabilities object.
    missing: Option<&'static [u8]>,
    /// How many `input_required` there were.
    round: u32,
    /// By which number its retry finds it.
    handle: Option<u128>,
}

enum Phase {
    /// The client waits for an answer.
    Open(Client),
    /// The client has been asked for input, and has not come back yet.
    Parked,
    /// The same, and the server has answered meanwhile.
    Answered(&'static str, Bytes),
    /// It is over.
    Closed,
}

/// The client, as long as it waits.
struct Client {
    responder: Responder,
    token: Option<Bytes>,
    /// Questions are being put together for it.
    gathers: bool,
}

struct Question {
    key: AskKey,
    asker: Arc<dyn Asker>,
    kind: AskKind,
    revision: &'static Revision,
    /// Its params for the client.
    params: Bytes,
    /// Its key among the `inputRequests`.
    name: String,
}

impl Exchange {
    /// Sends a request on its way. `params` may differ from those that came in: what belongs to a round has been looked at.
    pub(super) fn begin(
        hall: &Arc<Hall>,
        method: Method,
        terms: Terms,
        responder: Responder,
        request: Sent,
        way: Way,
    ) {
        let Sent { line, params, meta } = request;
        let token = match way.token {
            TokenPlace::Client(span) => Some(Bytes::copy_from_slice(span.of(&line))),
            TokenPlace::None | TokenPlace::Own { .. } => None,
        };
        let exchange = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            id: CallerId::fresh(),
            hall: Arc::clone(hall),
            method,
            introduction: terms.introduction,
            level: terms.level,
            principal: terms.principal,
            digest: digest(params.of(&line)),
            limit: way.backend.config().limits.result.unwrap_or(usize::MAX).min(MAX_MESSAGE - 4096),
            rewrites: way.rewrites,
            backend: Arc::clone(&way.backend),
            state: Mutex::new(State {
                phase: Phase::Closed,
                questions: Vec::new(),
                missing: None,
                round: 0,
                handle: None,
            }),
        });
        if !exchange.wait_on(responder, token) {
            return;
        }
        way.backend.call(Call {
            ticket: CALL,
            caller: Arc::clone(&exchange) as Arc<dyn Caller>,
            method,
            label: way.label,
            line,
            params: Some(params),
            target: way.target,
            meta,
            token: way.token,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the client of this responder waits. False if it has given up already.
    #[must_use]
    fn wait_on(&self, responder: Responder, token: Option<Bytes>) -> bool {
        let watched = Arc::new(Watch(Weak::clone(&self.me)));
        let mut state = self.state();
        let is_open = responder.watch(watched);
        if is_open {
            state.phase = Phase::Open(Client { responder, token, gathers: false });
        }
        is_open
    }

    /// What seals of this request are bound to.
    fn bound(&self) -> Bound<'_> {
        Bound { method: self.method, digest: self.digest, principal: self.principal.as_deref() }
    }

    fn server(&self) -> &ServerName {
        self.backend.name()
    }

    /// Takes the client if it waits. If it does not, the answer is kept for it, or nobody wants it.
    fn finish(&self, member: &'static str, text: Bytes) {
        let mut state = self.state();
        state.questions.clear();
        match std::mem::replace(&mut state.phase, Phase::Closed) {
            Phase::Open(client) => {
                let handle = state.handle.take();
                drop(state);
                if let Some(handle) = handle {
                    self.hall.parked.forget(handle);
                }
                let whole = Span { start: 0, end: text.len() };
                client.responder.relay(member, &text, whole);
            }
            Phase::Parked => state.phase = Phase::Answered(member, text),
            phase @ (Phase::Answered(..) | Phase::Closed) => state.phase = phase,
        }
    }

    fn finish_with(&self, answer: &Answer) {
        let (member, text) = answer.parts();
        let text =
            if member == "result" { own_result(self.method, text) } else { Bytes::copy_from_slice(text) };
        self.finish(member, text);
    }

    // === rounds of ours ===

    /// Asks the client for what the server wants to know.
    fn park(&self) {
        let mut state = self.state();
        let Phase::Open(client) = &mut state.phase else { return };
        client.gathers = false;
        if state.questions.is_empty() {
            return;
        }
        state.round += 1;
        let life = self.backend.config().timeouts.question;
        let (handle, is_new) = match state.handle {
            Some(handle) => (handle, false),
            None => match self.hall.seal.number() {
                Ok(handle) => (handle, true),
                Err(_) => return,
            },
        };
        let parked = Sealed::Parked { handle, round: state.round };
        let Ok(sealed) = self.hall.seal.seal(&parked, self.bound(), life) else { return };
        state.handle = Some(handle);
        let text = input_required(&state.questions, &sealed);
        let keys: Vec<(Arc<dyn Asker>, AskKey)> =
            state.questions.iter().map(|asked| (Arc::clone(&asked.asker), asked.key.clone())).collect();
        let Phase::Open(client) = std::mem::replace(&mut state.phase, Phase::Parked) else { return };
        let round = state.round;
        drop(state);
        if is_new {
            self.hall.parked.keep(handle, &self.me);
        }
        self.let_go_after(life, round);
        let whole = Span { start: 0, end: text.len() };
        client.responder.relay("result", &text, whole);
        for (asker, key) in keys {
            asker.rests(&key);
        }
    }

    /// Gives the call up if nobody comes back in time.
    fn let_go_after(&self, life: Duration, round: u32) {
        let (Some(exchange), ended) = (self.me.upgrade(), self.hall.ended.clone()) else { return };
        self.hall.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(life) => exchange.let_go(round),
                () = ended.cancelled() => {}
            }
        });
    }

    fn let_go(&self, round: u32) {
        let mut state = self.state();
        let is_waiting = matches!(state.phase, Phase::Parked | Phase::Answered(..));
        if state.round != round || !is_waiting {
            return;
        }
        tracing::info!(server = %self.server(), "a parked call was given up: nobody came back to answer");
        state.phase = Phase::Closed;
        let questions = std::mem::take(&mut state.questions);
        let handle = state.handle.take();
        drop(state);
        if let Some(handle) = handle {
            self.hall.parked.forget(handle);
        }
        self.backend.cancel(self.id, CALL, Some("nobody came back to answer the server's question"));
        // After that, so that the answer need not wait for the call's turn: it only closes the question.
        questions.iter().for_each(Question::give_up);
    }

    /// The client has come back to a parked call.
    ///
    /// # Errors
    /// It was answered before, or is over: the responder is given back.
    pub(super) fn resume(
        &self,
        round: u32,
        responder: Responder,
        token: Option<Bytes>,
        responses: Option<&[u8]>,
    ) -> Result<(), Responder> {
        let mut state = self.state();
        if state.round != round {
            return Err(responder);
        }
        match std::mem::replace(&mut state.phase, Phase::Closed) {
            Phase::Answered(member, text) => {
                let handle = state.handle.take();
                drop(state);
                if let Some(handle) = handle {
                    self.hall.parked.forget(handle);
                }
                let whole = Span { start: 0, end: text.len() };
                responder.relay(member, &text, whole);
                return Ok(());
            }
            Phase::Parked => {}
            phase @ (Phase::Open(_) | Phase::Closed) => {
                state.phase = phase;
                return Err(responder);
            }
        }
        // A second retry with the same state meets another round.
        state.round += 1;
        let (answered, left) = sort_out(std::mem::take(&mut state.questions), responses);
        state.questions = left;
        let asks_again = !state.questions.is_empty();
        drop(state);
        if !self.wait_on(responder, token) {
            self.backend.cancel(self.id, CALL, Some("the client has given up"));
            return Ok(());
        }
        for (question, answer) in answered {
            question.deliver(&answer);
        }
        // What was left out is asked for once more.
        if asks_again {
            self.park();
        }
        Ok(())
    }
}

impl Question {
    fn deliver(&self, answer: &[u8]) {
        let (member, text) = match question::answer(self.kind, answer, self.revision) {
            Ok(None) => ("result", Bytes::copy_from_slice(answer)),
            Ok(Some(text)) => ("result", text),
            Err(why) => ("error", error_object(crate::protocol::codes::INVALID_PARAMS, &why)),
        };
        self.send(member, &text);
    }

    fn give_up(&self) {
        match self.kind {
            AskKind::Elicitation => {
                self.send("result", &Bytes::from_static(bridge::elicitation::CANCEL));
            }
            AskKind::Sampling | AskKind::Roots => {
                let text = error_object(crate::protocol::codes::INTERNAL_ERROR, "the client did not answer");
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
fn sort_out(questions: Vec<Question>, responses: Option<&[u8]>) -> (Vec<(Question, Bytes)>, Vec<Question>) {
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

/// A result of ours, as the modern era has results.
pub(in crate::frontend) fn own_result(method: Method, text: &[u8]) -> Bytes {
    let ours = bridge::result::to_modern(method, text, Revision::newest_legacy(), &server_info(), None);
    ours.ok().flatten().unwrap_or_else(|| Bytes::copy_from_slice(text))
}

fn input_required(questions: &[Question], sealed: &str) -> Bytes {
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

/// Whoever gives up the client's request gives up the call.
struct Watch(Weak<Exchange>);

impl Open for Watch {
    fn cancelled(&self, reason: Option<&str>) {
        let Some(exchange) = self.0.upgrade() else { return };
        let mut state = exchange.state();
        if !matches!(state.phase, Phase::Open(_)) {
            return;
        }
        state.phase = Phase::Closed;
        let questions = std::mem::take(&mut state.questions);
        let handle = state.handle.take();
        drop(state);
        if let Some(handle) = handle {
            exchange.hall.parked.forget(handle);
        }
        exchange.backend.cancel(exchange.id, CALL, reason);
        questions.iter().for_each(Question::give_up);
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("id", &self.id)
            .field("server", self.server())
            .finish_non_exhaustive()
    }
}

impl Caller for Exchange {
    fn id(&self) -> CallerId {
        self.id
    }

    fn introduction(&self) -> Introduction {
        self.introduction.clone()
    }

    fn level(&self) -> Option<Level> {
        self.level
    }

    fn reply(&self, _: Ticket, reply: Reply<'_>) {
        match reply.body {
            Body::Result(span) => self.result(span.of(reply.line), reply.revision),
            Body::Error(span) => self.error(span.of(reply.line), reply.revision),
        }
    }

    fn fail(&self, _: Ticket, failure: Failure) {
        self.finish_with(&Answer::failure(self.method, &failure));
    }

    fn progress(&self, _: Ticket, progress: Progress<'_>) {
        let Progress { notice, token, .. } = progress;
        let state = self.state();
        // The servers of many wait for nobody who does not read.
        if let Phase::Open(Client { responder, token: Some(own), .. }) = &state.phase
            && (self.hall.is_sole() || responder.waiting() <= CROWDED)
        {
            send_notice(responder, "notifications/progress", &notice, &[(token, own)]);
        }
    }

    fn log(&self, _: Ticket, server: &ServerName, notice: Notice<'_>) {
        let Some(wanted) = self.level else { return };
        let params = notice.params.of(notice.line);
        let level = json::get(params, "level").and_then(|span| json::string(span.of(params)));
        if level.as_deref().and_then(Level::parse).is_some_and(|level| level < wanted) {
            return;
        }
        let state = self.state();
        if let Phase::Open(client) = &state.phase
            && client.responder.waiting() <= CROWDED
        {
            let (place, name) = named_logger(server, &notice);
            send_notice(&client.responder, "notifications/message", &notice, &[(place, &name)]);
        }
    }

    fn ask(&self, _: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        let raw = ask.params.map(|span| span.of(ask.line)).unwrap_or(b"{}");
        let own = Revision::newest_modern();
        let declared = &self.introduction.capabilities;
        if let Err(refusal) = bridge::capabilities::check(ask.kind, raw, declared, own) {
            self.state().missing = Some(bridge::capabilities::required(ask.kind, raw));
            return Err(refusal);
        }
        let translated = question::params(ask.kind, raw, ask.revision, own, declared, "")?;
        let params = translated.unwrap_or_else(|| Bytes::copy_from_slice(raw));
        let params = rounds::name_server(ask.kind, self.server(), &params).unwrap_or(params);
        if !fits(params.len()) {
            return Err(NotAsked::Unacceptable(format!(
                "the question has more than {} MiB",
                MAX_MESSAGE >> 20
            )));
        }
        let mut state = self.state();
        if state.questions.len() >= MAX_QUESTIONS {
            return Err(NotAsked::Unacceptable("the client has too many open questions".to_owned()));
        }
        let gathers = match &mut state.phase {
            Phase::Open(client) => std::mem::replace(&mut client.gathers, true),
            // It is put when the client comes back with the answers to the others.
            Phase::Parked => true,
            Phase::Answered(..) | Phase::Closed => {
                return Err(NotAsked::Unacceptable("the call that this belongs to is over".to_owned()));
            }
        };
        let name = format!("question-{}", self.hall.parked.next_question());
        state.questions.push(Question {
            key: ask.key.clone(),
            asker: Arc::clone(&ask.asker),
            kind: ask.kind,
            revision: ask.revision,
            params,
            name,
        });
        drop(state);
        if !gathers && let Some(exchange) = self.me.upgrade() {
            self.hall.tasks.spawn(async move {
                tokio::time::sleep(GATHER).await;
                exchange.park();
            });
        }
        Ok(())
    }

    fn withdraw(&self, key: &AskKey, _: &str) {
        self.state().questions.retain(|question| question.key != *key);
    }
}

impl Exchange {
    fn result(&self, result: &[u8], from: &'static Revision) {
        if is_error(result) && self.lacks_capability() {
            return;
        }
        let rewritten =
            self.rewrites.then(|| self.hall.catalog()?.rewrite_result(self.server(), result)).flatten();
        let result = rewritten.as_deref().unwrap_or(result);
        if result.len() > self.limit {
            let failure = too_large(Some(self.server()), result.len());
            return self.finish_with(&Answer::failure(self.method, &failure));
        }
        let ours = match bridge::result::to_modern(self.method, result, from, &server_info(), None) {
            Ok(ours) => ours.unwrap_or_else(|| Bytes::copy_from_slice(result)),
            Err(bridge::result::NotFinal::InputRequired) if bridge::result::may_need_input(self.method) => {
                let seal = |state: &Sealed| {
                    self.hall.seal.seal(state, self.bound(), self.backend.config().timeouts.question).ok()
                };
                match rounds::relayed(result, self.server(), seal) {
                    Some(ours) => ours,
                    None => {
                        return self.malformed("asks for input in a way that is not in the specification");
                    }
                }
            }
            Err(bridge::result::NotFinal::InputRequired) => {
                return self.malformed("asks for input where the specification does not allow it");
            }
            Err(bridge::result::NotFinal::Task) => {
                let takes = bridge::capabilities::takes_tasks(&self.introduction.capabilities);
                match self.with_our_task(result).filter(|_| takes) {
                    Some(ours) => bridge::result::as_ours(&ours, &server_info()).unwrap_or(ours),
                    None => return self.malformed("is a task that nobody asked for"),
                }
            }
            Err(bridge::result::NotFinal::Unknown(kind)) => {
                return self.malformed(&format!("has the unknown `resultType` {kind}"));
            }
        };
        let task = matches!(self.method, Method::Task(_)).then(|| self.with_our_task(&ours)).flatten();
        self.finish("result", task.unwrap_or(ours));
    }

    fn with_our_task(&self, result: &[u8]) -> Option<Bytes> {
        self.hall.with_our_task(self.server(), Tasks::Extension, self.principal.as_deref(), result)
    }

    fn malformed(&self, what: &str) {
        let failure = Failure::new(Code::CallMalformed, format!("its result {what}"));
        self.finish_with(&Answer::failure(self.method, &failure.of(self.server())));
    }

    /// Says what the client would have to declare, if the server failed for want of that. A server that helped itself
    /// otherwise has not failed.
    fn lacks_capability(&self) -> bool {
        let Some(missing) = self.state().missing else { return false };
        let text = format!("`{}` needs to ask the client something that it did not declare", self.server());
        self.finish("error", bridge::error::missing_client_capability(&text, missing).into());
        true
    }

    fn error(&self, error: &[u8], from: &'static Revision) {
        if self.lacks_capability() {
            return;
        }
        if !fits(error.len()) {
            let failure = too_large(Some(self.server()), error.len());
            return self.finish_with(&Answer::failure(self.method, &failure));
        }
        if let Some(urls) = rounds::required_urls(error, from, &self.introduction.capabilities, self.server())
        {
            let life = self.backend.config().timeouts.question;
            if let Ok(sealed) = self.hall.seal.seal(&Sealed::Again, self.bound(), life) {
                return self.finish("result", rounds::with_state(&urls, &sealed));
            }
        }
        // The server was told what this client declared, so what it misses the client lacks.
        if bridge::error::recognise(error, from) == Some(bridge::error::HopLocal::MissingClientCapability) {
            return self.finish("error", Bytes::copy_from_slice(error));
        }
        let own = Revision::newest_modern();
        let ours = bridge::error::relay(self.method, error, from, own, &self.introduction.capabilities);
        self.finish("error", ours.unwrap_or_else(|| Bytes::copy_from_slice(error)));
    }
}

fn is_error(result: &[u8]) -> bool {
    json::get(result, "isError").is_some_and(|span| span.of(result) == b"true")
}

fn send_notice(responder: &Responder, method: &str, notice: &Notice<'_>, edits: &[(Span, &[u8])]) {
    if !fits(notice.params.len()) {
        return tracing::warn!(
            method,
            size = notice.params.len(),
            "a notification over the limit was dropped"
        );
    }
    responder.send(|out: &mut LineWriter<'_>| {
        out.copy(br#"{"jsonrpc":"2.0","method":""#);
        out.copy(method.as_bytes());
        out.copy(br#"","params":"#);
        write_edited(out, notice.line, notice.params, edits);
        out.copy(b"}");
    });
}
