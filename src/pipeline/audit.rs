//! Tells the audit log of every call: the outermost stage, so that it hears of refusals too.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::cache::canonical;
use super::redact::Hidden;
use super::{BoxFuture, Next, Outcome, Request, Stage};
use crate::audit::{Decision, Entry, Journal, NotKept, Result as Ending};
use crate::config::{AuditArguments, AuditRules, Secret};
use crate::effect::Ran;
use crate::failure::{Code, Failure};
use crate::names::ServerName;
use crate::wire::{Body, json};

/// Longer arguments stand in the log as their hash alone, whatever the config says.
const LONGEST_ARGUMENTS: usize = 64 << 10;

/// The log, and how it is to be kept: for all servers.
#[derive(Debug)]
pub struct Auditor {
    journal: Arc<Journal>,
    rules: AuditRules,
    arguments: Arguments,
}

/// What entries say of arguments.
#[derive(Debug)]
enum Arguments {
    Nothing,
    Hash,
    Without(Hidden),
}

impl Auditor {
    /// Tells this journal. `secrets` are those of the config.
    pub fn new(journal: Journal, rules: &AuditRules, secrets: &[Secret]) -> Self {
        Self::of(Arc::new(journal), rules, secrets)
    }

    /// The same that hides these secrets.
    pub fn hiding(&self, secrets: &[Secret]) -> Self {
        Self::of(Arc::clone(&self.journal), &self.rules, secrets)
    }

    fn of(journal: Arc<Journal>, rules: &AuditRules, secrets: &[Secret]) -> Self {
        let arguments = match rules.arguments {
            AuditArguments::None => Arguments::Nothing,
            AuditArguments::Hash => Arguments::Hash,
            AuditArguments::Redacted => Hidden::secrets(secrets).map_or(Arguments::Hash, Arguments::Without),
        };
        Self { journal, rules: rules.clone(), arguments }
    }

    /// Where entries go.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

/// See the module.
pub(super) struct Audit {
    server: ServerName,
    auditor: Arc<Auditor>,
}

impl Audit {
    pub(super) fn new(server: ServerName, auditor: Arc<Auditor>) -> Self {
        Self { server, auditor }
    }

    async fn run(&self, request: Box<Request>, next: Next<'_>) -> Outcome {
        let journal = &self.auditor.journal;
        let mut open = Open { entry: Some(self.entry(&request)), since: Instant::now(), journal };
        if self.auditor.rules.fails_closed
            && let Err(why) = journal.check().await
        {
            let outcome = Outcome::Failed(self.refusal(&request, &why));
            if let Some(entry) = open.close(&outcome) {
                journal.note(entry);
            }
            return outcome;
        }
        let outcome = next.run(request).await;
        let Some(entry) = open.close(&outcome) else { return outcome };
        if self.auditor.rules.fails_closed {
            // It has run, so its answer is given all the same; the next call is refused if this one could not be noted.
            let _ = journal.keep(entry).await;
        } else {
            journal.note(entry);
        }
        outcome
    }

    fn entry(&self, request: &Request) -> Entry {
        let call = &request.call;
        Entry {
            time: SystemTime::now(),
            client: call.caller.principal(),
            method: call.method.name(),
            server: self.server.clone(),
            name: request.exposed.clone(),
            original: call.label.clone(),
            effect: request.effect.word(),
            arguments: self.arguments(request),
            decision: Decision::Allowed,
            result: Ending::Cancelled,
            took: std::time::Duration::ZERO,
        }
    }

    fn arguments(&self, request: &Request) -> Option<Vec<u8>> {
        let params = request.call.params?.of(&request.call.line);
        let arguments = json::get(params, "arguments")?.of(params);
        match &self.auditor.arguments {
            Arguments::Nothing => None,
            Arguments::Without(hidden) if arguments.len() <= LONGEST_ARGUMENTS => {
                Some(hidden.changed(arguments).map_or_else(|| arguments.to_vec(), |text| text.to_vec()))
            }
            Arguments::Hash | Arguments::Without(_) => Some(hashed(arguments)),
        }
    }

    fn refusal(&self, request: &Request, why: &NotKept) -> Failure {
        let cause = format!(
            "`{}` was not sent, because the audit log cannot be written: {}",
            request.call.label, why.0
        );
        let failure = Failure::new(Code::AuditUnwritable, cause).of(&self.server).not_run();
        failure.remedy(
            "Make room on the disk, or let calls go on with `telemetry: { audit_log: { fail: open } }`",
        )
    }
}

/// Arguments that mean the same have the same hash, as far as that can be told.
fn hashed(arguments: &[u8]) -> Vec<u8> {
    let mut form = Vec::with_capacity(arguments.len());
    if canonical::push_object(&mut form, arguments, &[]).is_none() {
        form = arguments.to_vec();
    }
    [br#"{"sha256":""#, crate::wire::hex(&Sha256::digest(&form)).as_bytes(), br#""}"#].concat()
}

/// A call that the log has not been told of. Whoever drops it has given the call up.
struct Open<'a> {
    entry: Option<Entry>,
    since: Instant,
    journal: &'a Journal,
}

impl Open<'_> {
    fn close(&mut self, outcome: &Outcome) -> Option<Entry> {
        let entry = self.entry.take()?;
        let (decision, result) = match outcome {
            Outcome::Failed(failure) if failure.ran == Ran::No => {
                (Decision::Refused, Ending::Failed(failure.code.id()))
            }
            Outcome::Failed(failure) => (Decision::Allowed, Ending::Failed(failure.code.id())),
            Outcome::Reply { body: Body::Error(_), .. } => (Decision::Allowed, Ending::Error),
            Outcome::Reply { line, body: Body::Result(span), .. } => {
                let result = span.of(line);
                let says = json::get(result, "isError").is_some_and(|span| span.of(result) == b"true");
                (Decision::Allowed, if says { Ending::ToolError } else { Ending::Ok })
            }
        };
        Some(Entry { decision, result, took: self.since.elapsed(), ..entry })
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.journal.note(Entry { took: self.since.elapsed(), ..entry });
        }
    }
}

impl Stage for Audit {
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(self.run(request, next))
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").field("server", &self.server).finish_non_exhaustive()
    }
}
