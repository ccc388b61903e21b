//! What is meant: the config as the other rooms use it. Everything here was checked; nobody asks again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::admin::AdminConfig;
use super::arguments::ArgumentRule;
use super::audit::AuditRules;
use super::auth::AuthConfig;
use super::definitions::DefinitionRules;
use super::discovery::DiscoveryConfig;
use super::http::HttpFace;
use super::interceptors::InterceptorConfig;
use super::problem::{Place, Problem};
use super::profiles::Profile;
use super::secret::Secret;
use super::stages::Stages;
use super::telemetry::TelemetryRules;
use crate::names::ServerName;
use crate::names::slug;
use crate::wire::hex;

/// The whole config.
#[derive(Clone, Debug)]
pub struct Config {
    /// The servers in the order of the file.
    pub servers: Vec<Entry>,
    /// How the merged catalogue is shown.
    pub expose: Expose,
    /// How clients are served over HTTP, or why they cannot be: nothing is guessed about who may come in.
    pub http: Result<HttpFace, Box<Problem>>,
    /// How Switchboard is administered, or why that cannot be: nothing is guessed about who may.
    pub admin: Result<AdminConfig, Box<Problem>>,
    /// The audit log, if there is to be one.
    pub audit: Option<AuditRules>,
    /// What is counted, and where it goes.
    pub telemetry: TelemetryRules,
    /// Who may call what; `None` if everybody may call everything. An error if that was said but cannot be read: nothing is
    /// guessed about who may.
    pub policy: Result<Option<PolicyFile>, Box<Problem>>,
    /// Named selections of servers, in the order of the file.
    pub profiles: Vec<Arc<Profile>>,
    /// The one by which everybody is served; `None` if that is everything.
    pub profile: Option<Arc<Profile>>,
    /// Where to look for further servers; `None` looks nowhere.
    pub discovery: Option<DiscoveryConfig>,
    /// False if the config (or `PROXY_ENABLED`) says to serve no server at all. All entries are
    /// [`Entry::Disabled`] then.
    pub enabled: bool,
    /// Who looks at calls on their way, in the order of the file.
    pub interceptors: Vec<InterceptorConfig>,
    pub(super) secrets: Vec<Secret>,
}

/// Where policies are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// The file, as an absolute path.
    pub path: PathBuf,
    /// Where the config names it.
    pub place: Option<Place>,
}

/// One server of the config.
#[derive(Clone, Debug)]
pub enum Entry {
    /// It can be started.
    Ready(Box<ServerConfig>),
    /// Its owner switched it off.
    Disabled {
        /// The server.
        name: ServerName,
    },
    /// The profile in force leaves it out.
    LeftOut {
        /// The server.
        name: ServerName,
    },
    /// Something has to be provided first, usually an environment variable.
    NeedsConfig {
        /// The server.
        name: ServerName,
        /// The first thing that is missing.
        problem: Problem,
    },
    /// The entry is wrong.
    Broken {
        /// The server.
        name: ServerName,
        /// The first error of the entry.
        problem: Problem,
    },
}

/// Everything about one server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Its name in the config.
    pub name: ServerName,
    /// What its exposed names start with: a slug, perhaps empty. Two servers share none but the empty one.
    pub prefix: String,
    /// How it is reached.
    pub launch: Launch,
    /// The same server again, as further copies of the program or at other addresses. Calls are spread over all.
    pub others: Vec<Launch>,
    /// When it is started.
    pub start: Start,
    /// Which protocol revision is offered to it.
    pub protocol: ProtocolChoice,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How large messages may be.
    pub limits: Limits,
    /// Which of its tools are shown, and how.
    pub tools: ToolRules,
    /// Who shares one running instance of it.
    pub share: Share,
    /// What to do with a question of it that could belong to several calls.
    pub questions: Questions,
    /// What stands between it and its callers.
    pub stages: Stages,
    /// What is done about definitions of it that change or look dishonest; `None` for nothing.
    pub definitions: Option<DefinitionRules>,
    /// How we log in to it, if it is remote.
    pub auth: AuthConfig,
    /// What its owner says about it.
    pub description: Option<String>,
    /// Free words.
    pub categories: Vec<String>,
    /// What its owner keeps with it.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Where its entry stands.
    pub place: Option<Place>,
}

