//! One client: what it said of itself, what it has open, and the queue of lines to it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::bridge;
use crate::call::{Ask, AskKey, Caller, CallerId, Introduction, NotAsked, Notice, Progress, Reply, Ticket};
use crate::catalog::Catalog;
use crate::failure::{Code, Failure};
use crate::frontend::answer::Answer;
use crate::frontend::modern::scope::Scope;
use crate::frontend::pending::{Question, Request, Requests};
use crate::frontend::private::Private;
use crate::frontend::{Hall, MAX_MESSAGE, Outlet};
use crate::names::ServerName;
use crate::protocol::{Level, Method, Revision};
use crate::registry::Registry;
use crate::wire::{Body, LineWriter, Span, json};

/// So many bytes waiting, and log messages are dropped rather than put in front of answers.
const CROWDED: usize = 1 << 20;

/// One client of ours that began with `initialize`, or may still do so.
pub struct Session {
    me: Weak<Session>,
    id: CallerId,
    /// Who the client is by its token, over HTTP.
    principal: Option<Arc<str>>,
    pub(super) hall: Arc<Hall>,
    /// Where everything goes that belongs to no request of the client.
    pub(super) out: Outlet,
    /// The requests of the modern era on the same connection.
    pub(super) scope: Arc<Scope>,
    /// The servers of this session alone.
    pub(super) private: Private,
    /// The revision of the client, once it has introduced itself.
    revision: OnceLock<&'static Revision>,
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
    /// The resources that the client follows, in the servers' spelling.
    pub(super) subscriptions: HashSet<(ServerName, String)>,
}

/// What the client said in its `initialize`.
pub(super) struct Greeted {
    pub(super) introduction: Introduction,
    /// Until when a first list waits for servers that have not shown anything yet.
    pub(super) patience: Instant,
    /// Whether we have declared that tools can be called as tasks.
    pub(super) tasks: bool,
}

