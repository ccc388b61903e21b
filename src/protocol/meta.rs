//! The keys of `_meta` that the specification reserves (MCP 2026-07-28, "Base protocol", `_meta`).

/// What reserved keys begin with. They belong to one hop and never cross another, but for [`CROSSES_HOPS`].
pub const PREFIX: &str = "io.modelcontextprotocol/";
/// The revision of a modern request; required. Its presence marks the era.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client can do for this request; required.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Name and version of the client.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// The least severe log messages that the client wants for this request.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Name and version of the server, on results.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// The id of the `subscriptions/listen` request that a notification belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// The task that a message belongs to (MCP 2025-11-25, "Tasks").
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
/// What a model may be told while a task runs (MCP 2025-11-25, "Tasks").
pub const MODEL_IMMEDIATE_RESPONSE: &str = "io.modelcontextprotocol/model-immediate-response";
/// The reserved keys that speak of the work and not of the hop.
pub const CROSSES_HOPS: [&str; 2] = [RELATED_TASK, MODEL_IMMEDIATE_RESPONSE];
/// The token under which progress is reported.
pub const PROGRESS_TOKEN: &str = "progressToken";
/// The extension "tasks", in `capabilities.extensions` (SEP-2663).
pub const TASKS: &str = "io.modelcontextprotocol/tasks";
