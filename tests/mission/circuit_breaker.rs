//! `CircuitBreaker`: closed, open, half-open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::advance;

use super::world::{Act, Mock, World};

#[tokio::test(start_paused = true)]
async fn circuit_breaker_goes_from_closed_to_open_to_half_open_to_closed() {
    let ill = Arc::new(AtomicBool::new(true));
    let is_ill = Arc::clone(&ill);
    let mock = Mock::new(&["look"], move |_| match is_ill.load(Ordering::Relaxed) {
        true => Act::Lose,
        false => Act::Say("seen".to_owned()),
    });
    let world = World::of(&mock, "breaker: { failure_threshold: 5, recovery_timeout: 60s }").await;
    let call = async || world.result("a__look", json!({})).await;
    let refused =
        |result: &serde_json::Value| result["_meta"]["switchboard/error"]["code"] == "SB-BREAKER-001";
    // CircuitState.CLOSED: five failures in a row reach the server.
    for _ in 0..5 {
        assert!(!refused(&call().await));
    }
    // CircuitState.OPEN: nothing does, and the answer says when the next try is.
    let answer = call().await;
    assert!(refused(&answer), "{answer}");
    assert_eq!(answer["_meta"]["switchboard/error"]["retry_after_ms"], 60_000, "{answer}");
    advance(Duration::from_secs(59)).await;
    assert!(refused(&call().await));
    assert_eq!(mock.calls().len(), 5);
    // CircuitState.HALF_OPEN: one call tries; it fails, and the breaker is open again at once.
    advance(Duration::from_secs(2)).await;
    assert!(!refused(&call().await) && refused(&call().await));
    assert_eq!(mock.calls().len(), 6);
    // One that goes well closes it.
    ill.store(false, Ordering::Relaxed);
    advance(Duration::from_secs(300)).await;
    for _ in 0..3 {
        assert_eq!(call().await["content"][0]["text"], "seen");
    }
    // `_on_success` counts from nothing.
    ill.store(true, Ordering::Relaxed);
    for _ in 0..4 {
        call().await;
    }
    ill.store(false, Ordering::Relaxed);
    assert_eq!(call().await["content"][0]["text"], "seen");
}
