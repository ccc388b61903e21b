//! What was counted in the last hour, day or month: sums of five minutes each, as long as there were any calls.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Ended, Ending};

/// How much time one sum is of.
const STEP: Duration = Duration::from_secs(300);
/// How long sums are kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Requests of some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// All that have ended.
    pub total: u64,
    /// Those with a result in which no tool says that it has failed.
    pub successful: u64,
    /// Those without.
    pub failed: u64,
    /// Those that their clients gave up; they are neither.
    pub cancelled: u64,
    /// How long successful and failed ones took together.
    pub took: Duration,
    /// The shortest of them; `None` if there was none.
    pub min: Option<Duration>,
    /// The longest.
    pub max: Duration,
}

impl Stats {
    /// How long they took on average; zero if there was none.
    pub fn average(&self) -> Duration {
        let timed = u32::try_from(self.successful + self.failed).unwrap_or(u32::MAX);
        self.took.checked_div(timed).unwrap_or_default()
    }

    fn add(&mut self, ended: Ended) {
        self.total += 1;
        match ended.ending {
            Ending::Ok => self.successful += 1,
            Ending::ToolError | Ending::Error | Ending::Failed => self.failed += 1,
            Ending::Cancelled => {
                self.cancelled += 1;
                return;
            }
        }
        self.took = self.took.saturating_add(ended.took);
        self.min = Some(self.min.map_or(ended.took, |min| min.min(ended.took)));
        self.max = self.max.max(ended.took);
    }

    fn and(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            successful: self.successful + other.successful,
            failed: self.failed + other.failed,
            cancelled: self.cancelled + other.cancelled,
            took: self.took.saturating_add(other.took),
            min: self.min.into_iter().chain(other.min).min(),
            max: self.max.max(other.max),
        }
    }
}

/// What the discovery has done since we run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// How often it has run.
    pub runs: u64,
    /// How many of the runs could not do their work.
    pub failed: u64,
    /// How many servers all runs have found together.
    pub discovered: u64,
    /// How many of them were put in at once.
    pub auto_registered: u64,
    /// When it ran last.
    pub last_run: Option<SystemTime>,
}

impl Discovery {
    pub(super) fn record(&mut self, done: bool, discovered: u64, auto_registered: u64) {
        self.runs += 1;
        self.failed += u64::from(!done);
        self.discovered += discovered;
        self.auto_registered += auto_registered;
        self.last_run = Some(SystemTime::now());
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    all: Stats,
    /// The beginnings of times, and what was counted in each. The oldest is first.
    steps: VecDeque<(Instant, Stats)>,
}

impl History {
    pub(super) fn record(&self, ended: Ended) {
        let now = ended.at;
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sums.all.add(ended);
        if sums.steps.back().is_none_or(|(begin, _)| now.saturating_duration_since(*begin) >= STEP) {
            while sums.steps.front().is_some_and(|(begin, _)| now - *begin > KEPT + STEP) {
                sums.steps.pop_front();
            }
            sums.steps.push_back((now, Stats::default()));
        }
        if let Some((_, step)) = sums.steps.back_mut() {
            step.add(ended);
        }
    }

    pub(super) fn stats(&self, period: Option<Duration>, now: Instant) -> Stats {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(period) = period else { return sums.all };
        let is_in = |begin: Instant| now.saturating_duration_since(begin) < period.saturating_add(STEP);
        let steps = sums.steps.iter().filter(|(begin, _)| is_in(*begin));
        steps.map(|(_, step)| *step).fold(Stats::default(), Stats::and)
    }
}
