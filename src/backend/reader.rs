//! Taking a server's lines apart: answers, progress, questions, notices, and what is none of these.
//!
//! A server is a stranger. Nothing it writes reaches the client but through here, nothing it writes is answered with
//! an error of ours (its input could fill up with them), and every answer that can be told to belong to a call ends
//! that call, however broken the answer is.

mod budget;
mod modern;
mod noise;
mod questions;

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::backend::link::{Addressee, Flown, Listener};
use crate::backend::{Backend, Changes};
use crate::bridge::tasks;
use crate::call::{Notice, Progress, Reply};
use crate::failure::{Code, Failure};
use crate::protocol::{ListKind, Revision, Tasks};
use crate::supervisor::NoiseLog;
use crate::transport::{Fate, Inbound};
use crate::wire::{Body, Fault, Id, Line, LineReader, Message, PerLine, Span, envelope, json};

use budget::{Budget, Rate, Spent};

/// A line that is this many times longer than allowed will not end.
const FLOOD: u64 = 4;
/// Log messages that are passed on.
const LOGS: Rate = Rate { burst: 200.0, per_second: 50.0 };
/// The same for lines of noise that go to the server's log file.
const NOISE: Rate = Rate { burst: 100.0, per_second: 20.0 };

/// Why reading ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// The server closed its end.
    Closed,
    /// A line passed every bound.
    Flood,
}

/// Reads lines to their end.
pub(super) async fn read_lines(
    backend: Arc<Backend>,
    generation: u64,
    mut input: impl AsyncRead + Unpin,
    noise_log: NoiseLog,
) -> ReadEnd {
    let limit = backend.config().limits.message;
    let mut lines = LineReader::new(limit);
    let mut reader = Reader::new(backend, generation, noise_log);
    loop {
        if reader.backend.audience.is_full() {
            reader.backend.audience.room().await;
        }
        match input.read_buf(lines.space()).await {
            Ok(0) | Err(_) => {
                // Before the last answer: whoever calls again on getting it shall be served by the next run.
                reader.backend.link.closes(generation);
                if let Some(line) = lines.last_line() {
                    reader.line(&line);
                }
                return ReadEnd::Closed;
            }
            Ok(_) => {}
        }
        reader.lines(&mut lines);
        if lines.pending() > limit as u64 * FLOOD {
            return ReadEnd::Flood;
        }
    }
}

/// Reads what a transport brings, to its end.
pub(super) async fn read_messages(
    backend: Arc<Backend>,
    generation: u64,
    mut incoming: mpsc::Receiver<Inbound>,
    noise_log: NoiseLog,
) -> ReadEnd {
    let mut reader = Reader::new(backend, generation, noise_log);
    loop {
        if reader.backend.audience.is_full() {
            reader.backend.audience.room().await;
        }
        match incoming.recv().await {
            Some(inbound) => reader.inbound(inbound),
            None => {
                reader.backend.link.closes(generation);
                return ReadEnd::Closed;
            }
        }
    }
}

struct Reader {
    backend: Arc<Backend>,
    generation: u64,
    /// The call in whose own stream the message came that is being looked at.
    about: Option<u64>,
    /// The beginning of a message that is spread over several lines.
    spread: Vec<u8>,
    logs: Budget,
    noise: Budget,
    noise_log: NoiseLog,
    /// Whether the server has refused something until somebody logs in, and nothing has come from it since.
    wants_login: bool,
}

impl Reader {
    fn new(backend: Arc<Backend>, generation: u64, noise_log: NoiseLog) -> Self {
        Self {
            backend,
            generation,
            about: None,
            spread: Vec::new(),
            logs: Budget::new(LOGS),
            noise: Budget::new(NOISE),
            noise_log,
            wants_login: false,
        }
    }

    /// Takes all lines that have been read.
    fn lines(&mut self, reader: &mut LineReader) {
        loop {
            let lines = reader.next_lines();
            if lines.is_empty() {
                return;
            }
            let read: PerLine<Option<_>> = lines
                .iter()
                .map(|line| match line {
                    Line::Whole(line) => Some(envelope::from_server(line)),
                    Line::TooLong { .. } => None,
                })
                .collect();
            for (line, read) in lines.iter().zip(&read) {
                match (line, read) {
                    (Line::Whole(line), Some(read)) => self.take(line, read),
                    (line, _) => self.line(line),
                }
            }
        }
    }

