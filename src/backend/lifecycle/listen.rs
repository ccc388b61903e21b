//! Hearing of changes from a modern server: one `subscriptions/listen` at a time (MCP 2026-07-28, "Subscriptions").
//!
//! What a stream was opened for cannot be changed. So when other resources are to be followed a new one is opened beside it,
//! and the old one is ended as soon as the server has agreed to the new.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::backend::Backend;
use crate::backend::handshake::{self, Greeting};
use crate::backend::link::OwnReply;
use crate::wire::{Body, json};

/// The pause before a stream that ended is opened again; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A stream that lasted this long was a good one.
const LASTING: Duration = Duration::from_secs(30);

/// The names of the lists in a filter, as in [`Greeting::list_changed`].
const LISTS: [&str; 3] = ["toolsListChanged", "promptsListChanged", "resourcesListChanged"];

/// The streams of one run.
#[derive(Default)]
pub(super) struct Listening {
    /// Oldest first; more than one only until the server has agreed to the newest.
    streams: Vec<Stream>,
    reopens: Option<Instant>,
    failures: u32,
    /// What the server refused to tell.
    refused: Option<Vec<u8>>,
    /// The server refused to tell of tasks: it is asked for the rest.
    refused_tasks: bool,
}

struct Stream {
    id: u64,
    /// What it was opened for, raw.
    filter: Vec<u8>,
    /// Whether tasks are named in that.
    tasks: bool,
    opened: Instant,
    end: oneshot::Receiver<OwnReply>,
}

/// What happened to the streams.
pub(super) enum News {
    /// One has ended.
    Ended(Ended),
    /// A lost one should be opened again.
    Due,
}

/// What came of a stream.
#[derive(Debug)]
pub(super) enum Ended {
    /// Another one has taken its place.
    Replaced,
    /// Changes may have been missed; it will be opened again.
    Lost,
    /// The server does not want to be listened to.
    Refused,
}

impl Listening {
    /// Listens for everything that can be heard: changes of lists, and of the resources that clients follow.
    pub(super) fn adjust(&mut self, backend: &Backend, greeting: &Greeting) {
        let wanted = backend.wanted();
        let none = BTreeMap::new();
        let tasks = if greeting.tasks && !self.refused_tasks { &wanted.tasks } else { &none };
        let filter = filter(greeting, wanted.subscriptions.keys(), tasks.keys());
        let newest = self.streams.last().map(|stream| &stream.filter);
        if newest == filter.as_ref() || (filter.is_some() && self.refused == filter) {
            return;
        }
        self.reopens = None;
        let Some(filter) = filter else {
            for stream in self.streams.drain(..) {
                backend.link.abandon(stream.id);
            }
            return;
        };
        // One that the server has not agreed to yet will not be needed any more.
        for stream in self.streams.drain(1.min(self.streams.len())..) {
            backend.link.abandon(stream.id);
        }
        let params = [br#"{"notifications":"#, &filter[..], b"}"].concat();
        let introduction = backend.audience.introduction();
        let params =
            handshake::modern_params(&introduction, greeting.revision, Some(&params), !tasks.is_empty());
        if let Some((id, end)) = backend.link.request("subscriptions/listen", Some(&params)) {
            self.streams.push(Stream { id, filter, tasks: !tasks.is_empty(), opened: Instant::now(), end });
        }
    }

    /// The server has agreed to a stream: older ones are not needed any more.
    pub(super) fn acknowledged(&mut self, backend: &Backend, id: u64) {
        let Some(place) = self.streams.iter().position(|stream| stream.id == id) else { return };
        for stream in self.streams.drain(..place) {
            backend.link.abandon(stream.id);
        }
    }

    /// Resolves when there is something to do. Cancel safe.
    pub(super) async fn next(&mut self) -> News {
        let reopens = self.reopens;
        let due = async {
            match reopens {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            (place, end) = self.ended() => News::Ended(self.note_end(place, &end)),
            () = due => News::Due,
        }
    }

    async fn ended(&mut self) -> (usize, OwnReply) {
        poll_fn(|cx| {
            for (place, stream) in self.streams.iter_mut().enumerate() {
                if let Poll::Ready(end) = Pin::new(&mut stream.end).poll(cx) {
                    let lost = || {
                        let cause = "the connection ended";
                        Err(crate::failure::Failure::new(crate::failure::Code::CallUnavailable, cause))
                    };
                    return Poll::Ready((place, end.unwrap_or_else(|_| lost())));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Notes the end of a stream.
    fn note_end(&mut self, place: usize, end: &OwnReply) -> Ended {
        let stream = self.streams.remove(place);
        if let Ok((line, Body::Error(span))) = end {
            let text = String::from_utf8_lossy(span.of(line));
            tracing::info!(error = %text, "the server cannot be listened to");
            if stream.tasks {
                self.refused_tasks = true;
                self.reopens = Some(Instant::now());
                return Ended::Lost;
            }
            self.refused = Some(stream.filter);
            return Ended::Refused;
        }
        if !self.streams.is_empty() {
            return Ended::Replaced;
        }
        self.failures = if stream.opened.elapsed() >= LASTING { 0 } else { self.failures + 1 };
        let pause = PAUSE.saturating_mul(1 << self.failures.saturating_sub(1).min(6)).min(LONGEST_PAUSE);
        self.reopens = Some(Instant::now() + pause);
        Ended::Lost
    }
}

/// What to ask of the server; `None` if there is nothing that it could tell.
fn filter<'a>(
    greeting: &Greeting,
    uris: impl Iterator<Item = &'a String>,
    tasks: impl Iterator<Item = &'a String>,
) -> Option<Vec<u8>> {
    let mut filter = vec![b'{'];
    let mut add = |name: &str, value: &[u8]| {
        if filter.len() > 1 {
            filter.push(b',');
        }
        json::push_string(&mut filter, name);
        filter.push(b':');
        filter.extend_from_slice(value);
    };
    for (name, changes) in LISTS.iter().zip(greeting.list_changed) {
        if changes {
            add(name, b"true");
        }
    }
    let uris: Vec<Vec<u8>> = uris.map(|uri| json::quote(uri)).collect();
    if !uris.is_empty() && greeting.subscribe {
        add("resourceSubscriptions", &[b"[", &uris.join(&b","[..])[..], b"]"].concat());
    }
    let tasks: Vec<Vec<u8>> = tasks.map(|id| json::quote(id)).collect();
    if !tasks.is_empty() {
        add("taskIds", &[b"[", &tasks.join(&b","[..])[..], b"]"].concat());
    }
    filter.push(b'}');
    (filter.len() > 2).then_some(filter)
}
