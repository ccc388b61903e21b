//! Annotations that cannot be true together, or that the tool's own name denies. Clients ask their user less before they
//! call what only reads.

use serde_json::Value;

use super::{Finding, Severity};
use crate::catalog::Part;
use crate::protocol::ListKind;
use crate::trust::Definition;

/// Words that stand for an act after which something is gone.
const DESTRUCTIVE: [&str; 13] = [
    "delete",
    "remove",
    "drop",
    "destroy",
    "purge",
    "wipe",
    "erase",
    "truncate",
    "kill",
    "overwrite",
    "uninstall",
    "revoke",
    "terminate",
];

pub(super) fn contradictions(definition: &Definition) -> Vec<Finding> {
    let claims = |hint: &str| {
        definition.members.get("annotations").and_then(|annotations| annotations.get(hint))
            == Some(&Value::Bool(true))
    };
    if definition.kind != Part::Item(ListKind::Tools) || !claims("readOnlyHint") {
        return Vec::new();
    }
    let place = "/annotations/readOnlyHint".to_owned();
    let mut findings = Vec::new();
    if let Some(word) = destructive_word(&definition.name) {
        let excerpt = format!("it claims to do nothing but read, and its name says `{word}`");
        findings.push(Finding {
            id: "claim-read-only",
            severity: Severity::Grave,
            place: place.clone(),
            excerpt,
        });
    }
    if claims("destructiveHint") {
        let excerpt = "it claims to do nothing but read, and to destroy".to_owned();
        findings.push(Finding { id: "claim-contradiction", severity: Severity::Note, place, excerpt });
    }
    findings
}

/// The first or last word of a name, if it is one of these: `delete_file`, `file.delete`, `dropTable`. In the middle it
/// usually says what is looked at (`list_delete_markers`).
fn destructive_word(name: &str) -> Option<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        let is_upper = letter.is_uppercase();
        if !letter.is_alphanumeric() || is_upper && was_lower {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        was_lower = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    [words.first(), words.last()]
        .into_iter()
        .flatten()
        .find(|word| DESTRUCTIVE.contains(&word.as_str()))
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_what_they_do() {
        for name in ["delete_file", "delete", "file.delete", "dropTable", "DROP-TABLE", "tables/purge"] {
            assert!(destructive_word(name).is_some(), "{name}");
        }
        for name in ["get_deleted_items", "list_delete_markers", "dropbox_list", "read", "", "__"] {
            assert_eq!(destructive_word(name), None, "{name}");
        }
    }
}