    fn line(&mut self, line: &Line) {
        match line {
            Line::Whole(line) => self.whole(line),
            Line::TooLong { head, tail, length } => self.too_long([head, tail], *length),
        }
    }

    fn inbound(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Message { text, about } => {
                self.about = about;
                if self.wants_login && about.is_some() {
                    self.note_login(None);
                }
                self.whole(&one_line(text));
            }
            Inbound::Failed { id, failure, fate } => self.failed(id, failure, fate),
            Inbound::TooLong { about, ends: [head, tail], length } => {
                self.about = about;
                self.too_long([&head, &tail], length);
            }
        }
    }

    fn is_modern(&self) -> bool {
        self.backend.link.revision().is_some_and(Revision::is_modern)
    }

    fn note_login(&mut self, failure: Option<Failure>) {
        self.wants_login = failure.is_some();
        self.backend.set_wants_login(failure);
    }

    /// The transport says that a request of ours gets no answer.
    fn failed(&mut self, id: u64, failure: Failure, fate: Fate) {
        if failure.code == Code::AuthNeedsLogin {
            self.note_login(Some(failure.clone()));
        }
        let addressee = match fate {
            Fate::SendAgain => self.backend.link.refused(self.generation, id),
            Fate::NotRun | Fate::Unknown => self.backend.link.unanswered(self.generation, id),
        };
        match addressee {
            Some(Addressee::Client(call, _)) => {
                let failure = match fate {
                    Fate::NotRun | Fate::SendAgain => not_run(&call, failure),
                    Fate::Unknown => Failure::new(
                        Code::CallOutcomeUnknown,
                        format!("the outcome of `{}` is unknown: {}", call.label, failure.cause),
                    )
                    .remedy("Look whether it took effect before you repeat it")
                    .retry_after(failure.retry_after),
                };
                self.backend.tally(|tallies| tallies.failures += 1);
                call.caller.fail(call.ticket, failure.of(self.backend.name()));
            }
            Some(Addressee::Own(sender)) => drop(sender.send(Err(failure.of(self.backend.name())))),
            None => self.backend.waits.notify_one(),
        }
    }

    fn whole(&mut self, line: &Bytes) {
        self.take(line, &envelope::from_server(line));
    }

    fn take(&mut self, line: &Bytes, read: &Result<Message<'_>, Fault>) {
        match read {
            Ok(message) => {
                self.spread.clear();
                self.message(line, message);
            }
            Err(Fault::Batch(span)) => self.batch(line, *span),
            Err(Fault::Invalid(Some(id), what)) => self.malformed(id, what),
            Err(Fault::TooDeep(Some(id))) => self.malformed(id, "nested too deeply"),
            Err(Fault::TooDeep(None) | Fault::Invalid(None, _)) => self.noise(line),
            Err(Fault::Syntax(what)) => self.broken(line, what),
        }
    }

    fn message(&mut self, line: &Bytes, message: &Message<'_>) {
        match message {
            Message::Response { id, body } => self.response(line, *id, *body),
            Message::Notification { method, params } => self.notification(line, method, *params),
            Message::Request { id, method, params } => self.request(line, *id, method, *params),
        }
    }

    /// Servers of 2025-03-26 may answer in batches.
    fn batch(&mut self, line: &Bytes, array: Span) {
        for element in json::elements(array.of(line)) {
            let element = element.shifted(array.start);
            let part = line.slice(element.start..element.end);
            match envelope::from_server(&part) {
                Ok(message) => self.message(&part, &message),
                Err(Fault::Invalid(Some(id), what)) => self.malformed(&id, what),
                Err(_) => self.noise(&part),
            }
        }
    }

    // === answers ===

    fn response(&mut self, line: &Bytes, id: Option<Span>, body: Body) {
        let Some(id) = id.and_then(|span| envelope::own_id(span.of(line))) else {
            return self.noise(line);
        };
        match self.backend.link.landed(self.generation, id) {
            Some(Addressee::Client(call, revision)) => self.reply(line, body, call, revision),
            // The one who asked may have given up; then nobody misses the answer.
            Some(Addressee::Own(sender)) => drop(sender.send(Ok((line.clone(), body)))),
            None => {
                tracing::debug!(server = %self.backend.name(), id, "an answer to no open call was dropped")
            }
        }
    }

    fn reply(&self, line: &Bytes, body: Body, call: Flown, revision: &'static Revision) {
        match body {
            Body::Result(span) if line.get(span.start) == Some(&b'{') => match revision.is_modern() {
                false if call.is_task && tasks::is_created(span.of(line)) => {
                    self.begin_errand(line, span, call, revision);
                }
                false => call.caller.reply(call.ticket, Reply { line, body, revision }),
                true => self.modern_result(line, span, call, revision),
            },
            Body::Error(span) if is_proper_error(span.of(line)) => match revision.is_modern() {
                false => call.caller.reply(call.ticket, Reply { line, body, revision }),
                true => self.modern_error(line, span, call, revision),
            },
            Body::Result(span) | Body::Error(span) => {
                let text: String = String::from_utf8_lossy(span.of(line)).chars().take(300).collect();
                let what = if matches!(body, Body::Result(_)) {
                    "a result that is no object"
                } else {
                    "a broken error"
                };
                self.fail(&call, Code::CallMalformed, format!("it answered with {what}: {text}"));
            }
        }
    }

    fn fail(&self, call: &Flown, code: Code, cause: String) {
        self.backend.tally(|tallies| tallies.failures += 1);
        call.caller.fail(call.ticket, Failure::new(code, cause).of(self.backend.name()));
    }

    /// Ends the call that a broken answer belongs to.
    fn end_call(&self, id: &Id, code: Code, cause: String) -> bool {
        let landed =
            envelope::own_id(id.as_bytes()).and_then(|id| self.backend.link.landed(self.generation, id));
        match landed {
            Some(Addressee::Client(call, _)) => self.fail(&call, code, cause),
            Some(Addressee::Own(sender)) => {
                drop(sender.send(Err(Failure::new(code, cause).of(self.backend.name()))));
            }
            None => return false,
        }
        true
    }

    fn malformed(&self, id: &Id, what: &str) {
        if !self.end_call(id, Code::CallMalformed, format!("its answer is not JSON-RPC: {what}")) {
            tracing::debug!(server = %self.backend.name(), what, "a malformed message was dropped");
        }
    }

    fn too_long(&self, ends: [&[u8]; 2], length: u64) {
        let limit = self.backend.config().limits.message;
        let cause = format!(
            "its answer has {:.1} MiB, over `limits.message` of {:.1} MiB",
            length as f64 / (1 << 20) as f64,
            limit as f64 / (1 << 20) as f64
        );
        let remedy = "Ask for less, or raise `limits.message` for this server";
        tracing::warn!(server = %self.backend.name(), length, limit, "a message over the limit was dropped");
        let own = self.about.and_then(|id| Id::new(id.to_string().as_bytes()));
        if let Some(id) = ends.into_iter().find_map(envelope::recover_id).or(own) {
            self.end_call(&id, Code::CallTooLarge, format!("{cause}. {remedy}"));
            return;
        }
        // It cannot be told whose answer it was. Whoever waits for it would wait for ever, so all are told.
        for addressee in self.backend.link.landed_all(self.generation) {
            if let Addressee::Client(call, _) = addressee {
                let cause = format!("it sent a message that may have been the answer; {cause}");
                self.fail(&call, Code::CallTooLarge, cause);
            }
        }
    }

    // === notifications ===

    fn notification(&mut self, line: &Bytes, method: &str, params: Option<Span>) {
        if self.is_modern() {
            return self.modern_notification(line, method, params);
        }
        self.take_notification(line, method, params);
    }

    fn take_notification(&mut self, line: &Bytes, method: &str, params: Option<Span>) {
        match method {
            "notifications/progress" => self.progress(line, params),
            "notifications/message" => self.log(line, params),
            "notifications/cancelled" => self.withdrawal(line, params),
            "notifications/resources/updated" => {
                if let Some(params) = params {
                    self.backend.note_change(|changes| note_updated(changes, params.of(line)));
                    self.backend.audience.updated(self.backend.name(), Notice { line, params });
                }
            }
            "notifications/tasks/status" => self.task_changed(line, Tasks::Core, params),
            "notifications/tasks" => self.task_changed(line, Tasks::Extension, params),
            "notifications/elicitation/complete" => {
                if let Some(params) = params {
                    self.backend.audience.elicitation_complete(Notice { line, params });
                }
            }
            "notifications/tools/list_changed" => self.backend.refresh(ListKind::Tools),
            "notifications/prompts/list_changed" => self.backend.refresh(ListKind::Prompts),
            "notifications/resources/list_changed" => {
                // One notice stands for both lists.
                self.backend.refresh(ListKind::Resources);
                self.backend.refresh(ListKind::Templates);
            }
            _ => {
                tracing::debug!(server = %self.backend.name(), method, "an unknown notification was dropped")
            }
        }
    }

    /// A server tells of its tasks in the form of its own revision.
    fn task_changed(&self, line: &Bytes, form: Tasks, params: Option<Span>) {
        let speaks = self.backend.link.revision().is_some_and(|revision| revision.tasks == form);
        if let Some(params) = params.filter(|_| speaks) {
            self.backend.audience.task_changed(self.backend.name(), form, Notice { line, params });
        }
    }

    fn progress(&self, line: &Bytes, params: Option<Span>) {
        let Some(params) = params else { return };
        let place = |name| json::get(params.of(line), name).map(|span| span.shifted(params.start));
        let (Some(token), Some(value)) = (place("progressToken"), place("progress")) else { return };
        let Some(id) = envelope::own_id(token.of(line)) else { return };
        let value = std::str::from_utf8(value.of(line)).ok().and_then(|text| text.parse().ok());
        let Some(value) = value else { return };
        let listener = self.backend.link.progressed(self.generation, id, value);
        let Some(Listener::Client { ticket, caller, before, revision }) = listener else { return };
        let pass = |notice: Notice<'_>, token| caller.progress(ticket, Progress { notice, token, revision });
        match before > 0.0 {
            false => pass(Notice { line, params }, token),
            true => modern::raised(line, params, before, pass),
        }
    }

    fn log(&mut self, line: &Bytes, params: Option<Span>) {
        let Some(params) = params else { return };
        let backend = &self.backend;
        match self.logs.spend(Instant::now()) {
            Spent::Within { dropped_before: 0 } => {}
            Spent::Within { dropped_before } => {
                backend.audience.say(
                    backend.name(),
                    &format!("{dropped_before} log messages were dropped: too many at once"),
                );
            }
            Spent::Over => return backend.tally(|tallies| tallies.dropped_logs += 1),
        }
        let notice = Notice { line, params };
        match self.about.and_then(|flight| backend.link.caller_of(self.generation, flight)) {
            Some((ticket, caller)) => caller.log(ticket, backend.name(), notice),
            None => backend.audience.log(backend.name(), notice, &backend.link.callers(self.generation)),
        }
    }
}

