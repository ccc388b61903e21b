//! The keys of `interceptors`.

use super::server::TLS;
use super::{DURATION, PATTERNS};
use crate::config::shape::{Key, Shape, Table, Word};

static A_PHASE: Shape = Shape::Word(&[Word::new("before"), Word::new("after"), Word::new("error")]);

pub(super) static INTERCEPTOR: Table = Table {
    groups: &[&[
        Key::new(
            "name",
            Shape::Text,
            "Its name in logs and refusals; without it, that of its program, host or server.",
        ),
        Key::new("on", Shape::OneOrMore(&A_PHASE), "When it is asked; `before` if nothing is said."),
        Key::new(
            "match",
            PATTERNS,
            "Patterns of exposed names, or of the URIs of resources; all if nothing is said.",
        ),
        Key::new(
            "events",
            PATTERNS,
            "Patterns of the methods that it is asked about: `tools/call`, `prompts/get` and `resources/read` if nothing is said. \
             Lists (`*/list`) and what servers ask (`elicitation/create`, …) have to be named.",
        ),
        Key::new(
            "command",
            Shape::OneOrMore(&Shape::Template),
            "A program that reads and writes JSON lines. A list is the program and its first arguments.",
        ),
        Key::new("args", Shape::List(&Shape::Template), "The program's arguments, passed as they are."),
        Key::new("env", Shape::Map(&Shape::Secret), "Environment variables for the program."),
        Key::new(
            "inherit_env",
            Shape::List(&Shape::Variable),
            "Our own environment variables that the program gets too.",
        ),
        Key::new(
            "cwd",
            Shape::Template,
            "The program's working directory; that of the config file if nothing is said.",
        ),
        Key::new("once", Shape::Bool, "Whether the program is started for every call anew."),
        Key::new("url", Shape::Template, "An address that answers over HTTP."),
        Key::new("headers", Shape::Map(&Shape::Secret), "HTTP headers for `url`."),
        Key::new("tls", Shape::Table(&TLS), "How the certificate of `url` is checked."),
        Key::new(
            "server",
            Shape::Text,
            "A server of this config that speaks the interceptor methods (SEP-2624).",
        ),
        Key::new("config", Shape::Map(&Shape::Anything), "What is handed to it with every call."),
        Key::new("timeout", DURATION, "How long it may take; 5s if nothing is said."),
        Key::new(
            "fail",
            Shape::Word(&[Word::new("open"), Word::new("closed")]),
            "What happens if it fails: let pass or refuse. `closed` if nothing is said.",
        ),
        Key::new(
            "priority",
            Shape::Integer,
            "Those with the lowest come first, of equals the first in the list; 0 if nothing is said.",
        ),
        Key::new(
            "type",
            Shape::Word(&[Word::new("mutation"), Word::new("validation")]),
            "`validation` only judges, and is asked at the same time as others; `mutation`, which may change things, if nothing is said.",
        ),
        Key::new(
            "mode",
            Shape::Word(&[Word::new("active"), Word::new("audit")]),
            "`audit` only logs what it says; `active` if nothing is said.",
        ),
        Key::new(
            "redact",
            Shape::Table(&REDACT),
            "Hide secrets: `on: before` in arguments, `on: after` in results, otherwise in both.",
        ),
        Key::new("log", Shape::Table(&LOG), "Log every call in one line."),
        Key::new("deny", Shape::Text, "The built-in that refuses calls, with this reason."),
    ]],
};

static REDACT: Table = Table {
    groups: &[&[
        Key::new(
            "secrets",
            Shape::OneOrMore(&Shape::Word(&[
                Word::new("bearer"),
                Word::new("private_key"),
                Word::new("aws"),
                Word::new("github"),
                Word::new("slack"),
                Word::new("jwt"),
                Word::new("api_key"),
                Word::new("email"),
            ])),
            "Kinds of secrets that are known by their form; without it, all but `email`.",
        ),
        Key::new("patterns", PATTERNS, "Further regular expressions of what is hidden."),
        Key::new("with", Shape::Text, "What stands in its place; `[redacted]` if nothing is said."),
    ]],
};

static LOG: Table = Table {
    groups: &[&[Key::new("arguments", Shape::Bool, "Whether arguments are logged, without secrets.")]],
};
