//! The lock file: what servers show, in a form that a repository keeps and a person reviews.
//!
//! JSON with sorted keys and one digest per member, so that a change in `git diff` is as small as the change itself. The
//! description stands there in full: it is what a model obeys.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::canonical;
use super::definition::Definition;
use crate::catalog::{Offering, Part};
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
    /// `None` in a file of an earlier version, which says nothing of these, nor of templates and instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resources: Option<BTreeMap<String, Locked>>,
    #[serde(default, rename = "resourceTemplates", skip_serializing_if = "BTreeMap::is_empty")]
    templates: BTreeMap<String, Locked>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instructions: Option<Locked>,
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
    /// Of what, and the server's own name for it; `None` for the server itself.
    pub item: Option<(Part, String)>,
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
        let mut server = Self { resources: Some(BTreeMap::new()), ..Self::default() };
        for kind in Part::ALL {
            let definitions = offering.part(kind).filter_map(|item| Definition::read(kind, item));
            let is_tool = kind == Part::Item(ListKind::Tools);
            for definition in definitions.filter(|one| !is_tool || allows(&one.name)) {
                // Of two of the same name clients see the first.
                let locked = Locked::of(&definition);
                match server.list_mut(kind) {
                    Some(list) => {
                        list.entry(definition.name).or_insert(locked);
                    }
                    None => server.instructions = Some(locked),
                }
            }
        }
        server
    }

    /// `None` where the file says nothing of this part.
    fn list(&self, kind: Part) -> Option<BTreeMap<&str, &Locked>> {
        let list = match kind {
            Part::Item(ListKind::Tools) => &self.tools,
            Part::Item(ListKind::Prompts) => &self.prompts,
            Part::Item(ListKind::Resources) => self.resources.as_ref()?,
            Part::Item(ListKind::Templates) => self.resources.is_some().then_some(&self.templates)?,
            Part::Instructions => {
                let instructions = self.instructions.iter().map(|locked| (kind.key(), locked));
                return self.resources.is_some().then(|| instructions.collect());
            }
        };
        Some(list.iter().map(|(name, locked)| (name.as_str(), locked)).collect())
    }

    /// `None` for instructions, of which there is no list.
    fn list_mut(&mut self, kind: Part) -> Option<&mut BTreeMap<String, Locked>> {
        match kind {
            Part::Item(ListKind::Tools) => Some(&mut self.tools),
            Part::Item(ListKind::Prompts) => Some(&mut self.prompts),
            Part::Item(ListKind::Resources) => self.resources.as_mut(),
            Part::Item(ListKind::Templates) => Some(&mut self.templates),
            Part::Instructions => None,
        }
    }
}

impl Locked {
    fn of(definition: &Definition) -> Self {
        let digest = |value| format!("sha256:{}", canonical::digest(value));
        Self {
            description: definition.description().map(str::to_owned),
            members: definition.members.iter().map(|(name, value)| (name.clone(), digest(value))).collect(),
        }
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
    for kind in Part::ALL {
        let (Some(before), Some(after)) = (locked.list(kind), now.list(kind)) else { continue };
        // Resources come and go.
        let may_vary = kind == Part::Item(ListKind::Resources);
        let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        for name in names {
            let what = match (before.get(name), after.get(name)) {
                (Some(before), Some(after)) if before == after => continue,
                (Some(before), Some(after)) => changed(before, after),
                _ if may_vary => continue,
                (Some(_), None) => What::Gone,
                (None, _) => What::New,
            };
            differences.push(Difference {
                server: server.to_owned(),
                item: Some((kind, name.to_owned())),
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
    fn instructions_templates_and_resources_are_locked_and_resources_may_come_and_go() {
        let lock = |instructions: &str, resources: &[&str], template: &str| {
            let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
            let offering = Offering {
                initialize: bytes(&format!(r#"{{"instructions":"{instructions}"}}"#)),
                resources: resources.iter().map(|text| bytes(text)).collect(),
                templates: vec![bytes(template)],
                ..Offering::default()
            };
            let server = LockedServer::of(&offering, |_| true);
            Lock { servers: [("s".to_owned(), server)].into(), ..Lock::default() }
        };
        let (one, two) = (r#"{"uri":"a://1","name":"x"}"#, r#"{"uri":"a://2","name":"y"}"#);
        let (before, template) = (r#"{"uri":"a://2","name":"z"}"#, r#"{"uriTemplate":"a://{n}","name":"t"}"#);
        let locked = lock("Be gentle.", &[one, before], template);
        let text = String::from_utf8(locked.to_text()).unwrap();
        assert!(text.contains("Be gentle.") && text.contains("resourceTemplates"), "{text}");
        assert_eq!(Lock::parse(text.as_bytes()).unwrap(), locked);
        let now = lock("Be quick.", &[two, r#"{"uri":"a://3"}"#], r#"{"uriTemplate":"b://{n}"}"#);
        let told = |locked: &Lock| -> Vec<String> {
            let found = locked.compare(&now, |_| true);
            found.iter().map(|one| format!("{:?}", one.item.as_ref().unwrap())).collect()
        };
        assert_eq!(
            told(&locked),
            [
                r#"(Item(Resources), "a://2")"#,
                r#"(Item(Templates), "a://{n}")"#,
                r#"(Item(Templates), "b://{n}")"#,
                r#"(Instructions, "instructions")"#
            ]
        );
        // As an earlier version wrote it.
        let old = Lock::parse(br#"{"format":1,"servers":{"s":{"tools":{},"prompts":{}}}}"#).unwrap();
        assert_eq!(told(&old), [""; 0]);
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
