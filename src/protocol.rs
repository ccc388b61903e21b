//! MCP as data: revisions, methods, error codes, log levels, capabilities. No I/O, no decisions about servers.
//!
//! Code elsewhere asks the tables here; it never compares version strings or spells a method itself.

pub mod codes;
pub mod level;
pub mod meta;
pub mod method;
pub mod revision;

pub use level::Level;
pub use method::{ListKind, Method, TaskMethod};
pub use revision::{Elicitation, Era, Revision, StructuredContent, Tasks};

/// The name under which we introduce ourselves to clients and servers.
pub const IMPLEMENTATION: &str = "switchboard";

/// Our version, as the crate has it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The `_meta` key whose presence marks a request of the modern era (MCP 2026-07-28, "Base protocol").
pub const MODERN_META: &str = meta::PROTOCOL_VERSION;
