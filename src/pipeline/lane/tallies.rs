//! What the stages of a server have done, for whoever shows numbers.

use tokio::time::Instant;

use super::Lane;
use crate::pipeline::concurrency::Turns;

/// What the stages of a server have done and are doing. What the config does not ask for is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneTallies {
    /// How often calls were sent again.
    pub retries: Option<u64>,
    /// Whose turn it is.
    pub turns: Option<Turns>,
    /// The breaker of each instance: its state, and how often it has opened.
    pub breakers: Vec<(BreakerState, u64)>,
}

/// Whether a breaker lets calls pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// All of them.
    Closed,
    /// One, which decides.
    HalfOpen,
    /// None.
    Open,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [BreakerState; 3] = [BreakerState::Closed, BreakerState::HalfOpen, BreakerState::Open];

    /// One word, for labels.
    pub fn word(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half_open",
            BreakerState::Open => "open",
        }
    }
}

impl Lane {
    /// What the stages have done and are doing.
    pub fn tallies(&self) -> LaneTallies {
        let Some(track) = &self.0.track else { return LaneTallies::default() };
        let now = Instant::now();
        let breakers = track.group.members().iter().filter_map(|member| {
            let breaker = member.breaker.as_ref()?;
            let state = match breaker.trouble(now) {
                None => BreakerState::Closed,
                Some(trouble) if trouble.refuses => BreakerState::Open,
                Some(_) => BreakerState::HalfOpen,
            };
            Some((state, breaker.openings()))
        });
        LaneTallies {
            retries: track.shared.retry.as_ref().map(|retry| retry.repeats()),
            turns: track.shared.concurrency.as_ref().map(|stage| stage.tallies()),
            breakers: breakers.collect(),
        }
    }
}
