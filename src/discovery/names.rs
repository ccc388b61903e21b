//! What servers that were found are called.
//!
//! A name depends on what else was found, not on when: it is the slug of what the server is called where it was found, and if
//! several are called so, or a server of the config is, each of them gets what tells it from the others: its port, its host, the
//! program whose config it stands in. So no name can pass from one server to another between two searches unnoticed.

use std::collections::{HashMap, HashSet};

use super::finding::{Finding, Source};
use crate::names::{RESERVED_SLUG, slug};

/// The longest name, without what tells equal ones apart.
const LONGEST: usize = 40;

/// Gives every finding its name; before, `name` is what the server is called. `taken` are the names in the config. A server of
/// the config has its name there.
pub(super) fn assign(findings: &mut [Finding], taken: &HashSet<String>) {
    let mut count: HashMap<String, usize> = HashMap::new();
    let (known, mut findings): (Vec<&mut Finding>, Vec<&mut Finding>) =
        findings.iter_mut().partition(|finding| finding.known_as.is_some());
    for finding in known {
        finding.name = finding.known_as.clone().unwrap_or_default();
    }
    for finding in &mut findings {
        finding.name = plain(&finding.name);
        *count.entry(finding.name.clone()).or_default() += 1;
    }
    let is_free = |name: &str| !taken.contains(name) && name != RESERVED_SLUG;
    let mut used: HashMap<String, usize> = HashMap::new();
    let names: Vec<String> = findings
        .iter()
        .map(|finding| match count.get(&finding.name) {
            Some(1) if is_free(&finding.name) => finding.name.clone(),
            _ => format!("{}-{}", finding.name, mark(finding)),
        })
        .inspect(|name| *used.entry(name.clone()).or_default() += 1)
        .collect();
    for (finding, name) in findings.into_iter().zip(names) {
        let is_alone = used.get(&name) == Some(&1) && is_free(&name);
        finding.name =
            if is_alone { name } else { format!("{name}-{}", &finding.key[..finding.key.len().min(6)]) };
    }
}

fn plain(called: &str) -> String {
    // `io.github.user/server` and `@scope/server` are known by their last part.
    let last = called.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
    let mut name = slug(last);
    name.truncate(LONGEST);
    name.truncate(name.trim_end_matches('-').len());
    if name.is_empty() { "server".to_owned() } else { name }
}

/// What tells a server from others of the same name.
fn mark(finding: &Finding) -> String {
    let url = reqwest::Url::parse(&finding.endpoint).ok().filter(|_| !finding.is_command());
    let of_url = url.and_then(|url| match url.port() {
        Some(port) => Some(port.to_string()),
        None => url.host_str().map(slug),
    });
    let of_source = match &finding.source {
        Source::File { client: Some(client), .. } => Some((*client).to_owned()),
        _ => None,
    };
    let mark = if finding.is_command() { of_source } else { of_url };
    mark.filter(|mark| !mark.is_empty()).unwrap_or_else(|| finding.key.chars().take(6).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Transport;
    use serde_json::Value;

    fn finding(name: &str, endpoint: &str, key: &str) -> Finding {
        Finding {
            name: name.to_owned(),
            key: key.to_owned(),
            entry: Value::Null,
            source: Source::Network,
            also: Vec::new(),
            endpoint: endpoint.to_owned(),
            transport: Transport::Http,
            known_as: None,
            description: None,
            revision: None,
            tools: None,
            problem: None,
        }
    }

    fn named(findings: &[(&str, &str)], taken: &[&str]) -> Vec<String> {
        let mut findings: Vec<Finding> = findings
            .iter()
            .enumerate()
            .map(|(at, (name, endpoint))| {
                finding(name, endpoint, &format!("{at}{at}{at}{at}{at}{at}{at}{at}"))
            })
            .collect();
        assign(&mut findings, &taken.iter().map(|name| (*name).to_owned()).collect());
        findings.into_iter().map(|finding| finding.name).collect()
    }

    #[test]
    fn names_are_unique_and_do_not_depend_on_the_order() {
        let (one, two) = ("http://localhost:3001/mcp", "http://localhost:3002/mcp");
        assert_eq!(named(&[("Every Thing", one)], &[]), ["every-thing"]);
        assert_eq!(named(&[("x", one), ("x", two)], &[]), ["x-3001", "x-3002"]);
        assert_eq!(named(&[("x", two), ("x", one)], &[]), ["x-3002", "x-3001"]);
        assert_eq!(named(&[("x", one)], &["x"]), ["x-3001"]);
        assert_eq!(named(&[("x", one), ("x", one)], &["x-3001"]), ["x-3001-000000", "x-3001-111111"]);
        assert_eq!(named(&[("x", "https://a.example/mcp"), ("x", one)], &[]), ["x-a-example", "x-3001"]);
        assert_eq!(named(&[("日本", one), ("switchboard", one)], &[]), ["server", "switchboard-3001"]);
        assert_eq!(named(&[("io.github.me/weather", one), ("@scope/b", two)], &[]), ["weather", "b"]);
    }
}
