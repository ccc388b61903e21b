//! Taking a server's lines apart: answers, progress, questions, notices, and what is none of these.
//!
//! A server is a stranger. Nothing it writes reaches the client but through here, nothing it writes is answered with
//! an error of ours (its input could fill up with them), and every answer that can be told to belong to a call ends
//! that call, however broken the answer is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use crate::backend::Backend;
use crate::backend::link::{Addressee, Flown, Listener, Whose};
use crate::call::{Ask, AskKind, Asker, NotAsked, Notice, Reply};
use crate::failure::{Code, Failure};
use crate::protocol::{ListKind, Revision, codes};
use crate::supervisor::NoiseLog;
use crate::wire::{Body, Fault, Id, Line, LineReader, Message, Span, envelope, json};

/// A line that is this many times longer than allowed will not end.
const FLOOD: u64 = 4;
/// Log messages that are passed on.
const LOGS: Rate = Rate { burst: 200.0, per_second: 50.0 };
/// The same for lines of noise that go to the server's log file.
const NOISE: Rate = Rate { burst: 100.0, per_second: 20.0 };
/// How much of a message that is spread over several lines is kept while it is put together.
const MAX_SPREAD: usize = 4 << 20;

/// Why reading ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// The server closed its stdout, or we are no longer interested.
    Closed,
    /// A line passed every bound.
    Flood,
}

