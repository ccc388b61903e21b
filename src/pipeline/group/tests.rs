use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;

use super::*;
use crate::config::Retry as RetryRules;
use crate::effect::Effect;
use crate::pipeline::retry::Retry;
use crate::pipeline::testing::{failed, reply, request, server};
use crate::pipeline::{Next, Stage};

/// What becomes of one attempt at an instance.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    /// It fails, and is known not to have run.
    NotWritten,
    /// It fails when it may have run.
    Lost,
    /// The instance wants to be left alone; nothing ran.
    Busy,
}

/// An instance that counts what it has begun, call by call: `label` is the number of the call.
struct Fake {
    standing: Mutex<Standing>,
    /// What becomes of its attempts, one after the other, and how long that takes; then all are answered.
    fates: Mutex<std::collections::VecDeque<(Fate, u64)>>,
    /// How the instance stands after so many attempts.
    turns: Vec<(usize, Standing)>,
    attempts: AtomicUsize,
    begun: Mutex<Vec<String>>,
    woken: AtomicUsize,
}

impl Fake {
    fn new(fates: &[(Fate, u64)], turns: &[(usize, Standing)]) -> Arc<Self> {
        Arc::new(Self {
            standing: Mutex::new(Standing::Ready(1)),
            fates: Mutex::new(fates.iter().copied().collect()),
            turns: turns.to_vec(),
            attempts: AtomicUsize::new(0),
            begun: Mutex::default(),
            woken: AtomicUsize::new(0),
        })
    }

    fn well() -> Arc<Self> {
        Self::new(&[], &[])
    }

    fn stands(&self, standing: Standing) {
        *lock(&self.standing) = standing;
    }

    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }
}

impl Replica for Fake {
    fn standing(&self, _: Instant) -> Standing {
        *lock(&self.standing)
    }

    fn wake(&self) {
        self.woken.fetch_add(1, Ordering::Relaxed);
    }

