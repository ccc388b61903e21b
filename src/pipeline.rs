//! What happens to a call between the frontend and its server: stages, each around the next, as far as the config asks for
//! them.
//!
//! In come [`Call`]s from frontends, through a [`Lane`]; out they go to a [`Backend`](crate::backend::Backend), and what comes back
//! reaches the client's own [`Caller`](crate::call::Caller). A lane without stages hands the call to the backend and does nothing
//! else. A lane with stages sends it on a *journey*, a task of its own. Stages see a call as it is for the server and never
//! which transport it takes; nothing in here looks at a client's ids, and only [`may_repeat`](crate::effect::may_repeat) decides
//! whether a call may be sent again.

mod arguments;
mod audit;
mod breaker;
mod cache;
mod concurrency;
mod group;
mod health;
mod hooks;
mod inline;
mod journey;
mod lane;
mod leg;
mod limit;
mod log;
mod payload;
mod policy;
mod rate_limit;
mod redact;
mod results;
mod retry;
mod tasks;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transform;
mod validate;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::backend::show_duration;
use crate::call::Call;
use crate::effect::Effect;
use crate::failure::Failure;
use crate::names::ExposedName;
use crate::protocol::Revision;
use crate::trace::Trace;
use crate::wire::Body;

pub use audit::Auditor;
pub use cache::CacheTallies;
pub use concurrency::Turns;
pub use health::HealthChecker;
pub(crate) use health::{Means, checker};
pub use journey::Journeys;
pub use lane::{BreakerState, Common, Item, Lane, LaneTallies, ORDER, Trouble};
pub use results::{BadRange, Results};

/// A future behind a pointer, as traits need it that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A call on its way through the stages.
#[derive(Clone, Debug)]
pub struct Request {
    /// The call itself.
    pub call: Call,
    /// The name that the client used, or what stands for it: a resource has its URI.
    pub exposed: ExposedName,
    /// The definition of the tool or prompt that the client sees; empty for anything else.
    pub definition: Bytes,
    /// What it does to the world.
    pub effect: Effect,
    /// Which attempt this is, counted from one.
    pub attempt: u32,
    /// When all attempts together must have come to their end (`timeouts.total`).
    pub deadline: Instant,
    /// Its trace, for spans of attempts.
    pub trace: Option<Arc<Trace>>,
}

/// What became of a call.
#[derive(Debug)]
pub enum Outcome {
    /// The server has answered.
    Reply {
        /// The line that holds the answer.
        line: Bytes,
        /// Where the result or error stands in it.
        body: Body,
        /// The revision in which it is written.
        revision: &'static Revision,
    },
    /// There is no answer of the server.
    Failed(Failure),
}

/// One ring around a call.
///
/// It may let the call pass, before that or afterwards wait, run the rest again, or answer itself. Whoever gives a call up drops
/// the future, in whatever stage it is.
pub trait Stage: Send + Sync + fmt::Debug {
    /// Takes the call to its end; `next` is everything behind this stage.
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome>;
}

/// Where a call leaves the stages.
pub trait Bottom: Send + Sync {
    /// Sends it to the server and waits for the answer. Dropping the future cancels the call there.
    fn send(&self, request: Box<Request>) -> BoxFuture<'_, Outcome>;
}

/// The stages behind another one, and the server.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    stages: &'a [Arc<dyn Stage>],
    bottom: &'a dyn Bottom,
}

impl<'a> Next<'a> {
    /// All stages, the outermost first, in front of `bottom`.
    pub fn new(stages: &'a [Arc<dyn Stage>], bottom: &'a dyn Bottom) -> Self {
        Self { stages, bottom }
    }

    /// Takes the call through the rest.
    pub fn run(self, request: Box<Request>) -> BoxFuture<'a, Outcome> {
        match self.stages.split_first() {
            Some((stage, stages)) => stage.around(request, Next { stages, ..self }),
            None => self.bottom.send(request),
        }
    }
}

/// A time to wait as people read it: rounded up, so that nobody comes too early.
fn show_wait(wait: Duration) -> String {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    let tenths = millis.div_ceil(100) * 100;
    let shown = if millis < 1000 { millis } else { tenths };
    show_duration(Duration::from_millis(u64::try_from(shown).unwrap_or(u64::MAX)))
}
