//! `ConnectionPool`: connections to an HTTP server are used again, and their number is bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::json;
use switchboard::mock::{self, Face, Hooks};
use tokio::net::{TcpListener, TcpStream};

use super::world::World;

/// Passes connections on to this address, and counts them: in all, and the most at a time.
struct Door {
    address: SocketAddr,
    all: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Door {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (all, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, highest, now) = (Arc::clone(&all), Arc::clone(&most), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                highest.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                let now = Arc::clone(&now);
                tokio::spawn(async move {
                    if let Ok(mut outside) = TcpStream::connect(server).await {
                        let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                    }
                    now.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { address, all, most }
    }
}

#[tokio::test]
async fn connection_pool_uses_connections_again_and_opens_no_more_than_calls_run_at_once() {
    let script =
        mock::parse("tools: { echo: { delay: 20ms, answer: \"{{input}}\" } }\nhttp: { get: false }\n")
            .unwrap();
    let face = Face::Http(([127, 0, 0, 1], 0).into());
    let server = mock::listen(script, &face, Hooks::in_memory()).await.unwrap();
    let authority = server.url.trim_start_matches("http://").split('/').next().unwrap();
    let door = Door::to(authority.parse().unwrap()).await;
    tokio::spawn(server.run());
    let entry = format!("url: \"http://{}/mcp\", type: http, start: eager", door.address);
    let limit = "concurrency: { max: 5, queue: 100 }";
    let config = format!("servers: {{ a: {{ {entry}, {limit} }} }}");
    let world = World::open(&config, |builder| builder).await;
    for number in 0..20 {
        assert_eq!(world.call("a__echo", json!({ "input": number.to_string() })).await, number.to_string());
    }
    let one_by_one = door.all.load(Ordering::Relaxed);
    assert!(one_by_one < 10, "{one_by_one} connections for 20 calls, one after the other");
    join_all((0..50).map(|_| world.call("a__echo", json!({ "input": "x" })))).await;
    let (all, most) = (door.all.load(Ordering::Relaxed), door.most.load(Ordering::Relaxed));
    // Five for calls, and those that were open before.
    assert!(most <= 5 + one_by_one && all < 30, "{all} connections, {most} at a time");
}
