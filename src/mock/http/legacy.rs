//! Streamable HTTP with sessions, 2025-03-26 to 2025-11-25.
//!
//! <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http>

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderValue, Method, StatusCode};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::answer::{Source, event_stream};
use super::body::Reading;
use super::log::Log;
use super::settings::Shape;
use super::{Answer, Asked, Http};
use crate::mock::receive::{Envelope, Origin, parse_error, receive_quiet};
use crate::mock::revision::{FIRST_WITH_HEADER, code};
use crate::mock::run::Job;
use crate::mock::session::{Session, begin};

/// How many streams of a session are remembered.
const REMEMBERED: usize = 256;

/// The number of the stream that GET reads.
const STANDING: u64 = 0;

/// A session of a legacy client.
pub(super) struct LegacySession {
    pub(super) id: String,
    pub(super) session: Arc<Session>,
    logs: Mutex<BTreeMap<u64, Arc<Log>>>,
    next_log: AtomicU64,
    /// How many requests came after the first.
    requests: AtomicU64,
}

impl LegacySession {
    /// Begins a session. Without `named` it is the one session of all clients that come without a name.
    pub(super) fn begin(http: &Http, named: bool) -> Arc<Self> {
        let standing = Log::new(STANDING);
        let session = Session::begin(&http.server, standing.fill(&http.server, None));
        let id = match named {
            true => format!("mock-session-{}-{:016x}", session.number, fastrand::u64(..)),
            false => String::new(),
        };
        let logs = Mutex::new(BTreeMap::from([(STANDING, standing)]));
        Arc::new(Self { id, session, logs, next_log: AtomicU64::new(1), requests: AtomicU64::new(0) })
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.session.stop
    }

    /// The stream that belongs to no request.
    pub(super) fn standing(&self) -> Arc<Log> {
        self.logs().get(&STANDING).cloned().unwrap_or_else(|| Log::new(STANDING))
    }

    fn logs(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Log>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new stream.
    fn log(&self) -> Arc<Log> {
        let log = Log::new(self.next_log.fetch_add(1, Ordering::Relaxed));
        let mut logs = self.logs();
        if logs.len() > REMEMBERED {
            let old = logs.iter().find(|(number, log)| **number != STANDING && log.has_ended());
            let old = old.map(|(number, _)| *number);
            old.and_then(|old| logs.remove(&old));
        }
        logs.insert(log.number, Arc::clone(&log));
        log
    }

    /// The stream and the place in it that an event id names.
    fn find(&self, event: &str) -> Option<(Arc<Log>, usize)> {
        let (log, at) = event.split_once('-')?;
        let log = self.logs().get(&log.parse().ok()?).cloned()?;
        Some((log, at.parse().ok()?))
    }
}

impl Http {
    pub(super) async fn serve_legacy(&self, asked: &Asked) -> Answer {
        match asked.verb {
            Method::POST => self.post(asked).await,
            Method::GET if self.settings().get => Ok(self.get(asked)),
            Method::DELETE if self.settings().delete => Ok(match self.find_session(asked) {
                Ok(session) => {
                    self.forget(&session.id);
                    self.plain(StatusCode::OK, "gone")
                }
                Err(refusal) => *refusal,
            }),
            _ => Ok(self.only("POST, GET, DELETE")),
        }
    }

    /// The session that the request belongs to, or why there is none.
    fn find_session(&self, asked: &Asked) -> Result<Arc<LegacySession>, Box<super::Response<super::Pipe>>> {
        let refuse =
            |status, message: &str| Box::new(self.error(status, None, code::INVALID_REQUEST, message));
        let id = match (asked.header("mcp-session-id"), self.settings().sessions) {
            (_, false) => "",
            (Some(id), true) => id,
            (None, true) => {
                return Err(refuse(StatusCode::BAD_REQUEST, "Bad Request: Mcp-Session-Id is missing"));
            }
        };
        let session = match self.session(id) {
            Some(session) => session,
            None if id.is_empty() => {
                let session = LegacySession::begin(self, false);
                self.state().sessions.insert(String::new(), Arc::clone(&session));
                session
            }
            None => return Err(refuse(StatusCode::NOT_FOUND, "Session not found")),
        };
        let count = session.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if self.settings().forget_after.is_some_and(|most| count > most) {
            self.forget(id);
            return Err(refuse(StatusCode::NOT_FOUND, "Session not found"));
        }
        let agreed = session.session.state().revision.clone();
        let named = asked.header("mcp-protocol-version");
        match (agreed, named) {
            (Some(agreed), Some(named)) if agreed != named => {
                let message = format!("Bad Request: MCP-Protocol-Version is {named}, agreed was {agreed}");
                Err(refuse(StatusCode::BAD_REQUEST, &message))
            }
            (None, Some(named)) if !self.server.plan.revisions.contains(named) => {
                let message = format!("Bad Request: unsupported MCP-Protocol-Version {named}");
                Err(refuse(StatusCode::BAD_REQUEST, &message))
            }
            (Some(agreed), None) if agreed.as_str() >= FIRST_WITH_HEADER => {
                Err(refuse(StatusCode::BAD_REQUEST, "Bad Request: MCP-Protocol-Version is missing"))
            }
            _ => Ok(session),
        }
    }

