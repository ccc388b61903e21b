//! The first words with a server: which era it speaks, and what it says of itself.
//!
//! Where nobody knows, the server is first spoken to in the era of the clients behind us, and in the other one if it
//! refuses, stays silent or ends over it (MCP 2026-07-28, "stdio", Backward Compatibility). Whatever comes of that is
//! remembered, so that hardly any start pays for it.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::run::{Broken, Run, Sign};
use super::{Lifecycle, RunEnd, shutdown_ordered};
use crate::backend::handshake::{self, Discovered, Greeting};
use crate::backend::link::OwnReply;
use crate::backend::{Backend, show_duration};
use crate::call::Introduction;
use crate::config::ProtocolChoice;
use crate::failure::{Code, Failure};
use crate::protocol::{Era, Revision};
use crate::transport::Over;

/// A server that does not know what it was asked may say nothing at all; after this long it is asked in other words.
const SILENCE: Duration = Duration::from_secs(3);
/// A server that said nothing to a question of the modern era, and nothing to `initialize` after it, for this long may wait
/// for ever behind the first one: it gets a new start without it.
const STUCK: Duration = Duration::from_secs(10);

/// In which words a server is greeted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    first: Era,
    /// The other era is tried too.
    tries_both: bool,
    /// Silence is only slowness.
    is_patient: bool,
    /// The revision to speak, if the config names it.
    pinned: Option<&'static Revision>,
    /// What is found out is to be remembered.
    notes: bool,
}

/// What came of greeting a server.
pub(super) enum Greeted {
    /// It speaks.
    Well(Greeting),
    /// It may speak after another start, in other words.
    Again(Plan, RunEnd),
    /// It does not.
    Not(RunEnd),
}

impl Plan {
    /// How to begin with this server.
    pub(super) fn of(lifecycle: &Lifecycle) -> Self {
        let config = lifecycle.backend.config();
        let fixed = |first, pinned| Plan { first, tries_both: false, is_patient: true, pinned, notes: false };
        match &config.protocol {
            ProtocolChoice::Legacy => fixed(Era::Legacy, None),
            ProtocolChoice::Revision(name) => match Revision::find(name) {
                Some(revision) => fixed(revision.era, Some(revision)),
                None => fixed(Era::Legacy, None),
            },
            ProtocolChoice::Auto => {
                let audience = lifecycle.audience_era();
                let verdict = lifecycle.verdicts.of(&config.fingerprint(), audience);
                let guess = if lifecycle.tries_other_era { other(audience) } else { audience };
                Plan {
                    first: verdict.unwrap_or(guess),
                    tries_both: true,
                    is_patient: verdict.is_some(),
                    pinned: None,
                    notes: true,
                }
            }
        }
    }

    /// In the words of one era alone.
    fn only(self, era: Era) -> Self {
        Plan { first: era, tries_both: false, is_patient: true, ..self }
    }
}

fn other(era: Era) -> Era {
    match era {
        Era::Legacy => Era::Modern,
        Era::Modern => Era::Legacy,
    }
}

/// A question that has been put to the server, or has been answered in a way that leads no further.
#[derive(Default)]
enum Line {
    #[default]
    Unsaid,
    Open(oneshot::Receiver<OwnReply>),
    Refused(Failure),
}

impl Line {
    /// Resolves with the answer to an open question. Cancel safe.
    async fn answer(&mut self) -> OwnReply {
        match self {
            Line::Open(answer) => answer
                .await
                .unwrap_or_else(|_| Err(Failure::new(Code::CallUnavailable, "it ended before it answered"))),
            Line::Unsaid | Line::Refused(_) => pending().await,
        }
    }

    fn is_unsaid(&self) -> bool {
        matches!(self, Line::Unsaid)
    }

    fn is_refused(&self) -> bool {
        matches!(self, Line::Refused(_))
    }

    fn is_open(&self) -> bool {
        matches!(self, Line::Open(_))
    }
}

/// What is going on between us and a server that has not been greeted yet.
struct Talk<'a> {
    backend: &'a Backend,
    introduction: Introduction,
    plan: Plan,
    initialize: Line,
    discover: Line,
    /// The revision in which the server is asked what it speaks.
    asked: &'static Revision,
    /// The server has said which revision that is to be.
    was_told_a_revision: bool,
    /// When the last question was put.
    spoken: Instant,
    /// Whether what the server did says something of its era.
    is_definite: bool,
}

