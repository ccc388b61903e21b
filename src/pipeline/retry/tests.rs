use proptest::prelude::*;

use super::*;
use crate::pipeline::testing::{Script, failed, request, server};

const RULES: Rules =
    Rules { max_attempts: 3, base_delay: Duration::from_millis(100), max_delay: Duration::from_millis(150) };

fn not_run(code: Code) -> Outcome {
    Outcome::Failed(Failure::new(code, "a scripted failure").not_run())
}

/// The failure that came out, if one did, and how often the server was called.
async fn run(stage: &Retry, effect: Effect, outcomes: Vec<Outcome>) -> (Option<Failure>, usize) {
    let script = Script::of(outcomes);
    let request = Box::new(Request { effect, ..*request("look") });
    match stage.around(request, Next::new(&[], &script)).await {
        Outcome::Reply { .. } => (None, script.sent()),
        Outcome::Failed(failure) => (Some(failure), script.sent()),
    }
}

fn stage() -> Retry {
    Retry::new(server(), RULES)
}

#[tokio::test(start_paused = true)]
async fn what_may_have_run_is_sent_again_only_if_that_does_no_harm() {
    let lost = || vec![failed(Code::CallOutcomeUnknown)];
    for (effect, times) in
        [(Effect::Read, 2), (Effect::Idempotent, 2), (Effect::Unknown, 1), (Effect::Destructive, 1)]
    {
        let (failure, sent) = run(&stage(), effect, lost()).await;
        assert_eq!((failure.is_none(), sent), (times == 2, times), "{effect:?}");
        let (failure, sent) = run(&stage(), effect, vec![not_run(Code::CallUnavailable)]).await;
        assert_eq!((failure, sent), (None, 2), "{effect:?}: what did not run may always be sent again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_attempt_that_did_not_run_does_not_hide_an_earlier_one_that_may_have() {
    let outcomes = vec![not_run(Code::NetLost), failed(Code::CallOutcomeUnknown)];
    let (failure, sent) = run(&stage(), Effect::Destructive, outcomes).await;
    assert_eq!((failure.map(|failure| failure.ran), sent), (Some(Ran::Unknown), 2));
    let outcomes = vec![failed(Code::CallOutcomeUnknown), not_run(Code::NetLost), not_run(Code::LimitQueue)];
    let (failure, sent) = run(&stage(), Effect::Read, outcomes).await;
    assert_eq!((failure.map(|failure| failure.ran), sent), (Some(Ran::Unknown), 3));
}

#[tokio::test(start_paused = true)]
async fn refusals_of_ours_and_what_nothing_helps_are_not_repeated() {
    for code in [
        Code::LimitRate,
        Code::LimitQueue,
        Code::LimitWait,
        Code::BreakerOpen,
        Code::CallBusy,
        Code::CallShutdown,
        Code::CallTooLarge,
        Code::AuthNeedsLogin,
        Code::BridgeExpired,
        Code::SpawnNotFound,
    ] {
        let (failure, sent) = run(&stage(), Effect::Read, vec![not_run(code)]).await;
        let failure = failure.expect("a failure");
        assert_eq!((failure.code, sent), (code, 1));
        assert_eq!(failure.cause, "a scripted failure");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_end_and_are_told() {
    let (failure, sent) =
        run(&stage(), Effect::Read, (0..9).map(|_| failed(Code::CallTimeout)).collect()).await;
    assert_eq!(sent, 3);
    assert_eq!(failure.expect("a failure").cause, "a scripted failure; it was tried 3 times");
}

#[tokio::test(start_paused = true)]
async fn the_server_may_ask_for_a_longer_pause_but_not_beyond_the_deadline() {
    let busy = |seconds| {
        let failure = Failure::new(Code::NetStatus, "busy").not_run();
        Outcome::Failed(failure.retry_after(Some(Duration::from_secs(seconds))))
    };
    let script = Script::of([busy(7)]);
    stage().around(request("look"), Next::new(&[], &script)).await;
    let times = script.times();
    assert_eq!(times[1] - times[0], Duration::from_secs(7));
    let (failure, sent) = run(&stage(), Effect::Read, vec![busy(3600)]).await;
    let failure = failure.expect("a failure");
    assert_eq!((sent, failure.retry_after), (1, Some(Duration::from_secs(3600))));
    assert!(failure.cause.contains("timeouts.total"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_later_attempt_has_the_time_that_is_left() {
    let script = Script::hangs();
    let request = Box::new(Request { effect: Effect::Read, attempt: 2, ..*request("look") });
    let (begun, deadline) = (Instant::now(), request.deadline);
    let outcome = stage().around(request, Next::new(&[], &script)).await;
    assert!(matches!(outcome, Outcome::Failed(Failure { code: Code::CallTimeout, .. })), "{outcome:?}");
    assert!(begun < deadline && Instant::now() >= deadline);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_multiplied() {
    let (stage, mut sent, mut bounded) = (stage(), 0, 0);
    for _ in 0..1000 {
        let outcomes = (0..3).map(|_| failed(Code::CallTimeout)).collect();
        let (failure, times) = run(&stage, Effect::Read, outcomes).await;
        sent += times;
        bounded += usize::from(failure.expect("a failure").cause.contains("too many calls"));
    }
    assert!((1000..=1000 + 100 + 10).contains(&sent), "{sent}");
    assert!(bounded > 800, "{bounded}");
    // Calls that go well fill it again.
    for _ in 0..10 {
        run(&stage, Effect::Read, vec![]).await;
    }
    assert_eq!(run(&stage, Effect::Read, vec![failed(Code::CallTimeout)]).await, (None, 2));
}

proptest! {
    #[test]
    fn pauses_keep_within_their_bounds(
        attempt in 1u32..100, base in 0u64..100_000, max in 0u64..100_000, wish in proptest::option::of(0u64..100_000),
        left in 0u64..200_000, random in 0.0f64..1.0,
    ) {
        let millis = Duration::from_millis;
        let rules = Rules { max_attempts: 50, base_delay: millis(base), max_delay: millis(max) };
        let failure = Failure::new(Code::CallTimeout, "x").retry_after(wish.map(millis));
        match pause(&rules, Effect::Read, &failure, attempt, millis(left), random) {
            Ok(pause) => {
                let wish = wish.map(millis).unwrap_or_default();
                prop_assert!(pause < millis(left) && pause >= wish && attempt < 50);
                prop_assert!(pause <= wish.max(rules.max_delay));
                prop_assert!(attempt > 1 || pause <= wish.max(rules.base_delay));
            }
            Err(GivenUp::Attempts) => prop_assert!(attempt >= 50),
            Err(why) => prop_assert_eq!(why, GivenUp::Deadline),
        }
    }
}
