//! The client's lines: what each one asks for. What we answer ourselves is in [`local`], what goes to a server in
//! [`relay`].

pub(super) mod local;
pub(super) mod places;
mod relay;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::frontend::Outlet;
use crate::frontend::answer::{Answer, excerpt};
use crate::frontend::batch::Batch;
use crate::frontend::pending::{Back, Request};
use crate::frontend::session::Session;
use crate::protocol::{Era, Method, Revision, TaskMethod, codes, meta};
use crate::registry::Registry;
use crate::wire::{Fault, Id, Line, LineReader, Message, PerLine, Span, envelope, json};
use places::Places;

/// A request as it came in: the line and the places in it.
pub(super) struct Incoming<'a> {
    pub(super) line: &'a Bytes,
    pub(super) id: Span,
    pub(super) params: Option<Span>,
    pub(super) places: Places,
    pub(super) back: &'a Back,
}

impl Incoming<'_> {
    pub(super) fn params(&self) -> &[u8] {
        self.params.map(|span| span.of(self.line)).unwrap_or_default()
    }

    /// A member of the parameters, placed in the line.
    pub(super) fn member(&self, name: &str) -> Option<Span> {
        json::get(self.params(), name).map(|span| span.shifted(self.params.map_or(0, |params| params.start)))
    }

    pub(super) fn string(&self, name: &str) -> Option<Cow<'_, str>> {
        json::string(self.member(name)?.of(self.line))
    }
}

/// A line as far as it can be read without knowing whose it is.
struct Read<'a> {
    message: Result<Message<'a>, Fault>,
    places: Places,
}

impl<'a> Read<'a> {
    fn new(line: &'a [u8]) -> Self {
        let message = envelope::from_client(line);
        let params = match &message {
            Ok(Message::Request { params, .. }) => *params,
            _ => None,
        };
        let places = Places::of(line, params.filter(|span| json::kind(span.of(line)) == json::Kind::Object));
        Self { message, places }
    }
}

impl Session {
    /// Takes all lines of the client that have been read.
    pub fn lines(self: &Arc<Self>, reader: &mut LineReader) {
        let back = Back { out: self.out.clone(), batch: None };
        loop {
            let lines = reader.next_lines();
            if lines.is_empty() {
                return;
            }
            let read: PerLine<Option<Read<'_>>> = lines
                .iter()
                .map(|line| match line {
                    Line::Whole(line) => Some(Read::new(line)),
                    Line::TooLong { .. } => None,
                })
                .collect();
            for (line, read) in lines.iter().zip(&read) {
                match (line, read) {
                    (Line::Whole(line), Some(read)) => self.take(line, read, &back),
                    (line, _) => self.one_line(line, &back),
                }
            }
        }
    }

    /// Takes one line of the client.
    pub fn line(self: &Arc<Self>, line: &Line) {
        self.one_line(line, &Back { out: self.out.clone(), batch: None });
    }

    fn one_line(self: &Arc<Self>, line: &Line, back: &Back) {
        match line {
            Line::Whole(line) => self.whole(line, back),
            Line::TooLong { head, tail, length } => {
                let id = envelope::recover_id(head).or_else(|| envelope::recover_id(tail));
                let text =
                    format!("the message has {length} bytes; at most {} are read", super::stdio::MAX_LINE);
                self.refuse(id.as_ref(), codes::INVALID_REQUEST, &text, back);
            }
        }
    }

    /// Takes one message that came by itself; what answers it goes to `out`.
    pub(super) fn message(self: &Arc<Self>, message: Bytes, out: Outlet) {
        self.whole(&message, &Back { out, batch: None });
    }

    fn whole(self: &Arc<Self>, line: &Bytes, back: &Back) {
        self.take(line, &Read::new(line), back);
    }

    fn take(self: &Arc<Self>, line: &Bytes, read: &Read<'_>, back: &Back) {
        match &read.message {
            Ok(Message::Request { id, method, params }) => {
                let (id, params, places) = (*id, *params, read.places);
                self.request(Incoming { line, id, params, places, back }, method);
            }
            Ok(Message::Notification { method, params }) => self.notification(line, method, *params),
            Ok(Message::Response { id, body }) => self.answered(line, *id, *body),
            Err(Fault::Batch(span)) if back.batch.is_none() => self.batch(line, *span, back),
            Err(Fault::Batch(_)) => {
                self.refuse(None, codes::INVALID_REQUEST, "a batch cannot hold a batch", back)
            }
            Err(Fault::Syntax(what)) => {
                self.refuse(None, codes::PARSE_ERROR, &format!("Parse error: {what}"), back);
            }
            Err(Fault::TooDeep(id)) => {
                let text = format!("Invalid request: nested deeper than {} levels", json::MAX_DEPTH);
                self.refuse(id.as_ref(), codes::INVALID_REQUEST, &text, back);
            }
            Err(Fault::Invalid(id, what)) => {
                self.refuse(id.as_ref(), codes::INVALID_REQUEST, &format!("Invalid request: {what}"), back);
            }
        }
    }

