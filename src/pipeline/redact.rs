//! Hides secrets: in arguments, so that servers do not get them, and in what servers answer, so that models do not.
//!
//! Only texts inside of JSON strings are changed, so that what is left is the same JSON. All patterns together take time in proportion to the text.

mod veil;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use regex::{NoExpand, Regex, RegexBuilder};

use super::arguments::{replace_at, responses};
use super::payload::{arguments, elsewhere, set_arguments};
use super::{BoxFuture, Next, Outcome, Request, Stage};
use crate::config::{Glob, RedactRules, Secret, SecretKind};
use crate::failure::{Code, Failure};
use crate::protocol::Method;
use crate::wire::json;
use crate::wire::{Body, Span, Splice};
use veil::Veil;

/// The memory that all patterns together may take.
const SIZE: usize = 16 << 20;
/// From so many bytes on, looking is left to another thread.
const LARGE: usize = 256 << 10;
/// Texts under these keys that are nothing but base64, and at least so long, are pictures and the like.
const DATA_KEYS: [&[u8]; 2] = [b"\"data\"", b"\"blob\""];
const DATA_LENGTH: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct Redact {
    tools: Option<Vec<Glob>>,
    arguments: bool,
    results: bool,
    hidden: Arc<Hidden>,
}

/// What is hidden, and what stands in its place.
#[derive(Clone, Debug)]
pub(super) struct Hidden {
    patterns: Regex,
    with: String,
}

impl Redact {
    /// `None` if nothing is to be hidden.
    pub(super) fn new(rules: &RedactRules) -> Option<Self> {
        let kinds = rules.kinds.iter().map(|kind| Cow::Borrowed(kind.pattern()));
        let own = rules.patterns.iter().map(|pattern| Cow::Borrowed(pattern.as_str()));
        let secrets = rules.secrets.iter().map(|secret| Cow::Owned(regex::escape(secret.expose())));
        Some(Self {
            tools: rules.tools.clone(),
            arguments: rules.arguments,
            results: rules.results,
            hidden: Arc::new(Hidden::new(kinds.chain(secrets).chain(own), &rules.with)?),
        })
    }

    /// A task that nobody remembers may be of any tool.
    fn concerns(&self, request: &Request) -> bool {
        let Some(tools) = &self.tools else { return true };
        let is_unknown = matches!(request.call.method, Method::Task(_)) && request.definition.is_empty();
        is_unknown || tools.iter().any(|tool| tool.matches(request.exposed.as_str()))
    }

    async fn run(&self, mut request: Box<Request>, next: Next<'_>) -> Outcome {
        if !self.concerns(&request) {
            return next.run(request).await;
        }
        let place = match arguments(&request.call) {
            Err(failure) if self.arguments => return Outcome::Failed(failure),
            place => place.ok().flatten().filter(|_| self.arguments),
        };
        if let Some(place) = place
            && let Some(hidden) = self.hidden.in_json(request.call.line.slice(place.start..place.end)).await
        {
            match hidden {
                Ok(hidden) => set_arguments(&mut request.call, &hidden),
                Err(failure) => return Outcome::Failed(failure.not_run()),
            }
        }
        if let Err(failure) = self.hide_responses(&mut request).await {
            return Outcome::Failed(failure);
        }
        let client = Arc::clone(&request.call.caller);
        let Self { arguments, results, .. } = *self;
        request.call.caller = Arc::new(Veil { client, hidden: Arc::clone(&self.hidden), arguments, results });
        let outcome = next.run(request).await;
        if self.results { self.hide(outcome).await } else { outcome }
    }

    /// What the client answers to a question that it was handed as a result.
    async fn hide_responses(&self, request: &mut Request) -> Result<(), Failure> {
        let places = if self.arguments { responses(&request.call) } else { Vec::new() };
        // The last first, so that the places of the others stay.
        for place in places.into_iter().rev() {
            let told = request.call.line.slice(place.start..place.end);
            match self.hidden.in_json(told).await {
                Some(Ok(hidden)) => replace_at(&mut request.call, place, hidden),
                Some(Err(failure)) => return Err(failure.not_run()),
                None => {}
            }
        }
        Ok(())
    }

    /// What a server says outside of calls, as clients may hear it; `None` if they may hear all of it.
    pub(super) fn outside(&self, text: &[u8]) -> Option<Bytes> {
        self.results.then(|| self.hidden.changed(text)).flatten()
    }

    async fn hide(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failed(failure) => {
                let cause = self.hidden.in_text(&failure.cause).into_owned();
                Outcome::Failed(Failure { cause, ..failure })
            }
            Outcome::Reply { line, body, revision } => {
                let (Body::Result(span) | Body::Error(span)) = body;
                match self.hidden.in_json(line.slice(span.start..span.end)).await {
                    None => Outcome::Reply { line, body, revision },
                    Some(Err(failure)) => Outcome::Failed(failure),
                    Some(Ok(line)) => {
                        let whole = Span { start: 0, end: line.len() };
                        let body = match body {
                            Body::Result(_) => Body::Result(whole),
                            Body::Error(_) => Body::Error(whole),
                        };
                        Outcome::Reply { line, body, revision }
                    }
                }
            }
        }
    }
}

