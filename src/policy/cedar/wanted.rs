//! What policies want to know of a call besides client and tool. The rest is not looked at: most policies want one or two of its
//! arguments, if any, and calls that do not differ in them are decided alike.

use std::collections::BTreeSet;
use std::time::SystemTime;

use cedar_policy::Policy;
use serde_json::Value;
use smallvec::SmallVec;

use crate::wire::json::{self, Kind};

/// A decision is remembered if all that it depends on is no longer than this, in bytes.
const LONGEST_KEY: usize = 256;

/// See the module.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) effect: bool,
    pub(super) time: bool,
    pub(super) arguments: Arguments,
}

/// The arguments that are looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    /// Those of these names.
    These(BTreeSet<String>),
    All,
}

impl Default for Arguments {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

/// The wanted arguments of a call, as they came.
#[derive(Debug)]
pub(super) enum Picked<'a> {
    These(SmallVec<[(&'a str, &'a [u8]); 4]>),
    All(&'a [u8]),
}

/// What a decision depends on, in bytes.
pub(super) type Key = SmallVec<[u8; LONGEST_KEY]>;

impl Wanted {
    /// What these policies look at. A policy whose form cannot be told is taken for one that looks at everything.
    pub(super) fn by<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Self {
        let mut wanted = Self::default();
        for policy in policies {
            match policy.to_json() {
                Ok(json) => wanted.look(&json),
                Err(_) => wanted.everything(),
            }
        }
        wanted
    }

    fn everything(&mut self) {
        *self = Self { effect: true, time: true, arguments: Arguments::All };
    }

    /// Goes through a policy in Cedar's JSON form, in which `e.a` is `{".": {"left": e, "attr": "a"}}`, and `e has a` or
    /// `e has a.b` the same with `has`, and with a list for the latter.
    fn look(&mut self, expression: &Value) {
        match expression {
            Value::Object(members) => {
                if is_context(expression) {
                    return self.everything();
                }
                let access = [".", "has"].iter().find_map(|key| members.get(*key));
                let parts = access.and_then(|access| Some((access.get("left")?, path(access.get("attr")?)?)));
                match parts {
                    Some((left, path)) if members.len() == 1 => {
                        self.access(members.contains_key("has"), left, &path);
                    }
                    _ => members.values().for_each(|below| self.look(below)),
                }
            }
            Value::Array(values) => values.iter().for_each(|below| self.look(below)),
            _ => {}
        }
    }

    fn access(&mut self, asks_whether: bool, left: &Value, path: &[&str]) {
        if is_context(left) {
            match path {
                ["time", ..] => self.time = true,
                ["effect", ..] => self.effect = true,
                // They are always there, so nobody needs to see them to know that.
                ["arguments"] if asks_whether => {}
                ["arguments", name, ..] => self.argument(name),
                ["arguments"] => self.arguments = Arguments::All,
                _ => self.everything(),
            }
        } else if let (true, [name, ..]) = (is_arguments(left), path) {
            self.argument(name);
        } else {
            self.look(left);
        }
    }

    fn argument(&mut self, name: &str) {
        if let Arguments::These(names) = &mut self.arguments {
            names.insert(name.to_owned());
        }
    }

    /// Takes the wanted arguments out of a call's; no text stands for none.
    ///
    /// # Errors
    /// They are no object, or one of them stands there twice: which of them the server takes nobody knows.
    pub(super) fn pick<'a>(&'a self, arguments: &'a [u8]) -> Result<Picked<'a>, String> {
        let mut picked: SmallVec<[(&str, &[u8]); 4]> = SmallVec::new();
        let names = match &self.arguments {
            Arguments::These(names) if names.is_empty() => return Ok(Picked::These(picked)),
            _ if !arguments.is_empty() && json::kind(arguments) != Kind::Object => {
                return Err("its arguments are no object".to_owned());
            }
            Arguments::All => return Ok(Picked::All(arguments)),
            Arguments::These(names) => names,
        };
        for member in json::members(arguments) {
            // A name that is no Unicode is none of those.
            let Some(name) = json::string(member.key.of(arguments)) else { continue };
            let Some(name) = names.get(&*name) else { continue };
            if picked.iter().any(|(other, _)| other == name) {
                return Err(format!("its arguments hold `{name}` twice"));
            }
            picked.push((name, member.value.of(arguments)));
        }
        // So that the order in which they came makes no difference.
        picked.sort_unstable();
        Ok(Picked::These(picked))
    }

