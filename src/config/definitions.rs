//! What is to be done about definitions that change or look dishonest.

use super::tree::{Kind, Node};

/// What is done about a server's definitions of tools, prompts and resources, and about its instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefinitionRules {
    /// About one that is not what it was, or that is new.
    pub changes: Answer,
    /// About one that looks dishonest.
    pub findings: Answer,
}

/// What is done about something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Allow,
    /// It is shown, and its owner is told.
    #[default]
    Flag,
    /// It is not shown and not called until its owner approves it.
    Hold,
}

impl DefinitionRules {
    /// Whether there is nothing to do at all.
    pub fn is_idle(self) -> bool {
        self.changes == Answer::Allow && self.findings == Answer::Allow
    }
}

/// Reads the rules of a checked server entry; `None` if they ask for nothing.
pub(super) fn decode(node: &Node) -> Option<DefinitionRules> {
    let said = node.get("definitions").filter(|said| matches!(said.kind, Kind::Map(_)))?;
    let answer = |key: &str| match said.get(key).and_then(Node::as_str) {
        Some("allow") => Answer::Allow,
        Some("hold") => Answer::Hold,
        _ => Answer::default(),
    };
    let rules = DefinitionRules { changes: answer("changes"), findings: answer("findings") };
    Some(rules).filter(|rules| !rules.is_idle())
}
