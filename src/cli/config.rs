//! `switchboard config …`: what is wrong with the config, what it means, and where it is.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::inside::policy_problems;
use crate::config::{Environment, Loaded, Locations, Problem, Settings, Severity, json_schema, load, locate};

/// The config has errors.
const BAD_CONFIG: u8 = 78;
/// What was asked for is not there.
const NOT_FOUND: u8 = 5;

/// What to do with the config.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum ConfigCommand {
    /// Report everything that is wrong with the config
    Validate {
        /// Print the problems as a JSON array on stdout
        #[arg(long)]
        json: bool,
    },
    /// Print every setting and where it comes from; secrets are hidden
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Only this server
        server: Option<String>,
    },
    /// Print the JSON Schema of the config file, for editors
    Schema,
    /// Print which config file is used, and why
    Path {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What a command has to say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    stdout: String,
    stderr: String,
    code: u8,
}

/// Runs a command on the config that `flag` names, or on the one that is found without it.
pub fn run(command: ConfigCommand, flag: Option<PathBuf>) -> ExitCode {
    let environment = Environment::process();
    let stderr = std::io::stderr();
    let colour = stderr.is_terminal() && environment.get("NO_COLOR").is_none();
    let answer = answer(&command, flag, &environment, colour);
    // Who closes the pipe has read enough.
    let _ = stderr.lock().write_all(answer.stderr.as_bytes());
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(answer.stdout.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::from(answer.code),
    }
}

fn answer(command: &ConfigCommand, flag: Option<PathBuf>, environment: &Environment, colour: bool) -> Answer {
    let locations = locate(flag.as_deref(), environment);
    match command {
        ConfigCommand::Validate { json } => {
            let mut loaded = load(&locations, environment);
            loaded.problems.extend(policy_problems(&loaded.config));
            validate(&loaded, *json, colour)
        }
        ConfigCommand::Show { json, server } => {
            show(&load(&locations, environment), *json, server.as_deref())
        }
        ConfigCommand::Schema => Answer { stdout: pretty(&json_schema()), ..Answer::default() },
        ConfigCommand::Path { json } => path(&locations, *json),
    }
}

fn validate(loaded: &Loaded, json: bool, colour: bool) -> Answer {
    let code = if loaded.has_errors() { BAD_CONFIG } else { 0 };
    if json {
        let problems = loaded.problems.iter().map(as_json).collect();
        return Answer { stdout: pretty(&problems), code, ..Answer::default() };
    }
    let mut stderr = String::new();
    for problem in &loaded.problems {
        stderr.push_str(&problem.render(colour));
        stderr.push_str("\n\n");
    }
    let count = |severity| loaded.problems.iter().filter(|problem| problem.severity == severity).count();
    let summary = format!(
        "{} and {}; {} of {} can be started\n",
        counted(count(Severity::Error), "error"),
        counted(count(Severity::Warning), "warning"),
        loaded.config.ready().count(),
        counted(loaded.config.servers.len(), "server"),
    );
    stderr.push_str(&summary);
    Answer { stderr, code, ..Answer::default() }
}

fn show(loaded: &Loaded, json: bool, server: Option<&str>) -> Answer {
    let mut stderr = String::new();
    let errors = loaded.problems.iter().filter(|problem| problem.severity == Severity::Error);
    for problem in errors {
        stderr.push_str(&format!("{problem}\n"));
    }
    let Some(settings) = loaded.settings.of(server) else {
        let name = server.unwrap_or_default();
        stderr.push_str(&format!("there is no server `{name}` in the config\n"));
        return Answer { stderr, code: NOT_FOUND, ..Answer::default() };
    };
    let stdout = if json { pretty(&Settings::to_json(settings)) } else { Settings::render(settings) };
    let code = if settings.is_empty() { BAD_CONFIG } else { 0 };
    Answer { stdout, stderr, code }
}

fn path(locations: &Locations, json: bool) -> Answer {
    let code = if locations.config.is_some() { 0 } else { NOT_FOUND };
    if json {
        let answer = json!({
            "config": locations.config,
            "reason": locations.config_reason.to_string(),
            "ignored": locations.ignored,
            "state": locations.state,
        });
        return Answer { stdout: pretty(&answer), code, ..Answer::default() };
    }
    let mut stderr = format!("{}\n", locations.config_reason);
    for ignored in &locations.ignored {
        stderr.push_str(&format!("not used: {}\n", ignored.display()));
    }
    // The path stands alone on stdout, for `$(switchboard config path)`.
    let stdout = locations.config.as_ref().map(|path| format!("{}\n", path.display())).unwrap_or_default();
    Answer { stdout, stderr, code }
}

