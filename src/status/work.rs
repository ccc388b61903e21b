//! What a server has to do now, and how quickly it does it.

use std::time::Duration;

use serde_json::{Value, json};

use super::failure_json;
use crate::meter::{Histogram, Kind, LastFailure};
use crate::pipeline::{BreakerState, Lane};
use crate::registry::Registry;
use crate::wire::time::rfc3339;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Calls that the server has, or that wait for it to start.
    pub in_flight: usize,
    /// Calls that wait for their turn.
    pub queued: usize,
    /// The breaker of each instance; none if there are no breakers.
    pub breakers: Vec<BreakerState>,
    /// How long the server took for its answers on average; `None` if there was none.
    pub average: Option<Duration>,
    /// How long the tool calls of clients took, with all that stood in their way; `None` if calls are not counted.
    pub took: Option<Histogram>,
    /// The last call of a client that got no answer, if calls are counted.
    pub last_failure: Option<LastFailure>,
}

impl Work {
    pub(super) fn of(registry: &Registry, lane: &Lane) -> Self {
        let tallies = lane.tallies();
        let (mut answers, mut took) = (0u64, Duration::ZERO);
        for pulse in lane.backends().map(|backend| backend.pulse()) {
            answers += pulse.answers;
            took = took.saturating_add(pulse.took);
        }
        let counts = registry.meters().counts_of(lane.backend().name());
        Self {
            in_flight: lane.backends().map(|backend| backend.open_calls()).sum(),
            queued: tallies.turns.map_or(0, |turns| turns.waiting),
            breakers: tallies.breakers.into_iter().map(|(state, _)| state).collect(),
            average: took.checked_div(u32::try_from(answers).unwrap_or(u32::MAX)),
            took: counts.as_ref().map(|counts| counts.of(Kind::ToolsCall).took),
            last_failure: counts.and_then(|counts| counts.last_failure),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let part = |part| seconds(self.took.and_then(|took| took.quantile(part)));
        let last = self.last_failure.as_ref().map(|last| {
            let mut json = failure_json(Some(&last.failure));
            json["item"] = last.item.as_str().into();
            json["at"] = rfc3339(last.at).into();
            json
        });
        json!({
            "in_flight": self.in_flight,
            "queued": self.queued,
            "breakers": self.breakers.iter().map(|state| state.word()).collect::<Vec<_>>(),
            "avg_response_time": seconds(self.average),
            "p50": part(0.5),
            "p95": part(0.95),
            "last_failure": last,
        })
    }
}

fn seconds(time: Option<Duration>) -> Value {
    time.map(|time| time.as_secs_f64()).into()
}
