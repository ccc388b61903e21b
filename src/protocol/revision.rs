//! The revisions of MCP that we speak, and what sets them apart.

/// How a revision starts a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// An `initialize` handshake fixes revision and capabilities for the session.
    Legacy,
}

/// One dated revision of the specification.
#[derive(Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its date, as it stands in `protocolVersion`.
    pub name: &'static str,
    /// How it starts a conversation.
    pub era: Era,
    /// Whether a receiver must accept JSON-RPC batches (2025-03-26, "Base protocol", Batching).
    pub batches: bool,
}

/// Every revision that we know, oldest first.
pub const REVISIONS: [Revision; 4] = [
    Revision { name: "2024-11-05", era: Era::Legacy, batches: false },
    Revision { name: "2025-03-26", era: Era::Legacy, batches: true },
    Revision { name: "2025-06-18", era: Era::Legacy, batches: false },
    Revision { name: "2025-11-25", era: Era::Legacy, batches: false },
];

impl Revision {
    /// The revision of this name, if we know it.
    pub fn find(name: &str) -> Option<&'static Revision> {
        REVISIONS.iter().find(|revision| revision.name == name)
    }

    /// The newest revision that has an `initialize` handshake.
    pub fn newest_legacy() -> &'static Revision {
        &REVISIONS[REVISIONS.len() - 1]
    }

    /// What we answer to `initialize` (2025-11-25, "Lifecycle", Version Negotiation): the revision asked for if we
    /// know it, else the newest that we know.
    pub fn negotiated(asked: &str) -> &'static Revision {
        Revision::find(asked).unwrap_or_else(Revision::newest_legacy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_revisions_are_echoed_and_others_answered_with_the_newest() {
        for revision in &REVISIONS {
            assert_eq!(Revision::negotiated(revision.name).name, revision.name);
        }
        for unknown in ["2023-01-01", "9999-01-01", "2026-07-28", ""] {
            assert_eq!(Revision::negotiated(unknown).name, "2025-11-25");
        }
    }
}
