//! What is measured of the stages together, on a clock that does not wait: an outage of one of three replicas, and a million keys in
//! the cache. `cargo test --release --test mission measures -- --include-ignored --nocapture` prints the numbers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::world::{Act, Mock, World};

/// So often somebody calls, for so long; in between one of three instances loses every call, after a moment.
const EVERY: Duration = Duration::from_millis(20);
const WHOLE: Duration = Duration::from_secs(90);
const FROM: Duration = Duration::from_secs(10);
const TO: Duration = Duration::from_secs(40);

/// What an outage has cost.
#[derive(Debug)]
struct Cost {
    /// The part of the calls that went well.
    success: f64,
    /// The same in the worst second.
    worst: f64,
    /// Attempts per call, while it lasted.
    amplification: f64,
    /// From its end until the instance had its share again.
    recovery: Option<Duration>,
}

async fn outage(keys: &str) -> Cost {
    let begun = Instant::now();
    let is_out = move |call: &super::world::Called| {
        let since = call.at - begun;
        call.instance == 2 && since >= FROM && since < TO
    };
    let mock = Mock::new(&["look"], move |call| match is_out(call) {
        true => Act::Lose,
        false => Act::Later(Duration::from_millis(5), "seen".to_owned()),
    });
    let world = Arc::new(World::of(&mock, &format!("replicas: 3, effects: {{ look: read }}, {keys}")).await);
    let mut calls = JoinSet::new();
    let count = (WHOLE.as_millis() / EVERY.as_millis()) as u32;
    for number in 0..count {
        sleep_until(begun + EVERY * number).await;
        let world = Arc::clone(&world);
        calls.spawn(async move {
            let at = Instant::now() - begun;
            (at, world.result("a__look", json!({})).await["isError"] != true)
        });
    }
    let ended: Vec<(Duration, bool)> = calls.join_all().await;
    let good = |from: Duration, to: Duration| {
        let of: Vec<bool> =
            ended.iter().filter(|(at, _)| *at >= from && *at < to).map(|(_, well)| *well).collect();
        of.iter().filter(|well| **well).count() as f64 / of.len().max(1) as f64
    };
    let second = |number: u64| (Duration::from_secs(number), Duration::from_secs(number + 1));
    let attempts = mock.calls();
    let during = |at: Duration| at >= FROM && at < TO;
    let asked = ended.iter().filter(|(at, _)| during(*at)).count() as f64;
    let sent = attempts.iter().filter(|call| during(call.at - begun)).count() as f64;
    let share = |number: u64| {
        let (from, to) = second(number);
        let of = attempts.iter().filter(|call| call.at - begun >= from && call.at - begun < to);
        let (mut all, mut its) = (0, 0);
        of.for_each(|call| {
            all += 1;
            its += u32::from(call.instance == 2);
        });
        f64::from(its) / f64::from(all.max(1))
    };
    let back = (TO.as_secs()..WHOLE.as_secs()).find(|number| share(*number) > 0.25);
    Cost {
        success: good(Duration::ZERO, WHOLE),
        worst: (0..WHOLE.as_secs())
            .map(|number| good(second(number).0, second(number).1))
            .fold(1.0, f64::min),
        amplification: sent / asked,
        recovery: back.map(|number| Duration::from_secs(number + 1) - TO),
    }
}

#[tokio::test(start_paused = true)]
async fn outage_of_one_of_three_replicas() {
    let retry = "retry: { max_attempts: 3, base_delay: 50ms }";
    let breaker = "breaker: { failure_threshold: 5, recovery_timeout: 5s }";
    let mut costs = Vec::new();
    for keys in
        ["balance: round_robin", "balance: health_based", retry, breaker, &format!("{retry}, {breaker}")]
    {
        let cost = outage(keys).await;
        println!(
            "{keys:<90} success {:.4}, worst second {:.2}, attempts per call {:.3}, recovery {:?}",
            cost.success, cost.worst, cost.amplification, cost.recovery
        );
        costs.push(cost);
    }
    let [bare, _, retried, _, both] = &costs[..] else { panic!("{costs:?}") };
    // Without any stage a third of the calls is lost while it lasts; all stages together lose nearly none.
    assert!(bare.success < 0.95 && bare.amplification <= 1.0, "{bare:?}");
    assert!(both.success > 0.995 && both.amplification < 1.05, "{both:?}");
    // The budget of repetitions holds, however long it lasts.
    assert!(retried.amplification < 1.15, "{retried:?}");
    // The rest of the breaker has grown meanwhile, to forty seconds at most.
    assert!(both.recovery.is_some_and(|recovery| recovery <= Duration::from_secs(45)), "{both:?}");
}

/// Resident memory, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// How many keys are asked for, and what the cache may hold, in MiB. A million calls take minutes in an unoptimised build; so many
/// are still twice what the smaller cache holds.
const KEYS: u32 = if cfg!(debug_assertions) { 12_500 } else { 1_000_000 };
const CACHE: u64 = if cfg!(debug_assertions) { 4 } else { 16 };

#[tokio::test]
async fn distinct_keys_stay_within_the_bytes_of_the_cache() {
    let mock = Mock::forgetful("look", "x".repeat(500));
    let keys = format!("effects: {{ look: read }}, cache: {{ ttl: 1h, max_bytes: {CACHE}MiB }}");
    let world = World::of(&mock, &keys).await;
    let (before, mut most) = (resident(), 0);
    for number in 0..KEYS {
        world.result("a__look", json!({ "n": number })).await;
        if number % (KEYS / 20) == 0 {
            most = most.max(resident());
        }
    }
    sleep(Duration::from_millis(100)).await;
    most = most.max(resident());
    let grown = most.saturating_sub(before);
    println!("{} MiB before, {} MiB more at most", before >> 20, grown >> 20);
    // So many for answers, as many again for what holds them, and some for everything else.
    assert!(grown < (2 * CACHE + 16) << 20, "{grown} bytes");
    // It still works. What is seldom wanted does not push out what is kept; what is asked for again and again comes in.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while world.result("a__look", json!({ "n": KEYS })).await["_meta"]["switchboard/cache"]["hit"] != true {
        assert!(std::time::Instant::now() < deadline, "a key that is asked for all the time is not kept");
        sleep(Duration::from_millis(10)).await;
    }
}
