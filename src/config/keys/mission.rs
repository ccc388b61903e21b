//! The keys of the mission's `config/proxy.yaml`. They are turned into ours before anything is made of them.

use super::{LEVEL, PORT, POSITIVE, TEXTS};
use crate::config::shape::{Key, Shape, Table};

/// The shape of the mission's `config/proxy.yaml`, under its `proxy` key.
pub(in crate::config) static MISSION: Table = Table {
    groups: &[&[
        Key::new("enabled", Shape::Bool, "Whether to serve any server at all."),
        Key::new("discovery", Shape::Table(&MISSION_DISCOVERY), "Where to look for further servers."),
        Key::new("health_check", Shape::Table(&MISSION_HEALTH_CHECK), "How health is watched, in seconds."),
        Key::new("security", Shape::Table(&MISSION_SECURITY), "The security level."),
        Key::new("servers", Shape::Servers, "The servers, as a list."),
    ]],
};

static MISSION_DISCOVERY: Table = Table {
    groups: &[&[
        Key::new("enabled", Shape::Bool, "Whether to look at all."),
        Key::new("network_discovery", Shape::Bool, "Whether to try addresses."),
        Key::new("ports", Shape::List(&PORT), "The ports to try."),
        Key::new("base_urls", TEXTS, "The hosts to try."),
        Key::new("service_discovery", Shape::Bool, "Whether to ask service registries."),
        Key::new("service_endpoints", Shape::List(&Shape::Template), "The registries."),
        Key::new("file_discovery", Shape::Bool, "Whether to read configs."),
        Key::new("config_paths", TEXTS, "The configs."),
        Key::new("timeout", Shape::Seconds, "Seconds for one address, registry or file."),
        Key::new("max_concurrent", Shape::Whole { min: 1, max: 100 }, "How many are tried at once."),
    ]],
};

static MISSION_HEALTH_CHECK: Table = Table {
    groups: &[&[
        Key::new("interval", Shape::Seconds, "Seconds between two checks."),
        Key::new("timeout", Shape::Seconds, "Seconds for the answer to one."),
        Key::new("max_failures", POSITIVE, "Failures in a row until a server counts as unhealthy."),
    ]],
};

static MISSION_SECURITY: Table = Table {
    groups: &[&[
        Key::new("auth_required", Shape::Bool, "Whether clients must log in."),
        Key::new("security_level", LEVEL, "How much is allowed."),
    ]],
};

/// The further keys of a server in the mission's list. They are turned into ours before the entry is checked.
pub(in crate::config) static MISSION_SERVER: Table = Table {
    groups: &[&[
        Key::new("name", Shape::Text, "The server's name."),
        Key::new("timeout", Shape::Seconds, "Seconds for an answer."),
        Key::new("retry_attempts", POSITIVE, "Attempts in all."),
    ]],
};