enum Event {
    Initialize(OwnReply),
    Discover(OwnReply),
    Breaks(Sign),
    Silence,
    TooLate,
    Shutdown,
}

impl<'a> Talk<'a> {
    fn new(backend: &'a Backend, plan: Plan) -> Self {
        let pinned = plan.pinned.filter(|revision| revision.is_modern());
        Self {
            backend,
            introduction: backend.audience.introduction(),
            plan,
            initialize: Line::Unsaid,
            discover: Line::Unsaid,
            asked: pinned.unwrap_or_else(Revision::newest_modern),
            was_told_a_revision: false,
            spoken: Instant::now(),
            is_definite: true,
        }
    }

    fn say(&mut self, era: Era) {
        self.spoken = Instant::now();
        match era {
            Era::Legacy => {
                let pinned = self.plan.pinned.filter(|revision| !revision.is_modern());
                let params = handshake::initialize_params(&self.introduction, pinned);
                self.initialize = self.ask("initialize", &params);
            }
            Era::Modern => {
                let params = handshake::modern_params(&self.introduction, self.asked, None, false);
                self.discover = self.ask("server/discover", &params);
            }
        }
    }

    fn ask(&self, method: &str, params: &[u8]) -> Line {
        match self.backend.link.request(method, Some(params)) {
            Some((_, answer)) => Line::Open(answer),
            None => Line::Refused(Failure::new(Code::CallUnavailable, "it is not running")),
        }
    }

