//! Shows calls, results and errors to the interceptors, and does what they say.
//!
//! It stands in front of the cache, so that an answer that was kept is looked at each time it is given, and a call that is not
//! allowed gets none. What is no end of a call passes unseen: a request for input, a task that has begun. So that no result gets by
//! as that of a task, there are none where somebody must see the result.

mod waits;

use std::sync::Arc;

use bytes::Bytes;

use super::arguments::{self, Place};
use super::{BoxFuture, Next, Outcome, Request, Stage};
use waits::Waits;

use crate::bridge::result::check_final;
use crate::call::Call;
use crate::failure::{Code, Failure};
use crate::interceptor::{
    CallError, CallView, Event, Interceptors, Moment, Overheard, Recheck, Ruling, Trace,
};
use crate::names::ServerName;
use crate::protocol::Revision;
use crate::wire::{Body, Span, json};

/// See the module.
pub(super) struct Hooks {
    server: ServerName,
    interceptors: Arc<Interceptors>,
    /// Checks what an interceptor has changed, if the tool's schemas are checked at all.
    recheck: Option<Recheck>,
    /// Whether somebody wants to see what servers ask in the middle of calls.
    hears_questions: bool,
}

impl Hooks {
    pub(super) fn new(server: ServerName, interceptors: Arc<Interceptors>, recheck: Option<Recheck>) -> Self {
        let hears_questions = interceptors.hear_questions();
        Self { server, interceptors, recheck, hears_questions }
    }

    async fn run(&self, mut request: Box<Request>, next: Next<'_>) -> Outcome {
        let seen = self.view(&request).and_then(|call| self.keep_in_sight(&mut request).map(|()| call));
        let mut call = match seen {
            Ok(call) => call,
            Err(failure) => return Outcome::Failed(failure),
        };
        let deadline = request.deadline;
        let ask = async |call: &CallView, moment| {
            self.interceptors.ask(call, moment, deadline, self.recheck.as_ref()).await
        };
        let outcome = match ask(&call, Moment::Before).await {
            Ok(Ruling::Pass) => next.run(request).await,
            Ok(Ruling::Changed(arguments)) => {
                arguments::replace(&mut request.call, &arguments);
                call.arguments = arguments;
                next.run(request).await
            }
            // What has no revision is in the words that every client can be given.
            Ok(Ruling::Answered(result)) => reply(result, Revision::newest_legacy()),
            Err(failure) => Outcome::Failed(failure),
        };
        let (moment, revision) = match &outcome {
            Outcome::Reply { line, body: Body::Result(span), revision } => {
                let result = line.slice(span.start..span.end);
                if !is_end(&result, revision) {
                    return outcome;
                }
                (Moment::After(result), *revision)
            }
            Outcome::Reply { line, body: Body::Error(span), revision } => {
                (Moment::Error(CallError::Answer(line.slice(span.start..span.end))), *revision)
            }
            Outcome::Failed(failure) => {
                (Moment::Error(CallError::Failure(failure.clone())), Revision::newest_legacy())
            }
        };
        let was_error = matches!(moment, Moment::Error(_));
        match ask(&call, moment).await {
            Ok(Ruling::Pass) => outcome,
            Ok(Ruling::Changed(result)) => reply(result, revision),
            Ok(Ruling::Answered(result)) if was_error => reply(result, Revision::newest_legacy()),
            Ok(Ruling::Answered(result)) => reply(result, revision),
            Err(failure) => Outcome::Failed(match &outcome {
                // Whether it may have run is known from what it failed of.
                Outcome::Failed(first) => failure.ran(first.ran),
                Outcome::Reply { .. } => failure,
            }),
        }
    }

    /// Sees to it that the result comes back this way, where somebody must see it.
    fn keep_in_sight(&self, request: &mut Request) -> Result<(), Failure> {
        let call = &mut request.call;
        // Whoever is patient waits for the result himself, for a task of ours.
        if call.caller.is_patient()
            || !self.interceptors.must_see_results(Event::Request(call.method), &request.exposed)
        {
            return Ok(());
        }
        let params = call.params.map(|span| span.of(&call.line)).unwrap_or_default();
        if json::get(params, "task").is_some() && !call.caller.introduction().revision.is_modern() {
            let cause =
                format!("`{}` cannot run as a task, because an interceptor must see its result", call.label);
            let failure = Failure::new(Code::CallNotSupported, cause).of(&self.server).not_run();
            return Err(failure.remedy("It did not run; call it without `task`"));
        }
        call.caller = Waits::of(Arc::clone(&call.caller));
        Ok(())
    }

    fn view(&self, request: &Request) -> Result<CallView, Failure> {
        let call = &request.call;
        let arguments = match arguments::find(call) {
            Place::At(span) => call.line.slice(span.start..span.end),
            Place::Nowhere => Bytes::from_static(b"{}"),
            Place::Twice => {
                let cause = format!(
                    "`{}` has its `arguments` twice, and interceptors could see only one of them",
                    call.label
                );
                let failure = Failure::new(Code::HookFailed, cause).of(&self.server).not_run();
                return Err(failure.remedy("It did not run; send them once"));
            }
        };
        Ok(self.view_of(request, arguments))
    }

    fn view_of(&self, request: &Request, arguments: Bytes) -> CallView {
        let call = &request.call;
        CallView {
            event: Event::Request(call.method),
            exposed: request.exposed.clone(),
            original: call.label.clone(),
            server: self.server.clone(),
            arguments,
            definition: request.definition.clone(),
            principal: call.caller.principal(),
            effect: request.effect,
            attempt: request.attempt,
            trace: trace(call),
        }
    }
}

impl Stage for Hooks {
    fn around<'a>(&'a self, mut request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        if self.hears_questions {
            let view = self.view_of(&request, Bytes::new());
            let client = match request.call.caller.is_patient() {
                true => Arc::clone(&request.call.caller),
                // What a task asks stands in what is told of it, where nobody would look at it.
                false => Waits::of(Arc::clone(&request.call.caller)),
            };
            let asks = Arc::default();
            request.call.caller = Arc::new(Overheard::new(client, view, &self.interceptors, asks));
        }
        let event = Event::Request(request.call.method);
        let is_seen = Event::CALLS.contains(&event) && self.interceptors.concern(event, &request.exposed);
        if is_seen { Box::pin(self.run(request, next)) } else { next.run(request) }
    }
}

/// The trace that the client says the call belongs to (SEP-414: `traceparent` in `_meta`).
fn trace(call: &Call) -> Option<Trace> {
    let meta = call.meta?.of(&call.line);
    let text = json::get(meta, "traceparent").and_then(|span| json::string(span.of(meta)))?;
    Trace::parse(&text)
}

/// Whether the call ends with this result.
fn is_end(result: &[u8], revision: &Revision) -> bool {
    let is_task = || json::get(result, "task").is_some() && json::get(result, "content").is_none();
    match revision.is_modern() {
        true => check_final(result).is_ok(),
        false => !is_task(),
    }
}

fn reply(result: Bytes, revision: &'static Revision) -> Outcome {
    let body = Body::Result(Span { start: 0, end: result.len() });
    Outcome::Reply { line: result, body, revision }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").field("interceptors", &self.interceptors).finish_non_exhaustive()
    }
}