/// How a server is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum Launch {
    /// A child process that speaks on its stdin and stdout.
    Stdio(StdioLaunch),
    /// A server at an address.
    Remote(RemoteLaunch),
}

/// How a server at an address is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteLaunch {
    /// The address.
    pub url: String,
    /// How it speaks.
    pub kind: RemoteKind,
    /// Headers to send, credentials among them.
    pub headers: Vec<(String, Secret)>,
    /// A file with certificates (PEM) of authorities to trust besides the system's.
    pub ca: Option<PathBuf>,
}

/// How a server at an address speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteKind {
    /// To be found out: Streamable HTTP, or HTTP with SSE as in 2024-11-05.
    Auto,
    /// Streamable HTTP; on `http+unix://` addresses over a Unix socket.
    Http,
    /// HTTP with SSE (2024-11-05).
    Sse,
    /// WebSocket, one message in a text frame.
    WebSocket,
    /// Lines on a Unix socket (`unix:///path`).
    Unix,
}

/// Who shares one running instance of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Share {
    /// All clients.
    #[default]
    All,
    /// Nobody: every client session gets an instance of its own.
    Session,
}

/// What to do when a server's question cannot be told to belong to one of several calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Questions {
    /// It does not come to that: calls of different clients that may be asked are served one after the other.
    /// One that waits for its user lets others in: it is taken to ask nothing more until it has been answered.
    #[default]
    Serialize,
    /// The same, and one that waits for its user keeps the server to itself: for servers that ask several things at once.
    Exclusive,
    /// Calls run at once, and such a question is refused.
    Refuse,
}

/// How a child process is started.
#[derive(Clone, PartialEq, Eq)]
pub struct StdioLaunch {
    /// A name to look up on the PATH, or an absolute path.
    pub command: String,
    /// The arguments, passed as they are: no shell sees them.
    pub args: Vec<String>,
    /// The variables that the config sets for it.
    pub env: Vec<(String, Secret)>,
    /// The variables that it gets from our own environment, beyond the usual allow-list.
    pub inherit_env: Vec<String>,
    /// Its working directory, absolute.
    pub cwd: Option<PathBuf>,
}

/// When a server is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Start {
    /// With the first call that needs it.
    #[default]
    Lazy,
    /// As soon as Switchboard runs.
    Eager,
}

/// Which protocol revision to offer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum ProtocolChoice {
    /// The best one that both sides know.
    #[default]
    Auto,
    /// The best one that begins with `initialize`.
    Legacy,
    /// Exactly this one, for example `2025-06-18`.
    Revision(String),
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the start of the child to the end of the handshake.
    pub start: Duration,
    /// For an answer; progress starts it again.
    pub call: Duration,
    /// For an answer, whatever the progress.
    pub total: Duration,
    /// For the user's answer to a question that the server asks in the middle of a call.
    pub question: Duration,
    /// After this long without a call the child is stopped. `None` keeps it.
    pub idle_stop: Option<Duration>,
}

/// How large messages may be, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest message that is read from the server.
    pub message: usize,
    /// The largest result that is handed to the client, if it is less than what no client may get anyway.
    pub result: Option<usize>,
}

/// Which tools of a server are shown, and how. Every key is the tool's own name.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolRules {
    /// Patterns of tools to show.
    pub include: Vec<Glob>,
    /// Patterns of tools to hide; they win.
    pub exclude: Vec<Glob>,
    /// New own names, by the old ones.
    pub rename: Vec<(String, String)>,
    /// Other words for tools.
    pub overrides: Vec<(String, ToolOverride)>,
}

/// What the config says instead of the server about one tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolOverride {
    /// The title.
    pub title: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// Annotations to set; the server's others stay.
    pub annotations: serde_json::Map<String, serde_json::Value>,
    /// What becomes of its arguments, by the server's own names.
    pub arguments: Vec<(String, ArgumentRule)>,
}

/// A pattern: `*` is any text, `?` any character, everything else itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

/// How the merged catalogue is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expose {
    /// The longest exposed name, in bytes.
    pub max_name: usize,
}

// === impl Config ===