    /// When silence says something, if it still can.
    fn silent_at(&self) -> Option<Instant> {
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
    fn untried(&self) -> Option<Era> {
        let untried = match (self.initialize.is_unsaid(), self.discover.is_unsaid()) {
            (true, _) => Era::Legacy,
            (_, true) => Era::Modern,
            (false, false) => return None,
        };
        self.plan.tries_both.then_some(untried)
    }

    /// Goes on after a question has been refused. `Some` if nothing is left to hope for.
    fn go_on(&mut self) -> Option<Failure> {
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
    fn unanswered(&mut self, failure: Failure) -> Result<Failure, Failure> {
        match failure.code {
            Code::NetStatus | Code::NetServerError | Code::NetProtocol => {
                self.is_definite = false;
                Ok(failure)
            }
            _ => Err(failure),
        }
    }

    /// Takes the answer to `initialize`.
    fn initialized(&mut self, answer: OwnReply) -> Option<Result<Greeting, Failure>> {
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
    fn discovered(&mut self, answer: OwnReply) -> Option<Result<Greeting, Failure>> {
        let failure = match answer {
            Ok((line, body)) => match handshake::discovered(&line, body) {
                Discovered::Modern(greeting) => return Some(Ok(greeting)),
                Discovered::Foreign(failure) => return Some(Err(failure)),
                Discovered::Another(revision) => {
                    // A server that refuses what it says it takes gets one more chance.
                    if self.was_told_a_revision {
                        let cause = format!(
                            "it refused `server/discover` in revision {} twice, and says that it speaks it",
                            revision.name
                        );
                        return Some(Err(Failure::new(Code::HandshakeRevision, cause)));
                    }
                    self.was_told_a_revision = true;
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

    /// Takes what the server said before it ended: its end may be noticed first.
    fn take_last_answers(&mut self) {
        if let Line::Open(answer) = &mut self.initialize
            && let Ok(answer) = answer.try_recv()
        {
            self.initialized(answer);
        }
        if let Line::Open(answer) = &mut self.discover
            && let Ok(answer) = answer.try_recv()
        {
            self.discovered(answer);
        }
    }

    fn too_late(&self, patience: Duration) -> Failure {
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

impl Lifecycle {
    /// The era that is tried first where nobody knows: that of the clients behind us, so that as little as may be has to be
    /// bridged. A server of both eras may do less in the modern one than clients of the older one are used to: its tools ask
    /// the user in ways that the modern one does not have.
    pub(super) fn audience_era(&self) -> Era {
        self.backend.audience.introduction().revision.era
    }

    /// Speaks the first words over a new connection.
    pub(super) async fn greet(&mut self, run: &mut Run, plan: Plan) -> Greeted {
        let backend = Arc::clone(&self.backend);
        let patience = backend.config().timeouts.start;
        let too_late = Instant::now() + patience;
        let mut talk = Talk::new(&backend, plan);
        talk.say(plan.first);
        loop {
            let silent_at = talk.silent_at();
            let event = tokio::select! {
                answer = talk.initialize.answer() => Event::Initialize(answer),
                answer = talk.discover.answer() => Event::Discover(answer),
                sign = run.breaks() => Event::Breaks(sign),
                () = async { match silent_at { Some(at) => sleep_until(at).await, None => pending().await } } => {
                    Event::Silence
                }
                () = sleep_until(too_late) => Event::TooLate,
                _ = shutdown_ordered(&mut self.shutdown) => Event::Shutdown,
            };
            let outcome = match event {
                Event::Initialize(answer) => talk.initialized(answer),
                Event::Discover(answer) => talk.discovered(answer),
                Event::Silence => match talk.untried() {
                    Some(untried) => {
                        talk.say(untried);
                        None
                    }
                    None => {
                        let end = RunEnd::Fell(talk.too_late(SILENCE + STUCK));
                        return Greeted::Again(plan.only(Era::Legacy), end);
                    }
                },
                Event::TooLate => Some(Err(talk.too_late(patience))),
                Event::Shutdown => return Greeted::Not(RunEnd::Shutdown),
                Event::Breaks(sign) => {
                    let failure = early(run.broken(sign).await);
                    run.read_last_lines().await;
                    talk.take_last_answers();
                    let is_process = run.peer.pid().is_some();
                    if is_process && plan.tries_both && !plan.is_patient {
                        // It refused `initialize`, and ended over that before it was asked anything else.
                        if talk.initialize.is_refused() && talk.discover.is_open() {
                            return Greeted::Again(plan.only(Era::Modern), RunEnd::Fell(failure));
                        }
                        // It may have ended over words that it does not know.
                        if !talk.discover.is_unsaid() && !self.tries_other_era {
                            return Greeted::Again(plan.only(Era::Legacy), RunEnd::Fell(failure));
                        }
                        self.tries_other_era = !self.tries_other_era;
                    }
                    Some(Err(failure))
                }
            };
            match outcome {
                None => {}
                Some(Ok(greeting)) => {
                    self.note_era(plan, Some(greeting.revision.era).filter(|_| talk.is_definite));
                    return Greeted::Well(greeting);
                }
                Some(Err(failure)) => {
                    if !is_of_the_network(&failure) {
                        self.note_era(plan, None);
                    }
                    return Greeted::Not(RunEnd::Fell(self.with_last_words(failure.of(backend.name()))));
                }
            }
        }
    }

    /// Remembers what the server speaks, or forgets what turned out to be wrong.
    fn note_era(&mut self, plan: Plan, era: Option<Era>) {
        let audience = self.audience_era();
        let fingerprint = self.backend.config().fingerprint();
        if era.is_some() {
            self.tries_other_era = false;
        }
        if plan.notes && self.verdicts.of(&fingerprint, audience) != era {
            self.verdicts.note(&fingerprint, audience, era);
        }
    }
}

impl Lifecycle {
    /// What was found out about the server is not true any more.
    pub(super) fn forget_era(&self) {
        let fingerprint = self.backend.config().fingerprint();
        self.verdicts.note(&fingerprint, self.audience_era(), None);
    }
}

/// Whether the failure says nothing of the server, but of the way to it.
fn is_of_the_network(failure: &Failure) -> bool {
    ["SB-NET-", "SB-AUTH-"].iter().any(|area| failure.code.id().starts_with(area))
}

/// What the end of a connection means before the handshake is done.
fn early(broken: Broken) -> Failure {
    match broken {
        Broken::Over(Over::Exited(exit)) => {
            Failure::new(Code::ProcessExitedEarly, format!("it {exit} before it finished its handshake"))
        }
        Broken::Over(Over::Lost(failure)) | Broken::Mute(failure) => failure,
    }
}
