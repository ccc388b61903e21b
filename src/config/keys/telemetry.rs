//! The keys of `telemetry`.

use crate::config::shape::{Key, Shape, Table, Word};

pub(super) static TELEMETRY: Table = Table {
    groups: &[&[
        Key::new(
            "metrics",
            Shape::Bool,
            "Whether calls are counted. Without a word they are if somebody can read the numbers: with `admin.listen` or `otlp`.",
        ),
        Key::new(
            "otlp",
            Shape::Text,
            "The OpenTelemetry collector that gets traces and metrics, over OTLP/HTTP: `http://host:4318`.",
        ),
        Key::new(
            "otlp_headers",
            Shape::Map(&Shape::Secret),
            "Headers for the collector, such as what lets us in.",
        ),
        Key::new("audit", Shape::Bool, "Whether to keep an audit log: who called what, and what came of it."),
        Key::new("audit_log", Shape::Table(&AUDIT_LOG), "How the audit log is kept."),
    ]],
};

static AUDIT_LOG: Table = Table {
    groups: &[&[
        Key::new(
            "arguments",
            Shape::Word(&[Word::new("none"), Word::new("hash"), Word::new("redacted")]),
            "What it says of arguments: nothing, their SHA-256, or all of them but for secrets.",
        ),
        Key::new("max_size", Shape::Size { min: 4096, max: u64::MAX }, "A file of this size is put aside."),
        Key::new(
            "keep",
            Shape::Whole { min: 1, max: 100_000 },
            "How many files that were put aside are kept.",
        ),
        Key::new(
            "fail",
            Shape::Word(&[Word::new("open"), Word::new("closed")]),
            "What happens to calls while the log cannot be written: they go on, or are refused.",
        ),
    ]],
};
