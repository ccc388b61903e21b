//! The keys of a server, those that can stand under `defaults` included.

use super::auth::AUTH;
use super::stages::{BREAKER, CACHE, CONCURRENCY, DEFINITIONS, HEALTH_CHECK, RATE_LIMIT, RETRY, VALIDATE};
use super::{DURATION, LEVEL, PATTERNS, RESULT_CAP, TEXTS};
use crate::config::shape::{Key, Shape, Table, Word};

static AN_OVERRIDE: Shape = Shape::Table(&OVERRIDE);
static AN_ARGUMENT: Shape = Shape::Table(&ARGUMENT);

/// How a server is reached: this cannot stand under `defaults`.
pub(super) const LAUNCH: &[Key] = &[
    Key::new(
        "command",
        Shape::OneOrMore(&Shape::Template),
        "The program to start. A list is the program and its first arguments.",
    )
    .aliases(&["cmd", "executable"]),
    Key::new("args", Shape::List(&Shape::Template), "The program's arguments, passed as they are."),
    Key::new("env", Shape::Map(&Shape::Secret), "Environment variables for the program.")
        .aliases(&["environment", "envs"]),
    Key::new("cwd", Shape::Template, "The program's working directory; relative to the config file.")
        .aliases(&["working_dir", "workingDirectory"]),
    Key::new("url", Shape::Template, "The address of a server that is reached over the network.").aliases(&[
        "serverUrl",
        "httpUrl",
        "baseUrl",
        "uri",
        "endpoint",
    ]),
    Key::new("tls", Shape::Table(&TLS), "How the server's certificate is checked."),
    Key::new("headers", Shape::Map(&Shape::Secret), "HTTP headers for `url`.").aliases(&["http_headers"]),
    Key::new(
        "env_http_headers",
        Shape::Map(&Shape::Variable),
        "HTTP headers whose values are in these environment variables.",
    ),
    Key::new(
        "bearer_token_env_var",
        Shape::Variable,
        "The environment variable with the bearer token for `url`.",
    ),
    Key::new("auth_token", Shape::Secret, "The bearer token for `url`."),
    Key::new("auth", Shape::Table(&AUTH), "How to log in to the server at `url`."),
    Key::new(
        "type",
        Shape::Word(&[
            Word::or("stdio", &["local"]),
            Word::or(
                "http",
                &["streamable-http", "streamableHttp", "streamable_http", "streamable", "remote", "https"],
            ),
            Word::new("sse"),
            Word::or("websocket", &["ws", "wss"]),
        ]),
        "The transport. Without it, `command` means stdio, and how a `url` speaks is found out.",
    )
    .aliases(&["transport", "transportType"]),
    Key::new("enabled", Shape::Bool, "Whether this server is served.").default("true"),
    Key::new("disabled", Shape::Bool, "The opposite of `enabled`."),
    Key::new("description", Shape::Text, "What the server is for."),
    Key::new(
        "metadata",
        Shape::Map(&Shape::Anything),
        "Whatever its owner wants to keep with it; shown by the administration interface.",
    )
    .aliases(&["_meta"]),
    Key::new(
        "endpoints",
        Shape::List(&Shape::Template),
        "Several addresses of the same server, besides `url` or instead of it. Calls are spread over them (`balance`).",
    ),
    Key::new(
        "replicas",
        Shape::Whole { min: 1, max: 64 },
        "How many copies of the program to run. Calls are spread over them (`balance`).",
    ),
];

