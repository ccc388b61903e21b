//! Answers calls from what the server has answered before, and lets equal calls that come at the same time share one.
//!
//! Only what reads is kept, for the same client with the same wish ([`Key`]), until its time is over or the server says that
//! something has changed ([`Changes`]). What is no plain answer is never kept: errors (unless the config asks for it), requests
//! for input, tasks, and what a server answers after it has asked the client something.

pub(super) mod canonical;
mod flight;
mod kept;
mod key;
mod store;
#[cfg(test)]
mod tests;
mod witness;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::{Instant, timeout_at};

use super::breaker::is_servers_fault;
use super::{BoxFuture, Next, Outcome, Request, Stage};
use crate::backend::Changes;
use crate::config::CacheRules;
use crate::failure::{Code, Failure};
use crate::names::ServerName;
use crate::protocol::Method;

use flight::{End, Flights, Leader, Seat};
use kept::Landing;
use key::Key;
use store::{Answer, Stamp, Store};
use witness::Witness;

pub use store::Tallies as CacheTallies;

/// The stage of one instance of a server. What it keeps is in a store that all instances share.
#[derive(Debug)]
pub(super) struct Cache {
    server: ServerName,
    changes: Arc<Changes>,
    store: Arc<Store>,
    flights: Flights,
    /// Tells the instances apart: each may have a state of its own.
    instance: u64,
}

impl Cache {
    pub(super) fn new(server: ServerName, rules: CacheRules, changes: Arc<Changes>) -> Self {
        Self::over(server, Arc::new(Store::new(rules)), changes)
    }

    /// The same for another instance.
    pub(super) fn beside(&self, changes: Arc<Changes>) -> Self {
        Self::over(self.server.clone(), Arc::clone(&self.store), changes)
    }

    /// Whether both keep their answers in the same store.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.store, &other.store)
    }

    fn over(server: ServerName, store: Arc<Store>, changes: Arc<Changes>) -> Self {
        static INSTANCES: AtomicU64 = AtomicU64::new(0);
        let instance = INSTANCES.fetch_add(1, Ordering::Relaxed);
        Self { server, changes, store, flights: Flights::default(), instance }
    }

    /// What it has done, and what it holds for all instances.
    pub(super) fn tallies(&self) -> CacheTallies {
        self.store.tallies()
    }

    /// Forgets everything, for all instances.
    pub(super) fn clear(&self) {
        self.store.clear();
    }

    async fn run(&self, request: Box<Request>, next: Next<'_>) -> Outcome {
        let Some(key) = self.key(&request) else { return next.run(request).await };
        if key::is_vetoed(&request.call) {
            return self.alone(key, request, next).await;
        }
        loop {
            let stamp = self.stamp(&request);
            if let Some(outcome) = self.find(&key, stamp) {
                return outcome;
            }
            let follower = match self.flights.seat(key, stamp) {
                Seat::Leader(leader) => return self.lead(leader, request, next).await,
                Seat::Follower(follower) => follower,
            };
            match timeout_at(request.deadline, follower.end()).await {
                Ok(End::Vacant) => {}
                Ok(End::Landed(Landing::Answer(kept))) => {
                    self.store.hit();
                    return kept.reply(Instant::now(), false);
                }
                Ok(End::Landed(Landing::Failed(failure))) => return self.failed(&key, failure),
                Ok(End::Landed(Landing::Apart)) => return self.alone(key, request, next).await,
                Err(_) => return Outcome::Failed(self.too_late(&request)),
            }
        }
    }

    fn key(&self, request: &Request) -> Option<Key> {
        let may_be_kept = match (&self.store.rules.tools, request.call.method) {
            (Some(tools), Method::ToolsCall) => {
                tools.iter().any(|tool| tool.matches(request.call.label.as_str()))
            }
            _ => true,
        };
        may_be_kept.then(|| Key::of(request, self.instance)).flatten()
    }

    fn stamp(&self, request: &Request) -> Stamp {
        let parts = self.changes.last(request.call.method, request.call.label.as_str());
        Stamp { parts, run: self.changes.runs() }
    }

    fn find(&self, key: &Key, stamp: Stamp) -> Option<Outcome> {
        let now = Instant::now();
        let answer = self.store.find(key)?;
        (answer.stamp == stamp && answer.kept.is_good(now)).then(|| {
            self.store.hit();
            answer.kept.reply(now, false)
        })
    }

    /// Calls the server for oneself.
    async fn alone(&self, key: Key, request: Box<Request>, next: Next<'_>) -> Outcome {
        self.lead(Leader::alone(key, self.stamp(&request)), request, next).await
    }

    /// Calls the server for all who want the same.
    async fn lead(&self, leader: Leader<'_>, mut request: Box<Request>, next: Next<'_>) -> Outcome {
        self.store.miss();
        let (key, asked_for) = (leader.key(), leader.stamp());
        let (method, epoch) = (request.call.method, self.store.epoch());
        let client = Arc::clone(&request.call.caller);
        request.call.caller = Arc::new(Witness { client, flight: Arc::clone(leader.flight()) });
        let outcome = next.run(request).await;
        if leader.flight().has_parted() {
            return outcome;
        }
        let landing = Landing::of(&outcome, method, &self.store.rules, Instant::now());
        if let Landing::Answer(kept) = &landing {
            // An answer comes from the run that is on now, which may have begun with this call.
            let stamp = Stamp { run: self.changes.runs(), ..asked_for };
            self.store.keep(key, Answer { kept: Arc::clone(kept), stamp }, epoch);
        }
        leader.land(landing);
        match outcome {
            Outcome::Failed(failure) => self.failed(&key, failure),
            reply => reply,
        }
    }

    /// What a call gets that failed: what was kept, if the config allows that and it is the server that fails.
    fn failed(&self, key: &Key, failure: Failure) -> Outcome {
        let is_down = is_servers_fault(failure.code) || failure.code == Code::BreakerOpen;
        let stand_in = || {
            let patience = self.store.rules.stale_if_error.filter(|_| is_down)?;
            let now = Instant::now();
            let answer = self.store.find(key)?;
            answer.kept.may_stand_in(patience, now).then(|| answer.kept.reply(now, true))
        };
        match stand_in() {
            Some(outcome) => {
                self.store.hit();
                outcome
            }
            None => Outcome::Failed(failure),
        }
    }

    fn too_late(&self, request: &Request) -> Failure {
        let cause = format!("`{}` waited in vain for an equal call to be answered", request.call.label);
        Failure::new(Code::CallTimeout, cause).of(&self.server).not_run().remedy("It did not run; call again")
    }
}

impl Stage for Cache {
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(self.run(request, next))
    }
}
