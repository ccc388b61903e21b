//! Tasks: calls that go on after their answer, relayed between clients and servers that have them in the same form (the core
//! of 2025-11-25, or the extension of the modern era, SEP-2663).
//!
//! A client knows a task by a name of ours, which holds the server and the server's own id under seal: nobody can guess or
//! change one, and we keep no table.

use std::time::Duration;

use bytes::Bytes;

use crate::bridge;
use crate::call::TokenPlace;
use crate::frontend::answer::Answer;
use crate::frontend::hall::Hall;
use crate::frontend::incoming::Incoming;
use crate::frontend::modern::seal::{Bound, State};
use crate::frontend::route::{Miss, Way};
use crate::names::{OriginalName, ServerName};
use crate::protocol::{Method, Revision, TaskMethod, Tasks, codes};
use crate::registry::Registry;
use crate::wire::json;

/// For how long a name is good. Servers forget tasks long before.
const LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn bound(principal: Option<&str>) -> Bound<'_> {
    Bound { method: Method::Task(TaskMethod::Get), digest: [0; 32], principal }
}

impl Hall {
    /// Params or a result that tell of a server's task, with our name for it; `None` if they tell of none.
    pub(super) fn with_our_task(
        &self,
        server: &ServerName,
        principal: Option<&str>,
        object: &[u8],
    ) -> Option<Bytes> {
        let id = match bridge::tasks::related(object) {
            Some(id) => id,
            None => bridge::tasks::read(object).ok()?.id,
        };
        let state = State::Task { server: server.to_string(), id };
        let name = self.seal.seal(&state, bound(principal), LIFE).ok()?;
        bridge::tasks::with_id(object, &name)
    }

    /// Where a request about a task goes.
    pub(super) fn task_way(
        &self,
        registry: &Registry,
        incoming: &Incoming<'_>,
        principal: Option<&str>,
    ) -> Result<Way, Miss> {
        let place =
            incoming.member("taskId").and_then(|span| Some((span, json::string(span.of(incoming.line))?)));
        let Some((span, name)) = place else {
            let text = "`taskId` must be a string";
            return Err(Miss::Invalid(Answer::error(codes::INVALID_PARAMS, text)));
        };
        let found = match self.seal.open(&name, bound(principal)) {
            Some(State::Task { server, id }) => {
                registry.lane(&ServerName::from(server.as_str())).map(|lane| (lane.clone(), id))
            }
            _ => None,
        };
        let Some((lane, id)) = found else {
            return Err(Miss::Invalid(Answer::error(codes::INVALID_PARAMS, "Unknown task")));
        };
        Ok(Way {
            lane,
            item: None,
            label: OriginalName::from(id.as_str()),
            target: Some((span, Bytes::from(json::quote(&id)))),
            rewrites: false,
            token: TokenPlace::None,
            uri: None,
        })
    }

    /// Whether any server offers tasks in the form that this revision knows, as far as servers have shown themselves.
    pub(super) fn offers_tasks(&self, revision: &Revision) -> bool {
        let Some(registry) = self.registry().filter(|_| revision.tasks != Tasks::None) else { return false };
        registry.backends().iter().filter_map(|backend| registry.offering(backend.name())).any(|offering| {
            let initialize = &offering.initialize;
            let version = json::get(initialize, "protocolVersion").map(|span| span.of(initialize));
            let theirs = version.and_then(json::string).and_then(|name| Revision::find(&name));
            theirs.is_some_and(|theirs| {
                theirs.tasks == revision.tasks && bridge::capabilities::offers_tasks(initialize, theirs)
            })
        })
    }

    /// What is added to our capabilities if any server offers tasks to clients of this revision: members, with a comma
    /// before them. Listing them all is not offered: they are of different servers.
    pub(super) fn task_capabilities(&self, revision: &Revision) -> &'static str {
        match revision.tasks {
            Tasks::Core if self.offers_tasks(revision) => {
                r#","tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}"#
            }
            Tasks::Extension if self.offers_tasks(revision) => {
                r#","extensions":{"io.modelcontextprotocol/tasks":{}}"#
            }
            Tasks::Core | Tasks::Extension | Tasks::None => "",
        }
    }
}
