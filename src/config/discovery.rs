//! The block `discovery:`: where to look for further servers, and what may be served of what is found.

use std::fmt;
use std::time::Duration;

use super::check::nearest;
use super::hide::hide_in_text;
use super::model::Glob;
use super::problem::Reporter;
use super::resolve::{Resolver, texts};
use super::tree::{Kind, Node};
use super::values::parse_duration;
use crate::failure::Code;

/// The programs whose configs are found by name (`files: [cursor]`). Where each keeps its own is the business of whoever reads
/// them.
pub const CLIENT_NAMES: [&str; 18] = [
    "amp",
    "antigravity",
    "claude-code",
    "claude-desktop",
    "cline",
    "codex",
    "continue",
    "copilot-cli",
    "crush",
    "cursor",
    "gemini-cli",
    "goose",
    "kiro",
    "lm-studio",
    "opencode",
    "vscode",
    "windsurf",
    "zed",
];

/// The kinds of service registries, by the schemes of their addresses.
const SCHEMES: [&str; 6] = ["consul", "consul+https", "etcd", "etcd+https", "http", "https"];

/// Where to look for further servers.
#[derive(Clone, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// The hosts to try; `None` tries none.
    pub network: Option<NetworkDiscovery>,
    /// The service registries to ask: `consul://host:8500`, `etcd://host:2379`, `https://registry`, `mdns`.
    pub services: Vec<String>,
    /// Other programs whose configs are read, by name or as paths.
    pub files: Vec<String>,
    /// Whether servers at addresses that an MCP registry lists are asked, too.
    pub ask_remotes: bool,
    /// What of it is served without asking.
    pub auto_register: AutoRegister,
    /// Look again after this long; `None` looks once, at the start.
    pub interval: Option<Duration>,
    /// How long one address, registry or file may take.
    pub timeout: Duration,
    /// How many are tried at once.
    pub max_concurrent: usize,
}

/// Hosts and ports to try: every port of every host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkDiscovery {
    /// Such as `http://localhost`. A path in one of them is the only one that is tried there.
    pub base_urls: Vec<String>,
    /// The ports.
    pub ports: Vec<u16>,
}

/// What of the servers that were found is served without asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AutoRegister {
    /// None.
    #[default]
    Never,
    /// Those that were reached at an address which the user, or a registry of the user's own, names.
    Reached,
    /// Those that fit.
    Matching {
        /// Patterns of addresses, or of command lines. A pattern counts for a command only if it names the program itself.
        addresses: Vec<Glob>,
        /// Only servers with a tool that fits one of these; empty for all.
        tools: Vec<Glob>,
    },
}

impl Default for NetworkDiscovery {
    fn default() -> Self {
        Self {
            base_urls: vec!["http://localhost".to_owned(), "http://127.0.0.1".to_owned()],
            ports: (8001..=8005).collect(),
        }
    }
}

impl Default for DiscoveryConfig {
    fn default() -> Self {
        Self {
            network: Some(NetworkDiscovery::default()),
            services: Vec::new(),
            files: Vec::new(),
            ask_remotes: false,
            auto_register: AutoRegister::Never,
            interval: None,
            timeout: Duration::from_secs(5),
            max_concurrent: 10,
        }
    }
}

/// Addresses may hold secrets.
impl fmt::Debug for DiscoveryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<String> = self.services.iter().map(|text| hide_in_text(text)).collect();
        f.debug_struct("DiscoveryConfig")
            .field("network", &self.network)
            .field("services", &services)
            .field("files", &self.files)
            .field("ask_remotes", &self.ask_remotes)
            .field("auto_register", &self.auto_register)
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .field("max_concurrent", &self.max_concurrent)
            .finish()
    }
}

