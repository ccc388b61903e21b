//! `LoadBalancer`: its four strategies. What the guide sets by `update_load` and `update_health` comes from the calls themselves.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;

use super::world::{Act, Mock, World};

/// Three instances of a server, all awake.
async fn three(mock: &Arc<Mock>, balance: &str) -> World {
    let world = World::of(mock, &format!("replicas: 3, balance: {balance}, effects: {{ look: read }}")).await;
    while mock.spread().len() < 3 {
        sleep(Duration::from_millis(1)).await;
    }
    // Until their handshakes are done, those that are ready go first.
    sleep(Duration::from_secs(2)).await;
    world
}

fn quick() -> Arc<Mock> {
    Mock::new(&["look"], |_| Act::Later(Duration::from_millis(10), "seen".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn load_balancer_round_robin_takes_the_one_that_was_last_used_longest_ago() {
    let mock = quick();
    let world = three(&mock, "round_robin").await;
    for _ in 0..9 {
        world.call("a__look", json!({})).await;
    }
    assert_eq!(mock.spread(), [3, 3, 3]);
    let order: Vec<usize> = mock.calls().iter().map(|call| call.instance).collect();
    assert_eq!(order[..3], order[3..6], "{order:?}");
}

/// `update_load`: a call that is open is load.
#[tokio::test(start_paused = true)]
async fn load_balancer_least_loaded_leaves_the_busy_one_alone() {
    let mock = Mock::new(&["look", "work"], |call| match &*call.tool {
        "work" => Act::Later(Duration::from_secs(60), "done".to_owned()),
        _ => Act::Later(Duration::from_millis(10), "seen".to_owned()),
    });
    let world = three(&mock, "least_loaded").await;
    let look = async {
        sleep(Duration::from_secs(1)).await;
        for _ in 0..20 {
            world.call("a__look", json!({})).await;
        }
    };
    let (worked, ()) = tokio::join!(world.call("a__work", json!({})), look);
    assert_eq!(worked, "done");
    let calls = mock.calls();
    let busy = calls.iter().find(|call| call.tool == "work").unwrap().instance;
    assert!(calls.iter().filter(|call| call.tool == "look").all(|call| call.instance != busy), "{calls:?}");
}

/// `update_health`: an instance whose calls fail gets fewer of them, and more again when they go well.
#[tokio::test(start_paused = true)]
async fn load_balancer_health_based_prefers_those_whose_calls_go_well() {
    let ill = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_ill = Arc::clone(&ill);
    let mock = Mock::new(&["look"], move |call| {
        match call.instance == 2 && is_ill.load(std::sync::atomic::Ordering::Relaxed) {
            true => Act::Lose,
            false => Act::Later(Duration::from_millis(10), "seen".to_owned()),
        }
    });
    let world = three(&mock, "health_based").await;
    let spread = async || {
        let before = mock.spread();
        for _ in 0..300 {
            world.call("a__look", json!({})).await;
        }
        mock.spread().iter().zip(before).map(|(now, before)| now - before).collect::<Vec<usize>>()
    };
    let while_ill = spread().await;
    assert!(while_ill[1] < 60 && while_ill[0] > 70 && while_ill[2] > 70, "{while_ill:?}");
    ill.store(false, std::sync::atomic::Ordering::Relaxed);
    spread().await;
    let when_well = spread().await;
    assert!(when_well[1] > while_ill[1].max(60), "{while_ill:?} {when_well:?}");
}

#[tokio::test(start_paused = true)]
async fn load_balancer_random_gives_everybody_something() {
    let mock = quick();
    let world = three(&mock, "random").await;
    join_all((0..300).map(|_| world.call("a__look", json!({})))).await;
    let spread = mock.spread();
    assert_eq!(spread.iter().sum::<usize>(), 300);
    assert!(spread.iter().all(|count| *count > 50), "{spread:?}");
}
