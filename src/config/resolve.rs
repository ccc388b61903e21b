//! From what was said to what is meant: each server's entry over `defaults` over the built-in values, references
//! expanded, paths made absolute, prefixes made unique.

mod launch;
mod names;
mod server;

use std::path::PathBuf;

use super::audit::audit;
use super::check::check_table;
use super::interpolate::{Context, Trouble, expand};
use super::model::{Config, Entry, Expose, PolicyFile, ServerConfig};
use super::problem::{Problem, Reporter};
use super::profiles::{self, Profile};
use super::secret::Redactions;
use super::servers::SERVERS;
use super::shape::{Shape, Table};
use super::stages::SecurityLevel;
use super::tree::{Kind, Member, Node, Origin};
use super::{built_ins, keys, presets};
use crate::failure::Code;
use crate::names::ServerName;

use names::by_name;

/// Resolves a gathered tree. The second result is the same tree with all defaults filled in: what `config show`
/// prints.
pub(super) fn resolve(
    mut root: Node,
    context: &Context<'_>,
    profile: Option<&str>,
    reporter: &mut Reporter,
) -> (Config, Node) {
    let servers = root.take(SERVERS);
    let wants_audit = root.at("telemetry.audit").is_some();
    let http = take_all(&mut root, "http");
    let admin = take_all(&mut root, "admin");
    let interceptors = take_all(&mut root, "interceptors");
    let policy = take_all(&mut root, "policy");
    let said_profiles = root.get("profiles").cloned();
    let mut root = check_table(root, &keys::ROOT, "", reporter);
    // By themselves, so that their errors can be told from others.
    let http_error = checked_apart(http, "http", &mut root, reporter);
    let admin_error = checked_apart(admin, "admin", &mut root, reporter);
    let policy_error = checked_apart(policy, "policy", &mut root, reporter);
    let mut effective = overlay(root, &built_in(&keys::ROOT));
    let defaults = effective.take("defaults").map(|member| member.value);
    let settings = match defaults {
        Some(defaults) => overlay(defaults, &built_in(&keys::DEFAULTS)),
        None => built_in(&keys::DEFAULTS),
    };

    let mut resolver =
        Resolver { context, reporter, redactions: Redactions::default(), level: presets::of_all(&effective) };
    let enabled = resolver.enabled(&effective, servers.as_ref());
    let profiles = profiles::decode(said_profiles.as_ref(), effective.get("profiles"));
    let http = resolver.http_face(&effective, &profiles);
    let admin = resolver.admin(&effective);
    let names: Vec<ServerName> = servers
        .iter()
        .flat_map(|servers| servers.value.members())
        .map(|member| member.key.as_str().into())
        .collect();
    let interceptors = resolver.interceptors(interceptors, &names, &mut effective);
    let policy = resolver.policy(&effective);
    let telemetry = resolver.telemetry(&effective);
    let discovery = resolver.discovery(effective.get("discovery"));
    let mut resolved = Vec::new();
    let mut shown = Vec::new();
    for (member, repeated) in by_name(servers) {
        let key_origin = member.origin.clone();
        let (entry, node) = resolver.server(member, &repeated, &settings, enabled);
        shown.push(Member { key: entry.name.to_string(), origin: key_origin, value: node });
        resolved.push(entry);
    }
    resolver.make_prefixes_unique(&mut resolved);
    let known: Vec<&str> = names.iter().map(ServerName::as_str).collect();
    profiles::warn_of_strangers(effective.get("profiles"), &known, resolver.reporter);
    let profile = profile.map(|name| profiles::find(&profiles, name, resolver.reporter));
    if let Some(profile) = &profile {
        resolver.leave_out(profile, &mut resolved);
    }
    effective.set("defaults", settings);
    let origin = Origin::BuiltIn;
    effective.set(SERVERS, Node { kind: Kind::Map(shown), origin });

    let secrets = resolver.redactions.named();
    let built_ins = built_ins::decode(&effective, &secrets, resolver.reporter);
    for server in &mut resolved {
        if let State::Ready(config) = &mut server.state {
            config.stages.built_ins = built_ins.at(config.stages.level, &secrets);
        }
    }
    let config = Config {
        servers: resolved.into_iter().map(|server| server.into_entry()).collect(),
        expose: expose(&effective),
        audit: audit(&effective, wants_audit, presets::of_all(&effective)),
        telemetry,
        http: http_error.map_or(http, |problem| Err(Box::new(problem))),
        admin: admin_error.map_or(admin, |problem| Err(Box::new(problem))),
        policy: policy_error.map_or(policy, |problem| Err(Box::new(problem))),
        profiles,
        profile,
        discovery,
        enabled,
        interceptors,
        secrets: resolver.redactions.into_secrets(),
    };
    (config, effective)
}

