//! Which log messages a server of a legacy revision sends: all that its sessions want, and while calls of modern clients are
//! in flight, which say so each for itself, what those want too.

use super::{Link, Run};
use crate::backend::handshake::level_params;
use crate::call::Call;
use crate::protocol::Level;

/// What a server is told that was told a level for calls alone, when those are over: what most servers begin with.
const USUAL: Level = Level::Info;

/// The log levels of one run.
#[derive(Default)]
pub(super) struct Levels {
    /// Whether the server takes any.
    takes: bool,
    /// What sessions want.
    base: Option<Level>,
    /// What the server was told last.
    told: Option<Level>,
    /// What calls in flight want, by their ids. Nearly always empty.
    calls: Vec<(u64, Level)>,
}

impl Levels {
    /// For a server that has been told what sessions want.
    pub(super) fn begin(takes: bool, base: Option<Level>) -> Self {
        Self { takes, base, told: base.filter(|_| takes), calls: Vec::new() }
    }

    /// The level that the server should be told now, if it is another one than before.
    fn change(&mut self) -> Option<Level> {
        let calls = self.calls.iter().map(|(_, level)| *level).min();
        let wanted = match (self.base, calls) {
            (Some(base), Some(calls)) => Some(base.min(calls)),
            (None, None) => self.told.map(|_| USUAL),
            (base, calls) => base.or(calls),
        };
        if !self.takes || wanted == self.told {
            return None;
        }
        self.told = wanted;
        wanted
    }
}

impl Run {
    /// A call is about to be sent: its logs must be too.
    #[inline]
    pub(super) fn lower_level(&mut self, id: u64, call: &Call) {
        if self.levels.takes
            && self.words.from(call).is_modern()
            && let Some(level) = call.caller.level()
        {
            self.levels.calls.push((id, level));
            self.tell_level();
        }
    }

    /// A call is over.
    #[inline]
    pub(super) fn restore_level(&mut self, id: u64) {
        if !self.levels.calls.is_empty() {
            self.levels.calls.retain(|(call, _)| *call != id);
            self.tell_level();
        }
    }

    fn tell_level(&mut self) {
        if let Some(level) = self.levels.change() {
            self.tell("logging/setLevel", &level_params(level));
        }
    }
}

impl Link {
    /// What sessions want from now on. The server is told at once.
    pub(in crate::backend) fn set_level(&self, level: Level) {
        if let Some(run) = self.lock().run.as_mut().filter(|run| run.levels.takes) {
            run.levels.base = Some(level);
            // Whoever sets a level that is in force already still means it.
            run.levels.told = None;
            run.tell_level();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_lower_the_level_and_what_was_before_comes_back() {
        let mut levels = Levels::begin(true, Some(Level::Warning));
        assert_eq!(levels.change(), None);
        levels.calls.push((1, Level::Error));
        assert_eq!(levels.change(), None, "it is told more than that already");
        levels.calls.push((2, Level::Debug));
        assert_eq!(levels.change(), Some(Level::Debug));
        levels.calls.push((3, Level::Info));
        assert_eq!(levels.change(), None);
        levels.calls.remove(1);
        assert_eq!(levels.change(), Some(Level::Info));
        levels.calls.clear();
        assert_eq!(levels.change(), Some(Level::Warning));
    }

    #[test]
    fn a_server_that_nobody_told_a_level_gets_a_usual_one_back() {
        let mut levels = Levels::begin(true, None);
        assert_eq!(levels.change(), None);
        levels.calls.push((1, Level::Debug));
        assert_eq!(levels.change(), Some(Level::Debug));
        levels.calls.clear();
        assert_eq!(levels.change(), Some(USUAL));
        assert_eq!(levels.change(), None);
        let mut deaf = Levels::begin(false, Some(Level::Error));
        deaf.calls.push((1, Level::Debug));
        assert_eq!(deaf.change(), None);
    }
}
