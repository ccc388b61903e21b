//! The keys of `http`.

use super::{DURATION, TEXTS};
use crate::config::shape::{Key, Shape, Table};

pub(super) static HTTP: Table = Table {
    groups: &[&[
        Key::new("listen", Shape::Text, "Where `serve --http` listens, if it does not say itself.")
            .default("\"127.0.0.1:7710\""),
        Key::new(
            "tokens",
            Shape::Map(&Shape::Secret),
            "Who may come in: names, and the bearer tokens that they must show. Needed for an address that others can reach.",
        ),
        Key::new(
            "profiles",
            Shape::Map(&Shape::Template),
            "The profile by which the holder of a token is served, by the names of `tokens`.",
        ),
        Key::new(
            "allowed_hosts",
            TEXTS,
            "Further names (`name` or `name:port`) under which clients reach us.",
        )
        .default("[]"),
        Key::new("allowed_origins", TEXTS, "Web pages (`https://name[:port]`) whose scripts may talk to us.")
            .default("[]"),
        Key::new(
            "session_idle",
            DURATION,
            "After this long without a request or an open stream a session ends.",
        )
        .default("\"30m\""),
        Key::new(
            "max_sessions",
            Shape::Whole { min: 1, max: 1_000_000 },
            "The most sessions at once; for a further one the longest idle one ends.",
        )
        .default("1000"),
    ]],
};
