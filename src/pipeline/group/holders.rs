//! Which instance has what belongs to one alone: tasks, and calls that wait for their client between two rounds.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bridge;
use crate::call::Call;
use crate::pipeline::Outcome;
use crate::protocol::Method;
use crate::wire::{Body, json};

/// So many are kept; then the oldest go.
const MOST: usize = 10_000;

/// Where a call has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Wherever there is room.
    Anywhere,
    /// Best to this one, which knows of it; another one may know enough from what the call says.
    Rather(usize),
    /// To this one and no other.
    Only(usize),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Holders {
    hasher: ahash::RandomState,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    instances: HashMap<Key, usize>,
    order: VecDeque<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// The server's id of a task.
    Task(Box<str>),
    /// A `requestState` of the server, by its hash: it may be long.
    State(u64),
}

impl Holders {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self, raw: &[u8]) -> Key {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(raw);
        Key::State(hasher.finish())
    }

    /// The instance that has this task; the first one if nobody knows.
    pub(super) fn of_task(&self, id: &str) -> usize {
        self.known().instances.get(&Key::Task(id.into())).copied().unwrap_or(0)
    }

    /// Where a call has to go.
    pub(super) fn place(&self, call: &Call) -> Place {
        match call.method {
            Method::Task(_) => Place::Only(self.of_task(call.label.as_str())),
            Method::Subscribe | Method::Unsubscribe | Method::SetLevel => Place::Only(0),
            method if bridge::result::may_need_input(method) => {
                let params = call.params.map(|span| span.of(&call.line)).unwrap_or_default();
                let Some(state) = json::get(params, "requestState") else { return Place::Anywhere };
                let found = self.known().instances.get(&self.state(state.of(params))).copied();
                found.map_or(Place::Anywhere, Place::Rather)
            }
            _ => Place::Anywhere,
        }
    }

    /// Notes what an instance has begun with its answer.
    pub(super) fn learn(&self, call: &Call, outcome: &Outcome, instance: usize) {
        let Outcome::Reply { line, body: Body::Result(span), .. } = outcome else { return };
        if !bridge::result::may_need_input(call.method) {
            return;
        }
        let result = span.of(line);
        let kind = json::get(result, "resultType").map(|span| span.of(result));
        let key = match kind {
            Some(br#""input_required""#) => {
                json::get(result, "requestState").map(|state| self.state(state.of(result)))
            }
            Some(br#""task""#) => task(result),
            _ if bridge::tasks::is_created(result) => task(result),
            _ => None,
        };
        let Some(key) = key else { return };
        let mut known = self.known();
        if known.instances.insert(key.clone(), instance).is_none() {
            known.order.push_back(key);
        }
        if known.order.len() > MOST
            && let Some(oldest) = known.order.pop_front()
        {
            known.instances.remove(&oldest);
        }
    }
}

fn task(result: &[u8]) -> Option<Key> {
    bridge::tasks::read(result).ok().map(|task| Key::Task(task.id.into()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::pipeline::testing::{Client, call};
    use crate::protocol::{Revision, TaskMethod};
    use crate::wire::Span;

    fn with_params(params: &str) -> Call {
        let line = Bytes::copy_from_slice(params.as_bytes());
        let whole = Span { start: 0, end: line.len() };
        Call { params: Some(whole), line, ..call(&Client::new(None), "look") }
    }

    fn reply(result: &str) -> Outcome {
        let line = Bytes::copy_from_slice(result.as_bytes());
        let body = Body::Result(Span { start: 0, end: line.len() });
        Outcome::Reply { line, body, revision: Revision::newest_modern() }
    }

    #[test]
    fn what_belongs_to_one_instance_goes_there() {
        let (holders, call) = (Holders::default(), with_params("{}"));
        assert_eq!(holders.place(&call), Place::Anywhere);
        holders.learn(&call, &reply(r#"{"task":{"taskId":"t1","status":"working"}}"#), 2);
        holders.learn(&call, &reply(r#"{"resultType":"task","taskId":"t2","status":"working"}"#), 1);
        holders.learn(&call, &reply(r#"{"resultType":"input_required","requestState":"s"}"#), 2);
        holders.learn(&call, &reply(r#"{"requestState":"other","content":[]}"#), 2);
        let about =
            |id: &str| Call { method: Method::Task(TaskMethod::Get), label: id.into(), ..with_params("{}") };
        for (id, instance) in [("t1", 2), ("t2", 1), ("t3", 0)] {
            assert_eq!(holders.place(&about(id)), Place::Only(instance), "{id}");
        }
        assert_eq!(holders.place(&with_params(r#"{"requestState":"s"}"#)), Place::Rather(2));
        assert_eq!(holders.place(&with_params(r#"{"requestState":"other"}"#)), Place::Anywhere);
        let subscribe = Call { method: Method::Subscribe, ..with_params("{}") };
        assert_eq!(holders.place(&subscribe), Place::Only(0));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let (holders, call) = (Holders::default(), with_params("{}"));
        for number in 0..=MOST {
            let created = format!(r#"{{"task":{{"taskId":"t{number}","status":"working"}}}}"#);
            holders.learn(&call, &reply(&created), 1);
        }
        assert_eq!((holders.of_task("t0"), holders.of_task("t1")), (0, 1));
        assert_eq!(holders.known().instances.len(), MOST);
    }
}
