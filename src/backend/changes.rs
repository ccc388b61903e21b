//! When a server last said, or must be assumed, to have changed: what whoever keeps its answers compares.
//!
//! One clock that counts changes, and for each part of the server where it stood when that part changed. An answer is good as
//! long as nothing that it comes from has changed since it was asked for, and the run of the server that gave it is the last.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::protocol::{ListKind, Method};

/// So many changed resources are told apart; beyond that, all count as changed.
const MANY: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub struct Changes(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    clock: u64,
    runs: u64,
    all: u64,
    tools: u64,
    prompts: u64,
    resources: u64,
    /// Single resources, and all that they may be parts of.
    uris: HashMap<String, u64>,
}

impl Changes {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another run of the server begins. It knows nothing of the one before.
    pub fn run(&self) {
        self.inner().runs += 1;
    }

    /// How many runs there were.
    pub fn runs(&self) -> u64 {
        self.inner().runs
    }

    /// Everything may have changed, in the same run.
    pub fn everything(&self) {
        let mut inner = self.inner();
        inner.clock += 1;
        inner.all = inner.clock;
        inner.uris.clear();
    }

    /// The server has other things of this kind than before.
    pub fn list(&self, kind: ListKind) {
        let mut inner = self.inner();
        inner.clock += 1;
        let now = inner.clock;
        match kind {
            ListKind::Tools => inner.tools = now,
            ListKind::Prompts => inner.prompts = now,
            ListKind::Resources | ListKind::Templates => inner.resources = now,
        }
    }

    /// This resource has changed, and with it what it is a part of (MCP "Resources": what is told may be a sub-resource).
    pub fn resource(&self, uri: &str) {
        let mut inner = self.inner();
        inner.clock += 1;
        let now = inner.clock;
        let wholes = uri.char_indices().filter(|(_, character)| matches!(character, '/' | '?' | '#'));
        let ends: Vec<usize> = wholes.flat_map(|(at, _)| [at, at + 1]).chain([uri.len()]).collect();
        if inner.uris.len() + ends.len() > MANY {
            inner.uris.clear();
            inner.resources = now;
            return;
        }
        for end in ends {
            inner.uris.insert(uri.get(..end).unwrap_or(uri).to_owned(), now);
        }
    }

    /// When that changed from which the answer to such a request comes. `label` is the name or URI in the server's words.
    pub fn last(&self, method: Method, label: &str) -> u64 {
        let inner = self.inner();
        let part = match method {
            Method::ToolsCall => inner.tools,
            Method::PromptsGet => inner.prompts,
            Method::ResourcesRead => inner.resources.max(inner.uris.get(label).copied().unwrap_or(0)),
            _ => inner.clock,
        };
        part.max(inner.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What changes of the answers to a tool, a prompt, and these resources.
    fn changed(by: impl Fn(&Changes)) -> [bool; 5] {
        let changes = Changes::default();
        changes.list(ListKind::Tools);
        let wanted = [
            (Method::ToolsCall, "t"),
            (Method::PromptsGet, "p"),
            (Method::ResourcesRead, "file:///a"),
            (Method::ResourcesRead, "file:///a/b"),
            (Method::ResourcesRead, "file:///c"),
        ];
        let before = wanted.map(|(method, label)| changes.last(method, label));
        by(&changes);
        let after = wanted.map(|(method, label)| changes.last(method, label));
        std::array::from_fn(|place| before[place] != after[place])
    }

    #[test]
    fn each_change_concerns_what_it_is_about() {
        assert_eq!(changed(Changes::everything), [true; 5]);
        assert_eq!(changed(|it| it.list(ListKind::Tools)), [true, false, false, false, false]);
        assert_eq!(changed(|it| it.list(ListKind::Prompts)), [false, true, false, false, false]);
        assert_eq!(changed(|it| it.list(ListKind::Templates)), [false, false, true, true, true]);
        assert_eq!(changed(|it| it.resource("file:///c")), [false, false, false, false, true]);
        assert_eq!(changed(|it| it.resource("file:///a")), [false, false, true, false, false]);
        assert_eq!(changed(|it| it.resource("file:///a/b")), [false, false, true, true, false]);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let all = |changes: &Changes| (0..10 * MANY).for_each(|it| changes.resource(&format!("x:{it}")));
        assert_eq!(changed(all), [false, false, true, true, true]);
        let changes = Changes::default();
        all(&changes);
        changes.resource(&"/".repeat(MANY));
        assert!(changes.inner().uris.len() <= MANY);
    }
}
