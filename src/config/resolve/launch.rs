//! How a server is reached: its command or its addresses, and who we are to it.

use super::{Resolver, elements, texts};
use crate::config::auth::{self, AuthConfig};
use crate::config::model::{Launch, RemoteKind, RemoteLaunch, StdioLaunch};
use crate::config::secret::Secret;
use crate::config::tree::{Node, Origin};
use crate::failure::Code;

impl Resolver<'_> {
    pub(super) fn launch(&mut self, origin: &Origin, node: &Node, mark: usize) -> Option<Launch> {
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
    pub(super) fn others(&mut self, launch: &Launch, node: &Node) -> Option<Vec<Launch>> {
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

    pub(in crate::config) fn stdio(&mut self, command: &Node, node: &Node) -> Option<StdioLaunch> {
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

    pub(in crate::config) fn http(&mut self, url: &Node, node: &Node) -> Option<Launch> {
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
    pub(super) fn auth(&mut self, node: &Node, launch: Option<&Launch>) -> Option<AuthConfig> {
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
}