/// What may also stand under `defaults`.
pub(super) const SETTINGS: &[Key] = &[
    Key::new(
        "prefix",
        Shape::Text,
        "Exposed names start with this and two underscores. Empty for none; without it, the server's name.",
    ),
    Key::new("categories", TEXTS, "Free words to group servers by.").aliases(&["tags"]),
    Key::new(
        "inherit_env",
        Shape::List(&Shape::Variable),
        "Further variables of Switchboard's own environment that the program gets.",
    )
    .aliases(&["env_vars", "env_keys"])
    .default("[]"),
    Key::new(
        "start",
        Shape::Word(&[Word::new("lazy"), Word::new("eager")]),
        "Start the server with the first call, or at once.",
    )
    .default("\"lazy\""),
    Key::new(
        "protocol",
        Shape::Word(&[
            Word::new("auto"),
            Word::new("legacy"),
            Word::new("2024-11-05"),
            Word::new("2025-03-26"),
            Word::new("2025-06-18"),
            Word::new("2025-11-25"),
            Word::new("2026-07-28"),
        ]),
        "The protocol revision to offer to the server.",
    )
    .default("\"auto\""),
    Key::new(
        "share",
        Shape::Word(&[Word::or("all", &["shared"]), Word::new("session")]),
        "Whether all clients share one running server, or each client session gets its own.",
    )
    .default("\"all\""),
    Key::new(
        "questions",
        Shape::Word(&[Word::new("serialize"), Word::new("exclusive"), Word::new("refuse")]),
        "When a server asks something in the middle of calls of several clients and does not say in which: serve such calls one \
         after the other (others may go on while one waits for its user, or not even then), or refuse the question.",
    )
    .default("\"serialize\""),
    Key::new("timeouts", Shape::Table(&TIMEOUTS), "How long to wait for what."),
    Key::new("limits", Shape::Table(&LIMITS), "How large messages may be."),
    Key::new("tools", Shape::Table(&TOOLS), "Which tools are shown, and how."),
    Key::new(
        "balance",
        Shape::Word(&[
            Word::new("round_robin"),
            Word::new("least_loaded"),
            Word::new("health_based"),
            Word::new("random"),
        ]),
        "How calls are spread over `replicas` or `endpoints`: `round_robin` if nothing is said; to the one with the fewest open \
         calls; more to those whose calls go well; or by chance, to the less busy of two.",
    ),
    Key::new("retry", Shape::Stage(&RETRY), "When a failed call is sent again: never if it may have run and its effect (`effects`) forbids that."),
    Key::new("breaker", Shape::Stage(&BREAKER), "When to stop calling a failing server."),
    Key::new("rate_limit", Shape::Stage(&RATE_LIMIT), "How often the server may be called."),
    Key::new("concurrency", Shape::Stage(&CONCURRENCY), "How many calls may run at once."),
    Key::new(
        "cache",
        Shape::Stage(&CACHE),
        "Keep answers for a while: of tools whose effect is `read`, of prompts and of resources.",
    ),
    Key::new("health_check", Shape::Stage(&HEALTH_CHECK), "How a running server is asked whether it is well."),
    Key::new("validate", Shape::Stage(&VALIDATE), "How strictly arguments and results are checked."),
    Key::new(
        "effects",
        Shape::Map(&Shape::Word(&[
            Word::new("read"),
            Word::new("idempotent"),
            Word::new("destructive"),
            Word::new("unknown"),
        ])),
        "What a tool does to the world, by its own name or by a pattern. A name counts first, then the strictest pattern.",
    ),
    Key::new(
        "trust_annotations",
        Shape::Bool,
        "Whether a tool of which `effects` says nothing is taken for as harmless as the server's annotations say.",
    ),
    Key::new(
        "definitions",
        Shape::Stage(&DEFINITIONS),
        "What to do when a definition of a tool, prompt or resource, or the server's instructions, change or look dishonest. Without it, nothing.",
    ),
    Key::new("security_level", LEVEL, "The security level of this server."),
];

