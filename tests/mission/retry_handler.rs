//! `RetryHandler`: so many attempts, with pauses that grow exponentially.

use std::time::Duration;

use serde_json::json;

use super::world::{Act, Mock, World};

const KEYS: &str = "retry: { max_attempts: 4, base_delay: 1s, max_delay: 60s }, effects: { look: read }";

#[tokio::test(start_paused = true)]
async fn retry_handler_waits_up_to_twice_as_long_each_time() {
    let mut total = Duration::ZERO;
    for _ in 0..20 {
        let mock = Mock::new(&["look"], |_| Act::Lose);
        let world = World::of(&mock, KEYS).await;
        let said = world.call("a__look", json!({})).await;
        assert!(said.contains("it was tried 4 times"), "{said}");
        let calls = mock.calls();
        assert_eq!(calls.len(), 4);
        for (attempt, pair) in calls.windows(2).enumerate() {
            // Spread over all of it, so that many who failed together do not come back together.
            let (pause, longest) = (pair[1].at - pair[0].at, Duration::from_secs(1 << attempt));
            assert!(pause <= longest + Duration::from_millis(5), "{attempt}: {pause:?}");
            total += pause;
        }
    }
    // On average half of 1 + 2 + 4 seconds each time.
    assert!(total > Duration::from_secs(40) && total < Duration::from_secs(100), "{total:?}");
}

#[tokio::test(start_paused = true)]
async fn retry_handler_stops_as_soon_as_it_goes_well_and_repeats_only_what_may_be_repeated() {
    let left = std::sync::atomic::AtomicU32::new(2);
    let mock = Mock::new(&["look", "buy"], move |call| {
        let fails = left.fetch_update(
            std::sync::atomic::Ordering::Relaxed,
            std::sync::atomic::Ordering::Relaxed,
            |left| left.checked_sub(1),
        );
        match call.tool == "buy" || fails.is_ok() {
            true => Act::Lose,
            false => Act::Say("seen".to_owned()),
        }
    });
    let world = World::of(&mock, KEYS).await;
    assert_eq!(world.call("a__look", json!({})).await, "seen");
    assert_eq!(mock.calls().len(), 3);
    // Whether it was bought is not known, so it is not tried again.
    let said = world.call("a__buy", json!({})).await;
    assert!(said.contains("unknown"), "{said}");
    assert_eq!(mock.calls().len(), 4);
}
