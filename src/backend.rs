//! One server as we use it: its connection, the ids we give it, its generations.
//!
//! In come [`Call`]s with the server's own names; out go their answers, to the [`Caller`](crate::call::Caller) that made them, and what the
//! server shows ([`Observer::offering`]). A backend starts its server when somebody needs it, starts it again when it
//! fell, and answers everything in flight when it does. It never knows exposed names or a client's ids.
//!
//! Three parts share one backend. [`link`] is the table of what is in flight; callers and the reader work on it
//! directly, under a lock that is never held across an await. `reader` takes the server's lines apart.
//! `lifecycle` is the one task that starts, watches and ends the process.

pub mod link;

mod changes;
mod compose;
mod freshness;
mod gate;
mod handshake;
mod lifecycle;
mod listing;
mod messages;
mod reader;
mod round;
mod state;
mod succession;
mod task;
mod verdict;
mod way;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::bridge::result::CacheHints;
use crate::call::{AskKey, Asker, Audience, Call, CallerId, Reply, Ticket};
use crate::catalog::Offering;
use crate::config::{Launch, ServerConfig, Share};
use crate::effect::Ran;
use crate::failure::{Code, Failure};
use crate::names::ServerName;
use crate::protocol::{Level, ListKind, Method, Revision};
use crate::supervisor::StderrTail;
use crate::wire::{Body, Span};

use freshness::Freshness;
use link::{Link, Past, Submitted};
use round::Rounds;
use task::Errands;

pub use changes::Changes;
pub use lifecycle::{Lifecycle, Shutdown};
pub use link::Pulse;
pub use state::State;
pub(crate) use succession::Journey;
pub use verdict::Verdicts;
pub use way::Way;

/// Who wants to know what becomes of a backend.
pub trait Observer: Send + Sync {
    /// The server has shown its lists, for the first time or anew.
    fn offering(&self, server: &ServerName, offering: Offering, extent: Extent);

    /// The backend's [`State`] has changed.
    fn state_changed(&self, server: &ServerName);
}

/// How much of what a server has an offering holds. What is missing is as it was known before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    Whole,
    /// Some lists could not be fetched; they are asked for again.
    Lacking,
    /// The tools; the other lists are still on their way.
    Tools,
}

/// One server. Shared; the process behind it comes and goes.
pub struct Backend {
    config: ServerConfig,
    audience: Arc<dyn Audience>,
    link: Link,
    orders: Orders,
    is_stale: AtomicBool,
    freshness: Freshness,
    /// What has changed, if anybody keeps answers.
    changes: Option<Arc<Changes>>,
    /// Told when a call begins to wait for the server.
    waits: Notify,
    wanted: Mutex<Wanted>,
    /// Calls whose clients are being asked.
    rounds: Rounds,
    /// Calls that have become tasks of the server.
    errands: Errands,
    /// Calls that are sent again when the tools have been listed anew.
    after_listing: Mutex<Vec<(Call, Past)>>,
    state: Mutex<State>,
    /// When it came into this state.
    since: Mutex<Instant>,
    tallies: Mutex<Tallies>,
    /// What happened to the backends whose place this one has taken.
    earlier: Tallies,
    /// How many calls are on their way here through stages.
    journeys: AtomicUsize,
    /// Why the server does not stay.
    farewell: OnceLock<&'static str>,
    noise: Mutex<Vec<String>>,
    stderr: Mutex<Option<StderrTail>>,
    /// Why the server refuses calls until somebody logs in to it.
    wants_login: Mutex<Option<Failure>>,
}

/// What a failed start has to tell its callers why, before their own patience ends.
const LEEWAY: Duration = Duration::from_millis(250);

/// How many lines of noise are kept.
const NOISE_KEPT: usize = 5;

/// What a new generation of the server must be told again.
#[derive(Clone, Default)]
struct Wanted {
    level: Option<Level>,
    /// The resources that clients follow, and how many do.
    subscriptions: BTreeMap<String, usize>,
    /// Those that nobody follows any more, until a server that was told to begin has been told to end.
    left: BTreeSet<String>,
    /// The tasks that clients follow, by the server's ids, and how many do. Modern servers tell of those that are named.
    tasks: BTreeMap<String, usize>,
}

/// What happened since we run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Calls that were handed to the server.
    pub calls: u64,
    /// Calls that got no answer of the server.
    pub failures: u64,
    /// Starts of the process.
    pub starts: u64,
    /// Lines on stdout that were no protocol messages.
    pub noise: u64,
    /// Log messages that were dropped because there were too many.
    pub dropped_logs: u64,
}

