//! The face toward HTTP clients, driven with raw HTTP over TCP in front of a house of cardboard.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "face/client.rs"]
mod client;
#[path = "face/door.rs"]
mod door;
#[path = "face/house.rs"]
mod house;
#[path = "face/legacy.rs"]
mod legacy;
#[path = "face/limits.rs"]
mod limits;
#[path = "face/modern.rs"]
mod modern;
#[path = "face/resume.rs"]
mod resume;
#[path = "face/sse.rs"]
mod sse;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use switchboard::config::{HttpFace, Secret};
use switchboard::frontend::http::{Face, Settings};
use tokio_util::sync::CancellationToken;

use client::Client;
use house::Cardboard;

/// A running face.
struct Stage {
    house: Arc<Cardboard>,
    address: SocketAddr,
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl Stage {
    async fn new() -> Stage {
        Stage::with(|_| {}).await
    }

    async fn with(edit: impl FnOnce(&mut Settings)) -> Stage {
        let mut settings = Settings { listen: Some("127.0.0.1:0".parse().unwrap()), ..Settings::default() };
        settings.times.settle = Duration::from_millis(100);
        edit(&mut settings);
        let house = Arc::new(Cardboard::default());
        let face = Face::bind(settings, house.clone()).await.unwrap();
        let shutdown = CancellationToken::new();
        let address = face.local_addr();
        let running = tokio::spawn(face.run(shutdown.clone()));
        Stage { house, address, shutdown, running }
    }

    async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Begins a session and gives its id.
    async fn initialize(&self) -> String {
        let mut client = self.connect().await;
        let answer = client.post(&[], client::INITIALIZE).await;
        assert_eq!(answer.status, 200);
        answer.header("mcp-session-id").unwrap().to_owned()
    }

    async fn end(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.running).await.expect("the face ends").unwrap();
    }
}

fn tokens(config: &mut HttpFace) {
    for name in ["alice", "bob"] {
        config.tokens.push((name.to_owned(), Secret::new(format!("token-of-{name}-0123456789"))));
    }
}

/// Waits until a condition holds.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        for _ in 0..500 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{place}: {what}");
    }
}
