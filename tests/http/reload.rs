//! The config changes while several clients are served.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::guest::{Guest, text};
use crate::rig::{SOON, Server, Setup, is_alive};
use crate::served::{Served, gone};

const SERVER: &str = r#"
tools:
  who: { answer: "{{mock.pid}} {{env.ROUND}}" }
  slow: { delay: 5s, answer: "{{mock.pid}}" }
  touch: { updated: "note://a", answer: touched }
resources: { "note://a": { name: A, text: first } }
"#;

fn server(name: &str, round: &str) -> Server {
    Server::script(name, SERVER).env("ROUND", round)
}

/// Calls until the answer comes from the server of this round, and gives its process.
async fn of_round(guest: &mut Guest, tool: &str, round: &str) -> i32 {
    let until = Instant::now() + SOON;
    loop {
        let call = guest.begin_tool(tool, &json!({})).await;
        let answer = guest.all(call, &Value::Null).await.pop().unwrap();
        // Until it is known by this name, there is no such tool.
        let said = answer["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        let (process, seen) = said.split_once(' ').unwrap_or_default();
        if seen == round {
            return process.parse().unwrap();
        }
        assert!(Instant::now() < until, "{said}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn instances_of_sessions_follow_their_server() {
    let own = |round| server("own", round).set("share", json!("session"));
    let mut served = Served::new(Setup::of([own("1"), server("s", "1")]));
    let (mut a, mut b) = (Guest::new(&served, false).await, Guest::new(&served, false).await);
    let first = of_round(&mut a, "own__who", "1").await;
    let others = of_round(&mut b, "own__who", "1").await;
    let shared = of_round(&mut a, "s__who", "1").await;
    assert_ne!(first, others);
    let flying = a.begin_tool("own__slow", &json!({})).await;
    // Only how it is shown: nobody is started anew.
    let own = |round| own(round).set("prefix", json!("mine"));
    served.setup.configure([own("1"), server("s", "1")]);
    assert_eq!(of_round(&mut b, "mine__who", "1").await, others);

    served.setup.configure([own("2"), server("s", "1")]);
    let second = of_round(&mut a, "mine__who", "2").await;
    let others_second = of_round(&mut b, "mine__who", "2").await;
    assert!(second != first && others_second != others && second != others_second);
    assert_eq!(of_round(&mut a, "s__who", "1").await, shared, "the other server goes on");
    assert_eq!(
        text(&a.all(flying, &Value::Null).await.pop().unwrap()),
        first.to_string(),
        "what was in flight is answered"
    );
    gone(first).await;
    gone(others).await;

    served.setup.configure([server("s", "1")]);
    gone(second).await;
    assert!(is_alive(shared));
    let (status, _) = served.terminate();
    assert!(status.success());
}

#[tokio::test]
async fn subscriptions_follow_their_server() {
    let served = Served::new(Setup::of([server("s", "1")]));
    let (mut a, mut b) = (Guest::new(&served, false).await, Guest::new(&served, false).await);
    let first = of_round(&mut a, "s__who", "1").await;
    a.request("resources/subscribe", &json!({ "uri": "note://a" })).await;
    served.setup.configure([server("s", "2")]);
    of_round(&mut b, "s__who", "2").await;
    gone(first).await;
    assert_eq!(b.call("s__touch", &json!({})).await, "touched");
    let told = loop {
        let told = a.told().await;
        // Nobody has asked for the lists, so their first ones are announced.
        if !told["method"].as_str().unwrap_or_default().ends_with("list_changed") {
            break told;
        }
    };
    assert_eq!(told["params"]["uri"], "note://a");
}
