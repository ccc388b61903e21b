//! The revisions of MCP that we speak, and what sets them apart.
//!
//! Each revision is written as the one before it and what it changed, so that the table reads like the
//! specification's own changelogs.

use crate::protocol::codes;

/// How a revision starts a conversation (MCP 2026-07-28, "Versioning", Terminology).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// An `initialize` handshake fixes revision and capabilities for the session.
    Legacy,
    /// Every request carries its revision and capabilities in `_meta`; there is no session.
    Modern,
}

/// What `structuredContent` of a tool's result may be, and with it the root of an `outputSchema`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructuredContent {
    /// The revision does not know it.
    Unknown,
    /// An object; the schema's root says `type: object`.
    Object,
    /// Any JSON value; the schema is any schema.
    Any,
}

/// What a server may ask a user through the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Elicitation {
    /// Nothing.
    None,
    /// A form of flat primitive fields: enumerations are `enum` with `enumNames`, only booleans have defaults.
    Form,
    /// A form whose choices may be titled (`oneOf`) or multiple and whose fields may have defaults, or a URL to open.
    FormAndUrl,
}

/// How a call may go on after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tasks {
    /// Not at all.
    None,
    /// The experimental part of the core of 2025-11-25: the caller asks for a task with `task: { ttl }`.
    Core,
    /// The extension [`TASKS`](crate::protocol::meta::TASKS): the server decides (SEP-2663).
    Extension,
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
    /// Whether content blocks may be `audio`.
    pub audio: bool,
    /// Whether progress carries a `message`.
    pub progress_message: bool,
    /// Whether servers declare the capability `completions`. Before, completion existed without a way to say so.
    pub completions_capability: bool,
    /// Whether `completion/complete` carries `context.arguments`.
    pub completion_context: bool,
    /// Whether content blocks may be `resource_link`.
    pub resource_link: bool,
    /// What `structuredContent` may be.
    pub structured_content: StructuredContent,
    /// What a server may ask a user.
    pub elicitation: Elicitation,
    /// Whether an elicitation by URL has an `elicitationId`, is reported complete, and may be demanded by an error
    /// ([`codes::URL_ELICITATION_REQUIRED`]).
    pub elicitation_id: bool,
    /// Whether sampling knows `tools`, `toolChoice`, the sub-capabilities `tools` and `context`, and content that is an
    /// array of blocks.
    pub sampling_tools: bool,
    /// How a call may go on after its answer.
    pub tasks: Tasks,
    /// The error code that says a resource was not found.
    pub resource_not_found: i32,
}

const V2024_11_05: Revision = Revision {
    name: "2024-11-05",
    era: Era::Legacy,
    batches: false,
    audio: false,
    progress_message: false,
    completions_capability: false,
    completion_context: false,
    resource_link: false,
    structured_content: StructuredContent::Unknown,
    elicitation: Elicitation::None,
    elicitation_id: false,
    sampling_tools: false,
    tasks: Tasks::None,
    resource_not_found: codes::RESOURCE_NOT_FOUND,
};

const V2025_03_26: Revision = Revision {
    name: "2025-03-26",
    batches: true,
    audio: true,
    progress_message: true,
    completions_capability: true,
    ..V2024_11_05
};

const V2025_06_18: Revision = Revision {
    name: "2025-06-18",
    batches: false,
    completion_context: true,
    resource_link: true,
    structured_content: StructuredContent::Object,
    elicitation: Elicitation::Form,
    ..V2025_03_26
};

const V2025_11_25: Revision = Revision {
    name: "2025-11-25",
    elicitation: Elicitation::FormAndUrl,
    elicitation_id: true,
    sampling_tools: true,
    tasks: Tasks::Core,
    ..V2025_06_18
};

const V2026_07_28: Revision = Revision {
    name: "2026-07-28",
    era: Era::Modern,
    structured_content: StructuredContent::Any,
    elicitation_id: false,
    tasks: Tasks::Extension,
    resource_not_found: codes::INVALID_PARAMS,
    ..V2025_11_25
};

/// Every revision that we know, oldest first. All legacy ones stand before all modern ones.
pub static REVISIONS: [Revision; 5] = [V2024_11_05, V2025_03_26, V2025_06_18, V2025_11_25, V2026_07_28];

impl Revision {
    /// The revision of this name in any era, if we know it.
    pub fn find(name: &str) -> Option<&'static Revision> {
        REVISIONS.iter().find(|revision| revision.name == name)
    }

    /// The revision of this name if it may stand in an `initialize` request or its answer.
    pub fn find_legacy(name: &str) -> Option<&'static Revision> {
        Revision::find(name).filter(|revision| !revision.is_modern())
    }

    /// The revision of this name if it may stand in a request's `_meta`.
    pub fn find_modern(name: &str) -> Option<&'static Revision> {
        Revision::find(name).filter(|revision| revision.is_modern())
    }

    /// The revisions of the modern era, newest first, as `server/discover` and
    /// [`codes::UNSUPPORTED_PROTOCOL_VERSION`] list them.
    pub fn modern() -> impl Iterator<Item = &'static Revision> {
        REVISIONS.iter().rev().filter(|revision| revision.is_modern())
    }

    /// The newest revision that has an `initialize` handshake.
    pub fn newest_legacy() -> &'static Revision {
        REVISIONS.iter().rfind(|revision| !revision.is_modern()).unwrap_or(&REVISIONS[0])
    }

    /// The newest revision that has none.
    pub fn newest_modern() -> &'static Revision {
        &REVISIONS[REVISIONS.len() - 1]
    }

    /// What we answer to `initialize` (2025-11-25, "Lifecycle", Version Negotiation): the revision asked for if we
    /// know it and it has this handshake, else the newest that has it.
    pub fn negotiated(asked: &str) -> &'static Revision {
        Revision::find_legacy(asked).unwrap_or_else(Revision::newest_legacy)
    }

    /// Whether it is of the modern era.
    pub fn is_modern(&self) -> bool {
        self.era == Era::Modern
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_revisions_are_echoed_and_others_answered_with_the_newest() {
        for revision in REVISIONS.iter().filter(|revision| !revision.is_modern()) {
            assert_eq!(Revision::negotiated(revision.name).name, revision.name);
        }
        for unknown in ["2023-01-01", "9999-01-01", "2026-07-28", ""] {
            assert_eq!(Revision::negotiated(unknown).name, "2025-11-25");
        }
    }

    #[test]
    fn the_eras_do_not_mix() {
        assert!(REVISIONS.is_sorted_by_key(|revision| (revision.is_modern(), revision.name)));
        assert_eq!(Revision::newest_legacy().name, "2025-11-25");
        assert_eq!(Revision::newest_modern().name, "2026-07-28");
        assert_eq!(Revision::modern().map(|revision| revision.name).collect::<Vec<_>>(), ["2026-07-28"]);
        assert!(Revision::find("2026-07-28").is_some_and(Revision::is_modern));
        assert_eq!(Revision::find_legacy("2026-07-28"), None);
        assert_eq!(Revision::find_modern("2025-11-25"), None);
    }
}
