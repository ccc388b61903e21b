//! Many clients at once: each has its own session, and hears of nobody else's.

use serde_json::{Value, json};

use crate::client::{BOTH, Client, INITIALIZE, request};
use crate::guest::{Guest, Told, text};
use crate::rig::{Server, Setup};
use crate::served::{Served, gone};

/// A server that says a lot in a call, asks in the middle of it, and names its caller's words everywhere.
const TALKER: &str = r#"
tools:
  work:
    steps:
      - progress: { progress: 1, total: 2, message: "{{word}}" }
      - log: { level: info, data: "{{word}}" }
      - sleep: 20ms
      - progress: { progress: 2, total: 2, message: "{{word}}" }
      - answer: "{{word}}"
  ask:
    steps:
      - log: { level: info, data: "{{word}}" }
      - ask:
          method: elicitation/create
          save: reply
          params: { message: "{{word}}", requestedSchema: { type: object, properties: { name: { type: string } } } }
      - answer: "{{word}} {{reply.content.name}}"
  say: { log: { level: "{{level}}", data: "{{word}}" }, answer: said }
  touch: { updated: "note://{{which}}", answer: touched }
  who: { answer: "{{mock.pid}}" }
resources:
  "note://a": { name: A, text: a }
  "note://b": { name: B, text: b }
"#;

fn talker() -> Setup {
    Setup::of([Server::script("s", TALKER)])
}

/// Says of what came with a call that everything in it is of this word.
#[track_caller]
fn of_one(told: &Told, word: &str) {
    for message in told {
        let said = match message["method"].as_str() {
            Some("notifications/progress") => message["params"]["message"].clone(),
            Some("notifications/message") => message["params"]["data"].clone(),
            Some("elicitation/create") => {
                let asked = message["params"]["message"].as_str().unwrap();
                assert!(asked.contains(word), "{word}: {asked}");
                continue;
            }
            Some(other) => panic!("{other}"),
            None => continue,
        };
        assert_eq!(said, json!(word), "{message}");
    }
}

#[tokio::test]
async fn calls_at_once_are_told_apart() {
    let served = Served::new(talker());
    let work = async |number: usize| {
        let mut guest = match number % 3 {
            0 => Guest::by_sse(&served, "", false).await,
            _ => Guest::new(&served, false).await,
        };
        for round in 0..3 {
            let word = format!("word-{number}-{round}");
            let call = guest.begin_tool("s__work", &json!({"word": word})).await;
            let told = guest.all(call, &Value::Null).await;
            of_one(&told, &word);
            assert_eq!(text(told.last().unwrap()), word);
            let token = json!(format!("token-{}", round + 1));
            let progress: Vec<&Value> =
                told.iter().filter(|one| one["method"] == "notifications/progress").collect();
            assert_eq!(progress.len(), 2, "{told:?}");
            assert!(progress.iter().all(|one| one["params"]["progressToken"] == token), "{told:?}");
        }
    };
    futures_util::future::join_all((0..12).map(work)).await;
}

#[tokio::test]
async fn questions_go_to_whoever_has_the_call() {
    let served = Served::new(talker());
    let ask = async |number: usize| {
        let mut guest = match number % 2 {
            0 => Guest::by_sse(&served, "", true).await,
            _ => Guest::new(&served, true).await,
        };
        for round in 0..2 {
            let word = format!("word-{number}-{round}");
            let call = guest.begin_tool("s__ask", &json!({"word": word})).await;
            let reply = json!({"action": "accept", "content": {"name": format!("name-{number}")}});
            let told = guest.all(call, &reply).await;
            of_one(&told, &word);
            assert_eq!(text(told.last().unwrap()), format!("{word} name-{number}"));
            assert_eq!(told.iter().filter(|one| one["method"] == "elicitation/create").count(), 1);
        }
    };
    futures_util::future::join_all((0..6).map(ask)).await;
}

#[tokio::test]
async fn an_answer_of_another_session_is_none() {
    let served = Served::new(talker());
    let mut asked = Guest::by_sse(&served, "", true).await;
    let other = Guest::new(&served, true).await;
    let call = asked.begin_tool("s__ask", &json!({"word": "w"})).await;
    let question = loop {
        let message = asked.told().await;
        if message["method"] == "elicitation/create" {
            break message;
        }
    };
    let reply = |name: &str| json!({"action": "accept", "content": {"name": name}});
    other.reply(&question, &reply("foreign")).await;
    asked.reply(&question, &reply("own")).await;
    assert_eq!(text(&asked.all(call, &Value::Null).await.pop().unwrap()), "w own");
}

#[tokio::test]
async fn everybody_has_a_log_level_of_his_own() {
    let served = Served::new(talker());
    let mut quiet = Guest::new(&served, false).await;
    let mut curious = Guest::new(&served, false).await;
    for (guest, level) in [(&mut quiet, "error"), (&mut curious, "debug")] {
        assert_eq!(guest.request("logging/setLevel", &json!({"level": level})).await["result"], json!({}));
    }
    let mut heard = Vec::new();
    for guest in [&mut quiet, &mut curious] {
        for level in ["debug", "error"] {
            let call = guest.begin_tool("s__say", &json!({"level": level, "word": "x"})).await;
            let told = guest.all(call, &Value::Null).await;
            heard.push(told.iter().filter(|one| one["method"] == "notifications/message").count());
        }
    }
    assert_eq!(heard, [0, 1, 1, 1]);
}

