//! The suite's command line, and what it found.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::support::real;
use crate::workshop::source;

/// How long one start of the suite may take. A scenario has a limit of its own, half a minute.
const LONGEST_RUN: Duration = Duration::from_secs(400);

/// A revision that the suite has requirements for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revision {
    /// 2025-11-25, the last with a handshake.
    Legacy,
    /// 2026-07-28.
    Modern,
}

impl Revision {
    /// As the suite spells it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Legacy => "2025-11-25",
            Self::Modern => "2026-07-28",
        }
    }
}

/// What a check found. The suite repeats checks; of several outcomes the last in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    /// It tells something, or was not there at all.
    Info,
    /// As the specification wants it.
    Success,
    /// Could not be tried.
    Skipped,
    /// Against a SHOULD.
    Warning,
    /// Against a MUST.
    Failure,
}

/// One outcome, with the suite's words about it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) words: String,
}

/// Where a check stands: scenario, the id of its requirement, and its name, which tells apart checks of one id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) scenario: String,
    pub(crate) id: String,
    pub(crate) name: String,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} ({})", self.scenario, self.id, self.name)
    }
}

/// Everything that a run found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    outcomes: BTreeMap<Place, Outcome>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    id: String,
    name: String,
    status: Status,
    error_message: Option<String>,
    description: Option<String>,
}

impl Report {
    /// Adds the checks of a scenario.
    fn add(&mut self, scenario: &str, checks: Vec<Check>) {
        for check in checks {
            let place = Place { scenario: scenario.to_owned(), id: check.id, name: check.name };
            let words = check.error_message.or(check.description).unwrap_or_default();
            let outcome = Outcome { status: check.status, words };
            self.outcomes
                .entry(place)
                .and_modify(|before| {
                    if before.status < outcome.status {
                        *before = outcome.clone();
                    }
                })
                .or_insert(outcome);
        }
    }

    /// Takes in another report.
    pub(crate) fn extend(&mut self, other: Self) {
        self.outcomes.extend(other.outcomes);
    }

    /// Takes what another report found in a scenario for what this one found there.
    pub(crate) fn replace(&mut self, scenario: &str, other: Self) {
        self.outcomes.retain(|place, _| place.scenario != scenario);
        self.extend(other);
    }

    /// Whether all checks of this id in a scenario came out well, and there was one.
    pub(crate) fn is_well(&self, scenario: &str, id: &str) -> bool {
        let mut of_id =
            self.outcomes.iter().filter(|(place, _)| place.scenario == scenario && place.id == id);
        of_id.clone().next().is_some() && of_id.all(|(_, outcome)| outcome.status == Status::Success)
    }

    /// What was found in these scenarios.
    pub(crate) fn only(&self, scenarios: &[&str]) -> Self {
        let among = |place: &Place| scenarios.contains(&place.scenario.as_str());
        let outcomes = self.outcomes.iter().filter(|(place, _)| among(place));
        Self { outcomes: outcomes.map(|(place, outcome)| (place.clone(), outcome.clone())).collect() }
    }

    /// Every place that this or another report knows.
    pub(crate) fn places<'a>(&'a self, other: &'a Self) -> Vec<&'a Place> {
        let mut places: Vec<_> = self.outcomes.keys().chain(other.outcomes.keys()).collect();
        places.sort();
        places.dedup();
        places
    }

    /// What was found at a place; a check that was not there tells nothing.
    pub(crate) fn at(&self, place: &Place) -> Outcome {
        let absent = || Outcome { status: Status::Info, words: "(no such check)".to_owned() };
        self.outcomes.get(place).cloned().unwrap_or_else(absent)
    }

    /// The checks of these scenarios that are against the specification, as text.
    pub(crate) fn complaints(&self, scenarios: &[String]) -> Vec<String> {
        let bad = |outcome: &Outcome| outcome.status >= Status::Warning;
        self.outcomes
            .iter()
            .filter(|(place, outcome)| bad(outcome) && scenarios.contains(&place.scenario))
            .map(|(place, outcome)| format!("{place}: {:?}: {}", outcome.status, outcome.words))
            .collect()
    }
}