impl Config {
    /// What remains of a config file that cannot be read: no servers, no face whose tokens nobody knows, and no policies.
    pub(super) fn unreadable(problem: &Problem) -> Self {
        let unknown = || Box::new(problem.clone());
        Self { http: Err(unknown()), admin: Err(unknown()), policy: Err(unknown()), ..Self::default() }
    }

    /// Values that no log, error or status may contain, longest first.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// The servers that can be started.
    pub fn ready(&self) -> impl Iterator<Item = &ServerConfig> {
        self.servers.iter().filter_map(|entry| match entry {
            Entry::Ready(server) => Some(&**server),
            _ => None,
        })
    }

    /// The entry of this server.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.servers.iter().find(|entry| entry.name().as_str() == name)
    }
}

// === impl Entry ===

impl Entry {
    /// The server's name.
    pub fn name(&self) -> &ServerName {
        match self {
            Self::Ready(server) => &server.name,
            Self::Disabled { name }
            | Self::LeftOut { name }
            | Self::NeedsConfig { name, .. }
            | Self::Broken { name, .. } => name,
        }
    }
}

// === impl ServerConfig ===

impl ServerConfig {
    /// A server with built-in settings: a program with arguments.
    pub fn stdio(name: &str, command: &str, args: &[&str]) -> Self {
        Self {
            name: name.into(),
            prefix: slug(name),
            launch: Launch::Stdio(StdioLaunch::new(command, args)),
            others: Vec::new(),
            start: Start::default(),
            protocol: ProtocolChoice::default(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            tools: ToolRules::default(),
            share: Share::default(),
            questions: Questions::default(),
            stages: Stages::default(),
            definitions: None,
            auth: AuthConfig::default(),
            description: None,
            categories: Vec::new(),
            metadata: serde_json::Map::new(),
            place: None,
        }
    }

    /// Identifies what the server's catalogue depends on: 32 hexadecimal digits over the command, its arguments,
    /// its directory, the names of its variables, or its URL. A new secret does not change it.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        // Every part carries its length, so that no two lists of parts look alike.
        let mut add = |tag: u8, part: &str| {
            hash.update([tag]);
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        };
        match &self.launch {
            Launch::Stdio(launch) => {
                add(b'c', &launch.command);
                launch.args.iter().for_each(|argument| add(b'a', argument));
                if let Some(cwd) = &launch.cwd {
                    add(b'd', &cwd.to_string_lossy());
                }
                let mut names: Vec<&str> = launch.env.iter().map(|(name, _)| name.as_str()).collect();
                names.extend(launch.inherit_env.iter().map(String::as_str));
                names.sort_unstable();
                names.dedup();
                names.into_iter().for_each(|name| add(b'e', name));
            }
            Launch::Remote(launch) => add(b'u', &launch.url),
        }
        hex(&hash.finalize()[..16])
    }
}

// === impl StdioLaunch ===

impl StdioLaunch {
    /// A program with arguments and nothing else.
    pub fn new(command: &str, args: &[&str]) -> Self {
        Self {
            command: command.to_owned(),
            args: args.iter().map(|argument| (*argument).to_owned()).collect(),
            env: Vec::new(),
            inherit_env: Vec::new(),
            cwd: None,
        }
    }
}

impl std::fmt::Debug for Launch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdio(launch) => launch.fmt(f),
            Self::Remote(launch) => launch.fmt(f),
        }
    }
}

/// An address may hold secrets in its query, so only the names of the headers are printed.
impl std::fmt::Debug for RemoteLaunch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteLaunch")
            .field("kind", &self.kind)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// Arguments may hold secrets that came through `${…}`, so only their number is printed.
impl std::fmt::Debug for StdioLaunch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StdioLaunch")
            .field("command", &self.command)
            .field("args", &format_args!("{} arguments", self.args.len()))
            .field("env", &self.env)
            .field("inherit_env", &self.inherit_env)
            .field("cwd", &self.cwd)
            .finish()
    }
}

// === impl ToolRules ===

impl ToolRules {
    /// Whether the tool of this own name is shown.
    pub fn allows(&self, tool: &str) -> bool {
        self.include.iter().any(|glob| glob.matches(tool))
            && !self.exclude.iter().any(|glob| glob.matches(tool))
    }

