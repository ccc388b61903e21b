//! JSON-RPC and MCP error codes that we emit.

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
