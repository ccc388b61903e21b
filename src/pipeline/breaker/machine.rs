//! When a breaker is open, and what changes that: sums over given times, no clock and no lock.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::BreakerRules as Rules;

/// The longest time that a server is left alone, unless the config says a longer one.
const LONGEST: Duration = Duration::from_secs(600);
/// A part of failures counts over so long …
const WINDOW: Duration = Duration::from_secs(30);
/// … if there are so many calls in it …
const ENOUGH: u32 = 20;
/// … and at least one of so many fails.
const ONE_IN: u32 = 2;
/// In how many pieces the window moves.
const PIECES: usize = 6;

/// See the module.
#[derive(Debug)]
pub(super) struct Machine {
    rules: Rules,
    phase: Phase,
    /// Counts phases: what began in an earlier one no longer says anything.
    epoch: u64,
}

#[derive(Debug)]
enum Phase {
    /// Calls pass.
    Closed { in_a_row: u32, recent: Recent },
    /// None does. `times` is how often it has opened since the server last was well.
    Open { until: Instant, times: u32 },
    /// One does, and decides; since `trial` it is on its way. One that takes long is not waited for: it may be a slow tool.
    HalfOpen { times: u32, trial: Option<Instant> },
}

/// The right to call.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Pass {
    epoch: u64,
    /// Whether this one call tries a server that has failed.
    pub(super) is_trial: bool,
}

/// Why a call may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// For how long none may. After that, the next one tries the server.
    pub(super) wait: Duration,
    /// Whether another call is trying it.
    pub(super) on_trial: bool,
}

/// What a call says of the server's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Verdict {
    /// It answered.
    Good,
    /// It failed.
    Bad,
    /// Nothing.
    Neither,
}

impl Machine {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, phase: Phase::Closed { in_a_row: 0, recent: Recent::default() }, epoch: 0 }
    }

    /// Lets a call pass, or says why not.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Pass, Closed> {
        if let Some(closed) = self.closed(now).filter(|closed| !closed.wait.is_zero()) {
            return Err(closed);
        }
        match &mut self.phase {
            Phase::Closed { .. } => {}
            Phase::Open { times, .. } => {
                let times = *times;
                self.enter(Phase::HalfOpen { times, trial: Some(now) });
            }
            Phase::HalfOpen { trial, .. } => *trial = Some(now),
        }
        let is_trial = matches!(self.phase, Phase::HalfOpen { .. });
        Ok(Pass { epoch: self.epoch, is_trial })
    }

    /// Closes it, whatever happened. Whether it was open, or on trial.
    pub(super) fn reset(&mut self) -> bool {
        let was_open = !matches!(self.phase, Phase::Closed { .. });
        self.enter(Phase::Closed { in_a_row: 0, recent: Recent::default() });
        was_open
    }

    /// Takes what became of a call. `random`, from 0 to 1, spreads the end of a repeated rest. The word of the new state, if
    /// it is another one.
    pub(super) fn report(
        &mut self,
        pass: Pass,
        verdict: Verdict,
        now: Instant,
        random: f64,
    ) -> Option<&'static str> {
        if pass.epoch != self.epoch {
            return None;
        }
        match (&mut self.phase, verdict) {
            (Phase::Closed { .. }, Verdict::Neither) | (Phase::Open { .. }, _) => None,
            (Phase::Closed { in_a_row, recent }, Verdict::Good) => {
                *in_a_row = 0;
                recent.note(now, false);
                None
            }
            (Phase::Closed { in_a_row, recent }, Verdict::Bad) => {
                *in_a_row += 1;
                recent.note(now, true);
                (*in_a_row >= self.rules.failure_threshold || recent.is_bad())
                    .then(|| self.open(1, now, random))
            }
            (Phase::HalfOpen { trial, .. }, Verdict::Neither) => {
                *trial = None;
                None
            }
            (Phase::HalfOpen { .. }, Verdict::Good) => {
                self.enter(Phase::Closed { in_a_row: 0, recent: Recent::default() });
                Some("closed")
            }
            (Phase::HalfOpen { times, .. }, Verdict::Bad) => {
                let times = times.saturating_add(1);
                Some(self.open(times, now, random))
            }
        }
    }

    /// Opens, whatever the calls say. What closes it again; nothing if it is open already.
    pub(super) fn trip(&mut self, now: Instant, random: f64) -> Option<Pass> {
        let times = match self.phase {
            Phase::Open { .. } => return None,
            Phase::Closed { .. } => 1,
            Phase::HalfOpen { times, .. } => times.saturating_add(1),
        };
        self.open(times, now, random);
        Some(Pass { epoch: self.epoch, is_trial: false })
    }

    /// Closes, if nothing has happened since it was tripped. Whether it did.
    pub(super) fn mend(&mut self, pass: Pass) -> bool {
        let is_as_it_was = pass.epoch == self.epoch && matches!(self.phase, Phase::Open { .. });
        if is_as_it_was {
            self.enter(Phase::Closed { in_a_row: 0, recent: Recent::default() });
        }
        is_as_it_was
    }

    /// Why not every call passes now; nothing if all do.
    pub(super) fn closed(&self, now: Instant) -> Option<Closed> {
        let (until, on_trial) = match self.phase {
            Phase::Closed { .. } => return None,
            Phase::Open { until, .. } => (until, false),
            Phase::HalfOpen { trial: Some(since), .. } => (since + self.rules.recovery_timeout, true),
            Phase::HalfOpen { trial: None, .. } => (now, false),
        };
        Some(Closed { wait: until.saturating_duration_since(now), on_trial })
    }

    fn open(&mut self, times: u32, now: Instant, random: f64) -> &'static str {
        self.enter(Phase::Open { until: now + self.rest(times, random), times });
        "open"
    }

    /// How long the server is left alone: at first as long as the config says, then twice as long each time, and spread so
    /// that many callers do not come back at once.
    fn rest(&self, times: u32, random: f64) -> Duration {
        let first = self.rules.recovery_timeout;
        let doubled = 1u32.checked_shl(times - 1).unwrap_or(u32::MAX);
        let longest = LONGEST.max(first);
        let grown = first.saturating_mul(doubled).min(longest);
        if times == 1 { grown } else { grown.mul_f64(0.75 + 0.5 * random).clamp(first, longest) }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

/// The calls of the last [`WINDOW`], in pieces.
#[derive(Debug, Default)]
struct Recent {
    begun: Option<Instant>,
    /// The number of the newest piece since `begun`.
    newest: u64,
    /// Calls, and how many of them failed. A piece stands at its number, modulo their count.
    pieces: [(u32, u32); PIECES],
}

impl Recent {
    fn note(&mut self, now: Instant, failed: bool) {
        let begun = *self.begun.get_or_insert(now);
        let length = WINDOW / PIECES as u32;
        let number = (now.saturating_duration_since(begun).as_millis() / length.as_millis()) as u64;
        for passed in (self.newest + 1..=number).take(PIECES) {
            self.pieces[passed as usize % PIECES] = (0, 0);
        }
        self.newest = self.newest.max(number);
        let (calls, failures) = &mut self.pieces[self.newest as usize % PIECES];
        *calls += 1;
        *failures += u32::from(failed);
    }

    fn is_bad(&self) -> bool {
        let (calls, failures) =
            self.pieces.iter().fold((0, 0), |(calls, failures), piece| (calls + piece.0, failures + piece.1));
        calls >= ENOUGH && failures * ONE_IN >= calls
    }
}

#[cfg(test)]
mod tests;
