//! What is said to interceptors outside of this process, and what they answer: the words of SEP-2624, with a few of our own.
//!
//! A question is the parameters of `interceptor/invoke`; what only we know stands under `context.switchboard`, and the phase
//! `error` is ours. An answer is a `ValidationResult` or a `MutationResult`, or one of ours: `{"answer": RESULT}` gives the result
//! instead of the server, `{"delayMs": N}` lets the call wait.
//!
//! Source: SEP-2624, "Interceptor Invocation", "Validator", "Mutator".

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{CallError, CallView, Error, Event, Moment, Verdict};
use crate::config::Phase;
use crate::protocol::Method;
use crate::wire::json::{self, Kind};
use crate::wire::time::rfc3339;

/// An answer may be that much longer than what it is about, in bytes.
pub(super) const MAX_VERDICT: usize = 1 << 20;

/// The most characters of a reason that are passed on.
const MAX_REASON: usize = 1000;

/// The parameters of one question, without a line break.
pub(super) fn question(
    name: &str,
    call: &CallView,
    moment: &Moment,
    timeout: Duration,
    config: Option<&str>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + call.arguments.len());
    out.extend_from_slice(br#"{"name":"#);
    json::push_string(&mut out, name);
    out.extend_from_slice(br#","event":"#);
    json::push_string(&mut out, call.event.name());
    out.extend_from_slice(br#","phase":"#);
    json::push_string(&mut out, word(moment.phase()));
    out.extend_from_slice(br#","payload":"#);
    push_payload(&mut out, call, moment);
    if let Some(config) = config {
        out.extend_from_slice(br#","config":"#);
        out.extend_from_slice(config.as_bytes());
    }
    out.extend_from_slice(format!(r#","timeoutMs":{},"context":"#, timeout.as_millis()).as_bytes());
    push_context(&mut out, call, moment);
    out.push(b'}');
    // A line break that is white space in a payload must not end the line.
    out.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    out
}

/// The phase in the draft's words.
pub(super) fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Before => "request",
        Phase::After => "response",
        Phase::Error => "error",
    }
}

fn push_payload(out: &mut Vec<u8>, call: &CallView, moment: &Moment) {
    match moment {
        Moment::Before if !is_call(call) => out.extend_from_slice(&call.arguments),
        Moment::Before => {
            out.extend_from_slice(if is_resource(call) { br#"{"uri":"# } else { br#"{"name":"# });
            json::push_string(out, call.exposed.as_str());
            if !is_resource(call) {
                out.extend_from_slice(br#","arguments":"#);
                out.extend_from_slice(&call.arguments);
            }
            out.push(b'}');
        }
        Moment::After(result) => out.extend_from_slice(result),
        Moment::Error(CallError::Answer(error)) => {
            out.extend_from_slice(br#"{"error":"#);
            out.extend_from_slice(error);
            out.push(b'}');
        }
        Moment::Error(CallError::Failure(failure)) => {
            out.extend_from_slice(br#"{"error":{"code":"#);
            json::push_string(out, failure.code.id());
            out.extend_from_slice(br#","message":"#);
            json::push_string(out, &failure.to_string());
            out.extend_from_slice(b"}}");
        }
    }
}

fn push_context(out: &mut Vec<u8>, call: &CallView, moment: &Moment) {
    let mut text = |key: &str, value: &str| {
        out.extend_from_slice(key.as_bytes());
        json::push_string(out, value);
    };
    match &call.principal {
        Some(principal) => text(r#"{"principal":{"type":"service","id":"#, principal),
        None => text(r#"{"principal":{"type":"#, "anonymous"),
    }
    if let Some(trace) = &call.trace {
        text(r#"},"traceId":"#, &trace.id);
        text(r#","spanId":"#, &trace.span);
        text(r#","timestamp":"#, &rfc3339(SystemTime::now()));
    } else {
        text(r#"},"timestamp":"#, &rfc3339(SystemTime::now()));
    }
    text(r#","switchboard":{"server":"#, call.server.as_str());
    text(r#","name":"#, call.original.as_str());
    text(r#","exposed":"#, call.exposed.as_str());
    text(r#","effect":"#, call.effect.word());
    out.extend_from_slice(format!(r#","attempt":{}"#, call.attempt).as_bytes());
    if let Some(annotations) = call.annotations() {
        out.extend_from_slice(br#","annotations":"#);
        out.extend_from_slice(annotations);
    }
    if moment.phase() != Phase::Before && !is_resource(call) {
        out.extend_from_slice(br#","arguments":"#);
        out.extend_from_slice(&call.arguments);
    }
    out.extend_from_slice(b"}}");
}

fn is_resource(call: &CallView) -> bool {
    call.event == Event::Request(Method::ResourcesRead)
}

/// Whether it has a name of its own and arguments; else its parameters are what it is.
fn is_call(call: &CallView) -> bool {
    Event::CALLS.contains(&call.event)
}

/// How long an answer to this question may be.
pub(super) fn longest(question: usize) -> usize {
    question.saturating_add(MAX_VERDICT)
}

/// Reads an answer to a question of this length.
pub(super) fn verdict(
    answer: &Bytes,
    question: usize,
    call: &CallView,
    moment: &Moment,
) -> Result<Verdict, Error> {
    if answer.len() > longest(question) {
        return Err(format!("its answer of {} bytes is too long", answer.len()).into());
    }
    let span = json::check(answer).map_err(|error| format!("its answer is not JSON: {error}"))?;
    let answer = answer.slice(span.start..span.end);
    if std::str::from_utf8(&answer).is_err() {
        return Err("its answer is not UTF-8".into());
    }
    if json::kind(&answer) != Kind::Object {
        return Err("its answer is not a JSON object".into());
    }
    let member = |name: &str| json::get(&answer, name).map(|span| answer.slice(span.start..span.end));
    if let Some(error) = member("error") {
        let text = json::string(&error).map(|text| text.into_owned());
        return Err(format!("it says: {}", shorten(&text.unwrap_or_else(|| lossy(&error)))).into());
    }
    let flag = |name: &str| match member(name).as_deref() {
        None => Ok(None),
        Some(b"true") => Ok(Some(true)),
        Some(b"false") => Ok(Some(false)),
        Some(_) => Err(format!("`{name}` in its answer is neither true nor false")),
    };
    let (valid, modified) = (flag("valid")?, flag("modified")?);
    if valid == Some(false) && blocks(&answer)? {
        return Ok(Verdict::Deny(reason(&answer)));
    }
    if modified == Some(true) {
        let payload = member("payload").ok_or("its answer says `modified`, and has no `payload`")?;
        return change(payload, call, moment);
    }
    if let Some(result) = member("answer") {
        return Ok(Verdict::Answer(result));
    }
    if let Some(delay) = member("delayMs") {
        let millis: u64 =
            lossy(&delay).parse().map_err(|_| "`delayMs` in its answer is no whole number".to_owned())?;
        return Ok(Verdict::Delay(Duration::from_millis(millis)));
    }
    // A misspelt `valid` must not pass for a yes.
    match valid.or(modified) {
        Some(_) => Ok(Verdict::Pass),
        None => Err("its answer has none of `valid`, `modified`, `answer` and `delayMs`".into()),
    }
}

/// Only errors block (SEP-2624, "Execution Model"); who does not say how bad it is means the worst.
fn blocks(answer: &[u8]) -> Result<bool, Error> {
    let Some(severity) = json::get(answer, "severity") else { return Ok(true) };
    match json::string(severity.of(answer)).as_deref() {
        Some("error") => Ok(true),
        Some("warn" | "info") => {
            tracing::info!(remarks = reason(answer), "an interceptor has remarks on a call");
            Ok(false)
        }
        _ => Err("`severity` in its answer is none of `error`, `warn` and `info`".into()),
    }
}

fn reason(answer: &[u8]) -> String {
    let messages = json::get(answer, "messages").map(|span| span.of(answer)).unwrap_or_default();
    let texts: Vec<String> = json::elements(messages)
        .filter_map(|span| {
            let message = span.of(messages);
            let text = json::string(json::get(message, "message")?.of(message))?;
            let path = json::get(message, "path").and_then(|path| json::string(path.of(message)));
            Some(path.map_or_else(|| text.to_string(), |path| format!("{path}: {text}")))
        })
        .collect();
    if texts.is_empty() { "it gives no reason".to_owned() } else { shorten(&texts.join("; ")) }
}

/// The new arguments or the new result in a changed payload. What decides where the call goes cannot be changed.
fn change(payload: Bytes, call: &CallView, moment: &Moment) -> Result<Verdict, Error> {
    if moment.phase() != Phase::Before {
        return Ok(Verdict::Change(payload));
    }
    if json::kind(&payload) != Kind::Object {
        return Err("the `payload` of its answer is not an object".into());
    }
    if !is_call(call) {
        return Ok(Verdict::Change(payload));
    }
    let key = if is_resource(call) { "uri" } else { "name" };
    let target = json::get(&payload, key).and_then(|span| json::string(span.of(&payload)));
    if target.is_some_and(|target| target != call.exposed.as_str()) {
        return Err(format!("it wants to change the `{key}`, which decides where the call goes").into());
    }
    if is_resource(call) {
        return Ok(Verdict::Pass);
    }
    let arguments = json::get(&payload, "arguments").map(|span| payload.slice(span.start..span.end));
    Ok(Verdict::Change(arguments.unwrap_or_else(|| Bytes::from_static(b"{}"))))
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// A stranger's words, cut to a length that a model should have to read.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
