//! The security levels: for each server, settings that count where nothing else is said.

use serde_json::json;

use super::stages::SecurityLevel;
use super::tree::{Kind, Node, Origin};

impl SecurityLevel {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// What it sets.
    fn preset(self) -> serde_json::Value {
        match self {
            Self::Low => json!({}),
            Self::Medium => json!({ "validate": { "input": "standard" } }),
            Self::High => json!({
                "validate": { "input": "closed", "output": "strict" },
                "rate_limit": { "calls": 300, "per": "1m", "each": "client" },
                "trust_annotations": false,
            }),
        }
    }
}

/// The level of a server: its own, or that of the whole config.
pub(super) fn level(server: &Node, whole: Option<SecurityLevel>) -> SecurityLevel {
    let own = server.get("security_level").and_then(Node::as_str).and_then(SecurityLevel::parse);
    own.or(whole).unwrap_or_default()
}

/// The level of the whole config, if it names one.
pub(super) fn of_all(root: &Node) -> Option<SecurityLevel> {
    root.at("security.level").and_then(Node::as_str).and_then(SecurityLevel::parse)
}

/// Fills in what the level sets. What is said wins: as a whole, but for `validate`, whose keys stand for themselves.
pub(super) fn apply(server: &mut Node, level: SecurityLevel) {
    let preset = Node::from_json(&level.preset(), &Origin::Preset(level.word()));
    for member in preset.members() {
        if server.get(&member.key).is_none() {
            server.set(&member.key, member.value.clone());
        } else if member.key == "validate"
            && server.get("validate").is_some_and(|said| matches!(said.kind, Kind::Map(_)))
            && let Some(said) = server.map_mut("validate", &member.origin)
        {
            for key in member.value.members() {
                if said.get(&key.key).is_none() {
                    said.set(&key.key, key.value.clone());
                }
            }
        }
    }
}
