//! All stages together, over many schedules of faults.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use proptest::prelude::*;

use super::breaker::Breaker;
use super::cache::Cache;
use super::concurrency::Concurrency;
use super::rate_limit::RateLimit;
use super::retry::Retry;
use super::testing::{failed, reply, request, server};
use super::*;
use crate::config;
use crate::effect::Ran;
use crate::failure::Code;

/// What becomes of one attempt at the server.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    /// It fails, and is known not to have run.
    NotWritten,
    /// It fails when it may have run.
    Lost,
    /// The server says so late that the client may have given up.
    Late,
    /// The server wants to be left alone; nothing ran.
    Busy,
}

/// A server that counts what it has begun.
struct Faulty {
    fates: Vec<Fate>,
    attempts: AtomicUsize,
    begun: AtomicUsize,
}

impl Bottom for Faulty {
    fn send(&self, _: Box<Request>) -> BoxFuture<'_, Outcome> {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        let fate = self.fates.get(attempt).copied().unwrap_or(Fate::Answered);
        Box::pin(async move {
            let not_run = |code| Outcome::Failed(Failure::new(code, "scripted").not_run());
            if matches!(fate, Fate::Answered | Fate::Lost | Fate::Late) {
                self.begun.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            match fate {
                Fate::Answered => reply(),
                Fate::NotWritten => not_run(Code::NetUnreachable),
                Fate::Lost => failed(Code::CallOutcomeUnknown),
                Fate::Late => {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    reply()
                }
                Fate::Busy => match not_run(Code::NetStatus) {
                    Outcome::Failed(failure) => {
                        Outcome::Failed(failure.retry_after(Some(Duration::from_millis(100))))
                    }
                    reply => reply,
                },
            }
        })
    }
}

fn stages() -> Vec<Arc<dyn Stage>> {
    let millis = Duration::from_millis;
    let rate = config::RateLimit { calls: 100, per: millis(1000), burst: 20, each: config::Each::Server };
    let retry = config::Retry { max_attempts: 4, base_delay: millis(10), max_delay: millis(50) };
    let concurrency = config::Concurrency { max: 3, queue: 10, wait: millis(500) };
    let breaker = config::BreakerRules { failure_threshold: 4, recovery_timeout: millis(200) };
    vec![
        Arc::new(RateLimit::new(server(), rate)),
        Arc::new(Cache::new(server(), config::CacheRules::default(), Arc::default())),
        Arc::new(Retry::new(server(), retry)),
        Arc::new(Concurrency::new(server(), concurrency)),
        Arc::new(Breaker::new(server(), breaker)),
    ]
}

/// One call: when it comes, what it does, what becomes of its attempts, and whether its client waits for the end.
type Planned = (u64, Effect, Vec<Fate>, bool);

fn planned() -> impl Strategy<Value = Planned> {
    use Fate::{Answered, Busy, Late, Lost, NotWritten};
    let fate = prop::sample::select(vec![Answered, NotWritten, NotWritten, Lost, Lost, Late, Busy]);
    let effect = prop::sample::select(Effect::ALL.to_vec());
    (0u64..500, effect, proptest::collection::vec(fate, 0..5), prop::bool::weighted(0.9))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What must not run twice is begun at most once; every call has an end, and says honestly whether it may have run.
    #[test]
    fn nothing_runs_twice_that_must_not(plan in proptest::collection::vec(planned(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let ends = runtime.block_on(async {
            let stages = &stages();
            let calls = plan.into_iter().enumerate().map(|(place, (at, effect, fates, waits))| async move {
                tokio::time::sleep(Duration::from_millis(at)).await;
                let server = Faulty { fates, attempts: AtomicUsize::new(0), begun: AtomicUsize::new(0) };
                // No two want the same, so that nobody is answered by what another one has begun.
                let request = Box::new(Request { effect, ..*request(&place.to_string()) });
                let patience = Duration::from_millis(if waits { 60_000 } else { 30 });
                let outcome =
                    tokio::time::timeout(patience, Next::new(stages, &server).run(request)).await.ok();
                (effect, waits, outcome, server.begun.into_inner(), server.attempts.into_inner())
            });
            join_all(calls).await
        });
        for (effect, waits, outcome, begun, attempts) in ends {
            prop_assert!(attempts <= 4);
            prop_assert!(outcome.is_some() || !waits, "a call without an end");
            if matches!(effect, Effect::Unknown | Effect::Destructive) {
                prop_assert!(begun <= 1, "begun {begun} times");
            }
            match outcome {
                Some(Outcome::Reply { .. }) => prop_assert!(begun >= 1),
                Some(Outcome::Failed(failure)) => prop_assert_eq!(failure.ran == Ran::No, begun == 0),
                None => {}
            }
        }
    }
}

#[test]
fn the_time_to_wait_is_never_shown_too_short() {
    assert_eq!(show_wait(Duration::from_nanos(1)), "1ms");
    assert_eq!(show_wait(Duration::from_millis(1001)), "1.1s");
    assert_eq!(show_wait(Duration::from_secs(3)), "3s");
}
