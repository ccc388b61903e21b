//! The audit log, under `telemetry`.

use super::stages::SecurityLevel;
use super::tree::Node;
use super::values::parse_size;

/// How the audit log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRules {
    /// What it says of arguments.
    pub arguments: AuditArguments,
    /// A file of this size, in bytes, is put aside and a new one begun.
    pub max_size: u64,
    /// How many files that were put aside are kept.
    pub keep: usize,
    /// Whether calls are refused while the log cannot be written; otherwise it is only reported.
    pub fails_closed: bool,
}

/// What the audit log says of a call's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditArguments {
    /// Nothing.
    None,
    /// Their SHA-256: equal arguments can be told to be equal, and a claim about them be checked.
    Hash,
    /// All of them, but for what looks like a secret.
    Redacted,
}

impl Default for AuditRules {
    fn default() -> Self {
        Self { arguments: AuditArguments::Hash, max_size: 64 << 20, keep: 16, fails_closed: false }
    }
}

/// The audit log that a checked config asks for. `is_named` says that the file says something about it: where that could not be
/// understood, there is one. Without a word the security level decides.
pub(super) fn audit(effective: &Node, is_named: bool, level: Option<SecurityLevel>) -> Option<AuditRules> {
    let by_level = matches!(level, Some(SecurityLevel::Medium | SecurityLevel::High));
    if !effective.at("telemetry.audit").and_then(Node::as_bool).unwrap_or(is_named || by_level) {
        return None;
    }
    let default = AuditRules::default();
    let word = |key: &str| effective.at(key).and_then(Node::as_str);
    Some(AuditRules {
        arguments: match word("telemetry.audit_log.arguments") {
            Some("none") => AuditArguments::None,
            Some("redacted") => AuditArguments::Redacted,
            _ => default.arguments,
        },
        max_size: word("telemetry.audit_log.max_size").and_then(parse_size).unwrap_or(default.max_size),
        keep: effective
            .at("telemetry.audit_log.keep")
            .and_then(Node::as_whole)
            .and_then(|keep| usize::try_from(keep).ok())
            .unwrap_or(default.keep),
        fails_closed: word("telemetry.audit_log.fail") == Some("closed"),
    })
}
