//! What a config is made of, so that it can be made again: its file, the environment, and what was said of servers while
//! Switchboard runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::environment::{ConfigReason, Environment, Locations, locate};
use super::problem::{Problem, Reporter};
use super::servers::{self, SERVERS};
use super::tree::{self, Kind, Member, Node, Origin, Syntax};
use super::{Loaded, load_recipe, read, syntax_of};

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Recipe {
    locations: Option<Locations>,
    pub(super) file: File,
    pub(super) environment: Arc<Environment>,
    said: Vec<Said>,
    profile: Option<Arc<str>>,
}

/// The config file, as it was read.
#[derive(Clone)]
pub(super) enum File {
    /// There is none.
    None,
    /// It has this text.
    Text { path: Arc<Path>, syntax: Syntax, text: Arc<str> },
    /// It cannot be read.
    Unreadable { path: Arc<Path>, problem: Box<Problem> },
}

/// What was said of one server while we run. It stands above the file.
#[derive(Clone)]
struct Said {
    server: String,
    entry: Option<Entry>,
    enabled: Option<bool>,
}

#[derive(Clone)]
enum Entry {
    This(Value),
    Removed,
}

impl Recipe {
    /// The environment in which the config is read.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Reads the config file that was found.
    pub(super) fn of_file(locations: &Locations, environment: &Environment) -> Self {
        let file = File::read(locations.config.as_deref());
        let (locations, environment) = (Some(locations.clone()), Arc::new(environment.clone()));
        Self { locations, file, environment, said: Vec::new(), profile: None }
    }

    /// A text as if it stood in this file.
    pub(super) fn of_text(text: &str, syntax: Syntax, path: &Path, environment: &Environment) -> Self {
        let file = File::Text { path: path.into(), syntax, text: text.into() };
        Self {
            locations: None,
            file,
            environment: Arc::new(environment.clone()),
            said: Vec::new(),
            profile: None,
        }
    }

    /// The same for everybody by this profile, if one is named. It stays, whatever becomes of the file.
    #[must_use]
    pub fn for_profile(self, profile: Option<&str>) -> Self {
        Self { profile: profile.map(Arc::from), ..self }
    }

    /// The name of the profile that is to be in force.
    pub(super) fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// Makes the config, with all problems.
    pub fn load(&self) -> Loaded {
        load_recipe(self)
    }

    /// The same with the file as it is now. Blocks.
    #[must_use]
    pub fn reread(&self) -> Self {
        let Some(mut locations) = self.locations.clone() else { return self.clone() };
        if matches!(locations.config_reason, ConfigReason::Missing(_)) {
            locations = locate(None, &self.environment);
        }
        let file = File::read(locations.config.as_deref());
        Self { locations: Some(locations), file, ..self.clone() }
    }

    /// The same with this text in its file. Nothing changes if there is no file.
    #[must_use]
    pub fn with_text(&self, new: &str) -> Self {
        let mut recipe = self.clone();
        if let File::Text { text, .. } = &mut recipe.file {
            *text = new.into();
        }
        recipe
    }

    /// The config file on disk. A text that never stood in a file has none.
    pub fn path(&self) -> Option<&Path> {
        self.locations.as_ref()?;
        match &self.file {
            File::None => None,
            File::Text { path, .. } | File::Unreadable { path, .. } => Some(path),
        }
    }

    /// The folder in which a config file is looked for, as long as there is none.
    pub fn folder(&self) -> Option<&Path> {
        match &self.locations.as_ref()?.config_reason {
            ConfigReason::Missing(folder) => Some(folder),
            _ => None,
        }
    }

    /// What the file says, if it can be read.
    pub fn text(&self) -> Option<(&str, Syntax)> {
        match &self.file {
            File::Text { text, syntax, .. } => Some((text, *syntax)),
            File::None | File::Unreadable { .. } => None,
        }
    }

    /// Says what a server is, above whatever the file says.
    pub fn say(&mut self, server: &str, entry: Value) {
        let said = self.said_of(server);
        (said.entry, said.enabled) = (Some(Entry::This(entry)), None);
    }

    /// Says that there is no such server, whatever the file says.
    pub fn say_removed(&mut self, server: &str) {
        self.unsay(server);
        if self.file_entry(server).is_some() {
            self.said_of(server).entry = Some(Entry::Removed);
        }
    }

    /// Says whether a server is served, whatever its entry says.
    pub fn say_enabled(&mut self, server: &str, enabled: bool) {
        self.said_of(server).enabled = Some(enabled);
    }

    /// Takes back everything that was said of a server: the file alone counts.
    pub fn unsay(&mut self, server: &str) {
        self.said.retain(|said| said.server != server);
    }

    /// The entry that was said while we run.
    pub fn said_entry(&self, server: &str) -> Option<&Value> {
        self.said.iter().find(|said| said.server == server).and_then(|said| match &said.entry {
            Some(Entry::This(entry)) => Some(entry),
            _ => None,
        })
    }

    /// The entry of a server as the file has it, with its references.
    pub fn file_entry(&self, server: &str) -> Option<Value> {
        let (text, syntax) = self.text()?;
        let mut root = tree::parse(text.strip_prefix('\u{feff}').unwrap_or(text), syntax).ok()?;
        let mut reporter = Reporter::new(None);
        super::mission::translate(&mut root, &mut reporter);
        servers::gather(&mut root, &mut reporter);
        root.get(SERVERS)?.get(server).map(Node::to_json)
    }

