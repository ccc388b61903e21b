//! `switchboard add`: a server into the config, whose comments and layout stay, and a first look at it.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::cli::exit::{self, Exit};
use crate::cli::terminal::Paint;
use crate::cli::{Global, check, edits};
use crate::config::edit::{ConfigFile, is_plain_secret};
use crate::config::{self, Environment, Problem, Severity};
use crate::failure::Code;

/// Arguments of `add`.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).args(["url", "command", "entry"]),
    after_help = "Examples:\n  \
        switchboard add files -- npx -y @modelcontextprotocol/server-filesystem '${HOME}/work'\n  \
        switchboard add search --env 'TOKEN=${SEARCH_TOKEN}' -- uvx mcp-search\n  \
        switchboard add tickets --url https://tickets.example/mcp --header 'X-Team=${TEAM}'\n\
        Exit codes: 0 added, 1 the name is taken, 3 added but not well, 4 added and wants a login, 78 the entry or the config is wrong."
)]
pub struct AddArgs {
    /// The server's name: its tools are called NAME__tool
    #[arg(value_name = "NAME")]
    name: String,
    /// The address of a server that is reached over the network
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A variable for the program; quote `${VAR}` to have it filled in when the server starts
    #[arg(long, short, value_name = "K=V", conflicts_with_all = ["url", "entry"])]
    env: Vec<String>,
    /// A header for the address
    #[arg(long, short = 'H', value_name = "K=V", conflicts_with_all = ["command", "entry"])]
    header: Vec<String>,
    /// The whole entry, as it would stand below the name in the config
    #[arg(long = "json", value_name = "ENTRY")]
    entry: Option<String>,
    /// Do not start the server to look at it
    #[arg(long)]
    no_check: bool,
    /// Replace the entry if the name is taken
    #[arg(long)]
    replace: bool,
    /// The program and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Adds a server, and looks at it.
pub fn run(global: Global, args: AddArgs) -> Exit {
    match add(&global, &args) {
        Ok(path) if !args.no_check => {
            check::run_one(&Global { config: Some(path), log_level: global.log_level }, args.name)
        }
        Ok(_) => exit::OK,
        Err(exit) => exit,
    }
}

/// Writes the entry and says so. Returns the config file.
fn add(global: &Global, args: &AddArgs) -> Result<std::path::PathBuf, Exit> {
    let entry = entry(args).map_err(|wrong| {
        exit::print_err(&format!("error: {wrong}"));
        exit::USAGE
    })?;
    let mut file = edits::open(global)?;
    let environment = Environment::process();
    let known = problems(&file, &environment);
    let taken = file.names().map_err(|error| edits::refused(&file, &error))?.contains(&args.name);
    if taken && !args.replace {
        let (name, path) = (&args.name, file.path().display());
        let code = Code::ManageExists;
        exit::print_err(&format!(
            "error[{code}]: {path} has a server `{name}` already; `--replace` replaces it"
        ));
        return Err(exit::FAILED);
    }
    file.put(&args.name, &entry).map_err(|error| edits::refused(&file, &error))?;
    let old: HashSet<String> = known.iter().map(identity).collect();
    let (wrong, odd) = news(problems(&file, &environment), &old, &args.name);
    let colour = Paint::stderr().is_on();
    if !wrong.is_empty() {
        wrong.iter().for_each(|problem| exit::print_err(&format!("{}\n", problem.render(colour))));
        exit::print_err("Nothing was written: the config would not be valid with this entry.");
        return Err(exit::BAD_CONFIG);
    }
    let saved = edits::save(&file)?;
    let done = match (taken, file.exists()) {
        (true, _) => format!("replaced `{}` in {}{}", args.name, saved.path.display(), edits::backup(&saved)),
        (false, true) => {
            format!("added `{}` to {}{}", args.name, saved.path.display(), edits::backup(&saved))
        }
        (false, false) => format!("added `{}` to {}, which is new", args.name, saved.path.display()),
    };
    exit::print_err(&done);
    odd.iter().for_each(|problem| exit::print_err(&problem.to_string()));
    for hint in hints(args) {
        exit::print_err(&hint);
    }
    Ok(file.path().to_owned())
}

/// What is wrong with the config as it would be.
fn problems(file: &ConfigFile, environment: &Environment) -> Vec<Problem> {
    config::load_text(file.text(), file.syntax(), file.path(), environment).problems
}

/// What is wrong, and what is worth knowing, because of the entry. A variable that is not set is nothing wrong with it.
fn news(now: Vec<Problem>, old: &HashSet<String>, name: &str) -> (Vec<Problem>, Vec<Problem>) {
    let is_its = |problem: &Problem| problem.server.as_ref().is_some_and(|server| server.as_str() == name);
    let now = now.into_iter().filter(|problem| is_its(problem) || !old.contains(&identity(problem)));
    now.partition(|problem| problem.severity == Severity::Error && problem.code != Code::ConfigUnset)
}

/// Tells problems apart whatever line they stand in.
fn identity(problem: &Problem) -> String {
    let server = problem.server.as_ref().map(|server| server.as_str()).unwrap_or_default();
    format!("{} {server} {}", problem.code, problem.message)
}

/// The entry that the arguments describe.
fn entry(args: &AddArgs) -> Result<Value, String> {
    if let Some(text) = &args.entry {
        return match serde_json::from_str(text) {
            Ok(entry @ Value::Object(_)) => Ok(entry),
            Ok(_) => {
                Err("`--json` takes an object, such as {\"command\": \"uvx\", \"args\": [\"mcp-search\"]}"
                    .to_owned())
            }
            Err(error) => Err(format!("`--json` takes JSON: {error}")),
        };
    }
    let mut entry = Map::new();
    if let Some(url) = &args.url {
        entry.insert("url".to_owned(), json!(url));
        insert_pairs(&mut entry, "headers", &args.header, &['=', ':'])?;
    }
    if let Some((program, arguments)) = args.command.split_first() {
        entry.insert("command".to_owned(), json!(from_here(program)));
        if !arguments.is_empty() {
            entry.insert("args".to_owned(), json!(arguments));
        }
        insert_pairs(&mut entry, "env", &args.env, &['='])?;
    }
    Ok(Value::Object(entry))
}

/// A program that is named by a path is meant from where the user stands; the config would take it from its own folder.
fn from_here(program: &str) -> String {
    let is_relative = program.contains(std::path::is_separator) && !program.contains("${");
    match std::path::absolute(program) {
        Ok(path) if is_relative && path.exists() => path.display().to_string(),
        _ => program.to_owned(),
    }
}

fn insert_pairs(
    entry: &mut Map<String, Value>,
    key: &str,
    pairs: &[String],
    marks: &[char],
) -> Result<(), String> {
    let mut members = Map::new();
    for pair in pairs {
        let (name, value) = split(pair, marks)
            .ok_or_else(|| format!("`{pair}` is not of the form `NAME{}VALUE`", marks[0]))?;
        members.insert(name.to_owned(), json!(value));
    }
    if !members.is_empty() {
        entry.insert(key.to_owned(), Value::Object(members));
    }
    Ok(())
}

fn split<'a>(pair: &'a str, marks: &[char]) -> Option<(&'a str, &'a str)> {
    let (name, value) = pair.split_once(marks)?;
    (!name.trim().is_empty()).then(|| (name.trim(), value.trim_start_matches(' ')))
}

