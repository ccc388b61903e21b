//! The keys of what stands in the way of calls, and of what watches over definitions.

use super::{COUNT, DURATION, PATTERNS, PAUSE, POSITIVE};
use crate::config::shape::{Key, Shape, Table, Word};

pub(super) static RETRY: Table = Table {
    groups: &[&[
        Key::new("max_attempts", POSITIVE, "Attempts in all, the first one included; 3 if nothing is said."),
        Key::new(
            "base_delay",
            PAUSE,
            "The longest first pause, which doubles with every attempt; the pause is a random part of it. 200ms if nothing is said.",
        ),
        Key::new("max_delay", PAUSE, "The longest pause; 5s if nothing is said."),
    ]],
};

pub(super) static BREAKER: Table = Table {
    groups: &[&[
        Key::new(
            "failure_threshold",
            POSITIVE,
            "Failures in a row that open the breaker; 5 if nothing is said.",
        ),
        Key::new(
            "recovery_timeout",
            DURATION,
            "How long it stays open; twice as long after every trial that fails, up to 10m. 60s if nothing is said.",
        ),
    ]],
};

pub(super) static RATE_LIMIT: Table = Table {
    groups: &[&[
        Key::new("calls", POSITIVE, "Calls per period."),
        Key::new("per", DURATION, "The period; 1m if nothing is said."),
        Key::new("burst", COUNT, "Further calls that may come at once; without it, all of a period's."),
        Key::new(
            "each",
            Shape::Word(&[Word::new("server"), Word::new("tool"), Word::new("client")]),
            "What has such a limit of its own: the server, each of its tools, or each client that shows a token.",
        ),
    ]],
};

pub(super) static CONCURRENCY: Table = Table {
    groups: &[&[
        Key::new("max", POSITIVE, "Calls at once; 64 if nothing is said."),
        Key::new("queue", COUNT, "Calls that may wait for their turn; 256 if nothing is said."),
        Key::new("wait", PAUSE, "How long they may wait; 30s if nothing is said."),
    ]],
};

pub(super) static CACHE: Table = Table {
    groups: &[&[
        Key::new("ttl", DURATION, "How long an answer is good; 60s if nothing is said."),
        Key::new(
            "tools",
            PATTERNS,
            "Patterns of the tools whose answers may be kept, by their own names; without it, all whose effect is `read`.",
        ),
        Key::new(
            "max_bytes",
            Shape::Size { min: 1 << 16, max: 1 << 36 },
            "How much is kept; 64MiB if nothing is said. What is seldom wanted goes first.",
        ),
        Key::new("negative_ttl", DURATION, "How long errors are kept, too; without it, not at all."),
        Key::new(
            "stale_if_error",
            DURATION,
            "How long after its time an answer may still stand in for a server that fails; without it, not at all.",
        ),
    ]],
};

pub(super) static HEALTH_CHECK: Table = Table {
    groups: &[&[
        Key::new("interval", DURATION, "Between two checks; 30s if nothing is said."),
        Key::new("timeout", DURATION, "For the answer to one; 5s if nothing is said."),
        Key::new(
            "max_failures",
            POSITIVE,
            "Failures in a row until the server counts as unhealthy; 3 if nothing is said.",
        ),
        Key::new(
            "tool",
            Shape::Text,
            "A tool to call for it, by its own name; it is well if that is no error.",
        ),
        Key::new("arguments", Shape::Map(&Shape::Anything), "The arguments of that tool."),
        Key::new(
            "path",
            Shape::Text,
            "A path at the server's address to get over HTTP, with its headers; it is well if that says 2xx.",
        ),
        Key::new(
            "command",
            Shape::OneOrMore(&Shape::Template),
            "A program to run for it; it is well if that ends with 0. `SWITCHBOARD_SERVER` has its name.",
        ),
    ]],
};

const ANSWER: Shape = Shape::Word(&[Word::new("allow"), Word::new("flag"), Word::new("hold")]);

pub(super) static DEFINITIONS: Table = Table {
    groups: &[&[
        Key::new(
            "changes",
            ANSWER,
            "About one that is not as it was seen first or approved last: show it, show it and tell its owner (if nothing is \
             said), or hold it back until `switchboard approve`.",
        ),
        Key::new(
            "findings",
            ANSWER,
            "The same about one with hidden text, orders to the model, names of other servers' tools or claims that contradict \
             each other. `flag` if nothing is said; only grave findings are ever held.",
        ),
    ]],
};

pub(super) static VALIDATE: Table = Table {
    groups: &[&[
        Key::new(
            "input",
            Shape::Word(&[Word::new("off"), Word::new("standard"), Word::new("closed")]),
            "How arguments are checked against the tool's schema: `closed` also refuses what the schema does not name.",
        ),
        Key::new(
            "output",
            Shape::Word(&[Word::new("off"), Word::new("warn"), Word::new("strict")]),
            "How results are checked against the tool's schema: `warn` marks them, `strict` refuses them.",
        ),
        Key::new(
            "coerce",
            Shape::Bool,
            "Whether arguments of a wrong type are turned into what is meant (`\"5\"` into `5`), where that is clear.",
        ),
    ]],
};
