//! Leaves a server alone that has failed too often: calls are refused at once until it has had time to recover, then one call
//! tries it, behind a handshake that must go well first. When that may be and what opens it is decided by [`Machine`], by sums over given times.
//!
//! Only failures that are the server's count. Whatever it answers, errors included, shows that it is there; what the caller
//! has done wrong, what we refuse ourselves and what the server wants to have later says nothing about its health.

mod machine;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::{Next, Outcome, Request, Trouble, show_wait};
use crate::config::BreakerRules as Rules;
use crate::failure::{Code, Failure};
use crate::names::ServerName;

use machine::{Closed, Machine};

pub(super) use machine::{Pass, Verdict};

/// See the module.
#[derive(Debug)]
pub(super) struct Breaker {
    server: ServerName,
    state: Mutex<State>,
    /// How often it has opened.
    openings: AtomicU64,
}

#[derive(Debug)]
struct State {
    machine: Machine,
    /// When it was opened or closed last.
    turned: Instant,
    /// The cause of the last failure that counted.
    last: String,
}

impl Breaker {
    pub(super) fn new(server: ServerName, rules: Rules) -> Self {
        let machine = Machine::new(rules);
        let state = State { machine, turned: Instant::now(), last: String::new() };
        Self { server, state: Mutex::new(state), openings: AtomicU64::new(0) }
    }

    /// How often it has opened since we run.
    pub(super) fn openings(&self) -> u64 {
        self.openings.load(Ordering::Relaxed)
    }

    fn opened(&self) {
        self.openings.fetch_add(1, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a call to the server, or refuses it. A call that tries the server goes there only if `handshake` says that it is
    /// there: it may be one that must not be lost in a dead pipe.
    pub(super) async fn run(
        &self,
        request: Box<Request>,
        next: Next<'_>,
        handshake: impl Future<Output = Result<(), Failure>>,
    ) -> Outcome {
        let pass = self.state().machine.admit(Instant::now());
        let pass = match pass {
            Ok(pass) => pass,
            Err(closed) => return Outcome::Failed(self.refusal(closed)),
        };
        let mut trial = Trial { breaker: self, pass, verdict: Verdict::Neither };
        if pass.is_trial
            && let Err(failure) = handshake.await
        {
            trial.verdict = Verdict::Bad;
            self.state().last.clone_from(&failure.cause);
            drop(trial);
            let closed = self.state().machine.closed(Instant::now());
            return Outcome::Failed(closed.map_or(failure.not_run(), |closed| self.refusal(closed)));
        }
        let outcome = next.run(request).await;
        trial.verdict = verdict(&outcome);
        if let (Verdict::Bad, Outcome::Failed(failure)) = (trial.verdict, &outcome) {
            self.state().last.clone_from(&failure.cause);
        }
        outcome
    }

    fn refusal(&self, closed: Closed) -> Failure {
        let failures = self.state().last.clone();
        let Closed { wait, on_trial } = closed;
        let shown = show_wait(wait);
        let when = match (on_trial, wait.is_zero()) {
            (_, true) => "the next call tries it".to_owned(),
            (false, false) => format!("it is tried again in {shown}"),
            (true, false) => format!("a call is trying it, and another one may in {shown}"),
        };
        let cause =
            format!("it has failed too often and is left alone; {when}; the last failure was: {failures}");
        let failure =
            Failure::new(Code::BreakerOpen, cause).of(&self.server).not_run().retry_after(Some(wait));
        match wait.is_zero() {
            true => failure,
            false => failure.remedy(format!("The call did not run; call again in {shown}")),
        }
    }

    /// Whether a call would be refused now.
    pub(super) fn refuses(&self, now: Instant) -> bool {
        self.state().machine.closed(now).is_some_and(|closed| !closed.wait.is_zero())
    }

    /// Opens it for a cause that no call has found. What closes it again, unless it is open anyway.
    pub(super) fn trip(&self, cause: &str) -> Option<Pass> {
        let mut state = self.state();
        let now = Instant::now();
        let pass = state.machine.trip(now, fastrand::f64())?;
        state.turned = now;
        cause.clone_into(&mut state.last);
        self.opened();
        tracing::warn!(event = "breaker.opened", server = %self.server, state = "open", cause, "circuit breaker");
        Some(pass)
    }

    /// Closes it, unless something has changed since it was [opened](Self::trip).
    pub(super) fn mend(&self, pass: Pass) {
        let mut state = self.state();
        if state.machine.mend(pass) {
            state.turned = Instant::now();
            tracing::warn!(event = "breaker.closed", server = %self.server, state = "closed", "circuit breaker");
        }
    }

    /// Closes it, whatever it knows: its owner says that the server is well. Whether it was open.
    pub(super) fn reset(&self) -> bool {
        let mut state = self.state();
        let was_open = state.machine.reset();
        if was_open {
            state.turned = Instant::now();
            tracing::warn!(event = "breaker.closed", server = %self.server, state = "closed", by = "hand", "circuit breaker");
        }
        was_open
    }

    /// What is wrong, as long as not every call is let through.
    pub(super) fn trouble(&self, now: Instant) -> Option<Trouble> {
        let (closed, since) = {
            let state = self.state();
            (state.machine.closed(now)?, state.turned)
        };
        let refuses = !closed.wait.is_zero();
        let word = if refuses && !closed.on_trial { "breaker-open" } else { "breaker-half-open" };
        Some(Trouble { word, refuses, failure: self.refusal(closed), since })
    }
}

/// In front of a server that always shakes hands.
#[cfg(test)]
impl super::Stage for Breaker {
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> super::BoxFuture<'a, Outcome> {
        Box::pin(self.run(request, next, async { Ok(()) }))
    }
}

/// A call that was let through. One that is given up says nothing, and lets another one try.
struct Trial<'a> {
    breaker: &'a Breaker,
    pass: Pass,
    verdict: Verdict,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        let mut state = self.breaker.state();
        let now = Instant::now();
        if let Some(turned) = state.machine.report(self.pass, self.verdict, now, fastrand::f64()) {
            state.turned = now;
            let server = &self.breaker.server;
            if turned == "open" {
                self.breaker.opened();
                tracing::warn!(event = "breaker.opened", %server, state = turned, "circuit breaker");
            } else {
                tracing::warn!(event = "breaker.closed", %server, state = turned, "circuit breaker");
            }
        }
    }
}

