//! References to variables, in the spellings of other programs, said as ours are.

use serde_json::{Map, Value};

use crate::discovery::entry::{Text, literal};

/// How values refer to variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Not at all: `${X}` is a text.
    Literal,
    /// As in our own config.
    Ours,
    /// `${VAR}`, `${VAR:-default}`.
    Braces,
    /// `${env:VAR}`, `${userHome}`, `${workspaceFolder}`, `${input:id}`, `${file:path}`.
    Named,
    /// `$VAR` and `${VAR}`.
    Dollar,
    /// `{env:VAR}`, `{file:path}`.
    Curly,
}

/// Says references of one style as ours, and notes what cannot be said.
pub(super) struct References {
    style: Style,
    problems: Vec<String>,
}

impl References {
    pub(super) fn new(style: Style) -> Self {
        Self { style, problems: Vec::new() }
    }

    pub(super) fn into_problems(mut self) -> Vec<String> {
        self.problems.dedup();
        self.problems
    }

    /// A text, a list or a mapping of texts.
    pub(super) fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Array(elements) => elements.iter().map(|element| self.value(element)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(key, value)| (key.clone(), self.value(value)))
                .collect::<Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    pub(super) fn text(&mut self, text: &str) -> String {
        match self.style {
            Style::Ours => text.to_owned(),
            Style::Literal => literal(text),
            Style::Curly => self.between(text, "{", |body| {
                (body.starts_with("env:") || body.starts_with("file:")).then(|| format!("${{{body}}}"))
            }),
            Style::Braces => self.between(text, "${", |body| {
                let name = body.split_once(":-").map_or(body, |(name, _)| name);
                is_variable(name).then(|| format!("${{{body}}}"))
            }),
            Style::Named => {
                let mut problems = Vec::new();
                let said = self.between(text, "${", |body| named(body, &mut problems));
                self.problems.append(&mut problems);
                said
            }
            Style::Dollar => dollars(text),
        }
    }

    /// Replaces what stands between `open` and `}`; what is no reference stays a text.
    fn between(&self, text: &str, open: &str, mut said: impl FnMut(&str) -> Option<String>) -> String {
        let mut out = Text::default();
        let mut rest = text;
        while let Some(at) = rest.find(open) {
            let body = at + open.len();
            let Some(close) = rest[body..].find('}').map(|end| body + end) else { break };
            out.plain(&rest[..at]);
            match said(&rest[body..close]) {
                Some(reference) => out.reference(&reference, &rest[at..=close]),
                None => out.plain(&rest[at..=close]),
            }
            rest = &rest[close + 1..];
        }
        out.plain(rest);
        out.finish()
    }
}

/// A reference of the editors that are built on VS Code.
fn named(body: &str, problems: &mut Vec<String>) -> Option<String> {
    match body.split_once(':') {
        Some(("env", name)) if is_variable(name) => Some(format!("${{env:{name}}}")),
        Some(("file", path)) => Some(format!("${{file:{path}}}")),
        Some(("input", id)) => {
            let variable: String = id
                .chars()
                .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' })
                .collect();
            problems.push(format!("it asks its user for `{id}` there: set `{variable}` instead"));
            Some(format!("${{{variable}}}"))
        }
        _ => match body {
            "userHome" => Some("${userHome}".to_owned()),
            "/" | "pathSeparator" => Some(std::path::MAIN_SEPARATOR.to_string()),
            "workspaceFolder" | "workspaceFolderBasename" => {
                problems.push(format!(
                    "it refers to the folder of a project (`${{{body}}}`): write the path itself"
                ));
                Some(format!("${{{body}}}"))
            }
            _ if is_variable(body) => Some(format!("${{{body}}}")),
            _ => None,
        },
    }
}

/// `$VAR` and `${VAR}`.
fn dollars(text: &str) -> String {
    let mut out = Text::default();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.plain(&rest[..at]);
        let after = &rest[at + 1..];
        let braced = after.strip_prefix('{').and_then(|body| Some((&body[..body.find('}')?], 2)));
        let bare = after
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(after.len());
        let (name, frame) = braced.unwrap_or((&after[..bare], 0));
        if is_variable(name) {
            out.reference(&format!("${{{name}}}"), &format!("${name}"));
            rest = &after[name.len() + frame..];
        } else {
            out.plain("$");
            rest = after;
        }
    }
    out.plain(rest);
    out.finish()
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_is_said_as_ours() {
        let check = |style: Style, text: &str, expected: &str| {
            assert_eq!(References::new(style).text(text), expected, "{style:?} {text}");
        };
        check(Style::Literal, "a ${X} $Y", "a $${X} $Y");
        check(Style::Ours, "${file:x} ${Y:-1}", "${file:x} ${Y:-1}");
        check(
            Style::Braces,
            "Bearer ${T:-x} ${file:/etc/passwd} ${1}",
            "Bearer ${T:-x} $${file:/etc/passwd} $${1}",
        );
        check(
            Style::Named,
            "${env:A}/${userHome}/${file:/t} ${odd!}",
            "${env:A}/${userHome}/${file:/t} $${odd!}",
        );
        check(Style::Named, "${input:my-key}", "${MY_KEY}");
        check(Style::Dollar, "$A-${B} $ $1 ${C:-d} 5$", "${A}-${B} $ $1 $${C:-d} 5$");
        check(Style::Curly, "{env:A} {file:~/t} {x} ${Y}", "${env:A} ${file:~/t} {x} $${Y}");
        check(Style::Braces, "open ${X", "open $${X");
        check(Style::Curly, "$${env:A} ${file:/etc/passwd}", "$$${env:A} $${file:/etc/passwd}");
        check(Style::Named, "${odd!}{file:x} $${env:A}", "$${odd!}{file:x} $$${env:A}");
    }

    #[test]
    fn what_cannot_be_said_is_noted() {
        let mut references = References::new(Style::Named);
        references.text("${input:key} ${workspaceFolder}/x");
        let problems = references.into_problems();
        assert!(
            problems[0].contains("set `KEY` instead") && problems[1].contains("write the path"),
            "{problems:?}"
        );
    }
}
