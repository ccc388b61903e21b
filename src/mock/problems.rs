//! What is wrong with a script: every problem at once, each with its place and, where one is near, a suggestion.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::node::{Entry, Kind, Node, Place};
use super::template::parse_size;

/// One thing that is wrong with a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, without a final period.
    pub message: String,
    /// What would do, if that can be said.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.place.line, self.place.column, self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// A script that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// At least one problem, in the order of the script.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ScriptError {}

/// Collects problems while a script is read, so that reading goes on after the first.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, place: Place, message: impl Into<String>) {
        self.add_with_help(place, message, None);
    }

    pub(super) fn add_with_help(&mut self, place: Place, message: impl Into<String>, help: Option<String>) {
        let problem = Problem { place, message: message.into(), help };
        // A base that several `runs` share is read once for each of them.
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// A key that nobody knows, with the nearest one that somebody does.
    pub(super) fn unknown(&mut self, entry: &Entry, known: &[&str]) {
        let nearest = known
            .iter()
            .map(|candidate| (strsim::jaro_winkler(candidate, &entry.key), candidate))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(likeness, _)| *likeness > 0.75);
        let help = match nearest {
            Some((_, candidate)) => format!("did you mean `{candidate}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.add_with_help(entry.place, format!("unknown key `{}`", entry.key), Some(help));
    }

    pub(super) fn finish<T>(mut self, value: T) -> Result<T, ScriptError> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort_by_key(|problem| problem.place);
        Err(ScriptError { problems: self.0 })
    }

    // === Reading simple values; a wrong one is noted and yields nothing ===

    fn expected<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        let found = match &node.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Scalar { text, .. } if text.chars().count() <= 40 => format!("`{text}`"),
            Kind::Scalar { .. } => "a long text".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        };
        self.add(node.place, format!("expected {what}, found {found}"));
        None
    }

    pub(super) fn text(&mut self, node: &Node) -> Option<String> {
        match &node.kind {
            Kind::Scalar { text, .. } => Some(text.clone()),
            _ => self.expected(node, "a text"),
        }
    }

    pub(super) fn texts(&mut self, node: &Node) -> Vec<String> {
        match &node.kind {
            Kind::List(items) => items.iter().filter_map(|item| self.text(item)).collect(),
            Kind::Scalar { text, .. } => vec![text.clone()],
            _ => self.expected(node, "a list of texts").unwrap_or_default(),
        }
    }

    pub(super) fn flag(&mut self, node: &Node) -> Option<bool> {
        match &node.kind {
            Kind::Scalar { text, .. } if text == "true" => Some(true),
            Kind::Scalar { text, .. } if text == "false" => Some(false),
            _ => self.expected(node, "`true` or `false`"),
        }
    }

    /// A step that is only ever switched on.
    pub(super) fn switch(&mut self, node: &Node) -> Option<()> {
        match self.flag(node)? {
            true => Some(()),
            false => self.expected(node, "`true`"),
        }
    }

    pub(super) fn number(&mut self, node: &Node) -> Option<u64> {
        match &node.kind {
            Kind::Scalar { text, .. } if text.parse::<u64>().is_ok() => text.parse().ok(),
            _ => self.expected(node, "a whole number"),
        }
    }

    pub(super) fn exit_code(&mut self, node: &Node) -> Option<u8> {
        match &node.kind {
            Kind::Scalar { text, .. } if text.parse::<u8>().is_ok() => text.parse().ok(),
            _ => self.expected(node, "an exit code from 0 to 255"),
        }
    }

    pub(super) fn size(&mut self, node: &Node) -> Option<u64> {
        match &node.kind {
            Kind::Scalar { text, .. } if parse_size(text).is_some() => parse_size(text),
            _ => self.expected(node, "a size such as `64KiB` or `5MiB`"),
        }
    }

    pub(super) fn duration(&mut self, node: &Node) -> Option<Duration> {
        match &node.kind {
            Kind::Scalar { text, .. } if parse_duration(text).is_some() => parse_duration(text),
            _ => self.expected(node, "a duration such as `100ms` or `2s`"),
        }
    }

    pub(super) fn list<'n>(&mut self, node: &'n Node) -> &'n [Node] {
        match &node.kind {
            Kind::List(items) => items,
            Kind::Null => &[],
            _ => self.expected(node, "a list").unwrap_or_default(),
        }
    }

    pub(super) fn map<'n>(&mut self, node: &'n Node) -> &'n [Entry] {
        match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => &[],
            _ => self.expected(node, "a mapping").unwrap_or_default(),
        }
    }

    /// A mapping of any members, as JSON.
    pub(super) fn object(&mut self, node: &Node) -> Map<String, Value> {
        self.map(node).iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, node: &Node, choices: &[(&str, T)]) -> Option<T> {
        let found = match &node.kind {
            Kind::Scalar { text, .. } => {
                choices.iter().find(|(word, _)| word == text).map(|(_, value)| *value)
            }
            _ => None,
        };
        let words = choices.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        found.or_else(|| self.expected(node, &format!("one of {words}")))
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit.trim() {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}
