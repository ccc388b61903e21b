//! Answers to a JSON-RPC batch, gathered until the last one is there (MCP 2025-03-26, "Batching").

use std::sync::{Mutex, PoisonError};

/// The answer to one batch in the making.
pub(super) struct Batch {
    inner: Mutex<Inner>,
}

struct Inner {
    answers: Vec<u8>,
    open: usize,
}

impl Batch {
    /// A batch that waits for `open` answers.
    pub(super) fn new(open: usize) -> Self {
        Self { inner: Mutex::new(Inner { answers: b"[".to_vec(), open }) }
    }

    /// Adds an answer, or notes that there will be none. Gives the whole array with the last one; `None` also when a
    /// batch ends without any answer, which is answered with nothing at all.
    pub(super) fn add(&self, answer: Option<&[u8]>) -> Option<Vec<u8>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answer {
            if inner.answers.len() > 1 {
                inner.answers.push(b',');
            }
            inner.answers.extend_from_slice(answer);
        }
        inner.open = inner.open.saturating_sub(1);
        if inner.open > 0 || inner.answers.len() == 1 {
            return None;
        }
        let mut whole = std::mem::take(&mut inner.answers);
        whole.push(b']');
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_array_comes_with_the_last_answer() {
        let batch = Batch::new(3);
        assert_eq!(batch.add(Some(b"1")), None);
        assert_eq!(batch.add(None), None);
        assert_eq!(batch.add(Some(b"2")).as_deref(), Some(&b"[1,2]"[..]));
        assert_eq!(Batch::new(1).add(None), None);
    }
}
