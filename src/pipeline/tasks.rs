//! Tasks of servers that are handed on: what is told of one is looked at like the answer to the call that it has come of. For that
//! somebody must remember which call that was; the task has only its own name.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use memchr::memmem::Finder;

use super::{Bottom, BoxFuture, Next, Outcome, Request, Stage};
use crate::bridge::capabilities::takes_tasks;
use crate::bridge::tasks;
use crate::call::Call;
use crate::failure::{Code, Failure};
use crate::names::ExposedName;
use crate::protocol::Method;
use crate::wire::Body;

/// So many are remembered; then the oldest go.
const MOST: usize = 10_000;

/// Which tools the tasks of a server are of, by the server's ids.
#[derive(Default)]
pub(super) struct Origins(Mutex<Known>);

#[derive(Default)]
struct Known {
    tools: HashMap<Box<str>, (ExposedName, Bytes)>,
    /// The oldest first.
    order: VecDeque<Box<str>>,
}

impl Origins {
    fn find(&self, id: &str) -> Option<(ExposedName, Bytes)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tools.get(id).cloned()
    }

    fn note(&self, id: &str, tool: (ExposedName, Bytes)) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.tools.insert(id.into(), tool).is_none() {
            known.order.push_back(id.into());
        }
        if known.order.len() > MOST
            && let Some(oldest) = known.order.pop_front()
        {
            known.tools.remove(&oldest);
        }
    }
}

/// The stage in front of those that look at results: it notes which call becomes which task, and tells them of which tool the
/// task is that a request is about.
#[derive(Debug)]
pub(super) struct Recall {
    origins: Arc<Origins>,
}

impl Recall {
    pub(super) fn new(origins: Arc<Origins>) -> Self {
        Self { origins }
    }

    async fn run(&self, request: Box<Request>, next: Next<'_>) -> Outcome {
        let tool = (request.exposed.clone(), request.definition.clone());
        let outcome = next.run(request).await;
        if let Outcome::Reply { line, body: Body::Result(span), .. } = &outcome
            && let Ok(task) = tasks::read(span.of(line))
        {
            self.origins.note(&task.id, tool);
        }
        outcome
    }
}

impl Stage for Recall {
    fn around<'a>(&'a self, mut request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        match request.call.method {
            Method::ToolsCall if may_become_task(&request.call) => Box::pin(self.run(request, next)),
            Method::Task(_) => {
                if let Some((exposed, definition)) = self.origins.find(request.call.label.as_str()) {
                    request.exposed = exposed;
                    request.definition = definition;
                }
                next.run(request)
            }
            _ => next.run(request),
        }
    }
}

/// Whether the server may hand a task to the client: a legacy one says so with each call, a modern one once and for all.
fn may_become_task(call: &Call) -> bool {
    static WORD: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"task"));
    let params = call.params.map(|span| span.of(&call.line)).unwrap_or_default();
    WORD.find(params).is_some() || takes_tasks(&call.caller.introduction().capabilities)
}

/// A server that has said already what it is asked.
pub(super) struct Told(pub(super) Mutex<Option<Outcome>>);

impl Bottom for Told {
    fn send(&self, request: Box<Request>) -> BoxFuture<'_, Outcome> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(std::future::ready(told.unwrap_or_else(|| {
            let cause = format!("`{}` was told of once", request.call.label);
            Outcome::Failed(Failure::new(Code::CallUnavailable, cause))
        })))
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Origins").field("tasks", &known.order.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let origins = Origins::default();
        for number in 0..=MOST {
            origins.note(&format!("t{number}"), ("tool".into(), Bytes::from_static(b"{}")));
        }
        origins.note("t1", ("other".into(), Bytes::new()));
        assert_eq!(origins.find("t0"), None);
        assert_eq!(origins.find("t1").map(|(name, _)| name), Some("other".into()));
        assert_eq!(origins.0.lock().unwrap().order.len(), MOST);
    }
}
