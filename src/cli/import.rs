//! `switchboard import`: takes the servers of other programs' configs into ours.
//!
//! The programs' files are only read, and nothing is started: what comes in is what [`discovery`](crate::discovery) proposes of
//! them, in our own words.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::discover::search;
use crate::cli::discover::take::{Taken, write};
use crate::cli::exit::{self, Exit};
use crate::cli::suggest::{did_you_mean, near};
use crate::cli::terminal::{Paint, counted, one_line};
use crate::cli::{Global, serve};
use crate::config::{self, CLIENT_NAMES, Entry, Environment, Loaded, Locations, Syntax};
use crate::discovery::{Failed, Finder, Finding, Findings, Wishes};

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 done, 1 a file cannot be read or the config cannot be changed, 2 usage, 5 no such program, file or server."
)]
pub struct ImportArgs {
    /// Programs, by their names (cursor, claude-desktop, …), or config files [default: all programs that are known]
    #[arg(value_name = "PROGRAM|FILE")]
    from: Vec<String>,
    /// Only these servers
    #[arg(long = "only", value_name = "NAME")]
    only: Vec<String>,
    /// Show what would be taken, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print everything as JSON; secrets are hidden
    #[arg(long)]
    json: bool,
}

/// What becomes of the servers that were found.
#[derive(Default)]
struct Sorted<'a> {
    new: Vec<&'a Finding>,
    /// Their names in the config, where they are already.
    known: Vec<String>,
    /// They would make the config wrong; each with the reason.
    unusable: Vec<(&'a Finding, String)>,
}

/// Takes what is new, all or nothing.
pub fn run(global: &Global, args: &ImportArgs) -> Exit {
    let environment = Environment::process();
    let locations = config::locate(global.config.as_deref(), &environment);
    let _logs = serve::quiet_logs(global, &environment);
    if let Some(exit) = refuse_unknown(&args.from) {
        return exit;
    }
    let loaded = config::load(&locations, &environment);
    let finder = Finder::new(environment.clone(), &loaded.config.servers);
    let findings = match search(&finder, &wishes(&args.from)) {
        Ok(findings) => findings,
        Err(exit) => return exit,
    };
    if let Some(exit) = refuse_absent(&args.only, &findings) {
        return exit;
    }
    let sorted = sort(&findings, &args.only, &locations, &loaded);
    let taken = match args.dry_run {
        true => Ok(Vec::new()),
        false => write(&sorted.new, &locations),
    };
    let taken = match taken {
        Ok(taken) => taken,
        Err(exit) => return exit,
    };
    if args.json {
        exit::print_json(&as_json(&sorted, &taken, &findings.failed));
    } else {
        exit::print_out(&page(&sorted, &taken, &findings, args.dry_run));
    }
    let names_something = !args.from.is_empty();
    match () {
        () if names_something && !findings.failed.is_empty() => exit::FAILED,
        () if names_something && findings.servers.is_empty() => exit::NOT_FOUND,
        () => exit::OK,
    }
}

/// Refuses what is neither a program nor a file.
fn refuse_unknown(from: &[String]) -> Option<Exit> {
    let is_known =
        |name: &&String| CLIENT_NAMES.contains(&name.as_str()) || Path::new(name.as_str()).exists();
    let unknown = from.iter().find(|name| !is_known(name))?;
    let near = did_you_mean(&near(unknown, CLIENT_NAMES));
    exit::print_err(&format!("error: `{unknown}` is no program that is known here, and no file{near}"));
    Some(exit::NOT_FOUND)
}

/// Refuses names that no server has.
fn refuse_absent(only: &[String], findings: &Findings) -> Option<Exit> {
    let names = || findings.servers.iter().map(|finding| finding.name.as_str());
    let absent = only.iter().find(|wanted| names().all(|name| name != **wanted))?;
    let near = did_you_mean(&near(absent, names()));
    exit::print_err(&format!("error: no server `{absent}` was found{near}"));
    Some(exit::NOT_FOUND)
}

fn wishes(from: &[String]) -> Wishes {
    let all = || CLIENT_NAMES.map(str::to_owned).to_vec();
    let named = if from.is_empty() { all() } else { from.to_vec() };
    let (clients, paths): (Vec<String>, Vec<String>) =
        named.into_iter().partition(|name| CLIENT_NAMES.contains(&name.as_str()));
    let config_paths = paths.into_iter().map(Into::into).collect();
    Wishes { files: true, clients, config_paths, ..Wishes::nothing() }
}