    /// What the decision of a call depends on besides the question `number`; `None` if that is too long to be remembered.
    pub(super) fn key(&self, number: u64, picked: &Picked<'_>, now: SystemTime) -> Option<Key> {
        let mut key = Key::new();
        // The effect is part of the question.
        key.extend_from_slice(&number.to_ne_bytes());
        if self.time {
            let age = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            key.extend_from_slice(&age.as_secs().to_ne_bytes());
        }
        let mut push = |part: &[u8]| {
            let is_short = key.len() + part.len() + size_of::<usize>() <= LONGEST_KEY;
            if is_short {
                // With their lengths, so that no two lists of parts are one text.
                key.extend_from_slice(&part.len().to_ne_bytes());
                key.extend_from_slice(part);
            }
            is_short
        };
        let fits = match picked {
            Picked::These(arguments) => {
                arguments.iter().all(|(name, value)| push(name.as_bytes()) && push(value))
            }
            Picked::All(arguments) => push(arguments),
        };
        fits.then_some(key)
    }
}

/// The names in an access: one, or several.
fn path(attribute: &Value) -> Option<Vec<&str>> {
    match attribute {
        Value::Array(names) => names.iter().map(Value::as_str).collect(),
        name => Some(vec![name.as_str()?]),
    }
}

fn is_context(expression: &Value) -> bool {
    expression.get("Var").is_some_and(|name| name == "context")
}

/// Whether it is `context.arguments`.
fn is_arguments(expression: &Value) -> bool {
    expression.get(".").is_some_and(|access| {
        access.get("left").is_some_and(is_context)
            && access.get("attr").is_some_and(|name| name == "arguments")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(condition: &str) -> Wanted {
        let text = format!("permit(principal, action, resource) when {{ {condition} }};");
        Wanted::by([&text.parse::<Policy>().unwrap()])
    }

    fn these(names: &[&str]) -> Arguments {
        Arguments::These(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn only_what_stands_in_policies_is_wanted() {
        for (condition, [effect, time], arguments) in [
            ("true", [false, false], these(&[])),
            ("resource.name == \"context\"", [false, false], these(&[])),
            ("context.effect == \"read\"", [true, false], these(&[])),
            ("context.time.hour > 8", [false, true], these(&[])),
            ("context has arguments", [false, false], these(&[])),
            ("context has arguments && context.arguments has path", [false, false], these(&["path"])),
            ("context has arguments.path.deep", [false, false], these(&["path"])),
            ("context.arguments has path.deep", [false, false], these(&["path"])),
            (
                "context.arguments has a && context.arguments.a.b == context.arguments[\"c d\"]",
                [false, false],
                these(&["a", "c d"]),
            ),
            (
                "if context.time.weekday == 1 then context.arguments.n < 5 else false",
                [false, true],
                these(&["n"]),
            ),
            ("[context.arguments.x].contains(3)", [false, false], these(&["x"])),
            ("context.arguments == {}", [false, false], Arguments::All),
            ("{a: context.arguments}.a has x", [false, false], Arguments::All),
            ("context == {}", [true, true], Arguments::All),
            ("[context].containsAny([])", [true, true], Arguments::All),
        ] {
            assert_eq!(wanted(condition), Wanted { effect, time, arguments }, "{condition}");
        }
    }

    fn picked<'a>(wanted: &'a Wanted, text: &'a str) -> Result<Picked<'a>, String> {
        wanted.pick(text.as_bytes())
    }

    #[test]
    fn wanted_arguments_are_found_however_they_are_spelt_and_never_twice() {
        let wanted = wanted("context.arguments has a && context.arguments has b");
        let key = |text: &str| wanted.key(7, &picked(&wanted, text).unwrap(), SystemTime::now()).unwrap();
        assert_eq!(key(r#"{"b":2,"x":[1,2,3],"a":"1"}"#), key(r#"{"\u0061":"1","b":2,"y":0,"y":1}"#));
        for other in [r#"{"a":2,"b":"1"}"#, r#"{"a":"1"}"#, r#"{"b":2}"#, "{}", r#"{"a":"1","b":20}"#] {
            assert_ne!(key(r#"{"b":2,"a":"1"}"#), key(other), "{other}");
        }
        assert_eq!(key("{}"), key(""));
        assert!(picked(&wanted, "[]").is_err_and(|why| why.contains("no object")));
        assert!(super::Wanted::default().pick(b"[]").is_ok(), "nobody looks at them");
        for twice in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(picked(&wanted, twice).is_err_and(|why| why.contains("`a` twice")), "{twice}");
        }
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(LONGEST_KEY));
        assert!(wanted.key(7, &picked(&wanted, &long).unwrap(), SystemTime::now()).is_none());
    }

    #[test]
    fn the_time_counts_where_it_is_wanted() {
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let timed = wanted("context.time.hour > 8");
        let timeless = wanted("context.arguments has a");
        let key = |wanted: &Wanted, seconds| wanted.key(1, &wanted.pick(b"{}").unwrap(), at(seconds));
        assert_ne!(key(&timed, 1), key(&timed, 2));
        assert_eq!(key(&timeless, 1), key(&timeless, 2));
    }
}