/// What an outcome says of the server's health.
pub(super) fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Reply { .. } => Verdict::Good,
        Outcome::Failed(failure) if is_servers_fault(failure.code) => Verdict::Bad,
        Outcome::Failed(_) => Verdict::Neither,
    }
}

/// Whether a call that failed in this way counts against the server. HTTP errors that may have run something come as
/// `CallOutcomeUnknown`, and those at its start as `NetServerError`; `NetStatus` are refusals: a wrong address or token, or too
/// many calls (429).
pub(super) fn is_servers_fault(code: Code) -> bool {
    matches!(
        code,
        Code::CallTimeout
            | Code::CallOutcomeUnknown
            | Code::CallUnavailable
            | Code::CallMalformed
            | Code::SpawnNotFound
            | Code::SpawnDenied
            | Code::SpawnDirectory
            | Code::SpawnResources
            | Code::ProcessExitedEarly
            | Code::ProcessExited
            | Code::ProcessCrashLoop
            | Code::ProcessWedged
            | Code::ProcessFlood
            | Code::HandshakeTimeout
            | Code::HandshakeInvalid
            | Code::HandshakeRevision
            | Code::NetUnreachable
            | Code::NetTls
            | Code::NetTimeout
            | Code::NetProtocol
            | Code::NetLost
            | Code::NetServerError
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::pipeline::testing::{Script, failed, reply, request, server};

    fn breaker() -> Breaker {
        Breaker::new(server(), Rules { failure_threshold: 2, recovery_timeout: Duration::from_secs(10) })
    }

    async fn run(breaker: &Breaker, script: &Script) -> Outcome {
        breaker.run(request("a"), Next::new(&[], script), async { Ok(()) }).await
    }

    async fn call(breaker: &Breaker, outcome: Outcome) -> (Option<Code>, bool) {
        let script = Script::of([outcome]);
        let code = match run(breaker, &script).await {
            Outcome::Reply { .. } => None,
            Outcome::Failed(failure) => Some(failure.code),
        };
        (code, script.sent() == 1)
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_refuses_tries_and_closes() {
        let breaker = breaker();
        for _ in 0..2 {
            assert_eq!(call(&breaker, failed(Code::CallTimeout)).await, (Some(Code::CallTimeout), true));
        }
        assert_eq!(call(&breaker, reply()).await, (Some(Code::BreakerOpen), false));
        let trouble = breaker.trouble(Instant::now()).expect("it is open");
        assert_eq!(
            (trouble.word, trouble.failure.retry_after),
            ("breaker-open", Some(Duration::from_secs(10)))
        );
        let text = trouble.failure.to_string();
        assert!(
            text.starts_with("server `s`: ") && text.contains("in 10s") && text.contains("scripted"),
            "{text}"
        );
        advance(Duration::from_secs(10)).await;
        assert_eq!(breaker.trouble(Instant::now()).expect("a trial is due").word, "breaker-half-open");
        assert_eq!(breaker.trouble(Instant::now()).map(|trouble| trouble.since), Some(trouble.since));
        assert_eq!(call(&breaker, reply()).await, (None, true));
        assert!(breaker.trouble(Instant::now()).is_none());
        assert_eq!(call(&breaker, failed(Code::CallTimeout)).await.0, Some(Code::CallTimeout));
        assert!(breaker.trouble(Instant::now()).is_none(), "it counts from nothing again");
    }

    #[tokio::test(start_paused = true)]
    async fn its_owner_may_close_it() {
        let breaker = breaker();
        assert!(!breaker.reset());
        for _ in 0..2 {
            call(&breaker, failed(Code::CallTimeout)).await;
        }
        assert!(breaker.refuses(Instant::now()) && breaker.reset());
        assert_eq!(call(&breaker, reply()).await, (None, true));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_the_servers_fault_does_not_count() {
        let breaker = breaker();
        for code in
            [Code::NetStatus, Code::LimitQueue, Code::AuthNeedsLogin, Code::CallTooLarge, Code::CallBusy]
        {
            for _ in 0..5 {
                assert_eq!(call(&breaker, failed(code)).await, (Some(code), true));
            }
        }
        // Nor does it count for the server.
        call(&breaker, failed(Code::CallTimeout)).await;
        call(&breaker, failed(Code::NetStatus)).await;
        call(&breaker, failed(Code::CallTimeout)).await;
        assert_eq!(call(&breaker, reply()).await.0, Some(Code::BreakerOpen));
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_is_risked_where_nobody_shakes_hands() {
        let breaker = breaker();
        for _ in 0..2 {
            call(&breaker, failed(Code::NetLost)).await;
        }
        advance(Duration::from_secs(10)).await;
        let script = Script::of([reply()]);
        let silent = async { Err(Failure::new(Code::CallTimeout, "it did not answer `ping`")) };
        let Outcome::Failed(failure) = breaker.run(request("a"), Next::new(&[], &script), silent).await
        else {
            panic!("it was let through");
        };
        assert_eq!(
            (failure.code, failure.ran, script.sent()),
            (Code::BreakerOpen, crate::effect::Ran::No, 0)
        );
        assert!(failure.cause.contains("it did not answer `ping`"), "{failure}");
        // It rests for longer than the first time, like after any other trial that fails.
        advance(Duration::from_secs(10)).await;
        assert_eq!(call(&breaker, reply()).await, (Some(Code::BreakerOpen), false));
        advance(Duration::from_secs(20)).await;
        assert_eq!(call(&breaker, reply()).await, (None, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_is_given_up_makes_room_for_another() {
        let breaker = breaker();
        for _ in 0..2 {
            call(&breaker, failed(Code::NetLost)).await;
        }
        advance(Duration::from_secs(10)).await;
        let script = Script::hangs();
        {
            let trial = run(&breaker, &script);
            tokio::pin!(trial);
            assert!(tokio::time::timeout(Duration::from_secs(1), &mut trial).await.is_err());
            assert_eq!(call(&breaker, reply()).await, (Some(Code::BreakerOpen), false));
        }
        assert_eq!(call(&breaker, reply()).await, (None, true));
    }
}
