//! Calls that a server goes on with after its answer, for clients that expect the answer itself.
//!
//! Two forms (see [`bridge::tasks`](crate::bridge::tasks)): the extension of the modern era, where a server decides that a call
//! becomes a task, if it may (SEP-2663); and the core of 2025-11-25, where some tools can be called in no other way. Either
//! way the client's request stays open, and we look after the task until it has come to its end: its questions are put to the
//! client, what it says of itself becomes progress, and a client that cancels the call cancels the task.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::backend::{Backend, show_duration};
use crate::bridge::tasks::{self, Status, Task};
use crate::bridge::{capabilities, input_required, meta};
use crate::call::{
    Ask, AskKey, Asker, Call, CallerId, NotAsked, Notice, Progress, Reply, Ticket, TokenPlace,
};
use crate::failure::{Code, Failure};
use crate::protocol::meta::RELATED_TASK;
use crate::protocol::{Revision, Tasks};
use crate::wire::{Body, Id, Span, Splice, json};

/// How often a task is looked at if its server does not say.
const POLL: Duration = Duration::from_secs(1);
const SHORTEST_POLL: Duration = Duration::from_millis(20);
const LONGEST_POLL: Duration = Duration::from_secs(60);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(30);
/// A server that cannot be reached is looked for so many times before its task counts as lost.
const MAX_MISSES: u32 = 5;

/// The tasks that are looked after.
#[derive(Default)]
pub(super) struct Errands(Mutex<Vec<Arc<Errand>>>);

/// One call that has become a task.
pub(super) struct Errand {
    backend: Arc<Backend>,
    call: Call,
    /// The server's id for the task.
    id: String,
    revision: &'static Revision,
    generation: u64,
    /// What the client has been asked and has not answered: our key, and the server's with quotes.
    open: Mutex<Vec<(AskKey, Bytes)>>,
    answers: mpsc::UnboundedSender<Answered>,
    /// Whether the client no longer wants the answer.
    given_up: Notify,
}

/// An answer of the client, under the server's key; or what its error says.
struct Answered {
    name: Bytes,
    answer: Result<Bytes, String>,
}

impl Errands {
    fn all(&self) -> MutexGuard<'_, Vec<Arc<Errand>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all().len()
    }

    fn take(&self, errand: &Errand) -> Option<Arc<Errand>> {
        let mut all = self.all();
        let place = all.iter().position(|known| std::ptr::eq(&**known, errand))?;
        Some(all.swap_remove(place))
    }

    /// The client no longer wants the answer. Whether the call was here.
    pub(super) fn cancel(&self, caller: CallerId, ticket: Ticket) -> bool {
        let mut all = self.all();
        let is_it = |errand: &Arc<Errand>| errand.call.ticket == ticket && errand.call.caller.id() == caller;
        let Some(place) = all.iter().position(is_it) else { return false };
        all.swap_remove(place).given_up.notify_one();
        true
    }

    /// We are ending.
    pub(super) fn fail_all(&self, failure: &Failure) {
        let all: Vec<Arc<Errand>> = self.all().drain(..).collect();
        for errand in all {
            errand.given_up.notify_one();
            errand.call.caller.fail(errand.call.ticket, failure.clone());
        }
    }

    /// The one whose task a server's question names.
    pub(super) fn of_task(&self, id: &str) -> Option<Arc<Errand>> {
        self.all().iter().find(|errand| errand.id == id).cloned()
    }
}

impl Errand {
    /// Looks after the task that `created` tells of, which is what the call was answered with.
    pub(super) fn begin(
        backend: &Arc<Backend>,
        call: Call,
        created: &[u8],
        revision: &'static Revision,
        generation: u64,
    ) {
        let task = match tasks::read(created) {
            Ok(task) => task,
            Err(why) => {
                let failure = Failure::new(Code::CallMalformed, why).of(backend.name());
                backend.tally(|tallies| tallies.failures += 1);
                return call.caller.fail(call.ticket, failure);
            }
        };
        let (answers, answered) = mpsc::unbounded_channel();
        let errand = Arc::new(Self {
            backend: Arc::clone(backend),
            call,
            id: task.id.clone(),
            revision,
            generation,
            open: Mutex::default(),
            answers,
            given_up: Notify::new(),
        });
        backend.errands.all().push(Arc::clone(&errand));
        let told = Bytes::copy_from_slice(created);
        tokio::spawn(errand.run(task, told, answered));
    }