    fn said_of(&mut self, server: &str) -> &mut Said {
        let known = self.said.iter().position(|said| said.server == server);
        let at = known.unwrap_or_else(|| {
            self.said.push(Said { server: server.to_owned(), entry: None, enabled: None });
            self.said.len() - 1
        });
        &mut self.said[at]
    }

    /// Puts what was said over the gathered servers of a tree.
    pub(super) fn lay_over(&self, root: &mut Node) {
        for Said { server, entry, enabled } in &self.said {
            let Some(servers) = root.map_mut(SERVERS, &Origin::Said) else { continue };
            match entry {
                Some(Entry::Removed) => {
                    if let Kind::Map(members) = &mut servers.kind {
                        members.retain(|member| member.key != *server);
                    }
                    continue;
                }
                Some(Entry::This(entry)) => servers.set(server, Node::from_json(entry, &Origin::Said)),
                None => {}
            }
            if let Some(enabled) = enabled {
                switch(servers, server, *enabled);
            }
        }
    }

    /// The folder from which relative paths are seen.
    pub(super) fn base(&self) -> PathBuf {
        match &self.file {
            File::Text { path, .. } | File::Unreadable { path, .. } => path.parent(),
            File::None => self.folder(),
        }
        .unwrap_or(Path::new("/"))
        .to_path_buf()
    }

    /// Files beside the one that is used which might have been meant.
    pub(super) fn ignored(&self) -> &[PathBuf] {
        self.locations.as_ref().map(|locations| locations.ignored.as_slice()).unwrap_or_default()
    }

    /// Why there is no file.
    pub(super) fn reason(&self) -> Option<&ConfigReason> {
        self.locations.as_ref().map(|locations| &locations.config_reason)
    }
}

/// Texts and entries may hold secrets.
impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said: Vec<&str> = self.said.iter().map(|said| said.server.as_str()).collect();
        f.debug_struct("Recipe").field("path", &self.path()).field("said", &said).finish_non_exhaustive()
    }
}

/// Sets `enabled` of an entry, and leaves no `disabled` that says otherwise.
fn switch(servers: &mut Node, server: &str, enabled: bool) {
    let Kind::Map(members) = &mut servers.kind else { return };
    for Member { value, .. } in members.iter_mut().filter(|member| member.key == server) {
        value.take("disabled");
        value.set("enabled", Node { kind: Kind::Bool(enabled), origin: Origin::Said });
    }
}

impl File {
    fn read(path: Option<&Path>) -> Self {
        let Some(path) = path else { return Self::None };
        match syntax_of(path).and_then(|syntax| Ok((read(path)?, syntax))) {
            Ok((text, syntax)) => Self::Text { path: path.into(), syntax, text: text.into() },
            Err(problem) => Self::Unreadable { path: path.into(), problem },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Launch, load_text};
    use serde_json::json;

    const FILE: &str =
        "servers:\n  a: { command: one, env: { K: '${K:-v}' } }\n  b: { command: two, disabled: true }\n";

    fn recipe() -> Recipe {
        load_text(FILE, Syntax::Yaml, Path::new("/x.yaml"), &Environment::default()).recipe
    }

    fn commands(recipe: &Recipe) -> Vec<String> {
        let loaded = recipe.load();
        assert!(!loaded.has_errors(), "{:?}", loaded.problems);
        let command = |server: &crate::config::ServerConfig| match &server.launch {
            Launch::Stdio(launch) => format!("{}={}", server.name, launch.command),
            Launch::Remote(launch) => format!("{}={}", server.name, launch.url),
        };
        loaded.config.ready().map(command).collect()
    }

    #[test]
    fn what_is_said_stands_above_the_file() {
        let mut recipe = recipe();
        assert_eq!(commands(&recipe), ["a=one"]);
        recipe.say("c", json!({ "command": "three" }));
        recipe.say_enabled("b", true);
        assert_eq!(commands(&recipe), ["a=one", "b=two", "c=three"]);
        recipe.say("a", json!({ "command": "four" }));
        recipe.say_enabled("b", false);
        assert_eq!(commands(&recipe), ["a=four", "c=three"]);
        recipe.say_removed("a");
        recipe.say_removed("c");
        assert_eq!(commands(&recipe), [""; 0]);
        recipe.unsay("a");
        assert_eq!(commands(&recipe), ["a=one"]);
    }

    #[test]
    fn what_is_said_survives_another_file() {
        let mut recipe = recipe();
        recipe.say("c", json!({ "command": "three" }));
        assert_eq!(commands(&recipe.with_text("servers: { d: { command: four } }")), ["d=four", "c=three"]);
    }

    #[test]
    fn defaults_and_prefixes_of_the_file_count_for_what_is_said() {
        let mut recipe =
            recipe().with_text("defaults: { timeouts: { call: 7s } }\nservers: { a: { command: one } }");
        recipe.say("A", json!({ "command": "three" }));
        let config = recipe.load().config;
        let said = config.ready().nth(1).expect("the server that was said");
        assert_eq!(said.timeouts.call.as_secs(), 7);
        assert_ne!(said.prefix, "a");
    }

    #[test]
    fn the_files_entry_keeps_its_references() {
        assert_eq!(recipe().file_entry("a"), Some(json!({ "command": "one", "env": { "K": "${K:-v}" } })));
        assert_eq!(recipe().file_entry("z"), None);
    }
}