#[tokio::test]
async fn everybody_has_subscriptions_of_his_own() {
    let served = Served::new(talker());
    let mut a = Guest::new(&served, false).await;
    let mut b = Guest::by_sse(&served, "", false).await;
    let mut neither = Guest::new(&served, false).await;
    for (guest, uri) in [(&mut a, "note://a"), (&mut b, "note://b")] {
        assert_eq!(guest.request("resources/subscribe", &json!({"uri": uri})).await["result"], json!({}));
    }
    for which in ["a", "b", "a"] {
        assert_eq!(neither.call("s__touch", &json!({"which": which})).await, "touched");
    }
    for _ in 0..2 {
        assert_eq!(a.told().await["params"]["uri"], "note://a");
    }
    assert_eq!(b.told().await["params"]["uri"], "note://b");
    // Who has left is told nothing, and the other's subscription stays.
    let mut second = Guest::new(&served, false).await;
    second.request("resources/subscribe", &json!({"uri": "note://a"})).await;
    drop(b);
    a.request("resources/unsubscribe", &json!({"uri": "note://a"})).await;
    neither.call("s__touch", &json!({"which": "a"})).await;
    assert_eq!(second.told().await["params"]["uri"], "note://a");
    // What comes next on the others' streams is something else.
    for guest in [&mut a, &mut neither] {
        guest.request("resources/subscribe", &json!({"uri": "note://b"})).await;
    }
    second.call("s__touch", &json!({"which": "b"})).await;
    for guest in [&mut a, &mut neither] {
        assert_eq!(guest.told().await["params"]["uri"], "note://b");
    }
}

#[tokio::test]
async fn a_server_of_its_own_for_each_session() {
    let server = Server::script("s", TALKER).set("share", json!("session"));
    let served = Served::new(Setup::of([server]));
    let mut guests = Vec::new();
    for number in 0..3 {
        guests.push(match number {
            0 => Guest::by_sse(&served, "", true).await,
            _ => Guest::new(&served, true).await,
        });
    }
    let mut processes = Vec::new();
    for guest in &mut guests {
        let process = guest.call("s__who", &json!({})).await;
        assert_eq!(guest.call("s__who", &json!({})).await, process, "and keeps it");
        processes.push(process);
    }
    let different: std::collections::HashSet<&String> = processes.iter().collect();
    assert_eq!(different.len(), 3, "{processes:?}");
    // They end with their sessions, and with those alone.
    let leaving = guests.remove(0);
    drop(leaving);
    gone(processes[0].parse().unwrap()).await;
    let leaving = guests.remove(0);
    let mut client = Client::connect(served.address).await;
    assert_eq!(client.send("DELETE", "/mcp", &leaving.headers()).await.status, 204);
    gone(processes[1].parse().unwrap()).await;
    assert_eq!(guests[0].call("s__who", &json!({})).await, processes[2]);
}

#[tokio::test]
async fn principals_do_not_reach_each_others_sessions() {
    let config = json!({
        "servers": {},
        "http": {"tokens": {"alice": "token-of-alice-0123456789", "bob": "${env:BOBS}"}},
    });
    let setup = Setup::text("switchboard.json", config.to_string()).env("BOBS", "token-of-bob-0123456789");
    let served = Served::new(setup);
    let mut client = Client::connect(served.address).await;
    assert_eq!(client.post(&[], INITIALIZE).await.status, 401);
    assert_eq!(client.send("GET", "/sse", &[]).await.status, 401);
    let bob = ("Authorization", "Bearer token-of-bob-0123456789");
    let call = request(7, "tools/list", &json!({}));
    let token = "token-of-alice-0123456789";
    let new = Guest::of(&served, token, false).await;
    let old = Guest::by_sse(&served, token, false).await;
    let stolen = [bob, ("Mcp-Session-Id", new.id()), ("Accept", BOTH)];
    assert_eq!(client.post(&stolen, &call).await.status, 404);
    for method in ["GET", "DELETE"] {
        assert_eq!(client.send(method, "/mcp", &stolen).await.status, 404, "{method}");
    }
    assert_eq!(client.post_to(old.id(), &[bob], &call).await.status, 404);
    for mut guest in [new, old] {
        assert!(guest.request("tools/list", &json!({})).await["result"]["tools"].is_array());
    }
}

#[tokio::test]
async fn a_session_that_ends_takes_its_calls_along() {
    let script =
        "tools: { wait: { steps: [ { wait_cancel: 30s }, { answer: late } ] }, echo: { answer: hi } }";
    let served = Served::new(Setup::of([Server::script("s", script)]));
    let cancelled = |count: usize| {
        let record = served.setup.home().join("s.record");
        move || {
            let text = std::fs::read_to_string(&record).unwrap_or_default();
            text.lines().filter(|line| line.contains("notifications/cancelled")).count() == count
        }
    };
    let mut new = Guest::new(&served, false).await;
    let mut old = Guest::by_sse(&served, "", false).await;
    let mut stays = Guest::new(&served, false).await;
    let _calls = [new.begin_tool("s__wait", &json!({})).await, old.begin_tool("s__wait", &json!({})).await];
    assert_eq!(stays.call("s__echo", &json!({})).await, "hi", "the calls are there");
    let mut client = Client::connect(served.address).await;
    assert_eq!(client.send("DELETE", "/mcp", &new.headers()).await.status, 204);
    eventually("the call is cancelled", cancelled(1)).await;
    drop(old);
    eventually("the other call is cancelled, too", cancelled(2)).await;
    assert_eq!(stays.call("s__echo", &json!({})).await, "hi");
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = std::time::Instant::now() + crate::rig::SOON;
    while !holds() {
        assert!(std::time::Instant::now() < until, "{what}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
