//! What a decision of policies costs: `cargo bench --bench policy`. It asks the room itself, without a Switchboard around it.

use std::hint::black_box;
use std::io::Write as _;
use std::time::{Instant, SystemTime};

use switchboard::effect::Effect;
use switchboard::policy::{Action, Client, Policies, Thing};

/// Twelve policies, as a small company may have them.
const RULES: &str = r#"
permit(principal, action, resource) when { resource.effect == "read" };
permit(principal == Client::"claude-code", action, resource in Category::"work");
permit(principal == Client::"cursor", action, resource in Server::"files");
permit(principal, action == Action::"call_tool", resource == Tool::"tickets__create");
permit(principal, action, resource) when { principal has token && principal.token == "laptop" };
permit(principal, action in [Action::"get_prompt", Action::"read_resource"], resource);
forbid(principal, action, resource in Category::"admin");
forbid(principal, action, resource) when { resource.original like "delete_*" };
forbid(principal, action, resource) when { resource.original like "drop_*" } unless { principal has token };
forbid(principal, action == Action::"call_tool", resource)
  when { resource.annotations has destructiveHint && resource.annotations.destructiveHint };
forbid(principal, action, resource) when { principal.transport == "http" && !(principal has token) };
"#;

/// One more, that looks at an argument.
const LOOKS: &str = r#"
forbid(principal, action == Action::"call_tool", resource in Server::"files")
  when { context.arguments has path && !(context.arguments.path like "/srv/*") };
"#;

const ROUNDS: u32 = if cfg!(debug_assertions) { 2_000 } else { 50_000 };

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    if cfg!(debug_assertions) {
        writeln!(out, "(not optimised: these are no figures to go by)")?;
    }
    for (name, rules) in
        [("by client and tool", RULES.to_owned()), ("by arguments too", format!("{RULES}{LOOKS}"))]
    {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("policy.cedar");
        std::fs::write(&path, rules)?;
        let start = Instant::now();
        let policies = Policies::at(path);
        let read = start.elapsed();
        let categories = ["work".to_owned()];
        let definition = format!(
            r#"{{"name":"files__read","description":"{}","inputSchema":{{"type":"object"}},"annotations":{{"readOnlyHint":true}}}}"#,
            "x".repeat(600)
        );
        let thing = Thing {
            action: Action::CallTool,
            name: "files__read",
            original: "read",
            server: "files",
            categories: &categories,
            definition: definition.as_bytes(),
            effect: Effect::Read,
            is_template: false,
        };
        let client = Client::default();
        let decide = |arguments: &str| {
            policies.admit(black_box(&client), black_box(&thing), arguments.as_bytes(), SystemTime::now())
        };
        let arguments = r#"{"path":"/srv/notes/today.md","head":100,"tags":["a","b"]}"#;
        decide(arguments)?;
        let call = each(ROUNDS, || black_box(decide(arguments)).is_ok());
        // Each of these only once, so that nothing can be remembered.
        let paths =
            (0..ROUNDS).map(|day| format!(r#"{{"path":"/srv/notes/{day}.md","head":100,"tags":["a","b"]}}"#));
        let paths: Vec<String> = paths.collect();
        let mut paths = paths.iter();
        let new = each(ROUNDS, || paths.next().is_some_and(|arguments| black_box(decide(arguments)).is_ok()));
        let list = each(ROUNDS / 20, || policies.shows(black_box(&client), black_box(&thing)));
        writeln!(
            out,
            "{name:<20} call {call:6.2} µs   with a new path {new:6.2} µs   list item {list:6.2} µs   reading the file {read:.1?}"
        )?;
    }
    Ok(())
}

/// Microseconds per round.
fn each(rounds: u32, mut round: impl FnMut() -> bool) -> f64 {
    let start = Instant::now();
    for _ in 0..rounds {
        assert!(round());
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
}
