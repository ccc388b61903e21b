//! What was done in the last hour, day, week and month: sums of counters that the rooms keep anyway, looked at once a minute.
//!
//! Nothing is counted on the way of a call. What was counted up to a certain moment is kept for a while, and a period is the
//! difference between now and then; so 30 days cost a few kilobytes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at};

use super::desk::{Asked, Desk};
use super::discovery;
use super::refusal::{Refusal, Success};
use super::view;
use crate::names::ServerName;
use crate::registry::Registry;
use crate::status::Level;
use crate::wire::time::rfc3339;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// How many samples are kept: one more than fit into the longest period that each ring is for.
const MINUTES: usize = 61;
const HOURS: usize = 30 * 24 + 1;

/// The periods, by the mission's words.
const PERIODS: [(&str, Duration); 4] = [
    ("1h", HOUR),
    ("24h", Duration::from_secs(24 * 3600)),
    ("7d", Duration::from_secs(7 * 24 * 3600)),
    ("30d", Duration::from_secs(30 * 24 * 3600)),
];

/// What calls came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    /// Those that were handed to servers.
    calls: u64,
    /// Those that the server has not answered.
    failures: u64,
    /// Those that it has answered.
    answers: u64,
    /// How long it took for these, together.
    took: Duration,
}

impl Counted {
    /// What has come since `earlier`. A server that was started anew under the same name counts from nothing.
    fn since(self, earlier: Self) -> Self {
        let is_another = self.calls < earlier.calls || self.answers < earlier.answers;
        let earlier = if is_another { Self::default() } else { earlier };
        Self {
            calls: self.calls - earlier.calls,
            failures: self.failures.saturating_sub(earlier.failures),
            answers: self.answers - earlier.answers,
            took: self.took.saturating_sub(earlier.took),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            failures: self.failures + other.failures,
            answers: self.answers + other.answers,
            took: self.took + other.took,
        }
    }
}

/// See the module.
pub(super) struct Stats(Mutex<Rings>);

struct Rings {
    /// What each server had come to when it was looked at last.
    servers: HashMap<ServerName, Counted>,
    total: Counted,
    minutes: VecDeque<(Instant, Counted)>,
    hours: VecDeque<(Instant, Counted)>,
}

impl Stats {
    /// Counts from now on.
    pub(super) fn new(registry: &Registry) -> Self {
        let stats = Self(Mutex::new(Rings::new(Instant::now())));
        let servers = servers(registry);
        stats.rings().servers = servers;
        stats
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks once a minute, for ever.
    pub(super) async fn follow(desk: Arc<Desk>) {
        let mut ticks = interval_at(Instant::now() + MINUTE, MINUTE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let now = ticks.tick().await;
            let servers = servers(desk.registry());
            let mut rings = desk.stats.rings();
            rings.observe(servers);
            rings.sample(now);
        }
    }
}

impl Rings {
    fn new(now: Instant) -> Self {
        let first = (now, Counted::default());
        Self {
            servers: HashMap::new(),
            total: Counted::default(),
            minutes: VecDeque::from([first]),
            hours: VecDeque::from([first]),
        }
    }

    /// Adds what the servers have done since they were looked at last.
    fn observe(&mut self, servers: HashMap<ServerName, Counted>) {
        for (server, counted) in &servers {
            let before = self.servers.get(server).copied().unwrap_or_default();
            self.total = self.total.and(counted.since(before));
        }
        self.servers = servers;
    }

    /// Keeps what all has come to.
    fn sample(&mut self, now: Instant) {
        let keep = |ring: &mut VecDeque<(Instant, Counted)>, most: usize, total: Counted| {
            ring.push_back((now, total));
            while ring.len() > most {
                ring.pop_front();
            }
        };
        keep(&mut self.minutes, MINUTES, self.total);
        if self.hours.back().is_none_or(|(last, _)| now.saturating_duration_since(*last) >= HOUR) {
            keep(&mut self.hours, HOURS, self.total);
        }
    }