    /// The new own name of a tool, if it gets one.
    pub fn renamed(&self, tool: &str) -> Option<&str> {
        self.rename.iter().find(|(old, _)| old == tool).map(|(_, new)| new.as_str())
    }

    /// What the config says instead of the server about this tool.
    pub fn override_of(&self, tool: &str) -> Option<&ToolOverride> {
        self.overrides.iter().find(|(name, _)| name == tool).map(|(_, words)| words)
    }
}

// === impl Glob ===

impl Glob {
    /// Takes any text as a pattern.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole text fits.
    pub fn matches(&self, text: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let text: Vec<char> = text.chars().collect();
        let (mut in_pattern, mut in_text) = (0, 0);
        // Where to go on if the last `*` has to swallow one character more.
        let mut retry: Option<(usize, usize)> = None;
        while in_text < text.len() {
            match pattern.get(in_pattern) {
                Some('*') => {
                    retry = Some((in_pattern + 1, in_text));
                    in_pattern += 1;
                }
                Some(wanted) if *wanted == '?' || *wanted == text[in_text] => {
                    in_pattern += 1;
                    in_text += 1;
                }
                _ => {
                    let Some((after_star, swallowed)) = retry else { return false };
                    retry = Some((after_star, swallowed + 1));
                    in_pattern = after_star;
                    in_text = swallowed + 1;
                }
            }
        }
        pattern[in_pattern..].iter().all(|rest| *rest == '*')
    }
}

// === the built-in values ===
//
// The tables of keys carry the same values for `config show` and the schema; a test compares them.

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            expose: Expose::default(),
            admin: Ok(AdminConfig::default()),
            audit: None,
            telemetry: TelemetryRules::default(),
            http: Ok(HttpFace::default()),
            policy: Ok(None),
            profiles: Vec::new(),
            profile: None,
            discovery: None,
            enabled: true,
            interceptors: Vec::new(),
            secrets: Vec::new(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(60),
            call: Duration::from_secs(5 * 60),
            total: Duration::from_secs(30 * 60),
            question: Duration::from_secs(10 * 60),
            idle_stop: Some(Duration::from_secs(15 * 60)),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: 16 << 20, result: None }
    }
}

impl Default for ToolRules {
    fn default() -> Self {
        Self { include: vec![Glob::new("*")], exclude: Vec::new(), rename: Vec::new(), overrides: Vec::new() }
    }
}

impl Default for Expose {
    fn default() -> Self {
        Self { max_name: 52 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "x", false),
            ("admin_*", "admin_purge", true),
            ("admin_*", "xadmin_purge", false),
            ("*_purge", "admin_purge", true),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXbYY", false),
            ("?", "ü", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("a.c", "abc", false),
            ("**", "x", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_glob_cannot_be_made_slow() {
        let pattern = Glob::new("*a".repeat(200));
        assert!(!pattern.matches(&"a".repeat(199)));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(20_000))));
    }

    #[test]
    fn the_fingerprint_knows_what_matters() {
        let with = |change: &dyn Fn(&mut StdioLaunch)| {
            let mut server = ServerConfig::stdio("a", "x", &["1", "2"]);
            if let Launch::Stdio(launch) = &mut server.launch {
                launch.env.push(("K".into(), Secret::new("v")));
                change(launch);
            }
            server.fingerprint()
        };
        let base = with(&|_| {});
        assert_eq!(base.len(), 32);
        assert_eq!(base, with(&|launch| launch.env[0].1 = Secret::new("w")));
        assert_ne!(base, with(&|launch| launch.args = vec!["12".into()]));
        assert_ne!(base, with(&|launch| launch.command = "y".into()));
        assert_ne!(base, with(&|launch| launch.cwd = Some("/".into())));
        assert_ne!(base, with(&|launch| launch.env[0].0 = "L".into()));
    }

    #[test]
    fn a_launch_does_not_print_arguments_or_values() {
        let mut launch = StdioLaunch::new("x", &["--token=hunter2"]);
        launch.env.push(("K".into(), Secret::new("hunter3")));
        assert!(!format!("{launch:?}").contains("hunter"));
    }
}
