//! What is remembered of one server's definitions: which were seen first, which wait, which somebody has approved.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::definition::Definition;
use crate::catalog::Part;
use crate::protocol::ListKind;

/// Versions of one definition that are remembered. What a server shows may depend on the client, so there may be several
/// good ones.
const MAX_APPROVED: usize = 16;
/// Versions of one definition that may wait: a server that shows another one every time fills no disk.
const MAX_WAITING: usize = 4;
/// Names that are remembered of one list.
const MAX_NAMES: usize = 20_000;

/// The pins of one server, as they stand in its file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pins {
    /// By name; `None` before the list was seen for the first time.
    tools: Option<BTreeMap<String, Pin>>,
    prompts: Option<BTreeMap<String, Pin>>,
    resources: Option<BTreeMap<String, Pin>>,
    templates: Option<BTreeMap<String, Pin>>,
    instructions: Option<BTreeMap<String, Pin>>,
}

/// The versions of one definition, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    versions: Vec<Version>,
}

/// One version of a definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// The SHA-256 of its canonical text.
    pub digest: String,
    /// How it stands.
    pub standing: Standing,
    /// When it came to stand so, in seconds since 1970.
    pub since: u64,
    /// Its text.
    pub definition: Map<String, Value>,
}

/// How a version of a definition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It was there when the server's list was seen for the first time.
    First,
    /// It came later, and nobody has approved it yet.
    Waiting,
    /// Somebody has approved it.
    Approved,
}

impl Standing {
    /// Whether it is no change.
    pub fn is_good(self) -> bool {
        self != Standing::Waiting
    }
}

impl Version {
    fn new(definition: &Definition, standing: Standing, since: u64) -> Self {
        let Definition { digest, members, .. } = definition.clone();
        Self { digest, standing, since, definition: members }
    }
}

impl Pin {
    /// The version of this digest.
    pub fn version(&self, digest: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.digest == digest)
    }

    /// All of them, the oldest first.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The newest version that was good: what a change is compared with.
    pub fn last_good(&self) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.standing.is_good())
    }

    /// Whether what is seen next under this name is good, whatever it is: resources come and go, and one that was not there before
    /// is no change.
    fn takes_anything(&self, kind: Part) -> bool {
        kind == Part::Item(ListKind::Resources) && self.versions.is_empty()
    }

    /// Adds a version, and forgets the oldest of its sort if there are too many.
    fn add(&mut self, version: Version) {
        let good = version.standing.is_good();
        self.versions.push(version);
        let most = if good { MAX_APPROVED } else { MAX_WAITING };
        let alike = |version: &Version| version.standing.is_good() == good;
        if self.versions.iter().filter(|version| alike(version)).count() > most
            && let Some(oldest) = self.versions.iter().position(alike)
        {
            self.versions.remove(oldest);
        }
    }

    fn set(&mut self, digest: &str, standing: Standing) -> bool {
        let Some(at) = self.versions.iter().position(|version| version.digest == digest) else {
            return false;
        };
        let changed = self.versions[at].standing != standing;
        if changed {
            let version = self.versions.remove(at);
            self.add(Version { standing, since: now(), ..version });
        }
        changed
    }
}

impl Pins {
    fn list_mut(&mut self, kind: Part) -> &mut Option<BTreeMap<String, Pin>> {
        match kind {
            Part::Item(ListKind::Tools) => &mut self.tools,
            Part::Item(ListKind::Prompts) => &mut self.prompts,
            Part::Item(ListKind::Resources) => &mut self.resources,
            Part::Item(ListKind::Templates) => &mut self.templates,
            Part::Instructions => &mut self.instructions,
        }
    }

    fn list(&self, kind: Part) -> Option<&BTreeMap<String, Pin>> {
        match kind {
            Part::Item(ListKind::Tools) => self.tools.as_ref(),
            Part::Item(ListKind::Prompts) => self.prompts.as_ref(),
            Part::Item(ListKind::Resources) => self.resources.as_ref(),
            Part::Item(ListKind::Templates) => self.templates.as_ref(),
            Part::Instructions => self.instructions.as_ref(),
        }
    }

