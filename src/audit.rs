//! The audit log: who called what and when, what was decided, and what came of it.
//!
//! In go [`Entry`]s, one for each call; out comes a file of JSON lines, each of which holds the hash of the one before, so that
//! nobody can change or take out one unseen. Several Switchboards write to one log, one after the other. This room never sees
//! results, and arguments only in the form that the config allows.

mod chain;
mod entry;
mod folder;
mod journal;
mod log;
mod verify;

pub use chain::Link;
pub use entry::{Decision, Entry, Result};
pub use folder::{Folder, LogFile};
pub use journal::{Journal, NotKept};
pub use verify::{Break, Verdict, verify};
