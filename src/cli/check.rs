//! `switchboard check`: starts every server, shakes hands, lists, looks at every schema, and says how each fares.

mod finding;
mod lock;
mod page;
mod schemas;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::backend::{Backend, State};
use crate::catalog::Part;
use crate::cli::exit::{self, Exit};
use crate::cli::inside::{Inside, Setup};
use crate::cli::terminal::{self, Paint};
use crate::cli::{Global, config};
use crate::config::{Problem, Severity};
use crate::failure::Code;
use crate::names::ServerName;
use crate::pipeline::Lane;
use crate::status::{self, Report};
use crate::trust::lock::LockedServer;
use crate::trust::{self, Neighbours};

use finding::{Finding, Suspicion, Verdict};

/// How many servers start at once, and what fetching their lists may take: together they bound the whole check.
const AT_ONCE: u32 = 4;
const LISTING: Duration = Duration::from_secs(60);

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all well, 1 no lock file, 3 some servers cannot be used or the lock file differs, 4 they only want a login, 5 no such server, \
                  78 bad config."
)]
pub struct CheckArgs {
    /// Only these servers
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Write what the servers show to a lock file [default: switchboard.lock beside the config]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, conflicts_with = "locked")]
    write_lock: Option<Option<PathBuf>>,
    /// Compare what the servers show with the lock file; exit 3 if anything differs
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    locked: Option<Option<PathBuf>>,
}

/// Checks servers and prints what was found.
pub fn run(global: &Global, args: CheckArgs) -> Exit {
    let mut setup = Setup::read(global);
    if let Some(exit) = setup.refuse_empty() {
        // A program that asked for JSON gets it, and finds there what is wrong.
        if args.json {
            let max_name = setup.loaded.config.expose.max_name;
            exit::print_json(&as_json(
                &[],
                &setup.loaded.problems,
                max_name,
                &lock::Outcome::default(),
                exit,
            ));
        }
        return exit;
    }
    if let Some(exit) = setup.refuse_unknown(&args.names) {
        return exit;
    }
    let plan = match lock::Plan::new(args.write_lock, args.locked, setup.locations.config.as_deref()) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let concerned = |problem: &&Problem| match &problem.server {
        Some(server) => args.names.is_empty() || args.names.iter().any(|name| server.as_str() == name),
        None => true,
    };
    let problems: Vec<Problem> = setup.loaded.problems.iter().filter(concerned).cloned().collect();
    if !args.json {
        print_problems(&problems);
    }
    let max_name = setup.loaded.config.expose.max_name;
    setup.keep_only(&args.names);

    let mut findings = Vec::new();
    let ran = setup.run(async |inside| {
        findings = look(&inside, &args.names).await;
        exit::OK
    });
    if ran != exit::OK {
        return ran;
    }
    judge_schemas(&mut findings);
    let locked = match plan.carry_out(&findings, args.names.is_empty()) {
        Ok(outcome) => outcome,
        Err(exit) => return exit,
    };

    let exit = match of_servers(&findings) {
        _ if problems.iter().any(is_config_error) => exit::BAD_CONFIG,
        exit::OK if !locked.is_well() => exit::PARTLY,
        exit => exit,
    };
    if args.json {
        exit::print_json(&as_json(&findings, &problems, max_name, &locked, exit));
    } else {
        exit::print_out(&page::render(&findings, max_name, Paint::stdout()));
        let page = locked.render(Paint::stdout());
        if !page.is_empty() {
            exit::print_out(&page);
        }
    }
    exit
}

/// Checks one server, for people: what `add` does after it has added it.
pub(super) fn run_one(global: &Global, name: String) -> Exit {
    run(global, CheckArgs { names: vec![name], json: false, write_lock: None, locked: None })
}

/// What the servers are worth together. Where a login mends everything, that is said by a code of its own.
fn of_servers(findings: &[Finding]) -> Exit {
    let mut failed = findings.iter().filter(|finding| finding.verdict() == Verdict::Failed).peekable();
    if failed.peek().is_none() {
        exit::OK
    } else if failed.all(Finding::needs_login) {
        exit::NEEDS_LOGIN
    } else {
        exit::PARTLY
    }
}

/// A variable that is not set here is a server that is not well, not a wrong config.
fn is_config_error(problem: &Problem) -> bool {
    problem.severity == Severity::Error && problem.code != Code::ConfigUnset
}

fn print_problems(problems: &[Problem]) {
    let colour = Paint::stderr().is_on();
    for problem in problems.iter().filter(|problem| is_config_error(problem)) {
        exit::print_err(&format!("{}\n", problem.render(colour)));
    }
    let warnings = problems.iter().filter(|problem| problem.severity == Severity::Warning).count();
    if warnings > 0 {
        let warnings = terminal::counted(warnings, "warning");
        exit::print_err(&format!("{warnings} about the config: switchboard config validate\n"));
    }
}

// === the servers ===

/// Starts the servers, whatever is known of them, and waits for each to show its lists or to fail.
async fn look(inside: &Inside, names: &[String]) -> Vec<Finding> {
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let registry = &inside.registry;
    let now = registry.servers();
    let lanes = now.lanes().filter(|lane| wanted(lane.config().name.as_str()));
    let servers: Vec<&Arc<Backend>> = lanes.map(Lane::backend).collect();
    let instances = |backend: &Backend| now.lane(backend.name()).into_iter().flat_map(Lane::backends);
    servers.iter().flat_map(|backend| instances(backend)).for_each(|instance| instance.start());
    let mut watch = StopWatch::default();
    let slowest = servers.iter().map(|backend| backend.config().timeouts.start).max().unwrap_or_default();
    let count: usize = servers.iter().map(|backend| instances(backend).count()).sum();
    let rounds = (count as u32).div_ceil(AT_ONCE);
    let deadline = Instant::now() + slowest * rounds + LISTING;
    let is_over = |one: &Backend| matches!(one.state(), State::Ready { .. }) || one.has_given_up();
    let done = |backend: &Backend| {
        (registry.is_live(backend.name()) || registry.has_given_up(backend.name()))
            && instances(backend).skip(1).all(|instance| is_over(instance))
    };
    tokio::join!(inside.wait(&servers, deadline, done), watch.follow(inside, &servers, done, deadline));
    let neighbours = inside.registry.neighbours();
    status::reports(&inside.registry)
        .into_iter()
        .filter(|report| wanted(&report.server))
        .map(|report| finding(inside, report, &watch, &neighbours))
        .collect()
}