/// Takes every member of this name out of a mapping, into a mapping of their own.
fn take_all(root: &mut Node, key: &str) -> Node {
    let origin = root.origin.clone();
    let Kind::Map(members) = &mut root.kind else { return Node::empty_map(origin) };
    let (taken, left) = std::mem::take(members).into_iter().partition(|member| member.key == key);
    *members = left;
    Node { kind: Kind::Map(taken), origin }
}

/// Checks a block that was [taken out](take_all), puts it back, and gives the first error that it has.
fn checked_apart(taken: Node, key: &str, root: &mut Node, reporter: &mut Reporter) -> Option<Problem> {
    let mark = reporter.mark();
    let mut checked = check_table(taken, &keys::ROOT, "", reporter);
    let error = reporter.errors_since(mark).next().cloned();
    if let Some(member) = checked.take(key) {
        root.set(key, member.value);
    }
    error
}

/// The built-in values of a table as a tree.
pub(super) fn built_in(table: &Table) -> Node {
    let mut node = Node::empty_map(Origin::BuiltIn);
    for key in table.keys() {
        let value = match (key.default, &key.shape) {
            (Some(json), _) => match serde_json::from_str(json) {
                Ok(json) => Node::from_json(&json, &Origin::BuiltIn),
                Err(_) => continue,
            },
            (None, Shape::Table(below)) if !std::ptr::eq(*below, &keys::DEFAULTS) => {
                let below = built_in(below);
                if below.members().is_empty() {
                    continue;
                }
                below
            }
            _ => continue,
        };
        node.set(key.name, value);
    }
    node
}

/// The upper tree, with what it lacks taken from the lower one. Only mappings are merged, key by key: a list or
/// a value stands for itself.
fn overlay(mut upper: Node, lower: &Node) -> Node {
    let (Kind::Map(members), Kind::Map(lower)) = (&mut upper.kind, &lower.kind) else { return upper };
    for below in lower {
        match members.iter_mut().find(|member| member.key == below.key) {
            Some(member) => {
                let value = std::mem::replace(&mut member.value, Node::empty_map(Origin::BuiltIn));
                member.value = overlay(value, &below.value);
            }
            None => members.push(below.clone()),
        }
    }
    upper
}

fn expose(effective: &Node) -> Expose {
    let max_name = effective.at("expose.max_name").and_then(Node::as_whole);
    let default = Expose::default();
    Expose { max_name: max_name.and_then(|name| usize::try_from(name).ok()).unwrap_or(default.max_name) }
}

/// A server on its way to an [`Entry`]: every one has a prefix, also those that cannot be started, so that
/// mending or enabling one does not rename another's tools.
struct Resolved {
    name: ServerName,
    origin: Origin,
    prefix: String,
    categories: Vec<String>,
    state: State,
}

enum State {
    Ready(Box<ServerConfig>),
    Disabled,
    LeftOut,
    NeedsConfig(Problem),
    Broken(Problem),
}

