//! `switchboard approve`: what of servers' definitions waits for somebody, as a difference to read, and its release.

mod page;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::catalog::{Part, Store};
use crate::cli::Global;
use crate::cli::exit::{self, Exit};
use crate::cli::inside::Setup;
use crate::cli::suggest::{did_you_mean, near};
use crate::cli::terminal::{Paint, counted, one_line};
use crate::config::ServerConfig;
use crate::trust::diff::{self, Change, Piece};
use crate::trust::{self, Case, Found, Neighbours, PinStore, Pins, cases, identity};
use crate::wire::json as raw;

/// Arguments of `approve`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without names: shows what waits, and why. A running Switchboard notices an approval within a second.\n\
    Only servers with `definitions: { changes: …, findings: … }` in the config are watched.\n\n\
    Exit codes: 0 ok, 1 it could not be written down, 2 the server is not watched, 5 no such server or definition, 78 bad config."
)]
pub struct ApproveArgs {
    /// Servers, or single tools, prompts, resources (by URI) or the `instructions` of them
    #[arg(value_name = "SERVER[/NAME]", conflicts_with = "all")]
    names: Vec<String>,
    /// Approve everything that waits
    #[arg(long)]
    all: bool,
    /// Show the differences and approve nothing
    #[arg(long)]
    diff: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A server whose definitions are watched, and what is kept of them.
struct Watched<'a> {
    config: &'a ServerConfig,
    pins: Pins,
    cases: Vec<Case>,
}

/// Shows what waits, or approves it.
pub fn run(global: &Global, args: ApproveArgs) -> Exit {
    let setup = Setup::read(global);
    if let Some(exit) = setup.refuse_empty() {
        return exit;
    }
    let store = PinStore::new(&setup.locations.state);
    let neighbours = neighbours(&setup);
    let watched: Vec<Watched<'_>> = setup
        .loaded
        .config
        .ready()
        .filter_map(|config| {
            let rules = config.definitions?;
            let pins = match store.load(&config.name, &identity(config)) {
                Found::Pins(pins) => pins,
                Found::Nothing => Pins::default(),
                Found::Unknown(reason) => {
                    exit::print_err(&format!("warning: pins of `{}` cannot be read: {reason}", config.name));
                    Pins::default()
                }
            };
            let cases = cases(&config.name, rules, &pins, &neighbours);
            Some(Watched { config, pins, cases })
        })
        .collect();
    let chosen = match choose(&setup, &watched, &args.names) {
        Ok(chosen) => chosen,
        Err(exit) => return exit,
    };
    let approves = !args.diff && (args.all || !args.names.is_empty());
    if approves && let Err(exit) = approve(&store, &watched, &chosen) {
        return exit;
    }
    if args.json {
        let cases: Vec<Value> = chosen.iter().map(|case| as_json(case, approves)).collect();
        exit::print_json(&json!({ "schema": 1, "definitions": cases }));
    } else if approves {
        for case in &chosen {
            let name = format!("{}/{}", case.server, case.definition.name);
            exit::print_out(&format!(
                "approved {} ({})",
                Paint::stdout().bold(&one_line(&name)),
                case.reason.word()
            ));
        }
    } else {
        chosen.iter().for_each(|case| exit::print_out(&page::render(case, Paint::stdout())));
    }
    if chosen.is_empty() {
        exit::print_err(if watched.is_empty() {
            "nothing is watched: no server has `definitions` in the config"
        } else {
            "nothing waits; `switchboard check` looks at every server anew"
        });
    } else if !approves && !args.json {
        let waiting = counted(chosen.len(), "definition");
        exit::print_err(&format!("{waiting}; `switchboard approve SERVER[/NAME]` or `--all` approves"));
    }
    exit::OK
}

