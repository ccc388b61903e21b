//! JSON-RPC and MCP error codes that we emit or translate.

/// Invalid JSON was received (JSON-RPC 2.0 §5.1).
pub const PARSE_ERROR: i32 = -32700;
/// The JSON is not a valid request (JSON-RPC 2.0 §5.1).
pub const INVALID_REQUEST: i32 = -32600;
/// The method does not exist or is not available (JSON-RPC 2.0 §5.1).
pub const METHOD_NOT_FOUND: i32 = -32601;
/// Invalid parameters: also an unknown tool or prompt, and a cursor that is not ours (MCP "Tools", "Pagination").
pub const INVALID_PARAMS: i32 = -32602;
/// A fault of ours or of a server, on methods that have no error result of their own (JSON-RPC 2.0 §5.1).
pub const INTERNAL_ERROR: i32 = -32603;
/// Resource not found (MCP up to 2025-11-25, "Resources", Error Handling).
pub const RESOURCE_NOT_FOUND: i32 = -32002;
/// The headers of an HTTP request contradict its body (MCP 2026-07-28, "Streamable HTTP", Server Validation).
pub const HEADER_MISMATCH: i32 = -32020;
/// The request needs a capability that the client did not declare; `data.requiredCapabilities` names it
/// (MCP 2026-07-28, "Base protocol").
pub const MISSING_CLIENT_CAPABILITY: i32 = -32021;
/// The request names a revision that the server does not speak; `data.supported` lists those that it does
/// (MCP 2026-07-28, "Versioning").
pub const UNSUPPORTED_PROTOCOL_VERSION: i32 = -32022;
/// The user must open the URLs in `data.elicitations` first (MCP 2025-11-25 only, "Elicitation").
pub const URL_ELICITATION_REQUIRED: i32 = -32042;
/// The codes that the modern era reserves to itself; one that it does not define is never emitted
/// (MCP 2026-07-28, "Base protocol", Error Codes).
pub const MODERN_RESERVED: std::ops::RangeInclusive<i32> = -32099..=-32020;
