//! Counts calls and how long they take: per server, per kind of request and per tool.
//!
//! In comes each call as it enters its lane ([`Meter::watch`]), with the caller in front of it exchanged for one that notes how it
//! ends; out go sums ([`Meter::counts`], [`Meters::stats`]). What other rooms count anyway (attempts, the cache, restarts) is
//! not counted here a second time. Nothing in here knows how sums are shown, and nothing keeps arguments or results.
//!
//! A lane without a meter costs a branch. One with a meter costs an allocation, two looks at the clock and one short lock per call.

mod counts;
mod histogram;
mod stats;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use crate::call::Call;
use crate::failure::{Code, Failure};
use crate::names::{OriginalName, ServerName};
use crate::protocol::Method;
use ahash::HashMap;

pub use counts::{Counts, Ending, Kind, KindCounts, LastFailure, ToolCounts};
pub use histogram::{BOUNDS, Histogram};
pub use stats::{Discovery, Stats};

use watch::Watched;
pub(crate) use watch::ending;

/// How many tools of all servers together have numbers of their own. Further ones share one line per server.
pub const MAX_TOOLS: usize = 500;

/// How many servers are remembered that are no longer there.
const MAX_GONE: usize = 1000;

/// The meters of a whole Switchboard. What was counted of a server stays when it is taken out and put in again.
#[derive(Debug)]
pub struct Meters {
    counts_calls: bool,
    servers: Mutex<BTreeMap<ServerName, Arc<Meter>>>,
    shared: Arc<Shared>,
    discovery: Mutex<Discovery>,
    /// Who knows who is present.
    crowd: OnceLock<Weak<dyn Crowd>>,
    began: SystemTime,
}

/// Who knows which clients are there.
pub trait Crowd: Send + Sync + std::fmt::Debug {
    /// Those that are there now.
    fn present(&self) -> Present;
}

/// How many clients and waiting calls there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Clients that hold a session.
    pub sessions: usize,
    /// Calls that wait for their client to come back with an answer.
    pub parked: usize,
}

/// What the meters of all servers share.
#[derive(Debug, Default)]
struct Shared {
    /// How many tools have numbers of their own.
    tools: AtomicUsize,
}

/// What is counted of one server.
#[derive(Debug)]
pub struct Meter {
    server: ServerName,
    shared: Arc<Shared>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: Counts,
    /// Where in the counts a tool stands.
    tools: HashMap<OriginalName, usize>,
}

/// How one call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// In which way.
    pub ending: Ending,
    /// Our own code, if the failure is one of ours.
    pub code: Option<Code>,
    /// How long it took.
    pub took: Duration,
    /// The size of its parameters, in bytes.
    pub sent: usize,
    /// The size of its result or error, in bytes.
    pub received: usize,
}

impl Default for Meters {
    /// Such as count no calls.
    fn default() -> Self {
        Self::new(false)
    }
}

impl Meters {
    /// Meters that count calls, or only what costs nothing.
    pub fn new(counts_calls: bool) -> Self {
        Self {
            counts_calls,
            servers: Mutex::default(),
            shared: Arc::default(),
            discovery: Mutex::default(),
            crowd: OnceLock::new(),
            began: SystemTime::now(),
        }
    }

    /// Says who knows which clients are there. Once.
    pub fn attach(&self, crowd: Weak<dyn Crowd>) {
        let _ = self.crowd.set(crowd);
    }

    /// Which clients are there now, if anybody knows.
    pub fn present(&self) -> Option<Present> {
        self.crowd.get()?.upgrade().map(|crowd| crowd.present())
    }

    /// Whether calls are counted.
    pub fn is_on(&self) -> bool {
        self.counts_calls
    }

    /// When counting began.
    pub fn began(&self) -> SystemTime {
        self.began
    }

