//! Templates: `{{name}}` in any text of a script, filled in when the text is used.
//!
//! `{{x}}` is text (a JSON value that is not a string appears as its JSON text); a string that is nothing but
//! `{{json x}}` becomes the JSON value itself.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

/// Reads a variable of the environment.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What the names in a template mean.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) environment: Environment,
    /// The number of this start of the server.
    pub(super) start: u64,
    /// The request's id, as it was written.
    pub(super) id: String,
    /// The tool or prompt name, the URI, or the method.
    pub(super) target: String,
    /// The arguments, as they were written.
    pub(super) args_text: String,
    /// The arguments; null if they cannot be read.
    pub(super) args: Value,
    /// The caller's progress token, as it was written.
    pub(super) token: Option<String>,
    /// How often this item was called, this call included.
    pub(super) call: u64,
    /// The turn of the innermost `repeat`.
    pub(super) turn: u64,
    /// The number of the session that serves the request, from 1; 0 where the request stands alone.
    pub(super) session: u64,
    /// The revision that the caller speaks, as far as it is known.
    pub(super) revision: String,
    /// The capabilities that the caller declared.
    pub(super) capabilities: Value,
    /// The request's `_meta`, as it was written.
    pub(super) meta: Option<String>,
    /// The headers of the HTTP request, by their names in small letters.
    pub(super) headers: Arc<Vec<(String, String)>>,
    /// Where the mock listens, such as `http://127.0.0.1:8080`.
    pub(super) url: Arc<str>,
    /// Answers to asks, and `cancelled`.
    pub(super) saved: Map<String, Value>,
}

impl Scope {
    /// A scope outside of any request.
    pub(super) fn new(environment: Environment, start: u64) -> Self {
        Self {
            environment,
            start,
            id: "null".into(),
            target: String::new(),
            args_text: "{}".into(),
            args: Value::Null,
            token: None,
            call: 0,
            turn: 0,
            session: 0,
            revision: String::new(),
            capabilities: Value::Null,
            meta: None,
            headers: Arc::default(),
            url: "".into(),
            saved: Map::new(),
        }
    }

    /// The text with its templates filled in.
    pub(super) fn text(&self, template: &str) -> String {
        let mut out = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, name, after)) = split(rest) {
            out.push_str(before);
            match self.look_up(name) {
                Found::Text(text) => out.push_str(&text),
                Found::Json(json) => match serde_json::from_str::<String>(&json) {
                    Ok(text) if !name.starts_with("json ") => out.push_str(&text),
                    _ => out.push_str(&json),
                },
                Found::Nothing => {}
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// The value as JSON text with its templates filled in.
    pub(super) fn json(&self, template: &Value) -> String {
        let mut out = String::new();
        self.write_json(template, &mut out);
        out
    }

    fn write_json(&self, template: &Value, out: &mut String) {
        match template {
            Value::String(text) if !text.contains("{{") => push_quoted(text, out),
            Value::String(text) => match split(text) {
                Some(("", name, "")) if name.starts_with("json ") || name.starts_with("nest ") => {
                    match self.look_up(name) {
                        Found::Json(json) => out.push_str(&json),
                        Found::Text(text) => push_quoted(&text, out),
                        Found::Nothing => out.push_str("null"),
                    }
                }
                _ => push_quoted(&self.text(text), out),
            },
            Value::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    self.write_json(item, out);
                }
                out.push(']');
            }
            Value::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    push_quoted(key, out);
                    out.push(':');
                    self.write_json(value, out);
                }
                out.push('}');
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&template.to_string()),
        }
    }

    fn look_up(&self, name: &str) -> Found<'_> {
        if let Some((function, argument)) = name.split_once(' ') {
            return match function {
                "json" => self.look_up(argument.trim()).into_json(),
                "fill" => Found::Text("x".repeat(parse_size(argument.trim()).unwrap_or(0) as usize).into()),
                "nest" => {
                    let depth = argument.trim().parse().unwrap_or(0);
                    Found::Json(format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into())
                }
                _ => Found::Nothing,
            };
        }
        if let Some(variable) = name.strip_prefix("env.") {
            return (self.environment)(variable).map_or(Found::Nothing, |value| Found::Text(value.into()));
        }
        if name == "args" {
            return Found::Json(Cow::Borrowed(&self.args_text));
        }
        if let Some(path) = name.strip_prefix("args.") {
            return Found::value(walk(&self.args, path));
        }
        if let Some(name) = name.strip_prefix("mock.") {
            return self.look_up_own(name);
        }
        let (head, tail) = name.split_once('.').unwrap_or((name, ""));
        let value = match self.saved.get(head) {
            Some(saved) => walk(saved, tail),
            None => walk(&self.args, name),
        };
        // What the script and the caller named hides what the server knows.
        match value {
            Some(_) => Found::value(value),
            None => self.look_up_own(name),
        }
    }

    /// What the server knows of the request and of itself.
    fn look_up_own(&self, name: &str) -> Found<'_> {
        if let Some(path) = name.strip_prefix("meta.") {
            let meta = self.meta.as_deref().and_then(|meta| serde_json::from_str::<Value>(meta).ok());
            // Keys of `_meta` hold dots themselves, so one that is spelled out comes first.
            let value = meta.as_ref().and_then(|meta| meta.get(path).or_else(|| walk(meta, path)));
            return Found::owned(value);
        }
        if let Some(header) = name.strip_prefix("header.") {
            let values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(header));
            let values: Vec<_> = values.map(|(_, value)| value.as_str()).collect();
            return if values.is_empty() { Found::Nothing } else { Found::Text(values.join(", ").into()) };
        }
        match name {
            "session" => Found::Json(self.session.to_string().into()),
            "revision" => Found::Text(Cow::Borrowed(&self.revision)),
            "capabilities" => Found::Json(self.capabilities.to_string().into()),
            "meta" => self.meta.as_deref().map_or(Found::Nothing, |meta| Found::Json(Cow::Borrowed(meta))),
            "headers" => {
                let headers = self.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
                Found::Json(Value::Object(headers.collect()).to_string().into())
            }
            "url" => Found::Text(Cow::Borrowed(&self.url)),
            "id" => Found::Json(Cow::Borrowed(&self.id)),
            "token" => {
                self.token.as_deref().map_or(Found::Nothing, |token| Found::Json(Cow::Borrowed(token)))
            }
            "target" => Found::Text(Cow::Borrowed(&self.target)),
            "call" => Found::Json(self.call.to_string().into()),
            "n" => Found::Json(self.turn.to_string().into()),
            "start" => Found::Json(self.start.to_string().into()),
            "pid" => Found::Json(std::process::id().to_string().into()),
            _ => Found::Nothing,
        }
    }
}

