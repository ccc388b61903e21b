//! What waits for a person: definitions that changed, that are new, or that look dishonest.

use serde_json::{Map, Value};

use super::definition::Definition;
use super::detect::{Finding, Neighbours, Severity, detect, words};
use super::pins::{Pins, Standing};
use crate::catalog::Part;
use crate::config::{Answer, DefinitionRules};
use crate::names::ServerName;

/// Something to decide about one version of a definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Whose it is.
    pub server: ServerName,
    /// The definition.
    pub definition: Definition,
    /// What was good before; `None` if there was nothing.
    pub before: Option<Map<String, Value>>,
    /// Why somebody should look.
    pub reason: Reason,
    /// What looks dishonest, even if it is not the reason.
    pub findings: Vec<Finding>,
    /// Whether it is held back until somebody approves it.
    pub holds: bool,
    /// Since when it waits, in seconds since 1970.
    pub since: u64,
}

/// Why somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is another one than before.
    Changed,
    /// It was not there before.
    New,
    /// It looks dishonest.
    Suspicious,
}

impl Reason {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Changed => "changed",
            Reason::New => "new",
            Reason::Suspicious => "suspicious",
        }
    }
}

/// What waits of one server.
pub type Cases = Vec<Case>;

/// Why a definition in this standing needs somebody, if it does.
pub(super) fn reason(
    rules: DefinitionRules,
    standing: Standing,
    is_known: bool,
    findings: &[Finding],
) -> Option<(Reason, Answer)> {
    if standing == Standing::Approved {
        return None;
    }
    let change =
        (standing == Standing::Waiting).then_some(rules.changes).filter(|answer| *answer != Answer::Allow);
    let worst = findings.iter().map(|finding| finding.severity).max();
    let finding = match (worst, rules.findings) {
        (None, _) | (_, Answer::Allow) => None,
        (Some(Severity::Grave), answer) => Some(answer),
        (Some(Severity::Note), _) => Some(Answer::Flag),
    };
    let word = if is_known { Reason::Changed } else { Reason::New };
    match (change, finding) {
        // What holds it back is told first.
        (Some(Answer::Flag), Some(Answer::Hold)) | (None, Some(_)) => {
            finding.map(|answer| (Reason::Suspicious, answer))
        }
        (change, _) => change.map(|answer| (word, answer)),
    }
}

/// Everything that waits in the pins of one server.
pub fn cases(server: &ServerName, rules: DefinitionRules, pins: &Pins, neighbours: &Neighbours) -> Cases {
    let mut cases = Cases::new();
    for kind in Part::ALL {
        for (name, pin) in pins.of(kind) {
            for version in pin.versions().iter().filter(|version| version.standing != Standing::Approved) {
                let definition = Definition::new(kind, name.to_owned(), version.definition.clone());
                let findings = match rules.findings {
                    Answer::Allow => Vec::new(),
                    _ => examine(server, &definition, neighbours),
                };
                let before = pin.last_good().filter(|good| good.digest != version.digest);
                let found = reason(rules, version.standing, before.is_some(), &findings);
                // Notes are shown and ask for nothing.
                let Some((reason, answer)) = found else { continue };
                let is_grave = findings.iter().any(|finding| finding.severity == Severity::Grave);
                if reason == Reason::Suspicious && !is_grave {
                    continue;
                }
                cases.push(Case {
                    server: server.clone(),
                    definition,
                    before: before.map(|good| good.definition.clone()),
                    reason,
                    findings,
                    holds: answer == Answer::Hold,
                    since: version.since,
                });
            }
        }
    }
    cases
}

/// What looks dishonest in a definition, among other servers' tools.
pub fn examine(server: &ServerName, definition: &Definition, neighbours: &Neighbours) -> Vec<Finding> {
    let mut findings = detect(definition);
    let references = neighbours.look(server, &words(definition), gives_orders(&findings));
    findings.extend(references);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// Whether any finding is about orders to the model.
pub(super) fn gives_orders(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.id.starts_with("instructions-"))
}

/// The noun of a kind and the name.
pub(super) fn title(kind: Part, name: &str) -> String {
    kind.title(&super::detect::safe(name, 0, 64))
}

/// The command that approves a definition, for people and their shells.
pub fn command(server: &ServerName, name: &str) -> String {
    let what = super::detect::safe(&format!("{server}/{name}"), 0, 160);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@".contains(letter);
    if what.chars().all(plain) {
        format!("switchboard approve {what}")
    } else {
        format!("switchboard approve '{}'", what.replace('\'', "'\\''"))
    }
}