    /// Answers something that never became a request.
    fn refuse(&self, id: Option<&Id>, code: i32, message: &str, back: &Back) {
        let answer = Answer::error(code, message);
        back.send(|line| answer.write(line, id.map_or(&b"null"[..], Id::as_bytes)));
    }

    /// A batch is served where the revision has batches (2025-03-26), and refused as a whole elsewhere.
    fn batch(self: &Arc<Self>, line: &Bytes, array: Span, back: &Back) {
        let allowed =
            self.state().greeted.as_ref().is_some_and(|greeted| greeted.introduction.revision.batches);
        let parts: Vec<Bytes> = json::elements(array.of(line))
            .map(|element| line.slice(array.start + element.start..array.start + element.end))
            .collect();
        if !allowed || parts.is_empty() {
            let text = if allowed {
                "Invalid request: an empty batch"
            } else {
                "Invalid request: batches are not part of this protocol revision"
            };
            return self.refuse(None, codes::INVALID_REQUEST, text, back);
        }
        let wants_answer = |part: &Bytes| {
            !matches!(
                envelope::from_client(part),
                Ok(Message::Notification { .. } | Message::Response { .. })
            )
        };
        let batch = Arc::new(Batch::new(parts.iter().filter(|part| wants_answer(part)).count()));
        let back = Back { out: back.out.clone(), batch: Some(batch) };
        for part in &parts {
            self.whole(part, &back);
        }
    }

    // === requests ===

    fn request(self: &Arc<Self>, incoming: Incoming<'_>, method: &str) {
        let Some(id) = Id::new(incoming.id.of(incoming.line)) else { return };
        let refuse = |code, text: &str| self.refuse(Some(&id), code, text, incoming.back);
        if incoming.places.is_modern {
            if incoming.back.batch.is_some() {
                return refuse(
                    codes::INVALID_REQUEST,
                    "a request of this revision must not be part of a batch",
                );
            }
            let principal = self.principal().map(Arc::from);
            return self.hall.serve_modern(&incoming, id, method, &self.scope, principal);
        }
        let Some(method) = Method::parse(method) else {
            return refuse(codes::METHOD_NOT_FOUND, &format!("Method not found: {}", excerpt(method)));
        };
        if incoming.params.is_some_and(|span| json::kind(span.of(incoming.line)) != json::Kind::Object) {
            return refuse(codes::INVALID_PARAMS, "`params` must be an object");
        }
        let (greeted, ready) = {
            let state = self.state();
            (state.greeted.is_some(), state.held.is_none())
        };
        match method {
            Method::Initialize if incoming.back.batch.is_some() => {
                return refuse(codes::INVALID_REQUEST, "`initialize` must not be part of a batch");
            }
            Method::Initialize | Method::Ping => {}
            _ if !greeted && method.is_of(Era::Modern) && !method.is_of(Era::Legacy) => {
                let text =
                    format!("`_meta` lacks `{}` and `{}`", meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES);
                return refuse(codes::INVALID_PARAMS, &text);
            }
            _ if !method.is_of(Era::Legacy) => {
                return refuse(codes::METHOD_NOT_FOUND, &format!("Method not found: {}", method.name()));
            }
            _ if !greeted => {
                let text = format!(
                    "the first request must be `initialize`, or each must say in `_meta` that it is of {}",
                    Revision::newest_modern().name
                );
                return refuse(codes::INVALID_REQUEST, &text);
            }
            _ if !ready => self.ready(),
            _ => {}
        }
        self.dispatch(id, incoming, method);
    }

    fn dispatch(self: &Arc<Self>, id: Id, incoming: Incoming<'_>, method: Method) {
        let Some(registry) = self.registry() else { return };
        match method {
            Method::ToolsCall
            | Method::PromptsGet
            | Method::ResourcesRead
            | Method::Subscribe
            | Method::Unsubscribe
            | Method::Complete => self.relay_request(registry, id, &incoming, method),
            Method::List(kind) => self.list(registry, id, &incoming, kind),
            Method::SetLevel => self.set_level(id, &incoming),
            Method::Initialize => self.initialize(registry, id, &incoming),
            Method::Ping => self.at_once(id, &incoming, method, &Answer::result("{}")),
            Method::Task(TaskMethod::List) => self.list_tasks(id, &incoming),
            Method::Task(_) => self.relay_request(registry, id, &incoming, method),
            // Refused before: they are of the other era.
            Method::Discover | Method::Listen => {}
        }
    }

