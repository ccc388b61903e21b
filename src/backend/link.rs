//! The table between us and one run of a server: what is in flight, under which id, and what waits for a run.
//!
//! Every method takes the lock, does its sums and lets go; none waits. Whoever makes a call works on the table
//! directly, so that a call costs no detour over a task.

mod levels;
mod questions;
mod run;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ahash::HashMap;
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::backend::compose;
use crate::backend::gate::{Gate, Held};
use crate::backend::handshake::Greeting;
use crate::backend::round::Round;
use crate::backend::words::Words;
use crate::bridge::tasks::Support;
use crate::call::{AskKey, AskKind, Call, Caller, CallerId, Ticket};
use crate::config::Questions;
use crate::effect::Ran;
use crate::failure::{Code, Failure};
use crate::names::{OriginalName, ServerName};
use crate::protocol::{Level, Method, Revision, TaskMethod};
use crate::wire::{Body, Id, Outbox};

use levels::Levels;

/// How many calls may be in flight or waiting per server.
pub const MAX_OPEN: usize = 4096;

/// How many bytes may wait for a server to read them.
pub(super) const OUTBOX_LIMIT: usize = 64 << 20;

/// How a server is asked whether it is there. Neither is a use of it.
pub(super) const LEGACY_CHECK: &str = "ping";
pub(super) const MODERN_CHECK: &str = "server/discover";

/// How many questions of a server may be open at once.
const MAX_ASKS: usize = 256;

/// See the module.
pub struct Link {
    server: ServerName,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    run: Option<Run>,
    /// Calls for the next run, oldest first.
    waiting: VecDeque<Waiting>,
    /// How calls of different callers that may be asked something meet at this server.
    questions: Questions,
    /// While the server cannot be started: what a call is answered with, and until when.
    refusal: Option<(Failure, Instant)>,
    /// How many runs there were of this instance and those beside it.
    generations: Arc<AtomicU64>,
    last_used: Option<Instant>,
    pulse: Pulse,
}

/// What a server's answers tell of it, over all its runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pulse {
    /// How many calls of clients it has answered.
    pub answers: u64,
    /// How long it took for all of them, from the moment each was sent.
    pub took: Duration,
    /// When it answered anything last, our own requests included.
    pub last: Option<Instant>,
    /// How long that took.
    pub last_took: Duration,
}

impl Pulse {
    fn beat(&mut self, flight: &Flight, now: Instant) {
        self.last_took = now.saturating_duration_since(flight.sent);
        self.last = Some(now);
        if matches!(flight.owner, Owner::Client(_)) {
            self.answers += 1;
            self.took += self.last_took;
        }
    }
}

/// A call that waits for a run.
struct Waiting {
    since: Instant,
    call: Call,
    past: Past,
}

/// What a call has been through before it is sent.
#[derive(Clone, Default)]
pub(super) struct Past {
    /// It has been sent before, and refused in a way that says that it did not run. It is not sent a third time.
    pub(super) again: bool,
    /// The rounds of questions that it comes from.
    pub(super) round: Option<Arc<Round>>,
}

/// One run of the server.
struct Run {
    server: ServerName,
    generation: u64,
    outbox: Arc<Outbox>,
    /// What the server said in its handshake; calls pass from then on.
    greeting: Option<Arc<Greeting>>,
    /// How calls are put to it.
    words: Words,
    next_id: u64,
    /// Whether calls are kept whole while they are in flight, because they may have to be sent again.
    keeps_calls: bool,
    /// Whether others may be at the server while a call waits for its user.
    lets_rest: bool,
    flights: HashMap<u64, Flight>,
    /// How many of them are requests of our own.
    own: usize,
    asks: Vec<OpenAsk>,
    gate: Gate<Answer>,
    levels: Levels,
}

/// The answer to a question of the server, which may have to wait for its turn.
struct Answer {
    id: Id,
    text: Bytes,
    body: Body,
}

/// A question of the server that is not answered yet.
struct OpenAsk {
    id: Id,
    kind: AskKind,
    since: Instant,
    /// The call in whose middle it was asked, if that is known.
    whose: Option<u64>,
}

struct Flight {
    owner: Owner,
    sent: Instant,
    /// The last sign of life: the sending, or progress.
    alive: Instant,
    /// Where the line begins in the stream of bytes to this run.
    position: u64,
    /// It waits for its user, and others may be at the server.
    rests: bool,
    /// It only asks whether the server is there.
    is_check: bool,
}

enum Owner {
    Client(Flown),
    Own(oneshot::Sender<OwnReply>),
}

