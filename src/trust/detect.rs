//! Looks for what does not belong into a definition: text that nobody sees, words that give the model orders, claims that
//! contradict each other.
//!
//! A definition is read by a model as if its owner had written it, so whoever writes one can try to steer the model. What
//! is found is a hint and no proof. [`Severity::Grave`] is kept for what honest definitions do not have; everything else is
//! a [`Severity::Note`], which never holds anything back. The time is in proportion to the text.

mod claims;
mod hidden;
mod phrases;
mod references;

use std::fmt;

use serde_json::{Value, json};

use super::definition::Definition;
use crate::wire::unseen::unseen;

pub use references::Neighbours;
pub(super) use references::{Word, words};

/// The most findings about one definition: more say no more.
const MAX_FINDINGS: usize = 24;
/// Letters around what was found.
const AROUND: usize = 48;
/// Texts longer than this are worth a note, in bytes: a model reads them in every conversation.
const LONG: usize = 8 * 1024;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Honest definitions do not have it.
    Grave,
}

impl Severity {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Grave => "grave",
        }
    }
}

/// Something that does not belong into a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is, by a name that stays: `hidden-tags`, `instructions-override`.
    pub id: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// Where it stands, as a JSON Pointer (RFC 6901).
    pub place: String,
    /// The text around it, safe to print: what nobody sees is written as `‹U+202E›`.
    pub excerpt: String,
}

impl Finding {
    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({ "id": self.id, "severity": self.severity.word(), "place": self.place, "excerpt": self.excerpt })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.id, self.place, self.excerpt)
    }
}

/// A text of a definition and where it stands.
struct Text<'a> {
    place: &'a str,
    text: &'a str,
    /// It is the name of a member, not its value.
    is_key: bool,
}

impl Text<'_> {
    /// A finding at this byte of the text.
    fn finding(&self, id: &'static str, severity: Severity, at: usize) -> Finding {
        Finding { id, severity, place: safe(self.place, 0, 160), excerpt: safe(self.text, at, 2 * AROUND) }
    }
}

/// Everything that is found in a definition, the gravest first.
pub fn detect(definition: &Definition) -> Vec<Finding> {
    let mut findings = claims::contradictions(definition);
    let mut orders = phrases::Orders::default();
    let place = format!("/{}", definition.id_key());
    let name = Text { place: &place, text: &definition.name, is_key: true };
    hidden::look(&name, &mut findings);
    for (member, value) in &definition.members {
        let mut place = format!("/{}", escape(member));
        each_text(value, &mut place, &mut |text| {
            if findings.len() > 4 * MAX_FINDINGS {
                return;
            }
            hidden::look(text, &mut findings);
            orders.look(text);
            if text.text.len() > LONG {
                findings.push(text.finding("long-text", Severity::Note, 0));
            }
        });
    }
    findings.extend(orders.findings());
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings.truncate(MAX_FINDINGS);
    findings
}

/// Every string of a value, the names of members among them. The depth is that of the value, which its parser has bounded.
fn each_text(value: &Value, place: &mut String, look: &mut impl FnMut(&Text<'_>)) {
    match value {
        Value::String(text) => look(&Text { place, text, is_key: false }),
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                below(place, &index.to_string(), |place| each_text(element, place, look));
            }
        }
        Value::Object(members) => {
            for (key, value) in members {
                below(place, key, |place| {
                    look(&Text { place, text: key, is_key: true });
                    each_text(value, place, look);
                });
            }
        }
        _ => {}
    }
}

fn below(place: &mut String, step: &str, then: impl FnOnce(&mut String)) {
    let length = place.len();
    place.push('/');
    place.push_str(&escape(step));
    then(place);
    place.truncate(length);
}

/// RFC 6901, 3. A name of some kilobytes is cut: a place is there to be read.
fn escape(step: &str) -> String {
    step.chars().take(80).collect::<String>().replace('~', "~0").replace('/', "~1")
}

/// Some letters of a text from a little before `at`, on one line, with what nobody sees made visible.
pub(super) fn safe(text: &str, at: usize, length: usize) -> String {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let before: Vec<(usize, char)> =
        text.get(..at).unwrap_or_default().char_indices().rev().take(AROUND / 2).collect();
    let start = before.last().map_or(at, |(at, _)| *at);
    let rest = text.get(start..).unwrap_or_default();
    let mut out = String::new();
    if start > 0 {
        out.push('…');
    }
    let mut letters = rest.chars();
    for letter in letters.by_ref().take(length) {
        match letter {
            '\n' | '\r' | '\t' => out.push(' '),
            _ if unseen(letter).is_some() => out.push_str(&format!("‹U+{:04X}›", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    if letters.next().is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests;
