//! What may be served without asking.
//!
//! A server that was reached at an address may be, if its owner said so. A command is another matter: whoever writes it into a
//! file or a registry would run programs here. It is taken only by a pattern that names the program itself.

use serde_json::Value;

use super::finding::{Finding, Source};
use crate::config::{AutoRegister, Glob};

/// Whether the rule takes this server.
pub(super) fn takes(rule: &AutoRegister, finding: &Finding) -> bool {
    if finding.known_as.is_some() || finding.problem.is_some() || refers(&finding.entry) {
        return false;
    }
    match rule {
        AutoRegister::Never => false,
        // What a stranger announces or publishes is taken by its address alone, which somebody has written down.
        AutoRegister::Reached => {
            let is_ours = |source: &Source| !source.is_strangers();
            let is_ours = is_ours(&finding.source) || finding.also.iter().any(is_ours);
            !finding.is_command() && finding.tools.is_some() && is_ours
        }
        AutoRegister::Matching { addresses, tools } if finding.is_command() => {
            tools.is_empty()
                && addresses
                    .iter()
                    .any(|glob| names_program(glob, finding) && glob.matches(&finding.endpoint))
        }
        AutoRegister::Matching { addresses, tools } => {
            let Some(has) = &finding.tools else { return false };
            addresses.iter().any(|glob| glob.matches(&finding.endpoint))
                && (tools.is_empty()
                    || has.iter().any(|tool| tools.iter().any(|glob| glob.matches(&tool.name))))
        }
    }
}

/// Whether a pattern has the whole program in it, and not only a wildcard that fits it.
fn names_program(glob: &Glob, finding: &Finding) -> bool {
    let Some(program) = finding.entry.get("command").and_then(Value::as_str) else { return false };
    let literal = glob.as_str().split(['*', '?']).next().unwrap_or_default();
    match literal.strip_prefix(program) {
        Some("") => literal.len() == glob.as_str().len(),
        Some(rest) => rest.starts_with(' '),
        None => false,
    }
}

/// Whether an entry refers to variables or files of ours: what a stranger asks for so is given by nobody but a person.
fn refers(entry: &Value) -> bool {
    match entry {
        Value::String(text) => text.replace("$${", "").contains("${"),
        Value::Array(elements) => elements.iter().any(refers),
        Value::Object(members) => members.values().any(refers),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::{FoundTool, Transport};
    use serde_json::json;

    fn finding(entry: Value, endpoint: &str, tools: Option<&[&str]>) -> Finding {
        let tool = |name: &&str| FoundTool {
            name: (*name).to_owned(),
            description: String::new(),
            input_schema: json!({}),
        };
        Finding {
            name: "x".to_owned(),
            key: String::new(),
            transport: if entry.get("command").is_some() { Transport::Stdio } else { Transport::Http },
            entry,
            source: Source::Network,
            also: Vec::new(),
            endpoint: endpoint.to_owned(),
            known_as: None,
            description: None,
            revision: None,
            tools: tools.map(|tools| tools.iter().map(tool).collect()),
            problem: None,
        }
    }

    fn matching(addresses: &[&str], tools: &[&str]) -> AutoRegister {
        let globs = |texts: &[&str]| texts.iter().map(|text| Glob::new(*text)).collect();
        AutoRegister::Matching { addresses: globs(addresses), tools: globs(tools) }
    }

    #[test]
    fn servers_that_were_reached_are_taken_by_their_address_and_tools() {
        let url = "http://localhost:8001/mcp";
        let reached = finding(json!({ "url": url }), url, Some(&["read_file"]));
        assert!(takes(&AutoRegister::Reached, &reached));
        assert!(!takes(&AutoRegister::Never, &reached));
        assert!(takes(&matching(&["http://localhost:*"], &[]), &reached));
        assert!(takes(&matching(&["http://localhost:*"], &["write_*", "read_*"]), &reached));
        assert!(!takes(&matching(&["http://localhost:*"], &["write_*"]), &reached));
        assert!(!takes(&matching(&["https://*"], &[]), &reached));
        let strangers = ["mdns", "https://registry.example", "http://registry.example"];
        for service in strangers {
            let source = Source::Service(service.to_owned());
            let announced = Finding { source, ..finding(json!({ "url": url }), url, Some(&["read_file"])) };
            assert!(!takes(&AutoRegister::Reached, &announced), "{service}");
            assert!(takes(&matching(&[url], &[]), &announced), "{service}");
        }
        let source = Source::Service("consul://localhost:8500".to_owned());
        assert!(takes(&AutoRegister::Reached, &Finding { source, ..reached.clone() }));
        let unasked = finding(json!({ "url": url }), url, None);
        assert!(!takes(&AutoRegister::Reached, &unasked) && !takes(&matching(&["*"], &[]), &unasked));
        let broken = Finding { problem: Some("no".to_owned()), ..reached.clone() };
        let known = Finding { known_as: Some("a".to_owned()), ..reached };
        assert!(!takes(&AutoRegister::Reached, &broken) && !takes(&AutoRegister::Reached, &known));
    }

    #[test]
    fn a_command_is_taken_only_by_its_name() {
        let command = finding(json!({ "command": "npx", "args": ["-y", "pkg"] }), "npx -y pkg", None);
        assert!(!takes(&AutoRegister::Reached, &command));
        for (pattern, expected) in [
            ("*", false),
            ("n*", false),
            ("npx*", false),
            ("npx", false),
            ("npx *", true),
            ("npx -y pkg", true),
            ("npx -y other", false),
            ("np? -y pkg", false),
        ] {
            assert_eq!(takes(&matching(&[pattern], &[]), &command), expected, "{pattern}");
        }
    }

    #[test]
    fn what_refers_to_our_variables_is_for_people() {
        let url = "http://localhost:8001/mcp";
        let entry = json!({ "url": url, "headers": { "A": "${AWS_SECRET_ACCESS_KEY}" } });
        assert!(!takes(&AutoRegister::Reached, &finding(entry, url, Some(&[]))));
        let entry = json!({ "url": url, "headers": { "A": "$${literal}" } });
        assert!(takes(&AutoRegister::Reached, &finding(entry, url, Some(&[]))));
    }
}
