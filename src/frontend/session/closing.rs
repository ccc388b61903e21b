//! The end of a request: its answer, written for the client that asked.

use bytes::Bytes;

use super::Session;
use crate::bridge;
use crate::call::{Caller as _, Ticket};
use crate::failure::{Code, Failure};
use crate::frontend::MAX_MESSAGE;
use crate::frontend::answer::Answer;
use crate::frontend::pending::Request;
use crate::names::ServerName;
use crate::protocol::{Method, Revision};
use crate::wire::{LineWriter, Span};

impl Session {
    /// Answers a request with something of ours. Does nothing if it was cancelled meanwhile.
    pub(in crate::frontend) fn answer(&self, ticket: Ticket, answer: &Answer) {
        if let Some(request) = self.close(ticket) {
            self.deliver(&request, |line| answer.write(line, request.id.as_bytes()));
        }
    }

    #[inline]
    pub(in crate::frontend) fn close(&self, ticket: Ticket) -> Option<Request> {
        let request = self.state().requests.close(ticket)?;
        self.closed.notify_waiters();
        Some(request)
    }

    /// Sends the line that closes a request: by itself, or with the batch that it belongs to.
    pub(super) fn deliver(&self, request: &Request, write: impl FnOnce(&mut LineWriter<'_>)) {
        request.back.send(write);
    }

    /// Forgets a request that the client has cancelled: it gets no answer.
    pub(in crate::frontend) fn drop_request(&self, ticket: Ticket) -> Option<Request> {
        let request = self.close(ticket)?;
        request.back.nothing();
        Some(request)
    }

    pub(super) fn relay(&self, request: &Request, line: &Bytes, member: &str, span: Span) {
        self.deliver(request, |out| {
            out.copy(br#"{"jsonrpc":"2.0","id":"#);
            out.copy(request.id.as_bytes());
            out.copy(b",\"");
            out.copy(member.as_bytes());
            out.copy(b"\":");
            out.part(line, span.start, span.end);
            out.copy(b"}");
        });
    }

    /// Relays a result: as it is, but for what the client's revision lacks and for URIs that it knows in another spelling.
    pub(super) fn result(&self, request: &Request, line: &Bytes, span: Span, from: &'static Revision) {
        let translated = match self.differs_from(from) {
            None => None,
            Some(own) => match bridge::result::to_legacy(request.method, span.of(line), from, own) {
                Ok(translated) => translated,
                Err(_) => {
                    let failure = Failure::new(Code::CallMalformed, "it answered with a result that is none");
                    let answer = Answer::failure(request.method, &failure);
                    return self.deliver(request, |line| answer.write(line, request.id.as_bytes()));
                }
            },
        };
        let result = translated.as_deref().unwrap_or_else(|| span.of(line));
        let size = result.len();
        if size > request.limit.min(MAX_MESSAGE - ENVELOPE) {
            return self.refuse_size(request, size);
        }
        let task = request.server.as_ref().filter(|_| request.task);
        let task = task.and_then(|server| self.with_our_task(request.method, server, result));
        // Only the end of a task has URIs in it, and only its `_meta` names the task.
        let rewritten = self.rewritten(request, task.as_deref().unwrap_or(result));
        match rewritten.or(task).or(translated) {
            Some(text) => self.relay(request, &text, "result", Span { start: 0, end: text.len() }),
            None => self.relay(request, line, "result", span),
        }
    }

    pub(super) fn refuse_size(&self, request: &Request, size: usize) {
        let answer = Answer::failure(request.method, &too_large(request.server.as_ref(), size));
        self.deliver(request, |line| answer.write(line, request.id.as_bytes()));
    }

    /// The client's revision, if texts of `from` may hold what it does not know.
    pub(super) fn differs_from(&self, from: &'static Revision) -> Option<&'static Revision> {
        let own = self.revision()?;
        (from.is_modern() || from.name > own.name).then_some(own)
    }

    pub(super) fn translated_error(
        &self,
        request: &Request,
        error: &[u8],
        from: &'static Revision,
    ) -> Option<Bytes> {
        let own = self.revision()?;
        if std::ptr::eq(own, from) {
            return None;
        }
        let declared = self.introduction().capabilities;
        bridge::error::relay(request.method, error, from, own, &declared)
    }

    /// A result with the URIs of servers that need other ones for clients; `None` for almost every result.
    pub(super) fn rewritten(&self, request: &Request, result: &[u8]) -> Option<Bytes> {
        if !request.rewrites {
            return None;
        }
        self.catalog()?.rewrite_result(request.server.as_ref()?, result)
    }

    /// Notes what a server has agreed to. Its answers come in its own order: an end that was asked for before the
    /// beginning was answered still counts last.
    pub(super) fn note_subscription(&self, request: &Request) {
        let (Some(server), Some(uri)) = (&request.server, &request.uri) else { return };
        let follows = request.method == Method::Subscribe;
        if follows || request.method == Method::Unsubscribe {
            self.follow(server, uri, follows);
        }
    }

    /// Notes that the client follows a resource, or no longer does.
    pub(in crate::frontend) fn follow(&self, server: &ServerName, uri: &str, follows: bool) {
        let Some(backend) = self.backend(server) else { return };
        let key = (server.clone(), uri.to_owned());
        let mut state = self.state();
        let changed =
            if follows { state.subscriptions.insert(key) } else { state.subscriptions.remove(&key) };
        drop(state);
        match (changed, follows) {
            (true, true) => backend.subscribed(uri.to_owned()),
            (true, false) => backend.unsubscribed(uri),
            (false, _) => {}
        }
    }
}

pub(in crate::frontend) fn too_large(server: Option<&ServerName>, size: usize) -> Failure {
    let failure = Failure::new(
        Code::CallTooLarge,
        format!(
            "the answer has {:.1} MiB; clients take at most {} MiB in one message",
            size as f64 / (1 << 20) as f64,
            MAX_MESSAGE >> 20
        ),
    )
    .remedy("Ask for less: a page, a range, a filter");
    match server {
        Some(server) => failure.of(server),
        None => failure,
    }
}

/// What the envelope around a payload, and our edits in it, may add to a message.
const ENVELOPE: usize = 4096;

/// Whether clients can read a message with a payload of this many bytes.
pub(in crate::frontend) fn fits(payload: usize) -> bool {
    payload <= MAX_MESSAGE - ENVELOPE
}