/// A server that waits for a variable is taken: the program that has it may set it where it starts us. One whose entry is wrong
/// is not: a config with an error is not put in force by a Switchboard that runs.
fn sort<'a>(findings: &'a Findings, only: &[String], locations: &Locations, loaded: &Loaded) -> Sorted<'a> {
    let mut sorted = Sorted::default();
    // Of those that are switched off or wait nobody has worked out how they are reached: what stands there is compared.
    let unready = loaded.config.servers.iter().filter(|entry| !matches!(entry, Entry::Ready(_)));
    let unready: Vec<(&str, Value)> = unready
        .filter_map(|entry| Some((entry.name().as_str(), loaded.recipe.file_entry(entry.name().as_str())?)))
        .collect();
    let known_as = |finding: &Finding| {
        let known = finding.known_as.clone();
        let alike = unready.iter().find(|(_, entry)| is_reached_alike(entry, &finding.entry));
        known.or_else(|| alike.map(|(name, _)| (*name).to_owned()))
    };
    let is_wanted = |finding: &&Finding| only.is_empty() || only.contains(&finding.name);
    for finding in findings.servers.iter().filter(is_wanted) {
        if let Some(name) = known_as(finding) {
            sorted.known.push(name);
        } else if let Some(why) = what_is_wrong(finding, locations, loaded.recipe.environment()) {
            sorted.unusable.push((finding, why));
        } else {
            sorted.new.push(finding);
        }
    }
    sorted
}

/// Whether two entries say the same of how their servers are reached.
fn is_reached_alike(one: &Value, other: &Value) -> bool {
    ["command", "args", "url"].iter().all(|key| one.get(key) == other.get(key))
}

/// What an entry would be wrong for in our config.
fn what_is_wrong(finding: &Finding, locations: &Locations, environment: &Environment) -> Option<String> {
    let text = json!({ "servers": { &finding.name: finding.entry } }).to_string();
    let loaded = config::load_text(&text, Syntax::Json, &locations.config_or_new(), environment);
    match loaded.config.servers.first() {
        Some(Entry::Broken { problem, .. }) => Some(problem.message.clone()),
        Some(_) => None,
        None => Some("it is no entry".to_owned()),
    }
}

fn page(sorted: &Sorted<'_>, taken: &[Taken], findings: &Findings, dry_run: bool) -> String {
    let paint = Paint::stdout();
    let mut lines = Vec::new();
    for taken in taken {
        lines.push(format!("{} {}: {}", paint.green("added:"), one_line(&taken.name), taken.entry));
    }
    if dry_run {
        for finding in &sorted.new {
            let (name, entry) = (one_line(&finding.name), finding.shown_entry());
            lines.push(format!("{} {name}: {entry}  ({})", paint.bold("would be added:"), finding.source));
            lines.extend(finding.problem.as_ref().map(|problem| format!("  {}", one_line(problem))));
        }
    }
    for known in &sorted.known {
        lines.push(format!("in the config already: {}", one_line(known)));
    }
    for (finding, why) in &sorted.unusable {
        lines.push(format!("{} {}: {}", paint.yellow("left out:"), one_line(&finding.name), one_line(why)));
    }
    for Failed { place, failure, .. } in &findings.failed {
        lines.push(format!(
            "{} {}: {}",
            paint.yellow("not usable:"),
            one_line(place),
            one_line(&failure.cause)
        ));
    }
    lines.push(match (taken.first(), sorted.new.len()) {
        (Some(first), count) => {
            format!(
                "{} in {} now; to see how they fare: switchboard check",
                counted(count, "new server"),
                first.file
            )
        }
        (None, 0) => "nothing new was found".to_owned(),
        (None, count) => format!("{}; without --dry-run they are taken", counted(count, "new server")),
    });
    lines.join("\n")
}

fn as_json(sorted: &Sorted<'_>, taken: &[Taken], failed: &[Failed]) -> serde_json::Value {
    let unusable = |(finding, why): &(&Finding, String)| json!({ "name": finding.name, "why": why });
    json!({
        "schema": 1,
        "new": sorted.new.iter().map(|finding| finding.to_json()).collect::<Vec<_>>(),
        "added": taken.iter().map(|taken| &taken.name).collect::<Vec<_>>(),
        "known": sorted.known,
        "left_out": sorted.unusable.iter().map(unusable).collect::<Vec<_>>(),
        "failed": failed.iter().map(Failed::to_json).collect::<Vec<_>>(),
    })
}