impl Session {
    /// A session in a hall; what belongs to no request goes to `out`.
    pub fn new(hall: &Arc<Hall>, out: Outlet, principal: Option<Arc<str>>) -> Arc<Self> {
        let session = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            id: CallerId::fresh(),
            principal,
            hall: Arc::clone(hall),
            out,
            scope: Arc::default(),
            private: Private::default(),
            revision: OnceLock::new(),
            state: Mutex::new(State {
                requests: Requests::default(),
                questions: HashMap::new(),
                next_question: 1,
                greeted: None,
                level: None,
                held: Some(Vec::new()),
                announced: [0; 4],
                subscriptions: HashSet::new(),
            }),
            closed: Notify::new(),
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
        });
        hall.enter(&session);
        session
    }

    /// The servers; `None` only before the hall has them.
    pub(super) fn registry(&self) -> Option<&Arc<Registry>> {
        self.hall.registry()
    }

    pub(super) fn catalog(&self) -> Option<Arc<Catalog>> {
        self.hall.catalog()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// Its own reference.
    pub(super) fn me(&self) -> Option<Arc<Session>> {
        self.me.upgrade()
    }

    pub(super) fn caller_id(&self) -> CallerId {
        self.id
    }

    /// The revision of the client, once it has introduced itself.
    pub(super) fn revision(&self) -> Option<&'static Revision> {
        self.revision.get().copied()
    }

    /// Notes how the client has introduced itself. Whether it was for the first time.
    pub(super) fn greet(&self, greeted: Greeted) -> bool {
        let _ = self.revision.set(greeted.introduction.revision);
        self.state().greeted.replace(greeted).is_none()
    }

    /// Whether so much waits for the client that nothing more should be read for it.
    pub fn is_full(&self) -> bool {
        self.out.is_full()
    }

    /// Resolves when the client has room again. Cancel safe.
    pub async fn room(&self) {
        self.out.room().await;
    }

    /// How many requests of the client are open.
    pub fn open_requests(&self) -> usize {
        self.state().requests.count() + self.scope.count()
    }

    /// Waits until no request is open. Cancel safe.
    pub async fn drained(&self) {
        loop {
            let (closed, modern) = (self.closed.notified(), self.scope.closed().notified());
            tokio::pin!(closed, modern);
            closed.as_mut().enable();
            modern.as_mut().enable();
            if self.open_requests() == 0 {
                return;
            }
            tokio::select! {
                () = closed => {}
                () = modern => {}
            }
        }
    }

    /// The client is gone and will not come back: whatever it has at servers ends.
    pub fn leave(&self) {
        self.scope.cancel_all("the client has left");
        let (requests, followed) = {
            let mut state = self.state();
            (state.requests.close_all(), std::mem::take(&mut state.subscriptions))
        };
        for (ticket, request) in requests {
            if let Some(backend) = request.server.and_then(|server| self.backend(&server)) {
                backend.cancel(self.id, ticket, Some("the client has left"));
            }
        }
        for (server, uri) in followed {
            if let Some(backend) = self.backend(&server) {
                backend.unsubscribed(&uri);
            }
        }
        self.hall.ledger.left(self);
        self.private.end();
        self.hall.leave(self);
        self.level_changed();
    }

    /// The server of this name, as this session uses it.
    pub(super) fn backend(&self, server: &ServerName) -> Option<Arc<Backend>> {
        self.private.find(server).or_else(|| self.registry()?.backend(server).cloned())
    }

    /// Tells servers how severe log messages must be that anybody wants.
    pub(super) fn level_changed(&self) {
        let (Some(registry), Some(level)) = (self.registry(), self.hall.level()) else { return };
        registry.set_level(level);
        for backend in self.private.all() {
            backend.set_level(self.level().unwrap_or(level));
        }
    }

    /// Ends the session's own tasks, and what it has at servers, and waits for the tasks.
    pub async fn end(&self) {
        self.hall.leave(self);
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
        request.back.send(write);
    }

    /// Forgets a request that the client has cancelled: it gets no answer.
    pub(super) fn drop_request(&self, ticket: Ticket) -> Option<Request> {
        let request = self.close(ticket)?;
        request.back.nothing();
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

    /// Relays a result: as it is, but for what the client's revision lacks and for URIs that it knows in another spelling.
    fn result(&self, request: &Request, line: &Bytes, span: Span, from: &'static Revision) {
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

    fn refuse_size(&self, request: &Request, size: usize) {
        let answer = Answer::failure(request.method, &too_large(request.server.as_ref(), size));
        self.deliver(request, |line| answer.write(line, request.id.as_bytes()));
    }

    /// The client's revision, if texts of `from` may hold what it does not know.
    fn differs_from(&self, from: &'static Revision) -> Option<&'static Revision> {
        let own = self.revision()?;
        (from.is_modern() || from.name > own.name).then_some(own)
    }

    fn translated_error(&self, request: &Request, error: &[u8], from: &'static Revision) -> Option<Bytes> {
        let own = self.revision()?;
        if std::ptr::eq(own, from) {
            return None;
        }
        let declared = self.introduction().capabilities;
        bridge::error::relay(request.method, error, from, own, &declared)
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
        let follows = request.method == Method::Subscribe;
        if follows || request.method == Method::Unsubscribe {
            self.follow(server, uri, follows);
        }
    }

    /// Notes that the client follows a resource, or no longer does.
    pub(super) fn follow(&self, server: &ServerName, uri: &str, follows: bool) {
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

    /// Whether news of this resource is for the client. What has changed may be a part of what it follows, under whatever URI;
    /// where others follow something at the same server, only a longer spelling of its own tells.
    fn follows(&self, server: &ServerName, uri: &str) -> bool {
        let is_alone = self.hall.is_sole() || self.private.find(server).is_some();
        let state = self.state();
        let mut at_server = state.subscriptions.iter().filter(|(of, _)| of == server);
        at_server.any(|(_, followed)| is_alone || uri.starts_with(followed.as_str()))
    }

    /// Writes a notification whose parameters are `text` with some parts replaced. One that clients could not read is
    /// dropped.
    pub(super) fn send_notice(
        &self,
        out: &Outlet,
        method: &str,
        notice: &Notice<'_>,
        edits: &[(Span, &[u8])],
    ) {
        // Nobody waits for one of many clients that does not read; its answers wait, and the news is lost.
        if !self.hall.is_sole() && out.is_full() {
            return;
        }
        let added: usize = edits.iter().map(|(_, with)| with.len()).sum();
        if !fits(notice.params.len() + added) {
            return tracing::warn!(
                method,
                size = notice.params.len(),
                "a notification over the limit was dropped"
            );
        }
        out.push(|out| {
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

pub(super) fn too_large(server: Option<&ServerName>, size: usize) -> Failure {
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

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Caller for Session {
    fn id(&self) -> CallerId {
        self.id
    }

    fn introduction(&self) -> Introduction {
        match &self.state().greeted {
            Some(greeted) => greeted.introduction.clone(),
            None => {
                Introduction { revision: Revision::newest_legacy(), capabilities: Bytes::from_static(b"{}") }
            }
        }
    }

    fn level(&self) -> Option<Level> {
        self.state().level
    }

    fn reply(&self, ticket: Ticket, reply: Reply<'_>) {
        let Some(request) = self.close(ticket) else { return };
        match reply.body {
            Body::Result(span) => {
                self.note_subscription(&request);
                self.result(&request, reply.line, span, reply.revision);
            }
            Body::Error(span) if !fits(span.len()) => self.refuse_size(&request, span.len()),
            Body::Error(span) => match self.translated_error(&request, span.of(reply.line), reply.revision) {
                Some(text) => self.relay(&request, &text, "error", Span { start: 0, end: text.len() }),
                None => self.relay(&request, reply.line, "error", span),
            },
        }
    }

    fn fail(&self, ticket: Ticket, failure: Failure) {
        let Some(method) = self.state().requests.get(ticket).map(|request| request.method) else { return };
        self.answer(ticket, &Answer::failure(method, &failure));
    }

    fn progress(&self, ticket: Ticket, progress: Progress<'_>) {
        let Progress { notice, token, revision } = progress;
        let found = self
            .state()
            .requests
            .get(ticket)
            .map(|request| (request.token.clone(), request.back.out.clone()));
        let Some((Some(own), out)) = found else { return };
        let send = |notice: &Notice<'_>, token| {
            self.send_notice(&out, "notifications/progress", notice, &[(token, &own)]);
        };
        // What the first revision lacks stands in every notification of the others; those of its own servers pass as they are.
        let older = self.revision().filter(|own| !own.progress_message && revision.progress_message);
        let Some(text) =
            older.and_then(|own| bridge::request::notification(notice.params.of(notice.line), true, own))
        else {
            return send(&notice, token);
        };
        if let Some(token) = json::get(&text, "progressToken") {
            send(&Notice { line: &text, params: Span { start: 0, end: text.len() } }, token);
        }
    }

    fn log(&self, ticket: Ticket, server: &ServerName, notice: Notice<'_>) {
        self.pass_log(server, &notice, self.outlet_of(ticket).as_ref());
    }

    fn ask(&self, ticket: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        self.put(ask, Some(ticket))
    }

    fn withdraw(&self, key: &AskKey, reason: &str) {
        self.take_back(key, reason);
    }
}

impl Session {
    pub(super) fn outlet_of(&self, ticket: Ticket) -> Option<Outlet> {
        self.state().requests.get(ticket).map(|request| request.back.out.clone())
    }

    /// Passes a server's log message on, if the client wants such.
    pub(super) fn pass_log(&self, server: &ServerName, notice: &Notice<'_>, out: Option<&Outlet>) {
        let params = notice.params.of(notice.line);
        let level = json::get(params, "level").and_then(|span| json::string(span.of(params)));
        let wanted = self.state().level;
        let below =
            |wanted: Level| level.as_deref().and_then(Level::parse).is_some_and(|level| level < wanted);
        let out = out.unwrap_or(&self.out);
        if wanted.is_some_and(below) || out.waiting() > CROWDED {
            return;
        }
        let (place, name) = named_logger(server, notice);
        self.send_notice(out, "notifications/message", notice, &[(place, &name)]);
    }

    /// A log message of ours about a server.
    pub(super) fn say(&self, server: &ServerName, text: &str) {
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

    /// A resource of the server has changed: told to a client that follows something there. What changed may be a part
    /// of what it follows, so it is the client that compares.
    pub(super) fn updated(&self, server: &ServerName, notice: &Notice<'_>) {
        let Some(registry) = self.registry() else { return };
        let params = notice.params.of(notice.line);
        let Some(span) = json::get(params, "uri") else { return };
        let Some(uri) = json::string(span.of(params)) else { return };
        if !self.follows(server, &uri) {
            return;
        }
        let catalog = registry.catalog();
        match catalog.expose_uri(server, &uri) {
            exposed if exposed == uri => {
                self.send_notice(&self.out, "notifications/resources/updated", notice, &[])
            }
            exposed => {
                let edit = (span.shifted(notice.params.start), &*json::quote(&exposed));
                self.send_notice(&self.out, "notifications/resources/updated", notice, &[edit]);
            }
        }
    }

    pub(super) fn elicitation_complete(&self, notice: &Notice<'_>) {
        self.send_notice(&self.out, "notifications/elicitation/complete", notice, &[]);
    }
}

/// The edit that makes a log message name its server: where, and with what.
pub(super) fn named_logger(server: &ServerName, notice: &Notice<'_>) -> (Span, Vec<u8>) {
    let params = notice.params.of(notice.line);
    if let Some(span) = json::get(params, "logger") {
        let name = match json::string(span.of(params)) {
            Some(logger) => json::quote(&format!("{server}/{logger}")),
            None => json::quote(server.as_str()),
        };
        return (span.shifted(notice.params.start), name);
    }
    let at = notice.params.start + 1;
    let mut member = br#""logger":"#.to_vec();
    json::push_string(&mut member, server.as_str());
    if json::members(params).next().is_some() {
        member.push(b',');
    }
    (Span { start: at, end: at }, member)
}
