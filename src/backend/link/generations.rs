//! One run after the other: what begins with one and what is left of it.

use std::collections::HashSet;
use std::sync::Arc;

use ahash::HashMap;
use tokio::time::Instant;

use super::levels::Levels;
use super::{Link, Remains, Run, Submitted, Waiting};
use crate::backend::gate::Gate;
use crate::backend::handshake::Greeting;
use crate::backend::words::Words;
use crate::call::AskKey;
use crate::failure::Failure;
use crate::protocol::{Level, Revision};
use crate::wire::Outbox;

impl Link {
    /// The generation that the next run will have.
    pub(in crate::backend) fn next_generation(&self) -> u64 {
        let mut inner = self.lock();
        inner.generations += 1;
        inner.generations
    }

    /// A process runs; only requests of our own pass so far.
    ///
    /// `has_streams` says that the server's questions come with the call that they belong to.
    pub(in crate::backend) fn attach(&self, generation: u64, outbox: Arc<Outbox>, has_streams: bool) {
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
            own: 0,
            asks: Vec::new(),
            gate: Gate::new(guards),
            levels: Levels::default(),
        });
    }

    /// The handshake is done: what waited is sent, and calls pass. `level` is what sessions want
    /// to be logged, as the server has been told. Gives back calls that were not sent.
    pub(in crate::backend) fn open(&self, greeting: Arc<Greeting>, level: Option<Level>) -> Vec<Submitted> {
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
        run.levels = Levels::begin(greeting.logging && !greeting.revision.is_modern(), level);
        run.greeting = Some(greeting);
        waiting
            .into_iter()
            .map(|Waiting { call, past, .. }| run.submit(call, past, now))
            .filter(|submitted| !matches!(submitted, Submitted::Sent | Submitted::Waits))
            .collect()
    }

    /// The run is about to be over: what is in flight may still be answered, but calls wait for the next one.
    pub(in crate::backend) fn closes(&self, generation: u64) {
        if let Some(run) = self.lock().run_of(generation) {
            run.greeting = None;
        }
    }

    /// What the running server said in its handshake.
    pub(in crate::backend) fn greeting(&self) -> Option<Arc<Greeting>> {
        self.lock().run.as_ref().and_then(|run| run.greeting.clone())
    }

    /// The revision that is spoken with the running server.
    pub(in crate::backend) fn revision(&self) -> Option<&'static Revision> {
        self.lock().run.as_ref().map(|run| run.words.to)
    }

    /// The tools that can be called as tasks alone.
    pub(in crate::backend) fn learn_tasks(&self, tools: HashSet<String>) {
        if let Some(run) = &mut self.lock().run {
            run.words.learn_tasks(tools);
        }
    }

    /// Another one of them.
    pub(in crate::backend) fn learn_task(&self, tool: &str) {
        if let Some(run) = &mut self.lock().run {
            run.words.learn_task(tool);
        }
    }

    /// The run is over: nothing of it counts any more.
    pub(in crate::backend) fn detach(&self) -> Remains {
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
    pub(in crate::backend) fn refuse(&self, failure: Failure, until: Instant) {
        self.lock().refusal = Some((failure, until));
    }
}