impl Resolved {
    fn into_entry(self) -> Entry {
        let name = self.name;
        match self.state {
            State::Ready(mut server) => {
                server.prefix = self.prefix;
                Entry::Ready(server)
            }
            State::Disabled => Entry::Disabled { name },
            State::LeftOut => Entry::LeftOut { name },
            State::NeedsConfig(problem) => Entry::NeedsConfig { name, problem },
            State::Broken(problem) => Entry::Broken { name, problem },
        }
    }
}

pub(super) struct Resolver<'a> {
    context: &'a Context<'a>,
    pub(super) reporter: &'a mut Reporter,
    pub(super) redactions: Redactions,
    /// The security level of the whole config.
    level: Option<SecurityLevel>,
}

impl Resolver<'_> {
    /// Leaves out what is not of the profile in force.
    fn leave_out(&mut self, profile: &Profile, servers: &mut [Resolved]) {
        let mut is_empty = true;
        for server in &mut *servers {
            if profile.has_server(server.name.as_str(), &server.categories) {
                is_empty = false;
            } else {
                server.state = State::LeftOut;
            }
        }
        // One that cannot be read has been told of already.
        if is_empty && !servers.is_empty() && !profile.is_nothing() {
            let message = format!("the profile `{}` has none of the {} servers", profile.name, servers.len());
            self.reporter.warn(Code::ConfigProfile, &Origin::BuiltIn, message);
        }
    }

    /// Whether any server is served; says so if not.
    fn enabled(&mut self, effective: &Node, servers: Option<&Member>) -> bool {
        let Some(node) = effective.get("enabled") else { return true };
        let enabled = node.as_bool().unwrap_or(true);
        if !enabled {
            let count = servers.map_or(0, |servers| servers.value.members().len());
            let message =
                format!("the config says `enabled: false`, so none of its {count} servers is served");
            self.reporter.warn(Code::ConfigConflict, &node.origin, message).hint("remove it to serve them");
        }
        enabled
    }

    /// The block `policy:`. A block with any error is not the same as none: then nobody may call anything.
    fn policy(&mut self, effective: &Node) -> Result<Option<PolicyFile>, Box<Problem>> {
        let Some(block) = effective.get("policy") else { return Ok(None) };
        let file = block.get("file").and_then(|file| Some((file, file.as_str()?)));
        let Some((file, path)) = file.filter(|(_, path)| !path.is_empty()) else {
            let message = "`policy` needs `file`, a file of Cedar policies";
            let problem = self.reporter.error(Code::ConfigMissing, &block.origin, message);
            problem.hint("write `policy: { file: policy.cedar }`, or remove `policy`");
            return Err(Box::new(problem.clone()));
        };
        Ok(Some(PolicyFile { path: self.absolute(path), place: self.reporter.place(&file.origin) }))
    }

    /// Expands the references of a value, or reports what is wrong with them.
    pub(super) fn expand(&mut self, node: &Node, path: &str) -> Option<String> {
        match expand(node.as_str().unwrap_or_default(), self.context) {
            Ok(expanded) => {
                for (name, value) in &expanded.pieces {
                    self.redactions.note(name, value);
                }
                Some(expanded.text)
            }
            Err(troubles) => {
                for trouble in troubles {
                    let (code, message, remedy) = match trouble {
                        Trouble::Missing { message, remedy } => (Code::ConfigUnset, message, remedy),
                        Trouble::Malformed { message, remedy } => (Code::ConfigValue, message, remedy),
                    };
                    self.reporter.error(code, &node.origin, format!("`{path}`: {message}")).hint(remedy);
                }
                None
            }
        }
    }

    /// A path as seen from the config file's folder.
    pub(super) fn absolute(&self, path: &str) -> PathBuf {
        let path = self.context.environment.expand_home(path);
        // Taken apart and put together again, `./` inside of it is gone.
        self.context.folder.join(path).components().collect()
    }
}

pub(super) fn elements(node: Option<&Node>) -> &[Node] {
    node.map(Node::elements).unwrap_or_default()
}

pub(super) fn texts(node: Option<&Node>) -> Vec<String> {
    elements(node).iter().filter_map(|element| element.as_str().map(str::to_owned)).collect()
}
