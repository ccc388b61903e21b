//! `switchboard logs`: our own log, and what servers wrote to stderr.

mod line;
mod tail;

use std::path::{Path, PathBuf};

use crate::cli::Global;
use crate::cli::exit::{self, Exit};
use crate::cli::suggest::{did_you_mean, near};
use crate::cli::terminal::Paint;
use crate::config::{self, Environment};
use crate::names::ServerName;
use crate::supervisor::{Supervisor, SupervisorOptions};

use line::Source;
use tail::Tail;

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0, 5 no such server, 130 interrupted while following.")]
pub struct LogsArgs {
    /// What this server wrote to stderr, instead of Switchboard's own log
    #[arg(value_name = "SERVER")]
    server: Option<String>,
    /// Go on printing what comes, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// How many lines to begin with
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    lines: usize,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
}

/// Prints the end of a log, and what is added to it if that is wanted.
pub fn run(global: &Global, args: &LogsArgs) -> Exit {
    let environment = Environment::process();
    let locations = config::locate(global.config.as_deref(), &environment);
    let folder = locations.state.join("logs");
    let source = match &args.server {
        None => Source::Own,
        Some(name) => Source::Server(ServerName::new(name.as_str())),
    };
    let path = match &source {
        Source::Own => newest(&folder),
        Source::Server(name) => {
            let loaded = config::load(&locations, &environment);
            let path = log_of(&folder, name);
            // A server that has left the config may still have a log.
            if loaded.config.entry(name.as_str()).is_none() && !path.as_deref().is_some_and(Path::exists) {
                let known = loaded.config.servers.iter().map(|entry| entry.name().as_str());
                let near = did_you_mean(&near(name.as_str(), known));
                exit::print_err(&format!("error: there is no server `{name}` in the config{near}"));
                return exit::NOT_FOUND;
            }
            path
        }
    };
    let print = |line: &str| {
        let printed = if args.json { source.json(line) } else { source.text(line, Paint::stdout()) };
        exit::print_out(&printed);
    };
    let mut tail = Tail::new(path.clone());
    match tail.last(args.lines) {
        Ok(lines) if lines.is_empty() && !args.follow => say_empty(&source, path.as_deref(), &folder),
        Ok(lines) => lines.iter().for_each(|line| print(line)),
        Err(error) => {
            let path = path.unwrap_or(folder);
            exit::print_err(&format!("error: {} cannot be read: {error}", path.display()));
            return exit::FAILED;
        }
    }
    if !args.follow {
        return exit::OK;
    }
    let look = || match &source {
        Source::Own => newest(&folder),
        Source::Server(name) => log_of(&folder, name),
    };
    tail.follow(look, print)
}

fn say_empty(source: &Source, path: Option<&Path>, folder: &Path) {
    let path = path.unwrap_or(folder).display();
    exit::print_err(&match source {
        Source::Own => format!("nothing was logged yet below {path}; `switchboard serve` does it"),
        Source::Server(name) => format!("`{name}` has written nothing to stderr yet ({path})"),
    });
}

/// Where a server's stderr goes: only the supervisor knows.
fn log_of(folder: &Path, server: &ServerName) -> Option<PathBuf> {
    let options = SupervisorOptions { logs: Some(folder.to_owned()), ..SupervisorOptions::default() };
    Supervisor::new(options).log_path(server)
}

/// Our own log of the last day on which anything was logged: its name holds the date, so the last name is the newest.
fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let is_log = |name: &str| name.starts_with("switchboard.") && name.ends_with(".log");
    let logs = entries.map(|entry| entry.path());
    logs.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_log)).max()
}
