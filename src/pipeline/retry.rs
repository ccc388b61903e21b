//! Sends a call again that has failed, if that does no harm and may help.
//!
//! Whether it does harm is for [`may_repeat`] alone. Whether it may help is known by the code of the failure. All attempts end
//! by the call's deadline, and a budget bounds how many calls are repeated: a server in trouble is not buried under
//! repetitions of what it could not do once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::{BoxFuture, Next, Outcome, Request, Stage};
use crate::config::Retry as Rules;
use crate::effect::{Effect, Ran, may_repeat};
use crate::failure::{Code, Failure};
use crate::names::ServerName;

/// See the module.
#[derive(Debug)]
pub(super) struct Retry {
    server: ServerName,
    rules: Rules,
    budget: Mutex<Budget>,
    /// How often a call was sent again.
    repeats: AtomicU64,
}

/// How many repetitions are allowed, in tenths: each call earns one tenth, each repetition costs a whole. Calls of better days are
/// put by, so that all that a busy server was doing when it died can be repeated.
#[derive(Debug)]
struct Budget(u32);

impl Budget {
    const WHOLE: u32 = 10;
    const FIRST: u32 = 10 * Self::WHOLE;
    const MOST: u32 = 100 * Self::WHOLE;

    fn earn(&mut self) {
        self.0 = (self.0 + 1).min(Self::MOST);
    }

    fn spend(&mut self) -> bool {
        let left = self.0.checked_sub(Self::WHOLE);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// Why a call is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivenUp {
    /// It must not be, or it would not help.
    Pointless,
    /// There were as many attempts as there may be.
    Attempts,
    /// The next one would begin too late.
    Deadline,
    /// Too many calls are being repeated.
    Budget,
}

impl Retry {
    pub(super) fn new(server: ServerName, rules: Rules) -> Self {
        Self { server, rules, budget: Mutex::new(Budget(Budget::FIRST)), repeats: AtomicU64::new(0) }
    }

    /// How often a call was sent again since we run.
    pub(super) fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    fn budget<T>(&self, change: impl FnOnce(&mut Budget) -> T) -> T {
        change(&mut self.budget.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn run(&self, mut request: Box<Request>, next: Next<'_>) -> Outcome {
        self.budget(Budget::earn);
        let mut ran = Ran::No;
        loop {
            let mut failure = match self.attempt(&request, next).await {
                Outcome::Failed(failure) => failure,
                reply => return reply,
            };
            // What a later attempt is sure of says nothing of the earlier ones.
            if failure.ran == Ran::Unknown {
                ran = Ran::Unknown;
            }
            failure.ran = ran;
            match self.pause(&request, &failure) {
                Ok(pause) => {
                    tracing::debug!(server = %self.server, tool = %request.call.label, attempt = request.attempt, ?pause, %failure, "a call will be sent again");
                    sleep(pause).await;
                    request.attempt += 1;
                    self.repeats.fetch_add(1, Ordering::Relaxed);
                }
                Err(why) => return Outcome::Failed(told(failure, request.attempt, why)),
            }
        }
    }

    /// The first attempt has all the time that its server gives it; the others have what is left.
    async fn attempt(&self, request: &Request, next: Next<'_>) -> Outcome {
        let run = next.run(Box::new(request.clone()));
        if request.attempt == 1 {
            return run.await;
        }
        timeout_at(request.deadline, run).await.unwrap_or_else(|_| {
            let cause =
                format!("`{}` was not done in time (`timeouts.total`) and was cancelled", request.call.label);
            let failure = Failure::new(Code::CallTimeout, cause).of(&self.server);
            Outcome::Failed(failure.remedy("It may still have taken effect; look before you repeat it"))
        })
    }

    /// How long to wait before the call is sent again.
    fn pause(&self, request: &Request, failure: &Failure) -> Result<Duration, GivenUp> {
        let Request { effect, attempt, deadline, .. } = *request;
        let left = deadline.saturating_duration_since(Instant::now());
        let pause = pause(&self.rules, effect, failure, attempt, left, fastrand::f64())?;
        self.budget(Budget::spend).then_some(pause).ok_or(GivenUp::Budget)
    }
}

impl Stage for Retry {
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(self.run(request, next))
    }
}

/// The pause after an attempt has failed: a random part of what doubles each time (`random` is from 0 to 1), but not less than
/// the server asks for.
fn pause(
    rules: &Rules,
    effect: Effect,
    failure: &Failure,
    attempt: u32,
    left: Duration,
    random: f64,
) -> Result<Duration, GivenUp> {
    if !may_repeat(effect, failure.ran) || !may_pass(failure.code) {
        return Err(GivenUp::Pointless);
    }
    if attempt >= rules.max_attempts {
        return Err(GivenUp::Attempts);
    }
    let doubled = 1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
    let longest = rules.base_delay.saturating_mul(doubled).min(rules.max_delay);
    let pause = longest.mul_f64(random).max(failure.retry_after.unwrap_or_default());
    if pause < left { Ok(pause) } else { Err(GivenUp::Deadline) }
}

/// Whether the same call may go better in a moment. Refusals of ours for want of room are not repeated: that is what they are
/// there to prevent.
fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::CallTimeout
            | Code::CallOutcomeUnknown
            | Code::CallUnavailable
            | Code::CallMalformed
            | Code::ProcessExitedEarly
            | Code::ProcessExited
            | Code::ProcessCrashLoop
            | Code::ProcessWedged
            | Code::ProcessFlood
            | Code::SpawnResources
            | Code::HandshakeTimeout
            | Code::HandshakeInvalid
            | Code::NetUnreachable
            | Code::NetTimeout
            | Code::NetStatus
            | Code::NetServerError
            | Code::NetProtocol
            | Code::NetLost
    )
}

/// The failure that the client gets, which says how often the call was tried.
fn told(failure: Failure, attempts: u32, why: GivenUp) -> Failure {
    let mut cause = failure.cause.clone();
    if attempts > 1 {
        cause.push_str(&format!("; it was tried {attempts} times"));
    }
    match why {
        GivenUp::Pointless | GivenUp::Attempts => {}
        GivenUp::Deadline => cause.push_str("; no time is left for another try (`timeouts.total`)"),
        GivenUp::Budget => {
            cause.push_str(
                "; it was not tried again, because too many calls to this server are being repeated",
            );
        }
    }
    Failure { cause, ..failure }
}

#[cfg(test)]
mod tests;