/// Reads one run's stdout to its end.
pub(super) async fn read(
    backend: Arc<Backend>,
    generation: u64,
    mut stdout: impl AsyncRead + Unpin,
    noise_log: NoiseLog,
) -> ReadEnd {
    let limit = backend.config().limits.message;
    let mut lines = LineReader::new(limit);
    let mut reader = Reader {
        backend,
        generation,
        about: None,
        spread: Vec::new(),
        logs: Budget::new(LOGS),
        noise: Budget::new(NOISE),
        noise_log,
    };
    loop {
        if reader.backend.audience.is_full() {
            reader.backend.audience.room().await;
        }
        match stdout.read_buf(lines.space()).await {
            Ok(0) | Err(_) => {
                // Before the last answer: whoever calls again on getting it shall be served by the next run.
                reader.backend.link.closes(generation);
                if let Some(line) = lines.last_line() {
                    reader.line(line);
                }
                return ReadEnd::Closed;
            }
            Ok(_) => {}
        }
        while let Some(line) = lines.next_line() {
            reader.line(line);
        }
        if lines.pending() > limit as u64 * FLOOD {
            return ReadEnd::Flood;
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
}

impl Reader {
    fn line(&mut self, line: Line) {
        match line {
            Line::Whole(line) => self.whole(line),
            Line::TooLong { head, tail, length } => self.too_long(&head, &tail, length),
        }
    }

    fn whole(&mut self, line: Bytes) {
        match envelope::from_server(&line) {
            Ok(message) => {
                self.spread.clear();
                self.message(&line, message);
            }
            Err(Fault::Batch(span)) => self.batch(&line, span),
            Err(Fault::Invalid(Some(id), what)) => self.malformed(&id, what),
            Err(Fault::TooDeep(Some(id))) => self.malformed(&id, "nested too deeply"),
            Err(Fault::TooDeep(None) | Fault::Invalid(None, _)) => self.noise(&line),
            Err(Fault::Syntax(what)) => self.broken(line, &what),
        }
    }

    fn message(&mut self, line: &Bytes, message: Message<'_>) {
        match message {
            Message::Response { id, body } => self.response(line, id, body),
            Message::Notification { method, params } => self.notification(line, &method, params),
            Message::Request { id, method, params } => self.request(line, id, &method, params),
        }
    }

    /// Servers of 2025-03-26 may answer in batches.
    fn batch(&mut self, line: &Bytes, array: Span) {
        for element in json::elements(array.of(line)) {
            let element = element.shifted(array.start);
            let part = line.slice(element.start..element.end);
            match envelope::from_server(&part) {
                Ok(message) => self.message(&part, message),
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
            Some(Addressee::Client(call, revision)) => self.reply(line, body, &call, revision),
            // The one who asked may have given up; then nobody misses the answer.
            Some(Addressee::Own(sender)) => drop(sender.send((line.clone(), body))),
            None => {
                tracing::debug!(server = %self.backend.name(), id, "an answer to no open call was dropped")
            }
        }
    }

    fn reply(&self, line: &Bytes, body: Body, call: &Flown, revision: &'static Revision) {
        match body {
            Body::Result(span) if line.get(span.start) == Some(&b'{') => {
                call.caller.reply(call.ticket, Reply { line, body, revision })
            }
            Body::Error(span) if is_proper_error(span.of(line)) => {
                call.caller.reply(call.ticket, Reply { line, body, revision })
            }
            Body::Result(span) | Body::Error(span) => {
                let text: String = String::from_utf8_lossy(span.of(line)).chars().take(300).collect();
                let what = if matches!(body, Body::Result(_)) {
                    "a result that is no object"
                } else {
                    "a broken error"
                };
                self.fail(call, Code::CallMalformed, format!("it answered with {what}: {text}"));
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
            Some(Addressee::Own(_)) => {}
            None => return false,
        }
        true
    }

    fn malformed(&self, id: &Id, what: &str) {
        if !self.end_call(id, Code::CallMalformed, format!("its answer is not JSON-RPC: {what}")) {
            tracing::debug!(server = %self.backend.name(), what, "a malformed message was dropped");
        }
    }

    fn too_long(&self, head: &[u8], tail: &[u8], length: u64) {
        let limit = self.backend.config().limits.message;
        let cause = format!(
            "its answer has {:.1} MiB, over `limits.message` of {:.1} MiB",
            length as f64 / (1 << 20) as f64,
            limit as f64 / (1 << 20) as f64
        );
        let remedy = "Ask for less, or raise `limits.message` for this server";
        tracing::warn!(server = %self.backend.name(), length, limit, "a line over the limit was dropped");
        if let Some(id) = envelope::recover_id(head).or_else(|| envelope::recover_id(tail)) {
            self.end_call(&id, Code::CallTooLarge, format!("{cause}. {remedy}"));
            return;
        }
        // It cannot be told whose answer it was. Whoever waits for it would wait for ever, so all are told.
        for addressee in self.backend.link.landed_all(self.generation) {
            if let Addressee::Client(call, _) = addressee {
                let cause = format!("it wrote a line that may have been the answer; {cause}");
                self.fail(&call, Code::CallTooLarge, cause);
            }
        }
    }

    // === what is not a message ===

    /// A line that is no JSON. It may be text, a message in a foreign encoding, a broken message, or a part of one
    /// that is spread over several lines.
    fn broken(&mut self, line: Bytes, what: &str) {
        if std::str::from_utf8(&line).is_err() {
            let mended = Bytes::from(String::from_utf8_lossy(&line).into_owned());
            if envelope::from_server(&mended).is_ok() {
                return self.whole(mended);
            }
        }
        if self.spread(&line) {
            return;
        }
        match line.trim_ascii_start().starts_with(b"{").then(|| envelope::recover_id(&line)).flatten() {
            Some(id) => self.malformed(&id, what),
            None => self.noise(&line),
        }
    }

    /// Puts together a message that was printed over several lines. Whether `line` was taken.
    fn spread(&mut self, line: &Bytes) -> bool {
        let begins = self.spread.is_empty();
        if begins && line.trim_ascii() != b"{" || self.spread.len() + line.len() > MAX_SPREAD {
            self.spread.clear();
            return false;
        }
        self.spread.extend_from_slice(line);
        // The message goes on as one line. No string in it can hold a line end, so a space means the same.
        self.spread.push(b' ');
        // Printers put the last brace in the first column; trying only there keeps this linear.
        if !begins && line.trim_ascii_end() == b"}" {
            let whole = Bytes::from(std::mem::take(&mut self.spread));
            match envelope::from_server(&whole) {
                Ok(message) => self.message(&whole, message),
                Err(_) => self.noise(&whole),
            }
        }
        true
    }

    fn noise(&mut self, line: &[u8]) {
        self.backend.tally(|tallies| tallies.noise += 1);
        match self.noise.spend(Instant::now()) {
            Spent::Within { dropped_before } => {
                let text = self.noise_log.shown(line);
                if dropped_before > 0 {
                    self.noise_log.write(&[&format!("({dropped_before} lines were left out)")]);
                }
                self.noise_log.write(&[&text]);
                self.backend.note_noise(text);
            }
            Spent::Over => {}
        }
    }

    // === notifications ===

    fn notification(&mut self, line: &Bytes, method: &str, params: Option<Span>) {
        match method {
            "notifications/progress" => self.progress(line, params),
            "notifications/message" => self.log(line, params),
            "notifications/cancelled" => self.withdrawal(line, params),
            "notifications/resources/updated" => {
                if let Some(params) = params {
                    self.backend.audience.updated(self.backend.name(), Notice { line, params });
                }
            }
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

    fn progress(&self, line: &Bytes, params: Option<Span>) {
        let Some(params) = params else { return };
        let place = |name| json::get(params.of(line), name).map(|span| span.shifted(params.start));
        let (Some(token), Some(value)) = (place("progressToken"), place("progress")) else { return };
        let Some(id) = envelope::own_id(token.of(line)) else { return };
        let value = std::str::from_utf8(value.of(line)).ok().and_then(|text| text.parse().ok());
        let Some(value) = value else { return };
        if let Some(Listener::Client(ticket, client)) =
            self.backend.link.progressed(self.generation, id, value)
        {
            client.progress(ticket, Notice { line, params }, token);
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

    fn withdrawal(&self, line: &Bytes, params: Option<Span>) {
        let Some(params) = params.map(|span| span.of(line)) else { return };
        let Some(id) = json::get(params, "requestId").and_then(|span| Id::new(span.of(params))) else {
            return;
        };
        let reason = json::get(params, "reason").and_then(|span| json::string(span.of(params)));
        let reason = reason.as_deref().unwrap_or("the server withdrew its question");
        match self.backend.link.withdrawn(self.generation, &id) {
            Some((key, Some(caller))) => caller.withdraw(&key, reason),
            Some((key, None)) => self.backend.audience.withdraw(&key, reason),
            None => {}
        }
    }

    // === questions ===

    fn request(&self, line: &Bytes, id: Span, method: &str, params: Option<Span>) {
        let Some(id) = Id::new(id.of(line)) else { return };
        if method == "ping" {
            return self.answer(&id, "result", "{}");
        }
        let Some(kind) = AskKind::parse(method) else {
            return self.refuse(&id, codes::METHOD_NOT_FOUND, &format!("Method not found: {method}"));
        };
        let Some((key, whose)) = self.backend.link.asked(self.generation, id.clone(), self.about) else {
            return self.refuse(
                &id,
                codes::INVALID_REQUEST,
                "too many open requests, or one with this id is open",
            );
        };
        let Some(greeting) = self.backend.link.greeting() else {
            self.backend.link.withdrawn(self.generation, &id);
            return self.refuse(&id, codes::INVALID_REQUEST, "questions come after the handshake");
        };
        let asker = Arc::clone(&self.backend) as Arc<dyn Asker>;
        let ask = Ask { key, asker, revision: greeting.revision, kind, line, params };
        let asked = match whose {
            Whose::Ones(_, ticket, caller) => caller.ask(ticket, ask),
            Whose::Nobodys => self.backend.audience.ask(ask),
            Whose::Unclear => Err(NotAsked::Unacceptable(
                "several clients have calls in flight here, and it cannot be told whose question this is"
                    .to_owned(),
            )),
        };
        if let Err(refusal) = asked {
            self.backend.link.withdrawn(self.generation, &id);
            match refusal {
                NotAsked::Unsupported(why) => self.refuse(&id, codes::METHOD_NOT_FOUND, &why),
                NotAsked::Unacceptable(why) => self.refuse(&id, codes::INVALID_PARAMS, &why),
            }
        }
    }

    fn answer(&self, id: &Id, member: &str, text: &str) {
        let text = Bytes::copy_from_slice(text.as_bytes());
        let span = Span { start: 0, end: text.len() };
        self.backend.link.answer_locally(self.generation, id, member, &text, span);
    }

    fn refuse(&self, id: &Id, code: i32, message: &str) {
        let message = String::from_utf8_lossy(&json::quote(message)).into_owned();
        self.answer(id, "error", &format!(r#"{{"code":{code},"message":{message}}}"#));
    }
}

/// Whether clients can read the error: an integer code and a text (JSON-RPC 2.0 §5.1).
fn is_proper_error(error: &[u8]) -> bool {
    let code = json::get(error, "code").map(|span| span.of(error));
    let code = code.and_then(|raw| std::str::from_utf8(raw).ok()).and_then(|text| text.parse::<i32>().ok());
    let message = json::get(error, "message").map(|span| json::kind(span.of(error)));
    code.is_some() && message == Some(json::Kind::String)
}

/// How much may come at once, and per second after that.
#[derive(Clone, Copy)]
struct Rate {
    burst: f64,
    per_second: f64,
}

/// A token bucket.
struct Budget {
    rate: Rate,
    tokens: f64,
    filled: Option<Instant>,
    dropped: u64,
}

enum Spent {
    Within { dropped_before: u64 },
    Over,
}

impl Budget {
    fn new(rate: Rate) -> Self {
        Self { rate, tokens: rate.burst, filled: None, dropped: 0 }
    }

    fn spend(&mut self, now: Instant) -> Spent {
        let passed = self.filled.map_or(Duration::ZERO, |filled| now - filled);
        self.filled = Some(now);
        self.tokens = (self.tokens + passed.as_secs_f64() * self.rate.per_second).min(self.rate.burst);
        if self.tokens < 1.0 {
            self.dropped += 1;
            return Spent::Over;
        }
        self.tokens -= 1.0;
        Spent::Within { dropped_before: std::mem::take(&mut self.dropped) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_messages_have_a_budget_that_fills_again() {
        let mut budget = Budget::new(LOGS);
        let start = Instant::now();
        let within = (0..1000).filter(|_| matches!(budget.spend(start), Spent::Within { .. })).count();
        assert_eq!(within, LOGS.burst as usize);
        match budget.spend(start + Duration::from_secs(1)) {
            Spent::Within { dropped_before } => assert_eq!(dropped_before, 800),
            Spent::Over => panic!("a second later there is room"),
        }
    }

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
