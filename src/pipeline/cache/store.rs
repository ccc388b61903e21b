//! Where answers are kept: for one server and all its instances, bounded by bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::kept::Kept;
use super::key::Key;
use crate::config::CacheRules;

/// What an answer takes beside its bytes.
const OVERHEAD: usize = 256;

/// What a cache has done since we run, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Calls that were answered without the server, in the middle of another one included.
    pub hits: u64,
    /// Calls that might have been, and went to the server.
    pub misses: u64,
    /// Answers that are kept.
    pub answers: u64,
    /// How many bytes they take.
    pub bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Store {
    answers: moka::sync::Cache<Key, Answer>,
    pub(super) rules: CacheRules,
    hits: AtomicU64,
    misses: AtomicU64,
    /// How often it was cleared: what was asked for before that is not kept.
    epoch: AtomicU64,
}

/// An answer, and what held when it came.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) kept: Arc<Kept>,
    pub(super) stamp: Stamp,
}

/// How often what an answer comes from had changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    /// As the server has told, when the answer was asked for.
    pub(super) parts: u64,
    /// The run of the server.
    pub(super) run: u64,
}

impl Store {
    pub(super) fn new(rules: CacheRules) -> Self {
        let longest = rules.ttl.max(rules.negative_ttl.unwrap_or_default());
        let answers = moka::sync::Cache::builder()
            .max_capacity(rules.max_bytes)
            .weigher(|_: &Key, answer: &Answer| {
                u32::try_from(answer.kept.size() + OVERHEAD).unwrap_or(u32::MAX)
            })
            // What nobody asks for again must not stay for ever.
            .time_to_live(longest.saturating_add(rules.stale_if_error.unwrap_or_default()))
            .build();
        Self { answers, rules, hits: AtomicU64::new(0), misses: AtomicU64::new(0), epoch: AtomicU64::new(0) }
    }

    pub(super) fn find(&self, key: &Key) -> Option<Answer> {
        self.answers.get(key)
    }

    /// Keeps an answer that was asked for in this epoch.
    pub(super) fn keep(&self, key: Key, answer: Answer, epoch: u64) {
        if answer.kept.may_be_kept() && epoch == self.epoch() {
            self.answers.insert(key, answer);
            // Otherwise it would be done later, with hundreds of answers too many until then.
            self.answers.run_pending_tasks();
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub(super) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        self.answers.invalidate_all();
        self.answers.run_pending_tasks();
    }

    pub(super) fn tallies(&self) -> Tallies {
        self.answers.run_pending_tasks();
        Tallies {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            answers: self.answers.entry_count(),
            bytes: self.answers.weighted_size(),
        }
    }
}