/// How to keep secrets out of the file.
fn hints(args: &AddArgs) -> Vec<String> {
    let pairs = |pairs: &'_ [String], marks: &'static [char], what: &'static str| -> Vec<String> {
        let plain = pairs
            .iter()
            .filter_map(|pair| split(pair, marks))
            .filter(|(name, value)| is_plain_secret(name, value));
        plain
            .map(|(name, _)| {
                let variable = name.to_ascii_uppercase().replace('-', "_");
                format!(
                    "hint: `{name}` looks like a secret, and stands in the config now; a variable keeps it out: \
                     {what} '{name}=${{{variable}}}' (with --replace)"
                )
            })
            .collect()
    };
    let mut hints = pairs(&args.env, &['='], "--env");
    hints.extend(pairs(&args.header, &['=', ':'], "--header"));
    if args.url.as_deref().is_some_and(|url| is_plain_secret("", url)) {
        hints.push(
            "hint: the address looks as if it held a secret; `${VAR}` in it keeps that out of the config"
                .to_owned(),
        );
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Parser, error::ErrorKind};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: AddArgs,
    }

    fn parsed(arguments: &[&str]) -> Result<AddArgs, ErrorKind> {
        let line = Line::try_parse_from(["add"].iter().chain(arguments));
        line.map(|line| line.args).map_err(|error| error.kind())
    }

    #[test]
    fn one_way_to_reach_it_has_to_be_said() {
        assert_eq!(parsed(&["a"]).unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert_eq!(parsed(&["a", "--url", "http://x", "--", "x"]).unwrap_err(), ErrorKind::ArgumentConflict);
        assert_eq!(
            parsed(&["a", "--url", "http://x", "--env", "A=b"]).unwrap_err(),
            ErrorKind::ArgumentConflict
        );
    }

    #[test]
    fn entries_are_those_of_every_readme() {
        let of = |arguments: &[&str]| entry(&parsed(arguments).unwrap());
        assert_eq!(
            of(&["a", "-e", "A=b=c", "--", "npx", "-y", "x"]).unwrap(),
            json!({"command": "npx", "args": ["-y", "x"], "env": {"A": "b=c"}})
        );
        assert_eq!(
            of(&["a", "--url", "http://x", "-H", "X-A: b=c", "-H", "B=d:e"]).unwrap(),
            json!({"url": "http://x", "headers": {"X-A": "b=c", "B": "d:e"}})
        );
        assert_eq!(of(&["a", "--json", "{\"url\": \"x\"}"]).unwrap(), json!({"url": "x"}));
        for wrong in [
            &["a", "--json", "[]"][..],
            &["a", "--json", "{"],
            &["a", "-e", "A", "--", "x"],
            &["a", "-e", "=b", "--", "x"],
        ] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn secrets_get_a_hint() {
        let of = |arguments: &[&str]| hints(&parsed(arguments).unwrap());
        assert!(of(&["a", "-e", "API_KEY=abc", "--", "x"])[0].contains("--env 'API_KEY=${API_KEY}'"));
        assert!(of(&["a", "-e", "API_KEY=${KEY}", "-e", "LEVEL=info", "--", "x"]).is_empty());
        assert_eq!(of(&["a", "--url", "http://x", "-H", "Authorization: Bearer abc"]).len(), 1);
    }
}
