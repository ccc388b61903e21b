//! Packages, as the commands that run them.

use serde_json::{Map, Value, json};

use super::inputs::Inputs;
use super::{described, list, text};
use crate::discovery::entry::literal;
use crate::discovery::finder::Draft;
use crate::discovery::finding::Source;

/// The first package of a server that a known launcher runs as a child.
pub(super) fn proposal(server: &Value, source: &Source) -> Option<Draft> {
    let entry = list(server, "packages").find_map(entry)?;
    Some(described(Draft::new(entry, source.clone()), server))
}

fn entry(package: &Value) -> Option<Value> {
    let transport = package.get("transport").and_then(|transport| text(transport, "type")).unwrap_or("stdio");
    if transport != "stdio" {
        return None;
    }
    let identifier =
        text(package, "identifier").or_else(|| text(package, "name")).filter(|name| is_package(name))?;
    let version = text(package, "version").filter(|version| is_package(version) && *version != "latest");
    let hint = text(package, "runtimeHint");
    let runtime = arguments(package, "runtimeArguments");
    let own = arguments(package, "packageArguments");
    let env = environment(package);
    let at = |separator: &str| match version {
        Some(version) => format!("{identifier}{separator}{version}"),
        None => identifier.to_owned(),
    };
    let (command, args) = match text(package, "registryType").or_else(|| text(package, "registryName"))? {
        "npm" => {
            let command = hint.filter(|hint| ["npx", "bunx"].contains(hint)).unwrap_or("npx");
            let yes: &[&str] = if command == "npx" { &["-y"] } else { &[] };
            (command, chain(&[yes, &[]], &runtime, &[&at("@")], &own))
        }
        "pypi" => ("uvx", chain(&[], &runtime, &[&at("@")], &own)),
        "nuget" => ("dnx", chain(&[], &runtime, &[&at("@"), "--yes", "--"], &own)),
        "oci" => {
            let command = hint.filter(|hint| ["docker", "podman"].contains(hint)).unwrap_or("docker");
            let has_tag = identifier.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
            let image = if has_tag { identifier.to_owned() } else { at(":") };
            let mut before = vec!["run".to_owned(), "-i".to_owned(), "--rm".to_owned()];
            before.extend(env.keys().flat_map(|name| ["-e".to_owned(), name.clone()]));
            before.extend(runtime);
            (command, chain(&[], &before, &[&image], &own))
        }
        _ => return None,
    };
    let mut entry = json!({ "command": command, "args": args });
    if !env.is_empty() {
        entry["env"] = env.into();
    }
    Some(entry)
}

fn chain(first: &[&[&str]], before: &[String], package: &[&str], after: &[String]) -> Vec<String> {
    let first = first.iter().flat_map(|words| words.iter()).map(|word| (*word).to_owned());
    let package = package.iter().map(|word| literal(word));
    first.chain(before.iter().cloned()).chain(package).chain(after.iter().cloned()).collect()
}

/// A name that no launcher takes for an option or an address.
fn is_package(name: &str) -> bool {
    !name.starts_with('-')
        && name.len() <= 300
        && !name.contains("://")
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "@/._:+-".contains(letter))
}

fn arguments(package: &Value, key: &str) -> Vec<String> {
    let mut words = Vec::new();
    for argument in list(package, key) {
        let value = Inputs::of(argument).value(argument);
        match (text(argument, "type"), text(argument, "name")) {
            (Some("named"), Some(name)) => match value {
                Some(value) => words.extend([literal(name), value]),
                // An option without a value is a switch, if it is wanted at all.
                None if argument.get("valueHint").is_none() && argument.get("format").is_none() => {
                    words.push(literal(name));
                }
                None => {}
            },
            _ => words.extend(value),
        }
    }
    words
}

fn environment(package: &Value) -> Map<String, Value> {
    let mut env = Map::new();
    for variable in list(package, "environmentVariables") {
        if let (Some(name), Some(value)) = (text(variable, "name"), Inputs::of(variable).value(variable)) {
            env.insert(name.to_owned(), value.into());
        }
    }
    env
}