/// What other programs keep in their entries.
pub(super) const SERVER_FOREIGN: &[Key] = &[
    Key::new("include_tools", PATTERNS, "Another spelling of `tools.include`.").aliases(&[
        "includeTools",
        "enabled_tools",
        "enabledTools",
        "available_tools",
    ]),
    Key::new("exclude_tools", PATTERNS, "Another spelling of `tools.exclude`.").aliases(&[
        "excludeTools",
        "disabled_tools",
        "disabledTools",
    ]),
    Key::differs(
        "timeout",
        &["request_timeout_ms", "startup_timeout_sec", "startup_timeout_ms", "tool_timeout_sec"],
        "programs differ on its unit; write `timeouts: { call: 60s }`",
    ),
    Key::differs(
        "envFile",
        &["env_file"],
        "this file is not read; write the variables under `env`, or use `${file:path}`",
    ),
    Key::foreign("name", &[]),
    Key::foreign("trust", &["autoApprove", "alwaysAllow", "default_tools_approval_mode", "approval_mode"]),
    Key::foreign("icon", &["icons"]),
    Key::foreign("source", &[]),
    Key::foreign("dev", &[]),
    Key::foreign("sandbox", &["sandboxEnabled"]),
    Key::foreign("alwaysLoad", &[]),
    Key::foreign("oauth", &[]),
    Key::foreign("authProviderType", &[]),
    Key::foreign("headersHelper", &[]),
    Key::foreign("oauth_resource", &[]),
    Key::foreign("scopes", &[]),
    Key::foreign("gallery", &[]),
    Key::foreign("required", &[]),
    Key::foreign("bundled", &["display_name", "available"]),
    Key::foreign("$schema", &[]),
];

pub(super) static TLS: Table = Table {
    groups: &[&[Key::new(
        "ca",
        Shape::Template,
        "A file (PEM) with the certificates of further authorities to trust; relative to the config file.",
    )]],
};

static TIMEOUTS: Table = Table {
    groups: &[&[
        Key::new("start", DURATION, "From the start of the program to the end of the handshake.")
            .default("\"60s\""),
        Key::new("call", DURATION, "For an answer; every sign of progress starts it again.")
            .default("\"5m\""),
        Key::new("total", DURATION, "For an answer, whatever the progress.").default("\"30m\""),
        Key::new(
            "question",
            DURATION,
            "For the user's answer to a question that the server asks in the middle of a call.",
        )
        .default("\"10m\""),
        Key::new(
            "idle_stop",
            Shape::Duration { never: true, zero: true },
            "After this long without a call the program is stopped; \"never\" or \"0s\" keeps it.",
        )
        .default("\"15m\""),
    ]],
};

static LIMITS: Table = Table {
    groups: &[&[
        Key::new(
            "message",
            Shape::Size { min: 1 << 10, max: 1 << 30 },
            "The largest message that is read from the server.",
        )
        .default("\"16MiB\""),
        Key::new(
            "result",
            Shape::Size { min: 1 << 10, max: RESULT_CAP },
            "The largest result that is handed to the client; never more than 8MiB.",
        ),
    ]],
};

static TOOLS: Table = Table {
    groups: &[&[
        Key::new("include", PATTERNS, "Patterns (`*`, `?`) of tools to show, by their own names.")
            .default("[\"*\"]"),
        Key::new("exclude", PATTERNS, "Patterns of tools to hide.").default("[]"),
        Key::new("rename", Shape::Map(&Shape::Text), "New own names for tools, by their old ones."),
        Key::new(
            "override",
            Shape::Map(&AN_OVERRIDE),
            "Other titles, descriptions and annotations for tools, by their own names.",
        ),
    ]],
};

static OVERRIDE: Table = Table {
    groups: &[&[
        Key::new("title", Shape::Text, "The title to show."),
        Key::new("description", Shape::Text, "The description to show."),
        Key::new("annotations", Shape::Map(&Shape::Anything), "Annotations to set."),
        Key::new(
            "arguments",
            Shape::Map(&AN_ARGUMENT),
            "What becomes of the tool's arguments, by their own names.",
        ),
    ]],
};

static ARGUMENT: Table = Table {
    groups: &[&[
        Key::new("fixed", Shape::Anything, "The value that is always sent; clients do not see the argument."),
        Key::new("default", Shape::Anything, "The value that is sent if a client gives none."),
        Key::new("rename", Shape::Text, "The name that clients see."),
    ]],
};
