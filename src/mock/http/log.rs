//! What is said on one stream, kept in order, so that a client that lost its connection can read on where it was.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::mock::output::{Kind, Op, Output};
use crate::mock::server::Server;

/// How much may wait for a reader before whoever speaks has to wait.
const BACKLOG: usize = 256;

/// One stream.
pub(super) struct Log {
    /// Distinguishes the streams of a session.
    pub(super) number: u64,
    state: Mutex<State>,
    /// Counts the changes.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    ended: bool,
    /// How many entries were read.
    read: usize,
    /// The number of the reader that has the stream now.
    reader: u64,
}

/// One thing that was said.
#[derive(Clone)]
pub(super) enum Entry {
    Message(Bytes, Kind),
    /// Bytes that are no message.
    Raw(Bytes),
    /// The connection is to be closed here, once.
    Close,
    /// What is read only once was read.
    Gone,
}

/// What a reader finds.
pub(super) enum Next {
    Entry(Entry),
    /// Nothing more will be said.
    End,
    /// Somebody else reads now.
    Replaced,
}

impl Log {
    pub(super) fn new(number: u64) -> Arc<Self> {
        Arc::new(Self { number, state: Mutex::default(), changed: watch::Sender::new(0) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Writes what comes from a queue until nobody can say anything more, or until the server ends.
    pub(super) fn fill(self: &Arc<Self>, server: &Arc<Server>, aside: Option<Output>) -> Output {
        let (output, queue) = Output::channel();
        let (log, server) = (Arc::clone(self), Arc::clone(server));
        tokio::spawn(async move {
            log.take(queue, &server, aside).await;
            log.end();
        });
        output
    }

    /// `aside` is where everything but responses goes, where that is another stream.
    async fn take(&self, mut queue: mpsc::Receiver<Op>, server: &Server, aside: Option<Output>) {
        while let Some(op) = queue.recv().await {
            match (op, &aside) {
                (Op::Message(text, Kind::Other), Some(aside)) => aside.message(text, Kind::Other).await,
                (Op::Message(text, kind), _) => self.push(Entry::Message(text.into(), kind)).await,
                (Op::Bytes(bytes), _) => self.push(Entry::Raw(bytes.into())).await,
                (Op::Close, _) => self.push(Entry::Close).await,
                (Op::End(outcome), _) => {
                    server.end.send_replace(Some(outcome));
                    return;
                }
            }
        }
    }

    async fn push(&self, entry: Entry) {
        let mut changes = self.changed.subscribe();
        loop {
            {
                let mut state = self.state();
                if state.ended {
                    return;
                }
                if state.entries.len() - state.read < BACKLOG {
                    state.entries.push(entry);
                    break;
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
        self.change();
    }

    /// Nothing more will be said.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.change();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// Takes the stream over from whoever reads it. Gives the reader's number and the first entry that nobody read.
    pub(super) fn take_over(&self) -> (u64, usize) {
        let (reader, read) = {
            let mut state = self.state();
            state.reader += 1;
            (state.reader, state.read)
        };
        self.change();
        (reader, read)
    }

    /// The entry at this place, as soon as there is one; it is not taken.
    pub(super) async fn peek(&self, at: usize) -> Next {
        let mut changes = self.changed.subscribe();
        loop {
            {
                let state = self.state();
                match state.entries.get(at) {
                    Some(entry) => return Next::Entry(entry.clone()),
                    None if state.ended => return Next::End,
                    None => {}
                }
            }
            if changes.changed().await.is_err() {
                return Next::End;
            }
        }
    }

    /// The entry at this place, as soon as there is one, for this reader.
    pub(super) async fn read(&self, at: usize, reader: u64) -> Next {
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(next) = self.try_read(at, reader) {
                self.change();
                return next;
            }
            if changes.changed().await.is_err() {
                return Next::End;
            }
        }
    }

    fn try_read(&self, at: usize, reader: u64) -> Option<Next> {
        let mut state = self.state();
        if state.reader != reader {
            return Some(Next::Replaced);
        }
        let ended = state.ended;
        let Some(entry) = state.entries.get_mut(at) else {
            return ended.then_some(Next::End);
        };
        let entry = match entry {
            Entry::Message(..) => entry.clone(),
            _ => std::mem::replace(entry, Entry::Gone),
        };
        state.read = state.read.max(at + 1);
        Some(Next::Entry(entry))
    }
}
