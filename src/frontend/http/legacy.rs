//! Streamable HTTP as the legacy revisions have it: sessions, a standing stream, streams that can be gone on with.
//!
//! Source: MCP 2025-03-26, 2025-06-18 and 2025-11-25 "Transports", Streamable HTTP. A connection that breaks cancels nothing here:
//! the request goes on, and its stream is kept for a while.

use std::ptr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderValue;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use tokio_util::sync::CancellationToken;

use super::accept::Accepted;
use super::desk::Desk;
use super::events::{self, Course, Event, Label, Source};
use super::first::{First, Inbox};
use super::house::Principal;
use super::message::{Outgoing, Posted, bad};
use super::mirror::header;
use super::reply::{self, LAST_EVENT_ID, PROTOCOL_VERSION, Refusal, Reply, SESSION_ID};
use super::session::{STANDING, Session, Visit, Way};
use super::stream::{Reader, Stream};
use crate::protocol::{Revision, codes};
use crate::wire::Mailbox;

impl Desk {
    /// A posted message of a legacy client.
    pub(super) async fn legacy_post(
        &self,
        request: &Parts,
        client: &Principal,
        body: Bytes,
        posted: &Posted<'_>,
    ) -> Result<Reply, Refusal> {
        if let Posted::Request(initialize) = posted
            && initialize.method == "initialize"
        {
            return self.initialize(request, client, body).await;
        }
        let session = self.session(&request.headers, client)?;
        check_version(&request.headers)?;
        let visit = session.visit();
        let answers = match posted {
            Posted::Request(_) => 1,
            Posted::Batch { answers } => *answers,
            Posted::Notification { .. } | Posted::Response => 0,
        };
        if answers == 0 {
            let nobody = Mailbox::new(0);
            nobody.close();
            session.visitor.take(body, Arc::new(nobody));
            return Ok(reply::empty(StatusCode::ACCEPTED));
        }
        let accepted = Accepted::of(&request.headers).events()?;
        self.legacy_answer(visit, request, body, answers, accepted).await.map(|(reply, _)| reply)
    }

    /// A new session. A session that the client names besides is left alone: it is one that ended, or the client forgot it.
    async fn initialize(&self, request: &Parts, client: &Principal, body: Bytes) -> Result<Reply, Refusal> {
        let accepted = Accepted::of(&request.headers).events()?;
        let session = self.sessions.begin(Way::Streamable, client, || self.house.begin(client))?;
        let standing = session.stream(STANDING);
        standing.into_iter().for_each(|standing| drop(self.helpers.spawn(standing.pump(None))));
        // Nobody knows the session yet. If the client goes away before it is told, nobody ever will.
        let unborn = Unborn { desk: self, session: Some(&session) };
        let (mut reply, outcome) = self.legacy_answer(session.visit(), request, body, 1, accepted).await?;
        if !matches!(outcome, Some(Outgoing::Error(_))) {
            unborn.keep();
            // It is made of hexadecimal digits.
            if let Ok(id) = HeaderValue::from_str(&session.id) {
                reply.headers_mut().insert(SESSION_ID, id);
            }
        }
        Ok(reply)
    }

    /// Hands a message to the session and answers with what comes of it.
    async fn legacy_answer(
        &self,
        visit: Visit,
        request: &Parts,
        body: Bytes,
        answers: usize,
        accepted: Accepted,
    ) -> Result<(Reply, Option<Outgoing>), Refusal> {
        let session = Arc::clone(visit.session());
        let mut inbox = Inbox::new();
        session.visitor.take(body, inbox.mailbox());
        let first = match accepted.json {
            true => inbox.first(answers, self.times.settle, &self.ending).await?,
            false => First::More(None),
        };
        let first = match first {
            First::Answer(kind, answer) => return Ok((reply::json(StatusCode::OK, answer), Some(kind))),
            First::More(first) => first,
        };
        let stream = Stream::new(inbox.hand_over());
        let number = session.open(&stream);
        let reader = stream.read(None).map_err(|_| bad(codes::INTERNAL_ERROR, "the stream has ended"))?;
        self.helpers.spawn(stream.pump(first));
        let version = check_version(&request.headers).unwrap_or_default();
        Ok((self.legacy_stream(reader, number, visit, version, self.ending.clone()), None))
    }

