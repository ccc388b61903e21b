//! The keys of `discovery`.

use super::{DURATION, PORT, TEXTS};
use crate::config::shape::{Key, Shape, Table};

pub(super) static DISCOVERY: Table = Table {
    groups: &[&[
        Key::new(
            "enabled",
            Shape::Bool,
            "Whether to look at all. True alone tries the usual ports of this machine.",
        ),
        Key::new("network", Shape::Table(&NETWORK), "Addresses to try."),
        Key::new(
            "files",
            TEXTS,
            "Configs to read: of other programs, by their names (`claude-desktop`, `cursor`), or paths.",
        ),
        Key::new(
            "services",
            Shape::List(&Shape::Template),
            "Service registries to ask: `consul://host:8500`, `etcd://host:2379`, the address of an MCP registry, or `mdns`.",
        ),
        Key::new(
            "auto_register",
            Shape::Anything,
            "What is served without asking: `false` (nothing), `true` (what was reached at an address), or \
             `{ match: [patterns of addresses], tools: [patterns of tools] }`.",
        ),
        Key::new(
            "ask_remotes",
            Shape::Bool,
            "Whether servers at strangers' addresses that an MCP registry lists are asked what they have; only proposed without a word.",
        ),
        Key::new("interval", DURATION, "Look again after this long. Without it, once at the start."),
        Key::new("timeout", DURATION, "How long one address, registry or file may take; 5 s without a word."),
        Key::new(
            "max_concurrent",
            Shape::Whole { min: 1, max: 100 },
            "How many are tried at once; 10 without a word.",
        ),
    ]],
};

static NETWORK: Table = Table {
    groups: &[&[
        Key::new("base_urls", TEXTS, "The hosts, such as `http://localhost`; this machine without a word."),
        Key::new("ports", Shape::List(&PORT), "The ports to try on every host; 8001 to 8005 without a word."),
    ]],
};
