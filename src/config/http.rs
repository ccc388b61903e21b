//! The block `http:`: how clients are served over HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::admin::MAKE_ONE;
use super::problem::{Problem, Severity};
use super::profiles::{self, Profile};
use super::resolve::{Resolver, texts};
use super::secret::Secret;
use super::tree::Node;
use super::values::parse_duration;
use crate::failure::Code;

/// The shortest token that is not warned about: shorter ones can be guessed.
const SHORT: usize = 16;

/// How clients are served over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpFace {
    /// Where to listen, if the command line does not say.
    pub listen: SocketAddr,
    /// Who may come in: names and the bearer tokens they show. Empty lets everybody in who reaches the address, which
    /// is refused for one that is not of this machine alone.
    pub tokens: Vec<(String, Secret)>,
    /// Who is served by a profile of their own: names of `tokens`, and the profiles.
    pub profiles: Vec<(String, Arc<Profile>)>,
    /// Further names (`host` or `host:port`) under which clients reach us.
    pub allowed_hosts: Vec<String>,
    /// Web pages (`scheme://host[:port]`) whose scripts may talk to us, besides our own address.
    pub allowed_origins: Vec<String>,
    /// After this long without a request or an open stream a session ends.
    pub session_idle: Duration,
    /// The most sessions at once.
    pub max_sessions: usize,
}

impl Default for HttpFace {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7710)),
            tokens: Vec::new(),
            profiles: Vec::new(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            session_idle: Duration::from_secs(30 * 60),
            max_sessions: 1000,
        }
    }
}

/// Reads an address to listen on: `127.0.0.1:7710`, `[::1]:7710`, `localhost:7710`, and a port alone (`7710`, `:7710`), which
/// means this machine alone. Port 0 lets the system choose.
///
/// # Errors
/// What is expected, as a sentence fragment.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let expected =
        || format!("`{text}` is no address to listen on; write `127.0.0.1:7710`, `[::1]:7710` or a port");
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port: u16 = port.parse().map_err(|_| expected())?;
    match host {
        "" | "localhost" => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        "*" => Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        _ => host.parse::<IpAddr>().ok().map(|ip| SocketAddr::from((ip, port))).ok_or_else(expected),
    }
}

