//! Legacy sessions: who they belong to, their streams, and when they end.
//!
//! Source: MCP 2025-03-26 to 2025-11-25 "Streamable HTTP", Session Management; 2024-11-05 "HTTP with SSE", where a session
//! is its stream.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use super::house::{Principal, Visitor};
use super::reply::Refusal;
use super::stream::Stream;
use crate::protocol::codes;

/// How many streams whose clients are gone a session keeps.
const KEPT_STREAMS: usize = 16;
/// The number of the stream that a GET opens.
pub(super) const STANDING: u64 = 0;

/// By which of the two transports a client has its session. None can be reached by the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Streamable HTTP.
    Streamable,
    /// HTTP+SSE of 2024-11-05.
    Sse,
}

/// The sessions of a face.
pub(super) struct Sessions {
    table: Mutex<HashMap<String, Arc<Session>, ahash::RandomState>>,
    random: SystemRandom,
    most: usize,
    idle: Duration,
    begun: Notify,
}

/// One session.
pub(super) struct Session {
    /// What the client shows; nobody can guess it.
    pub(super) id: String,
    /// What the ids of its events begin with, so that those of other sessions are told.
    pub(super) tag: String,
    pub(super) visitor: Arc<dyn Visitor>,
    way: Way,
    owner: Principal,
    state: Mutex<State>,
}

struct State {
    streams: HashMap<u64, Arc<Stream>>,
    opened: u64,
    /// Requests and streams that are open.
    visits: usize,
    /// When the last one ended.
    last: Instant,
    ended: bool,
}