    /// The call that has become the task.
    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    async fn run(
        self: Arc<Self>,
        mut task: Task,
        mut told: Bytes,
        mut answered: mpsc::UnboundedReceiver<Answered>,
    ) {
        let timeouts = self.backend.config().timeouts;
        let too_late = Instant::now() + timeouts.total;
        let mut asked: HashSet<Bytes> = HashSet::new();
        let mut asked_since: Option<Instant> = None;
        let mut said = Said::default();
        let mut misses = 0;
        loop {
            if let Some(message) = task.status_message.filter(|_| task.status == Status::Working) {
                said.pass(&self.call, message.of(&told), self.revision);
            }
            match (task.status, self.revision.tasks) {
                (Status::Working, _) => {}
                (Status::Cancelled, _) => {
                    return self.fail(Code::CallOutcomeUnknown, "the server cancelled it");
                }
                // The core tells the end, and puts its questions, to whoever waits for the result.
                (_, Tasks::Core) => return self.wait_for_result(too_late).await,
                (Status::Completed, _) => match task.result {
                    Some(result) => return self.finish(&told, Body::Result(result)),
                    None => return self.fail(Code::CallMalformed, "a completed task has no `result`"),
                },
                (Status::Failed, _) => match task.error {
                    Some(error) => return self.finish(&told, Body::Error(error)),
                    None => return self.fail(Code::CallMalformed, "a failed task has no `error`"),
                },
                (Status::InputRequired, _) => match self.put(&told, &task, &mut asked) {
                    Ok(()) => {}
                    Err((code, why)) => return self.fail_at_server(code, &why).await,
                },
            }
            let waits_for_user = !self.open().is_empty();
            asked_since = waits_for_user.then(|| asked_since.unwrap_or_else(Instant::now));
            let question_ends = asked_since.map_or(too_late, |since| since + timeouts.question);
            let pause = task.poll_interval_ms.map_or(POLL, Duration::from_millis);
            let look_at = Instant::now() + pause.clamp(SHORTEST_POLL, LONGEST_POLL);
            tokio::select! {
                () = self.given_up.notified() => return self.cancelled().await,
                Some(Answered { name, answer }) = answered.recv() => match answer {
                    Ok(answer) => {
                        let responses = input_required::write_responses([(&name[..], &answer[..])]);
                        let params = tasks::update_params(&self.id, &responses);
                        if let Err(failure) = self.ask("tasks/update", &params, LOOK).await {
                            tracing::debug!(%failure, "an answer did not reach a task");
                        }
                    }
                    Err(why) => {
                        let cause = format!("it needs input, and the client answered with an error: {why}");
                        return self.fail_at_server(Code::CallNotSupported, &cause).await;
                    }
                },
                () = tokio::time::sleep_until(question_ends) => {
                    let cause = match waits_for_user {
                        true => format!(
                            "it waited {} for an answer of the user (`timeouts.question`)",
                            show_duration(timeouts.question)
                        ),
                        false => format!("it was not done within {} (`timeouts.total`)", show_duration(timeouts.total)),
                    };
                    return self.fail_at_server(Code::CallTimeout, &cause).await;
                }
                () = tokio::time::sleep_until(look_at) => {}
            }
            match self.ask("tasks/get", &tasks::id_params(&self.id), LOOK).await {
                Ok((line, Body::Result(span))) => {
                    misses = 0;
                    told = line.slice(span.start..span.end);
                    task = match tasks::read(&told) {
                        Ok(task) => task,
                        Err(why) => return self.fail(Code::CallMalformed, &why),
                    };
                }
                Ok((line, error)) => return self.finish(&line, error),
                // It may be starting again, and may still know its tasks then.
                Err(_) if misses < MAX_MISSES => {
                    misses += 1;
                    self.backend.start();
                }
                Err(failure) => {
                    let cause = format!("its task was lost: {}", failure.cause);
                    return self.fail(Code::CallOutcomeUnknown, &cause);
                }
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, Vec<(AskKey, Bytes)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request about the task, in the name of the client whose it is.
    async fn ask(&self, method: &str, params: &[u8], patience: Duration) -> Result<(Bytes, Body), Failure> {
        if !self.revision.is_modern() {
            return self.backend.ask_server(method, Some(params), patience).await;
        }
        let introduction = self.call.caller.introduction();
        let told =
            capabilities::for_server(&introduction.capabilities, introduction.revision, self.revision, true);
        let own = meta::Own {
            revision: self.revision,
            capabilities: &told,
            log_level: self.call.caller.level(),
            progress_token: None,
        };
        self.backend.ask_server_as_is(method, Some(&own.params(Some(params))), patience).await
    }

    /// Waits for the result of a task in the core, which comes when there is one.
    async fn wait_for_result(self: Arc<Self>, too_late: Instant) {
        let params = tasks::id_params(&self.id);
        let patience = too_late.saturating_duration_since(Instant::now());
        let result = tokio::select! {
            () = self.given_up.notified() => return self.cancelled().await,
            result = self.ask("tasks/result", &params, patience) => result,
        };
        match result {
            Ok((line, body)) => self.finish(&line, body),
            Err(failure) => self.fail(Code::CallOutcomeUnknown, &failure.cause),
        }
    }

    /// Puts what the task wants to know, and has not asked before, to the client.
    fn put(
        self: &Arc<Self>,
        told: &Bytes,
        task: &Task,
        asked: &mut HashSet<Bytes>,
    ) -> Result<(), (Code, String)> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let Some(place) = task.input_requests else { return Ok(()) };
        let requests =
            input_required::read_requests(told, place).map_err(|why| (Code::CallMalformed, why))?;
        let introduction = self.call.caller.introduction();
        for request in requests {
            let name = Bytes::copy_from_slice(request.key.of(told));
            if !asked.insert(name.clone()) {
                continue;
            }
            let cannot = |why: NotAsked| {
                let (NotAsked::Unsupported(why) | NotAsked::Unacceptable(why)) = why;
                (Code::BridgeUnsupported, format!("it needs input: {why}"))
            };
            let params = request.params.map(|span| span.of(told)).unwrap_or_default();
            capabilities::check(request.kind, params, &introduction.capabilities, introduction.revision)
                .map_err(cannot)?;
            let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
            let Some(id) = Id::new(format!("\"task-{number}\"").as_bytes()) else { continue };
            let key = AskKey { server: self.backend.name().clone(), generation: self.generation, id };
            self.open().push((key.clone(), name));
            let ask = Ask {
                key,
                asker: Arc::clone(self) as Arc<dyn Asker>,
                revision: self.revision,
                kind: request.kind,
                line: told,
                params: request.params,
            };
            self.call.caller.ask(self.call.ticket, ask).map_err(cannot)?;
        }
        Ok(())
    }

    // === the end ===

    fn finish(&self, line: &Bytes, body: Body) {
        if self.backend.errands.take(self).is_some() {
            self.take_back("the call has its answer");
            let own = match body {
                Body::Result(span) => without_task(span.of(line)),
                Body::Error(_) => None,
            };
            let reply = match &own {
                Some(line) => Reply {
                    line,
                    body: Body::Result(Span { start: 0, end: line.len() }),
                    revision: self.revision,
                },
                None => Reply { line, body, revision: self.revision },
            };
            self.call.caller.reply(self.call.ticket, reply);
        }
    }

    fn fail(&self, code: Code, why: &str) {
        if self.backend.errands.take(self).is_some() {
            self.take_back("the call has failed");
            self.backend.tally(|tallies| tallies.failures += 1);
            let failure = Failure::new(code, format!("`{}`: {why}", self.call.label));
            self.call.caller.fail(self.call.ticket, failure.of(self.backend.name()));
        }
    }

    /// The same, and the server need not go on.
    async fn fail_at_server(&self, code: Code, why: &str) {
        self.fail(code, why);
        self.cancel_at_server().await;
    }

    async fn cancelled(&self) {
        self.take_back("the call was cancelled");
        self.cancel_at_server().await;
    }

    async fn cancel_at_server(&self) {
        // It is told once; what it makes of that does not matter to anybody any more.
        let _ = self.ask("tasks/cancel", &tasks::id_params(&self.id), LOOK).await;
    }

    fn take_back(&self, why: &str) {
        for (key, _) in std::mem::take(&mut *self.open()) {
            self.call.caller.withdraw(&key, why);
        }
    }
}

impl Asker for Errand {
    fn answer(&self, key: &AskKey, line: &Bytes, body: Body) {
        let name = {
            let mut open = self.open();
            let Some(place) = open.iter().position(|(known, _)| known == key) else { return };
            open.swap_remove(place).1
        };
        let answer = match body {
            Body::Result(span) => Ok(Bytes::copy_from_slice(span.of(line))),
            Body::Error(span) => {
                let error = span.of(line);
                let message = json::get(error, "message").and_then(|place| json::string(place.of(error)));
                Err(message.map_or_else(|| "no message".to_owned(), |text| text.into_owned()))
            }
        };
        // Nobody listens any more if the task has come to its end meanwhile.
        let _ = self.answers.send(Answered { name, answer });
    }
}

impl std::fmt::Debug for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Errand").field("call", &self.call.label).finish_non_exhaustive()
    }
}

