//! The instances of one server, at the bottom of its lane: one, or several alike (`replicas`, `endpoints`).
//!
//! Each has a breaker and a health of its own. A call goes to one that can take it, by [the strategy](balance) of the config:
//! first those that run, then those that have to be started, then those that have fallen and come back; one that is
//! left alone, cannot be started or fails its checks gets calls only while there is no other. What one instance certainly
//! has not run goes on to the next at once, as often as there are instances; what may have run is left to the retry stage,
//! and [`may_repeat`] decides either time. What [belongs to one instance](holders) goes to no other.

mod balance;
mod holders;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Verdict, verdict};
use super::health::Health;
use super::inline::InlineTask;
use super::leg::Road;
use super::{Bottom, BoxFuture, Next, Outcome, Request, Trouble};
use crate::backend::{Backend, State};
use crate::config::{Balance, BreakerRules, HealthCheck, Stages};
use crate::effect::{Ran, may_repeat};
use crate::failure::{Code, Failure};
use crate::names::ServerName;

use balance::Balancer;
use holders::{Holders, Place};

/// How one instance stands, by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It answers calls, in this run.
    Ready(u64),
    /// It has to be started.
    Asleep,
    /// It is being started.
    Starting,
    /// It fell, and will be started again by itself.
    Fallen,
    /// It cannot take calls.
    Out {
        /// Whether it may be tried again by now.
        is_due: bool,
    },
    /// It will never take a call again.
    Over,
}

/// An instance of a server, as a group needs it.
pub(super) trait Replica: Send + Sync {
    fn standing(&self, now: Instant) -> Standing;

    /// Starts it, if it is not running.
    fn wake(&self);

    /// Asks it whether it is there, if it runs; one that does not shakes hands when it is started for a call.
    fn handshake(&self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Takes a call to it and waits for the end. Dropping the future cancels the call there.
    fn take(&self, request: Box<Request>, road: &Road) -> impl Future<Output = Outcome> + Send;
}

impl Replica for Backend {
    fn standing(&self, now: Instant) -> Standing {
        match self.state() {
            State::Ready { .. } if self.wants_login().is_some() => Standing::Out { is_due: false },
            State::Ready { generation, .. } => Standing::Ready(generation),
            State::Idle => Standing::Asleep,
            State::Starting { .. } => Standing::Starting,
            State::Waiting { .. } => Standing::Fallen,
            State::CrashLooped { until, .. } | State::Failed { until, .. } => {
                Standing::Out { is_due: until <= now }
            }
            State::NeedsLogin { .. } => Standing::Out { is_due: false },
            State::Ended => Standing::Over,
        }
    }

    fn wake(&self) {
        self.start();
    }

    fn handshake(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            let patience =
                self.config().stages.health_check.as_ref().map_or(HANDSHAKE, |check| check.timeout);
            match self.state() {
                State::Ready { .. } => self.check(patience).await,
                _ => Ok(()),
            }
        })
    }

    fn take(&self, request: Box<Request>, road: &Road) -> impl Future<Output = Outcome> + Send {
        road.visit(self, request)
    }
}

/// How long a server that has failed may take to say that it is there, unless its `health_check` says so.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Group<R = Backend> {
    server: ServerName,
    members: Vec<Member<R>>,
    balancer: Arc<Mutex<Balancer>>,
    holders: Arc<Holders>,
}

/// One instance.
pub(super) struct Member<R = Backend> {
    pub(super) server: Arc<R>,
    pub(super) breaker: Option<Arc<Breaker>>,
    pub(super) health: Option<Arc<Health>>,
}

/// How willingly an instance is given a call; the first is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Ready,
    Startable,
    Fallen,
    /// Only while there is no other.
    Ejected,
}

impl<R: Replica> Member<R> {
    /// Why it gets no calls although it may be running.
    fn trouble(&self, now: Instant) -> Option<Trouble> {
        let by_checks = || match self.server.standing(now) {
            Standing::Ready(generation) => self.health.as_ref()?.trouble(generation),
            _ => None,
        };
        self.breaker.as_ref().and_then(|breaker| breaker.trouble(now)).or_else(by_checks)
    }

