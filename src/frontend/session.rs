//! One client: what it said of itself, what it has open, and the queue of lines to it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::call::{Ask, AskKey, Client, Introduction, NotAsked, Notice, Reply, Ticket};
use crate::catalog::Catalog;
use crate::failure::{Code, Failure};
use crate::frontend::MAX_MESSAGE;
use crate::frontend::answer::Answer;
use crate::frontend::batch::Batch;
use crate::frontend::pending::{Question, Request, Requests};
use crate::names::ServerName;
use crate::protocol::{Level, Method, Revision};
use crate::registry::Registry;
use crate::wire::outbox::render;
use crate::wire::{Body, LineWriter, Outbox, Span, json};

/// How many bytes may wait for a client before servers pause.
const OUTBOX_LIMIT: usize = 32 << 20;
/// So many bytes waiting, and log messages are dropped rather than put in front of answers.
const CROWDED: usize = 1 << 20;

/// One client of ours.
pub struct Session {
    pub(super) out: Outbox,
    registry: OnceLock<Arc<Registry>>,
    pub(super) state: Mutex<State>,
    /// Told whenever a request is closed.
    closed: Notify,
    pub(super) tasks: TaskTracker,
    pub(super) ended: CancellationToken,
}

/// What changes while the session lives. Locked for a line at a time.
pub(super) struct State {
    pub(super) requests: Requests,
    pub(super) questions: HashMap<u64, Question>,
    pub(super) next_question: u64,
    pub(super) greeted: Option<Greeted>,
    pub(super) level: Option<Level>,
    /// Questions, by number, that came before the client was ready for any; `None` once it is.
    pub(super) held: Option<Vec<(u64, Vec<u8>)>>,
    /// The lists as the client knows them, for `list_changed`.
    pub(super) announced: [u64; 4],
}

/// What the client said in its `initialize`.
pub(super) struct Greeted {
    pub(super) introduction: Introduction,
    /// Until when a first list waits for servers that have not shown anything yet.
    pub(super) patience: Instant,
}