impl Resolver<'_> {
    /// The block `http:`. A block with any error is none at all: a token that could not be read must not turn into a
    /// door without a lock.
    pub(super) fn http_face(
        &mut self,
        effective: &Node,
        profiles: &[Arc<Profile>],
    ) -> Result<HttpFace, Box<Problem>> {
        let mark = self.reporter.mark();
        let default = HttpFace::default();
        let whole = |key: &str| effective.at(key).and_then(Node::as_whole);
        let duration = |key: &str| effective.at(key).and_then(Node::as_str).and_then(parse_duration);
        let face = HttpFace {
            listen: self.listen(effective).unwrap_or(default.listen),
            tokens: self.tokens(effective),
            profiles: self.bound_profiles(effective, profiles),
            allowed_hosts: self.hosts(effective, "http.allowed_hosts"),
            allowed_origins: self.spelled(
                effective,
                "http.allowed_origins",
                "`https://name[:port]`",
                |origin| {
                    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
                    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', '@', ' ']))
                },
            ),
            session_idle: duration("http.session_idle").unwrap_or(default.session_idle),
            max_sessions: whole("http.max_sessions")
                .and_then(|count| usize::try_from(count).ok())
                .unwrap_or(default.max_sessions),
        };
        if let Some(problem) = self.reporter.errors_since(mark).next() {
            return Err(Box::new(problem.clone()));
        }
        match effective.at("security.auth_required").filter(|wanted| wanted.as_bool() == Some(true)) {
            Some(wanted) if face.tokens.is_empty() => Err(Box::new(self.nobody_may_come(wanted))),
            _ => Ok(face),
        }
    }

    /// Clients must log in, and there is nothing to log in with. It harms only who serves over HTTP: the client on our stdin is the
    /// one who has started us.
    fn nobody_may_come(&mut self, wanted: &Node) -> Problem {
        let message = "clients must log in, and `http.tokens` names nobody: nothing is served over HTTP";
        let problem = self.reporter.warn(Code::ConfigValue, &wanted.origin, message);
        problem.suggestion = Some(format!("give each client a token in `http.tokens`; {MAKE_ONE}"));
        let mut problem = problem.clone();
        problem.severity = Severity::Error;
        problem
    }

    fn listen(&mut self, effective: &Node) -> Option<SocketAddr> {
        let node = effective.at("http.listen")?;
        match parse_listen(node.as_str()?) {
            Ok(address) => Some(address),
            Err(message) => {
                self.reporter.error(Code::ConfigValue, &node.origin, message);
                None
            }
        }
    }

    fn tokens(&mut self, effective: &Node) -> Vec<(String, Secret)> {
        let members = effective.at("http.tokens").map(Node::members).unwrap_or_default();
        let mut tokens = Vec::new();
        for member in members {
            if let Some(token) = self.token(&member.value, &format!("http.tokens.{}", member.key)) {
                tokens.push((member.key.clone(), token));
            }
        }
        tokens
    }

    /// Whose token goes with which profile. A name that nobody has is an error, and so is a profile: who would see less by it
    /// would see all.
    fn bound_profiles(&mut self, effective: &Node, profiles: &[Arc<Profile>]) -> Vec<(String, Arc<Profile>)> {
        let tokens = effective.at("http.tokens");
        let mut bound = Vec::new();
        for member in effective.at("http.profiles").map(Node::members).unwrap_or_default() {
            let (client, path) = (&member.key, format!("`http.profiles.{}`: ", member.key));
            if tokens.and_then(|tokens| tokens.get(client)).is_none() {
                let message = format!("{path}`http.tokens` has no `{client}`");
                let problem = self.reporter.error(Code::ConfigValue, &member.origin, message);
                problem.hint("a profile is given to a token, by its name");
            }
            let Some(name) = self.expand(&member.value, &format!("http.profiles.{client}")) else { continue };
            match profiles.iter().find(|profile| *profile.name == *name) {
                Some(profile) => bound.push((client.clone(), Arc::clone(profile))),
                None => {
                    profiles::unknown(profiles, &name, &member.value.origin, &path, self.reporter);
                }
            }
        }
        bound
    }

    /// A bearer token; `None` if it cannot be read. What else is wrong with it is reported.
    pub(super) fn token(&mut self, node: &Node, path: &str) -> Option<Secret> {
        let token = self.expand(node, path)?;
        self.redactions.note("token", &token);
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("`{path}` must be visible ASCII without spaces, and not empty");
            self.reporter.error(Code::ConfigValue, &node.origin, message).hint(MAKE_ONE);
        } else if token.len() < SHORT {
            let message = format!("`{path}` is shorter than {SHORT} characters and can be guessed");
            self.reporter.warn(Code::ConfigValue, &node.origin, message).hint(MAKE_ONE);
        }
        Some(Secret::new(token))
    }

    /// Names under which a listener is reached.
    pub(super) fn hosts(&mut self, effective: &Node, path: &str) -> Vec<String> {
        self.spelled(effective, path, "`name` or `name:port`", |host| !host.contains(['/', '*', '@', ' ']))
    }

    /// The texts of a list that must be spelt in a certain way, in lower case.
    fn spelled(
        &mut self,
        effective: &Node,
        path: &str,
        expected: &str,
        is_right: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let node = effective.at(path);
        for element in node.map(Node::elements).unwrap_or_default() {
            if let Some(text) = element.as_str()
                && (text.is_empty() || !is_right(&text.to_ascii_lowercase()))
            {
                let message = format!("`{path}` must be written as {expected}, found `{text}`");
                self.reporter.error(Code::ConfigValue, &element.origin, message);
            }
        }
        texts(node).iter().map(|text| text.to_ascii_lowercase()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Loaded, Syntax, load_text};
    use std::path::Path;

    fn load(text: &str) -> Loaded {
        let environment = Environment::default();
        load_text(text, Syntax::Yaml, Path::new("/etc/sb/switchboard.yaml"), &environment)
    }

    #[test]
    fn addresses() {
        let listen = |text: &str| parse_listen(text).ok().map(|address| address.to_string());
        for (text, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("7710", "127.0.0.1:7710"),
            (":7710", "127.0.0.1:7710"),
            ("localhost:0", "127.0.0.1:0"),
            ("*:9", "0.0.0.0:9"),
            ("[::1]:9", "[::1]:9"),
        ] {
            assert_eq!(listen(text).as_deref(), Some(expected), "{text}");
        }
        for wrong in ["", "localhost", "example.com:80", "127.0.0.1:99999", "http://127.0.0.1:80"] {
            assert_eq!(listen(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_whole_block() {
        let loaded = load(
            "http:\n  listen: 0.0.0.0:8080\n  tokens: { alice: 0123456789abcdef }\n  allowed_hosts: [Box.example:8080]\n  \
             allowed_origins: [https://App.example]\n  session_idle: 5m\n  max_sessions: 3\n",
        );
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let face = loaded.config.http.unwrap();
        assert_eq!(face.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(face.tokens[0].0, "alice");
        assert_eq!(face.tokens[0].1.expose(), "0123456789abcdef");
        assert_eq!(face.allowed_hosts, ["box.example:8080"]);
        assert_eq!(face.allowed_origins, ["https://app.example"]);
        assert_eq!((face.session_idle, face.max_sessions), (Duration::from_secs(300), 3));
    }

    #[test]
    fn without_a_block_the_defaults_hold_and_the_tables_carry_the_same() {
        assert_eq!(load("servers: {}").config.http.unwrap(), HttpFace::default());
    }

    #[test]
    fn where_clients_must_log_in_there_is_no_door_without_tokens() {
        let loaded = load("security: { auth_required: true }");
        let problem = loaded.config.http.unwrap_err();
        assert_eq!(
            (problem.severity, problem.place.as_ref().map(|place| place.line)),
            (Severity::Error, Some(1))
        );
        // The client on our stdin is served all the same.
        assert_eq!(loaded.problems.len(), 1);
        assert_eq!(loaded.problems[0].severity, Severity::Warning);
        let with = "security: { auth_required: true }\nhttp: { tokens: { alice: 0123456789abcdef } }";
        assert!(load(with).config.http.is_ok());
    }

    #[test]
    fn a_block_with_an_error_is_no_open_door() {
        for text in [
            "http: { tokens: { alice: \"${NOT_SET_ANYWHERE}\" } }",
            "http: { tokens: secret }",
            "http: { tokens: { alice: } }",
            "http: { tokens: { alice: \"\" } }",
            "http: { tokens: { alice: \"a b\" } }",
            "http: { token: { alice: 0123456789abcdef } }",
            "http: { listen: nowhere }",
            "http: { allowed_origins: [example.com] }",
            "http: { allowed_hosts: [\"http://example.com\"] }",
            "http: [",
        ] {
            assert!(load(text).config.http.is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_elsewhere_closes_no_door() {
        assert!(load("servers: { a: {} }\ndefaults: { start: never }\n").config.http.is_ok());
    }

    #[test]
    fn tokens_are_kept_out_of_texts() {
        let loaded = load("http: { tokens: { alice: 0123456789abcdef, bob: short } }");
        assert!(!format!("{loaded:?}").contains("0123456789abcdef"));
        assert!(loaded.config.secrets().iter().any(|secret| secret.expose() == "0123456789abcdef"));
        assert!(loaded.problems.iter().any(|problem| problem.message.contains("can be guessed")));
    }
}
