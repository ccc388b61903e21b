//! Tools of other servers by name: how a definition that is never called bends the use of one that is.

use std::collections::{HashMap, HashSet};

use super::{Finding, Severity, Text, each_text};
use crate::names::{ServerName, slug};
use crate::trust::Definition;

/// Names shorter than this are words.
const SHORTEST: usize = 5;
/// Names that are looked up of one definition.
const MAX_WORDS: usize = 4096;

/// The tools of all servers.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    /// By own or exposed name: who has it.
    owners: HashMap<String, Owners>,
}

#[derive(Clone, Debug, Default)]
struct Owners {
    servers: HashSet<ServerName>,
    /// It is a name as clients see it, which no other server can know by chance.
    is_exposed: bool,
}

impl Neighbours {
    /// Adds a tool of a server, whose exposed names start with `prefix`.
    pub fn add(&mut self, server: &ServerName, prefix: &str, tool: &str) {
        let mut name = |name: String, is_exposed: bool| {
            let owners = self.owners.entry(name).or_default();
            owners.servers.insert(server.clone());
            owners.is_exposed |= is_exposed;
        };
        if is_distinctive(tool) {
            name(tool.to_owned(), false);
        }
        let prefix = slug(prefix);
        if !prefix.is_empty() {
            let mapped =
                |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
            name(format!("{prefix}__{}", tool.chars().map(mapped).collect::<String>()), true);
        }
    }

    /// Findings about names of other servers' tools among `words`. `is_suspicious` says that the same definition gives orders.
    pub(in crate::trust) fn look(
        &self,
        server: &ServerName,
        words: &[Word],
        is_suspicious: bool,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        for word in words {
            let Some(owners) = self.owners.get(&word.text).filter(|owners| !owners.servers.contains(server))
            else {
                continue;
            };
            let grave = owners.is_exposed || is_suspicious;
            let owner = owners.servers.iter().min().map(ToString::to_string).unwrap_or_default();
            findings.push(Finding {
                id: "names-other-tool",
                severity: if grave { Severity::Grave } else { Severity::Note },
                place: word.place.clone(),
                excerpt: format!("`{}` is a tool of server `{}`", word.text, super::safe(&owner, 0, 64)),
            });
        }
        findings
    }
}

/// A word that may be the name of a tool, and where it stands.
#[derive(Clone, Debug)]
pub(in crate::trust) struct Word {
    text: String,
    place: String,
}

/// The words of a definition that may be names of tools, each once.
pub(in crate::trust) fn words(definition: &Definition) -> Vec<Word> {
    let mut words = Vec::new();
    let mut seen = HashSet::new();
    for (member, value) in &definition.members {
        let mut place = format!("/{member}");
        each_text(value, &mut place, &mut |text: &Text<'_>| {
            if text.is_key || text.place.ends_with("/$ref") {
                return;
            }
            let is_part =
                |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '/');
            for word in text.text.split(|letter| !is_part(letter)) {
                let word = word.trim_matches(['.', '/', '-']);
                if is_distinctive(word) && words.len() < MAX_WORDS && seen.insert(word.to_owned()) {
                    words.push(Word { text: word.to_owned(), place: super::safe(text.place, 0, 160) });
                }
            }
        });
    }
    words
}

/// Whether a name is no word of a language: it is joined of several, with `_`, `-`, `.` or capitals.
fn is_distinctive(name: &str) -> bool {
    let letters = name.as_bytes();
    (SHORTEST..=128).contains(&letters.len())
        && (letters.contains(&b'_')
            || letters.windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ListKind;

    fn found(description: &str, is_suspicious: bool) -> Vec<Severity> {
        let mut neighbours = Neighbours::default();
        neighbours.add(&"mail".into(), "mail", "send_email");
        neighbours.add(&"mail".into(), "mail", "search");
        neighbours.add(&"ours".into(), "ours", "send_email_later");
        let text = format!(r#"{{"name":"x","description":"{description}"}}"#);
        let definition = Definition::read(ListKind::Tools, text.as_bytes()).unwrap();
        let findings = neighbours.look(&"ours".into(), &words(&definition), is_suspicious);
        findings.iter().map(|finding| finding.severity).collect()
    }

    #[test]
    fn other_servers_tools_are_noticed_by_either_name() {
        assert_eq!(found("When `send_email` is used, do so.", false), [Severity::Note]);
        assert_eq!(found("When send_email is used, do so.", true), [Severity::Grave]);
        assert_eq!(found("Call mail__search first.", false), [Severity::Grave]);
        assert_eq!(found("search, send_email_later and send_emails", true), []);
    }
}
