//! What a server tells of its tasks, and what is too large to be handed on: the part of the stages that frontends know of.

use std::sync::Mutex;

use bytes::Bytes;

use super::Lane;
use crate::call::Call;
use crate::pipeline::tasks::Told;
use crate::pipeline::{Next, Outcome, limit};
use crate::protocol::{Method, Revision};
use crate::wire::{Body, Span};

impl Lane {
    /// Whether results of this method that are too large are cut, where the config says what is too large.
    pub fn cuts(method: Method) -> bool {
        limit::is_cut(method)
    }

    /// Whether what the server tells of a task by itself must pass [`told`](Self::told), if it tells the end.
    pub fn looks_at_tasks(&self) -> bool {
        self.0.track.as_ref().is_some_and(|track| track.shared.origins.is_some())
    }

    /// What the server tells of one of its tasks by itself, after the stages that look at results. `about` is how its client would
    /// ask for it; `told` is what stands in the answer's place. `None` if it must not be told.
    pub async fn told(&self, about: Call, told: Bytes, revision: &'static Revision) -> Option<Bytes> {
        let Some(track) = &self.0.track else { return Some(told) };
        let whole = Span { start: 0, end: told.len() };
        let told = Told(Mutex::new(Some(Outcome::Reply { line: told, body: Body::Result(whole), revision })));
        let request = track.request(about, None, None);
        match Next::new(&track.shared.of_results(), &told).run(request).await {
            Outcome::Reply { line, body: Body::Result(span), .. } => Some(line.slice(span.start..span.end)),
            Outcome::Reply { body: Body::Error(_), .. } | Outcome::Failed(_) => None,
        }
    }
}
