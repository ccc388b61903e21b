//! How much a server may say beside its answers.

use std::time::Duration;

use tokio::time::Instant;

/// How much may come at once, and per second after that.
#[derive(Clone, Copy)]
pub(super) struct Rate {
    pub(super) burst: f64,
    pub(super) per_second: f64,
}

/// A token bucket.
pub(super) struct Budget {
    rate: Rate,
    tokens: f64,
    filled: Option<Instant>,
    dropped: u64,
}

pub(super) enum Spent {
    Within { dropped_before: u64 },
    Over,
}

impl Budget {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, tokens: rate.burst, filled: None, dropped: 0 }
    }

    pub(super) fn spend(&mut self, now: Instant) -> Spent {
        let passed = self.filled.map_or(Duration::ZERO, |filled| now - filled);
        self.filled = Some(now);
        self.tokens = (self.tokens + passed.as_secs_f64() * self.rate.per_second).min(self.rate.burst);
        if self.tokens < 1.0 {
            self.dropped += 1;
            return Spent::Over;
        }
        self.tokens -= 1.0;
        Spent::Within { dropped_before: std::mem::take(&mut self.dropped) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_comes_back_with_time() {
        let mut budget = Budget::new(Rate { burst: 200.0, per_second: 50.0 });
        let start = Instant::now();
        let within = (0..1000).filter(|_| matches!(budget.spend(start), Spent::Within { .. })).count();
        assert_eq!(within, 200);
        match budget.spend(start + Duration::from_secs(1)) {
            Spent::Within { dropped_before } => assert_eq!(dropped_before, 800),
            Spent::Over => panic!("a second later there is room"),
        }
    }
}
