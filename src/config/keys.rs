//! Every key of the config language: its name, its other names, what it holds, what it means, its default.

mod admin;
mod auth;
mod discovery;
mod http;
mod interceptors;
mod mission;
mod server;
mod stages;
mod telemetry;

use super::shape::{Key, Shape, Table, Word};

pub(super) use auth::AUTH;
pub(super) use mission::{MISSION, MISSION_SERVER};

use admin::ADMIN;
use discovery::DISCOVERY;
use http::HTTP;
use interceptors::INTERCEPTOR;
use server::{LAUNCH, SERVER_FOREIGN, SETTINGS};
use telemetry::TELEMETRY;

const TEXTS: Shape = Shape::List(&Shape::Text);
const PATTERNS: Shape = Shape::OneOrMore(&Shape::Text);
const COUNT: Shape = Shape::Whole { min: 0, max: u64::MAX };
const POSITIVE: Shape = Shape::Whole { min: 1, max: u64::MAX };
const PORT: Shape = Shape::Whole { min: 1, max: 65535 };
const DURATION: Shape = Shape::Duration { never: false, zero: false };
const PAUSE: Shape = Shape::Duration { never: false, zero: true };
const LEVEL: Shape = Shape::Word(&[Word::new("low"), Word::new("medium"), Word::new("high")]);

// Shapes of elements, which have to live as long as the tables.
pub(super) static A_PROFILE: Shape = Shape::Table(&PROFILE);
pub(super) static AN_INTERCEPTOR: Shape = Shape::Table(&INTERCEPTOR);

/// The largest message to a client, in bytes: big clients hang up a little above it.
pub(super) const RESULT_CAP: u64 = 8 << 20;
pub(super) static ROOT: Table = Table { groups: &[ROOT_KEYS, ROOT_FOREIGN] };

const ROOT_KEYS: &[Key] = &[
    Key::new("servers", Shape::Servers, "The servers behind Switchboard, by name.").aliases(&[
        "mcpServers",
        "mcp_servers",
        "context_servers",
        "amp.mcpServers",
    ]),
    Key::new("defaults", Shape::Table(&DEFAULTS), "Settings for every server that does not say otherwise."),
    Key::new("enabled", Shape::Bool, "Whether to serve any server at all.").default("true"),
    Key::new("expose", Shape::Table(&EXPOSE), "How the merged catalogue is shown."),
    Key::new("http", Shape::Table(&HTTP), "How clients are served over HTTP."),
    Key::new(
        "profiles",
        Shape::Map(&A_PROFILE),
        "Named selections of servers and tools, for `--profile` and `http.profiles`.",
    ),
    Key::new("interceptors", Shape::List(&AN_INTERCEPTOR), "Hooks before and after calls and on errors."),
    Key::new("policy", Shape::Table(&POLICY), "Who may call what."),
    Key::new("security", Shape::Table(&SECURITY), "The security level."),
    Key::new("discovery", Shape::Table(&DISCOVERY), "Where to look for further servers."),
    Key::new("admin", Shape::Table(&ADMIN), "The administration interface."),
    Key::new("telemetry", Shape::Table(&TELEMETRY), "Metrics, traces and the audit log."),
    Key::new("proxy", Shape::Table(&MISSION), "The whole config in the shape of `config/proxy.yaml`."),
];

const ROOT_FOREIGN: &[Key] = &[
    Key::foreign("$schema", &[]),
    Key::foreign("inputs", &[]),
    Key::foreign("version", &[]),
    Key::foreign("name", &[]),
    Key::foreign("schema", &[]),
];

pub(super) static DEFAULTS: Table = Table { groups: &[SETTINGS] };
pub(super) static SERVER: Table = Table { groups: &[LAUNCH, SETTINGS, SERVER_FOREIGN] };

static EXPOSE: Table = Table {
    groups: &[&[
        Key::new(
            "mode",
            Shape::Word(&[Word::new("direct"), Word::new("search"), Word::new("auto")]),
            "Show every tool, or a search over them.",
        )
        .default("\"direct\""),
        Key::new("max_name", Shape::Whole { min: 24, max: 128 }, "The longest exposed name.")
            .aliases(&["maxName"])
            .default("52"),
    ]],
};

static PROFILE: Table = Table {
    groups: &[&[
        Key::new(
            "include",
            PATTERNS,
            "Patterns of servers to serve; all, if neither this nor `categories` is said.",
        )
        .aliases(&["servers"]),
        Key::new(
            "categories",
            PATTERNS,
            "Patterns of categories whose servers are served, besides those of `include`.",
        ),
        Key::new("exclude", PATTERNS, "Patterns of servers to leave out all the same."),
        Key::new("tools", Shape::Table(&PROFILE_TOOLS), "Which tools of these servers are shown."),
        Key::new("description", Shape::Text, "What the profile is for."),
    ]],
};

static PROFILE_TOOLS: Table = Table {
    groups: &[&[
        Key::new(
            "include",
            PATTERNS,
            "Patterns of names, as clients see them, of tools to show; all if nothing is said.",
        ),
        Key::new("exclude", PATTERNS, "Patterns of names, as clients see them, of tools to hide."),
    ]],
};

static POLICY: Table = Table {
    groups: &[&[Key::new("file", Shape::Text, "A file of Cedar policies, relative to the config.")]],
};

static SECURITY: Table = Table {
    groups: &[&[
        Key::new(
            "level",
            LEVEL,
            "What counts where nothing else is said: `low` checks nothing, `medium` checks arguments, `high` also results, hides secrets and limits the rate.",
        ),
        Key::new(
            "auth_required",
            Shape::Bool,
            "Whether clients over HTTP must show a token of `http.tokens`.",
        ),
    ]],
};

/// Keys that this version refuses to act on although their table does, with the words it knows but plans.
pub(super) fn planned_word(path: &str, word: &str) -> bool {
    let path = path.strip_prefix("defaults.").unwrap_or(path);
    matches!((path, word), ("expose.mode", "search" | "auto"))
}