enum Found<'s> {
    Nothing,
    Text(Cow<'s, str>),
    Json(Cow<'s, str>),
}

impl<'s> Found<'s> {
    fn value(value: Option<&'s Value>) -> Self {
        match value {
            None => Found::Nothing,
            Some(Value::String(text)) => Found::Text(Cow::Borrowed(text)),
            Some(other) => Found::Json(other.to_string().into()),
        }
    }

    /// A value that does not live as long as the scope.
    fn owned(value: Option<&Value>) -> Self {
        match value {
            None => Found::Nothing,
            Some(Value::String(text)) => Found::Text(text.clone().into()),
            Some(other) => Found::Json(other.to_string().into()),
        }
    }

    fn into_json(self) -> Self {
        match self {
            Found::Text(text) => {
                let mut quoted = String::new();
                push_quoted(&text, &mut quoted);
                Found::Json(quoted.into())
            }
            other => other,
        }
    }
}

/// Splits at the first `{{name}}`: what stands before it, the name, what stands after it.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    Some((before, name.trim(), after))
}

fn walk<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').filter(|step| !step.is_empty()).try_fold(value, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

/// Appends the text as a JSON string.
pub(super) fn push_quoted(text: &str, out: &mut String) {
    // A string always serializes; the fallback only spares a panic path.
    out.push_str(&serde_json::to_string(text).unwrap_or_else(|_| "\"\"".into()));
}

/// Reads a size: a number of bytes with `KiB`, `MiB`, `GiB`, `kB`, `MB`, `GB`, `B` or nothing behind it.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scope(args: &str) -> Scope {
        let environment: Environment = Arc::new(|name| (name == "HOME").then(|| "/home/me".into()));
        let mut scope = Scope::new(environment, 2);
        scope.args_text = args.into();
        scope.args = serde_json::from_str(args).unwrap();
        scope.id = "\"7\"".into();
        scope.saved.insert("answer".into(), json!({"action": "accept", "content": {"n": 1}}));
        scope
    }

    #[test]
    fn names_are_filled_in() {
        let scope = scope(r#"{"input":"hi","deep":{"list":[1.10,"b"]},"call":"mine"}"#);
        let check = |template: &str, expected: &str| assert_eq!(scope.text(template), expected, "{template}");
        check("Mock result: {{input}}", "Mock result: hi");
        check("{{ args.input }}/{{deep.list.0}}/{{deep.list.1}}", "hi/1.10/b");
        check("{{args}}", &scope.args_text);
        check("{{id}} {{json id}}", "7 \"7\"");
        check("{{call}} {{args.call}} {{mock.call}} {{start}}", "mine mine 0 2");
        check("{{answer.action}} {{answer.content}}", r#"accept {"n":1}"#);
        check("{{env.HOME}}{{env.NO}}{{nothing}}", "/home/me");
        check("{{fill 3}} {{nest 2}}", "xxx [[]]");
        check("open {{ brace", "open {{ brace");
    }

    #[test]
    fn json_templates_splice_values_only_when_told() {
        let scope = scope(r#"{"n":1.10,"t":"a\"b"}"#);
        let check = |template: Value, expected: &str| assert_eq!(scope.json(&template), expected);
        check(
            json!({"a": "{{n}}", "b": "{{json n}}", "c": "{{json t}}"}),
            r#"{"a":"1.10","b":1.10,"c":"a\"b"}"#,
        );
        check(json!(["{{json args}}", "{{json none}}", "x{{t}}"]), r#"[{"n":1.10,"t":"a\"b"},null,"xa\"b"]"#);
    }

    #[test]
    fn sizes() {
        for (text, expected) in
            [("5MiB", Some(5 << 20)), ("10", Some(10)), ("2 kB", Some(2000)), ("x", None), ("1TB", None)]
        {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }
}