impl Sessions {
    /// No sessions; later at most `most`, which end after `idle`.
    pub(super) fn new(most: usize, idle: Duration) -> Self {
        Self { table: Mutex::default(), random: SystemRandom::new(), most, idle, begun: Notify::new() }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>, ahash::RandomState>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn random(&self, bytes: usize) -> Result<String, Refusal> {
        let mut random = vec![0; bytes];
        self.random.fill(&mut random).map_err(|_| unavailable("the system gives no random numbers"))?;
        Ok(random.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }

    /// A new session. If there are too many, the one that has been idle for longest ends.
    ///
    /// # Errors
    /// There are too many, and none is idle.
    pub(super) fn begin(
        &self,
        way: Way,
        owner: &Principal,
        visitor: impl FnOnce() -> Arc<dyn Visitor>,
    ) -> Result<Arc<Session>, Refusal> {
        let (id, tag) = (self.random(24)?, self.random(4)?);
        let now = Instant::now();
        let evicted = {
            let mut table = self.table();
            if table.len() < self.most {
                None
            } else {
                let idle = table.values().filter_map(|session| Some((session.idle_for(now)?, &session.id)));
                let Some(longest) = idle.max().map(|(_, id)| id.clone()) else {
                    return Err(unavailable(
                        "there are as many sessions as there may be, and all are in use",
                    ));
                };
                table.remove(&longest)
            }
        };
        if let Some(evicted) = evicted {
            evicted.end();
        }
        let visitor = visitor();
        let streams = match way {
            Way::Streamable => HashMap::from([(STANDING, Stream::new(visitor.stream()))]),
            Way::Sse => HashMap::new(),
        };
        let state = Mutex::new(State { streams, opened: 0, visits: 0, last: now, ended: false });
        let session = Arc::new(Session { id: id.clone(), tag, visitor, way, owner: owner.clone(), state });
        self.table().insert(id, Arc::clone(&session));
        self.begun.notify_one();
        Ok(session)
    }

    /// The session of this id, if it is the client's. Another's is as unknown as one that never was.
    ///
    /// # Errors
    /// There is none (any more): 404, upon which clients begin a new one.
    pub(super) fn find(&self, way: Way, id: &str, client: &Principal) -> Result<Arc<Session>, Refusal> {
        let is_theirs = |session: &&Arc<Session>| session.way == way && session.owner == *client;
        self.table().get(id).filter(is_theirs).cloned().ok_or_else(|| {
            let message = match way {
                Way::Streamable => "the session is unknown or has ended; send `initialize` again",
                Way::Sse => "the session is unknown or has ended; open the stream again",
            };
            Refusal::new(StatusCode::NOT_FOUND, codes::INVALID_REQUEST, message)
        })
    }

    /// Ends a session, once.
    pub(super) fn end(&self, session: &Session) {
        let known = self.table().remove(&session.id);
        if let Some(session) = known {
            session.end();
        }
    }

    /// Ends all sessions.
    pub(super) fn end_all(&self) {
        let sessions = std::mem::take(&mut *self.table());
        sessions.values().for_each(|session| session.end());
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.table().len()
    }

    /// Ends sessions that were idle for too long, and streams that nobody came back to for `kept`, again and again.
    pub(super) async fn sweep(&self, kept: Duration) {
        let pause = (self.idle.min(kept) / 4).clamp(Duration::from_millis(5), Duration::from_secs(5));
        loop {
            if self.count() == 0 {
                self.begun.notified().await;
            }
            tokio::time::sleep(pause).await;
            let now = Instant::now();
            let mut old = Vec::new();
            self.table().retain(|_, session| {
                let is_old = session.idle_for(now).is_some_and(|idle| idle >= self.idle);
                if is_old {
                    old.push(Arc::clone(session));
                } else {
                    session.sweep(now, kept);
                }
                !is_old
            });
            old.iter().for_each(|session| session.end());
        }
    }
}

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a request or a stream is open, until the visit is dropped.
    pub(super) fn visit(self: &Arc<Self>) -> Visit {
        self.state().visits += 1;
        Visit(Arc::clone(self))
    }

    /// Takes a stream in and gives its number.
    pub(super) fn open(&self, stream: &Arc<Stream>) -> u64 {
        let mut state = self.state();
        state.opened += 1;
        let number = state.opened;
        if state.ended {
            stream.end();
        } else {
            state.streams.insert(number, Arc::clone(stream));
            state.trim(Instant::now(), Duration::MAX);
        }
        number
    }

    /// The stream of this number.
    pub(super) fn stream(&self, number: u64) -> Option<Arc<Stream>> {
        self.state().streams.get(&number).cloned()
    }

    /// For how long nothing has been open.
    fn idle_for(&self, now: Instant) -> Option<Duration> {
        let state = self.state();
        (state.visits == 0).then(|| now.saturating_duration_since(state.last))
    }

    fn sweep(&self, now: Instant, kept: Duration) {
        let mut state = self.state();
        if let Some(standing) = state.streams.get(&STANDING)
            && standing.left_for(now).is_some_and(|left| left >= kept)
        {
            standing.forget();
        }
        state.trim(now, kept);
    }

    fn end(&self) {
        let streams = {
            let mut state = self.state();
            state.ended = true;
            std::mem::take(&mut state.streams)
        };
        streams.values().for_each(|stream| stream.end());
        self.visitor.end();
    }
}

impl State {
    /// Lets go of streams whose clients have been gone for `kept`, or that are too many.
    fn trim(&mut self, now: Instant, kept: Duration) {
        let alone = self.streams.iter().filter(|(number, _)| **number != STANDING);
        let mut alone: Vec<(Duration, u64)> =
            alone.filter_map(|(number, stream)| Some((stream.left_for(now)?, *number))).collect();
        alone.sort_unstable();
        for (at, (left, number)) in alone.into_iter().enumerate() {
            if (left >= kept || at >= KEPT_STREAMS)
                && let Some(stream) = self.streams.remove(&number)
            {
                stream.end();
            }
        }
    }
}

/// A request or stream of a session that is open.
pub(super) struct Visit(Arc<Session>);

impl Visit {
    /// The session.
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.0
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.visits -= 1;
        state.last = Instant::now();
    }
}

fn unavailable(message: &str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, codes::INTERNAL_ERROR, message)
}
