//! Which servers are the same, and whether an entry can be used.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::finding::Transport;
use crate::config::{self, Entry, Environment, Launch, RemoteKind, Syntax, hide_in_text, hide_secrets};

/// An entry, looked at as the config would.
pub(super) struct Looked {
    /// Stands for the way in which the server is reached.
    pub(super) key: String,
    pub(super) transport: Transport,
    /// The address or the command line, without what may be secret.
    pub(super) endpoint: String,
    /// Why it cannot be used as it is.
    pub(super) problem: Option<String>,
}

/// Looks at an entry that somebody found.
pub(super) fn look(entry: &Value, environment: &Environment) -> Looked {
    let text = json!({ "servers": { "it": entry } }).to_string();
    // A relative path in an entry that somebody else wrote has no folder of ours that it belongs to.
    let loaded = config::load_text(&text, Syntax::Json, Path::new("/switchboard.json"), environment);
    let problem = loaded.problems.iter().find(|problem| problem.severity == config::Severity::Error);
    let problem = problem.map(|problem| match &problem.suggestion {
        Some(suggestion) => format!("{}; {suggestion}", problem.message),
        None => problem.message.clone(),
    });
    let launch = match loaded.config.entry("it") {
        Some(Entry::Ready(server)) => Some(server.launch.clone()),
        _ => None,
    };
    let shown = hide_secrets(entry);
    let text = |key: &str| shown.get(key).and_then(Value::as_str).map(str::to_owned);
    let transport = match &launch {
        Some(launch) => transport_of(launch),
        None if text("url").is_some() => Transport::Http,
        None => Transport::Stdio,
    };
    let endpoint = text("url").unwrap_or_else(|| command_line(&shown));
    let key = match &launch {
        Some(launch) => key_of(launch),
        None => hash(&["raw", &entry.to_string()]),
    };
    Looked { key, transport, endpoint, problem }
}

fn transport_of(launch: &Launch) -> Transport {
    match launch {
        Launch::Stdio(_) => Transport::Stdio,
        Launch::Remote(remote) => match remote.kind {
            RemoteKind::Auto | RemoteKind::Http => Transport::Http,
            RemoteKind::Sse => Transport::Sse,
            RemoteKind::WebSocket => Transport::WebSocket,
            RemoteKind::Unix => Transport::Unix,
        },
    }
}

/// Stands for the way in which a server is reached. The names of this machine are one.
pub(super) fn key_of(launch: &Launch) -> String {
    match launch {
        Launch::Stdio(stdio) => {
            let mut parts = vec!["command", stdio.command.as_str()];
            parts.extend(stdio.args.iter().map(String::as_str));
            // Two accounts at the same program are two servers.
            let mut env: Vec<String> =
                stdio.env.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
            env.sort_unstable();
            parts.push("env");
            parts.extend(env.iter().map(String::as_str));
            hash(&parts)
        }
        Launch::Remote(remote) => hash(&["url", &plain_url(&remote.url)]),
    }
}

/// An address as one of many spellings.
pub(super) fn plain_url(url: &str) -> String {
    let Ok(mut parsed) = reqwest::Url::parse(url) else { return url.to_owned() };
    let host = parsed.host_str().unwrap_or_default();
    if is_loopback(host) {
        let _ = parsed.set_host(Some("localhost"));
    }
    parsed.set_fragment(None);
    parsed.as_str().trim_end_matches('/').to_owned()
}

/// Whether two addresses are of one origin. The names of this machine are one.
pub(super) fn same_origin(one: &reqwest::Url, other: &reqwest::Url) -> bool {
    let is_local = |url: &reqwest::Url| is_loopback(url.host_str().unwrap_or_default());
    let place = |url: &reqwest::Url| (url.scheme().to_owned(), url.port_or_known_default());
    one.origin() == other.origin() || (is_local(one) && is_local(other) && place(one) == place(other))
}

/// Whether a host of an address is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn command_line(shown: &Value) -> String {
    let mut words: Vec<String> = Vec::new();
    for key in ["command", "args"] {
        match shown.get(key) {
            Some(Value::String(word)) => words.push(word.clone()),
            Some(Value::Array(elements)) => {
                words.extend(elements.iter().filter_map(Value::as_str).map(hide_in_text));
            }
            _ => {}
        }
    }
    let quoted = words.iter().map(|word| match word.is_empty() || word.contains(char::is_whitespace) {
        true => format!("'{word}'"),
        false => word.clone(),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(entry: Value) -> String {
        look(&entry, &Environment::default()).key
    }

    #[test]
    fn spellings_of_one_server_are_the_same() {
        let one = key(json!({ "url": "http://localhost:8001/mcp" }));
        assert_eq!(key(json!({ "url": "http://127.0.0.1:8001/mcp/", "headers": { "A": "b" } })), one);
        assert_eq!(key(json!({ "serverUrl": "HTTP://[::1]:8001/mcp" })), one);
        assert_ne!(key(json!({ "url": "http://localhost:8001/other" })), one);
        let two = key(json!({ "command": "npx", "args": ["-y", "a"] }));
        assert_eq!(key(json!({ "command": ["npx", "-y"], "args": ["a"] })), two);
        assert_ne!(key(json!({ "command": "npx", "args": ["-y", "a"], "env": { "USER": "b" } })), two);
    }

    #[test]
    fn what_is_missing_is_said_and_nothing_secret_is_shown() {
        let looked = look(
            &json!({ "command": "npx", "args": ["--token", "hunter2"], "env": { "K": "${NOT_SET}" } }),
            &Environment::default(),
        );
        assert_eq!((looked.transport, looked.endpoint.as_str()), (Transport::Stdio, "npx --token ***"));
        assert!(looked.problem.unwrap().contains("NOT_SET"));
        let looked = look(&json!({ "url": "https://a.example/mcp?key=hunter2" }), &Environment::default());
        assert_eq!((looked.endpoint.as_str(), looked.problem), ("https://a.example/mcp", None));
    }
}
