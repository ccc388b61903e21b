//! What clients want of a server beside their calls, and what every new generation of it must be told again.

use std::collections::{BTreeMap, BTreeSet};

use super::{Backend, lock};
use crate::protocol::Level;

/// What a new generation of the server must be told again.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    pub(super) level: Option<Level>,
    /// The resources that clients follow, and how many do.
    pub(super) subscriptions: BTreeMap<String, usize>,
    /// Those that nobody follows any more, until a server that was told to begin has been told to end.
    pub(super) left: BTreeSet<String>,
}

impl Backend {
    /// The log level for this server from now on, and for every later generation.
    pub fn set_level(&self, level: Level) {
        lock(&self.wanted).level = Some(level);
        self.link.set_level(level);
    }

    /// A client follows the resource `uri`, to which the server has agreed: later generations will be asked for it too.
    /// Each call counts, and wants an [`unsubscribed`](Self::unsubscribed).
    pub fn subscribed(&self, uri: String) {
        let is_first = {
            let mut wanted = lock(&self.wanted);
            wanted.left.remove(&uri);
            let followers = wanted.subscriptions.entry(uri).or_default();
            *followers += 1;
            *followers == 1
        };
        if is_first {
            self.orders.give(|pending| pending.follow = true);
        }
    }

    /// A client is no longer interested in the resource. With the last one, the server is told.
    pub fn unsubscribed(&self, uri: &str) {
        let mut wanted = lock(&self.wanted);
        let Some(followers) = wanted.subscriptions.get_mut(uri) else { return };
        *followers -= 1;
        if *followers == 0 {
            wanted.subscriptions.remove(uri);
            wanted.left.insert(uri.to_owned());
            drop(wanted);
            self.orders.give(|pending| pending.follow = true);
        }
    }

    /// Whether any client follows the resource.
    pub fn is_followed(&self, uri: &str) -> bool {
        lock(&self.wanted).subscriptions.contains_key(uri)
    }

    /// Whether a client follows any resource of this server.
    pub fn has_subscriptions(&self) -> bool {
        !lock(&self.wanted).subscriptions.is_empty()
    }

    /// Whether the server must not be told to forget the resource yet, because others follow it. If it may, whoever asks
    /// tells it.
    pub(super) fn is_still_followed(&self, uri: &str) -> bool {
        let mut wanted = lock(&self.wanted);
        wanted.left.remove(uri);
        wanted.subscriptions.contains_key(uri)
    }

    /// The resources that are no longer followed, of which the server has not been told.
    pub(super) fn take_left(&self) -> BTreeSet<String> {
        std::mem::take(&mut lock(&self.wanted).left)
    }

    pub(super) fn wanted(&self) -> Wanted {
        lock(&self.wanted).clone()
    }
}
