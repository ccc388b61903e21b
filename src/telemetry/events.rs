//! The names of events in the log: lines with the field `event`, by which programs find what they look for. The texts beside them
//! are for people, and may change.

/// Every event that there is.
///
/// `docs/telemetry.md` tells of each what it means and which fields it has; tests compare this list with the manual and with the
/// places where events are written.
pub const EVENTS: &[&str] = &[
    "admin.failed",
    "admin.listening",
    "audit.failed",
    "audit.resumed",
    "breaker.closed",
    "breaker.opened",
    "call.abandoned",
    "call.failed",
    "call.finished",
    "call.refused",
    "client.connected",
    "config.problem",
    "config.refused",
    "config.reloaded",
    "definitions.gone",
    "definitions.held",
    "discovery.finished",
    "discovery.not_registered",
    "discovery.registered",
    "health.failed",
    "health.recovered",
    "http.listening",
    "interceptor.failed",
    "list.failed",
    "login.renewed",
    "policy.refused",
    "policy.reloaded",
    "process.killed",
    "result.invalid",
    "result.shortened",
    "server.exited",
    "server.needs_login",
    "server.remark",
    "server.restarted",
    "server.started",
    "server.state",
    "servers.changed",
    "servers.unchanged",
    "telemetry.failed",
    "telemetry.resumed",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::EVENTS;

    fn written(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("it is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                written(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("it is text");
                let names = text.split("event = \"").skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(names.filter(|name| name.contains('.')).map(str::to_owned));
            }
        }
    }

    #[test]
    fn the_list_the_code_and_the_manual_have_the_same_events() {
        let listed: BTreeSet<String> = EVENTS.iter().map(|name| (*name).to_owned()).collect();
        let mut in_code = BTreeSet::new();
        written(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut in_code);
        assert_eq!(listed, in_code, "the list, and what is written");
        let manual = include_str!("../../docs/telemetry.md");
        let table = manual.split("## Events").nth(1).expect("the manual has a chapter of events");
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let in_manual: BTreeSet<String> = rows.filter(|name| name.contains('.')).map(str::to_owned).collect();
        assert_eq!(listed, in_manual, "the list, and docs/telemetry.md");
        assert!(EVENTS.is_sorted());
    }
}