    fn servers(&self) -> MutexGuard<'_, BTreeMap<ServerName, Arc<Meter>>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The meter of a server; `None` if calls are not counted.
    pub fn of(&self, server: &ServerName) -> Option<Arc<Meter>> {
        if !self.counts_calls {
            return None;
        }
        let mut servers = self.servers();
        if servers.len() >= MAX_GONE && !servers.contains_key(server) {
            // Whoever registers servers by program and never the same twice must not fill our memory.
            servers.retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.give_up());
        }
        let meter = servers.entry(server.clone()).or_insert_with(|| {
            Arc::new(Meter {
                server: server.clone(),
                shared: Arc::clone(&self.shared),
                inner: Mutex::default(),
            })
        });
        Some(Arc::clone(meter))
    }

    /// What was counted of each server, by name.
    pub fn counts(&self) -> Vec<(ServerName, Counts)> {
        self.servers().iter().map(|(name, meter)| (name.clone(), meter.counts())).collect()
    }

    /// All requests since we run.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.servers().values().for_each(|meter| stats.add(&meter.inner().counts));
        stats
    }

    /// What was counted of this server; `None` if nothing is.
    pub fn counts_of(&self, server: &ServerName) -> Option<Counts> {
        self.servers().get(server).map(|meter| meter.counts())
    }

    /// The requests of each server since we run, by name.
    pub fn stats_by_server(&self) -> Vec<(ServerName, Stats)> {
        let stats = |meter: &Meter| {
            let mut stats = Stats::default();
            stats.add(&meter.inner().counts);
            stats
        };
        self.servers().iter().map(|(name, meter)| (name.clone(), stats(meter))).collect()
    }

    /// Counts a run of the discovery: how many servers it found, and how many of them were put in at once.
    pub fn record_discovery(&self, discovered: u64, auto_registered: u64) {
        self.discovery().record(true, discovered, auto_registered);
    }

    /// Counts a run of the discovery that could not do its work.
    pub fn record_failed_discovery(&self) {
        self.discovery().record(false, 0, 0);
    }

    /// What the discovery has done.
    pub fn discovered(&self) -> Discovery {
        *self.discovery()
    }

    fn discovery(&self) -> MutexGuard<'_, Discovery> {
        self.discovery.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server whose calls are counted.
    pub fn server(&self) -> &ServerName {
        &self.server
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.inner().counts.clone()
    }

    /// The same call, with a caller who notes how it ends before he tells the one who made it.
    pub fn watch(self: &Arc<Self>, call: Call) -> Call {
        Watched::put_before(call, Arc::clone(self))
    }

    /// Remembers how a call failed that got no answer.
    pub(crate) fn remember(&self, item: &OriginalName, failure: &Failure) {
        let last = LastFailure { item: item.clone(), at: SystemTime::now(), failure: failure.clone() };
        self.inner().counts.last_failure = Some(last);
    }

    /// Counts a call of a tool.
    pub fn record_tool_call(&self, tool: &OriginalName, ended: Ended) {
        self.record(Method::ToolsCall, tool, ended);
    }

    /// Counts a request of any kind.
    pub fn record(&self, method: Method, label: &OriginalName, ended: Ended) {
        let mut inner = self.inner();
        inner.counts.add(Kind::of(method), ended);
        if method == Method::ToolsCall {
            let place = match inner.tools.get(label) {
                Some(place) => Some(*place),
                None => self.place_for(&mut inner, label),
            };
            inner.counts.add_tool(place, ended);
        }
    }

    fn place_for(&self, inner: &mut Inner, tool: &OriginalName) -> Option<usize> {
        let one_more = |count: usize| (count < MAX_TOOLS).then_some(count + 1);
        self.shared.tools.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        let place = inner.counts.new_tool(tool.clone());
        inner.tools.insert(tool.clone(), place);
        Some(place)
    }

    /// Gives the places of its tools to others. True always, for a chain of conditions.
    fn give_up(&self) -> bool {
        let mut inner = self.inner();
        self.shared.tools.fetch_sub(inner.tools.len(), Ordering::Relaxed);
        inner.tools.clear();
        true
    }
}
