//! The tables, one file per server, and the one function that runs a table on either side.

use serde_json::{Value, json};

use crate::case::{Case, ask, call};
use crate::scenes;
use crate::side::Side;
use crate::support::same::difference;
use crate::world::World;

mod everything;
mod everything_old;
mod filesystem;
mod git;
mod memory;
mod python;
mod time;

/// The table of a server, in the order in which it runs: later cases see what earlier ones did.
pub(crate) fn of(server: &str, world: &World) -> Vec<Case> {
    match server {
        "everything" => everything::cases(),
        "everything-old" => everything_old::cases(),
        "filesystem" => filesystem::cases(world),
        "git" => git::cases(world),
        "memory" => memory::cases(),
        "python" => python::cases(),
        "python-stateless" => python::without_questions(),
        "python-json" => python::without_streams(),
        "python-modern" => python::without_logs(),
        "time" | "time-old" => time::cases(),
        other => panic!("no table for {other}"),
    }
}

/// A long call that the client cancels after its first progress.
pub(crate) fn cancelled(tool: &str) -> Case {
    call(tool, json!({ "duration": 1.5, "steps": 3 })).with("cancelled").meta(json!({ "progressToken": 1 }))
}

/// Subscribes to the memory server's graph, changes it, and unsubscribes.
pub(crate) fn graph_subscription() -> Vec<Case> {
    let uri = json!({ "uri": "memory://knowledge-graph" });
    let entity =
        |name: &str| json!({ "entities": [{ "name": name, "entityType": "thing", "observations": [] }] });
    vec![
        ask("graph", "resources/subscribe", uri.clone()),
        call("create_entities", entity("meanwhile")).with("subscribed"),
        ask("graph", "resources/unsubscribe", uri),
        call("create_entities", entity("after")).with("unsubscribed"),
    ]
}

/// Runs the lists, the table and the scenes of the side's server; outcomes by name.
pub(crate) fn outcomes(world: &World, side: &Side<'_>) -> Vec<(String, Value)> {
    let mut outcomes = Vec::new();
    for (method, key) in scenes::LISTS {
        outcomes.push((method.to_owned(), json!(side.list(method, key))));
    }
    for case in of(side.server.name, world) {
        outcomes.push((case.name.clone(), side.run(&case)));
    }
    for (name, scene) in scenes::of(side.server.name) {
        outcomes.push((format!("scene: {name}"), scene(side, world)));
    }
    outcomes
}

/// Panics with every difference at once.
pub(crate) fn assert_all_same(direct: &[(String, Value)], through: &[(String, Value)]) {
    assert_eq!(direct.len(), through.len(), "the two runs had different tables");
    let differences: Vec<String> = direct
        .iter()
        .zip(through)
        .filter_map(|((name, direct), (_, through))| {
            difference(direct, through).map(|found| format!("{name}: {found}"))
        })
        .collect();
    assert!(
        differences.is_empty(),
        "{} of {} outcomes differ\n{}",
        differences.len(),
        direct.len(),
        differences.join("\n")
    );
}