/// A side of the suite, named for what is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    Server,
    Client,
}

/// The scenarios that a revision requires of a side, as the suite lists them. It runs some more without counting them:
/// extensions, and what came later.
pub(crate) fn required(leg: Leg, revision: Revision) -> Vec<String> {
    let output = command().args(["list", "--requirements", revision.text()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let heading = match leg {
        Leg::Server => "Server scenarios",
        Leg::Client => "Client scenarios",
    };
    let section = text.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
    let names: Vec<_> =
        section.map_while(|line| line.trim().strip_prefix("- ")).map(ToOwned::to_owned).collect();
    assert!(names.len() > 10, "the suite lists {names:?}\n{text}");
    names
}

/// Runs every server scenario of a revision against an address.
pub(crate) fn judge_server(url: &str, revision: Revision, results: &Path) -> Report {
    let mut command = command();
    command.args(["server", "--url", url, "--requirements", revision.text(), "--output-dir"]).arg(results);
    run(&mut command, results);
    read(results, "server-")
}

/// Runs every client scenario of a revision with the command that plays the client.
pub(crate) fn judge_client(client: &Command, revision: Revision, results: &Path) -> Report {
    let mut command = client_command(client);
    command.args(["--requirements", revision.text(), "--output-dir"]).arg(results);
    run(&mut command, results);
    read(results, "")
}

/// Runs one client scenario.
pub(crate) fn judge_client_in(
    scenario: &str,
    client: &Command,
    revision: Revision,
    results: &Path,
) -> Report {
    let results = results.join(scenario);
    let mut command = client_command(client);
    command.args(["--scenario", scenario, "--spec-version", revision.text(), "--output-dir"]).arg(&results);
    run(&mut command, &results);
    read(&results, "")
}

/// The suite starts all clients at once, and some scenarios measure time. So each waits for one of two turns, and has
/// the time to wait.
fn client_command(client: &Command) -> Command {
    let turns = std::env::temp_dir().join("switchboard-conformance-turn");
    let mut line = format!("flock {}-$(( $$ % 2 ))", turns.display());
    for word in std::iter::once(client.get_program()).chain(client.get_args()) {
        line.push(' ');
        line.push_str(word.to_str().unwrap());
    }
    let mut command = command();
    command.args(["client", "--timeout", "300000", "--command", &line]);
    command.envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

fn command() -> Command {
    let mut command = Command::new(real::node());
    command.arg("--import").arg(source("older-node.mjs"));
    command.arg(real::npm_file("conformance", "@modelcontextprotocol/conformance/dist/index.js"));
    command
}

/// Runs the suite to its end. It ends with 1 when a scenario fails, which is for the comparison to judge.
fn run(command: &mut Command, results: &Path) {
    fs::create_dir_all(results).unwrap();
    let log = results.join("suite.log");
    let file = File::create(&log).unwrap();
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    let mut child = command.spawn().unwrap();
    let end = Instant::now() + LONGEST_RUN;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= end {
            child.kill().unwrap();
            panic!("{command:?} does not end\n{}", fs::read_to_string(&log).unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said = || fs::read_to_string(&log).unwrap();
    assert!(matches!(status.code(), Some(0 | 1)), "{command:?} ended with {status}\n{}", said());
}

/// Reads what a run left: one folder for each scenario, named for it and for the time.
fn read(results: &Path, prefix: &str) -> Report {
    let mut report = Report::default();
    for file in checks_below(results) {
        let folder = file.parent().unwrap().strip_prefix(results).unwrap().to_str().unwrap();
        // `-2026-11-22T14-19-27-083Z`
        let name = &folder[..folder.len() - 25];
        let checks = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        report.add(name.strip_prefix(prefix).unwrap(), checks);
    }
    let said = || fs::read_to_string(results.join("suite.log")).unwrap_or_default();
    assert!(!report.outcomes.is_empty(), "the suite left no results in {}\n{}", results.display(), said());
    report
}

/// The files of checks below a folder. Scenarios with a slash in their name are a folder deeper.
fn checks_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(checks_below(&path));
        } else if path.file_name().is_some_and(|name| name == "checks.json") {
            found.push(path);
        }
    }
    found
}
