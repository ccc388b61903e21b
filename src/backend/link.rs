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
use crate::backend::gate::{Gate, Held};
use crate::backend::handshake::Greeting;
use crate::backend::words::Words;
use crate::call::{AskKey, Call, Caller, CallerId, InFlight, Ticket, TokenPlace};
use crate::failure::{Code, Failure};
use crate::names::{OriginalName, ServerName};
use crate::protocol::{Method, Revision};
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
    waiting: VecDeque<Waiting>,
    /// Whether calls of different callers that may be asked something must not meet at this server.
    serializes: bool,
    /// While the server cannot be started: what a call is answered with, and until when.
    refusal: Option<(Failure, Instant)>,
    generations: u64,
    last_used: Option<Instant>,
}

/// A call that waits for a run.
struct Waiting {
    since: Instant,
    call: Call,
    /// It has been sent before, to a server that had forgotten us and did not run it.
    again: bool,
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
    flights: HashMap<u64, Flight>,
    asks: Vec<OpenAsk>,
    gate: Gate<Answer>,
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
    /// The call in whose middle it was asked, if that is known.
    whose: Option<u64>,
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
    /// It waits for its user, and others may be at the server.
    rests: bool,
}

enum Owner {
    Client { call: Box<Flown>, relay_progress: bool },
    Own(oneshot::Sender<OwnReply>),
}

/// What is kept of a call in flight.
pub(super) struct Flown {
    pub(super) ticket: Ticket,
    pub(super) caller: Arc<dyn Caller>,
    pub(super) label: OriginalName,
    pub(super) method: Method,
    /// The whole call, where it may be sent again.
    pub(super) again: Option<Call>,
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
}

/// Whose call an answer belongs to.
pub(super) enum Addressee {
    /// A client's.
    Client(Box<Flown>, &'static Revision),
    /// Ours.
    Own(oneshot::Sender<OwnReply>),
}

/// Whom progress belongs to.
pub(super) enum Listener {
    /// A client that asked for it.
    Client(Ticket, Arc<dyn Caller>),
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
    /// Whether any of its bytes reached the server's pipe. If not, it cannot have run.
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

impl Link {
    pub(super) fn new(server: ServerName, serializes: bool) -> Self {
        Self { server, inner: Mutex::new(Inner { serializes, ..Inner::default() }) }
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
            return run.submit(call, now, false);
        }
        if let Some((failure, until)) = &inner.refusal
            && now < *until
        {
            return Submitted::Refused(Box::new(call), failure.clone());
        }
        inner.waiting.push_back(Waiting { since: now, call, again: false });
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
    pub(super) fn landed(&self, generation: u64, id: u64) -> Option<Addressee> {
        let mut inner = self.lock();
        let run = inner.run_of(generation)?;
        let revision = run.words.to;
        let flight = run.take(id)?;
        inner.last_used = Some(Instant::now());
        Some(match flight.owner {
            Owner::Client { call, .. } => Addressee::Client(call, revision),
            Owner::Own(sender) => Addressee::Own(sender),
        })
    }

    /// Takes the addressee of a request that the server has refused only because it has forgotten us: the call waits for
    /// the next run, unless it did so before.
    pub(super) fn refused(&self, generation: u64, id: u64) -> Option<Addressee> {
        match self.landed(generation, id)? {
            Addressee::Client(mut call, revision) => match call.again.take() {
                Some(again) => {
                    let since = Instant::now();
                    self.lock().waiting.push_back(Waiting { since, call: again, again: true });
                    None
                }
                None => Some(Addressee::Client(call, revision)),
            },
            own => Some(own),
        }
    }

