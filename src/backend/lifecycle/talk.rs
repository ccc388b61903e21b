//! What is going on between us and a server that has not been greeted yet: what it was asked, what it said, what to ask next.

use std::future::pending;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::greet::Plan;
use crate::backend::handshake::{self, Discovered, Greeting};
use crate::backend::link::OwnReply;
use crate::backend::{Backend, show_duration};
use crate::call::Introduction;
use crate::failure::{Code, Failure};
use crate::protocol::{Era, Revision};

/// A server that does not know what it was asked may say nothing at all; after this long it is asked in other words.
pub(super) const SILENCE: Duration = Duration::from_secs(3);
/// A server that said nothing to a question of the modern era, and nothing to `initialize` after it, for this long may wait
/// for ever behind the first one: it gets a new start without it.
pub(super) const STUCK: Duration = Duration::from_secs(10);

/// A question that has been put to the server, or has been answered in a way that leads no further.
#[derive(Default)]
pub(super) enum Line {
    #[default]
    Unsaid,
    Open(oneshot::Receiver<OwnReply>),
    Refused(Failure),
}

impl Line {
    /// Resolves with the answer to an open question. Cancel safe.
    pub(super) async fn answer(&mut self) -> OwnReply {
        match self {
            Line::Open(answer) => answer
                .await
                .unwrap_or_else(|_| Err(Failure::new(Code::CallUnavailable, "it ended before it answered"))),
            Line::Unsaid | Line::Refused(_) => pending().await,
        }
    }

    pub(super) fn is_unsaid(&self) -> bool {
        matches!(self, Line::Unsaid)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self, Line::Open(_))
    }
}

/// What is going on between us and a server that has not been greeted yet.
pub(super) struct Talk<'a> {
    backend: &'a Backend,
    introduction: Introduction,
    plan: Plan,
    pub(super) initialize: Line,
    pub(super) discover: Line,
    /// The revision in which the server is asked what it speaks.
    asked: &'static Revision,
    /// When the last question was put.
    spoken: Instant,
    /// Whether what the server did says something of its era.
    pub(super) is_definite: bool,
}

impl<'a> Talk<'a> {
    pub(super) fn new(backend: &'a Backend, plan: Plan) -> Self {
        let pinned = plan.pinned.filter(|revision| revision.is_modern());
        Self {
            backend,
            introduction: backend.audience.introduction(),
            plan,
            initialize: Line::Unsaid,
            discover: Line::Unsaid,
            asked: pinned.unwrap_or_else(Revision::newest_modern),
            spoken: Instant::now(),
            is_definite: true,
        }
    }

    pub(super) fn say(&mut self, era: Era) {
        self.spoken = Instant::now();
        match era {
            Era::Legacy => {
                let pinned = self.plan.pinned.filter(|revision| !revision.is_modern());
                let params = handshake::initialize_params(&self.introduction, pinned);
                self.initialize = self.ask("initialize", &params);
            }
            Era::Modern => {
                let params = handshake::modern_params(&self.introduction, self.asked, None);
                self.discover = self.ask("server/discover", &params);
            }
        }
    }

    pub(super) fn ask(&self, method: &str, params: &[u8]) -> Line {
        match self.backend.link.request(method, Some(params)) {
            Some((_, answer)) => Line::Open(answer),
            None => Line::Refused(Failure::new(Code::CallUnavailable, "it is not running")),
        }
    }

    /// When silence says something, if it still can.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        if self.plan.is_patient || !self.plan.tries_both {
            return None;
        }
        match (&self.initialize, &self.discover) {
            (Line::Unsaid, _) | (_, Line::Unsaid) => Some(self.spoken + SILENCE),
            (Line::Open(_), Line::Open(_)) if self.plan.first == Era::Modern => Some(self.spoken + STUCK),
            _ => None,
        }
    }

    /// The era that has not been tried, if it may be.
    pub(super) fn untried(&self) -> Option<Era> {
        let untried = match (self.initialize.is_unsaid(), self.discover.is_unsaid()) {
            (true, _) => Era::Legacy,
            (_, true) => Era::Modern,
            (false, false) => return None,
        };
        self.plan.tries_both.then_some(untried)
    }

    /// Goes on after a question has been refused. `Some` if nothing is left to hope for.
    pub(super) fn go_on(&mut self) -> Option<Failure> {
        if let Some(untried) = self.untried() {
            self.say(untried);
            return None;
        }
        if self.initialize.is_open() || self.discover.is_open() {
            return None;
        }
        match (&self.initialize, &self.discover) {
            (Line::Refused(failure), _) | (_, Line::Refused(failure)) => Some(failure.clone()),
            _ => Some(Failure::new(Code::HandshakeInvalid, "it does not answer")),
        }
    }

    /// What a transport said instead of an answer. A refusal by HTTP may mean that the server does not know the era;
    /// whatever else keeps an answer from us says nothing of that.
    pub(super) fn unanswered(&mut self, failure: Failure) -> Result<Failure, Failure> {
        match failure.code {
            Code::NetStatus | Code::NetProtocol => {
                self.is_definite = false;
                Ok(failure)
            }
            _ => Err(failure),
        }
    }

    /// Takes the answer to `initialize`.
    pub(super) fn initialized(&mut self, answer: OwnReply) -> Option<Result<Greeting, Failure>> {
        let refusal = match answer {
            Ok((line, body)) => match handshake::initialized(&line, body) {
                Ok(greeting) => return Some(Ok(greeting)),
                Err(refusal) => refusal,
            },
            Err(failure) => match self.unanswered(failure) {
                Ok(failure) => failure.into(),
                Err(failure) => return Some(Err(failure)),
            },
        };
        if refusal.failure.code == Code::HandshakeRevision {
            return Some(Err(refusal.failure));
        }
        let supported = refusal.supported.unwrap_or_default();
        if let Some(revision) =
            Revision::modern().find(|known| supported.iter().any(|name| name == known.name))
        {
            self.asked = revision;
        }
        self.initialize = Line::Refused(refusal.failure);
        self.go_on().map(Err)
    }

    /// Takes the answer to `server/discover`.
    pub(super) fn discovered(&mut self, answer: OwnReply) -> Option<Result<Greeting, Failure>> {
        let failure = match answer {
            Ok((line, body)) => match handshake::discovered(&line, body, self.asked) {
                Discovered::Modern(greeting) => return Some(Ok(greeting)),
                Discovered::Foreign(failure) => return Some(Err(failure)),
                Discovered::Another(revision) => {
                    self.asked = revision;
                    self.say(Era::Modern);
                    return None;
                }
                Discovered::Legacy(failure) => failure,
            },
            Err(failure) => match self.unanswered(failure) {
                Ok(failure) => failure,
                Err(failure) => return Some(Err(failure)),
            },
        };
        self.discover = Line::Refused(failure);
        self.go_on().map(Err)
    }

    pub(super) fn too_late(&self, patience: Duration) -> Failure {
        let asked = match (self.initialize.is_unsaid(), self.discover.is_unsaid()) {
            (false, true) => "did not answer `initialize`",
            (true, false) => "did not answer `server/discover`",
            _ => "answered neither `initialize` nor `server/discover`",
        };
        let cause = format!("it {asked} within {}", show_duration(patience));
        Failure::new(Code::HandshakeTimeout, cause)
            .remedy("Raise `timeouts.start`, or run `switchboard check` to see where it hangs")
    }
}
