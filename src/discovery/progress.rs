//! How far a search has come.

/// One place has been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// How many places have been looked at.
    pub done: usize,
    /// How many there are, as far as is known: what is found may name more.
    pub all: usize,
    /// The place: an address without what may be secret, a path, the name of a program.
    pub place: &'a str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of looking at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// So many servers were found.
    Found(usize),
    /// Nobody is there.
    Nothing,
    /// Somebody is there, but no server that could be used.
    Failed,
}
