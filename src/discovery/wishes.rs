//! What is to be looked for, and how hard.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::config::{CLIENT_NAMES, DiscoveryConfig, NetworkDiscovery, hide_in_text};
use crate::wire::whole;

/// More than this is not taken from one list of a request.
const MOST: usize = 10_000;
/// The shortest and the longest time for one address that a request may ask for.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(60);
/// The most addresses at once that a request may ask for.
const MOST_AT_ONCE: usize = 100;

/// What to look for. The defaults are those of the mission's `DiscoveryConfig`.
#[derive(Clone, PartialEq, Eq)]
pub struct Wishes {
    /// Whether hosts are tried.
    pub network: bool,
    /// Whether service registries are asked.
    pub services: bool,
    /// Whether configs are read.
    pub files: bool,
    /// The hosts. A path in one of them is the only one that is tried there.
    pub base_urls: Vec<String>,
    /// The ports to try on every host that names none itself.
    pub ports: Vec<u16>,
    /// Whole addresses to try besides.
    pub urls: Vec<String>,
    /// Configs to read, by path; relative ones belong to the working directory. One that is not there is no failure.
    pub config_paths: Vec<PathBuf>,
    /// Configs to read, by the names of the programs that they belong to ([`CLIENT_NAMES`]).
    pub clients: Vec<String>,
    /// The registries: `consul://host:8500`, `etcd://host:2379`, the address of an MCP registry, `mdns`.
    pub service_endpoints: Vec<String>,
    /// Whether servers at addresses that an MCP registry lists are asked, too: they are strangers', and many.
    pub ask_remotes: bool,
    /// How long one address, registry or file may take.
    pub timeout: Duration,
    /// How many are tried at once.
    pub max_concurrent: usize,
}

impl Default for Wishes {
    fn default() -> Self {
        let NetworkDiscovery { base_urls, ports } = NetworkDiscovery::default();
        Self {
            network: true,
            services: false,
            files: true,
            base_urls,
            ports,
            urls: Vec::new(),
            config_paths: ["./mcp-servers.json", "./config/mcp-servers.json"].map(PathBuf::from).into(),
            clients: Vec::new(),
            service_endpoints: Vec::new(),
            ask_remotes: false,
            timeout: Duration::from_secs(5),
            max_concurrent: 10,
        }
    }
}

impl Wishes {
    /// Nothing at all, to add to.
    pub fn nothing() -> Self {
        Self {
            network: false,
            services: false,
            files: false,
            base_urls: Vec::new(),
            ports: Vec::new(),
            config_paths: Vec::new(),
            ..Self::default()
        }
    }

    /// How long the whole search may take: every round of addresses its time, within reason.
    pub(super) fn total(&self, candidates: usize) -> Duration {
        let rounds = candidates.div_ceil(self.max_concurrent.max(1)).clamp(1, 1000) as u32;
        (self.timeout * rounds).min(Duration::from_secs(120)).max(self.timeout)
    }

    /// The fields of `POST /proxy/discovery`; what is missing has the mission's default.
    ///
    /// # Errors
    /// A field that is not known, or not what it should be.
    pub fn from_json(body: &Value) -> Result<Self, WishError> {
        let Value::Object(members) = body else {
            return Err(WishError::new("", "the body must be an object"));
        };
        let mut wishes = Self::default();
        for (field, value) in members {
            match field.as_str() {
                "network_discovery" => wishes.network = flag(field, value)?,
                "service_discovery" => wishes.services = flag(field, value)?,
                "file_discovery" => wishes.files = flag(field, value)?,
                "base_urls" => wishes.base_urls = texts(field, value)?,
                "ports" => wishes.ports = ports(field, value)?,
                "config_paths" => {
                    let (clients, paths) = sort_files(texts(field, value)?);
                    wishes.clients = clients;
                    wishes.config_paths = paths;
                }
                "service_endpoints" => wishes.service_endpoints = texts(field, value)?,
                "ask_remotes" => wishes.ask_remotes = flag(field, value)?,
                "timeout" => wishes.timeout = seconds(field, value)?,
                "max_concurrent" => {
                    let count = whole(value).and_then(|count| usize::try_from(count).ok());
                    let count = count.filter(|count| (1..=MOST_AT_ONCE).contains(count));
                    let wrong =
                        || WishError::new(field, format!("must be a whole number from 1 to {MOST_AT_ONCE}"));
                    wishes.max_concurrent = count.ok_or_else(wrong)?;
                }
                _ => return Err(WishError::new(field, "is not known")),
            }
        }
        Ok(wishes)
    }
}

/// Addresses may hold secrets.
impl fmt::Debug for Wishes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |list: &[String]| list.iter().map(|text| hide_in_text(text)).collect::<Vec<_>>();
        f.debug_struct("Wishes")
            .field("network", &self.network)
            .field("services", &self.services)
            .field("files", &self.files)
            .field("base_urls", &hidden(&self.base_urls))
            .field("ports", &self.ports)
            .field("urls", &hidden(&self.urls))
            .field("config_paths", &self.config_paths)
            .field("clients", &self.clients)
            .field("service_endpoints", &hidden(&self.service_endpoints))
            .field("ask_remotes", &self.ask_remotes)
            .field("timeout", &self.timeout)
            .field("max_concurrent", &self.max_concurrent)
            .finish()
    }
}

