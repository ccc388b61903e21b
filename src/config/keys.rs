//! Every key of the config language: its name, its other names, what it holds, what it means, its default.

use super::shape::{Key, Shape, Table, Word};

const TEXTS: Shape = Shape::List(&Shape::Text);
const PATTERNS: Shape = Shape::OneOrMore(&Shape::Text);
const COUNT: Shape = Shape::Whole { min: 0, max: u64::MAX };
const POSITIVE: Shape = Shape::Whole { min: 1, max: u64::MAX };
const PORT: Shape = Shape::Whole { min: 1, max: 65535 };
const DURATION: Shape = Shape::Duration { never: false, zero: false };
const PAUSE: Shape = Shape::Duration { never: false, zero: true };
const LEVEL: Shape = Shape::Word(&[Word::new("low"), Word::new("medium"), Word::new("high")]);

// Shapes of elements, which have to live as long as the tables.
static A_PROFILE: Shape = Shape::Table(&PROFILE);
pub(super) static AN_INTERCEPTOR: Shape = Shape::Table(&INTERCEPTOR);
static A_PHASE: Shape = Shape::Word(&[Word::new("before"), Word::new("after"), Word::new("error")]);
static AN_OVERRIDE: Shape = Shape::Table(&OVERRIDE);
static AN_ARGUMENT: Shape = Shape::Table(&ARGUMENT);

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
    Key::new("profiles", Shape::Map(&A_PROFILE), "Named selections of servers.").planned(),
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

/// How a server is reached: this cannot stand under `defaults`.
const LAUNCH: &[Key] = &[
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
const SETTINGS: &[Key] = &[
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
const SERVER_FOREIGN: &[Key] = &[
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

static TLS: Table = Table {
    groups: &[&[Key::new(
        "ca",
        Shape::Template,
        "A file (PEM) with the certificates of further authorities to trust; relative to the config file.",
    )]],
};

pub(super) static AUTH: Table = Table {
    groups: &[&[
        Key::new(
            "type",
            Shape::Word(&[
                Word::or("oauth", &["oauth2", "OAUTH"]),
                Word::or("client_credentials", &["client-credentials"]),
                Word::new("none"),
            ]),
            "`oauth`: a person logs in with `switchboard auth login`; `client_credentials`: Switchboard logs in by itself; \
             `none`: only `headers` count.",
        )
        .default("\"oauth\""),
        Key::new("client_id", Shape::Template, "The id of a client that was registered by hand.")
            .aliases(&["clientId", "CLIENT_ID"]),
        Key::new("client_secret", Shape::Secret, "The secret of that client.")
            .aliases(&["clientSecret", "CLIENT_SECRET"]),
        Key::new(
            "private_key",
            Shape::Secret,
            "Instead of a secret, the key (PEM, PKCS#8) that proves who the client is, for `type: client_credentials`.",
        )
        .aliases(&["privateKey"]),
        Key::new(
            "algorithm",
            Shape::Word(&[Word::or("ES256", &["es256"]), Word::or("RS256", &["rs256"])]),
            "How that key signs: `ES256` with a P-256 key, `RS256` with an RSA key.",
        )
        .default("\"ES256\""),
        Key::new("key_id", Shape::Template, "The name of that key (`kid`), where the authorization server knows several.")
            .aliases(&["keyId", "kid"]),
        Key::new("scopes", PATTERNS, "The scopes to ask for instead of those that the server names.")
            .aliases(&["scope"]),
        Key::new(
            "client_metadata_url",
            Shape::Text,
            "The address of a client metadata document, where authorization servers support that.",
        )
        .aliases(&["clientMetadataUrl"]),
        Key::new("redirect_port", PORT, "The port of the redirect address; without it, any free one.")
            .aliases(&["redirectPort", "callbackPort"]),
        Key::new("issuer", Shape::Text, "The one authorization server that may be used."),
    ]],
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

static HTTP: Table = Table {
    groups: &[&[
        Key::new("listen", Shape::Text, "Where `serve --http` listens, if it does not say itself.")
            .default("\"127.0.0.1:7710\""),
        Key::new(
            "tokens",
            Shape::Map(&Shape::Secret),
            "Who may come in: names, and the bearer tokens that they must show. Needed for an address that others can reach.",
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

static RETRY: Table = Table {
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

static BREAKER: Table = Table {
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

static RATE_LIMIT: Table = Table {
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

static CONCURRENCY: Table = Table {
    groups: &[&[
        Key::new("max", POSITIVE, "Calls at once; 64 if nothing is said."),
        Key::new("queue", COUNT, "Calls that may wait for their turn; 256 if nothing is said."),
        Key::new("wait", PAUSE, "How long they may wait; 30s if nothing is said."),
    ]],
};

static CACHE: Table = Table {
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

static HEALTH_CHECK: Table = Table {
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

static DEFINITIONS: Table = Table {
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

static VALIDATE: Table = Table {
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

static PROFILE: Table = Table {
    groups: &[&[
        Key::new("include", PATTERNS, "Patterns of servers to serve."),
        Key::new("exclude", PATTERNS, "Patterns of servers to leave out."),
        Key::new("description", Shape::Text, "What the profile is for."),
    ]],
};

static INTERCEPTOR: Table = Table {
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

static DISCOVERY: Table = Table {
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

static ADMIN: Table = Table {
    groups: &[&[
        Key::new(
            "listen",
            Shape::Text,
            "The address to listen on (`127.0.0.1:7700`, or a port), or the path of a Unix socket. Without it, nothing can be changed \
             from outside.",
        ),
        Key::new("token", Shape::Secret, "The bearer token that requests must show; needed for an address."),
        Key::new(
            "allow_stdio_register",
            Shape::Bool,
            "Whether requests may register what runs or reads on this machine: commands, Unix sockets, references to variables and files.",
        )
        .default("false"),
        Key::new("allowed_hosts", TEXTS, "Further names (`name` or `name:port`) under which it is reached.")
            .default("[]"),
        Key::new(
            "status",
            Shape::Bool,
            "Whether `switchboard status` finds this process, by a Unix socket of its user's that changes nothing.",
        )
        .default("true"),
    ]],
};

static TELEMETRY: Table = Table {
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

/// The shape of the mission's `config/proxy.yaml`, under its `proxy` key.
pub(super) static MISSION: Table = Table {
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
pub(super) static MISSION_SERVER: Table = Table {
    groups: &[&[
        Key::new("name", Shape::Text, "The server's name."),
        Key::new("timeout", Shape::Seconds, "Seconds for an answer."),
        Key::new("retry_attempts", POSITIVE, "Attempts in all."),
    ]],
};

/// Keys that this version refuses to act on although their table does, with the words it knows but plans.
pub(super) fn planned_word(path: &str, word: &str) -> bool {
    let path = path.strip_prefix("defaults.").unwrap_or(path);
    matches!((path, word), ("expose.mode", "search" | "auto"))
}