impl Flown {
    /// What any value is greater than.
    const NO_PROGRESS: f64 = f64::NEG_INFINITY;

    /// Whether it is answered when a task comes to its end, and not before (MCP 2025-11-25, `tasks/result`).
    pub(super) fn waits_for_task(&self) -> bool {
        self.method == Method::Task(TaskMethod::Result)
    }
}

/// What is kept of a call in flight.
pub(super) struct Flown {
    pub(super) ticket: Ticket,
    pub(super) caller: Arc<dyn Caller>,
    pub(super) label: OriginalName,
    pub(super) method: Method,
    /// The whole call, where it may have to be sent again.
    pub(super) whole: Option<Box<Call>>,
    pub(super) past: Past,
    /// We have made a task of it, if the server did not refuse.
    pub(super) is_task: bool,
    /// The client wants to hear of its progress.
    relay_progress: bool,
    /// The highest progress that was reported on it; later values must be greater (MCP "Progress").
    pub(super) progress: f64,
}

/// The answer to a request of our own: the line and the place of the answer in it; or why there is none.
pub(super) type OwnReply = Result<(Bytes, Body), Failure>;

/// What became of a call.
pub(super) enum Submitted {
    /// It is on its way.
    Sent,
    /// It waits for the server to start.
    Waits,
    /// It cannot be served now.
    Refused(Box<Call>, Failure),
    /// Such a server knows no such request: it is for us to do it.
    Ours(Box<Call>),
}

/// Whose call an answer belongs to.
pub(super) enum Addressee {
    /// A client's.
    Client(Flown, &'static Revision),
    /// Ours.
    Own(oneshot::Sender<OwnReply>),
}

/// Whom progress belongs to.
pub(super) enum Listener {
    /// A client that asked for it.
    Client {
        ticket: Ticket,
        caller: Arc<dyn Caller>,
        /// What it was told before the call was sent again: progress goes on from there.
        before: f64,
        /// The server's revision.
        revision: &'static Revision,
    },
    /// Nobody: it only keeps the call alive.
    Nobody,
}

/// To whom a question of the server goes.
pub(super) enum Whose {
    /// To the caller of this call: its id at the server, and the caller's own name for it.
    Ones(u64, Ticket, Arc<dyn Caller>),
    /// No call is in flight.
    Nobodys,
    /// Several callers have calls in flight, and it does not say in whose it belongs.
    Unclear,
}

/// A call that got no answer of the server.
pub(super) struct Lost {
    pub(super) ticket: Ticket,
    pub(super) caller: Arc<dyn Caller>,
    pub(super) label: OriginalName,
    /// How long it had been in flight.
    pub(super) after: Duration,
    /// Whether any of its bytes reached the server's pipe, in this round or an earlier one. If not, it cannot have run.
    pub(super) was_written: bool,
}

/// What a run leaves behind.
#[derive(Default)]
pub(super) struct Remains {
    pub(super) lost: Vec<Lost>,
    pub(super) asks: Vec<(AskKey, Option<Arc<dyn Caller>>)>,
    /// Calls that were never sent because they had to wait for others.
    pub(super) held: Vec<Call>,
}

impl Past {
    /// The same, and now it is sent again.
    pub(super) fn sent_again(self) -> Self {
        Self { again: true, ..self }
    }

    /// What can be said of a call that has not been sent now: what has had a round of questions began to run in it.
    pub(super) fn ran(&self) -> Ran {
        if self.round.is_some() { Ran::Unknown } else { Ran::No }
    }
}

impl Link {
    pub(super) fn new(server: ServerName, questions: Questions) -> Self {
        Self { server, inner: Mutex::new(Inner { questions, ..Inner::default() }) }
    }