impl Resolver<'_> {
    /// The wishes of a checked config; `None` if it has none, or says `enabled: false`.
    pub(super) fn discovery(&mut self, said: Option<&Node>) -> Option<DiscoveryConfig> {
        let said = said?;
        let enabled = said.get("enabled").and_then(Node::as_bool);
        let (services, files) = (self.services(said), self.files(said));
        let auto_register = auto_register(said, self.reporter);
        if enabled == Some(false) {
            return None;
        }
        let default = DiscoveryConfig::default();
        let network = match said.get("network") {
            Some(network) => Some(self::network(network, self.reporter)),
            // `enabled: true` alone asks for what is usual.
            None if services.is_empty() && files.is_empty() => enabled.map(|_| NetworkDiscovery::default()),
            None => None,
        };
        let duration = |key: &str| said.get(key).and_then(Node::as_str).and_then(parse_duration);
        let at_once = said.get("max_concurrent").and_then(Node::as_whole);
        Some(DiscoveryConfig {
            network,
            services,
            files,
            ask_remotes: said.get("ask_remotes").and_then(Node::as_bool).unwrap_or_default(),
            auto_register,
            interval: duration("interval"),
            timeout: duration("timeout").unwrap_or(default.timeout),
            max_concurrent: at_once
                .and_then(|count| usize::try_from(count).ok())
                .unwrap_or(default.max_concurrent),
        })
    }

    fn services(&mut self, said: &Node) -> Vec<String> {
        let mut services = Vec::new();
        for node in said.get("services").map(Node::elements).unwrap_or_default() {
            let Some(text) = self.expand(node, "discovery.services") else { continue };
            let scheme =
                text.split_once("://").filter(|(_, rest)| !rest.is_empty()).map(|(scheme, _)| scheme);
            if text == "mdns" || scheme.is_some_and(|scheme| SCHEMES.contains(&scheme)) {
                services.push(text);
                continue;
            }
            let shown = hide_in_text(&text);
            let message =
                format!("`discovery.services` has `{shown}`, which is no registry that is known here");
            self.reporter.error(Code::ConfigValue, &node.origin, message).hint(
                "write `consul://host:8500`, `etcd://host:2379`, the `https://` address of an MCP registry, or `mdns`",
            );
        }
        services
    }

    fn files(&mut self, said: &Node) -> Vec<String> {
        let mut files = Vec::new();
        for node in said.get("files").map(Node::elements).unwrap_or_default() {
            let Some(text) = node.as_str() else { continue };
            if text.contains(['/', '\\', '.']) {
                files.push(self.absolute(text).to_string_lossy().into_owned());
                continue;
            }
            if CLIENT_NAMES.contains(&text) {
                files.push(text.to_owned());
                continue;
            }
            let message = format!("`discovery.files` has `{text}`, which is no program that is known here");
            let near = nearest(text, CLIENT_NAMES.into_iter()).map(|near| format!("did you mean `{near}`? "));
            let hint = format!("{}a path is known by a `/` or `.` in it", near.unwrap_or_default());
            self.reporter.error(Code::ConfigValue, &node.origin, message).hint(hint);
        }
        files
    }
}

fn network(said: &Node, reporter: &mut Reporter) -> NetworkDiscovery {
    let default = NetworkDiscovery::default();
    let mut base_urls = Vec::new();
    for node in said.get("base_urls").map(Node::elements).unwrap_or_default() {
        let Some(text) = node.as_str() else { continue };
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        if host.is_some_and(|host| {
            !host.is_empty() && !host.starts_with(['/', ':']) && !host.contains(['*', ' '])
        }) {
            base_urls.push(text.to_owned());
        } else {
            let message = format!("`discovery.network.base_urls` has `{text}`, which is no address");
            reporter
                .error(Code::ConfigValue, &node.origin, message)
                .hint("write `http://host` or `https://host`; the ports stand under `ports`");
        }
    }
    let ports = said.get("ports").map(|ports| {
        ports
            .elements()
            .iter()
            .filter_map(Node::as_whole)
            .filter_map(|port| u16::try_from(port).ok())
            .collect()
    });
    NetworkDiscovery {
        base_urls: if said.get("base_urls").is_some() { base_urls } else { default.base_urls },
        ports: ports.unwrap_or(default.ports),
    }
}

/// Whatever is not understood registers nothing.
fn auto_register(said: &Node, reporter: &mut Reporter) -> AutoRegister {
    let Some(node) = said.get("auto_register") else { return AutoRegister::Never };
    let expected = "write `true`, `false`, or `{ match: [\"http://localhost:*\"] }`";
    match &node.kind {
        Kind::Bool(true) => AutoRegister::Reached,
        Kind::Bool(false) | Kind::Null => AutoRegister::Never,
        Kind::Map(members) => {
            let known = |key: &str| matches!(key, "match" | "tools");
            for member in members.iter().filter(|member| !known(&member.key)) {
                let message = format!("unknown key `{}` in `discovery.auto_register`", member.key);
                reporter
                    .error(Code::ConfigUnknownKey, &member.origin, message)
                    .hint("it knows `match` and `tools`");
            }
            if members.iter().any(|member| !known(&member.key)) {
                return AutoRegister::Never;
            }
            let globs = |key: &str| -> Option<Vec<Glob>> {
                let Some(value) = node.get(key) else { return Some(Vec::new()) };
                match (&value.kind, value.as_str()) {
                    (Kind::List(elements), _)
                        if elements.iter().all(|element| element.as_str().is_some()) =>
                    {
                        Some(texts(Some(value)).into_iter().map(Glob::new).collect())
                    }
                    (_, Some(text)) => Some(vec![Glob::new(text)]),
                    _ => None,
                }
            };
            match (globs("match").filter(|patterns| !patterns.is_empty()), globs("tools")) {
                (Some(addresses), Some(tools)) => AutoRegister::Matching { addresses, tools },
                _ => {
                    let message = "`discovery.auto_register` needs `match`, a list of patterns of addresses";
                    reporter.error(Code::ConfigValue, &node.origin, message).hint(expected);
                    AutoRegister::Never
                }
            }
        }
        _ => {
            let message = format!("`discovery.auto_register` cannot be {}", node.describe());
            reporter.error(Code::ConfigValue, &node.origin, message).hint(expected);
            AutoRegister::Never
        }
    }
}

#[cfg(test)]
mod tests;
