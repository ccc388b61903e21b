//! An answer that may serve for several calls.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::key::META;
use crate::bridge::result::{CacheHints, check_final};
use crate::config::CacheRules;
use crate::failure::Failure;
use crate::pipeline::Outcome;
use crate::protocol::{Method, Revision, codes, meta};
use crate::wire::json::{self, Kind};
use crate::wire::{Body, Span, Splice};

/// Larger answers are not kept: one of them would drive out too many others.
const MAX_ANSWER: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Kept {
    /// The result or error.
    text: Bytes,
    is_error: bool,
    revision: &'static Revision,
    since: Instant,
    /// How long it is good for calls to come; not at all if it only serves those that wait for it already.
    good_for: Duration,
    /// Where in a result we say that it was kept.
    mark: Option<Mark>,
    /// How long the server says that it is good, in milliseconds, and where.
    hint: Option<(Span, u64)>,
}

/// An offset, and what stands there around our mark.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: usize,
    before: &'static str,
    after: &'static str,
}

/// What calls that wait for the same answer are told.
#[derive(Clone, Debug)]
pub(super) enum Landing {
    /// An answer for all of them.
    Answer(Arc<Kept>),
    /// There is none, for none of them.
    Failed(Failure),
    /// The answer concerns one of them alone: each must go its own way.
    Apart,
}

impl Landing {
    /// What an outcome at this time means for others.
    pub(super) fn of(outcome: &Outcome, method: Method, rules: &CacheRules, now: Instant) -> Self {
        match outcome {
            Outcome::Failed(failure) => Self::Failed(failure.clone()),
            Outcome::Reply { line, body, revision } => {
                let kept = match *body {
                    Body::Result(span) => Kept::result(line, span, method, revision, rules, now),
                    Body::Error(span) => Kept::error(line, span, revision, rules, now),
                };
                kept.map_or(Self::Apart, |kept| Self::Answer(Arc::new(kept)))
            }
        }
    }
}

impl Kept {
    fn result(
        line: &Bytes,
        span: Span,
        method: Method,
        revision: &'static Revision,
        rules: &CacheRules,
        now: Instant,
    ) -> Option<Self> {
        let result = span.of(line);
        let member = |name| json::get(result, name);
        if revision.is_modern() && check_final(result).is_err() {
            return None;
        }
        let meta = member("_meta");
        let says = |key| meta.is_some_and(|meta| json::get(meta.of(result), key).is_some());
        if says(meta::RELATED_TASK) {
            return None;
        }
        let mark = match meta {
            _ if says(META) => None,
            Some(meta) if json::kind(meta.of(result)) == Kind::Object => {
                let is_empty = json::members(meta.of(result)).next().is_none();
                Some(Mark { at: meta.start + 1, before: "", after: if is_empty { "" } else { "," } })
            }
            Some(_) => None,
            None => {
                let is_empty = json::members(result).next().is_none();
                Some(Mark { at: 1, before: r#""_meta":{"#, after: if is_empty { "}" } else { "}," } })
            }
        };
        let has_hints = method == Method::ResourcesRead && revision.is_modern();
        let hints = has_hints.then(|| CacheHints::of(result)).flatten();
        let is_failure = member("isError").is_some_and(|span| span.of(result) == b"true");
        let told = hints.map_or(Duration::MAX, |hints| Duration::from_millis(hints.ttl_ms));
        let ttl = if is_failure { rules.negative_ttl } else { Some(rules.ttl) };
        let new = Self::new(line, span, revision, ttl.unwrap_or_default().min(told), now);
        Some(Self { mark, hint: hints.and_then(|hints| Some((member("ttlMs")?, hints.ttl_ms))), ..new })
    }

    fn error(
        line: &Bytes,
        span: Span,
        revision: &'static Revision,
        rules: &CacheRules,
        now: Instant,
    ) -> Option<Self> {
        let error = span.of(line);
        let code = json::get(error, "code").map(|span| span.of(error));
        // It tells one client where to go.
        if code == Some(codes::URL_ELICITATION_REQUIRED.to_string().as_bytes()) {
            return None;
        }
        let new = Self::new(line, span, revision, rules.negative_ttl.unwrap_or_default(), now);
        Some(Self { is_error: true, ..new })
    }

    fn new(line: &Bytes, span: Span, revision: &'static Revision, good_for: Duration, now: Instant) -> Self {
        let is_large = span.len() > MAX_ANSWER;
        // A slice of what was read would keep all of that; what serves only those who wait is gone soon.
        let text = match is_large {
            true => line.slice(span.start..span.end),
            false => Bytes::copy_from_slice(span.of(line)),
        };
        let good_for = if is_large { Duration::ZERO } else { good_for };
        Self { text, is_error: false, revision, since: now, good_for, mark: None, hint: None }
    }

    /// Whether it may serve calls to come.
    pub(super) fn may_be_kept(&self) -> bool {
        !self.good_for.is_zero()
    }

    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.text.len()
    }

    /// Whether it is still good.
    pub(super) fn is_good(&self, now: Instant) -> bool {
        now < self.since + self.good_for
    }

    /// Whether it may stand in for a server that fails, so long after its time. Errors may not.
    pub(super) fn may_stand_in(&self, patience: Duration, now: Instant) -> bool {
        let is_failure = self.is_error
            || json::get(&self.text, "isError").is_some_and(|span| span.of(&self.text) == b"true");
        !is_failure && now < self.since + self.good_for + patience
    }

    /// The answer for another call, which says how old it is, and whether that is too old.
    pub(super) fn reply(&self, now: Instant, is_stale: bool) -> Outcome {
        let age = u64::try_from((now - self.since).as_millis()).unwrap_or(u64::MAX);
        let mut splice = Splice::new(&self.text);
        if let Some(Mark { at, before, after }) = self.mark {
            let stale = if is_stale { r#","stale":true"# } else { "" };
            let text = format!(r#"{before}"{META}":{{"hit":true,"age_ms":{age}{stale}}}{after}"#);
            splice.replace(Span { start: at, end: at }, text);
        }
        if let Some((span, ttl)) = self.hint {
            splice.replace(span, ttl.saturating_sub(age).to_string());
        }
        let line = if splice.is_noop() { self.text.clone() } else { splice.to_bytes() };
        let whole = Span { start: 0, end: line.len() };
        let body = if self.is_error { Body::Error(whole) } else { Body::Result(whole) };
        Outcome::Reply { line, body, revision: self.revision }
    }
}
