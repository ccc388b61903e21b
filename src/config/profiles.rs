//! The block `profiles`: named selections of servers and tools, so that one config serves several clients.
//!
//! A profile is in force for a whole Switchboard (`--profile`), which then knows no other servers, or over HTTP for whoever
//! shows a certain token (`http.profiles`), who then sees a part of what is served.

use std::sync::Arc;

use super::check::{check, nearest};
use super::keys;
use super::model::{Config, Entry, Glob};
use super::problem::{Reporter, Severity};
use super::resolve::{elements, texts};
use super::tree::{Node, Origin};
use crate::failure::Code;

/// A selection of servers and of their tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: Arc<str>,
    /// What it is for.
    pub description: Option<String>,
    servers: Option<Vec<Glob>>,
    categories: Option<Vec<Glob>>,
    exclude: Vec<Glob>,
    tools: Option<Vec<Glob>>,
    exclude_tools: Vec<Glob>,
}

impl Profile {
    /// Selects nothing: what stands for a profile that cannot be read, or that nobody knows.
    fn nothing(name: &str) -> Self {
        Self {
            name: name.into(),
            description: None,
            servers: Some(Vec::new()),
            categories: None,
            exclude: Vec::new(),
            tools: None,
            exclude_tools: Vec::new(),
        }
    }

    /// Whether it selects nothing, whatever there is.
    pub(super) fn is_nothing(&self) -> bool {
        self.servers.as_ref().is_some_and(Vec::is_empty) && self.categories.is_none()
    }

    fn read(name: &str, node: &Node) -> Self {
        let globs =
            |path: &str| node.at(path).map(|said| texts(Some(said)).into_iter().map(Glob::new).collect());
        Self {
            name: name.into(),
            description: node.get("description").and_then(Node::as_str).map(str::to_owned),
            servers: globs("include"),
            categories: globs("categories"),
            exclude: globs("exclude").unwrap_or_default(),
            tools: globs("tools.include"),
            exclude_tools: globs("tools.exclude").unwrap_or_default(),
        }
    }

    /// Whether a server of this name and these categories is served: one that a pattern of `include` or of `categories` names (all,
    /// if there are neither), and none of `exclude`.
    pub fn has_server(&self, name: &str, categories: &[String]) -> bool {
        let by_name = self.servers.as_ref().map(|globs| fits(globs, name));
        let by_category =
            self.categories.as_ref().map(|globs| categories.iter().any(|word| fits(globs, word)));
        let is_wanted = match (by_name, by_category) {
            (None, None) => true,
            (by_name, by_category) => by_name.unwrap_or(false) || by_category.unwrap_or(false),
        };
        is_wanted && !fits(&self.exclude, name)
    }

    /// Whether a tool of a server that is served is shown, by the name that clients see.
    pub fn shows_tool(&self, exposed: &str) -> bool {
        self.tools.as_ref().is_none_or(|globs| fits(globs, exposed)) && !fits(&self.exclude_tools, exposed)
    }
}

fn fits(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}

impl Config {
    /// The profile of this name.
    pub fn profile_named(&self, name: &str) -> Option<&Arc<Profile>> {
        self.profiles.iter().find(|profile| &*profile.name == name)
    }

    /// The profile by which the holder of a token is served, if it is not that of everybody.
    pub fn profile_of_token(&self, token: &str) -> Option<&Arc<Profile>> {
        let bound = &self.http.as_ref().ok()?.profiles;
        bound.iter().find(|(name, _)| name == token).map(|(_, profile)| profile)
    }

    /// The name of the profile by which a client is served: that of its token, else that of everybody.
    pub fn profile_of(&self, token: Option<&str>) -> Option<&Arc<str>> {
        let bound = token.and_then(|token| self.profile_of_token(token));
        bound.or(self.profile.as_ref()).map(|profile| &profile.name)
    }

    /// Why a server that the config has is not served: the profile in force, if it leaves it out.
    pub fn left_out_by(&self, server: &str) -> Option<&Profile> {
        let is_left_out = matches!(self.entry(server), Some(Entry::LeftOut { .. }));
        self.profile.as_deref().filter(|_| is_left_out)
    }
}

/// The profiles of a checked tree. One that has any error selects nothing: what its mistake was to leave out must not be shown.
pub(super) fn decode(said: Option<&Node>, checked: Option<&Node>) -> Vec<Arc<Profile>> {
    let is_whole = |name: &str| {
        let Some(node) = said.and_then(|said| said.get(name)) else { return false };
        let mut reporter = Reporter::new(None);
        let checked = check(node.clone(), &keys::A_PROFILE, name, &mut reporter);
        let problems = reporter.into_problems();
        checked.is_some() && !problems.iter().any(|problem| problem.severity == Severity::Error)
    };
    let members = said.map(Node::members).unwrap_or_default();
    let profile = |name: &str| {
        let node = checked.and_then(|checked| checked.get(name)).filter(|_| is_whole(name));
        Arc::new(node.map_or_else(|| Profile::nothing(name), |node| Profile::read(name, node)))
    };
    members.iter().map(|member| profile(&member.key)).collect()
}

/// Warns of names in profiles that no server has.
pub(super) fn warn_of_strangers(checked: Option<&Node>, servers: &[&str], reporter: &mut Reporter) {
    for profile in checked.map(Node::members).unwrap_or_default() {
        let patterns = ["include", "exclude"].into_iter().flat_map(|key| {
            elements(profile.value.get(key)).iter().filter_map(move |node| Some((key, node, node.as_str()?)))
        });
        for (key, node, name) in patterns {
            if name.contains(['*', '?']) || servers.contains(&name) {
                continue;
            }
            let message = format!("`profiles.{}.{key}`: there is no server `{name}`", profile.key);
            let problem = reporter.warn(Code::ConfigValue, &node.origin, message);
            if let Some(near) = nearest(name, servers.iter().copied()) {
                problem.hint(format!("did you mean `{near}`?"));
            }
        }
    }
}

/// The profile of this name; one that selects nothing, and an error, if there is none.
pub(super) fn find(profiles: &[Arc<Profile>], name: &str, reporter: &mut Reporter) -> Arc<Profile> {
    if let Some(profile) = profiles.iter().find(|profile| &*profile.name == name) {
        return Arc::clone(profile);
    }
    unknown(profiles, name, &Origin::BuiltIn, "", reporter);
    Arc::new(Profile::nothing(name))
}

/// Says that there is no such profile, and which there are.
pub(super) fn unknown(
    profiles: &[Arc<Profile>],
    name: &str,
    origin: &Origin,
    place: &str,
    reporter: &mut Reporter,
) {
    let names: Vec<String> = profiles.iter().map(|profile| format!("`{}`", profile.name)).collect();
    let known = match names.is_empty() {
        true => "the config has none".to_owned(),
        false => format!("known are {}", names.join(", ")),
    };
    let message = format!("{place}there is no profile `{}`; {known}", super::check::shorten(name));
    let problem = reporter.error(Code::ConfigProfile, origin, message);
    problem.hint(match nearest(name, profiles.iter().map(|profile| &*profile.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "add it under `profiles:`: `NAME: { include: [SERVER, …] }`".to_owned(),
    });
}

#[cfg(test)]
mod tests;