    /// The standing stream of a session, or one that the client lost.
    pub(super) fn legacy_get(&self, request: &Parts, client: &Principal) -> Result<Reply, Refusal> {
        let session = self.session(&request.headers, client)?;
        let version = check_version(&request.headers)?;
        Accepted::of(&request.headers).events()?;
        // 404 would tell the client that the session is over.
        let unknown =
            || bad(codes::INVALID_REQUEST, "the event is not one of this session, or was too long ago");
        let event = match header(&request.headers, LAST_EVENT_ID.as_str()) {
            Ok(event) => event.filter(|event| !event.is_empty()),
            Err(message) => return Err(bad(codes::INVALID_REQUEST, message)),
        };
        let (number, after) = match event {
            Some(event) => {
                let (number, after) = parse_event(&session.tag, event).ok_or_else(unknown)?;
                (number, Some(after))
            }
            None => (STANDING, None),
        };
        let stream = session.stream(number).ok_or_else(unknown)?;
        let reader = stream.read(after).map_err(|_| unknown())?;
        // Calls are given time to end; who only waits for news is sent away at once.
        let closing = if number == STANDING { &self.closing } else { &self.ending };
        Ok(self.legacy_stream(reader, number, session.visit(), version, closing.clone()))
    }

    /// The client ends its session.
    pub(super) fn legacy_delete(&self, request: &Parts, client: &Principal) -> Result<Reply, Refusal> {
        let session = self.session(&request.headers, client)?;
        check_version(&request.headers)?;
        self.sessions.end(&session);
        Ok(reply::empty(StatusCode::NO_CONTENT))
    }

    /// The session that a request names.
    fn session(&self, headers: &HeaderMap, client: &Principal) -> Result<Arc<Session>, Refusal> {
        match header(headers, SESSION_ID.as_str()) {
            Ok(Some(id)) => self.sessions.find(Way::Streamable, id, client),
            Ok(None) => Err(bad(
                codes::INVALID_REQUEST,
                "the header Mcp-Session-Id is missing; a session begins with `initialize`",
            )),
            Err(message) => Err(bad(codes::INVALID_REQUEST, message)),
        }
    }

    fn legacy_stream(
        &self,
        reader: Reader,
        number: u64,
        visit: Visit,
        version: Option<&'static Revision>,
        closing: CancellationToken,
    ) -> Reply {
        let events = LegacyEvents { reader, number, visit };
        let prime = is_primed(&events.visit, version).then(|| events.id(events.reader.at()));
        let course = Course { prime, keep_alive: self.times.keep_alive, closing, resumable: true };
        reply::events(events::stream(events, course))
    }
}

/// Ends a session whose beginning came to nothing.
struct Unborn<'a> {
    desk: &'a Desk,
    session: Option<&'a Session>,
}

impl Unborn<'_> {
    fn keep(mut self) {
        self.session = None;
    }
}

impl Drop for Unborn<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            self.desk.sessions.end(session);
        }
    }
}

struct LegacyEvents {
    reader: Reader,
    number: u64,
    visit: Visit,
}

impl LegacyEvents {
    /// The id of an event: the session's tag, the stream, the number of the message.
    fn id(&self, message: u64) -> String {
        format!("{}.{}.{message}", self.visit.session().tag, self.number)
    }
}

impl Source for LegacyEvents {
    async fn next(&mut self) -> Option<Event> {
        let (number, data) = self.reader.next().await?;
        Some(Event { label: Label::Id(self.id(number)), data })
    }
}

/// The stream and the message of an event id of this session.
fn parse_event(tag: &str, event: &str) -> Option<(u64, u64)> {
    let (stream, message) = event.strip_prefix(tag)?.strip_prefix('.')?.split_once('.')?;
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some((number(stream)?, number(message)?))
}

/// The revision that a request says it is of. It only has to be one that a session can have: that clients name the one that was
/// agreed upon is no more than advice to them, and some name always the same one.
fn check_version(headers: &HeaderMap) -> Result<Option<&'static Revision>, Refusal> {
    let Some(version) =
        header(headers, PROTOCOL_VERSION.as_str()).map_err(|message| bad(codes::INVALID_REQUEST, message))?
    else {
        return Ok(None);
    };
    let known = Revision::find_legacy(version);
    known.map(Some).ok_or_else(|| {
        let message = format!("the protocol version `{version}` is not one that this session can have");
        bad(codes::INVALID_REQUEST, message)
    })
}

/// Whether the client expects a stream to begin with an event without a message (2025-11-25, Sending Messages to the Server);
/// earlier ones take it for a message that is broken. What was agreed upon tells; before that, what the request says of itself.
fn is_primed(visit: &Visit, said: Option<&'static Revision>) -> bool {
    let revision = visit.session().visitor.revision().or(said);
    revision.is_some_and(|revision| ptr::eq(revision, Revision::newest_legacy()))
}
