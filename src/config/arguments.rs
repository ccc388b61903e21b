//! What the owner decides about single arguments of a tool.

use super::problem::Reporter;
use super::tree::{Member, Node};
use crate::failure::Code;

/// What becomes of one argument of a tool.
#[derive(Clone, Debug, PartialEq)]
pub enum ArgumentRule {
    /// It always has this value, and clients do not see it.
    Fixed(serde_json::Value),
    /// Clients may give it.
    Open {
        /// Its name for clients, if it is another one.
        rename: Option<String>,
        /// Its value if a client gives none.
        default: Option<serde_json::Value>,
    },
}

/// Reads the rules of one tool.
pub(super) fn decode(tool: &Node, reporter: &mut Reporter) -> Vec<(String, ArgumentRule)> {
    let members = tool.get("arguments").map(Node::members).unwrap_or_default();
    members.iter().map(|member| (member.key.clone(), rule(member, reporter))).collect()
}

fn rule(member: &Member, reporter: &mut Reporter) -> ArgumentRule {
    let value = |key: &str| member.value.get(key).map(Node::to_json);
    let rename = member.value.get("rename").and_then(Node::as_str).map(str::to_owned);
    let default = value("default");
    match value("fixed") {
        Some(fixed) => {
            if rename.is_some() || default.is_some() {
                let message = format!(
                    "`{}` has a fixed value, so clients see no name and no default of it",
                    member.key
                );
                reporter
                    .error(Code::ConfigConflict, &member.value.origin, message)
                    .hint("keep `fixed` alone, or `default` and `rename`");
            }
            ArgumentRule::Fixed(fixed)
        }
        None => ArgumentRule::Open { rename, default },
    }
}
