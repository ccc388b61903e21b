//! Where the servers of a config stand.

use serde_json::{Map, Value};

use super::super::check::nearest;
use super::super::tree::{Kind, Node};
use super::{EditError, Step, keys, servers};

/// The key of the mission's shape, which has its own place for servers.
pub(super) const MISSION: &str = "proxy";

/// A mapping or list of servers.
pub(super) struct Section<'a> {
    /// The way there.
    pub(super) path: Vec<Step>,
    /// What stands there.
    pub(super) node: &'a Node,
}

/// The entry of a server.
pub(super) struct Found<'a> {
    /// The way there.
    pub(super) path: Vec<Step>,
    /// What stands there.
    pub(super) node: &'a Node,
    /// Whether it is an element of a list and holds its own name.
    in_list: bool,
}

impl Found<'_> {
    /// A new entry for its place.
    pub(super) fn entry(&self, name: &str, entry: &Value) -> Value {
        if self.in_list { named(name, entry) } else { entry.clone() }
    }
}

/// Whether servers stand below this key.
pub(super) fn is_section(key: &str) -> bool {
    keys::ROOT.find(key).is_some_and(|key| key.name == servers::SERVERS)
}

/// The entry of a list, which says its name.
pub(super) fn named(name: &str, entry: &Value) -> Value {
    let mut members = Map::from_iter([("name".to_owned(), Value::String(name.to_owned()))]);
    if let Value::Object(entry) = entry {
        members.extend(
            entry.iter().filter(|(key, _)| *key != "name").map(|(key, value)| (key.clone(), value.clone())),
        );
    }
    Value::Object(members)
}

/// The one server of this name.
pub(super) fn find<'a>(root: &'a Node, name: &str) -> Result<Option<Found<'a>>, EditError> {
    let mut all = entries(root).filter(|(found, _)| *found == name).map(|(_, found)| found);
    match (all.next(), all.next()) {
        (_, Some(_)) => Err(EditError::Twice { name: name.to_owned() }),
        (found, None) => Ok(found),
    }
}

/// The names of all servers.
pub(super) fn names(root: &Node) -> Vec<String> {
    entries(root).map(|(name, _)| name.to_owned()).collect()
}

/// That a server is missing, with the name that was probably meant.
pub(super) fn not_found(root: &Node, name: &str) -> EditError {
    let nearest = nearest(name, entries(root).map(|(name, _)| name)).map(str::to_owned);
    EditError::NotFound { name: name.to_owned(), nearest }
}

/// The place for further servers: the last one that has some, else the last that could.
pub(super) fn section(root: &Node) -> Result<Option<Section<'_>>, EditError> {
    let all: Vec<Section<'_>> = sections(root).collect();
    for section in &all {
        if !matches!(section.node.kind, Kind::Null | Kind::Map(_) | Kind::List(_)) {
            let key = match section.path.last() {
                Some(Step::Key(key)) => key.clone(),
                _ => servers::SERVERS.to_owned(),
            };
            return Err(EditError::Section { key });
        }
    }
    let has_some =
        |section: &Section<'_>| !section.node.members().is_empty() || !section.node.elements().is_empty();
    let last = all.iter().rposition(has_some).or(all.len().checked_sub(1));
    Ok(last.and_then(|last| all.into_iter().nth(last)))
}

fn sections(root: &Node) -> impl Iterator<Item = Section<'_>> {
    let ours = root.members().iter().filter(|member| is_section(&member.key));
    let ours = ours.map(|member| Section { path: vec![Step::key(&member.key)], node: &member.value });
    let mission = root.members().iter().filter(|member| member.key == MISSION);
    let mission =
        mission.flat_map(|proxy| proxy.value.members()).filter(|member| member.key == servers::SERVERS);
    let mission = mission.map(|member| Section {
        path: vec![Step::key(MISSION), Step::key(&member.key)],
        node: &member.value,
    });
    // With the mission's key the loader takes the servers from there alone.
    let mission: Vec<Section<'_>> = mission.collect();
    let ours = ours.filter({
        let has_mission = !mission.is_empty();
        move |section| !(has_mission && section.path == [Step::key(servers::SERVERS)])
    });
    ours.collect::<Vec<_>>().into_iter().chain(mission)
}

fn entries(root: &Node) -> impl Iterator<Item = (&str, Found<'_>)> {
    sections(root).flat_map(|Section { path, node }| {
        let members = node.members().iter().map({
            let path = path.clone();
            move |member| {
                let path = super::below(&path, Step::key(&member.key));
                (member.key.as_str(), Found { path, node: &member.value, in_list: false })
            }
        });
        let elements = node.elements().iter().enumerate().filter_map(move |(index, node)| {
            let name = node.get("name")?.scalar_text()?;
            Some((name, Found { path: super::below(&path, Step::Index(index)), node, in_list: true }))
        });
        members.chain(elements)
    })
}