    /// The pins of one list, by name.
    pub fn of(&self, kind: impl Into<Part>) -> impl Iterator<Item = (&str, &Pin)> {
        self.list(kind.into()).into_iter().flatten().map(|(name, pin)| (name.as_str(), pin))
    }

    /// The pin of this name.
    pub fn pin(&self, kind: impl Into<Part>, name: &str) -> Option<&Pin> {
        self.list(kind.into())?.get(name)
    }

    /// How this very definition stands; waiting, if it is not known at all.
    pub fn standing(&self, definition: &Definition) -> Standing {
        let version =
            self.pin(definition.kind, &definition.name).and_then(|pin| pin.version(&definition.digest));
        version.map_or(Standing::Waiting, |version| version.standing)
    }

    /// Whether this list was seen before.
    pub fn has_seen(&self, kind: impl Into<Part>) -> bool {
        self.list(kind.into()).is_some()
    }

    /// Takes note of a whole list; true if anything in it is new. The first list of its kind is good as it is; later ones
    /// too, if nobody asks for changes.
    pub fn see(
        &mut self,
        kind: impl Into<Part>,
        definitions: &[&Definition],
        asks_for_changes: bool,
    ) -> bool {
        let kind = kind.into();
        let is_first = !self.has_seen(kind);
        let pins = self.list_mut(kind).get_or_insert_default();
        let mut news = is_first;
        for definition in definitions {
            if pins.len() >= MAX_NAMES && !pins.contains_key(&definition.name) {
                continue;
            }
            let pin = pins.entry(definition.name.clone()).or_default();
            if pin.version(&definition.digest).is_none() {
                let is_good = is_first || !asks_for_changes || pin.takes_anything(kind);
                let standing = if is_good { Standing::First } else { Standing::Waiting };
                pin.add(Version::new(definition, standing, now()));
                news = true;
            }
        }
        news
    }

    /// Approves one version; true if that changes anything.
    pub fn approve(&mut self, kind: impl Into<Part>, name: &str, digest: &str) -> bool {
        let pin = self.list_mut(kind.into()).as_mut().and_then(|pins| pins.get_mut(name));
        pin.is_some_and(|pin| pin.set(digest, Standing::Approved))
    }

