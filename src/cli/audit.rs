//! `switchboard audit …`: reads the audit log, and looks whether it is whole.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::audit::{Break, Folder, LogFile, Verdict, verify};
use crate::cli::Global;
use crate::cli::exit::{self, Exit};
use crate::cli::inside::Setup;
use crate::cli::terminal::{Paint, counted, one_line};
use crate::config::{Glob, parse_duration};
use crate::wire::time::rfc3339;

/// What to do with the audit log.
#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// Look whether anything was changed or taken out
    Verify(VerifyArgs),
    /// Print what the log says, the oldest first
    Show(ShowArgs),
}

/// Arguments of `audit verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 whole, 1 not whole or unreadable, 5 there is no log.")]
pub struct VerifyArgs {
    /// The files, the oldest first [default: those in the state folder]
    files: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `audit show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 ok, 1 unreadable, 5 there is no log.")]
pub struct ShowArgs {
    /// Only calls of the last 90s, 15m, 2h …
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Duration>,
    /// Only this client
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Only this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Only what has such a name; `*` stands for anything
    #[arg(long, value_name = "PATTERN")]
    name: Option<String>,
    /// Only what was refused or did not go well
    #[arg(long)]
    failed: bool,
    /// Only the last so many of them
    #[arg(long, short = 'n', value_name = "COUNT")]
    last: Option<usize>,
    /// Print the lines of the log as they are
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("`{text}` is no time; write `90s`, `15m` or `2h`"))
}

/// Runs a command about the audit log.
pub fn run(global: &Global, command: AuditCommand) -> Exit {
    let folder = Folder::new(Setup::read(global).locations.state.join("audit"));
    let named = match &command {
        AuditCommand::Verify(args) => args.files.as_slice(),
        AuditCommand::Show(_) => &[],
    };
    let files = match named {
        [] => folder.files(),
        named => Ok(named.iter().map(|path| LogFile { first: None, path: path.clone() }).collect()),
    };
    let files = match files {
        Ok(files) if files.is_empty() => {
            let place = folder.path().display();
            exit::print_err(&format!(
                "there is no audit log in {place}; the config asks for one with `telemetry: {{ audit: true }}`"
            ));
            return exit::NOT_FOUND;
        }
        Ok(files) => files,
        Err(error) => return unreadable(&folder, &error),
    };
    match command {
        AuditCommand::Verify(args) => match verify(&files) {
            Ok(verdict) => tell(&verdict, args.json),
            Err(error) => unreadable(&folder, &error),
        },
        AuditCommand::Show(args) => show(&files, &args).unwrap_or_else(|error| unreadable(&folder, &error)),
    }
}

fn unreadable(folder: &Folder, error: &std::io::Error) -> Exit {
    exit::print_err(&format!("error: the audit log ({}) cannot be read: {error}", folder.path().display()));
    exit::FAILED
}

// === verify ===

fn tell(verdict: &Verdict, as_json: bool) -> Exit {
    let is_whole = verdict.is_whole();
    if as_json {
        let breaks: Vec<Value> = verdict.breaks.iter().map(to_json).collect();
        let value = json!({ "schema": 1, "whole": is_whole, "first": verdict.first, "last": verdict.last, "breaks": breaks });
        exit::print_out(&format!("{value:#}"));
    } else {
        let paint = Paint::stdout();
        for found in &verdict.breaks {
            exit::print_out(&describe(found));
        }
        let lines = match (verdict.first, verdict.last) {
            (Some(first), Some(last)) => format!("lines {first} to {last}"),
            _ => "no line".to_owned(),
        };
        let verdict = if is_whole { paint.green("whole") } else { paint.red("not whole") };
        exit::print_out(&format!("The audit log is {verdict}: {lines}"));
    }
    if is_whole { exit::OK } else { exit::FAILED }
}

fn describe(found: &Break) -> String {
    match found {
        Break::Changed { path, line } => format!("{}:{line}: the line was changed", path.display()),
        Break::Missing { path, line, after } => {
            format!(
                "{}:{line}: the line does not follow line {after} of the chain: something was taken out or changed",
                path.display()
            )
        }
        Break::Torn { path, line } => {
            format!(
                "{}:{line}: the line was cut off when it was written (a full disk, or a sudden end); the chain goes on without it",
                path.display()
            )
        }
    }
}

fn to_json(found: &Break) -> Value {
    match found {
        Break::Changed { path, line } => json!({ "kind": "changed", "file": path, "line": line }),
        Break::Missing { path, line, after } => {
            json!({ "kind": "missing", "file": path, "line": line, "after": after })
        }
        Break::Torn { path, line } => json!({ "kind": "torn", "file": path, "line": line }),
    }
}

// === show ===

fn show(files: &[LogFile], args: &ShowArgs) -> std::io::Result<Exit> {
    let since = args.since.and_then(|since| SystemTime::now().checked_sub(since)).map(rfc3339);
    let name = args.name.clone().map(Glob::new);
    let is_wanted = |entry: &Value| {
        let is = |key: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| entry[key].as_str() == Some(wanted))
        };
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        since.as_ref().is_none_or(|since| text("time") >= since.as_str())
            && is("client", &args.client)
            && is("server", &args.server)
            && name.as_ref().is_none_or(|name| name.matches(text("name")) || name.matches(text("original")))
            && (!args.failed || text("decision") == "refused" || text("result") != "ok")
    };
    let mut found = std::collections::VecDeque::new();
    let paint = Paint::stdout();
    let print = |line: &str, entry: &Value| match args.json {
        true => exit::print_out(line),
        false => exit::print_out(&row(entry, paint)),
    };
    for file in files {
        for line in BufReader::new(File::open(&file.path)?).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
            if !is_wanted(&entry) {
                continue;
            }
            match args.last {
                None => print(&line, &entry),
                Some(last) => {
                    found.push_back((line, entry));
                    if found.len() > last {
                        found.pop_front();
                    }
                }
            }
        }
    }
    found.iter().for_each(|(line, entry)| print(line, entry));
    Ok(exit::OK)
}

fn row(entry: &Value, paint: Paint) -> String {
    let text = |key: &str| one_line(entry[key].as_str().unwrap_or("-"));
    let time = paint.dim(&text("time"));
    if entry["event"] == "lost" {
        let count = usize::try_from(entry["entries"].as_u64().unwrap_or_default()).unwrap_or(usize::MAX);
        return format!(
            "{time}  {}",
            paint.red(&format!("{} could not be written", counted(count, "entry")))
        );
    }
    let outcome = match (entry["decision"].as_str(), entry["result"].as_str()) {
        (Some("refused"), _) => paint.red(&format!("refused {}", text("code"))),
        (_, Some("ok")) => paint.green("ok"),
        (_, Some("failed")) => paint.red(&format!("failed {}", text("code"))),
        (_, Some(result)) => paint.yellow(&one_line(result)),
        _ => "-".to_owned(),
    };
    let took = entry["took_ms"].as_u64().unwrap_or_default();
    format!(
        "{time}  {}  {} {}  {outcome}  {took} ms",
        text("client"),
        text("method"),
        paint.bold(&text("name"))
    )
}
