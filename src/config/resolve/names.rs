//! Names of servers and the prefixes of their tools, each of which stands once.

use std::collections::{HashMap, HashSet};

use super::{Resolved, Resolver};
use crate::config::hash::name_hash;
use crate::config::tree::{Kind, Member, Node};
use crate::failure::Code;
use crate::names::{RESERVED_SLUG, ServerName, slug};

impl Resolver<'_> {
    pub(super) fn prefix(&mut self, name: &ServerName, node: &Node) -> String {
        if let Some(said) = node.get("prefix")
            && let Some(text) = said.as_str()
        {
            let prefix = slug(text);
            if prefix.is_empty() && !text.is_empty() {
                self.reporter
                    .error(Code::ConfigValue, &said.origin, "`prefix` has no letter (a-z) or digit")
                    .hint("write `\"\"` if the names should have no prefix");
            }
            return prefix;
        }
        let prefix = slug(name.as_str());
        if prefix.is_empty() { format!("s{}", name_hash(name.as_str(), 4)) } else { prefix }
    }

    pub(super) fn make_prefixes_unique(&mut self, servers: &mut [Resolved]) {
        let mut taken: HashSet<String> = HashSet::from([RESERVED_SLUG.to_owned()]);
        for server in servers {
            if server.prefix.is_empty() || taken.insert(server.prefix.clone()) {
                continue;
            }
            let clash = std::mem::take(&mut server.prefix);
            server.prefix = (4..=64)
                .map(|digits| format!("{clash}-{}", name_hash(server.name.as_str(), digits)))
                .find(|candidate| !taken.contains(candidate))
                .unwrap_or_else(|| clash.clone());
            taken.insert(server.prefix.clone());
            let whose = if clash == RESERVED_SLUG { "Switchboard itself" } else { "an earlier server" };
            let message = format!(
                "the prefix `{clash}` belongs to {whose}, so this server's tools start with `{}`",
                server.prefix
            );
            self.reporter.set_server(Some(server.name.clone()));
            self.reporter
                .warn(Code::ConfigConflict, &server.origin, message)
                .hint("choose another one with `prefix`");
            self.reporter.set_server(None);
        }
    }
}

/// Each name once, with the further places where it stands.
pub(super) fn by_name(servers: Option<Member>) -> Vec<(Member, Vec<Member>)> {
    let mut named: Vec<(Member, Vec<Member>)> = Vec::new();
    let mut index = HashMap::new();
    let members = match servers.map(|member| member.value.kind) {
        Some(Kind::Map(members)) => members,
        _ => Vec::new(),
    };
    for member in members {
        match index.get(&member.key) {
            Some(at) => {
                let (_, repeated): &mut (Member, Vec<Member>) = &mut named[*at];
                repeated.push(member);
            }
            None => {
                index.insert(member.key.clone(), named.len());
                named.push((member, Vec::new()));
            }
        }
    }
    named
}
