//! What was counted, in sums over all servers.

use std::time::{Duration, SystemTime};

use super::{Counts, Ending, Kind};

/// Requests of clients since we run.
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

    /// Adds what was counted of a server.
    pub(super) fn add(&mut self, counts: &Counts) {
        for kind in Kind::ALL {
            let counts = counts.of(kind);
            let ended = |ending| counts.ended(ending);
            self.successful += ended(Ending::Ok);
            self.failed += ended(Ending::ToolError) + ended(Ending::Error) + ended(Ending::Failed);
            self.cancelled += ended(Ending::Cancelled);
            self.took = self.took.saturating_add(counts.took.sum);
            self.min = self.min.into_iter().chain(counts.took.min).min();
            self.max = self.max.max(counts.took.max);
        }
        self.total = self.successful + self.failed + self.cancelled;
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
