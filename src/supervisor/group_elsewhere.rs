//! What stands in for a process group where there are none: the leader's id, without signals.

use tokio::process::Command;

/// The id of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group(u32);

impl Group {
    pub(super) fn led_by(pid: u32) -> Option<Self> {
        Some(Self(pid))
    }

    pub(super) fn id(self) -> u32 {
        self.0
    }

    /// Does nothing: there is no polite signal, so the caller's grace is spent on waiting.
    pub(super) fn terminate(self) {}

    /// Does nothing: the caller also ends the leader through its handle.
    pub(super) fn kill(self) {}

    /// Descendants are not known here.
    pub(super) fn is_alive(self) -> bool {
        false
    }
}

pub(super) fn prepare(_command: &mut Command) {}

pub(super) fn prepare_session(_command: &mut Command) {}
