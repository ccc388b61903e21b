//! The table between us and one run of a server: what is in flight, under which id, and what waits for a run.
//!
//! Every method takes the lock, does its sums and lets go; none waits. Whoever makes a call works on the table
//! directly, so that a call costs no detour over a task.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ahash::HashMap;
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::backend::compose;
use crate::backend::handshake::Greeting;
use crate::call::{AskKey, Call, Client, Ticket, TokenPlace};
use crate::failure::{Code, Failure};
use crate::names::{OriginalName, ServerName};
use crate::wire::{Body, Id, Outbox, Span};

/// How many calls may be in flight or waiting per server.
pub const MAX_OPEN: usize = 4096;

/// How many bytes may wait for a server to read them.
pub(super) const OUTBOX_LIMIT: usize = 64 << 20;

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
    waiting: VecDeque<(Instant, Call)>,
    /// While the server cannot be started: what a call is answered with, and until when.
    refusal: Option<(Failure, Instant)>,
    generations: u64,
    last_used: Option<Instant>,
}

/// One run of the server.
struct Run {
    generation: u64,
    outbox: Arc<Outbox>,
    /// What the server said in its handshake; calls pass from then on.
    greeting: Option<Arc<Greeting>>,
    next_id: u64,
    flights: HashMap<u64, Flight>,
    asks: Vec<Id>,
}

struct Flight {
    owner: Owner,
    sent: Instant,
    /// The last sign of life: the sending, or progress.
    alive: Instant,
    /// The highest progress so far; later values must be greater (MCP "Progress").
    progress: Option<f64>,
    /// Where the line begins in the stream of bytes to this run.
    position: u64,
}

enum Owner {
    Client { call: Box<Parked>, relay_progress: bool },
    Own(oneshot::Sender<OwnReply>),
}

/// What is kept of a call in flight.
struct Parked {
    ticket: Ticket,
    client: Arc<dyn Client>,
    label: OriginalName,
}

/// The answer to a request of our own: the line and the place of the answer in it.
pub(super) type OwnReply = (Bytes, Body);

/// What became of a call.
pub(super) enum Submitted {
    /// It is on its way.
    Sent,
    /// It waits for the server to start.
    Waits,
    /// It cannot be served now.
    Refused(Box<Call>, Failure),
}

/// Whose call an answer belongs to.
pub(super) enum Addressee {
    /// A client's.
    Client(Ticket, Arc<dyn Client>),
    /// Ours.
    Own(oneshot::Sender<OwnReply>),
}

/// Whom progress belongs to.
pub(super) enum Listener {
    /// A client that asked for it.
    Client(Ticket, Arc<dyn Client>),
    /// Nobody: it only keeps the call alive.
    Nobody,
}

/// A call that got no answer of the server.
pub(super) struct Lost {
    pub(super) ticket: Ticket,
    pub(super) client: Arc<dyn Client>,
    pub(super) label: OriginalName,
    /// How long it had been in flight.
    pub(super) after: Duration,
    /// Whether any of its bytes reached the server's pipe. If not, it cannot have run.
    pub(super) was_written: bool,
}

/// What a run leaves behind.
#[derive(Default)]
pub(super) struct Remains {
    pub(super) lost: Vec<Lost>,
    pub(super) asks: Vec<AskKey>,
}