    /// `None` if it will never take a call again.
    fn rank(&self, now: Instant) -> Option<(Rank, Standing)> {
        let standing = self.server.standing(now);
        let is_refused = self.breaker.as_ref().is_some_and(|breaker| breaker.refuses(now));
        let rank = match standing {
            Standing::Over => return None,
            _ if is_refused => Rank::Ejected,
            Standing::Ready(generation) => {
                let is_ill = self.health.as_ref().is_some_and(|health| health.is_ill(generation));
                if is_ill { Rank::Ejected } else { Rank::Ready }
            }
            Standing::Asleep | Standing::Starting => Rank::Startable,
            Standing::Fallen => Rank::Fallen,
            Standing::Out { .. } => Rank::Ejected,
        };
        Some((rank, standing))
    }
}

fn new_breaker(server: &ServerName, rules: Option<BreakerRules>) -> Option<Arc<Breaker>> {
    rules.map(|rules| Arc::new(Breaker::new(server.clone(), rules)))
}

fn new_health(server: &ServerName, rules: Option<&HealthCheck>) -> Option<Arc<Health>> {
    rules.map(|rules| Arc::new(Health::new(server.clone(), rules.clone())))
}

impl<R: Replica> Group<R> {
    /// These instances, the first of which is the one that gets what is no call.
    pub(super) fn new(
        name: &ServerName,
        instances: impl IntoIterator<Item = Arc<R>>,
        breaker: Option<BreakerRules>,
        health: Option<HealthCheck>,
        balance: Balance,
    ) -> Self {
        let member = |server| Member {
            server,
            breaker: new_breaker(name, breaker),
            health: new_health(name, health.as_ref()),
        };
        let members: Vec<Member<R>> = instances.into_iter().map(member).collect();
        let balancer = Arc::new(Mutex::new(Balancer::new(balance, members.len())));
        Self { server: name.clone(), members, balancer, holders: Arc::default() }
    }

    /// The same instances by the rules of other stages. What is known of them goes on, as far as the rules for it are the same.
    pub(super) fn again(self: &Arc<Self>, old: &Stages, new: &Stages) -> Arc<Self> {
        let has_same_breaker = old.breaker == new.breaker;
        // A check knows how to close the breaker that it has opened.
        let has_same_checks = has_same_breaker && old.health_check == new.health_check;
        if old.balance != new.balance {
            self.balancer().follow(new.balance);
        }
        if has_same_checks {
            return Arc::clone(self);
        }
        let member = |Member { server, breaker, health }: &Member<R>| {
            if let Some((health, breaker)) = health.as_ref().zip(breaker.as_ref()) {
                health.release(breaker);
            }
            let breaker = match has_same_breaker {
                true => breaker.clone(),
                false => new_breaker(&self.server, new.breaker),
            };
            Member {
                server: Arc::clone(server),
                breaker,
                health: new_health(&self.server, new.health_check.as_ref()),
            }
        };
        Arc::new(Self {
            server: self.server.clone(),
            members: self.members.iter().map(member).collect(),
            balancer: Arc::clone(&self.balancer),
            holders: Arc::clone(&self.holders),
        })
    }

    pub(super) fn members(&self) -> &[Member<R>] {
        &self.members
    }

    /// Why each instance gets no calls although it may be running.
    pub(super) fn troubles(&self) -> Vec<Option<Trouble>> {
        let now = Instant::now();
        self.members.iter().map(|member| member.trouble(now)).collect()
    }

    /// The instance that has this task; the first one if nobody knows.
    pub(super) fn holder_of_task(&self, id: &str) -> usize {
        self.holders.of_task(id)
    }