/// A resource has changed; if it is not said which, any.
fn note_updated(changes: &Changes, params: &[u8]) {
    match json::get(params, "uri").and_then(|span| json::string(span.of(params))) {
        Some(uri) => changes.resource(&uri),
        None => changes.list(ListKind::Resources),
    }
}

/// What the transport says of a call that did not run. What mends it is left as it is, if the transport knows.
fn not_run(call: &Flown, failure: Failure) -> Failure {
    let remedy = failure.remedy.unwrap_or_else(|| "It did not run; call again".to_owned());
    let cause = format!("`{}` did not run: {}", call.label, failure.cause);
    Failure { cause, remedy: Some(remedy), ran: call.past.ran(), ..failure }
}

/// The message without line ends: no string in it can hold one, so a space means the same, and on pipes a message is a
/// line.
fn one_line(text: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &text).is_none() {
        return text;
    }
    text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}

/// Whether clients can read the error: an integer code and a text (JSON-RPC 2.0 §5.1).
fn is_proper_error(error: &[u8]) -> bool {
    let code = json::get(error, "code").map(|span| span.of(error));
    let code = code.and_then(|raw| std::str::from_utf8(raw).ok()).and_then(|text| text.parse::<i32>().ok());
    let message = json::get(error, "message").map(|span| json::kind(span.of(error)));
    code.is_some() && message == Some(json::Kind::String)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_clients_cannot_read_are_told_apart() {
        for proper in [r#"{"code":-32602,"message":"x"}"#, r#"{"message":"","code":1,"data":null}"#] {
            assert!(is_proper_error(proper.as_bytes()), "{proper}");
        }
        for broken in [
            r#""E1""#,
            r#"{"code":"E1","message":"x"}"#,
            r#"{"code":99999999999,"message":"x"}"#,
            r#"{"code":-1.5,"message":"x"}"#,
            r#"{"code":1}"#,
            r#"{"code":1,"message":5}"#,
        ] {
            assert!(!is_proper_error(broken.as_bytes()), "{broken}");
        }
    }
}
