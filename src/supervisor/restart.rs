//! When a server is started again. It only does sums with the times it is told; it never waits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::failure::Code;

/// The numbers behind a [`RestartPolicy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartLimits {
    /// The pause after the first failure; each further one doubles it.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// So many starts within `window` are a crash loop.
    pub starts: usize,
    /// The time over which starts are counted.
    pub window: Duration,
    /// How long a server is left alone after a crash loop or a failure that does not pass by itself.
    pub rest: Duration,
    /// A server that has been ready for this long has a clean record.
    pub stable_after: Duration,
}

/// Why a server is not running any more, or did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It ended, or something that may pass by itself kept it from starting.
    Transient,
    /// It cannot start before somebody mends something.
    Permanent,
}

/// When to start the server again. All times count from the moment that was passed to [`RestartPolicy::ended`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start it again after this pause.
    Wait(Duration),
    /// It is crash-looped: start it once more, as a probe, after this long, not earlier even if somebody asks.
    CrashLooped {
        /// The pause before the probe.
        probe_in: Duration,
    },
    /// Do not start it by a timer. Start it when somebody needs it, but not before this long has passed.
    OnDemand {
        /// The time in which a demand is answered with the failure.
        not_before: Duration,
    },
}

/// The record of one server: how often it was started, how it fared, and what follows from that.
///
/// Tell it of every start, readiness and end. A changed config deserves a new policy.
#[derive(Clone, Debug)]
pub struct RestartPolicy {
    limits: RestartLimits,
    /// The starts of the last `window`, oldest first.
    starts: VecDeque<Instant>,
    /// Failures since the record was last clean.
    failures: u32,
    ready_since: Option<Instant>,
    crash_looped: bool,
}

// === impl RestartLimits ===

impl Default for RestartLimits {
    /// 0.5 s doubling to 60 s; five starts within 60 s are a crash loop; 60 s ready clean the record.
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            first_pause: Duration::from_millis(500),
            longest_pause: minute,
            starts: 5,
            window: minute,
            rest: minute,
            stable_after: minute,
        }
    }
}

// === impl Cause ===

impl From<Code> for Cause {
    /// Missing programs, permissions and directories stay as they are until somebody acts.
    fn from(code: Code) -> Self {
        match code {
            Code::SpawnNotFound | Code::SpawnDenied | Code::SpawnDirectory => Self::Permanent,
            _ => Self::Transient,
        }
    }
}

// === impl RestartPolicy ===

impl RestartPolicy {
    /// A clean record.
    pub fn new(limits: RestartLimits) -> Self {
        Self { limits, starts: VecDeque::new(), failures: 0, ready_since: None, crash_looped: false }
    }

    /// The server is being started.
    pub fn started(&mut self, now: Instant) {
        self.ready_since = None;
        self.starts.push_back(now);
        self.forget_old_starts(now);
    }

    /// The start that was told last says nothing about the server: it was refused for want of a login, or it ended over a
    /// question that older servers do not know.
    pub fn forgiven(&mut self) {
        self.starts.pop_back();
    }

    /// The server finished its handshake.
    pub fn ready(&mut self, now: Instant) {
        self.ready_since = Some(now);
    }

    /// We ended the server on purpose; that is no failure.
    pub fn stopped(&mut self, now: Instant) {
        self.settle(now);
    }