    fn balancer(&self) -> MutexGuard<'_, Balancer> {
        self.balancer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which instance gets the next call of those that are not `tried`; one of those that have `failed` in an earlier attempt,
    /// or could not take a call lately, only if there is no better. Wakes those that could help.
    fn choose(&self, tried: &[usize], failed: &[usize]) -> Option<usize> {
        let now = Instant::now();
        let balancer = self.balancer();
        let mut ranked = Vec::with_capacity(self.members.len());
        for (index, member) in self.members.iter().enumerate() {
            let Some((rank, standing)) = member.rank(now) else { continue };
            if standing == (Standing::Out { is_due: true }) {
                member.server.wake();
            }
            let is_spared = failed.contains(&index) || balancer.rests(index, now);
            let rank = if is_spared { rank.max(Rank::Fallen) } else { rank };
            if !tried.contains(&index) {
                ranked.push((index, rank, standing));
            }
        }
        let best = ranked.iter().map(|(_, rank, _)| *rank).min()?;
        let candidates: Vec<usize> =
            ranked.iter().filter(|(_, rank, _)| *rank == best).map(|(index, ..)| *index).collect();
        if best == Rank::Ready && balancer.wants_more(&candidates) {
            let asleep = ranked
                .iter()
                .filter(|(_, rank, standing)| *rank == Rank::Startable && *standing == Standing::Asleep);
            asleep.for_each(|(index, ..)| self.members[*index].server.wake());
        }
        balancer.pick(&candidates, now, fastrand::f64)
    }

    /// An instance for somebody who stays with it: the next that is not known to be ill, asleep or not.
    pub(super) fn deal(&self) -> Option<usize> {
        let now = Instant::now();
        let ranked =
            || self.members.iter().enumerate().filter_map(|(index, one)| Some((index, one.rank(now)?.0)));
        let mut candidates: Vec<usize> =
            ranked().filter(|(_, rank)| *rank <= Rank::Startable).map(|(index, _)| index).collect();
        if candidates.is_empty() {
            candidates = ranked().map(|(index, _)| index).collect();
        }
        let mut balancer = self.balancer();
        let index = balancer.pick(&candidates, now, fastrand::f64)?;
        balancer.dealt(index);
        Some(index)
    }

    async fn run(&self, request: Box<Request>, road: &Road, failed: &Mutex<Vec<usize>>) -> Outcome {
        let place = self.holders.place(&request.call);
        let mut refusals: Vec<(usize, Failure)> = Vec::new();
        loop {
            let next = match place {
                Place::Only(index) => Some(index),
                Place::Rather(index) if refusals.is_empty() => Some(index),
                Place::Rather(_) | Place::Anywhere => {
                    let tried: Vec<usize> = refusals.iter().map(|(index, _)| *index).collect();
                    let failed = lock(failed).clone();
                    let in_time = tried.is_empty() || Instant::now() < request.deadline;
                    self.choose(&tried, &failed).filter(|_| in_time)
                }
            };
            let Some(index) = next else { return Outcome::Failed(self.none_left(&request, refusals)) };
            let outcome = self.attempt(index, request.clone(), road).await;
            match outcome {
                Outcome::Failed(failure)
                    if !matches!(place, Place::Only(_))
                        && failure.ran == Ran::No
                        && may_repeat(request.effect, failure.ran)
                        && others_may_do_better(failure.code) =>
                {
                    tracing::debug!(server = %self.server, instance = index + 1, %failure, "a call goes to another instance");
                    // A breaker knows by itself for how long.
                    if failure.code != Code::BreakerOpen {
                        self.balancer().missed(index, failure.retry_after, Instant::now());
                    }
                    refusals.push((index, failure));
                }
                Outcome::Failed(failure) => {
                    lock(failed).push(index);
                    let cause =
                        format!("instance {} of {}: {}", index + 1, self.members.len(), failure.cause);
                    return Outcome::Failed(Failure { cause, ..failure });
                }
                reply => {
                    self.holders.learn(&request.call, &reply, index);
                    return reply;
                }
            }
        }
    }

