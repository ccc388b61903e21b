//! From what was said to what is meant: each server's entry over `defaults` over the built-in values, references
//! expanded, paths made absolute, prefixes made unique.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use super::arguments;
use super::audit::audit;
use super::auth::{self, AuthConfig};
use super::built_ins;
use super::check::{check_table, twice};
use super::definitions;
use super::hash::name_hash;
use super::interpolate::{Context, Trouble, expand};
use super::keys;
use super::model::{
    Config, Entry, Expose, Glob, Launch, Limits, PolicyFile, ProtocolChoice, Questions, RemoteKind,
    RemoteLaunch, ServerConfig, Share, Start, StdioLaunch, Timeouts, ToolOverride, ToolRules,
};
use super::presets;
use super::problem::{Problem, Reporter, Severity};
use super::profiles::{self, Profile};
use super::secret::{Redactions, Secret};
use super::servers::SERVERS;
use super::shape::{Shape, Table};
use super::stages::{self, SecurityLevel};
use super::tree::{Kind, Member, Node, Origin};
use super::values::{parse_duration, parse_size};
use crate::failure::Code;
use crate::names::ServerName;
use crate::names::{RESERVED_SLUG, slug};

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

/// Each name once, with the further places where it stands.
fn by_name(servers: Option<Member>) -> Vec<(Member, Vec<Member>)> {
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

    fn server(
        &mut self,
        member: Member,
        repeated: &[Member],
        settings: &Node,
        serve_any: bool,
    ) -> (Resolved, Node) {
        let name = ServerName::new(member.key.as_str());
        self.reporter.set_server(Some(name.clone()));
        let mark = self.reporter.mark();
        for again in repeated {
            twice(again, &member.origin, SERVERS, self.reporter);
        }
        if member.key.trim().is_empty() {
            self.reporter.error(Code::ConfigValue, &member.origin, "a server needs a name that is not empty");
        }
        let said = match member.value.kind {
            Kind::Map(_) => check_table(auth::translate(member.value), &keys::SERVER, "", self.reporter),
            _ => {
                let message = format!("the entry must be a mapping, found {}", member.value.describe());
                self.reporter.error(Code::ConfigValue, &member.value.origin, message);
                Node::empty_map(member.origin.clone())
            }
        };
        let mut node = overlay(fold_foreign_keys(said), settings);
        let level = presets::level(&node, self.level);
        presets::apply(&mut node, level);
        let prefix = self.prefix(&name, &node);
        let switched_on = serve_any && self.switched_on(&node);
        let state = if switched_on {
            let server = self.decode(&name, &member.origin, &node, mark);
            self.judge(mark, server)
        } else {
            State::Disabled
        };
        self.reporter.set_server(None);
        let categories = texts(node.get("categories"));
        (Resolved { name, origin: member.origin, prefix, categories, state }, node)
    }

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
        if is_empty && !servers.is_empty() {
            let message = format!("the profile `{}` has none of the {} servers", profile.name, servers.len());
            self.reporter.warn(Code::ConfigProfile, &Origin::BuiltIn, message);
        }
    }

    /// What the problems since `mark` make of a server.
    fn judge(&self, mark: usize, server: Option<ServerConfig>) -> State {
        let errors = || self.reporter.errors_since(mark);
        if let Some(problem) = errors().find(|problem| problem.code != Code::ConfigUnset) {
            return State::Broken(problem.clone());
        }
        match (errors().next(), server) {
            (Some(problem), _) => State::NeedsConfig(problem.clone()),
            (None, Some(server)) => State::Ready(Box::new(server)),
            // Whoever returns no server has reported why, so this is not reached.
            (None, None) => {
                let message = "the entry cannot be used";
                State::Broken(Problem::new(Severity::Error, Code::ConfigValue, message))
            }
        }
    }

    fn switched_on(&mut self, node: &Node) -> bool {
        let said = |key: &str| node.get(key).filter(|node| node.origin != Origin::BuiltIn);
        match (said("enabled"), said("disabled")) {
            (Some(enabled), Some(disabled)) if enabled.as_bool() == disabled.as_bool() => {
                let message = "`enabled` and `disabled` contradict each other";
                self.reporter
                    .error(Code::ConfigConflict, &disabled.origin, message)
                    .also(&enabled.origin, "the other one")
                    .hint("keep one of them");
                true
            }
            (enabled, disabled) => {
                enabled.and_then(Node::as_bool).unwrap_or(true)
                    && !disabled.and_then(Node::as_bool).unwrap_or(false)
            }
        }
    }

    fn prefix(&mut self, name: &ServerName, node: &Node) -> String {
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

    fn make_prefixes_unique(&mut self, servers: &mut [Resolved]) {
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

    fn decode(
        &mut self,
        name: &ServerName,
        origin: &Origin,
        node: &Node,
        mark: usize,
    ) -> Option<ServerConfig> {
        let launch = self.launch(origin, node, mark);
        let others = launch.as_ref().and_then(|launch| self.others(launch, node));
        let timeouts = self.timeouts(node);
        let auth = self.auth(node, launch.as_ref());
        let mut stages = stages::decode(node, presets::level(node, self.level), self.reporter);
        if let (Some(check), Some(node)) = (&mut stages.health_check, node.get("health_check")) {
            check.probe = self.probe(node, launch.as_ref());
        }
        Some(ServerConfig {
            name: name.clone(),
            // The final one is known when all servers are.
            prefix: String::new(),
            launch: launch?,
            others: others?,
            start: match node.get("start").and_then(Node::as_str) {
                Some("eager") => Start::Eager,
                _ => Start::Lazy,
            },
            protocol: match node.get("protocol").and_then(Node::as_str) {
                Some("legacy") => ProtocolChoice::Legacy,
                // Revisions that this version only knows by name are reported and treated as not said.
                Some(revision) if revision != "auto" && !keys::planned_word("protocol", revision) => {
                    ProtocolChoice::Revision(revision.to_owned())
                }
                _ => ProtocolChoice::Auto,
            },
            timeouts,
            limits: limits(node),
            tools: tool_rules(node, self.reporter),
            share: match node.get("share").and_then(Node::as_str) {
                Some("session") => Share::Session,
                _ => Share::All,
            },
            questions: match node.get("questions").and_then(Node::as_str) {
                Some("exclusive") => Questions::Exclusive,
                Some("refuse") => Questions::Refuse,
                _ => Questions::Serialize,
            },
            stages,
            definitions: definitions::decode(node),
            auth: auth?,
            description: node.get("description").and_then(Node::as_str).map(str::to_owned),
            categories: texts(node.get("categories")),
            metadata: match node.get("metadata").map(Node::to_json) {
                Some(serde_json::Value::Object(metadata)) => metadata,
                _ => serde_json::Map::new(),
            },
            place: self.reporter.place(origin),
        })
    }

    fn launch(&mut self, origin: &Origin, node: &Node, mark: usize) -> Option<Launch> {
        let first_endpoint = node.get("endpoints").and_then(|endpoints| endpoints.elements().first());
        let (command, url) = (node.get("command"), node.get("url").or(first_endpoint));
        let stdio = match (node.get("type").and_then(Node::as_str), command, url) {
            (Some("stdio"), Some(_), _) => true,
            (Some("stdio"), None, _) => {
                self.missing(origin, "`type: stdio` needs `command`, which is not there", "add `command: …`");
                return None;
            }
            (Some(_), _, Some(_)) => false,
            (Some(word), _, None) => {
                self.missing(
                    origin,
                    &format!("`type: {word}` needs `url`, which is not there"),
                    "add `url: …`",
                );
                return None;
            }
            (None, Some(command), Some(url)) => {
                self.reporter
                    .error(Code::ConfigConflict, &url.origin, "the entry has both `command` and `url`")
                    .also(&command.origin, "the other one")
                    .hint("keep one of them, or say which with `type: stdio` or `type: http`");
                return None;
            }
            (None, Some(_), None) => true,
            (None, None, Some(_)) => false,
            // A misspelt `command` was reported already; that it is missing is no news.
            (None, None, None) if self.reporter.errors_since(mark).next().is_some() => return None,
            (None, None, None) => {
                let message = "the entry has neither `command` nor `url`";
                self.missing(origin, message, "add `command: …` (a program) or `url: …` (an address)");
                return None;
            }
        };
        match (stdio, command, url) {
            (true, Some(command), _) => self.stdio(command, node).map(Launch::Stdio),
            (_, _, Some(url)) => self.http(url, node),
            _ => None,
        }
    }

    /// The same server again: further copies of the program, or its other addresses.
    fn others(&mut self, launch: &Launch, node: &Node) -> Option<Vec<Launch>> {
        let (replicas, endpoints) = (node.get("replicas"), node.get("endpoints"));
        let misplaced = match launch {
            Launch::Stdio(_) => endpoints.map(|said| (said, "endpoints", "a program", "write `replicas: N`")),
            Launch::Remote(_) => {
                replicas.map(|said| (said, "replicas", "an address", "write `endpoints: [URL, …]`"))
            }
        };
        if let Some((said, key, what, hint)) = misplaced {
            let message = format!("`{key}` does not fit a server that is {what}");
            self.reporter.error(Code::ConfigConflict, &said.origin, message).hint(hint);
            return None;
        }
        let Launch::Remote(first) = launch else {
            let copies = replicas.and_then(Node::as_whole).map_or(0, |count| count.saturating_sub(1));
            return Some(vec![launch.clone(); usize::try_from(copies).unwrap_or_default()]);
        };
        let mut others: Vec<Launch> = Vec::new();
        let mut known = vec![first.url.clone()];
        for endpoint in elements(endpoints) {
            let url = self.expand(endpoint, "endpoints")?;
            let kind = self.remote_kind(&url, endpoint, node)?;
            if !known.contains(&url) {
                known.push(url.clone());
                others.push(Launch::Remote(RemoteLaunch { url, kind, ..first.clone() }));
            }
        }
        Some(others)
    }

    fn missing(&mut self, origin: &Origin, message: &str, hint: &str) {
        self.reporter.error(Code::ConfigMissing, origin, message).hint(hint);
    }

    pub(super) fn stdio(&mut self, command: &Node, node: &Node) -> Option<StdioLaunch> {
        // All of them are expanded before the first failure counts, so that all are reported.
        let mut argv: Vec<Option<String>> =
            command.elements().iter().map(|part| self.expand(part, "command")).collect();
        argv.extend(elements(node.get("args")).iter().map(|part| self.expand(part, "args")));
        let env = self.pairs(node.get("env"), "env");
        let cwd = node.get("cwd").map(|cwd| self.expand(cwd, "cwd"));
        let cwd = match cwd {
            Some(cwd) => Some(self.absolute(&cwd?)),
            None => None,
        };
        let mut argv = argv.into_iter().collect::<Option<Vec<String>>>()?.into_iter();
        let program = argv.next().unwrap_or_default();
        let args: Vec<String> = argv.collect();
        if program.trim().is_empty() {
            self.reporter.error(Code::ConfigValue, &command.origin, "`command` is empty");
            return None;
        }
        if args.is_empty() && program.contains(' ') && !program.contains(std::path::is_separator) {
            self.reporter
                .warn(
                    Code::ConfigValue,
                    &command.origin,
                    "`command` is one program's name, found a whole line",
                )
                .hint("put each argument into `args`: no shell splits the line");
        }
        let program = if program.contains(std::path::is_separator) {
            self.absolute(&program).to_string_lossy().into_owned()
        } else {
            program
        };
        Some(StdioLaunch {
            command: program,
            args,
            env: env?,
            inherit_env: texts(node.get("inherit_env")),
            cwd,
        })
    }

    pub(super) fn http(&mut self, url: &Node, node: &Node) -> Option<Launch> {
        let address = self.expand(url, "url");
        let mut headers = self.pairs(node.get("headers"), "headers");
        let mut add = |header: &str, value: Option<String>| match (&mut headers, value) {
            (Some(headers), Some(value)) => headers.push((header.to_owned(), Secret::new(value))),
            _ => headers = None,
        };
        for member in node.get("env_http_headers").map(Node::members).unwrap_or_default() {
            add(&member.key, self.variable(&member.value));
        }
        if let Some(variable) = node.get("bearer_token_env_var") {
            add("Authorization", self.variable(variable).map(|token| format!("Bearer {token}")));
        }
        if let Some(token) = node.get("auth_token") {
            let token = self.expand(token, "auth_token");
            if let Some(token) = &token {
                self.redactions.note("auth_token", token);
            }
            add("Authorization", token.map(|token| format!("Bearer {token}")));
        }
        let ca = match node.at("tls.ca") {
            Some(file) => Some(self.expand(file, "tls.ca").map(|file| self.absolute(&file))?),
            None => None,
        };
        let address = address?;
        let kind = self.remote_kind(&address, url, node)?;
        Some(Launch::Remote(RemoteLaunch { url: address, kind, headers: headers?, ca }))
    }

    /// How we log in to the server.
    fn auth(&mut self, node: &Node, launch: Option<&Launch>) -> Option<AuthConfig> {
        let Some(said) = node.get("auth") else { return Some(AuthConfig::default()) };
        if let Some(Launch::Stdio(_)) = launch {
            let message = "`auth` is for servers at a `url`; this one is a program";
            self.reporter
                .warn(Code::ConfigConflict, &said.origin, message)
                .hint("give it its credentials under `env`");
        }
        let mut expanded = |key: &str| match said.get(key) {
            Some(value) => self.expand(value, &format!("auth.{key}")).map(Some),
            None => Some(None),
        };
        let values = ["client_id", "client_secret", "private_key", "key_id"].map(&mut expanded);
        let [client_id, client_secret, private_key, key_id] = values;
        let (client_id, client_secret) = (client_id?, client_secret?);
        let (private_key, key_id) = (private_key?, key_id?);
        for secret in client_secret.iter().chain(&private_key) {
            self.redactions.note("client_secret", secret);
        }
        let expanded = auth::Expanded { client_id, client_secret, private_key, key_id };
        auth::decode(said, expanded, self.reporter)
    }

    /// How the server at an address speaks: what `type` says and what the address can mean must fit.
    fn remote_kind(&mut self, address: &str, url: &Node, node: &Node) -> Option<RemoteKind> {
        let scheme = address.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let word = node.get("type").and_then(Node::as_str);
        let (kind, expected) = match (scheme.as_deref(), word) {
            (Some("http" | "https" | "http+unix"), None) => (Some(RemoteKind::Auto), ""),
            (Some("http" | "https" | "http+unix"), Some("http")) => (Some(RemoteKind::Http), ""),
            (Some("http" | "https"), Some("sse")) => (Some(RemoteKind::Sse), ""),
            (Some("ws" | "wss"), None | Some("websocket")) => (Some(RemoteKind::WebSocket), ""),
            (Some("unix"), None) => (Some(RemoteKind::Unix), ""),
            (_, Some("websocket")) => (None, "`ws://` or `wss://`"),
            (_, Some("sse")) => (None, "`http://` or `https://`"),
            (_, Some("http")) => (None, "`http://`, `https://` or `http+unix://`"),
            _ => (None, "`http://`, `https://`, `ws://`, `wss://`, `unix://` or `http+unix://`"),
        };
        if kind.is_none() {
            let message = match word {
                Some(word) => format!("with `type: {word}`, `url` must begin with {expected}"),
                None => format!("`url` must begin with {expected}"),
            };
            self.reporter.error(Code::ConfigValue, &url.origin, message);
        }
        kind
    }

    /// The value of a variable that a key names.
    fn variable(&mut self, node: &Node) -> Option<String> {
        let reference = Node::string(format!("${{env:{}}}", node.as_str()?), node.origin.clone());
        self.expand(&reference, "headers")
    }

    /// The pairs of `env` or `headers`. Every value is a secret.
    fn pairs(&mut self, node: Option<&Node>, key: &str) -> Option<Vec<(String, Secret)>> {
        let pairs: Vec<Option<(String, Secret)>> = node
            .map(Node::members)
            .unwrap_or_default()
            .iter()
            .map(|member| {
                let value = self.expand(&member.value, &format!("{key}.{}", member.key))?;
                if key == "headers" && value.contains(['\r', '\n']) {
                    let message = format!("`{key}.{}` contains a line break", member.key);
                    self.reporter.error(Code::ConfigValue, &member.value.origin, message);
                    return None;
                }
                self.redactions.note(&member.key, &value);
                Some((member.key.clone(), Secret::new(value)))
            })
            .collect();
        pairs.into_iter().collect()
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

    fn timeouts(&mut self, node: &Node) -> Timeouts {
        let default = Timeouts::default();
        let duration = |key: &str| node.at(key).and_then(Node::as_str).and_then(parse_duration);
        let timeouts = Timeouts {
            start: duration("timeouts.start").unwrap_or(default.start),
            call: duration("timeouts.call").unwrap_or(default.call),
            total: duration("timeouts.total").unwrap_or(default.total),
            question: duration("timeouts.question").unwrap_or(default.question),
            // "never" is no duration, and nothing is not one worth waiting for.
            idle_stop: duration("timeouts.idle_stop").filter(|duration| *duration > Duration::ZERO),
        };
        if timeouts.call > timeouts.total
            && let Some(call) = node.at("timeouts.call")
        {
            let message = "`timeouts.call` is longer than `timeouts.total`, which ends the call first";
            self.reporter
                .warn(Code::ConfigConflict, &call.origin, message)
                .hint("raise `timeouts.total` as well");
        }
        timeouts
    }
}

/// Other programs' lists of tools become ours, unless ours are there too.
fn fold_foreign_keys(mut entry: Node) -> Node {
    for (foreign, own) in [("include_tools", "include"), ("exclude_tools", "exclude")] {
        let Some(member) = entry.take(foreign) else { continue };
        if let Some(tools) = entry.map_mut("tools", &member.value.origin)
            && tools.get(own).is_none()
        {
            tools.set(own, member.value);
        }
    }
    entry
}

fn limits(node: &Node) -> Limits {
    let default = Limits::default();
    let size = |key: &str| {
        let size = node.at(key).and_then(Node::as_str).and_then(parse_size);
        size.and_then(|size| usize::try_from(size).ok())
    };
    Limits { message: size("limits.message").unwrap_or(default.message), result: size("limits.result") }
}

fn tool_rules(node: &Node, reporter: &mut Reporter) -> ToolRules {
    let globs = |key: &str| texts(node.at(key)).into_iter().map(Glob::new).collect();
    let members = |key: &str| node.at(key).map(Node::members).unwrap_or_default();
    let text = |member: &Member, key: &str| member.value.get(key).and_then(Node::as_str).map(str::to_owned);
    ToolRules {
        include: globs("tools.include"),
        exclude: globs("tools.exclude"),
        rename: members("tools.rename")
            .iter()
            .filter_map(|member| Some((member.key.clone(), member.value.as_str()?.to_owned())))
            .collect(),
        overrides: members("tools.override")
            .iter()
            .map(|member| {
                let annotations = match member.value.get("annotations").map(Node::to_json) {
                    Some(serde_json::Value::Object(annotations)) => annotations,
                    _ => serde_json::Map::new(),
                };
                let words = ToolOverride {
                    title: text(member, "title"),
                    description: text(member, "description"),
                    annotations,
                    arguments: arguments::decode(&member.value, reporter),
                };
                (member.key.clone(), words)
            })
            .collect(),
    }
}

pub(super) fn elements(node: Option<&Node>) -> &[Node] {
    node.map(Node::elements).unwrap_or_default()
}

pub(super) fn texts(node: Option<&Node>) -> Vec<String> {
    elements(node).iter().filter_map(|element| element.as_str().map(str::to_owned)).collect()
}
