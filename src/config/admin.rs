//! The block `admin:`: where programs and people may look after a running Switchboard.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::http::parse_listen;
use super::problem::Problem;
use super::resolve::Resolver;
use super::secret::Secret;
use super::tree::Node;
use crate::failure::Code;

/// What makes a token.
pub(super) const MAKE_ONE: &str = "`openssl rand -hex 24` makes one";

/// How Switchboard is administered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where the interface that can change things listens; nowhere if nothing is said.
    pub listen: Option<AdminDoor>,
    /// Whether commands may be registered there, and what else reads from this machine: references to variables and files, and Unix
    /// sockets.
    pub allow_stdio_register: bool,
    /// Further names (`host` or `host:port`) under which it is reached.
    pub allowed_hosts: Vec<String>,
    /// Whether `switchboard status` finds this process: by a Unix socket that only its user can reach and that changes nothing.
    pub status: bool,
}

/// Where the interface listens. Over TCP there is no door without a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminDoor {
    /// Over TCP.
    Tcp {
        /// The address.
        address: SocketAddr,
        /// What requests must show.
        token: Secret,
    },
    /// On a Unix socket that only this user can reach.
    Unix {
        /// Its path, absolute.
        path: PathBuf,
        /// What requests must show, if anything.
        token: Option<Secret>,
    },
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: None, allow_stdio_register: false, allowed_hosts: Vec::new(), status: true }
    }
}

impl AdminConfig {
    /// What requests must show, if anything.
    pub fn token(&self) -> Option<&Secret> {
        match self.listen.as_ref()? {
            AdminDoor::Tcp { token, .. } => Some(token),
            AdminDoor::Unix { token, .. } => token.as_ref(),
        }
    }

    /// Whether nothing differs but the token, of which there is one in both or in neither.
    pub fn is_same_but_for_token(&self, other: &Self) -> bool {
        let without = |config: &Self| {
            let mut config = config.clone();
            match &mut config.listen {
                Some(AdminDoor::Tcp { token, .. } | AdminDoor::Unix { token: Some(token), .. }) => {
                    *token = Secret::new(String::new());
                }
                Some(AdminDoor::Unix { token: None, .. }) | None => {}
            }
            config
        };
        without(self) == without(other)
    }
}

impl Resolver<'_> {
    /// The block `admin:`. A block with any error opens nothing.
    pub(super) fn admin(&mut self, effective: &Node) -> Result<AdminConfig, Box<Problem>> {
        let mark = self.reporter.mark();
        let token = effective.at("admin.token").and_then(|node| self.token(node, "admin.token"));
        let flag = |key: &str| effective.at(key).and_then(Node::as_bool);
        let config = AdminConfig {
            listen: effective.at("admin.listen").and_then(|node| self.admin_door(node, token)),
            allow_stdio_register: flag("admin.allow_stdio_register").unwrap_or(false),
            allowed_hosts: self.hosts(effective, "admin.allowed_hosts"),
            status: flag("admin.status").unwrap_or(true),
        };
        match self.reporter.errors_since(mark).next() {
            Some(problem) => Err(Box::new(problem.clone())),
            None => Ok(config),
        }
    }

    fn admin_door(&mut self, node: &Node, token: Option<Secret>) -> Option<AdminDoor> {
        let text = node.as_str()?.trim();
        let path = text.strip_prefix("unix:").map(|path| path.strip_prefix("//").unwrap_or(path));
        let path = path.or_else(|| text.starts_with(['/', '.', '~']).then_some(text));
        if let Some(path) = path {
            if path.is_empty() {
                self.reporter.error(Code::ConfigValue, &node.origin, "`admin.listen` names no file");
                return None;
            }
            return Some(AdminDoor::Unix { path: self.absolute(path), token });
        }
        match (parse_listen(text), token) {
            (Ok(address), Some(token)) => Some(AdminDoor::Tcp { address, token }),
            (Ok(_), None) => {
                let message =
                    "`admin.listen` needs `admin.token`: whoever reaches the address can change everything";
                self.reporter
                    .error(Code::ConfigMissing, &node.origin, message)
                    .hint("write `token: \"${env:SWITCHBOARD_TOKEN}\"`, or listen on a Unix socket: `listen: ./admin.sock`");
                None
            }
            (Err(message), _) => {
                let message = format!("{message}, or the path of a Unix socket");
                self.reporter.error(Code::ConfigValue, &node.origin, message);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Environment, Loaded, Syntax, load_text};

    const TOKEN: &str = "0123456789abcdef0123";

    fn load(text: &str) -> Loaded {
        let environment: Environment = [("TOKEN", TOKEN)].into_iter().collect();
        load_text(text, Syntax::Yaml, Path::new("/etc/sb/c.yaml"), &environment)
    }

    #[test]
    fn where_it_listens() {
        let door = |text: &str| {
            let loaded = load(text);
            assert!(loaded.problems.is_empty(), "{text}: {:?}", loaded.problems);
            loaded.config.admin.unwrap().listen
        };
        assert_eq!(door("servers: {}"), None);
        assert_eq!(door("admin: { status: false }"), None);
        let (address, token) = ("127.0.0.1:7700".parse().unwrap(), Secret::new(TOKEN));
        assert_eq!(
            door("admin: { listen: \"7700\", token: \"${env:TOKEN}\" }"),
            Some(AdminDoor::Tcp { address, token: token.clone() })
        );
        let socket = |path: &str| Some(AdminDoor::Unix { path: path.into(), token: None });
        assert_eq!(door("admin: { listen: /run/sb.sock }"), socket("/run/sb.sock"));
        assert_eq!(door("admin: { listen: ./sb.sock }"), socket("/etc/sb/sb.sock"));
        assert_eq!(door("admin: { listen: \"unix:///run/sb.sock\" }"), socket("/run/sb.sock"));
        assert!(matches!(
            door("admin: { listen: ./sb.sock, token: \"${env:TOKEN}\" }"),
            Some(AdminDoor::Unix { token: Some(_), .. })
        ));
    }

    #[test]
    fn what_is_wrong_opens_nothing_and_says_what_helps() {
        for (text, said) in [
            ("admin: { listen: \"7700\" }", "needs `admin.token`"),
            ("admin: { listen: 0.0.0.0:7700, token: \"${env:NOT_SET}\" }", "`NOT_SET` is not set"),
            ("admin: { listen: nowhere, token: 0123456789abcdef0123 }", "the path of a Unix socket"),
            ("admin: { listen: \"unix:\" }", "names no file"),
            ("admin: { listen: \"7700\", token: \"\" }", "not empty"),
            ("admin: { listn: 7700 }", "did you mean `listen`"),
            (
                "admin: { listen: \"7700\", token: 0123456789abcdef0123, allowed_hosts: [\"http://x\"] }",
                "allowed_hosts",
            ),
            ("admin: { allow_stdio_register: perhaps }", "`true` or `false`"),
        ] {
            let loaded = load(text);
            assert!(loaded.config.admin.is_err(), "{text}");
            let lines: Vec<String> = loaded.problems.iter().map(|problem| problem.to_string()).collect();
            assert!(lines.iter().any(|line| line.contains(said)), "{text}: {lines:?}");
        }
        let loaded = load("admin: { listen: \"7700\", token: \"${env:TOKEN}\" }");
        assert!(loaded.config.secrets().iter().any(|secret| secret.expose() == TOKEN));
        assert!(!format!("{loaded:?}").contains(TOKEN));
    }
}
