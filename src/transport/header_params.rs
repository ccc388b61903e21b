//! Arguments of tools that stand in headers too (MCP 2026-07-28, "Streamable HTTP", Custom Headers).

/// Which arguments of which tools go into which headers. Learned from what a server lists.
#[derive(Debug, Default)]
pub struct HeaderParams {}
