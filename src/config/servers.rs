//! Gathers the servers of a config, wherever it keeps them, into one mapping from names to entries.

use super::check::twice;
use super::keys;
use super::problem::Reporter;
use super::tree::{Kind, Member, Node, Origin};
use crate::failure::Code;

/// The key under which the gathered servers stand.
pub(super) const SERVERS: &str = "servers";

/// Merges `servers`, `mcpServers` and their other names, each a mapping or a list of entries with a `name`.
/// Names may stand twice afterwards; who resolves them reports it.
pub(super) fn gather(root: &mut Node, reporter: &mut Reporter) {
    let Kind::Map(members) = &mut root.kind else { return };
    let is_section = |key: &str| keys::ROOT.find(key).is_some_and(|key| key.name == SERVERS);
    let (sections, others): (Vec<Member>, Vec<Member>) =
        std::mem::take(members).into_iter().partition(|member| is_section(&member.key));
    *members = others;
    let Some(first) = sections.first() else { return };
    let origin = first.origin.clone();
    let mut seen: Vec<(String, Origin)> = Vec::new();
    let mut servers = Vec::new();
    for section in sections {
        match seen.iter().find(|(key, _)| *key == section.key) {
            Some((_, first)) => twice(&section, first, "", reporter),
            None => seen.push((section.key.clone(), section.origin.clone())),
        }
        match section.value.kind {
            Kind::Map(entries) => servers.extend(entries),
            Kind::List(entries) => {
                servers.extend(entries.into_iter().filter_map(|entry| named(entry, reporter)))
            }
            Kind::Null => {}
            _ => {
                let message = format!(
                    "`{}` must be a mapping from server names to entries, found {}",
                    section.key,
                    section.value.describe()
                );
                reporter.error(Code::ConfigValue, &section.value.origin, message);
            }
        }
    }
    members.push(Member {
        key: SERVERS.to_owned(),
        origin: origin.clone(),
        value: Node { kind: Kind::Map(servers), origin },
    });
}

/// An entry of a list, by its `name`.
fn named(mut entry: Node, reporter: &mut Reporter) -> Option<Member> {
    let place = entry.origin.clone();
    let Some(name) = entry.take("name") else {
        reporter
            .error(Code::ConfigMissing, &place, "an entry in the list of servers has no `name`")
            .hint("add `name: …`, or write the servers as a mapping");
        return None;
    };
    let Some(text) = name.value.scalar_text().filter(|text| !text.is_empty()) else {
        let message = format!("`name` must be a string, found {}", name.value.describe());
        reporter.error(Code::ConfigValue, &name.value.origin, message);
        return None;
    };
    Some(Member { key: text.to_owned(), origin: Origin::clone(&name.value.origin), value: entry })
}
