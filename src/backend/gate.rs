//! Keeps calls apart whose questions could be mixed up.
//!
//! Up to revision 2025-11-25 a server on a pipe asks the user something without saying in which call. As long as all calls at
//! the server are of one caller, that does no harm. So calls of different callers who can be asked take turns here; callers
//! who cannot be asked anything may be together. A call that waits for its user *rests*: it lets others in, and its answer
//! waits until they are out. That takes it for granted that it asks one thing at a time; `questions: exclusive` does not.

use std::collections::VecDeque;

use crate::call::{Call, Caller, CallerId};

/// Who may be at the server at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    /// One who can be asked.
    Of(CallerId),
    /// All who cannot.
    Mute,
}

impl Party {
    fn of(caller: &dyn Caller) -> Self {
        if caller.introduction().capabilities.len() > 2 { Party::Of(caller.id()) } else { Party::Mute }
    }
}

/// What waits in front of the server.
pub(super) enum Held<A> {
    /// A call that was not sent yet.
    Call(Box<Call>),
    /// The answer to a question in the middle of a call that rests.
    Answer {
        /// The call's id at the server.
        flight: u64,
        /// What to send.
        answer: A,
    },
}

/// See the module. `A` is what an answer is kept as.
pub(super) struct Gate<A> {
    guards: bool,
    inside: Option<Party>,
    /// The caller who came last: nearly always the same comes again, and his introduction need not be looked at.
    last: Option<(CallerId, Party)>,
    count: usize,
    held: VecDeque<(Party, Held<A>)>,
}

impl<A> Gate<A> {
    /// A gate that lets everybody pass, or one that does not.
    pub(super) fn new(guards: bool) -> Self {
        Self { guards, inside: None, last: None, count: 0, held: VecDeque::new() }
    }

    /// Lets a call of this caller in, or says as whose it has to [wait](Self::hold). It does not take the call itself, because
    /// nearly all go on at once.
    #[inline]
    pub(super) fn enter(&mut self, caller: &dyn Caller) -> Result<(), Party> {
        if !self.guards {
            return Ok(());
        }
        let id = caller.id();
        let party = match self.last {
            Some((last, party)) if last == id => party,
            _ => Party::of(caller),
        };
        self.last = Some((id, party));
        if self.admits(party) { Ok(()) } else { Err(party) }
    }

    /// Keeps a call until [`next`](Self::next) gives it out.
    pub(super) fn hold(&mut self, party: Party, call: Call) {
        self.held.push_back((party, Held::Call(Box::new(call))));
    }

    /// Gives the answer back if it may go to the server now; else it waits here. For a call that rests.
    pub(super) fn return_with(&mut self, caller: &dyn Caller, flight: u64, answer: A) -> Option<A> {
        if !self.guards {
            return Some(answer);
        }
        let party = Party::of(caller);
        if self.admits(party) {
            return Some(answer);
        }
        self.held.push_back((party, Held::Answer { flight, answer }));
        None
    }

    fn admits(&mut self, party: Party) -> bool {
        let free = self.held.is_empty() && self.inside.is_none_or(|inside| inside == party);
        if free {
            self.inside = Some(party);
            self.count += 1;
        }
        free
    }

    /// One who was inside has left. [`next`](Self::next) tells who may come in now.
    #[inline]
    pub(super) fn leave(&mut self) {
        if self.guards {
            self.count = self.count.saturating_sub(1);
            if self.count == 0 {
                self.inside = None;
            }
        }
    }

    /// The next one that may come in, if any; he counts as inside.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Held<A>> {
        let (party, _) = self.held.front()?;
        if self.inside.is_some_and(|inside| inside != *party) {
            return None;
        }
        self.inside = Some(*party);
        self.count += 1;
        self.held.pop_front().map(|(_, held)| held)
    }

    /// Drops calls and answers that nobody wants any more.
    pub(super) fn forget(&mut self, unwanted: impl Fn(&Held<A>) -> bool) {
        self.held.retain(|(_, held)| !unwanted(held));
    }

    /// How many calls wait.
    pub(super) fn waiting(&self) -> usize {
        self.held.len()
    }

    /// The calls that were never sent.
    pub(super) fn into_calls(self) -> Vec<Call> {
        let call = |(_, held)| match held {
            Held::Call(call) => Some(*call),
            Held::Answer { .. } => None,
        };
        self.held.into_iter().filter_map(call).collect()
    }
}