    /// What was done in a period, and when that really begins: later, if we have not been running for so long.
    fn period(&self, period: Duration, now: Instant) -> (Counted, Instant) {
        let ring = if period <= HOUR { &self.minutes } else { &self.hours };
        let is_before = |(at, _): &&(Instant, Counted)| now.saturating_duration_since(*at) >= period;
        let from = ring.iter().rev().find(is_before).or(ring.front());
        let (at, earlier) = from.copied().unwrap_or((now, self.total));
        (self.total.since(earlier), at)
    }
}

/// What every server has come to so far.
fn servers(registry: &Registry) -> HashMap<ServerName, Counted> {
    let mut servers = HashMap::new();
    for lane in registry.servers().lanes() {
        let mut sum = Counted::default();
        for backend in lane.backends() {
            let (tallies, pulse) = (backend.tallies(), backend.pulse());
            sum = sum.and(Counted {
                calls: tallies.calls,
                failures: tallies.failures,
                answers: pulse.answers,
                took: pulse.took,
            });
        }
        servers.insert(lane.backend().name().clone(), sum);
    }
    servers
}

pub(super) fn show(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let words = PERIODS.map(|(word, _)| word);
    let word = asked.query.word("period", &words)?.unwrap_or("24h");
    let period = PERIODS.into_iter().find(|(known, _)| *known == word).map_or(HOUR, |(_, period)| period);
    let now = Instant::now();
    let (counted, since) = {
        let servers = servers(desk.registry());
        let mut rings = desk.stats.rings();
        rings.observe(servers);
        rings.period(period, now)
    };
    let began = SystemTime::now().checked_sub(now.saturating_duration_since(since));
    let average = (counted.answers > 0).then(|| counted.took.as_secs_f64() / counted.answers as f64);
    let infos = desk.manager.list();
    let of = |status: &str| infos.iter().filter(|info| view::brief(desk, info)["status"] == status).count();
    let disabled = infos.iter().filter(|info| info.report.level == Level::Disabled).count();
    let data = json!({
        "period": word,
        "since": began.map(rfc3339),
        "complete": now.saturating_duration_since(since) >= period,
        "servers": {
            "total": infos.len(),
            "healthy": of("healthy"),
            "unhealthy": of("unhealthy"),
            "disabled": disabled,
        },
        "tools": { "total": desk.registry().catalog().counts().tools, "by_category": by_category(desk) },
        "requests": {
            "total": counted.calls,
            "successful": counted.answers,
            "failed": counted.failures,
            "avg_response_time": average,
        },
        "discovery": discovery::stats(desk),
    });
    let message = if now.saturating_duration_since(since) >= period {
        format!("the last {word}")
    } else {
        format!("since Switchboard counts, which is less than {word}")
    };
    Ok(Success::new(data, message))
}

/// How many tools there are in each category of servers.
fn by_category(desk: &Desk) -> Value {
    let mut categories: BTreeMap<String, usize> = BTreeMap::new();
    for info in desk.manager.list() {
        for category in info.config.iter().flat_map(|config| &config.categories) {
            *categories.entry(category.clone()).or_default() += info.report.shown.tools;
        }
    }
    json!(categories)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(calls: u64, millis: u64) -> Counted {
        Counted { calls, failures: 0, answers: calls, took: Duration::from_millis(millis) }
    }

    fn at(servers: &[(&str, Counted)]) -> HashMap<ServerName, Counted> {
        servers.iter().map(|(name, counted)| ((*name).into(), *counted)).collect()
    }

    #[test]
    fn periods_are_differences() {
        let start = Instant::now();
        let after = |minutes: u64| start + MINUTE * u32::try_from(minutes).unwrap();
        let mut rings = Rings::new(start);
        // One call a minute, for 31 days.
        for minute in 1..=31 * 24 * 60 {
            rings.observe(at(&[("a", counted(minute, minute * 10))]));
            rings.sample(after(minute));
        }
        let now = after(31 * 24 * 60);
        assert!(rings.minutes.len() == MINUTES && rings.hours.len() == HOURS);
        for (word, period) in PERIODS {
            let (counted, since) = rings.period(period, now);
            assert_eq!((counted.calls, now - since), (period.as_secs() / 60, period), "{word}");
            assert_eq!(counted.took, Duration::from_millis(counted.answers * 10));
        }
    }

    #[test]
    fn a_young_process_says_since_when_it_counts() {
        let start = Instant::now();
        let mut rings = Rings::new(start);
        rings.observe(at(&[("a", counted(5, 50))]));
        let (sum, since) = rings.period(HOUR, start + MINUTE * 3);
        assert_eq!((sum.calls, since), (5, start));
    }

    #[test]
    fn servers_come_and_go() {
        let mut rings = Rings::new(Instant::now());
        rings.observe(at(&[("a", counted(5, 50)), ("b", counted(2, 2))]));
        rings.observe(at(&[("a", counted(6, 60))]));
        // Another server under the name of one that is gone, and one that was started anew.
        rings.observe(at(&[("b", counted(1, 1)), ("a", counted(2, 20))]));
        assert_eq!(rings.total.calls, 5 + 2 + 1 + 1 + 2);
    }
}
