//! What a server is doing, with what belongs to it.

use tokio::time::Instant;

use crate::failure::Failure;

/// The state of a backend.
#[derive(Clone, Debug)]
pub enum State {
    /// Not running, and nothing is wrong: it starts with the first call.
    Idle,
    /// It is being reached; the handshake is not done.
    Starting {
        /// Since when.
        since: Instant,
    },
    /// It answers calls.
    Ready {
        /// Since when.
        since: Instant,
        /// Its process, if it is a child of ours.
        pid: Option<u32>,
        /// The how-manieth start it is.
        generation: u64,
    },
    /// It fell and will be started again.
    Waiting {
        /// Why it fell.
        failure: Failure,
        /// When it is started again.
        until: Instant,
    },
    /// It fell again and again; it is left alone for a while.
    CrashLooped {
        /// Why it fell last.
        failure: Failure,
        /// When it is tried once more.
        until: Instant,
    },
    /// It cannot be started before somebody mends something.
    Failed {
        /// Why.
        failure: Failure,
        /// Until when a call is answered with the failure instead of another try.
        until: Instant,
    },
    /// It wants somebody to log in. Every call tries again, so that a login counts at once.
    NeedsLogin {
        /// What it said, and the command.
        failure: Failure,
    },
    /// We are ending.
    Ended,
}

impl State {
    /// One word for tables.
    pub fn word(&self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Starting { .. } => "starting",
            State::Ready { .. } => "ready",
            State::Waiting { .. } => "restarting",
            State::CrashLooped { .. } => "crash-looped",
            State::Failed { .. } => "failed",
            State::NeedsLogin { .. } => "needs-login",
            State::Ended => "ended",
        }
    }

    /// Why it is not well, if it is not.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            State::Waiting { failure, .. }
            | State::CrashLooped { failure, .. }
            | State::Failed { failure, .. }
            | State::NeedsLogin { failure } => Some(failure),
            State::Idle | State::Starting { .. } | State::Ready { .. } | State::Ended => None,
        }
    }
}