    /// Takes every client's call in flight, for an answer that cannot be told to belong to one of them.
    pub(super) fn landed_all(&self, generation: u64) -> Vec<Addressee> {
        let mut inner = self.lock();
        let Some(run) = inner.run_of(generation) else { return Vec::new() };
        let revision = run.words.to;
        let clients = run.flights.extract_if(|_, flight| matches!(flight.owner, Owner::Client { .. }));
        let landed = clients
            .filter_map(|(_, flight)| match flight.owner {
                Owner::Client { call, .. } => Some(Addressee::Client(call, revision)),
                Owner::Own(_) => None,
            })
            .collect();
        run.admit();
        landed
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
                Listener::Client(call.ticket, Arc::clone(&call.caller))
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
                matches!(flight.owner, Owner::Client { .. })
                    && (now - flight.alive >= idle && !waits_for_user(**id) || now - flight.sent >= total)
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

    /// Takes the waiting calls.
    pub(super) fn take_waiting(&self) -> Vec<Call> {
        self.lock().waiting.drain(..).map(|waiting| waiting.call).collect()
    }

    /// Takes those that have waited since then or longer.
    pub(super) fn take_waiting_since(&self, then: Instant) -> Vec<Call> {
        let waiting = &mut self.lock().waiting;
        let count = waiting.partition_point(|waiting| waiting.since <= then);
        waiting.drain(..count).map(|waiting| waiting.call).collect()
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

    /// Notes a question of the server, and whose it is. `None` if it is of an earlier run, or one question too many.
    ///
    /// `about` is the call that the transport says it belongs to. Without that, it belongs to the caller whose calls are
    /// the only ones in flight.
    pub(super) fn asked(&self, generation: u64, id: Id, about: Option<u64>) -> Option<(AskKey, Whose)> {
        let mut inner = self.lock();
        let run = inner.run_of(generation)?;
        if run.asks.len() >= MAX_ASKS || run.asks.iter().any(|open| open.id == id) {
            return None;
        }
        let whose = match about {
            Some(flight) => run
                .caller_of(flight)
                .map_or(Whose::Nobodys, |(call, caller)| Whose::Ones(flight, call, caller)),
            None => run.only_caller(),
        };
        let flight = match &whose {
            Whose::Ones(flight, ..) => Some(*flight),
            Whose::Nobodys | Whose::Unclear => None,
        };
        run.asks.push(OpenAsk { id: id.clone(), whose: flight });
        Some((AskKey { server: self.server.clone(), generation, id }, whose))
    }

    /// Takes a question back: the server has withdrawn it, or it cannot be asked. Gives the caller who was asked.
    pub(super) fn withdrawn(&self, generation: u64, id: &Id) -> Option<(AskKey, Option<Arc<dyn Caller>>)> {
        let mut inner = self.lock();
        let run = inner.run_of(generation)?;
        let whose = run.close_ask(id)?;
        let caller = whose.and_then(|flight| run.caller_of(flight)).map(|(_, caller)| caller);
        Some((AskKey { server: self.server.clone(), generation, id: id.clone() }, caller))
    }

    /// Sends the answer to a question, if it is still open. Where the call rested meanwhile and others are at the server,
    /// the answer waits for them.
    pub(super) fn answer(&self, key: &AskKey, text: &Bytes, body: Body) {
        let mut inner = self.lock();
        let Some(run) = inner.run_of(key.generation) else { return };
        let Some(whose) = run.asks.iter().find(|open| open.id == key.id).map(|open| open.whose) else {
            return;
        };
        let answer = Answer { id: key.id.clone(), text: text.clone(), body };
        match whose {
            Some(flight) => run.answer_in_turn(flight, answer),
            None => run.send_answer(&answer),
        }
    }

    /// The call in whose middle this was asked rests: it cannot ask anything else until it is answered, so that others may
    /// go on meanwhile.
    pub(super) fn rests(&self, key: &AskKey) {
        if let Some(run) = self.lock().run_of(key.generation)
            && let Some(flight) = run.asks.iter().find(|open| open.id == key.id).and_then(|open| open.whose)
        {
            run.rest(flight);
        }
    }

    /// Everybody who has a call in flight, each caller once.
    pub(super) fn callers(&self, generation: u64) -> Vec<InFlight> {
        let mut inner = self.lock();
        let Some(run) = inner.run_of(generation) else { return Vec::new() };
        let mut callers: Vec<InFlight> = Vec::new();
        for flight in run.flights.values() {
            if let Owner::Client { call, .. } = &flight.owner
                && !callers.iter().any(|(_, known)| known.id() == call.caller.id())
            {
                callers.push((call.ticket, Arc::clone(&call.caller)));
            }
        }
        callers
    }

    /// Whose call has this id.
    pub(super) fn caller_of(&self, generation: u64, flight: u64) -> Option<InFlight> {
        self.lock().run_of(generation)?.caller_of(flight)
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
    ///
    /// `has_streams` says that the server's questions come with the call that they belong to.
    pub(super) fn attach(&self, generation: u64, outbox: Arc<Outbox>, has_streams: bool) {
        let mut inner = self.lock();
        let guards = inner.serializes && !has_streams;
        inner.refusal = None;
        inner.run = Some(Run {
            server: self.server.clone(),
            generation,
            outbox,
            greeting: None,
            words: Words::new(Revision::newest_legacy()),
            next_id: 1,
            keeps_calls: has_streams,
            flights: HashMap::default(),
            asks: Vec::new(),
            gate: Gate::new(guards),
        });
    }

    /// The handshake is done: what waited is sent, and calls pass. Gives back calls that found no room.
    pub(super) fn open(&self, greeting: Arc<Greeting>) -> Vec<(Box<Call>, Failure)> {
        let now = Instant::now();
        let mut inner = self.lock();
        let waiting = std::mem::take(&mut inner.waiting);
        inner.last_used = Some(now);
        let Some(run) = &mut inner.run else { return Vec::new() };
        run.words = Words::new(greeting.revision);
        if greeting.revision.is_modern() {
            // Its calls may need another round, and it asks nothing outside of their answers.
            run.keeps_calls = true;
            run.gate = Gate::new(false);
        }
        run.greeting = Some(greeting);
        waiting
            .into_iter()
            .filter_map(|Waiting { call, again, .. }| match run.submit(call, now, again) {
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

    /// The revision that is spoken with the running server.
    pub(super) fn revision(&self) -> Option<&'static Revision> {
        self.lock().run.as_ref().map(|run| run.words.to)
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
        self.waiting.len() + self.run.as_ref().map_or(0, |run| run.flights.len() + run.gate.waiting())
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
        self.flights
            .insert(id, Flight { owner, sent: now, alive: now, progress: None, position, rests: false });
        id
    }

    /// Sends a call, or lets it wait for those that it must not meet.
    fn submit(&mut self, call: Call, now: Instant, again: bool) -> Submitted {
        match self.gate.enter(call) {
            Some(call) => self.send(call, now, again),
            None => Submitted::Sent,
        }
    }

    fn send(&mut self, call: Call, now: Instant, again: bool) -> Submitted {
        let relay_progress = matches!(call.token, TokenPlace::Client(_));
        let id = self.next_id;
        let position = self.outbox.pushed();
        let words = self.words.params(&call, id);
        if self.outbox.try_push(|line| compose::request(line, id, &call, words.as_ref())).is_err() {
            let failure = Failure::new(
                Code::CallBusy,
                format!("{} MiB wait for `{}` to read them", OUTBOX_LIMIT >> 20, self.server),
            )
            .remedy("Call again later; if it stays so, the server does not read its input");
            self.gate.leave();
            return Submitted::Refused(Box::new(call), failure.of(&self.server));
        }
        self.next_id += 1;
        let flown = Box::new(Flown {
            ticket: call.ticket,
            caller: Arc::clone(&call.caller),
            label: call.label.clone(),
            method: call.method,
            again: (self.keeps_calls && !again).then(|| call.clone()),
        });
        let owner = Owner::Client { call: flown, relay_progress };
        self.flights
            .insert(id, Flight { owner, sent: now, alive: now, progress: None, position, rests: false });
        Submitted::Sent
    }

    fn id_of(&self, caller: CallerId, ticket: Ticket) -> Option<u64> {
        let is_it = |flight: &Flight| matches!(&flight.owner, Owner::Client { call, .. } if call.ticket == ticket && call.caller.id() == caller);
        self.flights.iter().find(|(_, flight)| is_it(flight)).map(|(id, _)| *id)
    }

    /// Takes a flight out, and lets in who waited for that.
    fn take(&mut self, id: u64) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        if matches!(flight.owner, Owner::Client { .. }) && !flight.rests {
            self.gate.leave();
            self.admit();
        }
        Some(flight)
    }

    fn admit(&mut self) {
        while let Some(held) = self.gate.next() {
            match held {
                Held::Call(call) => {
                    if let Submitted::Refused(call, failure) = self.send(*call, Instant::now(), false) {
                        call.caller.fail(call.ticket, failure);
                    }
                }
                Held::Answer { flight, answer } => match self.flights.get_mut(&flight) {
                    Some(flight) if flight.rests => {
                        flight.rests = false;
                        self.send_answer(&answer);
                    }
                    // Another answer has woken the call already, or the call is over.
                    Some(_) => {
                        self.gate.leave();
                        self.send_answer(&answer);
                    }
                    None => self.gate.leave(),
                },
            }
        }
    }

    fn caller_of(&self, flight: u64) -> Option<InFlight> {
        match &self.flights.get(&flight)?.owner {
            Owner::Client { call, .. } => Some((call.ticket, Arc::clone(&call.caller))),
            Owner::Own(_) => None,
        }
    }

    /// Who must be meant when the server does not say so: the only caller at work, else the only one who rests.
    fn only_caller(&self) -> Whose {
        let only = |rests: bool| {
            let mut found = Whose::Nobodys;
            for (id, flight) in self.flights.iter().filter(|(_, flight)| flight.rests == rests) {
                let Owner::Client { call, .. } = &flight.owner else { continue };
                match &found {
                    Whose::Nobodys => found = Whose::Ones(*id, call.ticket, Arc::clone(&call.caller)),
                    Whose::Ones(_, _, caller) if caller.id() == call.caller.id() => {}
                    Whose::Ones(..) | Whose::Unclear => return Whose::Unclear,
                }
            }
            found
        };
        match only(false) {
            Whose::Nobodys => only(true),
            found => found,
        }
    }

    fn close_ask(&mut self, id: &Id) -> Option<Option<u64>> {
        let place = self.asks.iter().position(|open| open.id == *id)?;
        Some(self.asks.swap_remove(place).whose)
    }

    fn rest(&mut self, flight: u64) {
        if let Some(flight) = self.flights.get_mut(&flight).filter(|flight| !flight.rests) {
            flight.rests = true;
            self.gate.leave();
            self.admit();
        }
    }

    fn answer_in_turn(&mut self, flight: u64, answer: Answer) {
        let rests = self.flights.get(&flight).is_some_and(|flight| flight.rests);
        let caller = self.caller_of(flight).map(|(_, caller)| caller);
        let answer = match caller.filter(|_| rests) {
            Some(caller) => self.gate.return_with(&*caller, flight, answer),
            None => Some(answer),
        };
        if let Some(answer) = answer {
            if let Some(flight) = self.flights.get_mut(&flight) {
                flight.rests = false;
            }
            self.send_answer(&answer);
        }
    }

    fn send_answer(&mut self, answer: &Answer) {
        if self.close_ask(&answer.id).is_none() {
            return;
        }
        let (member, span) = match answer.body {
            Body::Result(span) => ("result", span),
            Body::Error(span) => ("error", span),
        };
        let Answer { id, text, .. } = answer;
        self.outbox.push(|line| compose::answer(line, id.as_bytes(), member, text, span));
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
            caller: call.caller,
            label: call.label,
            after: now - self.sent,
            was_written: self.position < taken,
        })
    }
}