impl Session {
    /// A session that is not attached to servers yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            out: Outbox::new(OUTBOX_LIMIT),
            registry: OnceLock::new(),
            state: Mutex::new(State {
                requests: Requests::default(),
                questions: HashMap::new(),
                next_question: 1,
                greeted: None,
                level: None,
                held: Some(Vec::new()),
                announced: [0; 4],
            }),
            closed: Notify::new(),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
        })
    }

    /// Gives the session its servers. Once, before the first line.
    pub fn attach(&self, registry: Arc<Registry>) {
        let _ = self.registry.set(registry);
    }

    /// The servers; `None` only before [`attach`](Self::attach).
    pub(super) fn registry(&self) -> Option<&Arc<Registry>> {
        self.registry.get()
    }

    pub(super) fn catalog(&self) -> Option<Arc<Catalog>> {
        self.registry().map(|registry| registry.catalog())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines to the client; one task writes them ([`Outbox::write_to`]).
    pub fn outbox(&self) -> &Outbox {
        &self.out
    }

    /// How many requests of the client are open.
    pub fn open_requests(&self) -> usize {
        self.state().requests.count()
    }

    /// Waits until no request is open. Cancel safe.
    pub async fn drained(&self) {
        loop {
            let closed = self.closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            if self.open_requests() == 0 {
                return;
            }
            closed.await;
        }
    }

    /// Ends the session's own tasks and waits for them.
    pub async fn end(&self) {
        self.ended.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    // === closing requests ===

    /// Answers a request with something of ours. Does nothing if it was cancelled meanwhile.
    pub(super) fn answer(&self, ticket: Ticket, answer: &Answer) {
        if let Some(request) = self.close(ticket) {
            self.deliver(&request, |line| answer.write(line, request.id.as_bytes()));
        }
    }

    pub(super) fn close(&self, ticket: Ticket) -> Option<Request> {
        let request = self.state().requests.close(ticket)?;
        self.closed.notify_waiters();
        Some(request)
    }

    /// Sends the line that closes a request: by itself, or with the batch that it belongs to.
    fn deliver(&self, request: &Request, write: impl FnOnce(&mut LineWriter<'_>)) {
        match &request.batch {
            None => self.out.push(write),
            Some(batch) => self.gather(batch, Some(&render(write))),
        }
    }

    /// Adds an answer to its batch, or notes that there is none.
    pub(super) fn gather(&self, batch: &Batch, answer: Option<&[u8]>) {
        batch.add(answer, |array| self.out.push(|line| line.copy(&array)));
    }

    /// Forgets a request that the client has cancelled: it gets no answer.
    pub(super) fn drop_request(&self, ticket: Ticket) -> Option<Request> {
        let request = self.close(ticket)?;
        if let Some(batch) = &request.batch {
            self.gather(batch, None);
        }
        Some(request)
    }

    fn relay(&self, request: &Request, line: &Bytes, member: &str, span: Span) {
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

    /// A result with the URIs of servers that need other ones for clients; `None` for almost every result.
    fn rewritten(&self, request: &Request, result: &[u8]) -> Option<Bytes> {
        if !request.rewrites {
            return None;
        }
        self.catalog()?.rewrite_result(request.server.as_ref()?, result)
    }

    /// Notes what a server has agreed to. Its answers come in its own order: an end that was asked for before the
    /// beginning was answered still counts last.
    fn note_subscription(&self, request: &Request) {
        let (Some(server), Some(uri)) = (&request.server, &request.uri) else { return };
        let Some(backend) = self.registry().and_then(|all| all.backend(server)) else { return };
        match request.method {
            Method::Subscribe => backend.subscribed(uri.clone()),
            Method::Unsubscribe => backend.unsubscribed(uri),
            _ => {}
        }
    }

    /// Writes a notification whose parameters are `text` with some parts replaced. One that clients could not read is
    /// dropped.
    pub(super) fn send_notice(&self, method: &str, notice: &Notice<'_>, edits: &[(Span, &[u8])]) {
        let added: usize = edits.iter().map(|(_, with)| with.len()).sum();
        if !fits(notice.params.len() + added) {
            return tracing::warn!(
                method,
                size = notice.params.len(),
                "a notification over the limit was dropped"
            );
        }
        self.out.push(|out| {
            out.copy(br#"{"jsonrpc":"2.0","method":""#);
            out.copy(method.as_bytes());
            out.copy(br#"","params":"#);
            write_edited(out, notice.line, notice.params, edits);
            out.copy(b"}");
        });
    }
}

/// Writes `span` of `text` with `edits` made, which are sorted.
pub(super) fn write_edited(out: &mut LineWriter<'_>, text: &Bytes, span: Span, edits: &[(Span, &[u8])]) {
    let mut from = span.start;
    for (place, with) in edits {
        out.part(text, from, place.start);
        out.copy(with);
        from = place.end;
    }
    out.part(text, from, span.end);
}

fn too_large(server: Option<&ServerName>, size: usize) -> Failure {
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
pub(super) fn fits(payload: usize) -> bool {
    payload <= MAX_MESSAGE - ENVELOPE
}

impl Client for Session {
    fn introduction(&self) -> Introduction {
        match &self.state().greeted {
            Some(greeted) => greeted.introduction.clone(),
            None => {
                Introduction { revision: Revision::newest_legacy(), capabilities: Bytes::from_static(b"{}") }
            }
        }
    }

    fn reply(&self, ticket: Ticket, reply: Reply<'_>) {
        let Some(request) = self.close(ticket) else { return };
        let (member, span) = match reply.body {
            Body::Result(span) => ("result", span),
            Body::Error(span) => ("error", span),
        };
        if member == "result" {
            self.note_subscription(&request);
            if let Some(text) = self.rewritten(&request, span.of(reply.line)) {
                let whole = Span { start: 0, end: text.len() };
                return self.relay(&request, &text, member, whole);
            }
        }
        let limit = request.limit.min(MAX_MESSAGE - ENVELOPE);
        if span.len() > limit {
            let answer = Answer::failure(request.method, &too_large(request.server.as_ref(), span.len()));
            return self.deliver(&request, |line| answer.write(line, request.id.as_bytes()));
        }
        self.relay(&request, reply.line, member, span);
    }

    fn fail(&self, ticket: Ticket, failure: Failure) {
        let Some(method) = self.state().requests.get(ticket).map(|request| request.method) else { return };
        self.answer(ticket, &Answer::failure(method, &failure));
    }

    fn progress(&self, ticket: Ticket, notice: Notice<'_>, token: Span) {
        let Some(own) = self.state().requests.get(ticket).and_then(|request| request.token.clone()) else {
            return;
        };
        self.send_notice("notifications/progress", &notice, &[(token, &own)]);
    }

    fn log(&self, server: &ServerName, notice: Notice<'_>) {
        let params = notice.params.of(notice.line);
        let level = json::get(params, "level").and_then(|span| json::string(span.of(params)));
        let wanted = self.state().level;
        let below =
            |wanted: Level| level.as_deref().and_then(Level::parse).is_some_and(|level| level < wanted);
        if wanted.is_some_and(below) || self.out.waiting() > CROWDED {
            return;
        }
        let logger = json::get(params, "logger").map(|span| (span, json::string(span.of(params))));
        match logger {
            Some((span, Some(logger))) => {
                let name = json::quote(&format!("{server}/{logger}"));
                self.send_notice(
                    "notifications/message",
                    &notice,
                    &[(span.shifted(notice.params.start), &name)],
                );
            }
            Some((span, None)) => {
                let name = json::quote(server.as_str());
                self.send_notice(
                    "notifications/message",
                    &notice,
                    &[(span.shifted(notice.params.start), &name)],
                );
            }
            None => {
                let at = notice.params.start + 1;
                let mut member = br#""logger":"#.to_vec();
                json::push_string(&mut member, server.as_str());
                if json::members(params).next().is_some() {
                    member.push(b',');
                }
                self.send_notice("notifications/message", &notice, &[(Span { start: at, end: at }, &member)]);
            }
        }
    }

    fn say(&self, server: &ServerName, text: &str) {
        if self.state().level.is_some_and(|level| level > Level::Warning) {
            return;
        }
        self.out.push(|out| {
            out.copy(
                br#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"warning","logger":"#,
            );
            out.copy(&json::quote(server.as_str()));
            out.copy(br#","data":"#);
            out.copy(&json::quote(text));
            out.copy(b"}}");
        });
    }

    fn updated(&self, server: &ServerName, notice: Notice<'_>) {
        let Some(registry) = self.registry() else { return };
        if !registry.backend(server).is_some_and(|backend| backend.has_subscriptions()) {
            return;
        }
        let params = notice.params.of(notice.line);
        let Some(span) = json::get(params, "uri") else { return };
        let Some(uri) = json::string(span.of(params)) else { return };
        let catalog = registry.catalog();
        match catalog.expose_uri(server, &uri) {
            exposed if exposed == uri => self.send_notice("notifications/resources/updated", &notice, &[]),
            exposed => {
                let edit = (span.shifted(notice.params.start), &*json::quote(&exposed));
                self.send_notice("notifications/resources/updated", &notice, &[edit]);
            }
        }
    }

    fn elicitation_complete(&self, notice: Notice<'_>) {
        self.send_notice("notifications/elicitation/complete", &notice, &[]);
    }

    fn ask(&self, ask: Ask<'_>) -> Result<(), NotAsked> {
        self.put(ask)
    }

    fn withdraw(&self, key: &AskKey, reason: &str) {
        self.take_back(key, reason);
    }

    fn is_full(&self) -> bool {
        self.out.is_full()
    }

    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.out.room())
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