/// A result that does not name its task: the client knows of none. `None` if it does not anyway.
fn without_task(result: &[u8]) -> Option<Bytes> {
    let place = json::get(result, "_meta")?;
    let object = place.of(result);
    let is_it = |found: &json::Member| found.is(object, RELATED_TASK);
    json::members(object).find(is_it)?;
    let kept: Vec<&[u8]> = json::members(object)
        .filter(|found| !is_it(found))
        .map(|found| &object[found.key.start..found.value.end])
        .collect();
    let mut edited = Splice::new(result);
    edited.replace(place, [b"{", &kept.join(&b","[..])[..], b"}"].concat());
    Some(edited.to_bytes())
}

/// What a task has said of itself, as progress on the call.
#[derive(Default)]
struct Said {
    last: Vec<u8>,
    count: u32,
}

impl Said {
    /// `message` is a JSON string.
    fn pass(&mut self, call: &Call, message: &[u8], revision: &'static Revision) {
        if !matches!(call.token, TokenPlace::Client(_))
            || self.last == message
            || json::kind(message) != json::Kind::String
        {
            return;
        }
        self.last = message.to_vec();
        self.count += 1;
        let mut params = format!(r#"{{"progressToken":0,"progress":{},"message":"#, self.count).into_bytes();
        params.extend_from_slice(message);
        params.push(b'}');
        let line = Bytes::from(params);
        let Some(token) = json::get(&line, "progressToken") else { return };
        let whole = Span { start: 0, end: line.len() };
        let notice = Notice { line: &line, params: whole };
        call.caller.progress(call.ticket, Progress { notice, token, revision });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_does_not_name_a_task_that_the_client_knows_nothing_of() {
        let result = br#"{"content":[1.0],"_meta":{"a":1,"io.modelcontextprotocol/related-task":{"taskId":"t"},"b":2}}"#;
        assert_eq!(without_task(result).unwrap(), &br#"{"content":[1.0],"_meta":{"a":1,"b":2}}"#[..]);
        let alone = br#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#;
        assert_eq!(without_task(alone).unwrap(), &br#"{"_meta":{}}"#[..]);
        assert_eq!(without_task(br#"{"_meta":{"a":1}}"#), None);
    }
}
