//! One line in the log for every call, whatever becomes of it.

use std::borrow::Cow;

use tokio::time::Instant;

use super::payload::arguments;
use super::redact::Hidden;
use super::{BoxFuture, Next, Outcome, Request, Stage};
use crate::config::{Glob, LogRules};
use crate::names::ServerName;
use crate::wire::{Body, json};

/// So much of the arguments is logged, in bytes.
const MAX_ARGUMENTS: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct Log {
    server: ServerName,
    tools: Option<Vec<Glob>>,
    /// What is hidden in arguments; `None` if they are not logged.
    arguments: Option<Hidden>,
}

/// A call whose end is logged, also if its client gives it up.
struct Entry<'a> {
    log: &'a Log,
    method: &'static str,
    tool: String,
    original: String,
    caller: Option<std::sync::Arc<str>>,
    effect: &'static str,
    arguments: Option<String>,
    sent: usize,
    began: Instant,
    end: End,
}

/// What became of a call.
#[derive(Default)]
struct End {
    outcome: Option<Cow<'static, str>>,
    received: usize,
}

impl Log {
    pub(super) fn new(server: ServerName, rules: &LogRules) -> Self {
        let hidden = || Hidden::secrets(&rules.secrets);
        Self { server, tools: rules.tools.clone(), arguments: rules.arguments.then(hidden).flatten() }
    }

    fn entry(&self, request: &Request) -> Entry<'_> {
        let call = &request.call;
        let arguments = self.arguments.as_ref().and_then(|hidden| {
            let text = arguments(call).ok()??.of(&call.line);
            let shown =
                hidden.changed(text).map_or(Cow::Borrowed(text), |changed| Cow::Owned(changed.to_vec()));
            let text = String::from_utf8_lossy(&shown);
            let mut end = text.len().min(MAX_ARGUMENTS);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.get(..end).map(str::to_owned)
        });
        Entry {
            log: self,
            method: call.method.name(),
            tool: request.exposed.to_string(),
            original: call.label.to_string(),
            caller: call.caller.principal(),
            effect: request.effect.word(),
            arguments,
            sent: call.params.map_or(0, |params| params.len()),
            began: Instant::now(),
            end: End::default(),
        }
    }

    async fn run(&self, request: Box<Request>, next: Next<'_>) -> Outcome {
        let mut entry = self.entry(&request);
        let outcome = next.run(request).await;
        entry.end = End::of(&outcome);
        outcome
    }
}

impl End {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Failed(failure) => Self { outcome: Some(failure.code.id().into()), received: 0 },
            Outcome::Reply { body: Body::Error(span), .. } => {
                Self { outcome: Some("error".into()), received: span.len() }
            }
            Outcome::Reply { line, body: Body::Result(span), .. } => {
                let result = span.of(line);
                let failed = json::get(result, "isError").is_some_and(|span| span.of(result) == b"true");
                Self { outcome: Some(if failed { "tool error" } else { "ok" }.into()), received: span.len() }
            }
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        tracing::info!(
            target: "switchboard::calls",
            event = "call.finished",
            server = %self.log.server,
            method = self.method,
            tool = self.tool,
            original = self.original,
            caller = self.caller.as_deref(),
            effect = self.effect,
            duration_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            outcome = self.end.outcome.as_deref().unwrap_or("given up"),
            sent_bytes = self.sent,
            received_bytes = self.end.received,
            arguments = self.arguments.as_deref(),
            "a call"
        );
    }
}

impl Stage for Log {
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        let is_meant = self
            .tools
            .as_ref()
            .is_none_or(|tools| tools.iter().any(|tool| tool.matches(request.exposed.as_str())));
        if is_meant { Box::pin(self.run(request, next)) } else { next.run(request) }
    }
}
