//! Answers to a JSON-RPC batch, gathered until the last one is there (MCP 2025-03-26, "Batching").
//!
//! They are one array, unless that were longer than clients read; then they are as few as will do.

use std::sync::{Mutex, PoisonError};

use crate::frontend::MAX_MESSAGE;

/// What brackets, a comma and the end of the line add.
const BRACKETS: usize = 4;

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

    /// Adds an answer, or notes that there will be none. Sends the array with the last one; nothing at all if no part
    /// of the batch got an answer.
    pub(super) fn add(&self, answer: Option<&[u8]>, mut send: impl FnMut(Vec<u8>)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answer {
            if inner.answers.len() + answer.len() + BRACKETS > MAX_MESSAGE {
                inner.finish(&mut send);
            }
            if inner.answers.len() > 1 {
                inner.answers.push(b',');
            }
            inner.answers.extend_from_slice(answer);
        }
        inner.open = inner.open.saturating_sub(1);
        if inner.open == 0 {
            inner.finish(&mut send);
        }
    }
}

impl Inner {
    fn finish(&mut self, send: &mut impl FnMut(Vec<u8>)) {
        if self.answers.len() > 1 {
            let mut whole = std::mem::replace(&mut self.answers, b"[".to_vec());
            whole.push(b']');
            send(whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrays(batch: &Batch, answers: &[Option<&[u8]>]) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        for answer in answers {
            batch.add(*answer, |array| sent.push(array));
        }
        sent
    }

    #[test]
    fn the_array_comes_with_the_last_answer() {
        let batch = Batch::new(3);
        assert!(arrays(&batch, &[Some(b"1"), None]).is_empty());
        assert_eq!(arrays(&batch, &[Some(b"2")]), [b"[1,2]"]);
        assert!(arrays(&Batch::new(1), &[None]).is_empty());
    }

    #[test]
    fn no_array_is_longer_than_clients_read() {
        let large = vec![b'1'; MAX_MESSAGE - 100];
        let sent = arrays(&Batch::new(4), &[Some(b"1"), Some(&large), Some(&large), Some(b"2")]);
        assert_eq!(sent.len(), 2);
        assert!(sent.iter().all(|array| array.len() < MAX_MESSAGE));
        assert!(sent[1].ends_with(b",2]"));
    }
}