    /// The server ended by itself or did not start. `jitter`, from 0 to 1, is random: it stretches the pause from half
    /// to the whole of its length, so that servers which fell together do not rise together.
    pub fn ended(&mut self, now: Instant, cause: Cause, jitter: f64) -> Decision {
        self.settle(now);
        let after_rest = Decision::OnDemand { not_before: self.limits.rest };
        // The one probe after a crash loop has failed: from here on, only a demand is worth another start.
        if cause == Cause::Permanent || self.crash_looped {
            return after_rest;
        }
        if self.starts.len() >= self.limits.starts {
            self.crash_looped = true;
            return Decision::CrashLooped { probe_in: self.limits.rest };
        }
        let pause = self.pause();
        self.failures += 1;
        Decision::Wait(pause.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0)))
    }

    /// Whether the server has been in a crash loop and not been well since.
    pub fn is_crash_looped(&self) -> bool {
        self.crash_looped
    }

    fn pause(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.limits.first_pause.saturating_mul(factor).min(self.limits.longest_pause)
    }

    /// A run that was good for long enough wipes out what was before.
    fn settle(&mut self, now: Instant) {
        let was_ready = self.ready_since.take();
        if was_ready.is_some_and(|since| now.duration_since(since) >= self.limits.stable_after) {
            *self = Self::new(self.limits);
        }
        self.forget_old_starts(now);
    }

    fn forget_old_starts(&mut self, now: Instant) {
        let window = self.limits.window;
        while self.starts.front().is_some_and(|start| now.duration_since(*start) >= window) {
            self.starts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server under a clock of its own, in milliseconds.
    struct Server {
        policy: RestartPolicy,
        now: Instant,
    }

    impl Server {
        fn new() -> Self {
            Self { policy: RestartPolicy::new(RestartLimits::default()), now: Instant::now() }
        }

        /// Lets time pass, starts, is ready for `ready` if at all, ends.
        fn run(&mut self, pause: u64, ready: Option<u64>, cause: Cause) -> Decision {
            self.now += Duration::from_millis(pause);
            self.policy.started(self.now);
            if let Some(ready) = ready {
                self.policy.ready(self.now);
                self.now += Duration::from_millis(ready);
            }
            self.policy.ended(self.now, cause, 1.0)
        }

        fn crash(&mut self, pause: u64) -> Decision {
            self.run(pause, None, Cause::Transient)
        }
    }

    fn wait(millis: u64) -> Decision {
        Decision::Wait(Duration::from_millis(millis))
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn quick_crashes_end_in_a_loop_with_one_probe() {
        let mut server = Server::new();
        for (pause, expected) in [(0, 500), (500, 1_000), (1_000, 2_000), (2_000, 4_000)] {
            assert_eq!(server.crash(pause), wait(expected));
        }
        assert_eq!(server.crash(4_000), Decision::CrashLooped { probe_in: MINUTE });
        assert!(server.policy.is_crash_looped());
        assert_eq!(server.crash(60_000), Decision::OnDemand { not_before: MINUTE });
        assert_eq!(server.crash(3_600_000), Decision::OnDemand { not_before: MINUTE });
    }

    #[test]
    fn slow_crashes_wait_longer_and_longer_up_to_a_minute() {
        let mut server = Server::new();
        let pauses: Vec<_> = (0..10).map(|_| server.crash(20_000)).collect();
        let expected = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000].map(wait);
        assert_eq!(pauses, expected);
    }

    #[test]
    fn a_minute_of_health_cleans_the_record_and_less_does_not() {
        let mut server = Server::new();
        server.crash(0);
        assert_eq!(server.run(500, Some(59_999), Cause::Transient), wait(1_000));
        assert_eq!(server.run(1_000, Some(60_000), Cause::Transient), wait(500));

        let mut looped = Server::new();
        let last = (0..5).map(|_| looped.crash(1)).last();
        assert_eq!(last, Some(Decision::CrashLooped { probe_in: MINUTE }));
        assert!(looped.policy.is_crash_looped());
        assert_eq!(looped.run(60_000, Some(60_000), Cause::Transient), wait(500));
        assert!(!looped.policy.is_crash_looped());
    }

    #[test]
    fn what_needs_mending_is_tried_on_demand_only() {
        let mut server = Server::new();
        for _ in 0..10 {
            assert_eq!(server.run(1, None, Cause::Permanent), Decision::OnDemand { not_before: MINUTE });
        }
        assert!(!server.policy.is_crash_looped());
        for (code, cause) in [
            (Code::SpawnNotFound, Cause::Permanent),
            (Code::SpawnDenied, Cause::Permanent),
            (Code::SpawnDirectory, Cause::Permanent),
            (Code::SpawnResources, Cause::Transient),
            (Code::ProcessExitedEarly, Cause::Transient),
        ] {
            assert_eq!(Cause::from(code), cause, "{code}");
        }
    }

    #[test]
    fn a_start_that_is_forgiven_does_not_count() {
        let mut server = Server::new();
        for _ in 0..20 {
            server.policy.started(server.now);
            server.policy.forgiven();
        }
        assert_eq!(server.crash(0), wait(500));
    }

    #[test]
    fn a_stop_on_purpose_is_no_failure() {
        let mut server = Server::new();
        server.crash(0);
        server.policy.started(server.now);
        server.policy.ready(server.now);
        server.now += MINUTE;
        server.policy.stopped(server.now);
        assert_eq!(server.crash(0), wait(500));
    }

    #[test]
    fn jitter_shortens_the_pause_by_half_at_most() {
        for (jitter, expected) in [(0.0, 250), (0.5, 375), (1.0, 500), (-7.0, 250), (7.0, 500)] {
            let mut policy = RestartPolicy::new(RestartLimits::default());
            let now = Instant::now();
            policy.started(now);
            assert_eq!(policy.ended(now, Cause::Transient, jitter), wait(expected), "{jitter}");
        }
    }
}