impl From<&DiscoveryConfig> for Wishes {
    fn from(config: &DiscoveryConfig) -> Self {
        let network = config.network.clone();
        let (clients, config_paths) = sort_files(config.files.clone());
        let (base_urls, ports) = network.clone().map(|it| (it.base_urls, it.ports)).unwrap_or_default();
        Self {
            network: network.is_some(),
            services: !config.services.is_empty(),
            files: !config.files.is_empty(),
            base_urls,
            ports,
            urls: Vec::new(),
            config_paths,
            clients,
            service_endpoints: config.services.clone(),
            ask_remotes: config.ask_remotes,
            timeout: config.timeout,
            max_concurrent: config.max_concurrent,
        }
    }
}

/// Names of programs, and paths.
pub(super) fn sort_files(files: Vec<String>) -> (Vec<String>, Vec<PathBuf>) {
    let (clients, paths): (Vec<String>, Vec<String>) =
        files.into_iter().partition(|file| CLIENT_NAMES.contains(&file.as_str()));
    (clients, paths.into_iter().map(PathBuf::from).collect())
}

/// A wish that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WishError {
    /// The field; empty for the whole.
    pub field: String,
    /// What is wrong with it, as the rest of a sentence that begins with the field.
    pub message: String,
}

impl WishError {
    fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

impl fmt::Display for WishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.message),
            field => write!(f, "`{}` {}", field.escape_debug(), self.message),
        }
    }
}

impl std::error::Error for WishError {}

fn flag(field: &str, value: &Value) -> Result<bool, WishError> {
    value.as_bool().ok_or_else(|| WishError::new(field, "must be true or false"))
}

fn texts(field: &str, value: &Value) -> Result<Vec<String>, WishError> {
    let wrong = || WishError::new(field, "must be a list of strings");
    let elements = value.as_array().filter(|elements| elements.len() <= MOST).ok_or_else(wrong)?;
    elements.iter().map(|element| element.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

fn ports(field: &str, value: &Value) -> Result<Vec<u16>, WishError> {
    let wrong = || WishError::new(field, "must be a list of whole numbers from 1 to 65535");
    let elements = value.as_array().filter(|elements| elements.len() <= MOST).ok_or_else(wrong)?;
    let port =
        |element: &Value| whole(element).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    elements.iter().map(|element| port(element).ok_or_else(wrong)).collect()
}

fn seconds(field: &str, value: &Value) -> Result<Duration, WishError> {
    let duration = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let fits = |duration: &Duration| (SHORTEST..=LONGEST).contains(duration);
    duration.filter(fits).ok_or_else(|| {
        WishError::new(field, format!("must be a number of seconds from 0.001 to {}", LONGEST.as_secs()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_said_has_the_missions_default() {
        let wishes = Wishes::from_json(&json!({})).unwrap();
        assert_eq!(wishes, Wishes::default());
        assert!(wishes.network && wishes.files && !wishes.services);
        assert_eq!(wishes.base_urls, ["http://localhost", "http://127.0.0.1"]);
        assert_eq!(wishes.ports, [8001, 8002, 8003, 8004, 8005]);
        let paths = ["./mcp-servers.json", "./config/mcp-servers.json"].map(PathBuf::from);
        assert_eq!((wishes.config_paths, wishes.service_endpoints), (paths.to_vec(), Vec::<String>::new()));
        assert_eq!((wishes.timeout, wishes.max_concurrent), (Duration::from_secs(5), 10));
    }

    #[test]
    fn the_fields_are_read_and_mistakes_are_named() {
        let wishes = Wishes::from_json(&json!({
            "network_discovery": false, "config_paths": ["cursor", "./x.json"], "timeout": 0.5, "max_concurrent": 3.0
        }))
        .unwrap();
        assert_eq!((wishes.network, wishes.clients.as_slice()), (false, &["cursor".to_owned()][..]));
        assert_eq!((wishes.timeout, wishes.max_concurrent), (Duration::from_millis(500), 3));
        for (body, field) in [
            (json!([]), ""),
            (json!({ "ports": [0] }), "ports"),
            (json!({ "ports": [65536] }), "ports"),
            (json!({ "ports": "8001" }), "ports"),
            (json!({ "timeout": -1 }), "timeout"),
            (json!({ "timeout": 5e-324 }), "timeout"),
            (json!({ "timeout": 1e300 }), "timeout"),
            (json!({ "max_concurrent": 0 }), "max_concurrent"),
            (json!({ "network_discovery": 1 }), "network_discovery"),
            (json!({ "ask_remotes": "yes" }), "ask_remotes"),
            (json!({ "base_urls": [1] }), "base_urls"),
            (json!({ "surprise": 1 }), "surprise"),
        ] {
            assert_eq!(Wishes::from_json(&body).unwrap_err().field, field, "{body}");
        }
    }

    #[test]
    fn the_whole_search_is_bounded() {
        let wishes = Wishes::default();
        assert_eq!(wishes.total(1), Duration::from_secs(5));
        assert_eq!(wishes.total(25), Duration::from_secs(15));
        assert_eq!(wishes.total(60_000), Duration::from_secs(120));
    }
}