    /// Notes a request and gives its ticket; refuses an id that is open.
    fn open(&self, request: Request) -> Option<crate::call::Ticket> {
        let (id, back) = (request.id.clone(), request.back.clone());
        let ticket = self.state().requests.open(request);
        if ticket.is_none() {
            self.refuse(Some(&id), codes::INVALID_REQUEST, "a request with this id is open", &back);
        }
        ticket
    }

    pub(super) fn local(
        &self,
        id: Id,
        incoming: &Incoming<'_>,
        method: Method,
    ) -> Option<crate::call::Ticket> {
        self.open(Request {
            id,
            method,
            token: None,
            server: None,
            rewrites: false,
            task: false,
            limit: usize::MAX,
            uri: None,
            back: incoming.back.clone(),
        })
    }

    /// Answers a request for something that nobody has. As long as first lists wait for new servers it waits too: one
    /// of them may show it.
    fn nobody_has(self: &Arc<Self>, id: Id, incoming: &Incoming<'_>, method: Method, answer: &Answer) {
        let Some((registry, deadline)) = self.waits_for_servers() else {
            return self.at_once(id, incoming, method, answer);
        };
        let Some(ticket) = self.local(id.clone(), incoming, method) else { return };
        let (session, line) = (Arc::clone(self), incoming.line.clone());
        let (place, params, places) = (incoming.id, incoming.params, incoming.places);
        let back = incoming.back.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = registry.complete_by(deadline) => {}
                () = session.ended.cancelled() => {}
            }
            // Cancelled meanwhile, or opened anew without anybody noticing.
            if session.state().requests.close(ticket).is_some() {
                session.dispatch(
                    id,
                    Incoming { line: &line, id: place, params, places, back: &back },
                    method,
                );
            }
        });
    }

    /// Until when first lists wait for servers that have not shown anything; `None` if they do not.
    fn waits_for_servers(&self) -> Option<(Arc<Registry>, Instant)> {
        let deadline = self.state().greeted.as_ref().map(|greeted| greeted.patience)?;
        let registry = self.registry().filter(|registry| !registry.is_complete())?;
        (Instant::now() < deadline && !self.ended.is_cancelled()).then(|| (Arc::clone(registry), deadline))
    }

    pub(super) fn at_once(&self, id: Id, incoming: &Incoming<'_>, method: Method, answer: &Answer) {
        if let Some(ticket) = self.local(id, incoming, method) {
            self.answer(ticket, answer);
        }
    }

    // === notifications ===

    fn notification(&self, line: &Bytes, method: &str, params: Option<Span>) {
        match method {
            "notifications/cancelled" => self.cancelled(line, params),
            "notifications/progress" => {
                if let Some(params) = params {
                    self.question_progress(line, params);
                }
            }
            "notifications/roots/list_changed" => {
                let params = params.map(|span| span.of(line));
                self.private.all().iter().for_each(|own| own.notify(method, params));
                // Servers that many share have none of anybody's roots.
                if let Some(registry) = self.registry().filter(|_| self.hall.is_sole()) {
                    registry.notify_all(method, params);
                }
            }
            "notifications/initialized" => self.ready(),
            _ => tracing::debug!(method, "an unknown notification of the client was ignored"),
        }
    }

    /// MCP "Cancellation": unknown and finished requests are ignored, and no answer follows.
    fn cancelled(&self, line: &Bytes, params: Option<Span>) {
        let Some(params) = params.map(|span| span.of(line)) else { return };
        let Some(id) = json::get(params, "requestId").and_then(|span| Id::new(span.of(params))) else {
            return;
        };
        let reason = json::get(params, "reason").and_then(|span| json::string(span.of(params)));
        if self.scope.cancel(&id, reason.as_deref()) {
            return;
        }
        let ticket = {
            let state = self.state();
            let ticket = state.requests.ticket(&id);
            ticket.filter(|ticket| {
                state.requests.get(*ticket).is_some_and(|open| open.method != Method::Initialize)
            })
        };
        let Some((ticket, request)) = ticket.and_then(|ticket| Some((ticket, self.drop_request(ticket)?)))
        else {
            return;
        };
        if let Some(server) = request.server {
            self.cancel_at(&server, ticket, reason.as_deref());
        }
        // After that: an answer to a call that is still open would send it on its next round.
        self.give_up_questions(ticket);
    }
}
