//! Refuses calls that come too often, by the generic cell rate algorithm: calls have a place each on a line of even steps, and
//! one that comes too far before its place is refused. It keeps one instant per limit, whatever the traffic.

use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ahash::HashMap;
use tokio::time::Instant;

use super::{BoxFuture, Next, Outcome, Request, Stage, show_wait};
use crate::backend::show_duration;
use crate::config::{Each, RateLimit as Rules};
use crate::failure::{Code, Failure};
use crate::names::{OriginalName, ServerName};
use crate::protocol::Method;

/// From so many limits on, those that nobody has used of late are forgotten. Clients choose the URIs that they read.
const MANY: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct RateLimit {
    server: ServerName,
    rules: Rules,
    pace: Pace,
    /// The place of the next call, by what has a limit of its own.
    next: Mutex<HashMap<Key, Instant>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Server,
    Item(Method, OriginalName),
    Client(Option<Arc<str>>),
}

/// How places follow each other.
#[derive(Clone, Copy, Debug)]
struct Pace {
    step: Duration,
    /// How far before its place a call may come.
    early: Duration,
}

impl Pace {
    fn new(rules: &Rules) -> Self {
        let nanos = |nanos: u128| Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let step = rules.per.as_nanos() / u128::from(rules.calls.max(1));
        Self { step: nanos(step), early: nanos(step.saturating_mul(u128::from(rules.burst))) }
    }

    /// The place of the call after this one.
    ///
    /// # Errors
    /// The call comes too early: by how much.
    fn admit(self, place: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let place = place.map_or(now, |place| place.max(now));
        match (place - now).checked_sub(self.early).filter(|wait| !wait.is_zero()) {
            Some(wait) => Err(wait),
            None => Ok(place + self.step),
        }
    }
}

impl RateLimit {
    pub(super) fn new(server: ServerName, rules: Rules) -> Self {
        Self { server, rules, pace: Pace::new(&rules), next: Mutex::default() }
    }

    fn admit(&self, request: &Request, now: Instant) -> Result<(), Failure> {
        let key = match self.rules.each {
            Each::Server => Key::Server,
            Each::Tool => Key::Item(request.call.method, request.call.label.clone()),
            Each::Client => Key::Client(request.call.caller.principal()),
        };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.len() >= MANY {
            // One whose next place has come is as good as one that was never used.
            next.retain(|_, place| *place > now);
        }
        match next.entry(key) {
            Entry::Occupied(mut entry) => {
                let place = self.pace.admit(Some(*entry.get()), now);
                *entry.get_mut() = place.map_err(|wait| self.refusal(request, wait))?;
            }
            Entry::Vacant(entry) => {
                let place = self.pace.admit(None, now).map_err(|wait| self.refusal(request, wait))?;
                entry.insert(place);
            }
        }
        Ok(())
    }

    fn refusal(&self, request: &Request, wait: Duration) -> Failure {
        let Rules { calls, per, each, .. } = self.rules;
        let whom = match each {
            Each::Server => "",
            Each::Tool => " of each tool",
            Each::Client => " of each client",
        };
        let cause = format!(
            "`{}` is one call too many: {calls}{whom} are allowed per {} (`rate_limit`)",
            request.call.label,
            show_duration(per)
        );
        let failure = Failure::new(Code::LimitRate, cause).of(&self.server).not_run().retry_after(Some(wait));
        failure.remedy(format!("It did not run; call again in {}", show_wait(wait)))
    }
}

impl Stage for RateLimit {
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        match self.admit(&request, Instant::now()) {
            Ok(()) => next.run(request),
            Err(failure) => Box::pin(std::future::ready(Outcome::Failed(failure))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::advance;

    use super::*;
    use crate::pipeline::testing::{Script, failed, request, request_for, server};

    fn rules(calls: u64, burst: u64, each: Each) -> Rules {
        Rules { calls, per: Duration::from_secs(10), burst, each }
    }

    async fn is_refused(stage: &RateLimit, request: Box<Request>) -> Option<Failure> {
        let script = Script::answers();
        match stage.around(request, Next::new(&[], &script)).await {
            Outcome::Failed(failure) => Some(failure),
            Outcome::Reply { .. } => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_too_often_is_told_when_to_come() {
        let stage = RateLimit::new(server(), rules(10, 2, Each::Server));
        for _ in 0..3 {
            assert_eq!(is_refused(&stage, request("look")).await, None);
        }
        advance(Duration::from_millis(400)).await;
        let failure = is_refused(&stage, request("look")).await.expect("one too many");
        assert_eq!((failure.code, failure.ran), (Code::LimitRate, crate::effect::Ran::No));
        assert_eq!(failure.retry_after, Some(Duration::from_millis(600)));
        assert!(failure.to_string().contains("call again in 600ms"), "{failure}");
        // A refusal costs nothing.
        advance(Duration::from_millis(600)).await;
        assert_eq!(is_refused(&stage, request("look")).await, None);
        assert!(is_refused(&stage, request("look")).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn tools_and_clients_may_have_limits_of_their_own() {
        let stage = RateLimit::new(server(), rules(1, 0, Each::Tool));
        assert_eq!(is_refused(&stage, request("a")).await, None);
        assert_eq!(is_refused(&stage, request("b")).await, None);
        assert!(is_refused(&stage, request("a")).await.is_some());
        let stage = RateLimit::new(server(), rules(1, 0, Each::Client));
        assert_eq!(is_refused(&stage, request_for(Some("ann"))).await, None);
        assert_eq!(is_refused(&stage, request_for(Some("bob"))).await, None);
        assert_eq!(is_refused(&stage, request_for(None)).await, None);
        assert!(is_refused(&stage, request_for(None)).await.is_some());
        assert!(is_refused(&stage, request_for(Some("ann"))).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_uses_is_forgotten() {
        let stage = RateLimit::new(server(), rules(10, 0, Each::Tool));
        for name in 0..MANY + 10 {
            assert_eq!(is_refused(&stage, request(&name.to_string())).await, None);
        }
        advance(Duration::from_secs(1)).await;
        assert_eq!(is_refused(&stage, request("one more")).await, None);
        assert_eq!(stage.next.lock().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_behind_it_is_passed_on() {
        let stage = RateLimit::new(server(), rules(1, 0, Each::Server));
        let script = Script::of([failed(Code::CallTimeout)]);
        let outcome = stage.around(request("a"), Next::new(&[], &script)).await;
        assert!(matches!(outcome, Outcome::Failed(Failure { code: Code::CallTimeout, .. })));
    }

    proptest! {
        /// However calls come, no span of time sees more than its share and the burst.
        #[test]
        fn no_more_than_allowed(
            calls in 1u64..50, burst in 0u64..20, gaps in proptest::collection::vec(0u64..2_000, 1..200),
        ) {
            let pace = Pace::new(&rules(calls, burst, Each::Server));
            let start = Instant::now();
            let (mut now, mut place, mut passed) = (start, None, 0u64);
            for gap in gaps {
                now += Duration::from_millis(gap);
                match pace.admit(place, now) {
                    Ok(next) => (place, passed) = (Some(next), passed + 1),
                    Err(wait) => {
                        prop_assert!(wait <= pace.step);
                        prop_assert!(pace.admit(place, now + wait).is_ok());
                    }
                }
                let share = (now - start).as_nanos() / pace.step.as_nanos();
                prop_assert!(u128::from(passed) <= share + u128::from(burst) + 1);
            }
        }
    }
}
