//! What a user has to provide, as references in an entry.

use serde_json::Value;

use super::{get, text};
use crate::discovery::entry::{Text, literal};

/// Fills the `{variables}` of one remote or package.
pub(super) struct Inputs<'a> {
    variables: Option<&'a Value>,
}

impl<'a> Inputs<'a> {
    /// Those that are declared beside a value.
    pub(super) fn of(owner: &'a Value) -> Self {
        Self { variables: get(owner, "variables") }
    }

    /// The text with every `{variable}` as what is known of it: a fixed value, or a reference with its default.
    pub(super) fn fill(&mut self, template: &str) -> String {
        fill(template, |name| self.variables.and_then(|variables| variables.get(name)))
    }

    /// The value of an input (a header, an argument, a variable of the environment); `None` if it has none and needs none.
    pub(super) fn value(&mut self, input: &Value) -> Option<String> {
        if let Some(template) = text(input, "value") {
            let own = get(input, "variables");
            let outer = self.variables;
            return Some(fill(template, |name| {
                own.and_then(|own| own.get(name)).or_else(|| outer.and_then(|outer| outer.get(name)))
            }));
        }
        let is_required = get(input, "isRequired").and_then(Value::as_bool) == Some(true);
        let name = text(input, "name").or_else(|| text(input, "valueHint")).unwrap_or("value");
        match text(input, "default") {
            Some(default) => Some(reference(name, Some(default))),
            None if is_required => Some(reference(name, None)),
            None => None,
        }
    }
}

fn fill<'v>(template: &str, variable: impl Fn(&str) -> Option<&'v Value>) -> String {
    let mut filled = Text::default();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}').map(|at| open + at) else { break };
        filled.plain(&rest[..open]);
        let (name, whole) = (&rest[open + 1..close], &rest[open..=close]);
        match variable(name) {
            Some(input) => match text(input, "value") {
                Some(value) => filled.plain(value),
                None => filled.reference(&reference(name, text(input, "default")), whole),
            },
            // Undeclared, but somebody has to say what it is.
            None if is_name(name) => filled.reference(&reference(name, None), whole),
            None => filled.plain(whole),
        }
        rest = &rest[close + 1..];
    }
    filled.plain(rest);
    filled.finish()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter))
}

/// A reference to a variable of the environment that is called like the input.
fn reference(name: &str, default: Option<&str>) -> String {
    let mut variable: String = name
        .trim_start_matches('-')
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' })
        .take(64)
        .collect();
    if !variable.starts_with(|first: char| first.is_ascii_uppercase() || first == '_') {
        variable.insert(0, '_');
    }
    match default {
        Some(default) if default.contains(['{', '}']) => literal(default),
        Some(default) => format!("${{{variable}:-{default}}}"),
        None => format!("${{{variable}}}"),
    }
}
