//! Who leaves when: a client on pipes beside those over HTTP, and the end of all.

use serde_json::{Value, json};

use crate::guest::{Guest, text};
use crate::rig::{GONE_WITHIN, Server, Setup, is_alive};
use crate::served::{Served, gone};

const WHO: &str = "tools: { who: { answer: \"{{mock.pid}}\" }, hang: { hang: true } }";

fn on_pipes(served: &mut Served, id: u64, method: &str, params: &Value) -> Value {
    served.stdio.as_mut().unwrap().request(id, method, params)
}

#[tokio::test]
async fn a_client_on_pipes_shares_the_servers_and_leaves_alone() {
    let own = Server::script("own", WHO).set("share", json!("session"));
    let mut served = Served::beside_stdio(Setup::of([Server::script("s", WHO), own]));
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "p", "version": "1"}});
    assert_eq!(on_pipes(&mut served, 1, "initialize", &hello)["result"]["protocolVersion"], "2025-06-18");
    let who = |name: &str| json!({"name": name, "arguments": {}});
    let shared = text(&on_pipes(&mut served, 2, "tools/call", &who("s__who")));
    let alone = text(&on_pipes(&mut served, 3, "tools/call", &who("own__who")));
    let mut guest = Guest::new(&served, false).await;
    assert_eq!(guest.call("s__who", &json!({})).await, shared);
    let guests = guest.call("own__who", &json!({})).await;
    assert_ne!(guests, alone);

    served.stdio = None;
    gone(alone.parse().unwrap()).await;
    assert_eq!(guest.call("s__who", &json!({})).await, shared, "the others go on");
    assert_eq!(guest.call("own__who", &json!({})).await, guests);

    let (status, took) = served.terminate();
    assert!(status.success() && took < GONE_WITHIN, "{status} {took:?}");
    for process in [shared, guests] {
        assert!(!is_alive(process.parse().unwrap()));
    }
}

#[tokio::test]
async fn everything_ends_in_time() {
    let servers = [
        Server::mock("stubborn", "c02-stubborn"),
        Server::mock("deaf", "c02-ignores-eof"),
        Server::script("s", WHO),
        Server::script("own", WHO).set("share", json!("session")),
    ];
    let mut served = Served::beside_stdio(Setup::of(servers));
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "p", "version": "1"}});
    on_pipes(&mut served, 1, "initialize", &hello);
    let mut new = Guest::new(&served, false).await;
    let mut old = Guest::by_sse(&served, "", false).await;
    let mut processes = Vec::new();
    for (server, tool) in [("s", "who"), ("own", "who")] {
        for guest in [&mut new, &mut old] {
            processes.push(guest.call(&format!("{server}__{tool}"), &json!({})).await);
        }
    }
    for server in ["stubborn", "deaf"] {
        new.call(&format!("{server}__echo"), &json!({"input": "x"})).await;
    }
    // Calls under way, streams that wait for news, and one modern listener.
    let _calls = [new.begin_tool("s__hang", &json!({})).await, old.begin_tool("own__hang", &json!({})).await];
    let mut listener = crate::eras::Modern::new(&served);
    let _stream = listener.listen(&["note://x"]).await;

    let family: Vec<i32> = processes.iter().map(|process| process.parse().unwrap()).collect();
    let (status, took) = served.terminate();
    assert!(status.success() && took < GONE_WITHIN, "{status} {took:?}");
    for process in family {
        gone(process).await;
    }
}

#[tokio::test]
async fn an_idle_face_ends_at_once() {
    let mut served = Served::new(Setup::of([Server::script("s", WHO)]));
    let mut guests = [Guest::new(&served, false).await, Guest::by_sse(&served, "", false).await];
    for guest in &mut guests {
        guest.call("s__who", &json!({})).await;
    }
    let (status, took) = served.terminate();
    assert!(status.success() && took.as_millis() < 900, "{status} {took:?}");
    for guest in &mut guests {
        while let Some(event) = guest.stream.event().await {
            assert_eq!(event.data, None, "streams end without a word");
        }
    }
}
