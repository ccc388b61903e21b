//! `ToolCache`: what is the same call, how long its answer is good, and `clear`.

use std::time::Duration;

use serde_json::json;
use tokio::time::advance;

use super::world::{Act, Mock, World};

fn counting() -> std::sync::Arc<Mock> {
    let count = std::sync::atomic::AtomicU32::new(0);
    Mock::new(&["look"], move |_| {
        Act::Say(format!("answer {}", count.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
    })
}

const KEYS: &str = "effects: { look: read }, cache: { ttl: 300s }";

#[tokio::test(start_paused = true)]
async fn tool_cache_key_ignores_the_order_of_arguments_and_nothing_else() {
    let mock = counting();
    let world = World::of(&mock, KEYS).await;
    let first = world.call("a__look", json!({ "a": 1, "b": { "c": 2, "d": 3 } })).await;
    let other_order = serde_json::from_str(r#"{"b":{"d":3,"c":2},"a":1}"#).unwrap();
    assert_eq!(world.call("a__look", other_order).await, first);
    for other in [json!({ "a": 2, "b": { "c": 2, "d": 3 } }), json!({ "a": 1 }), json!({ "a": "1" })] {
        assert_ne!(world.call("a__look", other).await, first);
    }
    assert_eq!(mock.calls().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn tool_cache_get_gives_nothing_after_the_ttl() {
    let mock = counting();
    let world = World::of(&mock, KEYS).await;
    let first = world.call("a__look", json!({})).await;
    advance(Duration::from_secs(299)).await;
    let hit = world.result("a__look", json!({})).await;
    assert_eq!(hit["_meta"]["switchboard/cache"]["hit"], true, "{hit}");
    assert_eq!(hit["content"][0]["text"], *first);
    advance(Duration::from_secs(2)).await;
    assert_ne!(world.call("a__look", json!({})).await, first);
    assert_eq!(mock.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn tool_cache_clear_forgets_everything() {
    let mock = counting();
    let world = World::of(&mock, KEYS).await;
    let first = world.call("a__look", json!({})).await;
    assert_eq!(world.call("a__look", json!({})).await, first);
    world.registry.lane(&"a".into()).unwrap().clear_cache();
    assert_ne!(world.call("a__look", json!({})).await, first);
    assert_eq!(mock.calls().len(), 2);
}
