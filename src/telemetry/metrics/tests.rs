//! The text, its table, and what a model's server may do to both.

use std::collections::HashSet;

use super::*;

/// The rows of the table of metrics in the manual: name, kind, labels, help.
fn manual() -> Vec<[String; 4]> {
    let text = include_str!("../../../docs/telemetry.md");
    let rows =
        text.lines().filter(|line| line.starts_with("| `switchboard_") || line.starts_with("| `process_"));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned());
        std::array::from_fn(|_| cells.next().expect("a row has four cells"))
    })
    .collect()
}

#[test]
fn the_manual_has_every_metric_as_it_is() {
    let in_code: Vec<[String; 4]> = FAMILIES
        .iter()
        .map(|family| {
            let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            [format!("`{}`", family.name), family.kind.word().into(), labels.join(", "), family.help.into()]
        })
        .collect();
    let manual = manual();
    for (code, manual) in in_code.iter().zip(&manual) {
        assert_eq!(code, manual, "docs/telemetry.md differs");
    }
    assert_eq!(in_code.len(), manual.len(), "docs/telemetry.md has other rows");
}

#[test]
fn names_follow_the_conventions() {
    let mut names = HashSet::new();
    for family in FAMILIES {
        let Family { name, kind, labels, help } = *family;
        assert!(names.insert(name), "{name} stands twice");
        assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
        let times = matches!(kind, Kind::Histogram | Kind::Summary);
        assert!(!times || name.ends_with("_seconds"), "{name}");
        assert!(help.ends_with('.') && !help.contains(['\n', '\\']), "{name}: {help}");
        assert!(labels.iter().all(|label| !["le", "quantile", "instance", "job"].contains(label)), "{name}");
    }
}
