//! What `check` finds out about one server.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::catalog::{Catalog, Note, Part};
use crate::cli::check::schemas::Fault;
use crate::failure::{Code, Failure};
use crate::status::{self, Level, Report};
use crate::trust::lock::LockedServer;
use crate::trust::{self, Severity};

/// How a server fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Everything works.
    Well,
    /// It works, but something of it cannot be used.
    Lacking,
    /// It cannot be used.
    Failed,
    /// Its owner switched it off.
    Off,
}

/// Something that looks dishonest.
pub(super) struct Suspicion {
    pub(super) kind: Part,
    /// The server's own name.
    pub(super) name: String,
    pub(super) finding: trust::Finding,
}

/// Everything about one server.
pub(super) struct Finding {
    pub(super) report: Report,
    /// From its start to its lists, or to its failure.
    pub(super) took: Option<Duration>,
    /// It has shown its lists in this run.
    pub(super) live: bool,
    /// The bytes of the definitions of its tools, as clients get them.
    pub(super) bytes: usize,
    /// The exposed names of its tools.
    pub(super) names: Vec<String>,
    /// Their definitions, in the same order.
    pub(super) definitions: Vec<Bytes>,
    /// Definitions that were repaired or held back.
    pub(super) notes: Vec<Note>,
    /// What looks dishonest: the kind and the server's own name of a definition, and what was found there.
    pub(super) suspicions: Vec<Suspicion>,
    /// What it shows, for the lock file; `None` if it has not shown everything.
    pub(super) locked: Option<LockedServer>,
    /// Schemas that cannot be used.
    pub(super) faults: Vec<Fault>,
    /// Lines on its stdout that were no messages; not all of them.
    pub(super) noise: Vec<String>,
    /// It says that it has tools, and lists none.
    pub(super) empty: bool,
    /// A list could not be fetched.
    pub(super) partial: bool,
}

impl Finding {
    pub(super) fn verdict(&self) -> Verdict {
        if self.report.level == Level::Disabled {
            Verdict::Off
        } else if !self.live || (self.report.failure.is_some() && !self.has_others()) {
            Verdict::Failed
        } else if self.report.failure.is_some()
            || self.held() > 0
            || !self.faults.is_empty()
            || self.suspicions.iter().any(|suspicion| suspicion.finding.severity == Severity::Grave)
            || self.empty
            || self.partial
        {
            Verdict::Lacking
        } else {
            Verdict::Well
        }
    }

    /// What is wrong is wrong with one of several instances, and others are well.
    fn has_others(&self) -> bool {
        !self.report.instances.is_empty() && self.report.level <= Level::Degraded
    }

    pub(super) fn is_usable(&self) -> bool {
        matches!(self.verdict(), Verdict::Well | Verdict::Lacking)
    }

    /// Nothing is wrong with it but that somebody has to log in to it.
    pub(super) fn needs_login(&self) -> bool {
        self.report.failure.as_ref().is_some_and(|failure| failure.code == Code::AuthNeedsLogin)
    }

    /// Its owner switched it off.
    pub(super) fn is_off(&self) -> bool {
        self.report.level == Level::Disabled
    }

    pub(super) fn held(&self) -> usize {
        self.notes.iter().filter(|note| note.is_held()).count()
    }

    pub(super) fn repaired(&self) -> usize {
        self.notes.iter().filter(|note| note.code == Code::ToolRepaired).count()
    }

    /// How many definitions look dishonest.
    pub(super) fn suspicious(&self) -> usize {
        let grave = self.suspicions.iter().filter(|one| one.finding.severity == Severity::Grave);
        grave.map(|one| (one.kind.noun(), one.name.as_str())).collect::<std::collections::HashSet<_>>().len()
    }

    /// Its tools by exposed name, with their definitions.
    pub(super) fn tools(&self) -> impl Iterator<Item = (String, Bytes)> {
        self.names.iter().cloned().zip(self.definitions.iter().cloned())
    }

    /// An estimate: a token is about four bytes of JSON.
    pub(super) fn tokens(&self) -> usize {
        self.bytes / 4
    }

    /// The failure without the last words, which are shown by themselves.
    pub(super) fn failure(&self) -> Option<Failure> {
        let failure = self.report.failure.clone()?;
        let cause = failure.cause.split("; its last words: ").next().unwrap_or_default().to_owned();
        Some(Failure { cause, server: None, ..failure })
    }

    pub(super) fn to_json(&self) -> Value {
        let mut value = status::to_json(&self.report);
        let word = match self.verdict() {
            Verdict::Well => "ok",
            Verdict::Lacking => "warning",
            Verdict::Failed => "failed",
            Verdict::Off => "disabled",
        };
        let note = |note: &Note| json!({ "kind": note.kind.noun(), "name": note.original, "code": note.code.id(), "text": note.text });
        let fault = |fault: &Fault| json!({ "tool": fault.tool, "member": fault.member, "text": fault.text });
        value["verdict"] = word.into();
        value["seconds"] = self.took.map(|took| took.as_millis() as f64 / 1000.0).into();
        value["tokens"] = self.tokens().into();
        value["notes"] = self.notes.iter().map(note).collect();
        value["schemas"] = self.faults.iter().map(fault).collect();
        let suspicion = |one: &Suspicion| {
            let mut value = one.finding.to_json();
            value["kind"] = one.kind.noun().into();
            value["name"] = one.name.as_str().into();
            value
        };
        value["findings"] = self.suspicions.iter().map(suspicion).collect();
        value["lists_complete"] = (!self.partial).into();
        value["noise_lines"] = self.noise.clone().into();
        value
    }
}

/// The notes about one server.
pub(super) fn notes_of(catalog: &Catalog, server: &str) -> Vec<Note> {
    catalog.notes().iter().filter(|note| note.server.as_str() == server).cloned().collect()
}