impl Link {
    pub(super) fn new(server: ServerName) -> Self {
        Self { server, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // === calls ===

    pub(super) fn submit(&self, call: Call) -> Submitted {
        let now = Instant::now();
        let mut inner = self.lock();
        if inner.open_calls() >= MAX_OPEN {
            let failure =
                Failure::new(Code::CallBusy, format!("{MAX_OPEN} calls are waiting for `{}`", self.server))
                    .remedy("Call again when some of them have been answered");
            return Submitted::Refused(Box::new(call), failure.of(&self.server));
        }
        inner.last_used = Some(now);
        if let Some(run) = inner.run.as_mut().filter(|run| run.greeting.is_some()) {
            return run.send(call, now, &self.server);
        }
        if let Some((failure, until)) = &inner.refusal
            && now < *until
        {
            return Submitted::Refused(Box::new(call), failure.clone());
        }
        inner.waiting.push_back((now, call));
        Submitted::Waits
    }

    /// Forgets a call; tells the server if it has been sent there.
    pub(super) fn cancel(&self, ticket: Ticket, reason: Option<&str>) {
        let mut inner = self.lock();
        inner.waiting.retain(|(_, call)| call.ticket != ticket);
        if let Some(run) = &mut inner.run
            && let Some(id) = run.id_of(ticket)
        {
            run.flights.remove(&id);
            run.cancel(id, reason);
        }
    }

    /// Takes the addressee of an answer with our id, if the call is still open.
    pub(super) fn landed(&self, generation: u64, id: u64) -> Option<Addressee> {
        let mut inner = self.lock();
        let flight = inner.run_of(generation)?.flights.remove(&id)?;
        inner.last_used = Some(Instant::now());
        Some(match flight.owner {
            Owner::Client { call, .. } => Addressee::Client(call.ticket, call.client),
            Owner::Own(sender) => Addressee::Own(sender),
        })
    }

    /// Takes every client's call in flight, for an answer that cannot be told to belong to one of them.
    pub(super) fn landed_all(&self, generation: u64) -> Vec<Addressee> {
        let mut inner = self.lock();
        let Some(run) = inner.run_of(generation) else { return Vec::new() };
        let clients = run.flights.extract_if(|_, flight| matches!(flight.owner, Owner::Client { .. }));
        clients
            .filter_map(|(_, flight)| match flight.owner {
                Owner::Client { call, .. } => Some(Addressee::Client(call.ticket, call.client)),
                Owner::Own(_) => None,
            })
            .collect()
    }

    /// Notes progress on a call. `None` if the call is not open or the value does not rise.
    pub(super) fn progressed(&self, generation: u64, id: u64, value: f64) -> Option<Listener> {
        let mut inner = self.lock();
        let flight = inner.run_of(generation)?.flights.get_mut(&id)?;
        if flight.progress.is_some_and(|last| value <= last) || value.is_nan() {
            return None;
        }
        flight.progress = Some(value);
        flight.alive = Instant::now();
        Some(match &flight.owner {
            Owner::Client { call, relay_progress: true } => {
                Listener::Client(call.ticket, Arc::clone(&call.client))
            }
            _ => Listener::Nobody,
        })
    }

    /// Takes the calls whose time is up, and cancels them at the server.
    pub(super) fn expire(&self, now: Instant, idle: Duration, total: Duration) -> Vec<Lost> {
        let mut inner = self.lock();
        let Some(run) = &mut inner.run else { return Vec::new() };
        let late: Vec<u64> = run
            .flights
            .iter()
            .filter(|(_, flight)| {
                matches!(flight.owner, Owner::Client { .. })
                    && (now - flight.alive >= idle || now - flight.sent >= total)
            })
            .map(|(id, _)| *id)
            .collect();
        late.into_iter()
            .filter_map(|id| {
                let lost = run.flights.remove(&id)?.lost(now, u64::MAX)?;
                run.cancel(id, Some("the call took too long"));
                Some(lost)
            })
            .collect()
    }

    /// Takes the waiting calls.
    pub(super) fn take_waiting(&self) -> Vec<Call> {
        self.lock().waiting.drain(..).map(|(_, call)| call).collect()
    }

    /// Takes those that have waited since then or longer.
    pub(super) fn take_waiting_since(&self, then: Instant) -> Vec<Call> {
        let waiting = &mut self.lock().waiting;
        let count = waiting.partition_point(|(since, _)| *since <= then);
        waiting.drain(..count).map(|(_, call)| call).collect()
    }

    /// Since when the oldest waiting call has waited.
    pub(super) fn oldest_waiting(&self) -> Option<Instant> {
        self.lock().waiting.front().map(|(since, _)| *since)
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    pub(super) fn open_calls(&self) -> usize {
        self.lock().open_calls()
    }

    /// When the server was last called or answered.
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
        run.outbox.push(|line| compose::own_request(line, id, method, params));
        Some((id, receiver))
    }

    /// Gives up a request of our own.
    pub(super) fn forget(&self, id: u64) {
        if let Some(run) = &mut self.lock().run {
            run.flights.remove(&id);
        }
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

    // === questions of the server ===

    /// Notes a question of the server. `None` if it is of an earlier run, or one question too many.
    pub(super) fn asked(&self, generation: u64, id: Id) -> Option<AskKey> {
        let mut inner = self.lock();
        let run = inner.run_of(generation)?;
        if run.asks.len() >= MAX_ASKS || run.asks.contains(&id) {
            return None;
        }
        run.asks.push(id.clone());
        Some(AskKey { server: self.server.clone(), generation, id })
    }

    /// Takes a question back: the server has withdrawn it.
    pub(super) fn withdrawn(&self, generation: u64, id: &Id) -> Option<AskKey> {
        let mut inner = self.lock();
        let asks = &mut inner.run_of(generation)?.asks;
        let place = asks.iter().position(|open| open == id)?;
        asks.swap_remove(place);
        Some(AskKey { server: self.server.clone(), generation, id: id.clone() })
    }

    /// Sends the answer to a question, if it is still open.
    pub(super) fn answer(&self, key: &AskKey, text: &Bytes, body: Body) {
        if self.withdrawn(key.generation, &key.id).is_none() {
            return;
        }
        let (member, span) = match body {
            Body::Result(span) => ("result", span),
            Body::Error(span) => ("error", span),
        };
        self.answer_locally(key.generation, &key.id, member, text, span);
    }

    /// Answers a request of the server that was never noted as a question.
    pub(super) fn answer_locally(&self, generation: u64, id: &Id, member: &str, text: &Bytes, span: Span) {
        if let Some(run) = self.lock().run_of(generation) {
            run.outbox.push(|line| compose::answer(line, id.as_bytes(), member, text, span));
        }
    }

    // === runs ===

    /// The generation that the next run will have.
    pub(super) fn next_generation(&self) -> u64 {
        let mut inner = self.lock();
        inner.generations += 1;
        inner.generations
    }

    /// A process runs; only requests of our own pass so far.
    pub(super) fn attach(&self, generation: u64, outbox: Arc<Outbox>) {
        let mut inner = self.lock();
        inner.refusal = None;
        inner.run = Some(Run {
            generation,
            outbox,
            greeting: None,
            next_id: 1,
            flights: HashMap::default(),
            asks: Vec::new(),
        });
    }

    /// The handshake is done: what waited is sent, and calls pass. Gives back calls that found no room.
    pub(super) fn open(&self, greeting: Arc<Greeting>) -> Vec<(Box<Call>, Failure)> {
        let now = Instant::now();
        let mut inner = self.lock();
        let waiting = std::mem::take(&mut inner.waiting);
        inner.last_used = Some(now);
        let Some(run) = &mut inner.run else { return Vec::new() };
        run.greeting = Some(greeting);
        waiting
            .into_iter()
            .filter_map(|(_, call)| match run.send(call, now, &self.server) {
                Submitted::Refused(call, failure) => Some((call, failure)),
                Submitted::Sent | Submitted::Waits => None,
            })
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

    /// The run is over: nothing of it counts any more.
    pub(super) fn detach(&self) -> Remains {
        let mut inner = self.lock();
        let Some(run) = inner.run.take() else { return Remains::default() };
        let (now, taken) = (Instant::now(), run.outbox.taken());
        let lost = run.flights.into_values().filter_map(|flight| flight.lost(now, taken)).collect();
        let key = |id| AskKey { server: self.server.clone(), generation: run.generation, id };
        Remains { lost, asks: run.asks.into_iter().map(key).collect() }
    }

    /// Answers calls with `failure` until the given time, instead of letting them wait.
    pub(super) fn refuse(&self, failure: Failure, until: Instant) {
        self.lock().refusal = Some((failure, until));
    }
}

impl Inner {
    fn open_calls(&self) -> usize {
        self.waiting.len() + self.run.as_ref().map_or(0, |run| run.flights.len())
    }

    fn run_of(&mut self, generation: u64) -> Option<&mut Run> {
        self.run.as_mut().filter(|run| run.generation == generation)
    }
}

impl Run {
    fn fly(&mut self, owner: Owner, now: Instant) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let position = self.outbox.pushed();
        self.flights.insert(id, Flight { owner, sent: now, alive: now, progress: None, position });
        id
    }

    fn send(&mut self, call: Call, now: Instant, server: &ServerName) -> Submitted {
        let relay_progress = matches!(call.token, TokenPlace::Client(_));
        let id = self.next_id;
        let position = self.outbox.pushed();
        if self.outbox.try_push(|line| compose::request(line, id, &call)).is_err() {
            let failure = Failure::new(
                Code::CallBusy,
                format!("{} MiB wait for `{server}` to read them", OUTBOX_LIMIT >> 20),
            )
            .remedy("Call again later; if it stays so, the server does not read its input");
            return Submitted::Refused(Box::new(call), failure.of(server));
        }
        self.next_id += 1;
        let parked = Box::new(Parked { ticket: call.ticket, client: call.client, label: call.label });
        let owner = Owner::Client { call: parked, relay_progress };
        self.flights.insert(id, Flight { owner, sent: now, alive: now, progress: None, position });
        Submitted::Sent
    }

    fn id_of(&self, ticket: Ticket) -> Option<u64> {
        let is_it =
            |flight: &Flight| matches!(&flight.owner, Owner::Client { call, .. } if call.ticket == ticket);
        self.flights.iter().find(|(_, flight)| is_it(flight)).map(|(id, _)| *id)
    }

    fn cancel(&self, id: u64, reason: Option<&str>) {
        let params = compose::cancelled_params(id, reason);
        self.outbox.push(|line| compose::notification(line, "notifications/cancelled", Some(&params)));
    }
}

impl Flight {
    fn lost(self, now: Instant, taken: u64) -> Option<Lost> {
        let Owner::Client { call, .. } = self.owner else { return None };
        Some(Lost {
            ticket: call.ticket,
            client: call.client,
            label: call.label,
            after: now - self.sent,
            was_written: self.position < taken,
        })
    }
}
