//! `switchboard doctor`: looks at everything around Switchboard that can go wrong, starts no server, and repairs what is
//! safe to repair if it is told to.

mod config;
mod finding;
mod network;
mod processes;
mod programs;
mod repair;
mod state;

use serde_json::json;

use crate::cli::exit::{self, Exit};
use crate::cli::inside::policy_problems;
use crate::cli::terminal::{Paint, counted};
use crate::cli::{Global, runtime};
use crate::config::{self as configuration, Environment, Loaded, Locations};

use finding::{Area, Finding, Level};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Starts no server: that is `switchboard check`.\n\
    Exit codes: 0 nothing that needs you, 3 something does.")]
pub struct DoctorArgs {
    /// Only look at these [default: all]
    #[arg(value_name = "AREA", value_enum)]
    areas: Vec<Area>,
    /// Repair what is safe: permissions of state and logins, leftovers of killed processes, damaged stored catalogs
    #[arg(long)]
    fix: bool,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// What the examinations look at.
struct Patient {
    environment: Environment,
    locations: Locations,
    loaded: Loaded,
}

/// Examines, repairs if asked, and prints what was found.
pub fn run(global: &Global, args: &DoctorArgs) -> Exit {
    let environment = Environment::process();
    let locations = configuration::locate(global.config.as_deref(), &environment);
    let mut loaded = configuration::load(&locations, &environment);
    loaded.problems.extend(policy_problems(&loaded.config));
    let patient = Patient { environment, locations, loaded };
    let runtime = match runtime::start() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let mut findings = Vec::new();
    for area in Area::ALL.into_iter().filter(|area| args.areas.is_empty() || args.areas.contains(area)) {
        findings.extend(match area {
            Area::Config => config::examine(&patient),
            Area::Programs => {
                let examined = runtime.block_on(async {
                    tokio::select! {
                        findings = programs::examine(&patient) => Some(findings),
                        Ok(()) = tokio::signal::ctrl_c() => None,
                    }
                });
                let Some(findings) = examined else { return exit::INTERRUPTED };
                findings
            }
            Area::State => state::examine(&patient.locations.state),
            Area::Network => network::examine(&patient),
            Area::Processes => processes::examine(),
        });
    }
    if args.fix {
        findings.iter_mut().for_each(Finding::mend);
    }
    let open = findings.iter().filter(|finding| finding.needs_somebody()).count();
    if args.json {
        let findings: Vec<_> = findings.iter().map(Finding::to_json).collect();
        exit::print_json(&json!({ "schema": 1, "well": open == 0, "findings": findings }));
    } else {
        exit::print_out(&page(&findings, open, Paint::stdout()));
    }
    if open == 0 { exit::OK } else { exit::PARTLY }
}

fn page(findings: &[Finding], open: usize, paint: Paint) -> String {
    let mut lines = Vec::new();
    for area in Area::ALL {
        let mut word = area.word();
        for finding in findings.iter().filter(|finding| finding.area == area) {
            lines.extend(finding.lines(word, paint));
            word = "";
        }
    }
    let mendable = findings.iter().filter(|finding| finding.is_mendable()).count();
    let summary = match (open, mendable) {
        (0, _) => "nothing that needs you".to_owned(),
        (open, 0) => format!("{} to look at", counted(open, "thing")),
        (open, mendable) => {
            format!("{} to look at; `switchboard doctor --fix` repairs {mendable}", counted(open, "thing"))
        }
    };
    lines.push(paint.bold(&summary));
    lines.join("\n")
}

impl Finding {
    fn needs_somebody(&self) -> bool {
        matches!(self.level, Level::Warning | Level::Error) && !self.is_mended()
    }
}