    fn handshake(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    fn take(&self, request: Box<Request>, _: &Road) -> impl Future<Output = Outcome> + Send {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((_, standing)) = self.turns.iter().rev().find(|(at, _)| *at == attempt) {
            self.stands(*standing);
        }
        let (fate, takes) = lock(&self.fates).pop_front().unwrap_or((Fate::Answered, 10));
        let not_run = |code| Failure::new(code, "a scripted failure").not_run();
        if matches!(fate, Fate::Answered | Fate::Lost) {
            lock(&self.begun).push(request.call.label.to_string());
        }
        async move {
            tokio::time::sleep(Duration::from_millis(takes)).await;
            match fate {
                Fate::Answered => reply(),
                Fate::Lost => failed(Code::CallOutcomeUnknown),
                Fate::NotWritten => Outcome::Failed(not_run(Code::NetUnreachable)),
                Fate::Busy => {
                    let pause = Some(Duration::from_millis(100));
                    Outcome::Failed(not_run(Code::NetStatus).retry_after(pause))
                }
            }
        }
    }
}

fn group(fakes: &[Arc<Fake>], breaker: Option<BreakerRules>) -> Arc<Group<Fake>> {
    Arc::new(Group::new(&server(), fakes.iter().cloned(), breaker, None, Balance::RoundRobin))
}

async fn call(group: &Arc<Group<Fake>>, effect: Effect) -> Outcome {
    let destination = Destination::new(Arc::clone(group), Weak::new());
    destination.send(Box::new(Request { effect, ..*request("look") })).await
}

fn attempts(fakes: &[Arc<Fake>]) -> Vec<usize> {
    fakes.iter().map(|fake| fake.attempts()).collect()
}

#[tokio::test(start_paused = true)]
async fn calls_are_spread_and_an_instance_that_is_away_gets_none_until_it_is_back() {
    let fakes = [Fake::well(), Fake::well(), Fake::well()];
    let group = group(&fakes, None);
    for (standing, expected) in [
        (Standing::Ready(1), [4, 4, 4]),
        (Standing::Fallen, [6, 4, 6]),
        (Standing::Out { is_due: false }, [8, 4, 8]),
        (Standing::Starting, [10, 4, 10]),
        (Standing::Ready(2), [11, 7, 11]),
    ] {
        fakes[1].stands(standing);
        let calls = if standing == Standing::Ready(1) { 12 } else { 4 };
        let calls = if standing == Standing::Ready(2) { 5 } else { calls };
        for _ in 0..calls {
            assert!(matches!(call(&group, Effect::Unknown).await, Outcome::Reply { .. }));
        }
        let spread = attempts(&fakes);
        match standing {
            // It is the one that has waited longest, once; then all take turns again.
            Standing::Ready(2) => assert_eq!(spread.iter().sum::<usize>(), 29),
            _ => assert_eq!(spread, expected, "{standing:?}"),
        }
    }
    assert!(fakes[1].attempts() <= 7, "{:?}", attempts(&fakes));
}

#[tokio::test(start_paused = true)]
async fn those_that_sleep_are_woken_while_others_do_the_work() {
    let fakes = [Fake::well(), Fake::well(), Fake::well()];
    fakes[1].stands(Standing::Asleep);
    fakes[2].stands(Standing::Out { is_due: true });
    let group = group(&fakes, None);
    call(&group, Effect::Unknown).await;
    assert_eq!(attempts(&fakes), [1, 0, 0]);
    let woken = fakes.each_ref().map(|fake| fake.woken.load(Ordering::Relaxed));
    assert_eq!(woken, [0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_did_not_run_goes_on_at_once_and_what_may_have_run_does_not() {
    use Fate::{Lost, NotWritten};
    for effect in Effect::ALL {
        let fakes = [Fake::new(&[(NotWritten, 0)], &[]), Fake::new(&[(NotWritten, 0)], &[]), Fake::well()];
        assert!(matches!(call(&group(&fakes, None), effect).await, Outcome::Reply { .. }), "{effect:?}");
        assert_eq!(attempts(&fakes), [1, 1, 1]);
        let fakes = [Fake::new(&[(Lost, 0)], &[]), Fake::well()];
        let Outcome::Failed(failure) = call(&group(&fakes, None), effect).await else { panic!("{effect:?}") };
        assert_eq!((failure.code, failure.ran), (Code::CallOutcomeUnknown, Ran::Unknown));
        assert!(failure.cause.starts_with("instance 1 of 2: "), "{failure}");
        assert_eq!(attempts(&fakes), [1, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_nothing_does_not_cost_every_call_its_time() {
    let fakes = [Fake::new(&[(Fate::NotWritten, 3000); 3], &[]), Fake::well()];
    let group = group(&fakes, None);
    for _ in 0..60 {
        assert!(matches!(call(&group, Effect::Destructive).await, Outcome::Reply { .. }));
    }
    // Sixty calls take less than a second, if they do not go to the first one.
    assert_eq!(attempts(&fakes), [1, 60]);
    tokio::time::advance(Duration::from_secs(10)).await;
    for _ in 0..10 {
        call(&group, Effect::Destructive).await;
    }
    assert_eq!(attempts(&fakes), [2, 70]);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_goes_to_another_instance() {
    let fakes = [Fake::new(&[(Fate::Lost, 0)], &[]), Fake::new(&[(Fate::Lost, 0)], &[]), Fake::well()];
    let group = group(&fakes, None);
    let retry = Retry::new(server(), RetryRules::default());
    let destination = Destination::new(group, Weak::new());
    let read = Box::new(Request { effect: Effect::Read, ..*request("look") });
    let outcome = retry.around(read, Next::new(&[], &destination)).await;
    assert!(matches!(outcome, Outcome::Reply { .. }), "{outcome:?}");
    assert_eq!(attempts(&fakes), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn when_none_can_each_says_why() {
    let fakes = [Fake::new(&[(Fate::NotWritten, 0)], &[]), Fake::new(&[(Fate::Busy, 0)], &[])];
    let Outcome::Failed(failure) = call(&group(&fakes, None), Effect::Read).await else {
        panic!("an answer")
    };
    assert_eq!((failure.code, failure.ran), (Code::CallUnavailable, Ran::No));
    assert_eq!(failure.retry_after, Some(Duration::from_millis(100)));
    let text = failure.to_string();
    assert!(text.contains("instance 1 of 2: a scripted") && text.contains("instance 2 of 2: a"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn each_has_a_breaker_and_only_if_all_are_open_calls_are_refused() {
    let rules = BreakerRules { failure_threshold: 1, recovery_timeout: Duration::from_secs(10) };
    let lost = [(Fate::Lost, 0)];
    let fakes = [Fake::new(&lost, &[]), Fake::new(&lost, &[])];
    let group = group(&fakes, Some(rules));
    call(&group, Effect::Unknown).await;
    for _ in 0..3 {
        call(&group, Effect::Unknown).await;
        assert_eq!(fakes[0].attempts(), 1, "its breaker is open");
        fakes[1].stands(Standing::Ready(1));
    }
    let Outcome::Failed(failure) = call(&group, Effect::Unknown).await else { panic!("an answer") };
    assert_eq!((failure.code, failure.ran), (Code::BreakerOpen, Ran::No));
    assert!(failure.retry_after.is_some_and(|wait| wait <= Duration::from_secs(10)));
    assert_eq!(attempts(&fakes), [1, 1]);
    // The time has come: each is tried once, and is back.
    tokio::time::advance(Duration::from_secs(11)).await;
    for _ in 0..4 {
        assert!(matches!(call(&group, Effect::Unknown).await, Outcome::Reply { .. }));
    }
    assert_eq!(attempts(&fakes), [3, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_one_goes_to_no_other() {
    use crate::protocol::{Method, TaskMethod};
    let fakes = [Fake::well(), Fake::new(&[(Fate::Answered, 0), (Fate::NotWritten, 0)], &[])];
    let group = group(&fakes, None);
    fakes[0].stands(Standing::Starting);
    call(&group, Effect::Unknown).await;
    let about = request("t1");
    let created = br#"{"task":{"taskId":"t1","status":"working"}}"#;
    let line = bytes::Bytes::from_static(created);
    let body = crate::wire::Body::Result(crate::wire::Span { start: 0, end: line.len() });
    let created = Outcome::Reply { line, body, revision: crate::protocol::Revision::newest_legacy() };
    group.holders.learn(&about.call, &created, 1);
    fakes[0].stands(Standing::Ready(1));
    let mut about = about;
    about.call.method = Method::Task(TaskMethod::Get);
    let destination = Destination::new(Arc::clone(&group), Weak::new());
    let Outcome::Failed(failure) = destination.send(about.clone()).await else { panic!("a failure") };
    assert!(failure.cause.starts_with("instance 2 of 2: ") && failure.ran == Ran::No, "{failure}");
    assert!(matches!(destination.send(about).await, Outcome::Reply { .. }));
    assert_eq!(attempts(&fakes), [0, 3]);
}

#[tokio::test(start_paused = true)]
async fn sessions_are_dealt_out() {
    let fakes = [Fake::well(), Fake::well(), Fake::well()];
    fakes[1].stands(Standing::Asleep);
    let group = group(&fakes, None);
    let dealt = |count: usize| (0..count).filter_map(|_| group.deal()).collect::<Vec<usize>>();
    assert_eq!(dealt(4), [0, 1, 2, 0]);
    fakes[2].stands(Standing::Fallen);
    assert_eq!(dealt(2), [1, 0]);
    fakes.iter().for_each(|fake| fake.stands(Standing::Fallen));
    assert_eq!(dealt(1), [2]);
}

/// One call: when it comes and what it does.
type Planned = (u64, Effect);

fn fates() -> impl Strategy<Value = Vec<(Fate, u64)>> {
    use Fate::{Answered, Busy, Lost, NotWritten};
    let fate = prop::sample::select(vec![Answered, Answered, NotWritten, Lost, Busy]);
    proptest::collection::vec((fate, 0u64..200), 0..12)
}

/// How an instance changes its standing with its attempts; it is there in the end.
fn turns() -> impl Strategy<Value = Vec<(usize, Standing)>> {
    let standing = prop::sample::select(vec![
        Standing::Ready(2),
        Standing::Asleep,
        Standing::Starting,
        Standing::Fallen,
        Standing::Out { is_due: false },
        Standing::Out { is_due: true },
        Standing::Over,
    ]);
    proptest::collection::vec((1usize..12, standing), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Over three instances with a schedule of faults each: what must not run twice is begun by one instance, once; every call
    /// gets one answer, and it says honestly whether the call may have run.
    #[test]
    fn nothing_runs_twice_that_must_not(
        scripts in proptest::collection::vec((fates(), turns()), 3),
        plan in proptest::collection::vec((0u64..500, prop::sample::select(Effect::ALL.to_vec())), 1..25),
        with_breaker in any::<bool>(), with_retry in any::<bool>(),
        balance in prop::sample::select(vec![
            Balance::RoundRobin, Balance::LeastLoaded, Balance::HealthBased, Balance::Random,
        ]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let plan: Vec<Planned> = plan;
        let fakes: Vec<Arc<Fake>> = scripts.iter().map(|(fates, turns)| Fake::new(fates, turns)).collect();
        let ends = runtime.block_on(async {
            let rules = BreakerRules { failure_threshold: 2, recovery_timeout: Duration::from_millis(100) };
            let breaker = with_breaker.then_some(rules);
            let group = Arc::new(Group::new(&server(), fakes.iter().cloned(), breaker, None, balance));
            let retry = RetryRules {
                max_attempts: 4,
                base_delay: Duration::from_millis(10),
                max_delay: Duration::from_millis(50),
            };
            let stages: Vec<Arc<dyn Stage>> =
                if with_retry { vec![Arc::new(Retry::new(server(), retry))] } else { Vec::new() };
            let (stages, group) = (&stages, &group);
            let calls = plan.iter().enumerate().map(|(number, (at, effect))| async move {
                tokio::time::sleep(Duration::from_millis(*at)).await;
                let request = Box::new(Request { effect: *effect, ..*request(&number.to_string()) });
                let destination = Destination::new(Arc::clone(group), Weak::new());
                let run = Next::new(stages, &destination).run(request);
                tokio::time::timeout(Duration::from_secs(60), run).await.ok()
            });
            join_all(calls).await
        });
        for (number, (outcome, (_, effect))) in ends.into_iter().zip(plan).enumerate() {
            let label = number.to_string();
            let begun: usize =
                fakes.iter().map(|fake| lock(&fake.begun).iter().filter(|begun| **begun == label).count()).sum();
            if matches!(effect, Effect::Unknown | Effect::Destructive) || !with_retry {
                prop_assert!(begun <= 1, "begun {begun} times");
            }
            match outcome {
                Some(Outcome::Reply { .. }) => prop_assert!(begun >= 1),
                Some(Outcome::Failed(failure)) => prop_assert_eq!(failure.ran == Ran::No, begun == 0),
                None => prop_assert!(false, "a call without an end"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_outlives_other_checks_but_not_those_that_have_opened_it() {
    let breaker = Some(BreakerRules { failure_threshold: 1, ..BreakerRules::default() });
    let checks = |max_failures| Some(HealthCheck { max_failures, ..HealthCheck::default() });
    let stages = |health_check| Stages { breaker, health_check, ..Stages::default() };
    let is_open = |group: &Group<Fake>| group.troubles()[0].is_some();
    let group = || Arc::new(Group::new(&server(), [Fake::well()], breaker, checks(1), Balance::RoundRobin));

    let by_call = group();
    by_call.members()[0].breaker.as_ref().expect("a breaker").trip("a call has failed");
    let after = by_call.again(&stages(checks(1)), &stages(checks(2)));
    assert!(is_open(&after), "the server is what it was");

    let by_check = group();
    let Member { health, breaker, .. } = &by_check.members()[0];
    let failure = Failure::new(Code::CallTimeout, "it did not answer");
    health.as_ref().expect("checks").note(1, Err(failure), breaker.as_deref());
    let same = by_check.again(&stages(checks(1)), &stages(checks(1)));
    assert!(Arc::ptr_eq(&same, &by_check) && is_open(&same));
    let after = by_check.again(&stages(checks(1)), &stages(None));
    assert!(!is_open(&after), "nobody else would close it before its time");
}