impl Hidden {
    /// `None` if there is no pattern. Each of them can be compiled.
    pub(super) fn new<'a>(patterns: impl Iterator<Item = Cow<'a, str>>, with: &str) -> Option<Self> {
        let all: Vec<String> = patterns.map(|pattern| format!("(?:{pattern})")).collect();
        if all.is_empty() {
            return None;
        }
        let compiled = RegexBuilder::new(&all.join("|")).size_limit(SIZE).build();
        // Without its patterns it must not let everything pass: then all texts are hidden.
        let patterns = compiled.or_else(|_| Regex::new("(?s).+")).ok()?;
        Some(Self { patterns, with: with.to_owned() })
    }

    /// What looks like a secret, and these.
    pub(super) fn secrets(secrets: &[Secret]) -> Option<Self> {
        let kinds = SecretKind::SECRETS.iter().map(|kind| Cow::Borrowed(kind.pattern()));
        let secrets = secrets.iter().map(|secret| Cow::Owned(regex::escape(secret.expose())));
        Self::new(kinds.chain(secrets), "[redacted]")
    }

    /// A text without what is hidden.
    pub(super) fn in_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.patterns.replace_all(text, NoExpand(&self.with))
    }

    /// A checked JSON text without what is hidden; `None` if nothing is.
    async fn in_json(&self, text: Bytes) -> Option<Result<Bytes, Failure>> {
        if text.len() <= LARGE {
            return self.changed(&text).map(Ok);
        }
        let hidden = self.clone();
        match elsewhere(move || hidden.changed(&text)).await {
            Ok(changed) => changed.map(Ok),
            Err(why) => {
                Some(Err(Failure::new(Code::CallUnavailable, format!("secrets could not be hidden: {why}"))))
            }
        }
    }

    /// The same at once.
    pub(super) fn changed(&self, text: &[u8]) -> Option<Bytes> {
        let mut splice = Splice::new(text);
        let (mut at, mut key) = (0, Span { start: 0, end: 0 });
        while let Some(quote) = memchr::memchr(b'"', text.get(at..)?).map(|offset| at + offset) {
            let Ok(end) = json::skip_string(text, quote) else { break };
            let span = Span { start: quote, end };
            at = end;
            if text.get(json::skip_space(text, end)) == Some(&b':') {
                key = span;
                continue;
            }
            let raw = span.of(text);
            if DATA_KEYS.contains(&key.of(text)) && is_data(raw) {
                continue;
            }
            if let Some(value) = json::string(raw)
                && let Cow::Owned(hidden) = self.in_text(&value)
            {
                splice.replace(span, json::quote(&hidden));
            }
        }
        (!splice.is_noop()).then(|| splice.to_bytes())
    }
}

fn is_data(raw: &[u8]) -> bool {
    let inner = &raw[1..raw.len() - 1];
    inner.len() >= DATA_LENGTH
        && inner
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_'))
}

impl Stage for Redact {
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(self.run(request, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretKind;

    fn hidden() -> Hidden {
        let kinds = SecretKind::SECRETS.iter().chain([&SecretKind::Email]);
        let own = [Cow::Borrowed(r"\binternal-\d+")];
        Hidden::new(kinds.map(|kind| Cow::Borrowed(kind.pattern())).chain(own), "#").unwrap()
    }

    #[test]
    fn secrets_are_hidden_and_nothing_else_is() {
        let hidden = hidden();
        let github = format!("ghp_{}", "a1B2".repeat(9));
        for (text, expected) in [
            (format!("token {github}."), "token #."),
            ("Authorization: Bearer abcdefghijklmnop0123==".to_owned(), "Authorization: #"),
            ("the bearer of news".to_owned(), "the bearer of news"),
            ("AKIAIOSFODNN7EXAMPLE and ASIAIOSFODNN7EXAMPLE".to_owned(), "# and #"),
            ("xoxb-123456789012-abc".to_owned(), "#"),
            ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln".to_owned(), "#"),
            ("sk-abcdefghijklmnopqrstuvwx".to_owned(), "#"),
            ("ask-anything-about-this-long-name".to_owned(), "ask-anything-about-this-long-name"),
            ("ann@example.org".to_owned(), "#"),
            ("see internal-42, not internal-x".to_owned(), "see #, not internal-x"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nafter".to_owned(),
                "#\nafter",
            ),
        ] {
            assert_eq!(hidden.in_text(&text), expected);
        }
    }

    #[test]
    fn json_stays_json_and_what_is_not_hidden_keeps_its_bytes() {
        let hidden = hidden();
        let key = r"-----BEGIN PRIVATE KEY-----\nMII\u0041\n-----END PRIVATE KEY-----";
        let text = format!(
            r#"{{ "a":1.10, "k" : "x {key} \"y\"", "list":["\u0041KIAIOSFODNN7EXAMPLE"], "ann@example.org":"é" }}"#
        );
        let changed = hidden.changed(text.as_bytes()).unwrap();
        let expected = r##"{ "a":1.10, "k" : "x # \"y\"", "list":["#"], "ann@example.org":"é" }"##;
        assert_eq!(changed, expected);
        assert_eq!(hidden.changed(br#"{"a":"b\u0000"}"#), None);
        let picture = format!(r#"{{"type":"image","data":"{}AKIAIOSFODNN7EXAMPLE"}}"#, "A/b+".repeat(100));
        assert_eq!(hidden.changed(picture.as_bytes()), None);
        assert!(hidden.changed(br#"{"data":"AKIAIOSFODNN7EXAMPLE"}"#).is_some());
    }

    #[test]
    fn large_texts_take_time_in_proportion() {
        let text = format!("\"{}\"", "bearer eyJa.eyJ AKIA x@".repeat(40_000));
        let began = std::time::Instant::now();
        assert_eq!(hidden().changed(text.as_bytes()), None);
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    }
}
