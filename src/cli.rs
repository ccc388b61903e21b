//! The command line: parses arguments, calls one room, prints its answer.
//!
//! Results go to stdout, chatter to stderr. Exit codes are those of [`exit`].

pub mod add;
pub mod approve;
pub mod audit;
pub mod auth;
pub mod call;
mod changes;
pub mod check;
pub mod client;
pub mod completions;
pub mod config;
pub mod demo;
pub mod discover;
pub mod doctor;
mod edits;
pub mod exit;
pub mod explain;
pub mod import;
pub mod inside;
pub mod lists;
pub mod logs;
pub mod mock;
pub mod remove;
mod runtime;
pub mod serve;
#[cfg(unix)]
pub mod status;
pub mod suggest;
pub mod terminal;

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cli::terminal::Paint;
use crate::supervisor;

/// One MCP server in front of all of yours.
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, about, disable_help_subcommand = true)]
#[command(after_help = "Without a command: serves on stdin and stdout when stdin is not a terminal.\n\
    Exit codes: 0 ok, 1 failed, 2 usage, 3 partly unhealthy, 4 needs login, 5 not found, 6 timeout, 78 bad config, 130 interrupted.")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// The config file [default: $SWITCHBOARD_CONFIG, else ~/.config/switchboard/switchboard.{json,yaml,toml}]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to log: error, warn, info, debug, trace, or a filter [default: $SWITCHBOARD_LOG, else $RUST_LOG]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the configured servers as one, on stdin and stdout
    Serve(serve::ServeArgs),
    /// See Switchboard at work: two sample servers, a real client, a few seconds; nothing to set up
    Demo,
    /// Start every server and say how it fares
    Check(check::CheckArgs),
    /// Print the tools that your AI client sees
    Tools(lists::ListArgs),
    /// Print the prompts that your AI client sees
    Prompts(lists::ListArgs),
    /// Print the resources and resource templates that your AI client sees
    Resources(lists::ListArgs),
    /// Call one tool, as your AI client would
    Call(call::CallArgs),
    /// Show how the servers of running Switchboards are
    #[cfg(unix)]
    Status(status::StatusArgs),
    /// Look for servers that are not in the config: on this machine, in registries, in the configs of other programs
    Discover(discover::DiscoverArgs),
    /// Take the servers of other programs' configs into ours
    Import(import::ImportArgs),
    /// Explain a failure code, or why a tool is as it is: shown or hidden, its name, who may call it, what its calls go through
    Explain(explain::ExplainArgs),
    /// Add a server to the config, and look at it
    Add(add::AddArgs),
    /// Remove servers from the config
    Remove(remove::RemoveArgs),
    /// Look at the environment: programs, permissions, variables, state; --fix repairs what is safe
    Doctor(doctor::DoctorArgs),
    /// Print our own log, or what a server wrote to stderr
    Logs(logs::LogsArgs),
    /// Show definitions that changed or look dishonest, and release them
    Approve(approve::ApproveArgs),
    /// Log in to servers that want it: login, logout, status
    #[command(subcommand)]
    Auth(auth::AuthCommand),
    /// Read the audit log: verify, show
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Look at the config: validate, show, schema, path
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Run a scriptable MCP server, on stdin and stdout or at an address, for tests and demos
    Mock(mock::MockArgs),
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The hidden argument under which the supervisor starts us as its sidecar.
const REAP: &str = "__reap";

/// Runs the program with the arguments of the process and returns its exit code.
pub fn main() -> ExitCode {
    // Before anything else: the sidecar is to stay tiny.
    if std::env::args_os().nth(1).as_deref() == Some(OsStr::new(REAP)) {
        return supervisor::reap_main();
    }
    let cli = Cli::parse();
    let global = cli.global;
    match cli.command {
        Some(Command::Serve(args)) => serve::run(&global, &args),
        Some(Command::Demo) => demo::run().into(),
        Some(Command::Check(args)) => check::run(&global, args).into(),
        Some(Command::Tools(args)) => lists::run(&global, lists::What::Tools, args).into(),
        Some(Command::Prompts(args)) => lists::run(&global, lists::What::Prompts, args).into(),
        Some(Command::Resources(args)) => lists::run(&global, lists::What::Resources, args).into(),
        Some(Command::Call(args)) => call::run(&global, args).into(),
        #[cfg(unix)]
        Some(Command::Status(args)) => status::run(&global, &args).into(),
        Some(Command::Explain(args)) => explain::run(&global, args).into(),
        Some(Command::Discover(args)) => discover::run(&global, &args).into(),
        Some(Command::Import(args)) => import::run(&global, &args).into(),
        Some(Command::Add(args)) => add::run(global, args).into(),
        Some(Command::Remove(args)) => remove::run(&global, args).into(),
        Some(Command::Doctor(args)) => doctor::run(&global, &args).into(),
        Some(Command::Logs(args)) => logs::run(&global, &args).into(),
        Some(Command::Approve(args)) => approve::run(&global, args).into(),
        Some(Command::Auth(command)) => auth::run(&global, command),
        Some(Command::Audit(command)) => audit::run(&global, command).into(),
        Some(Command::Completions { shell }) => completions::run(shell).into(),
        Some(Command::Config(command)) => config::run(command, global.config),
        Some(Command::Mock(args)) => mock::run(&args),
        None if std::io::stdin().is_terminal() => {
            exit::print_out(&short_help());
            exit::OK.into()
        }
        None => serve::run(&global, &serve::ServeArgs::default()),
    }
}

/// What somebody sees who types the name of the program and nothing else.
fn short_help() -> String {
    let paint = Paint::stdout();
    let row = |command: &str, what: &str| format!("  {}{what}\n", paint.bold(&format!("{command:<44}")));
    format!(
        "Switchboard {}: one MCP server in front of all of yours.\n\n{}{}{}{}\n\
         Your AI client runs `switchboard serve`. Every command: switchboard --help",
        env!("CARGO_PKG_VERSION"),
        row("switchboard demo", "see it work; nothing to set up"),
        row("switchboard check", "start each server and say what is wrong"),
        row("switchboard tools", "what your AI client sees"),
        row("switchboard call files__read path=a.txt", "call one tool as it would"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_address_for_http_may_be_left_out_and_must_be_one() {
        let http = |arguments: &[&str]| {
            let arguments = ["switchboard", "serve"].iter().chain(arguments);
            match Cli::try_parse_from(arguments).ok()?.command {
                Some(Command::Serve(args)) => Some(args.http.map(|address| address.map(|a| a.to_string()))),
                _ => None,
            }
        };
        assert_eq!(http(&[]), Some(None));
        assert_eq!(http(&["--http"]), Some(Some(None)));
        assert_eq!(http(&["--http", "--strict"]), Some(Some(None)));
        assert_eq!(http(&["--http", "7710"]), Some(Some(Some("127.0.0.1:7710".to_owned()))));
        assert_eq!(http(&["--http", "nowhere"]), None);
    }

    #[test]
    fn the_short_help_shows_commands_that_exist() {
        let help = short_help();
        let examples = help.lines().filter_map(|line| line.strip_prefix("  switchboard "));
        let names: Vec<&str> = examples.filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, ["demo", "check", "tools", "call"]);
        let command = Cli::command();
        assert!(names.iter().all(|name| command.find_subcommand(name).is_some()));
    }
}