    /// Adds what another process has noted. What these pins know themselves stays as it is; what was first to the other
    /// one, but comes second here, waits.
    pub fn absorb(&mut self, other: &Pins) {
        for kind in Part::ALL {
            let Some(theirs) = other.list(kind) else { continue };
            let is_first = !self.has_seen(kind);
            let pins = self.list_mut(kind).get_or_insert_default();
            for (name, their) in theirs {
                if pins.len() >= MAX_NAMES && !pins.contains_key(name) {
                    continue;
                }
                let pin = pins.entry(name.clone()).or_default();
                let is_first = is_first || pin.takes_anything(kind);
                for version in &their.versions {
                    if pin.version(&version.digest).is_none() {
                        let late = !is_first && version.standing == Standing::First;
                        let standing = if late { Standing::Waiting } else { version.standing };
                        pin.add(Version { standing, ..version.clone() });
                    }
                }
            }
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: ListKind = ListKind::Tools;

    fn tool(name: &str, description: &str) -> Definition {
        let text = format!(r#"{{"name":"{name}","description":"{description}"}}"#);
        Definition::read(TOOLS, text.as_bytes()).unwrap()
    }

    #[test]
    fn the_first_list_is_good_and_what_differs_later_waits() {
        let mut pins = Pins::default();
        let (a, changed, new) = (tool("a", "x"), tool("a", "y"), tool("b", "z"));
        assert!(pins.see(TOOLS, &[&a], true));
        assert!(!pins.see(TOOLS, &[&a], true) && !pins.see(TOOLS, &[], true));
        assert!(pins.see(TOOLS, &[&changed, &new], true));
        let standings = [&a, &changed, &new].map(|definition| pins.standing(definition));
        assert_eq!(standings, [Standing::First, Standing::Waiting, Standing::Waiting]);
        assert!(pins.approve(TOOLS, "a", &changed.digest) && !pins.approve(TOOLS, "a", &changed.digest));
        assert_eq!(pins.standing(&changed), Standing::Approved);
        assert_eq!(pins.standing(&a), Standing::First, "two clients may see two versions");
        assert_eq!(pins.pin(TOOLS, "a").unwrap().last_good().unwrap().digest, changed.digest);
        assert!(!pins.approve(TOOLS, "c", &changed.digest) && !pins.approve(ListKind::Prompts, "a", "x"));
    }

    #[test]
    fn resources_come_and_go_and_only_what_changes_waits() {
        let resource = |uri: &str, name: &str| {
            let text = format!(r#"{{"uri":"{uri}","name":"{name}"}}"#);
            Definition::read(ListKind::Resources, text.as_bytes()).unwrap()
        };
        let (one, two, changed) = (resource("a://1", "x"), resource("a://2", "y"), resource("a://2", "z"));
        let mut pins = Pins::default();
        pins.see(ListKind::Resources, &[&one], true);
        pins.see(ListKind::Resources, &[&two], true);
        let mut other = Pins::default();
        other.absorb(&pins);
        other.see(ListKind::Resources, &[&changed], true);
        let standings = [&one, &two, &changed].map(|definition| other.standing(definition));
        assert_eq!(standings, [Standing::First, Standing::First, Standing::Waiting]);
    }

    /// As an earlier version wrote them.
    #[test]
    fn pins_without_the_later_parts_are_read() {
        let mut old = Pins::default();
        old.see(TOOLS, &[&tool("a", "x")], true);
        let mut text = serde_json::to_value(&old).unwrap();
        text.as_object_mut().unwrap().retain(|part, _| part == "tools" || part == "prompts");
        let mut pins: Pins = serde_json::from_value(text).unwrap();
        assert_eq!(pins, old);
        let words = Definition::read(Part::Instructions, br#""Be gentle.""#).unwrap();
        pins.see(Part::Instructions, &[&words], true);
        assert_eq!(pins.standing(&words), Standing::First);
    }

    #[test]
    fn an_empty_first_list_makes_what_follows_new() {
        let mut pins = Pins::default();
        assert!(pins.see(TOOLS, &[], true));
        assert!(pins.see(TOOLS, &[&tool("a", "x")], true));
        assert_eq!(pins.standing(&tool("a", "x")), Standing::Waiting);
        assert!(!pins.has_seen(ListKind::Prompts));
    }

    #[test]
    fn a_server_that_never_shows_the_same_fills_nothing_and_pushes_out_nothing_good() {
        let mut pins = Pins::default();
        let good = tool("a", "good");
        pins.see(TOOLS, &[&good], true);
        for turn in 0..100 {
            pins.see(TOOLS, &[&tool("a", &turn.to_string())], true);
        }
        assert_eq!(pins.pin(TOOLS, "a").unwrap().versions().len(), 1 + MAX_WAITING);
        assert_eq!(pins.standing(&good), Standing::First);
        for turn in 0..100 {
            let version = tool("a", &turn.to_string());
            pins.see(TOOLS, &[&version], true);
            pins.approve(TOOLS, "a", &version.digest);
        }
        assert!(pins.pin(TOOLS, "a").unwrap().versions().len() <= MAX_APPROVED + MAX_WAITING);
    }

    #[test]
    fn of_two_first_sights_one_waits_and_approvals_are_kept() {
        let (mut kept, mut ours) = (Pins::default(), Pins::default());
        let (early, late) = (tool("a", "early"), tool("a", "late"));
        kept.see(TOOLS, &[&early], true);
        ours.see(TOOLS, &[&late], true);
        kept.absorb(&ours);
        assert_eq!([kept.standing(&early), kept.standing(&late)], [Standing::First, Standing::Waiting]);
        let stale = kept.clone();
        kept.approve(TOOLS, "a", &late.digest);
        kept.absorb(&stale);
        assert_eq!(kept.standing(&late), Standing::Approved);
        let mut empty = Pins::default();
        empty.absorb(&ours);
        assert_eq!(empty.standing(&late), Standing::First);
    }
}
