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
use super::talk::{SILENCE, STUCK, Talk};
use super::{Lifecycle, RunEnd, shutdown_ordered};
use crate::backend::handshake::{self, Discovered, Greeting};
use crate::backend::link::OwnReply;
use crate::backend::{Backend, show_duration};
use crate::call::Introduction;
use crate::config::ProtocolChoice;
use crate::failure::{Code, Failure};
use crate::protocol::{Era, Revision};
use crate::transport::Over;

/// In which words a server is greeted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) first: Era,
    /// The other era is tried too.
    pub(super) tries_both: bool,
    /// Silence is only slowness.
    pub(super) is_patient: bool,
    /// The revision to speak, if the config names it.
    pub(super) pinned: Option<&'static Revision>,
    /// What is found out is to be remembered.
    pub(super) notes: bool,
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

    /// With `initialize` alone.
    fn only_initialize(self) -> Self {
        Plan { first: Era::Legacy, tries_both: false, is_patient: true, ..self }
    }
}

fn other(era: Era) -> Era {
    match era {
        Era::Legacy => Era::Modern,
        Era::Modern => Era::Legacy,
    }
}

enum Event {
    Initialize(OwnReply),
    Discover(OwnReply),
    Breaks(Sign),
    Silence,
    TooLate,
    Shutdown,
}

impl Lifecycle {
    /// The era of the clients behind us.
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
                        return Greeted::Again(plan.only_initialize(), end);
                    }
                },
                Event::TooLate => Some(Err(talk.too_late(patience))),
                Event::Shutdown => return Greeted::Not(RunEnd::Shutdown),
                Event::Breaks(sign) => {
                    let failure = early(run.broken(sign).await);
                    let is_process = run.peer.pid().is_some();
                    if is_process && plan.tries_both && !plan.is_patient {
                        // It may have ended over words that it does not know.
                        if !talk.discover.is_unsaid() && !self.tries_other_era {
                            return Greeted::Again(plan.only_initialize(), RunEnd::Fell(failure));
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
