//! Sends the arguments that the owner has decided about: fixed ones always, default ones if they are missing, renamed ones under the
//! server's own names. What clients see of that is the catalog's matter.

use std::collections::HashMap;

use super::payload::{arguments, set_arguments};
use super::{BoxFuture, Next, Outcome, Request, Stage};
use crate::config::{ArgumentRule, ToolRules};
use crate::failure::Failure;
use crate::protocol::Method;
use crate::wire::json::{self, Kind};

/// See the module.
#[derive(Debug)]
pub(super) struct Transform {
    /// By the server's own names of the tools.
    tools: HashMap<String, Vec<Rule>>,
}

/// What becomes of one argument.
#[derive(Debug, Default)]
struct Rule {
    /// The server's own name of it.
    own: String,
    /// The name that clients know; none if they know of none.
    shown: Option<String>,
    /// The value that it has if no client gives one, as JSON text.
    value: Option<Vec<u8>>,
}

impl Transform {
    /// `None` if nothing is to be done.
    pub(super) fn new(rules: &ToolRules) -> Option<Self> {
        let set_arguments = rules.overrides.iter().filter(|(_, words)| !words.arguments.is_empty());
        let tools: HashMap<String, Vec<Rule>> = set_arguments
            .map(|(tool, words)| {
                (tool.clone(), words.arguments.iter().map(|(own, rule)| Rule::of(own, rule)).collect())
            })
            .collect();
        (!tools.is_empty()).then_some(Self { tools })
    }

    fn transformed(&self, mut request: Box<Request>) -> Result<Box<Request>, Failure> {
        let rules =
            self.tools.get(request.call.label.as_str()).filter(|_| request.call.method == Method::ToolsCall);
        let Some(rules) = rules else { return Ok(request) };
        let place = arguments(&request.call)?;
        let given = place.map_or(&b"{}"[..], |span| span.of(&request.call.line));
        // What is no object the server may refuse by itself.
        if matches!(json::kind(given), Kind::Object | Kind::Null) {
            let sent = sent(given, rules);
            if sent != given {
                set_arguments(&mut request.call, &sent);
            }
        }
        Ok(request)
    }
}

impl Rule {
    fn of(own: &str, rule: &ArgumentRule) -> Self {
        let text = |value: &serde_json::Value| serde_json::to_vec(value).ok();
        match rule {
            ArgumentRule::Fixed(value) => Self { own: own.to_owned(), shown: None, value: text(value) },
            ArgumentRule::Open { rename, default } => Self {
                own: own.to_owned(),
                shown: Some(rename.clone().unwrap_or_else(|| own.to_owned())),
                value: default.as_ref().and_then(text),
            },
        }
    }
}

/// The arguments as the server gets them.
fn sent(given: &[u8], rules: &[Rule]) -> Vec<u8> {
    let mut out = vec![b'{'];
    let mut push = |key: &[u8], value: &[u8]| {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(key);
        out.push(b':');
        out.extend_from_slice(value);
    };
    let mut seen = vec![false; rules.len()];
    for member in json::members(given) {
        let (raw, value) = (member.key.of(given), member.value.of(given));
        let name = json::string(raw).unwrap_or_default();
        if let Some(index) = rules.iter().position(|rule| rule.shown.as_deref() == Some(&*name)) {
            seen[index] = true;
            push(&json::quote(&rules[index].own), value);
        // A name that clients do not know is the owner's alone.
        } else if !rules.iter().any(|rule| rule.own == name) {
            push(raw, value);
        }
    }
    for (rule, _) in rules.iter().zip(seen).filter(|(_, seen)| !seen) {
        if let Some(value) = &rule.value {
            push(&json::quote(&rule.own), value);
        }
    }
    out.push(b'}');
    out
}

impl Stage for Transform {
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        match self.transformed(request) {
            Ok(request) => next.run(request),
            Err(failure) => Box::pin(std::future::ready(Outcome::Failed(failure))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_the_owner_wants() {
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let rules = [
            ("root", ArgumentRule::Fixed(value("\"/safe\""))),
            ("max", ArgumentRule::Open { rename: None, default: Some(value("10")) }),
            ("q", ArgumentRule::Open { rename: Some("query".to_owned()), default: None }),
        ];
        let rules: Vec<Rule> = rules.iter().map(|(own, rule)| Rule::of(own, rule)).collect();
        for (given, expected) in [
            ("{}", r#"{"root":"/safe","max":10}"#),
            (r#"{ "query":"x", "other": 1.10 }"#, r#"{"q":"x","other":1.10,"root":"/safe","max":10}"#),
            (r#"{"max":null}"#, r#"{"max":null,"root":"/safe"}"#),
            (r#"{"root":"/etc","r\u006fot":"/","q":"own"}"#, r#"{"root":"/safe","max":10}"#),
        ] {
            assert_eq!(String::from_utf8_lossy(&sent(given.as_bytes(), &rules)), expected, "{given}");
        }
    }
}
