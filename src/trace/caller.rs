//! The caller in front of a call that has a span: he passes everything on, and ends the span with the call.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::{Kind, Span, Tracer};
use crate::call::{Between, Call, Caller, Reply, Ticket};
use crate::failure::Failure;
use crate::meter::{Ending, ending};
use crate::protocol::Method;
use crate::wire::{Body, json};

/// See the module.
#[derive(Debug)]
pub(super) struct Spanned {
    client: Arc<dyn Caller>,
    method: Method,
    began: Instant,
    tracer: Arc<Tracer>,
    /// `None` once it has ended.
    span: Mutex<Option<Span>>,
}

impl Spanned {
    /// The same call with such a caller.
    pub(super) fn put_before(call: Call, tracer: Arc<Tracer>, span: Span) -> Call {
        let spanned = Self {
            client: call.caller,
            method: call.method,
            began: Instant::now(),
            tracer,
            span: Mutex::new(Some(span)),
        };
        Call { caller: Arc::new(spanned), ..call }
    }

    fn end(&self, tell: impl FnOnce(&mut Span)) {
        let span = self.span.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut span) = span {
            span.took = self.began.elapsed();
            tell(&mut span);
            self.tracer.finish(span);
        }
    }
}

impl Drop for Spanned {
    /// Whoever lets go of a call without an answer has given it up.
    fn drop(&mut self) {
        self.end(|span| span.fail("cancelled"));
    }
}

/// What an answer says of a call. The code of an error is its type; its text may say anything.
fn tell(span: &mut Span, method: Method, reply: &Reply<'_>) {
    if span.kind == Kind::Client {
        span.note("mcp.protocol.version", reply.revision.name);
    }
    match (ending(method, reply), reply.body) {
        (Ending::Error, Body::Error(error)) => {
            let error = error.of(reply.line);
            let code = json::get(error, "code").and_then(|span| std::str::from_utf8(span.of(error)).ok());
            let code = code.filter(|code| code.len() <= 11 && code.parse::<i64>().is_ok());
            match code {
                Some(code) => {
                    span.note("rpc.response.status_code", code.to_owned());
                    span.fail(code.to_owned());
                }
                None => span.fail("_OTHER"),
            }
        }
        (Ending::ToolError, _) => span.fail("tool_error"),
        _ => {}
    }
}

impl Between for Spanned {
    fn client(&self) -> &Arc<dyn Caller> {
        &self.client
    }

    fn reply(&self, ticket: Ticket, reply: Reply<'_>) {
        self.end(|span| tell(span, self.method, &reply));
        self.client.reply(ticket, reply);
    }

    fn fail(&self, ticket: Ticket, failure: Failure) {
        self.end(|span| span.fail(failure.code.id()));
        self.client.fail(ticket, failure);
    }
}
