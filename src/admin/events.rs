//! What changes, as it changes: the manager's events as a stream (server-sent events).

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Duration;

use super::desk::{Asked, Desk};
use super::refusal::{Refusal, now};
use crate::manager::Event;
use crate::protocol::VERSION;
use crate::web::events::{self, Course, Event as Sent, Label, Source};
use crate::web::reply::{self, Reply};

/// How often a quiet stream says that it lives.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) fn follow(desk: &Desk, asked: &Asked) -> Result<Reply, Refusal> {
    let server = asked.query.text("server_id").map(str::to_owned);
    let hello = json!({ "version": VERSION, "pid": std::process::id(), "timestamp": now() });
    let feed = Feed { events: desk.manager.events(), server, hello: Some(hello) };
    Ok(stream(desk, feed))
}

/// A stream that ends with us, and to which nobody comes back: who comes again asks for the state first.
pub(super) fn stream(desk: &Desk, source: impl Source + 'static) -> Reply {
    let course =
        Course { prime: None, keep_alive: KEEP_ALIVE, closing: desk.closing.clone(), resumable: false };
    reply::events(events::stream(source, course))
}

struct Feed {
    events: Receiver<Event>,
    /// The only server that is wanted.
    server: Option<String>,
    /// What begins the stream: from then on nothing is missed.
    hello: Option<Value>,
}

impl Source for Feed {
    async fn next(&mut self) -> Option<Sent> {
        if let Some(hello) = self.hello.take() {
            return Some(sent("hello", &hello));
        }
        loop {
            match self.events.recv().await {
                Ok(event) => {
                    let about = event.server().map(|server| server.as_str());
                    if self.server.is_some() && about.is_some() && about != self.server.as_deref() {
                        continue;
                    }
                    let mut value = event.to_json();
                    value["timestamp"] = now().into();
                    return Some(sent(event.name(), &value));
                }
                // The queue is bounded; whoever reads too slowly is told so, and looks for himself.
                Err(RecvError::Lagged(missed)) => {
                    return Some(sent("lagged", &json!({ "missed": missed, "timestamp": now() })));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

pub(super) fn sent(name: &'static str, value: &Value) -> Sent {
    Sent { label: Label::Type(name), data: Bytes::from(value.to_string()) }
}
