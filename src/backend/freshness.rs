//! For how long what a server has listed may be kept (MCP 2026-07-28, "Caching").

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::bridge::result::CacheHints;
use crate::protocol::ListKind;

/// What the server said of each of its lists, and when.
#[derive(Default)]
pub(super) struct Freshness(Mutex<[Option<Hinted>; 4]>);

#[derive(Clone, Copy)]
struct Hinted {
    hints: CacheHints,
    since: Instant,
}

impl Freshness {
    fn all(&self) -> MutexGuard<'_, [Option<Hinted>; 4]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a list said that was asked for at `since`; `None` if it said nothing.
    pub(super) fn note(&self, kind: ListKind, hints: Option<CacheHints>, since: Instant) {
        self.all()[kind as usize] = hints.map(|hints| Hinted { hints, since });
    }

    /// What is left of that.
    pub(super) fn left(&self, kind: ListKind, now: Instant) -> CacheHints {
        let Some(Hinted { hints, since }) = self.all()[kind as usize] else { return CacheHints::NONE };
        let over = u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX);
        match hints.ttl_ms.saturating_sub(over) {
            0 => CacheHints::NONE,
            ttl_ms => CacheHints { ttl_ms, ..hints },
        }
    }
}

/// A list that is not there stays fresh for as long as this.
const NOTHING: Duration = Duration::from_secs(24 * 60 * 60);

/// What holds of a list that the server does not have.
pub(super) fn of_nothing() -> CacheHints {
    CacheHints::lasting(NOTHING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::result::CacheScope;

    #[test]
    fn what_is_left_is_what_the_server_said_without_the_time_that_is_over() {
        let freshness = Freshness::default();
        let since = Instant::now();
        let at = |seconds| freshness.left(ListKind::Tools, since + Duration::from_secs(seconds));
        assert_eq!(at(0), CacheHints::NONE);
        let hints = CacheHints { ttl_ms: 5000, scope: CacheScope::Public };
        freshness.note(ListKind::Tools, Some(hints), since);
        assert_eq!(at(0), hints);
        assert_eq!(at(3), CacheHints { ttl_ms: 2000, ..hints });
        assert_eq!(at(5), CacheHints::NONE);
        assert_eq!(freshness.left(ListKind::Prompts, since), CacheHints::NONE);
        freshness.note(ListKind::Tools, None, since);
        assert_eq!(at(0), CacheHints::NONE);
    }
}
