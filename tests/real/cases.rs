//! The tables, one file per server, and the one function that runs a table on either side.

use serde_json::{Value, json};

use crate::case::Case;
use crate::scenes;
use crate::side::Side;
use crate::support::same::difference;
use crate::world::World;

mod everything;
mod everything_old;
mod filesystem;
mod git;
mod memory;
mod time;

/// The table of a server, in the order in which it runs: later cases see what earlier ones did.
pub(crate) fn of(server: &str, world: &World) -> Vec<Case> {
    match server {
        "everything" => everything::cases(),
        "everything-old" => everything_old::cases(),
        "filesystem" => filesystem::cases(world),
        "git" => git::cases(world),
        "memory" => memory::cases(),
        "time" | "time-old" => time::cases(),
        other => panic!("no table for {other}"),
    }
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
