//! `switchboard status`: how the servers of running Switchboards are, read from their sockets.
//!
//! Nothing is started and nothing changed. What is shown is what `switchboard__status` and the administration interface show:
//! one model, computed in the process that runs.

mod page;
mod watch;

pub(super) use page::{times, work};

use serde_json::{Value, json};

use crate::admin::local::{Instance, instances};
use crate::cli::exit::{self, Exit};
use crate::cli::suggest::{did_you_mean, near};
use crate::cli::terminal::{self, Paint};
use crate::cli::{Global, terminal::one_line};
use crate::config::{self, Environment};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all well, 3 some servers cannot be used, 5 nothing runs or no such server."
)]
pub struct StatusArgs {
    /// Everything about this server
    #[arg(value_name = "SERVER")]
    server: Option<String>,
    /// Go on: redraw on a terminal, else print a line for every change
    #[arg(long)]
    watch: bool,
    /// Print JSON; with --watch, one object in a line for every change
    #[arg(long)]
    json: bool,
    /// Only the Switchboard with this process id
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
}

/// What one Switchboard says of itself.
struct Seen {
    /// Its answer to `GET /proxy/status`: the data.
    data: Value,
}

/// Prints how servers are.
pub fn run(global: &Global, args: &StatusArgs) -> Exit {
    let locations = config::locate(global.config.as_deref(), &Environment::process());
    let look = || look(&locations.state, args);
    let seen = match look() {
        Ok(seen) => seen,
        Err(error) => {
            exit::print_err(&format!("error: {error}"));
            return exit::FAILED;
        }
    };
    if seen.is_empty() {
        exit::print_err(&match args.pid {
            Some(pid) => format!("no Switchboard runs with process id {pid}; `switchboard status` shows those that do"),
            None => "no Switchboard runs: your AI client starts it (`switchboard serve`). `switchboard check` starts every server \
                     and says how it fares"
                .to_owned(),
        });
        return exit::NOT_FOUND;
    }
    if let Some(exit) = refuse_unknown(&seen, args.server.as_deref()) {
        return exit;
    }
    if args.watch {
        return watch::watch(seen, look, args);
    }
    if args.json {
        exit::print_json(&as_json(&seen));
    } else {
        exit::print_out(&page::render(&seen, args.server.is_some(), Paint::stdout(), terminal::width()));
    }
    verdict(&seen)
}

/// Asks those who run. One that has just ended is left out.
fn look(state: &std::path::Path, args: &StatusArgs) -> std::io::Result<Vec<Seen>> {
    let wanted = |instance: &Instance| args.pid.is_none_or(|pid| pid == instance.pid);
    let mut seen = Vec::new();
    for instance in instances(state)?.into_iter().filter(wanted) {
        let Ok(body) = instance.get("/proxy/status") else { continue };
        let Ok(Value::Object(mut answer)) = serde_json::from_slice(&body) else { continue };
        let mut data = answer.remove("data").unwrap_or_default();
        if let (Some(server), Some(Value::Array(servers))) = (&args.server, data.get_mut("servers"))
            && servers.iter().any(|one| one["server"] == **server)
        {
            servers.retain(|one| one["server"] == **server);
        }
        seen.push(Seen { data });
    }
    Ok(seen)
}

/// Refuses a name that no running Switchboard knows.
fn refuse_unknown(seen: &[Seen], server: Option<&str>) -> Option<Exit> {
    let server = server?;
    let known: Vec<&str> = seen.iter().flat_map(Seen::servers).map(|one| text(one, "server")).collect();
    if known.contains(&server) {
        return None;
    }
    let near = did_you_mean(&near(server, known));
    exit::print_err(&format!("error: no running Switchboard has a server `{}`{near}", one_line(server)));
    Some(exit::NOT_FOUND)
}

/// What all of them together are worth.
fn verdict(seen: &[Seen]) -> Exit {
    match seen.iter().flat_map(Seen::servers).any(|one| text(one, "level") == "unhealthy") {
        true => exit::PARTLY,
        false => exit::OK,
    }
}

fn as_json(seen: &[Seen]) -> Value {
    json!({ "schema": 1, "instances": seen.iter().map(|one| &one.data).collect::<Vec<_>>() })
}

impl Seen {
    fn servers(&self) -> &[Value] {
        self.data["servers"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn pid(&self) -> u64 {
        self.data["pid"].as_u64().unwrap_or_default()
    }
}

pub(super) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

pub(super) fn number(value: &Value, member: &str) -> u64 {
    value[member].as_u64().unwrap_or_default()
}