    async fn attempt(&self, index: usize, request: Box<Request>, road: &Road) -> Outcome {
        let Some(member) = self.members.get(index) else {
            return Outcome::Failed(self.none_left(&request, Vec::new()));
        };
        let mut visit = Visit { group: self, index, since: Instant::now(), verdict: Verdict::Neither };
        self.balancer().begun(index);
        let outcome = match &member.breaker {
            Some(breaker) => {
                let leg = To { server: &*member.server, road };
                breaker.run(request, Next::new(&[], &leg), member.server.handshake()).await
            }
            None => member.server.take(request, road).await,
        };
        visit.verdict = verdict(&outcome);
        outcome
    }

    /// No instance could take the call: each says why.
    fn none_left(&self, request: &Request, refusals: Vec<(usize, Failure)>) -> Failure {
        let Some((_, first)) = refusals.first() else {
            let cause = format!("`{}` was not sent: the server is ending", request.call.label);
            return Failure::new(Code::CallShutdown, cause).of(&self.server).not_run();
        };
        let is_same = refusals.iter().all(|(_, failure)| failure.code == first.code);
        let code = if is_same { first.code } else { Code::CallUnavailable };
        let count = self.members.len();
        let whys: Vec<String> = refusals
            .iter()
            .map(|(index, failure)| format!("instance {} of {count}: {}", index + 1, failure.cause))
            .collect();
        let remedy = match first.remedy.as_deref().filter(|_| is_same) {
            Some(remedy) => remedy.to_owned(),
            None => "It did not run; call `switchboard__status` for the details".to_owned(),
        };
        let cause = format!("no instance could take `{}`: {}", request.call.label, whys.join("; "));
        let soonest = refusals.iter().filter_map(|(_, failure)| failure.retry_after).min();
        Failure::new(code, cause).of(&self.server).not_run().remedy(remedy).retry_after(soonest)
    }
}

/// A call at an instance. Whoever drops it before its end has given it up.
struct Visit<'a, R: Replica> {
    group: &'a Group<R>,
    index: usize,
    since: Instant,
    verdict: Verdict,
}

impl<R: Replica> Drop for Visit<'_, R> {
    fn drop(&mut self) {
        let now = Instant::now();
        self.group.balancer().ended(self.index, self.verdict, now - self.since, now);
    }
}

/// The way to one instance.
struct To<'a, R> {
    server: &'a R,
    road: &'a Road,
}

impl<R: Replica> Bottom for To<'_, R> {
    fn send(&self, request: Box<Request>) -> BoxFuture<'_, Outcome> {
        Box::pin(self.server.take(request, self.road))
    }
}

/// The end of one journey: whichever instance its attempts go to.
pub(super) struct Destination<R = Backend> {
    group: Arc<Group<R>>,
    road: Road,
    /// The instances at which earlier attempts have failed.
    failed: Mutex<Vec<usize>>,
}

impl<R: Replica> Destination<R> {
    /// `journey` goes there.
    pub(super) fn new(group: Arc<Group<R>>, journey: Weak<InlineTask>) -> Self {
        Self { group, road: Road::of(journey), failed: Mutex::default() }
    }

    /// Whether the call is at an instance now, and not in a stage.
    pub(super) fn is_busy(&self) -> bool {
        self.road.is_busy()
    }
}

impl<R: Replica> Bottom for Destination<R> {
    fn send(&self, request: Box<Request>) -> BoxFuture<'_, Outcome> {
        match self.group.members() {
            [_] => Box::pin(self.group.attempt(0, request, &self.road)),
            _ => Box::pin(self.group.run(request, &self.road, &self.failed)),
        }
    }
}

/// Whether what one instance refused may go better at another: not if it lies with the call, or with us.
fn others_may_do_better(code: Code) -> bool {
    !matches!(
        code,
        Code::CallShutdown
            | Code::CallTooLarge
            | Code::CallNotSupported
            | Code::BridgeUnsupported
            | Code::BridgeExpired
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
