//! `switchboard logs`: our own log, and what servers wrote to stderr.

mod line;

use std::path::Path;
use std::time::Duration;

use crate::cli::exit::{self, Exit};
use crate::cli::suggest::{did_you_mean, near};
use crate::cli::terminal::Paint;
use crate::cli::{Global, runtime};
use crate::config::{self, Environment};
use crate::names::ServerName;
use crate::supervisor::log_path;
use crate::telemetry::tail::{Place, Tail};

use line::Source;

/// How often to look for more.
const LOOK: Duration = Duration::from_millis(200);

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
    let place = match &source {
        Source::Own => Place::Days(folder.clone()),
        Source::Server(name) => {
            let loaded = config::load(&locations, &environment);
            let path = log_path(&folder, name);
            // A server that has left the config may still have a log.
            if loaded.config.entry(name.as_str()).is_none() && !path.exists() {
                let known = loaded.config.servers.iter().map(|entry| entry.name().as_str());
                let near = did_you_mean(&near(name.as_str(), known));
                exit::print_err(&format!("error: there is no server `{name}` in the config{near}"));
                return exit::NOT_FOUND;
            }
            Place::File(path)
        }
    };
    let print = |line: &str| {
        let printed = if args.json { source.json(line) } else { source.text(line, Paint::stdout()) };
        exit::print_out(&printed);
    };
    let path = || place.file().unwrap_or_else(|| folder.clone());
    let mut tail = Tail::new(place.clone());
    match tail.last(args.lines) {
        Ok(last) if last.lines.is_empty() && !args.follow => say_empty(&source, &path()),
        Ok(last) => last.lines.iter().for_each(|line| print(line)),
        Err(error) => {
            exit::print_err(&format!("error: {} cannot be read: {error}", path().display()));
            return exit::FAILED;
        }
    }
    match args.follow {
        true => follow(tail, print),
        false => exit::OK,
    }
}

/// Prints what comes until somebody presses Ctrl-C.
fn follow(mut tail: Tail, print: impl Fn(&str)) -> Exit {
    let runtime = match runtime::start() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    runtime.block_on(async {
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            let lines = tail.more().unwrap_or_default();
            lines.iter().for_each(|line| print(line));
            tokio::select! {
                _ = &mut interrupted => return exit::INTERRUPTED,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    })
}

fn say_empty(source: &Source, path: &Path) {
    let path = path.display();
    exit::print_err(&match source {
        Source::Own => format!("nothing was logged yet below {path}; `switchboard serve` does it"),
        Source::Server(name) => format!("`{name}` has written nothing to stderr yet ({path})"),
    });
}
