//! The mission's `config/proxy.yaml` and its environment variables, translated into our own keys. The places of
//! the values stay those of the file, so that messages about them point at what was written.

use super::check::{check_table, twice};
use super::environment::Environment;
use super::keys;
use super::problem::Reporter;
use super::tree::{Kind, Node, Origin};
use super::values::seconds_as_duration;
use crate::failure::Code;

/// Moves everything under `proxy` to where it stands in our own shape. Returns whether there was a `proxy` key.
pub(super) fn translate(root: &mut Node, reporter: &mut Reporter) -> bool {
    let Some(proxy) = root.take("proxy") else { return false };
    while let Some(again) = root.take("proxy") {
        twice(&again, &proxy.origin, "", reporter);
    }
    if !matches!(proxy.value.kind, Kind::Map(_)) {
        let message = format!("`proxy` must be a mapping, found {}", proxy.value.describe());
        reporter.error(Code::ConfigValue, &proxy.value.origin, message);
        return true;
    }
    let mut proxy = check_table(proxy.value, &keys::MISSION, "proxy", reporter);
    move_to(&mut proxy, "enabled", root, &["enabled"]);
    if let Some(mut discovery) = proxy.take("discovery").map(|member| member.value) {
        let origin = discovery.origin.clone();
        let over_network = discovery.take("network_discovery").and_then(|member| member.value.as_bool());
        let mut ours = Node::empty_map(origin);
        move_to(&mut discovery, "enabled", &mut ours, &["enabled"]);
        if over_network == Some(false) {
            let nothing = Node { kind: Kind::List(Vec::new()), origin: ours.origin.clone() };
            put(&mut ours, &["network", "base_urls"], nothing);
        } else {
            move_to(&mut discovery, "base_urls", &mut ours, &["network", "base_urls"]);
            move_to(&mut discovery, "ports", &mut ours, &["network", "ports"]);
        }
        for (switch, list, key) in [
            ("service_discovery", "service_endpoints", "services"),
            ("file_discovery", "config_paths", "files"),
        ] {
            if discovery.take(switch).and_then(|member| member.value.as_bool()) != Some(false) {
                move_to(&mut discovery, list, &mut ours, &[key]);
            }
        }
        move_to(&mut discovery, "timeout", &mut ours, &["timeout"]);
        move_to(&mut discovery, "max_concurrent", &mut ours, &["max_concurrent"]);
        put(root, &["discovery"], ours);
    }
    if let Some(health_check) = proxy.take("health_check") {
        put(root, &["defaults", "health_check"], health_check.value);
    }
    if let Some(mut security) = proxy.take("security").map(|member| member.value) {
        let mut ours = Node::empty_map(security.origin.clone());
        move_to(&mut security, "auth_required", &mut ours, &["auth_required"]);
        move_to(&mut security, "security_level", &mut ours, &["level"]);
        put(root, &["security"], ours);
    }
    if let Some(mut servers) = proxy.take("servers").map(|member| member.value) {
        match &mut servers.kind {
            Kind::List(entries) => entries.iter_mut().for_each(translate_server),
            Kind::Map(entries) => entries.iter_mut().for_each(|member| translate_server(&mut member.value)),
            _ => {}
        }
        put(root, &["servers"], servers);
    }
    true
}

/// The two keys of a server in the mission's list that are said another way here.
fn translate_server(entry: &mut Node) {
    if let Some(timeout) = entry.get("timeout").cloned() {
        let duration = match &timeout.kind {
            Kind::Number(number) => seconds_as_duration(number),
            _ => timeout.as_str().map(str::to_owned),
        };
        if let Some(duration) = duration {
            entry.take("timeout");
            put(entry, &["timeouts", "call"], Node::string(duration, timeout.origin));
        }
    }
    if let Some(attempts) = entry.take("retry_attempts") {
        put(entry, &["retry", "max_attempts"], attempts.value);
    }
}

/// Applies the mission's variables. `PROXY_ENABLED` counts with every config; the others have names so general
/// that they count only where the config has the mission's shape.
pub(super) fn apply_variables(
    root: &mut Node,
    environment: &Environment,
    is_mission: bool,
    reporter: &mut Reporter,
) {
    if let Some((value, origin)) = variable(environment, "PROXY_ENABLED") {
        set_bool(root, &["enabled"], value, origin, reporter);
    }
    if !is_mission {
        return;
    }
    if let Some((value, origin)) = variable(environment, "DISCOVERY_ENABLED") {
        set_bool(root, &["discovery", "enabled"], value, origin, reporter);
    }
    if let Some((value, origin)) = variable(environment, "HEALTH_CHECK_INTERVAL") {
        let text = seconds_as_duration(value).unwrap_or_else(|| value.to_owned());
        put(root, &["defaults", "health_check", "interval"], Node::string(text, origin));
    }
    if let Some((value, origin)) = variable(environment, "MAX_RETRY_ATTEMPTS") {
        let kind = Kind::Number(value.to_owned());
        put(root, &["defaults", "retry", "max_attempts"], Node { kind, origin });
    }
}

fn variable<'a>(environment: &'a Environment, name: &str) -> Option<(&'a str, Origin)> {
    Some((environment.get(name)?, Origin::Variable(name.into())))
}

fn set_bool(root: &mut Node, path: &[&str], value: &str, origin: Origin, reporter: &mut Reporter) {
    let value = match value.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => true,
        "false" | "0" | "no" | "off" => false,
        other => {
            let message = format!("must be `true` or `false`, found `{}`", super::check::shorten(other));
            reporter.error(Code::ConfigValue, &origin, message);
            return;
        }
    };
    put(root, path, Node { kind: Kind::Bool(value), origin });
}

fn move_to(from: &mut Node, key: &str, to: &mut Node, path: &[&str]) {
    if let Some(member) = from.take(key) {
        put(to, path, member.value);
    }
}

/// Sets the value at this path and creates the mappings on the way.
fn put(node: &mut Node, path: &[&str], value: Node) {
    match path {
        [] => {}
        [key] => node.set(key, value),
        [key, rest @ ..] => {
            if let Some(below) = node.map_mut(key, &value.origin) {
                put(below, rest, value);
            }
        }
    }
}