    /// The table of another instance of the same server.
    pub(super) fn beside(other: &Link, questions: Questions) -> Self {
        let generations = Arc::clone(&other.lock().generations);
        let inner = Inner { questions, generations, ..Inner::default() };
        Self { server: other.server.clone(), inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // === calls ===

    pub(super) fn submit(&self, call: Call, past: Past) -> Submitted {
        let now = Instant::now();
        let mut inner = self.lock();
        if inner.open_calls() >= MAX_OPEN {
            let failure =
                Failure::new(Code::CallBusy, format!("{MAX_OPEN} calls are waiting for `{}`", self.server))
                    .remedy("Call again when some of them have been answered");
            return Submitted::Refused(Box::new(call), failure.of(&self.server).ran(past.ran()));
        }
        inner.last_used = Some(now);
        if let Some(run) = inner.run.as_mut().filter(|run| run.greeting.is_some()) {
            return run.submit(call, past, now);
        }
        if let Some((failure, until)) = &inner.refusal
            && now < *until
        {
            return Submitted::Refused(Box::new(call), failure.clone().ran(past.ran()));
        }
        inner.waiting.push_back(Waiting { since: now, call, past });
        Submitted::Waits
    }

    /// Forgets a call; tells the server if it has been sent there.
    pub(super) fn cancel(&self, caller: CallerId, ticket: Ticket, reason: Option<&str>) {
        let mut inner = self.lock();
        let is_it = |call: &Call| call.ticket == ticket && call.caller.id() == caller;
        inner.waiting.retain(|waiting| !is_it(&waiting.call));
        if let Some(run) = &mut inner.run {
            run.gate.forget(|held| matches!(held, Held::Call(call) if is_it(call)));
            if let Some(id) = run.id_of(caller, ticket) {
                run.take(id);
                run.cancel(id, reason);
            }
        }
    }

    /// Takes the addressee of an answer with our id, if the call is still open.
    #[inline]
    pub(super) fn landed(&self, generation: u64, id: u64) -> Option<Addressee> {
        self.take(generation, id, true)
    }

    /// The same of a request that gets no answer.
    pub(super) fn unanswered(&self, generation: u64, id: u64) -> Option<Addressee> {
        self.take(generation, id, false)
    }

    #[inline]
    fn take(&self, generation: u64, id: u64, is_answered: bool) -> Option<Addressee> {
        let mut inner = self.lock();
        let run = inner.run_of(generation)?;
        let revision = run.words.to;
        let flight = run.take(id)?;
        let now = Instant::now();
        if is_answered {
            inner.pulse.beat(&flight, now);
        }
        if !flight.is_check {
            inner.last_used = Some(now);
        }
        Some(match flight.owner {
            Owner::Client(call) => Addressee::Client(call, revision),
            Owner::Own(sender) => Addressee::Own(sender),
        })
    }

    /// Takes the addressee of a request that the server has refused only because it has forgotten us: the call waits for
    /// the next run, unless it did so before.
    pub(super) fn refused(&self, generation: u64, id: u64) -> Option<Addressee> {
        match self.unanswered(generation, id)? {
            Addressee::Client(call, revision) => {
                let call = self.wait_again(call)?;
                Some(Addressee::Client(call, revision))
            }
            own => Some(own),
        }
    }

    /// Lets a call that has landed wait for the next run. Gives it back if that cannot be, or was done before.
    pub(super) fn wait_again(&self, mut flown: Flown) -> Option<Flown> {
        let Some(call) = flown.whole.take_if(|_| !flown.past.again) else { return Some(flown) };
        let past = flown.past.sent_again();
        self.lock().waiting.push_back(Waiting { since: Instant::now(), call: *call, past });
        None
    }

    /// Takes every client's call in flight, for an answer that cannot be told to belong to one of them.
    pub(super) fn landed_all(&self, generation: u64) -> Vec<Addressee> {
        let mut inner = self.lock();
        let Some(run) = inner.run_of(generation) else { return Vec::new() };
        let revision = run.words.to;
        let is_clients = |flight: &Flight| matches!(flight.owner, Owner::Client(_));
        let ids: Vec<u64> =
            run.flights.iter().filter(|(_, flight)| is_clients(flight)).map(|(id, _)| *id).collect();
        let landed = ids.into_iter().filter_map(|id| match run.take(id)?.owner {
            Owner::Client(call) => Some(Addressee::Client(call, revision)),
            Owner::Own(_) => None,
        });
        landed.collect()
    }

    /// Notes progress on a call. `None` if the call is not open or the value does not rise.
    pub(super) fn progressed(&self, generation: u64, id: u64, value: f64) -> Option<Listener> {
        let mut inner = self.lock();
        let run = inner.run_of(generation)?;
        let revision = run.words.to;
        let flight = run.flights.get_mut(&id)?;
        if let Owner::Client(call) = &mut flight.owner {
            if value <= call.progress || value.is_nan() {
                return None;
            }
            call.progress = value;
        }
        flight.alive = Instant::now();
        Some(match &flight.owner {
            Owner::Client(call) if call.relay_progress => {
                let before = call.past.round.as_ref().map_or(0.0, |round| round.progress());
                Listener::Client { ticket: call.ticket, caller: Arc::clone(&call.caller), before, revision }
            }
            _ => Listener::Nobody,
        })
    }

    /// Takes the calls whose time is up, and cancels them at the server.
    pub(super) fn expire(&self, now: Instant, idle: Duration, total: Duration) -> Vec<Lost> {
        let mut inner = self.lock();
        let Some(run) = &mut inner.run else { return Vec::new() };
        // A server that waits for an answer of the user is not idle.
        let waits_for_user = |id| run.asks.iter().any(|ask| ask.whose.is_none_or(|whose| whose == id));
        let late: Vec<u64> = run
            .flights
            .iter()
            .filter(|(id, flight)| {
                let Owner::Client(call) = &flight.owner else { return false };
                let idles = now - flight.alive >= idle && !waits_for_user(**id) && !call.waits_for_task();
                idles || now - flight.sent >= total
            })
            .map(|(id, _)| *id)
            .collect();
        late.into_iter()
            .filter_map(|id| {
                let lost = run.take(id)?.lost(now, u64::MAX)?;
                run.cancel(id, Some("the call took too long"));
                Some(lost)
            })
            .collect()
    }

    /// Takes the waiting calls, and says of each whether something of it may have run before.
    pub(super) fn take_waiting(&self) -> Vec<(Call, Ran)> {
        self.lock().waiting.drain(..).map(|waiting| (waiting.call, waiting.past.ran())).collect()
    }

    /// Takes those that have waited since then or longer.
    pub(super) fn take_waiting_since(&self, then: Instant) -> Vec<(Call, Ran)> {
        let waiting = &mut self.lock().waiting;
        let count = waiting.partition_point(|waiting| waiting.since <= then);
        waiting.drain(..count).map(|waiting| (waiting.call, waiting.past.ran())).collect()
    }

    /// Since when the oldest waiting call has waited.
    pub(super) fn oldest_waiting(&self) -> Option<Instant> {
        self.lock().waiting.front().map(|waiting| waiting.since)
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    pub(super) fn open_calls(&self) -> usize {
        self.lock().open_calls()
    }

    /// When the server was last called or answered.
    pub(super) fn pulse(&self) -> Pulse {
        self.lock().pulse
    }

    pub(super) fn last_used(&self) -> Option<Instant> {
        self.lock().last_used
    }

    // === requests and notifications of our own ===

    /// Sends a request of our own and hands out where its answer will come. `None` if the server is not running.
    pub(super) fn request(
        &self,
        method: &str,
        params: Option<&[u8]>,
    ) -> Option<(u64, oneshot::Receiver<OwnReply>)> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.lock();
        let run = inner.run.as_mut()?;
        let id = run.fly(Owner::Own(sender), Instant::now());
        if let Some(flight) = run.flights.get_mut(&id) {
            flight.is_check = matches!(method, LEGACY_CHECK | MODERN_CHECK);
        }
        run.outbox.push(|line| compose::own_request(line, id, method, params));
        Some((id, receiver))
    }

    /// Gives up a request of our own.
    pub(super) fn forget(&self, id: u64) {
        if let Some(run) = &mut self.lock().run {
            run.take(id);
        }
    }

    /// A request of our own gets no answer.
    pub(super) fn end_own(&self, generation: u64, id: u64, failure: Failure) {
        let mut inner = self.lock();
        let Some(run) = inner.run_of(generation) else { return };
        let is_own = run.flights.get(&id).is_some_and(|flight| matches!(flight.owner, Owner::Own(_)));
        if is_own && let Some(Flight { owner: Owner::Own(sender), .. }) = run.take(id) {
            // Whoever asked may have given up.
            let _ = sender.send(Err(failure));
        }
    }

    /// Gives up a request of our own, and tells the server.
    pub(super) fn abandon(&self, id: u64) {
        if let Some(run) = &mut self.lock().run
            && run.take(id).is_some()
        {
            run.cancel(id, None);
        }
    }

    /// Whether a request is open.
    pub(super) fn is_open(&self, generation: u64, id: u64) -> bool {
        self.lock().run_of(generation).is_some_and(|run| run.flights.contains_key(&id))
    }

    /// Sends a request of our own whose answer does not matter.
    pub(super) fn tell(&self, method: &str, params: &[u8]) {
        let _ = self.request(method, Some(params));
    }

    /// Sends a notification, if the server has been greeted.
    pub(super) fn notify(&self, method: &str, params: Option<&[u8]>) {
        if let Some(run) = self.lock().run.as_ref().filter(|run| run.greeting.is_some()) {
            run.outbox.push(|line| compose::notification(line, method, params));
        }
    }

    // === runs ===

    /// The generation that the next run will have.
    pub(super) fn next_generation(&self) -> u64 {
        self.lock().generations.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A process runs; only requests of our own pass so far.
    pub(super) fn attach(&self, generation: u64, outbox: Arc<Outbox>) {
        let mut inner = self.lock();
        inner.refusal = None;
        inner.run = Some(Run {
            server: self.server.clone(),
            generation,
            outbox,
            greeting: None,
            words: Words::new(Revision::newest_legacy()),
            next_id: 1,
            keeps_calls: false,
            lets_rest: false,
            flights: HashMap::default(),
            own: 0,
            asks: Vec::new(),
            gate: Gate::new(false),
            levels: Levels::default(),
        });
    }

    /// The handshake is done: what waited is sent, and calls pass. `level` is what sessions want
    /// to be logged, as the server has been told. `has_streams` says that the server's questions come with the call that
    /// they belong to. Gives back calls that were not sent.
    pub(super) fn open(
        &self,
        greeting: Arc<Greeting>,
        level: Option<Level>,
        has_streams: bool,
    ) -> Vec<Submitted> {
        let now = Instant::now();
        let mut inner = self.lock();
        let questions = inner.questions;
        let waiting = std::mem::take(&mut inner.waiting);
        inner.last_used = Some(now);
        let Some(run) = &mut inner.run else { return Vec::new() };
        run.words = Words::new(greeting.revision);
        // The calls of a modern server may need another round, and it asks nothing outside of their answers.
        let is_clear = has_streams || greeting.revision.is_modern();
        run.keeps_calls = is_clear;
        run.gate = Gate::new(questions != Questions::Refuse && !is_clear);
        run.lets_rest = questions != Questions::Exclusive;
        run.levels = Levels::begin(greeting.logging && !greeting.revision.is_modern(), level);
        run.greeting = Some(greeting);
        waiting
            .into_iter()
            .map(|Waiting { call, past, .. }| run.submit(call, past, now))
            .filter(|submitted| !matches!(submitted, Submitted::Sent | Submitted::Waits))
            .collect()
    }

    /// The run is about to be over: what is in flight may still be answered, but calls wait for the next one.
    pub(super) fn closes(&self, generation: u64) {
        if let Some(run) = self.lock().run_of(generation) {
            run.greeting = None;
        }
    }

    /// What the running server said in its handshake.
    pub(super) fn greeting(&self) -> Option<Arc<Greeting>> {
        self.lock().run.as_ref().and_then(|run| run.greeting.clone())
    }

    /// The revision that is spoken with the running server.
    pub(super) fn revision(&self) -> Option<&'static Revision> {
        self.lock().run.as_ref().map(|run| run.words.to)
    }

    /// The tools that can be called as tasks.
    pub(super) fn learn_tasks(&self, tools: HashMap<String, Support>) {
        if let Some(run) = &mut self.lock().run {
            run.words.learn_tasks(tools);
        }
    }

    /// One that can be called as a task alone.
    pub(super) fn learn_task(&self, tool: &str) {
        if let Some(run) = &mut self.lock().run {
            run.words.learn_task(tool);
        }
    }

    /// The run is over: nothing of it counts any more.
    pub(super) fn detach(&self) -> Remains {
        let mut inner = self.lock();
        let Some(run) = inner.run.take() else { return Remains::default() };
        let (now, taken) = (Instant::now(), run.outbox.taken());
        let asks = run.asks.iter().map(|ask| {
            let key = AskKey { server: self.server.clone(), generation: run.generation, id: ask.id.clone() };
            (key, ask.whose.and_then(|flight| run.caller_of(flight)).map(|(_, caller)| caller))
        });
        let asks = asks.collect();
        let lost = run.flights.into_values().filter_map(|flight| flight.lost(now, taken)).collect();
        Remains { lost, asks, held: run.gate.into_calls() }
    }

    /// Answers calls with `failure` until the given time, instead of letting them wait.
    pub(super) fn refuse(&self, failure: Failure, until: Instant) {
        self.lock().refusal = Some((failure, until));
    }
}

impl Inner {
    fn open_calls(&self) -> usize {
        let at_server = |run: &Run| run.flights.len() - run.own + run.gate.waiting();
        self.waiting.len() + self.run.as_ref().map_or(0, at_server)
    }

    fn run_of(&mut self, generation: u64) -> Option<&mut Run> {
        self.run.as_mut().filter(|run| run.generation == generation)
    }
}
