//! One interceptor in its place: its rules, what it has done, and what its failures cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout};

use super::words::shorten;
use super::{CallView, Error, Event, Interceptor, Kind, Mode, Moment, Phase, Recheck, Rules, Verdict};
use crate::backend::show_duration;
use crate::config::Fail;
use crate::failure::{Code, Failure};
use crate::protocol::Method;
use crate::wire::json;

/// What an interceptor has done since we run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookTallies {
    /// Its name.
    pub name: String,
    /// How often it was asked.
    pub asked: u64,
    /// How often it said no.
    pub denied: u64,
    /// How often it had no verdict.
    pub failed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    asked: AtomicU64,
    denied: AtomicU64,
    failed: AtomicU64,
}

impl Tally {
    pub(super) fn read(&self, name: &str) -> HookTallies {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        HookTallies {
            name: name.to_owned(),
            asked: read(&self.asked),
            denied: read(&self.denied),
            failed: read(&self.failed),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Hook {
    pub(super) rules: Arc<Rules>,
    pub(super) interceptor: Arc<dyn Interceptor>,
    pub(super) tally: Arc<Tally>,
}

/// Why there is no verdict.
#[derive(Debug)]
pub(super) enum Lack {
    /// It failed.
    Failed(String),
    /// It was not done in this time.
    Late(Duration),
}

impl Hook {
    pub(super) fn priority(&self) -> i32 {
        self.rules.priority.unwrap_or_default()
    }

    pub(super) fn mode(&self) -> Mode {
        self.rules.mode.unwrap_or_default()
    }

    /// Asks it. Pauses are made here, so that a verdict says what to do at once.
    ///
    /// # Errors
    /// It says no, or it has no verdict and nothing may pass without one.
    pub(super) async fn ask(
        &self,
        call: &CallView,
        moment: &Moment,
        deadline: Instant,
        recheck: Option<&Recheck>,
    ) -> Result<Verdict, Failure> {
        self.tally.asked.fetch_add(1, Ordering::Relaxed);
        let verdict = match self.verdict(call, moment).await {
            Ok(verdict) => self.fitting(verdict, call, moment, deadline, recheck),
            Err(lack) => Err(lack),
        };
        match verdict {
            Ok(Verdict::Deny(reason)) => {
                self.tally.denied.fetch_add(1, Ordering::Relaxed);
                Err(self.denied(&reason, call, moment.phase()))
            }
            Ok(Verdict::Delay(pause)) => {
                sleep_until(Instant::now() + pause).await;
                Ok(Verdict::Pass)
            }
            Ok(verdict) => Ok(verdict),
            Err(lack) => self.lacking(&lack, call, moment.phase()).map_or(Ok(Verdict::Pass), Err),
        }
    }

    /// Asks it for the log alone.
    pub(super) async fn audit(&self, call: &CallView, moment: &Moment) {
        self.tally.asked.fetch_add(1, Ordering::Relaxed);
        let (name, tool) = (&self.rules.name, &call.exposed);
        match self.verdict(call, moment).await {
            Ok(Verdict::Deny(reason)) => {
                self.tally.denied.fetch_add(1, Ordering::Relaxed);
                let reason = shorten(&reason);
                tracing::info!(interceptor = name, %tool, reason, "an auditing interceptor would have refused a call");
            }
            Ok(Verdict::Change(_) | Verdict::Answer(_)) => {
                tracing::info!(interceptor = name, %tool, "an auditing interceptor would have changed a call");
            }
            Ok(Verdict::Pass | Verdict::Delay(_)) => {}
            Err(lack) => {
                self.tally.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(event = "interceptor.failed", interceptor = name, %tool, why = lack.text(), "an auditing interceptor failed");
            }
        }
    }

    async fn verdict(&self, call: &CallView, moment: &Moment) -> Result<Verdict, Lack> {
        let patience = self.rules.timeout.saturating_add(self.interceptor.warm_up());
        let asked = match moment {
            Moment::Before => self.interceptor.before(call),
            Moment::After(result) => self.interceptor.after(call, result),
            Moment::Error(error) => self.interceptor.error(call, error),
        };
        // Who has a clock of his own tells better what became of the question.
        let is_late = |failure: &Failure| matches!(failure.code, Code::CallTimeout | Code::NetTimeout);
        let failed = |error: Error| match error.downcast_ref().is_some_and(is_late) {
            true => Lack::Late(self.rules.timeout),
            false => Lack::Failed(shorten(&error.to_string())),
        };
        match timeout(patience, asked).await {
            Ok(verdict) => verdict.map_err(failed),
            Err(_) => Err(Lack::Late(patience)),
        }
    }

    /// Refuses what such an interceptor cannot say at such a moment.
    fn fitting(
        &self,
        verdict: Verdict,
        call: &CallView,
        moment: &Moment,
        deadline: Instant,
        recheck: Option<&Recheck>,
    ) -> Result<Verdict, Lack> {
        let nonsense = |why: &str| Err(Lack::Failed(why.to_owned()));
        let phase = moment.phase();
        match &verdict {
            Verdict::Change(_) | Verdict::Answer(_) if self.rules.kind == Kind::Validation => {
                return nonsense("it only validates, and wants to change something");
            }
            Verdict::Change(_) if phase == Phase::Error => {
                return nonsense("an error cannot be changed, only answered with a result");
            }
            Verdict::Change(_)
                if phase == Phase::Before && call.event == Event::Request(Method::ResourcesRead) =>
            {
                return nonsense("a resource has no arguments that could be changed");
            }
            Verdict::Change(_) if phase == Phase::Before && call.event.is_list() => {
                return nonsense("a list has no arguments that could be changed");
            }
            Verdict::Change(new) | Verdict::Answer(new) => {
                let is_arguments = phase == Phase::Before && matches!(verdict, Verdict::Change(_));
                check_object(new).map_err(Lack::Failed)?;
                if !is_arguments {
                    let before = if let Moment::After(result) = moment { Some(&result[..]) } else { None };
                    call.event.check_result(new, before).map_err(Lack::Failed)?;
                }
                let new_phase = if is_arguments { Phase::Before } else { Phase::After };
                if let Some(recheck) = recheck {
                    let fault =
                        |why: String| Lack::Failed(format!("what it has changed is not valid: {why}"));
                    recheck(call, new_phase, new).map_err(fault)?;
                }
            }
            Verdict::Delay(pause) if Instant::now().checked_add(*pause).is_none_or(|end| end > deadline) => {
                return nonsense(match call.event {
                    Event::Request(Method::List(_)) => "it wants a list to wait for more than 5s",
                    Event::Request(_) => {
                        "it wants the call to wait longer than it may take (`timeouts.total`)"
                    }
                    Event::Ask(_) => "it wants a question to wait for more than 60s",
                });
            }
            Verdict::Pass | Verdict::Deny(_) | Verdict::Delay(_) => {}
        }
        Ok(verdict)
    }

    /// What the want of a verdict means for the call: `None` if it goes on.
    pub(super) fn lacking(&self, lack: &Lack, call: &CallView, phase: Phase) -> Option<Failure> {
        self.tally.failed.fetch_add(1, Ordering::Relaxed);
        let (name, why) = (&self.rules.name, lack.text());
        // What has failed already cannot pass; the client is better served with the first reason.
        if phase == Phase::Error || self.rules.fail == Some(Fail::Open) {
            tracing::warn!(event = "interceptor.failed", interceptor = name, server = %call.server, tool = %call.exposed, why, "an interceptor failed; the call goes on");
            return None;
        }
        tracing::warn!(event = "interceptor.failed", interceptor = name, server = %call.server, tool = %call.exposed, why, "an interceptor failed; the call is refused");
        let code = match lack {
            Lack::Failed(_) => Code::HookFailed,
            Lack::Late(_) => Code::HookTimeout,
        };
        let cause = format!("`{}` cannot pass the interceptor `{name}`: {why}", call.exposed);
        let mend = "whoever runs Switchboard can mend it, or set `fail: open` in its entry";
        Some(settled(Failure::new(code, cause), call, phase, mend))
    }

    fn denied(&self, reason: &str, call: &CallView, phase: Phase) -> Failure {
        let cause =
            format!("the interceptor `{}` refused `{}`: {}", self.rules.name, call.exposed, shorten(reason));
        let remedy = match call.event {
            Event::Request(Method::List(_)) | Event::Ask(_) => "it will be refused again",
            Event::Request(_) => "change the call as the reason asks; the same call will be refused again",
        };
        settled(Failure::new(Code::HookDenied, cause), call, phase, remedy)
    }
}

/// Says what is known of what is refused.
fn settled(failure: Failure, call: &CallView, phase: Phase, remedy: &str) -> Failure {
    let failure = if call.event.is_list() { failure } else { failure.of(&call.server) };
    match (call.event, phase) {
        (Event::Request(Method::List(_)), _) => {
            failure.not_run().remedy(format!("It is not shown; {remedy}"))
        }
        (Event::Ask(_), Phase::After) => {
            failure.remedy(format!("It was answered, and the answer is withheld; {remedy}"))
        }
        (Event::Ask(_), _) => failure.remedy(format!("The client was not asked; {remedy}")),
        (_, Phase::Before) => failure.not_run().remedy(format!("It did not run; {remedy}")),
        (_, Phase::After) => failure.remedy(format!("It has run, and its result is withheld; {remedy}")),
        (_, Phase::Error) => failure.remedy(format!("It has no result; {remedy}")),
    }
}

impl Lack {
    fn text(&self) -> String {
        match self {
            Self::Failed(why) => why.clone(),
            Self::Late(patience) => format!("it gave no verdict within {}", show_duration(*patience)),
        }
    }
}

/// Whether a text is a JSON object, and nothing else.
fn check_object(text: &Bytes) -> Result<(), String> {
    let is_whole = json::check(text).is_ok_and(|span| span.start == 0 && span.end == text.len());
    match is_whole && std::str::from_utf8(text).is_ok() && json::kind(text) == json::Kind::Object {
        true => Ok(()),
        false => Err("what it wants to put in the place is not a JSON object".to_owned()),
    }
}