    async fn post(&self, asked: &Asked) -> Answer {
        if !(asked.accepts("application/json") && asked.accepts("text/event-stream")) {
            return Ok(
                self.plain(StatusCode::NOT_ACCEPTABLE, "accept application/json and text/event-stream")
            );
        }
        if asked.body.trim_ascii_start().first() == Some(&b'[') {
            return self.batch(asked).await;
        }
        let envelope = match asked.envelope() {
            Ok(envelope) => envelope,
            Err(error) => return Ok(self.error_text(StatusCode::BAD_REQUEST, parse_error(&error))),
        };
        if envelope.id.is_some() && envelope.method.as_deref() == Some("initialize") {
            return self.initialize(asked, &envelope).await;
        }
        let session = match self.find_session(asked) {
            Ok(session) => session,
            Err(refusal) => return Ok(*refusal),
        };
        let log = match (envelope.id, &envelope.method) {
            (Some(_), Some(_)) => self.run(asked, &session, &[envelope]),
            _ => {
                let out = session.session.output.clone();
                let origin = Origin { out, headers: Arc::clone(&asked.headers) };
                receive_quiet(&session.session, &origin, &envelope).await;
                return Ok(self.accepted());
            }
        };
        self.answer(asked, source(&session, log)).await
    }

    async fn initialize(&self, asked: &Asked, envelope: &Envelope<'_>) -> Answer {
        let session = LegacySession::begin(self, self.settings().sessions);
        let log = self.run(asked, &session, std::slice::from_ref(envelope));
        self.state().sessions.insert(session.id.clone(), Arc::clone(&session));
        let mut answer = self.answer(asked, source(&session, log)).await?;
        if let (false, Ok(id)) = (session.id.is_empty(), HeaderValue::from_str(&session.id)) {
            answer.headers_mut().insert("mcp-session-id", id);
        }
        Ok(answer)
    }

    /// Several messages at once, as 2025-03-26 has it.
    async fn batch(&self, asked: &Asked) -> Answer {
        let refuse = |message| Ok(self.error(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, message));
        let session = match self.find_session(asked) {
            Ok(session) => session,
            Err(refusal) => return Ok(*refusal),
        };
        if session.session.state().revision.as_deref() != Some("2025-03-26") {
            return refuse("this revision has no batches");
        }
        let messages = serde_json::from_slice::<Vec<&RawValue>>(&asked.body).unwrap_or_default();
        let parsed = messages.iter().map(|message| serde_json::from_str::<Envelope<'_>>(message.get()));
        let Ok(messages) = parsed.collect::<Result<Vec<_>, _>>() else {
            return refuse("a batch holds messages");
        };
        let (requests, others): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| message.id.is_some() && message.method.is_some());
        for message in &others {
            receive_quiet(&session.session, &Origin::of(&session.session), message).await;
        }
        if requests.is_empty() {
            return Ok(self.accepted());
        }
        let log = self.run(asked, &session, &requests);
        // One response alone would be no answer to a batch.
        log.peek(0).await;
        let reading = self.reading(asked, &session, log, Some(0));
        Ok(event_stream(reading.into_body(self.style(asked))))
    }

    /// Begins requests; gives the stream on which they are answered.
    fn run(&self, asked: &Asked, session: &LegacySession, requests: &[Envelope<'_>]) -> Arc<Log> {
        let log = session.log();
        // Where answers are JSON, the rest goes to the standing stream.
        let aside = (self.settings().answer == Shape::Json).then(|| session.session.output.clone());
        let out = log.fill(&self.server, aside);
        for request in requests {
            if let (Some(id), Some(method)) = (request.id, &request.method) {
                let origin = Origin { out: out.clone(), headers: Arc::clone(&asked.headers) };
                let job = Job::request(&session.session, origin, id.get(), method, request.params());
                begin(&session.session, job);
            }
        }
        log
    }

    /// The standing stream, or one that is read on.
    fn get(&self, asked: &Asked) -> super::Response<super::Pipe> {
        if !asked.accepts("text/event-stream") {
            return self.plain(StatusCode::NOT_ACCEPTABLE, "accept text/event-stream");
        }
        let session = match self.find_session(asked) {
            Ok(session) => session,
            Err(refusal) => return *refusal,
        };
        let reading = match asked.header("last-event-id") {
            Some(event) => match session.find(event) {
                Some((log, at)) => self.reading(asked, &session, log, Some(at)),
                None => {
                    let message = "Bad Request: unknown Last-Event-ID";
                    return self.error(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, message);
                }
            },
            None => self.reading(asked, &session, session.standing(), None),
        };
        event_stream(reading.into_body(self.style(asked)))
    }

    fn reading(&self, asked: &Asked, session: &LegacySession, log: Arc<Log>, from: Option<usize>) -> Reading {
        let style = self.style(asked);
        Reading {
            log,
            from,
            ids: style.ids,
            prime: false,
            cut: asked.cut(),
            leaving: None,
            stop: session.stop().clone(),
            preface: None,
            id: None,
        }
    }
}

fn source(session: &LegacySession, log: Arc<Log>) -> Source {
    Source { log, resumable: true, leaving: None, stop: session.stop().clone() }
}
