//! What was done in the last hour, day, week and month: sums of counters that the rooms keep anyway, looked at once a minute.
//!
//! Nothing is counted here on the way of a call. What was counted up to a certain moment is kept for a while, and a period is the
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

/// What something came to: requests of clients, or attempts at servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    total: u64,
    successful: u64,
    failed: u64,
    /// Those whose time is known.
    timed: u64,
    /// How long these took together.
    took: Duration,
}

impl Counted {
    /// What has come since `earlier`. A server that was started anew under the same name counts from nothing.
    fn since(self, earlier: Self) -> Self {
        let is_another = self.total < earlier.total || self.timed < earlier.timed;
        let earlier = if is_another { Self::default() } else { earlier };
        Self {
            total: self.total - earlier.total,
            successful: self.successful.saturating_sub(earlier.successful),
            failed: self.failed.saturating_sub(earlier.failed),
            timed: self.timed - earlier.timed,
            took: self.took.saturating_sub(earlier.took),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            successful: self.successful + other.successful,
            failed: self.failed + other.failed,
            timed: self.timed + other.timed,
            took: self.took + other.took,
        }
    }

    fn to_json(self) -> Value {
        let average = (self.timed > 0).then(|| self.took.as_secs_f64() / self.timed as f64);
        json!({
            "total": self.total,
            "successful": self.successful,
            "failed": self.failed,
            "avg_response_time": average,
        })
    }
}

/// What was done at one server, or at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Work {
    /// What clients have called, once for each call, whoever answered it. Nothing where calls are not counted.
    requests: Counted,
    /// What servers were handed: each repetition once more, and nothing that was answered without them.
    attempts: Counted,
}

impl Work {
    fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests.since(earlier.requests),
            attempts: self.attempts.since(earlier.attempts),
        }
    }

    fn and(self, other: Self) -> Self {
        Self { requests: self.requests.and(other.requests), attempts: self.attempts.and(other.attempts) }
    }
}

/// See the module.
pub(super) struct Stats(Mutex<Rings>);

struct Rings {
    /// What each server had come to when it was looked at last.
    servers: HashMap<ServerName, Work>,
    total: Work,
    minutes: VecDeque<(Instant, Work)>,
    hours: VecDeque<(Instant, Work)>,
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
        let first = (now, Work::default());
        Self {
            servers: HashMap::new(),
            total: Work::default(),
            minutes: VecDeque::from([first]),
            hours: VecDeque::from([first]),
        }
    }

    /// Adds what the servers have done since they were looked at last.
    fn observe(&mut self, servers: HashMap<ServerName, Work>) {
        for (server, counted) in &servers {
            let before = self.servers.get(server).copied().unwrap_or_default();
            self.total = self.total.and(counted.since(before));
        }
        self.servers = servers;
    }

    /// Keeps what all has come to.
    fn sample(&mut self, now: Instant) {
        let keep = |ring: &mut VecDeque<(Instant, Work)>, most: usize, total: Work| {
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
    fn period(&self, period: Duration, now: Instant) -> (Work, Instant) {
        let ring = if period <= HOUR { &self.minutes } else { &self.hours };
        let is_before = |(at, _): &&(Instant, Work)| now.saturating_duration_since(*at) >= period;
        let from = ring.iter().rev().find(is_before).or(ring.front());
        let (at, earlier) = from.copied().unwrap_or((now, self.total));
        (self.total.since(earlier), at)
    }
}

/// What every server has come to so far.
fn servers(registry: &Registry) -> HashMap<ServerName, Work> {
    let mut servers: HashMap<ServerName, Work> = HashMap::new();
    for (server, stats) in registry.meters().stats_by_server() {
        let timed = stats.successful + stats.failed;
        let (total, successful, failed) = (stats.total, stats.successful, stats.failed);
        let requests = Counted { total, successful, failed, timed, took: stats.took };
        servers.entry(server).or_default().requests = requests;
    }
    for lane in registry.servers().lanes() {
        let attempts = lane.backends().fold(Counted::default(), |sum, backend| {
            let (tallies, pulse) = (backend.tallies(), backend.pulse());
            sum.and(Counted {
                total: tallies.calls,
                // What comes back and cannot be read is a failure.
                successful: pulse.answers.min(tallies.calls.saturating_sub(tallies.failures)),
                failed: tallies.failures,
                timed: pulse.answers,
                took: pulse.took,
            })
        });
        servers.entry(lane.backend().name().clone()).or_default().attempts = attempts;
    }
    servers
}

pub(super) fn show(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let words = PERIODS.map(|(word, _)| word);
    let word = asked.query.word("period", &words)?.unwrap_or("24h");
    let period = PERIODS.into_iter().find(|(known, _)| *known == word).map_or(HOUR, |(_, period)| period);
    let now = Instant::now();
    let (work, since) = {
        let servers = servers(desk.registry());
        let mut rings = desk.stats.rings();
        rings.observe(servers);
        rings.period(period, now)
    };
    let began = SystemTime::now().checked_sub(now.saturating_duration_since(since));
    let requests = desk.registry().meters().is_on().then(|| work.requests.to_json());
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
        "requests": requests,
        "attempts": work.attempts.to_json(),
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

    fn counted(total: u64, millis: u64) -> Work {
        let took = Duration::from_millis(millis);
        let attempts = Counted { total, successful: total, failed: 0, timed: total, took };
        // Half of the calls came to nobody but the cache.
        Work { attempts, requests: Counted { total: total * 2, ..attempts } }
    }

    fn at(servers: &[(&str, Work)]) -> HashMap<ServerName, Work> {
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
            let (Work { requests, attempts }, since) = rings.period(period, now);
            assert_eq!((attempts.total, now - since), (period.as_secs() / 60, period), "{word}");
            assert_eq!(requests.total, attempts.total * 2);
            assert_eq!(attempts.took, Duration::from_millis(attempts.timed * 10));
        }
    }

    #[test]
    fn a_young_process_says_since_when_it_counts() {
        let start = Instant::now();
        let mut rings = Rings::new(start);
        rings.observe(at(&[("a", counted(5, 50))]));
        let (sum, since) = rings.period(HOUR, start + MINUTE * 3);
        assert_eq!((sum.attempts.total, since), (5, start));
    }

    #[test]
    fn servers_come_and_go() {
        let mut rings = Rings::new(Instant::now());
        rings.observe(at(&[("a", counted(5, 50)), ("b", counted(2, 2))]));
        rings.observe(at(&[("a", counted(6, 60))]));
        // Another server under the name of one that is gone, and one that was started anew.
        rings.observe(at(&[("b", counted(1, 1)), ("a", counted(2, 20))]));
        assert_eq!(rings.total.attempts.total, 5 + 2 + 1 + 1 + 2);
    }
}
