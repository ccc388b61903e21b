//! The members of a body, read by name and type. All that is wrong is said at once, each with its field and what helps.

use serde_json::{Map, Value, json};

use super::code::ApiCode;
use super::refusal::{Refusal, excerpt};
use crate::wire::whole;
use http::StatusCode;

/// See the module. Whoever reads takes what is known; [`finish`](Self::finish) judges.
#[derive(Debug)]
pub(super) struct Fields {
    members: Map<String, Value>,
    known: Vec<&'static str>,
    wrong: Vec<Value>,
    code: ApiCode,
}

impl Fields {
    /// The members of a body that must be a JSON object. `code` is what a wrong one is called.
    pub(super) fn read(body: &[u8], code: ApiCode) -> Result<Self, Refusal> {
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            let what = if body.is_empty() {
                "the body is empty; it must be a JSON object".to_owned()
            } else {
                format!("the body is not valid JSON: {error}")
            };
            Refusal::request(what)
        })?;
        let Value::Object(members) = value else {
            return Err(Refusal::request("the body must be a JSON object"));
        };
        Ok(Self { members, known: Vec::new(), wrong: Vec::new(), code })
    }

    /// The same of a request that may come without a body.
    pub(super) fn read_or_empty(body: &[u8], code: ApiCode) -> Result<Self, Refusal> {
        Self::read(if body.trim_ascii().is_empty() { b"{}" } else { body }, code)
    }

    /// Notes what is wrong with a field: the rest of a sentence that begins with it.
    pub(super) fn wrong(&mut self, field: &str, problem: impl Into<String>) {
        self.wrong.push(json!({ "field": field, "problem": problem.into() }));
    }

    /// Takes a field that must not be there.
    pub(super) fn refuse(&mut self, field: &'static str, problem: &str) {
        if self.take(field).is_some() {
            self.wrong(field, problem);
        }
    }

    fn take(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        self.members.shift_remove(field)
    }

    /// A text.
    pub(super) fn text(&mut self, field: &'static str) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => Some(text),
            other => {
                self.wrong(field, format!("must be a string, found {}", kind(&other)));
                None
            }
        }
    }

    /// A text that must be there and not be empty.
    pub(super) fn needed(&mut self, field: &'static str) -> String {
        let problems = self.wrong.len();
        let text = self.text(field);
        match text.filter(|text| !text.trim().is_empty()) {
            Some(text) => text,
            None => {
                if self.wrong.len() == problems {
                    self.wrong(field, "is missing or empty");
                }
                String::new()
            }
        }
    }

    /// One of these words.
    pub(super) fn word(&mut self, field: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text(field)?;
        let found = words.iter().find(|word| **word == text).copied();
        if found.is_none() {
            self.wrong(field, format!("must be one of {}, found `{}`", words.join(", "), excerpt(&text)));
        }
        found
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, field: &'static str) -> Option<bool> {
        match self.take(field)? {
            Value::Bool(flag) => Some(flag),
            other => {
                self.wrong(field, format!("must be true or false, found {}", kind(&other)));
                None
            }
        }
    }

    /// A whole number in this range.
    pub(super) fn whole(&mut self, field: &'static str, least: u64, most: u64) -> Option<u64> {
        let value = self.take(field)?;
        let number = whole(&value).filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(
                field,
                format!("must be a whole number from {least} to {most}, found {}", shown(&value)),
            );
        }
        number
    }

    /// A number of seconds above nothing, up to this many.
    pub(super) fn seconds(&mut self, field: &'static str, most: f64) -> Option<f64> {
        let value = self.take(field)?;
        let number = value.as_f64().filter(|number| value.is_number() && *number >= 0.001 && *number <= most);
        if number.is_none() {
            self.wrong(
                field,
                format!("must be a number of seconds from 0.001 to {most}, found {}", shown(&value)),
            );
        }
        number
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, field: &'static str) -> Option<Vec<String>> {
        let value = self.take(field)?;
        let texts = value.as_array().and_then(|elements| {
            elements.iter().map(|element| element.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        if texts.is_none() {
            self.wrong(field, "must be a list of strings");
        }
        texts
    }

    /// An object, taken as it is.
    pub(super) fn object(&mut self, field: &'static str) -> Option<Map<String, Value>> {
        match self.take(field)? {
            Value::Object(object) => Some(object),
            other => {
                self.wrong(field, format!("must be an object, found {}", kind(&other)));
                None
            }
        }
    }

    /// Judges what was read: nothing wrong, and nothing left that nobody knows.
    pub(super) fn finish(mut self) -> Result<(), Refusal> {
        for field in std::mem::take(&mut self.members).keys() {
            let near = self.known.iter().find(|known| strsim::jaro_winkler(known, field) > 0.85);
            let known = match near {
                Some(near) => format!("is not known; did you mean `{near}`?"),
                None => format!("is not known; known are {}", self.known.join(", ")),
            };
            self.wrong(&excerpt(field), known);
        }
        let Some(first) = self.wrong.first() else { return Ok(()) };
        let said = |wrong: &Value, key: &str| wrong[key].as_str().unwrap_or_default().to_owned();
        let more = match self.wrong.len() {
            1 => String::new(),
            count => format!(" (and {} more, see `details`)", count - 1),
        };
        let message = format!("`{}` {}{more}", said(first, "field"), said(first, "problem"));
        Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, self.code, message)
            .details(json!({ "errors": self.wrong })))
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => format!("`{}`", excerpt(&number.to_string())),
        other => kind(other).to_owned(),
    }
}
