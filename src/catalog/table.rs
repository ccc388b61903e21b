//! From the names that clients use back to a server and its own name.

use std::sync::{Arc, OnceLock};

use ahash::{HashMap, HashMapExt};
use bytes::Bytes;

use crate::catalog::naming::RESERVED_PREFIX;
use crate::effect::Claims;
use crate::names::{ExposedName, OriginalName, ServerName};

/// Where a call of an exposed name goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server that has it.
    pub server: ServerName,
    /// The server's place among the sources that the catalog was built of.
    pub index: usize,
    /// The server's own name for it.
    pub original: OriginalName,
    /// The same as a JSON string with quotes, ready to be spliced into a request.
    pub original_quoted: Bytes,
    /// The name that clients see.
    pub exposed: ExposedName,
    /// The definition that clients see, a slice of its page.
    pub definition: Bytes,
    /// What the definition claims of its effect, once somebody has wanted to know.
    pub(super) claims: OnceLock<Claims>,
}

impl Target {
    /// What the definition claims of its effect.
    pub fn claims(&self) -> Claims {
        *self.claims.get_or_init(|| Claims::of(&self.definition))
    }
}

/// All tools, or all prompts.
#[derive(Debug, Default)]
pub(super) struct Table {
    targets: Vec<Target>,
    exposed: HashMap<Arc<str>, usize>,
    /// By original name; `None` if several servers have it.
    bare: HashMap<Arc<str>, Option<usize>>,
}

impl Table {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            targets: Vec::with_capacity(capacity),
            exposed: HashMap::with_capacity(capacity),
            bare: HashMap::with_capacity(capacity),
        }
    }

    pub(super) fn push(&mut self, target: Target) {
        let index = self.targets.len();
        self.exposed.insert(target.exposed.as_str().into(), index);
        self.bare
            .entry(target.original.as_str().into())
            .and_modify(|known| *known = None)
            .or_insert(Some(index));
        self.targets.push(target);
    }

    /// Lets a bare original name lead nowhere: one that is held back has it, too.
    pub(super) fn reserve(&mut self, original: &str) {
        self.bare.insert(original.into(), None);
    }

    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The exposed name; else a bare original name that exactly one server has; else `server.tool`, `server/tool` or
    /// `server:tool`. The beginning of our own tools' names is never looked up in a server's names.
    pub(super) fn find(&self, name: &str) -> Option<&Target> {
        if let Some(&index) = self.exposed.get(name) {
            return self.targets.get(index);
        }
        if name.starts_with(RESERVED_PREFIX) {
            return None;
        }
        match self.bare.get(name) {
            Some(&Some(index)) => self.targets.get(index),
            Some(None) => None,
            None => self.targets.iter().find(|target| {
                let rest = name
                    .strip_prefix(target.server.as_str())
                    .and_then(|rest| rest.strip_prefix(['.', '/', ':']));
                rest == Some(target.original.as_str())
            }),
        }
    }

    /// The names most like a wrong one, best first.
    pub(super) fn nearest(&self, name: &str, count: usize) -> Vec<ExposedName> {
        // Longer than any name of ours there is nothing to compare, and comparing takes time by length.
        let name = name.chars().take(256).collect::<String>().to_lowercase();
        let score = |target: &Target| {
            let exposed = strsim::jaro_winkler(&name, &target.exposed.as_str().to_lowercase());
            exposed.max(strsim::jaro_winkler(&name, &target.original.as_str().to_lowercase()))
        };
        let mut scored: Vec<(f64, &Target)> = self
            .targets
            .iter()
            .map(|target| (score(target), target))
            .filter(|(score, _)| *score > ALIKE)
            .collect();
        scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        scored.iter().take(count).map(|(_, target)| target.exposed.clone()).collect()
    }
}

/// The Jaro-Winkler similarity from which on a name is worth proposing.
const ALIKE: f64 = 0.7;
