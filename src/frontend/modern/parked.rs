//! Calls whose client has been asked something and has not come back: found again by the number in its `requestState`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::frontend::modern::exchange::Exchange;

/// See the module. The backend that serves a call keeps it alive, not this table.
#[derive(Default)]
pub(in crate::frontend) struct Parked {
    calls: Mutex<HashMap<u128, Weak<Exchange>>>,
    questions: AtomicU64,
}

impl Parked {
    fn calls(&self) -> MutexGuard<'_, HashMap<u128, Weak<Exchange>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, handle: u128, call: &Weak<Exchange>) {
        self.calls().insert(handle, Weak::clone(call));
    }

    pub(super) fn find(&self, handle: u128) -> Option<Arc<Exchange>> {
        self.calls().get(&handle).and_then(Weak::upgrade)
    }

    /// How many wait.
    pub(in crate::frontend) fn count(&self) -> usize {
        self.calls().values().filter(|call| call.strong_count() > 0).count()
    }

    pub(super) fn forget(&self, handle: u128) {
        self.calls().remove(&handle);
    }

    /// A number for a question, never given before: an answer can never be taken for that to another one.
    pub(in crate::frontend) fn next_question(&self) -> u64 {
        self.questions.fetch_add(1, Ordering::Relaxed) + 1
    }
}
