//! The caller in front of a call that is counted: he passes everything on, and notes how it ends.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use memchr::memmem::Finder;
use tokio::time::Instant;

use super::{Ended, Ending, Meter};
use crate::call::{Between, Call, Caller, Reply, Ticket};
use crate::failure::{Code, Failure};
use crate::names::OriginalName;
use crate::protocol::Method;
use crate::wire::{Body, json};

/// See the module.
#[derive(Debug)]
pub(super) struct Watched {
    client: Arc<dyn Caller>,
    label: OriginalName,
    method: Method,
    began: Instant,
    sent: usize,
    /// Where the end is noted; nowhere once it has been.
    meter: Mutex<Option<Arc<Meter>>>,
}

impl Watched {
    /// The same call with such a caller.
    pub(super) fn put_before(call: Call, meter: Arc<Meter>) -> Call {
        let watched = Self {
            client: call.caller,
            label: call.label.clone(),
            method: call.method,
            began: Instant::now(),
            sent: call.params.map_or(0, |params| params.len()),
            meter: Mutex::new(Some(meter)),
        };
        Call { caller: Arc::new(watched), ..call }
    }

    fn end(&self, ending: Ending, code: Option<Code>, received: usize) {
        let meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(meter) = meter {
            let took = self.began.elapsed();
            let ended = Ended { ending, code, took, sent: self.sent, received };
            meter.record(self.method, &self.label, ended);
        }
    }
}

impl Drop for Watched {
    /// Whoever lets go of a call without an answer has given it up.
    fn drop(&mut self) {
        self.end(Ending::Cancelled, None, 0);
    }
}

/// How an answer of a server ends a call.
pub(crate) fn ending(method: Method, reply: &Reply<'_>) -> Ending {
    match reply.body {
        Body::Error(_) => Ending::Error,
        Body::Result(span) if method == Method::ToolsCall && says_error(span.of(reply.line)) => {
            Ending::ToolError
        }
        Body::Result(_) => Ending::Ok,
    }
}

/// Whether a tool's result says that it is an error. Most of them do not even have the word, which is found out much faster than
/// a member is looked for.
fn says_error(result: &[u8]) -> bool {
    static WORD: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\"isError\""));
    WORD.find(result).is_some() && json::get(result, "isError").is_some_and(|span| span.of(result) == b"true")
}

impl Between for Watched {
    fn client(&self) -> &Arc<dyn Caller> {
        &self.client
    }

    fn reply(&self, ticket: Ticket, reply: Reply<'_>) {
        let (Body::Result(span) | Body::Error(span)) = reply.body;
        self.end(ending(self.method, &reply), None, span.len());
        self.client.reply(ticket, reply);
    }

    fn fail(&self, ticket: Ticket, failure: Failure) {
        if let Some(meter) = &*self.meter.lock().unwrap_or_else(PoisonError::into_inner) {
            meter.remember(&self.label, &failure);
        }
        self.end(Ending::Failed, Some(failure.code), 0);
        self.client.fail(ticket, failure);
    }
}