fn finding(inside: &Inside, report: Report, watch: &StopWatch, neighbours: &Neighbours) -> Finding {
    let registry = &inside.registry;
    let name = ServerName::new(report.server.as_str());
    let catalog = registry.catalog();
    let tools: Vec<_> = catalog.tools().iter().filter(|target| target.server == name).collect();
    let declares_tools = registry
        .offering(&name)
        .is_some_and(|offering| offering.capabilities().tools && offering.tools.is_empty());
    Finding {
        took: watch.took.get(&name).copied(),
        live: registry.is_live(&name),
        partial: registry.is_live(&name) && !registry.has_shown_all(&name),
        bytes: tools.iter().map(|target| target.definition.len()).sum(),
        names: tools.iter().map(|target| target.exposed.to_string()).collect(),
        definitions: tools.iter().map(|target| target.definition.clone()).collect(),
        notes: finding::notes_of(&catalog, &report.server),
        suspicions: suspicions(inside, &name, neighbours),
        locked: locked(inside, &name),
        faults: Vec::new(),
        noise: registry.backend(&name).map(|backend| backend.noise()).unwrap_or_default(),
        empty: declares_tools,
        report,
    }
}

/// What looks dishonest at a server, whether its config asks or not, but for what somebody has approved.
fn suspicions(inside: &Inside, name: &ServerName, neighbours: &Neighbours) -> Vec<Suspicion> {
    let registry = &inside.registry;
    let Some(offering) = registry.offering(name) else { return Vec::new() };
    let mut suspicions = Vec::new();
    for kind in Part::ALL {
        for definition in offering.part(kind).filter_map(|item| trust::Definition::read(kind, item)) {
            if registry.is_approved(name, &definition) {
                continue;
            }
            let findings = trust::examine(name, &definition, neighbours).into_iter();
            suspicions.extend(findings.map(|finding| Suspicion {
                kind,
                name: definition.name.clone(),
                finding,
            }));
        }
    }
    suspicions.sort_by_key(|one| std::cmp::Reverse(one.finding.severity));
    suspicions
}

fn locked(inside: &Inside, name: &ServerName) -> Option<LockedServer> {
    let registry = &inside.registry;
    let lane = registry.lane(name)?;
    let rules = &lane.config().tools;
    let whole = registry.is_live(name) && registry.has_shown_all(name);
    let offering = registry.offering(name).filter(|_| whole)?;
    Some(LockedServer::of(&offering, |tool| rules.allows(tool)))
}

/// After everything has ended: nobody waits for it.
fn judge_schemas(findings: &mut [Finding]) {
    let tools = findings.iter().flat_map(Finding::tools).collect();
    for fault in schemas::faults(tools) {
        if let Some(finding) = findings.iter_mut().find(|finding| finding.names.contains(&fault.tool)) {
            finding.faults.push(fault);
        }
    }
}

/// How long each server took: from the moment its process was started.
#[derive(Default)]
struct StopWatch {
    began: HashMap<ServerName, Instant>,
    took: HashMap<ServerName, Duration>,
}

impl StopWatch {
    async fn follow(
        &mut self,
        inside: &Inside,
        servers: &[&Arc<Backend>],
        done: impl Fn(&Backend) -> bool,
        deadline: Instant,
    ) {
        let ordered = Instant::now();
        let mut changes = inside.registry.changes();
        loop {
            for backend in servers {
                let name = backend.name();
                if let State::Starting { since } = backend.state() {
                    self.began.entry(name.clone()).or_insert(since);
                }
                if done(backend) && !self.took.contains_key(name) {
                    let began = self.began.get(name).copied().unwrap_or(ordered);
                    self.took.insert(name.clone(), began.elapsed());
                }
            }
            if self.took.len() == servers.len() {
                return;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(deadline) => return,
            }
        }
    }
}

// === for programs ===

/// Everything for programs: the shape is described in `docs/cli.md` and grows, but does not change.
fn as_json(
    findings: &[Finding],
    problems: &[Problem],
    max_name: usize,
    locked: &lock::Outcome,
    exit: Exit,
) -> serde_json::Value {
    let usable: Vec<&Finding> = findings.iter().filter(|finding| finding.is_usable()).collect();
    let longest = usable.iter().flat_map(|finding| &finding.names).max_by_key(|name| name.len());
    json!({
        "schema": 1,
        "well": exit == exit::OK,
        "exit": exit.0,
        "servers": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        "usable": usable.len(),
        "of": findings.iter().filter(|finding| finding.verdict() != Verdict::Off).count(),
        "tools": usable.iter().map(|finding| finding.names.len()).sum::<usize>(),
        "tokens": usable.iter().map(|finding| finding.tokens()).sum::<usize>(),
        "longest_name": { "name": longest, "length": longest.map_or(0, String::len), "max": max_name },
        "problems": problems.iter().map(config::as_json).collect::<Vec<_>>(),
        "lock": locked.to_json(),
    })
}