impl Tallies {
    /// The sum of both.
    pub fn and(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            failures: self.failures + other.failures,
            starts: self.starts + other.starts,
            noise: self.noise + other.noise,
            dropped_logs: self.dropped_logs + other.dropped_logs,
        }
    }
}

/// What the lifecycle is asked to do. A flag that is set twice is one order.
#[derive(Default)]
struct Orders {
    pending: Mutex<Pending>,
    given: Notify,
}

#[derive(Default)]
struct Pending {
    start: bool,
    refresh: Vec<ListKind>,
    /// Other resources are followed than before.
    follow: bool,
    /// The server has agreed to tell what the request of this id asked it to.
    acknowledged: Option<u64>,
    /// The server no longer speaks the revision that it spoke.
    renegotiate: bool,
}

impl Orders {
    fn give(&self, order: impl FnOnce(&mut Pending)) {
        order(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        self.given.notify_one();
    }

    fn wants_refresh(&self) -> bool {
        !self.pending.lock().unwrap_or_else(PoisonError::into_inner).refresh.is_empty()
    }

    fn take(&self) -> Pending {
        std::mem::take(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when there may be an order. Cancel safe.
    async fn given(&self) {
        self.given.notified().await;
    }
}

impl Backend {
    /// A backend whose server is not running. [`Lifecycle::run`] must be spawned for it to ever do so.
    pub fn new(config: ServerConfig, audience: Arc<dyn Audience>) -> Arc<Self> {
        let changes = config.stages.cache.is_some().then(Arc::default);
        Arc::new(Self::with_link(Link::new(config.name.clone(), config.questions), config, audience, changes))
    }

    fn with_link(
        link: Link,
        config: ServerConfig,
        audience: Arc<dyn Audience>,
        changes: Option<Arc<Changes>>,
    ) -> Self {
        Self {
            link,
            changes,
            config,
            audience,
            orders: Orders::default(),
            is_stale: AtomicBool::new(false),
            freshness: Freshness::default(),
            waits: Notify::new(),
            wanted: Mutex::default(),
            rounds: Rounds::default(),
            errands: Errands::default(),
            after_listing: Mutex::default(),
            state: Mutex::new(State::Idle),
            since: Mutex::new(Instant::now()),
            tallies: Mutex::default(),
            earlier: Tallies::default(),
            journeys: AtomicUsize::new(0),
            farewell: OnceLock::new(),
            noise: Mutex::default(),
            stderr: Mutex::default(),
            wants_login: Mutex::default(),
        }
    }

    /// Another instance of the same server, reached in this way. The two count their generations together, so that no question
    /// of one is taken for a question of the other; and what one of them says to have changed has changed for both.
    pub fn beside(&self, launch: Launch) -> Arc<Self> {
        let config = ServerConfig { launch, others: Vec::new(), ..self.config.clone() };
        let link = Link::beside(&self.link, config.questions);
        Arc::new(Self::with_link(link, config, Arc::clone(&self.audience), self.changes.clone()))
    }

    /// The server's name.
    pub fn name(&self) -> &ServerName {
        &self.config.name
    }

    /// The server's config.
    pub fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// What the server is doing.
    pub fn state(&self) -> State {
        lock(&self.state).clone()
    }

    /// Since when the server does that.
    pub fn since(&self) -> Instant {
        *lock(&self.since)
    }

    /// What its answers tell of it.
    pub fn pulse(&self) -> Pulse {
        self.link.pulse()
    }

    /// What happened so far.
    pub fn tallies(&self) -> Tallies {
        self.earlier.and(*lock(&self.tallies))
    }

    /// Whether a start of the server has failed, or has ended without a list: it will show nothing before it is called.
    pub fn has_given_up(&self) -> bool {
        match self.state() {
            State::Waiting { .. }
            | State::CrashLooped { .. }
            | State::Failed { .. }
            | State::NeedsLogin { .. }
            | State::Ended => true,
            State::Idle => lock(&self.tallies).starts > 0,
            State::Starting { .. } | State::Ready { .. } => false,
        }
    }

    /// Whether the server has said that a list has changed, and has not been asked for it yet.
    pub fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
    }

    /// For how long what the server has listed may be kept, by its own word; not at all if it is one of the older servers,
    /// has told of a change, or shows each client something of its own.
    pub fn cache_hints(&self, kind: ListKind) -> CacheHints {
        if self.is_stale() || self.config.share == Share::Session {
            return CacheHints::NONE;
        }
        self.freshness.left(kind, Instant::now())
    }

    /// What has changed of what the server has; `None` if its config keeps no answers.
    pub fn changes(&self) -> Option<&Arc<Changes>> {
        self.changes.as_ref()
    }

    fn note_change(&self, note: impl FnOnce(&Changes)) {
        if let Some(changes) = &self.changes {
            note(changes);
        }
    }

    /// How many calls are at the server, wait for it or for their clients.
    pub fn open_calls(&self) -> usize {
        self.link.open_calls() + self.rounds.count() + self.errands.count()
    }

    /// Hands a call to the server, starting it if need be. The answer, or the failure, reaches the call's client.
    pub fn call(&self, call: Call) {
        self.tally(|tallies| tallies.calls += 1);
        if call.method == Method::Unsubscribe && self.is_still_followed(call.label.as_str()) {
            return self.answer_ourselves(&call);
        }
        self.submit(call, Past::default());
    }

    fn submit(&self, call: Call, past: Past) {
        match self.link.submit(call, past) {
            Submitted::Waits => {
                self.start();
                self.waits.notify_one();
            }
            other => self.settle(other),
        }
    }

    /// Does what is left to do with a call that was not sent.
    fn settle(&self, submitted: Submitted) {
        match submitted {
            Submitted::Sent | Submitted::Waits => {}
            Submitted::Ours(call) => self.answer_ourselves(&call),
            Submitted::Refused(call, failure) => {
                self.tally(|tallies| tallies.failures += 1);
                call.caller.fail(call.ticket, failure);
            }
        }
    }

    /// Takes back a call that did not run: it waits for the next run.
    fn call_again(&self, call: Call, past: Past) {
        let submitted = self.link.submit(call, past);
        self.settle(submitted);
        self.waits.notify_one();
    }

    /// Answers what a modern server knows no request for: it is told of resources to follow, and of levels, in other ways.
    fn answer_ourselves(&self, call: &Call) {
        let greeting = self.link.greeting();
        let revision = greeting.as_ref().map_or_else(Revision::newest_legacy, |greeting| greeting.revision);
        let knows = call.method != Method::Subscribe || greeting.is_some_and(|greeting| greeting.subscribe);
        let line = Bytes::from_static(match knows {
            true => b"{}",
            false => br#"{"code":-32601,"message":"the server does not tell when resources change"}"#,
        });
        let whole = Span { start: 0, end: line.len() };
        let body = if knows { Body::Result(whole) } else { Body::Error(whole) };
        call.caller.reply(call.ticket, Reply { line: &line, body, revision });
    }

    /// Fails calls that waited for the server too long: behind other starts, or through the pauses of a server that
    /// falls again and again. A start that takes too long tells its callers itself, with the reason, a moment before.
    /// Never resolves; part of the lifecycle.
    async fn give_up_waiting(&self) {
        let patience = self.config.timeouts.start;
        loop {
            let Some(since) = self.link.oldest_waiting() else {
                self.waits.notified().await;
                continue;
            };
            tokio::time::sleep_until(since + patience + LEEWAY).await;
            let cause = match self.state().failure() {
                Some(failure) => {
                    format!("it was not ready within {}: {}", show_duration(patience), failure.cause)
                }
                None => format!("it was not ready within {}", show_duration(patience)),
            };
            let failure = Failure::new(Code::CallUnavailable, cause).of(self.name());
            let failure = failure.remedy("It did not run; call `switchboard__status` for the details");
            self.fail_waiting(self.link.take_waiting_since(since), &failure);
        }
    }

    /// The client no longer wants the answer; the server is told, if it has been sent the call.
    pub fn cancel(&self, caller: CallerId, ticket: Ticket, reason: Option<&str>) {
        let is_it = |call: &Call| call.ticket == ticket && call.caller.id() == caller;
        lock(&self.after_listing).retain(|(call, _)| !is_it(call));
        if !self.rounds.cancel(caller, ticket) && !self.errands.cancel(caller, ticket) {
            self.link.cancel(caller, ticket, reason);
        }
    }

    /// Sends a notification of the client to the server, if it is running. Modern servers take none.
    pub fn notify(&self, method: &str, params: Option<&[u8]>) {
        if self.link.revision().is_some_and(|revision| !revision.is_modern()) {
            self.link.notify(method, params);
        }
    }

    /// Starts the server if it is not running.
    pub fn start(&self) {
        self.orders.give(|pending| pending.start = true);
    }

    /// Asks the server for this list again, if it is running.
    fn refresh(&self, kind: ListKind) {
        self.note_change(|changes| changes.list(kind));
        self.is_stale.store(true, Ordering::Relaxed);
        self.orders.give(|pending| {
            if !pending.refresh.contains(&kind) {
                pending.refresh.push(kind);
            }
        });
    }

    /// The log level for this server from now on, and for every later generation.
    pub fn set_level(&self, level: Level) {
        lock(&self.wanted).level = Some(level);
        self.link.set_level(level);
    }

    /// A client follows the resource `uri`, to which the server has agreed: later generations will be asked for it too.
    /// Each call counts, and wants an [`unsubscribed`](Self::unsubscribed).
    pub fn subscribed(&self, uri: String) {
        let is_first = {
            let mut wanted = lock(&self.wanted);
            wanted.left.remove(&uri);
            let followers = wanted.subscriptions.entry(uri).or_default();
            *followers += 1;
            *followers == 1
        };
        if is_first {
            self.orders.give(|pending| pending.follow = true);
        }
    }

    /// A client is no longer interested in the resource. With the last one, the server is told.
    pub fn unsubscribed(&self, uri: &str) {
        let mut wanted = lock(&self.wanted);
        let Some(followers) = wanted.subscriptions.get_mut(uri) else { return };
        *followers -= 1;
        if *followers == 0 {
            wanted.subscriptions.remove(uri);
            wanted.left.insert(uri.to_owned());
            drop(wanted);
            self.orders.give(|pending| pending.follow = true);
        }
    }

    /// A client follows a task of the server, and wants a [`task_left`](Self::task_left).
    pub fn task_followed(&self, id: String) {
        *lock(&self.wanted).tasks.entry(id).or_default() += 1;
        self.orders.give(|pending| pending.follow = true);
    }

    /// A client no longer follows a task.
    pub fn task_left(&self, id: &str) {
        let mut wanted = lock(&self.wanted);
        let Some(followers) = wanted.tasks.get_mut(id) else { return };
        *followers -= 1;
        if *followers == 0 {
            wanted.tasks.remove(id);
            drop(wanted);
            self.orders.give(|pending| pending.follow = true);
        }
    }

    /// Whether any client follows the resource.
    pub fn is_followed(&self, uri: &str) -> bool {
        lock(&self.wanted).subscriptions.contains_key(uri)
    }

    /// Whether a client follows any resource of this server.
    pub fn has_subscriptions(&self) -> bool {
        !lock(&self.wanted).subscriptions.is_empty()
    }

    /// Whether the server must not be told to forget the resource yet, because others follow it. If it may, whoever asks
    /// tells it.
    fn is_still_followed(&self, uri: &str) -> bool {
        let mut wanted = lock(&self.wanted);
        wanted.left.remove(uri);
        wanted.subscriptions.contains_key(uri)
    }

    /// The resources that are no longer followed, of which the server has not been told.
    fn take_left(&self) -> BTreeSet<String> {
        std::mem::take(&mut lock(&self.wanted).left)
    }

    fn wanted(&self) -> Wanted {
        lock(&self.wanted).clone()
    }

    fn set_state(&self, state: State) {
        *lock(&self.since) = Instant::now();
        *lock(&self.state) = state;
    }

    fn tally(&self, count: impl FnOnce(&mut Tallies)) {
        count(&mut lock(&self.tallies));
    }

    fn unavailable(&self, method: &str) -> Failure {
        let cause = format!("it ended before it answered `{method}`");
        Failure::new(Code::CallUnavailable, cause).of(self.name())
    }

    /// Asks the server something in our own name, if it is running, and waits for its answer: the text that holds it, and where.
    ///
    /// # Errors
    /// It is not running, ends, or does not answer in time.
    pub async fn ask(
        &self,
        method: &str,
        params: &[u8],
        patience: Duration,
    ) -> Result<(Bytes, Body), Failure> {
        self.ask_server(method, Some(params), patience).await
    }

    /// Asks the server whether it is there, if it is running: whatever it answers, it is. This is no use of it, which would keep it
    /// from [being stopped](crate::config::Timeouts::idle_stop).
    ///
    /// # Errors
    /// It is not running, ends, or does not answer in time.
    pub async fn check(&self, patience: Duration) -> Result<(), Failure> {
        let is_modern = self.link.revision().is_some_and(|revision| revision.is_modern());
        let method = if is_modern { link::MODERN_CHECK } else { link::LEGACY_CHECK };
        self.ask_server(method, None, patience).await.map(|_| ())
    }

    /// Sends a request of our own and waits for its answer.
    async fn ask_server(
        &self,
        method: &str,
        params: Option<&[u8]>,
        patience: Duration,
    ) -> Result<(Bytes, Body), Failure> {
        let revision = self.link.revision().ok_or_else(|| self.unavailable(method))?;
        let modern = revision
            .is_modern()
            .then(|| handshake::modern_params(&self.audience.introduction(), revision, params, false));
        self.ask_server_as_is(method, modern.as_deref().or(params), patience).await
    }

    /// The same with parameters that are complete.
    async fn ask_server_as_is(
        &self,
        method: &str,
        params: Option<&[u8]>,
        patience: Duration,
    ) -> Result<(Bytes, Body), Failure> {
        let (id, answer) = self.link.request(method, params).ok_or_else(|| self.unavailable(method))?;
        let mut asked = Asked { link: &self.link, id, answer };
        match tokio::time::timeout(patience, &mut asked.answer).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(self.unavailable(method)),
            Err(_) => {
                self.link.forget(id);
                let cause = format!("it did not answer `{method}` within {}", show_duration(patience));
                Err(Failure::new(Code::CallTimeout, cause).of(self.name()))
            }
        }
    }

    /// Keeps a line that was no message, for whoever asks why the server is not well.
    fn note_noise(&self, text: String) {
        let text: String = text.chars().take(200).collect();
        tracing::debug!(server = %self.name(), text, "a line on stdout was no protocol message");
        let mut noise = lock(&self.noise);
        if noise.len() == NOISE_KEPT {
            noise.remove(0);
        }
        noise.push(text);
    }

    /// The last lines on stdout that were no protocol messages, cut short, oldest first.
    pub fn noise(&self) -> Vec<String> {
        lock(&self.noise).clone()
    }

    /// The last lines that the server wrote to stderr, in this run or the one before.
    pub fn last_words(&self, count: usize) -> Vec<String> {
        lock(&self.stderr).as_ref().map(|tail| tail.last_lines(count)).unwrap_or_default()
    }

    /// Why the server, although it runs, refuses calls until somebody logs in to it.
    pub fn wants_login(&self) -> Option<Failure> {
        lock(&self.wants_login).clone()
    }

    fn set_wants_login(&self, failure: Option<Failure>) {
        *lock(&self.wants_login) = failure.map(|failure| failure.of(self.name()));
    }

    /// Fails calls that have waited for the server in vain.
    fn fail_waiting(&self, calls: Vec<(Call, Ran)>, failure: &Failure) {
        self.tally(|tallies| tallies.failures += calls.len() as u64);
        for (call, ran) in calls {
            call.caller.fail(call.ticket, failure.clone().ran(ran));
        }
    }
}

/// A request of our own that is under way. The server is told when whoever wants the answer gives it up.
struct Asked<'a> {
    link: &'a Link,
    id: u64,
    answer: oneshot::Receiver<link::OwnReply>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // One that has come to its end is not in the table any more, and its number may be that of another one.
        if matches!(self.answer.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
            self.link.abandon(self.id);
        }
    }
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend").field("server", self.name()).finish_non_exhaustive()
    }
}

impl Asker for Backend {
    fn answer(&self, key: &AskKey, line: &Bytes, body: Body) {
        self.link.answer(key, line, body);
    }

    fn progress(&self, _key: &AskKey, params: &[u8]) {
        self.link.notify("notifications/progress", Some(params));
    }

    fn rests(&self, key: &AskKey) {
        self.link.rests(key);
    }
}

/// A duration as people write it: `30s`, `250ms`, `5m`.
pub(crate) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0..1000 => format!("{millis}ms"),
        _ if millis < 10_000 && !millis.is_multiple_of(1000) => format!("{:.1}s", duration.as_secs_f64()),
        _ if duration.as_secs() >= 120 && duration.as_secs().is_multiple_of(60) => {
            format!("{}m", duration.as_secs() / 60)
        }
        _ => format!("{}s", duration.as_secs()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