/// A problem for programs.
pub(super) fn as_json(problem: &Problem) -> serde_json::Value {
    json!({
        "severity": problem.severity.to_string(),
        "code": problem.code.id(),
        "message": problem.message,
        "server": problem.server.as_ref().map(|server| server.as_str()),
        "file": problem.place.as_ref().map(|place| &place.file),
        "line": problem.place.as_ref().map(|place| place.line),
        "column": problem.place.as_ref().map(|place| place.column),
        "suggestion": problem.suggestion,
    })
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        _folder: tempfile::TempDir,
        path: PathBuf,
    }

    fn case(text: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switchboard.yaml");
        std::fs::write(&path, text).unwrap();
        Case { _folder: folder, path }
    }

    impl Case {
        fn run(&self, command: ConfigCommand) -> Answer {
            let environment: Environment =
                [("HOME", "/home/me"), ("SWITCHBOARD_DEFAULTS__TIMEOUTS__CALL", "90s")].into_iter().collect();
            let mut answer = answer(&command, Some(self.path.clone()), &environment, false);
            let folder = self.path.parent().unwrap().to_str().unwrap();
            answer.stdout = answer.stdout.replace(folder, "/f");
            answer.stderr = answer.stderr.replace(folder, "/f");
            answer
        }
    }

    const GOOD: &str = "servers:\n  a:\n    command: x\n    args: [\"--key=${KEY:-hunter2}\"]\n    env: { TOKEN: hunter3 }\n    timeouts: { start: 5s }\n";

    #[test]
    fn validate_says_that_all_is_well() {
        let answer = case(GOOD).run(ConfigCommand::Validate { json: false });
        assert_eq!(answer.stderr, "0 errors and 0 warnings; 1 of 1 server can be started\n");
        assert_eq!((answer.stdout.as_str(), answer.code), ("", 0));
    }

    #[test]
    fn validate_exits_78_with_errors_and_0_with_warnings() {
        let warned = case("servers: { a: { command: x, replicas: 2 } }");
        assert_eq!(warned.run(ConfigCommand::Validate { json: false }).code, 0);
        let wrong = case("servers: { a: { comand: x } }");
        let answer = wrong.run(ConfigCommand::Validate { json: false });
        assert_eq!(answer.code, 78);
        assert!(answer.stderr.contains("did you mean `command`?"), "{}", answer.stderr);
        let answer = wrong.run(ConfigCommand::Validate { json: true });
        let problems: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
        assert_eq!(problems[0]["code"], "SB-CFG-002");
        assert_eq!((&problems[0]["line"], &problems[0]["column"]), (&json!(1), &json!(17)));
        assert_eq!(problems[0]["server"], "a");
        assert_eq!(answer.code, 78);
    }

    #[test]
    fn show_tells_origins_and_no_secrets() {
        let answer = case(GOOD).run(ConfigCommand::Show { json: false, server: Some("a".to_owned()) });
        insta::assert_snapshot!(answer.stdout, @r#"
command: ["x"]                                   # /f/switchboard.yaml:3
args: ["--key=${KEY:-***}"]                      # /f/switchboard.yaml:4
env:
  TOKEN: "***"                                   # /f/switchboard.yaml:5
timeouts:
  start: "5s"                                    # /f/switchboard.yaml:6
  call: "90s"                                    # variable SWITCHBOARD_DEFAULTS__TIMEOUTS__CALL
  total: "30m"                                   # built in
  question: "10m"                                # built in
  idle_stop: "15m"                               # built in
inherit_env: []                                  # built in
start: "lazy"                                    # built in
protocol: "auto"                                 # built in
share: "all"                                     # built in
questions: "serialize"                           # built in
limits:
  message: "16MiB"                               # built in
tools:
  include: ["*"]                                 # built in
  exclude: []                                    # built in
"#);
        let all = case(GOOD).run(ConfigCommand::Show { json: true, server: None });
        let json: serde_json::Value = serde_json::from_str(&all.stdout).unwrap();
        assert_eq!(json["servers"]["a"]["env"]["TOKEN"]["value"], "***");
        assert_eq!(
            json["servers"]["a"]["timeouts"]["call"]["origin"],
            "variable SWITCHBOARD_DEFAULTS__TIMEOUTS__CALL"
        );
        assert!(!all.stdout.contains("hunter"), "{}", all.stdout);
    }

    #[test]
    fn show_of_an_unknown_server_or_a_broken_file_fails() {
        assert_eq!(case(GOOD).run(ConfigCommand::Show { json: false, server: Some("b".to_owned()) }).code, 5);
        assert_eq!(case("a: [").run(ConfigCommand::Show { json: false, server: None }).code, 78);
    }

    #[test]
    fn path_prints_the_path_alone() {
        let answer = case(GOOD).run(ConfigCommand::Path { json: false });
        assert_eq!(answer.stdout, "/f/switchboard.yaml\n");
        assert_eq!(answer.stderr, "named by --config\n");
        let empty: Environment = [("HOME", "/nowhere")].into_iter().collect();
        let none = super::answer(&ConfigCommand::Path { json: true }, None, &empty, false);
        assert_eq!(none.code, 5);
        let json: serde_json::Value = serde_json::from_str(&none.stdout).unwrap();
        assert_eq!(json["config"], serde_json::Value::Null);
    }
}
