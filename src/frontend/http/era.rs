//! Which revisions come over HTTP, and what is particular to that.

use std::ptr;

use crate::protocol::Revision;

/// The revisions whose requests carry their metadata themselves, newest first.
pub(super) const MODERN: [&str; 1] = ["2026-07-28"];

/// The headers of a request do not match its body (2026-07-28, "Streamable HTTP", Server Validation).
pub(super) const HEADER_MISMATCH: i32 = -32020;
/// The client lacks a capability that the request needs (2026-07-28, "Base protocol", Error Codes).
pub(super) const MISSING_CAPABILITY: i32 = -32021;
/// We do not speak the version of the request (2026-07-28, "Versioning", Protocol Version Negotiation).
pub(super) const UNSUPPORTED_VERSION: i32 = -32022;

/// Whether requests of this version carry their metadata themselves.
pub(super) fn is_modern(version: &str) -> bool {
    MODERN.contains(&version)
}

/// Whether this version begins with `initialize`.
pub(super) fn is_legacy(version: &str) -> bool {
    !is_modern(version) && Revision::find(version).is_some()
}

/// Whether clients of this version expect a stream to begin with an event without a message (2025-11-25, "Streamable HTTP");
/// earlier ones take it for a message that is broken.
pub(super) fn is_primed(version: Option<&str>) -> bool {
    version.and_then(Revision::find).is_some_and(|revision| ptr::eq(revision, Revision::newest_legacy()))
}