/// The cases that these names mean; all, without names.
fn choose<'a>(setup: &Setup, watched: &'a [Watched<'_>], names: &[String]) -> Result<Vec<&'a Case>, Exit> {
    let all = || watched.iter().flat_map(|server| &server.cases);
    if names.is_empty() {
        return Ok(all().collect());
    }
    let mut chosen: Vec<&Case> = Vec::new();
    for name in names {
        let config = &setup.loaded.config;
        // Both names may hold a slash: the longest server that fits is meant.
        let servers = config.servers.iter().map(|entry| entry.name().as_str());
        let fits = |server: &&str| {
            name == server || name.strip_prefix(server).is_some_and(|rest| rest.starts_with('/'))
        };
        let Some(server) = servers.clone().filter(fits).max_by_key(|server| server.len()) else {
            let near = did_you_mean(&near(name.split('/').next().unwrap_or_default(), servers));
            exit::print_err(&format!("error: there is no server for `{name}` in the config{near}"));
            return Err(exit::NOT_FOUND);
        };
        let Some(found) = watched.iter().find(|one| one.config.name.as_str() == server) else {
            exit::print_err(&format!(
                "error: definitions of `{server}` are not watched; `definitions: {{ changes: hold }}` in its entry does that"
            ));
            return Err(exit::USAGE);
        };
        let tool = name.get(server.len() + 1..);
        let known = || Part::ALL.iter().flat_map(|kind| found.pins.of(*kind)).map(|(name, _)| name);
        if let Some(tool) = tool.filter(|tool| !known().any(|known| known == *tool)) {
            let near = did_you_mean(&near(tool, known()));
            exit::print_err(&format!("error: nothing called `{tool}` was seen at `{server}`{near}"));
            return Err(exit::NOT_FOUND);
        }
        let wanted = found.cases.iter().filter(|case| tool.is_none_or(|tool| case.definition.name == tool));
        for case in wanted {
            if !chosen.contains(&case) {
                chosen.push(case);
            }
        }
    }
    Ok(chosen)
}

/// Approves what was chosen.
fn approve(store: &PinStore, watched: &[Watched<'_>], chosen: &[&Case]) -> Result<(), Exit> {
    let mut by_server: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in chosen {
        by_server.entry(case.server.as_str()).or_default().push(case);
    }
    for server in watched {
        let Some(cases) = by_server.get(server.config.name.as_str()) else { continue };
        let updated = store.approve(&server.config.name, &identity(server.config), cases);
        if let Err(error) = updated {
            exit::print_err(&format!(
                "error: the approval of `{}` could not be kept: {error}",
                server.config.name
            ));
            return Err(exit::FAILED);
        }
    }
    Ok(())
}

/// The tools of all servers, as they were stored last: nobody is started to approve something.
fn neighbours(setup: &Setup) -> Neighbours {
    let mut neighbours = Neighbours::default();
    let folder = setup.locations.state.join("catalog");
    let Some(store) =
        Some(folder).filter(|folder| folder.exists()).and_then(|folder| Store::open(folder).ok())
    else {
        return neighbours;
    };
    for config in setup.loaded.config.ready() {
        let Some(stored) = store.load(&config.name, &config.fingerprint(), "") else { continue };
        for tool in &stored.offering.tools {
            if let Some(name) = raw::get(tool, "name").and_then(|span| raw::string(span.of(tool))) {
                neighbours.add(&config.name, &config.prefix, &name);
            }
        }
    }
    neighbours
}

fn as_json(case: &Case, approved: bool) -> Value {
    let changes = diff::changes(case.before.as_ref(), &case.definition.members);
    json!({
        "server": case.server.as_str(),
        "kind": case.definition.kind.noun(),
        "name": case.definition.name,
        "reason": case.reason.word(),
        "held": case.holds && !approved,
        "approved": approved,
        "digest": case.definition.digest,
        "since": case.since,
        "definition": case.definition.members,
        "before": case.before,
        "changes": changes.iter().map(change_json).collect::<Vec<_>>(),
        "findings": case.findings.iter().map(trust::Finding::to_json).collect::<Vec<_>>(),
    })
}

fn change_json(change: &Change) -> Value {
    match change {
        Change::Text { member, pieces } => {
            let piece = |piece: &Piece| match piece {
                Piece::Same(text) => json!({ "same": text }),
                Piece::Gone(text) => json!({ "gone": text }),
                Piece::New(text) => json!({ "new": text }),
            };
            json!({ "place": format!("/{member}"), "pieces": pieces.iter().map(piece).collect::<Vec<_>>() })
        }
        Change::Value { place, before, after } => json!({ "place": place, "before": before, "after": after }),
    }
}
