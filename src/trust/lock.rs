//! The lock file: what servers show, in a form that a repository keeps and a person reviews.
//!
//! JSON with sorted keys and one digest per member, so that a change in `git diff` is as small as the change itself. The
//! description stands there in full: it is what a model obeys.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::canonical;
use super::definition::{Definition, KINDS};
use crate::catalog::Offering;
use crate::protocol::ListKind;
use crate::wire::unseen::push_escaped;

/// The name of the file, beside the config.
pub const FILE: &str = "switchboard.lock";
/// Larger files are not ours, in bytes.
pub const MAX_FILE: u64 = 64 << 20;

const FORMAT: u32 = 1;

/// A lock file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    format: u32,
    /// By the names of servers.
    pub servers: BTreeMap<String, LockedServer>,
}

/// What one server shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedServer {
    #[serde(default)]
    tools: BTreeMap<String, Locked>,
    #[serde(default)]
    prompts: BTreeMap<String, Locked>,
}

/// One definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Locked {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The SHA-256 of the canonical text of each member.
    members: BTreeMap<String, String>,
}

/// One thing that is not as the lock file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose it is.
    pub server: String,
    /// In which list it stands, and the server's own name for it; `None` for the server itself.
    pub item: Option<(ListKind, String)>,
    /// What is different.
    pub what: What,
}

/// What is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The lock file does not have it.
    New,
    /// Only the lock file has it.
    Gone,
    /// These members differ.
    Changed {
        /// Their names.
        members: Vec<String>,
        /// The description before and now, if it is among them.
        description: Option<(String, String)>,
    },
}

impl Default for Lock {
    fn default() -> Self {
        Self { format: FORMAT, servers: BTreeMap::new() }
    }
}

impl LockedServer {
    /// What a server shows, but for the tools that its owner does not `allow`.
    pub fn of(offering: &Offering, allows: impl Fn(&str) -> bool) -> Self {
        let mut server = Self::default();
        for kind in KINDS {
            let definitions = offering.list(kind).iter().filter_map(|item| Definition::read(kind, item));
            for definition in definitions.filter(|one| kind != ListKind::Tools || allows(&one.name)) {
                // Of two of the same name clients see the first.
                let Definition { name, members, .. } = definition;
                server.list_mut(kind).entry(name).or_insert_with(|| Locked {
                    description: members.get("description").and_then(|text| text.as_str()).map(str::to_owned),
                    members: members
                        .iter()
                        .map(|(member, value)| {
                            (member.clone(), format!("sha256:{}", canonical::digest(value)))
                        })
                        .collect(),
                });
            }
        }
        server
    }

    fn list(&self, kind: ListKind) -> &BTreeMap<String, Locked> {
        if kind == ListKind::Prompts { &self.prompts } else { &self.tools }
    }

    fn list_mut(&mut self, kind: ListKind) -> &mut BTreeMap<String, Locked> {
        if kind == ListKind::Prompts { &mut self.prompts } else { &mut self.tools }
    }
}

impl Lock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let lock: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if lock.format != FORMAT {
            return Err(format!("it has format {}, this version knows {FORMAT}", lock.format));
        }
        Ok(lock)
    }

    /// The text of the file. What a reviewer would not see is written as escapes.
    pub fn to_text(&self) -> Vec<u8> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        let mut out = Vec::with_capacity(text.len() + 1);
        push_escaped(&mut out, &text);
        out.push(b'\n');
        out
    }

    /// What is different now. Only of the servers that are looked at: those of `now`, and those that the lock file has and
    /// `is_asked` says should be there.
    pub fn compare(&self, now: &Lock, is_asked: impl Fn(&str) -> bool) -> Vec<Difference> {
        let mut differences = Vec::new();
        let gone =
            self.servers.keys().filter(|server| !now.servers.contains_key(*server) && is_asked(server));
        differences.extend(gone.map(|server| Difference {
            server: server.clone(),
            item: None,
            what: What::Gone,
        }));
        for (name, server) in &now.servers {
            match self.servers.get(name) {
                None => differences.push(Difference { server: name.clone(), item: None, what: What::New }),
                Some(locked) => differences.extend(compare(name, locked, server)),
            }
        }
        differences
    }
}

fn compare(server: &str, locked: &LockedServer, now: &LockedServer) -> Vec<Difference> {
    let mut differences = Vec::new();
    for kind in KINDS {
        let (before, after) = (locked.list(kind), now.list(kind));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let what = match (before.get(name), after.get(name)) {
                (Some(before), Some(after)) if before == after => continue,
                (Some(before), Some(after)) => changed(before, after),
                (Some(_), None) => What::Gone,
                (None, _) => What::New,
            };
            differences.push(Difference {
                server: server.to_owned(),
                item: Some((kind, name.clone())),
                what,
            });
        }
    }
    differences
}

fn changed(before: &Locked, after: &Locked) -> What {
    let names: BTreeSet<&String> = before.members.keys().chain(after.members.keys()).collect();
    let differs = |name: &&String| before.members.get(*name) != after.members.get(*name);
    let text = |locked: &Locked| locked.description.clone().unwrap_or_default();
    What::Changed {
        members: names.into_iter().filter(differs).cloned().collect(),
        description: (before.description != after.description).then(|| (text(before), text(after))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn lock(tools: &[&str]) -> Lock {
        let tools = tools.iter().map(|tool| Bytes::copy_from_slice(tool.as_bytes())).collect();
        let offering = Offering { tools, ..Offering::default() };
        let server = LockedServer::of(&offering, |name| name != "hidden");
        Lock { servers: [("s".to_owned(), server)].into(), ..Lock::default() }
    }

    #[test]
    fn the_file_is_stable_and_reads_back() {
        let one =
            lock(&[r#"{"name":"b","description":"x\u202e"}"#, r#"{"name":"a"}"#, r#"{"name":"hidden"}"#]);
        let other = lock(&[r#"{ "name":"a" }"#, "{\"description\":\"x\u{202e}\",\"name\":\"b\"}"]);
        assert_eq!(one.to_text(), other.to_text());
        let text = String::from_utf8(one.to_text()).unwrap();
        assert!(text.contains(r#""description": "x\u202e""#) && text.ends_with("}\n"), "{text}");
        assert_eq!(Lock::parse(text.as_bytes()), Ok(one));
        assert!(Lock::parse(b"{}").is_err());
        assert!(Lock::parse(br#"{"format":2,"servers":{}}"#).unwrap_err().contains("format 2"));
    }

    #[test]
    fn every_difference_is_told() {
        let before = lock(&[r#"{"name":"a","description":"x","inputSchema":{}}"#, r#"{"name":"b"}"#]);
        let after = lock(&[r#"{"name":"a","description":"y","inputSchema":{}}"#, r#"{"name":"c"}"#]);
        assert_eq!(before.compare(&before, |_| true), []);
        let found = before.compare(&after, |_| true);
        let shown: Vec<String> = found
            .iter()
            .map(|one| format!("{} {:?}", one.item.as_ref().map_or("", |(_, name)| name.as_str()), one.what))
            .collect();
        let changed = r#"a Changed { members: ["description"], description: Some(("x", "y")) }"#;
        assert_eq!(shown, [changed, "b Gone", "c New"]);
        let empty = Lock::default();
        assert_eq!(empty.compare(&before, |_| true)[0].what, What::New);
        assert_eq!(before.compare(&empty, |_| true)[0].what, What::Gone);
        assert_eq!(before.compare(&empty, |server| server != "s"), []);
    }
}
