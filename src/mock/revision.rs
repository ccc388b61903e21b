//! The revisions of the specification, as this peer understands them. It shares no table with the rest of Switchboard
//! on purpose: two readings of one text find each other's mistakes.

/// The first revision without a handshake: every request carries its version and the caller's capabilities.
pub(super) const MODERN: &str = "2026-07-28";

/// The revisions with a handshake, oldest first.
pub(super) const LEGACY: &[&str] = &["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// The first revision whose HTTP requests must name it in a header.
pub(super) const FIRST_WITH_HEADER: &str = "2025-06-18";

/// The one revision whose core has tasks; later they are an extension.
pub(super) const WITH_TASKS: &str = "2025-11-25";

/// The extension that brings tasks to the modern era.
pub(super) const TASKS: &str = "io.modelcontextprotocol/tasks";

/// Members of `_meta` that the specification reserves.
pub(super) mod meta {
    pub(in crate::mock) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    pub(in crate::mock) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    pub(in crate::mock) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    pub(in crate::mock) const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    pub(in crate::mock) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
    pub(in crate::mock) const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
}

/// Error codes.
pub(super) mod code {
    pub(in crate::mock) const INVALID_REQUEST: i32 = -32600;
    pub(in crate::mock) const METHOD_NOT_FOUND: i32 = -32601;
    pub(in crate::mock) const INVALID_PARAMS: i32 = -32602;
    /// A header does not say what the body says.
    pub(in crate::mock) const HEADER_MISMATCH: i32 = -32020;
    pub(in crate::mock) const MISSING_CAPABILITY: i32 = -32021;
    pub(in crate::mock) const UNSUPPORTED_VERSION: i32 = -32022;
    /// Up to 2025-11-25; later an unknown resource is [`INVALID_PARAMS`].
    pub(in crate::mock) const RESOURCE_NOT_FOUND: i32 = -32002;
    /// 2025-11-25 alone.
    pub(in crate::mock) const URL_ELICITATION_REQUIRED: i32 = -32042;
}

/// Whether requests of this revision carry their own metadata. Revisions are dates, so later ones compare greater.
pub(super) fn is_modern(revision: &str) -> bool {
    revision >= MODERN
}

/// Whether the text looks like a revision.
pub(super) fn is_revision(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// The revisions that a script speaks, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Revisions(Vec<String>);

impl Default for Revisions {
    fn default() -> Self {
        Self(LEGACY.iter().map(|revision| (*revision).to_owned()).collect())
    }
}

impl Revisions {
    /// The revisions in any order; none means the default.
    pub(super) fn of(mut revisions: Vec<String>) -> Self {
        revisions.sort();
        revisions.dedup();
        if revisions.is_empty() { Self::default() } else { Self(revisions) }
    }

    pub(super) fn has_modern(&self) -> bool {
        self.0.iter().any(|revision| is_modern(revision))
    }

    pub(super) fn has_legacy(&self) -> bool {
        self.0.iter().any(|revision| !is_modern(revision))
    }

    pub(super) fn contains(&self, revision: &str) -> bool {
        self.0.iter().any(|known| known == revision)
    }

    /// What an `initialize` that names `asked` is answered: the same, if it is one of ours with a handshake, else our
    /// newest with a handshake.
    pub(super) fn negotiate(&self, asked: Option<&str>) -> &str {
        let mut legacy = self.0.iter().map(String::as_str).filter(|revision| !is_modern(revision));
        match asked {
            Some(asked) if legacy.clone().any(|revision| revision == asked) => {
                legacy.find(|revision| *revision == asked).unwrap_or_default()
            }
            _ => legacy.next_back().unwrap_or_default(),
        }
    }

    /// All of them as a client is told, newest first.
    pub(super) fn newest_first(&self) -> Vec<&str> {
        self.0.iter().rev().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_negotiated_among_those_with_a_handshake() {
        let both = Revisions::of(vec!["2026-07-28".into(), "2025-03-26".into(), "2024-11-05".into()]);
        assert_eq!(both.negotiate(Some("2024-11-05")), "2024-11-05");
        assert_eq!(both.negotiate(Some("2026-07-28")), "2025-03-26");
        assert_eq!(both.negotiate(None), "2025-03-26");
        assert_eq!(both.newest_first(), ["2026-07-28", "2025-03-26", "2024-11-05"]);
        assert!(is_modern("2027-01-01") && !is_modern("2025-11-25"));
        assert!(is_revision("2025-11-25") && !is_revision("draft") && !is_revision("2025-11-2x"));
    }
}
