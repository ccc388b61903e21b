//! Looks again and again: a page that is drawn anew on a terminal, a line per change elsewhere.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Seen, StatusArgs, number, page, text};
use crate::cli::exit::{self, Exit};
use crate::cli::terminal::{self, Paint, one_line};
use crate::wire::time::rfc3339;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);
/// Moves to the first line, and clears from there to the end (ECMA-48: CUP, ED).
const REDRAW: &[u8] = b"\x1b[H\x1b[2J";

/// Until nothing runs any more, or somebody interrupts.
pub(super) fn watch(first: Vec<Seen>, look: impl Fn() -> io::Result<Vec<Seen>>, args: &StatusArgs) -> Exit {
    let redraws = io::stdout().is_terminal() && !args.json;
    let mut known = BTreeMap::new();
    let mut seen = first;
    loop {
        if redraws {
            let page = page::render(&seen, args.server.is_some(), Paint::stdout(), terminal::width());
            let _ = io::stdout().write_all(REDRAW);
            exit::print_out(&page);
        } else if tell(&mut known, &seen, args.json).is_err() {
            // Nobody reads any more.
            return exit::OK;
        }
        if seen.is_empty() {
            exit::print_err("no Switchboard runs any more");
            return exit::NOT_FOUND;
        }
        std::thread::sleep(LOOK);
        seen = match look() {
            Ok(seen) => seen,
            Err(error) => {
                exit::print_err(&format!("error: {error}"));
                return exit::FAILED;
            }
        };
    }
}

/// What is told of a server when it is not as it was.
type Known = BTreeMap<(u64, String), Value>;

/// Prints a line for everything that is not as it was.
fn tell(known: &mut Known, seen: &[Seen], as_json: bool) -> io::Result<()> {
    let mut now = Known::new();
    for one in seen {
        for server in one.servers() {
            let what = json!({
                "level": text(server, "level"), "state": text(server, "state"), "tools": number(server, "tools"),
                "failure": server["failure"],
            });
            now.insert((one.pid(), text(server, "server").to_owned()), what);
        }
    }
    for ((pid, server), what) in &now {
        if known.get(&(*pid, server.clone())) != Some(what) {
            print(*pid, server, Some(what), as_json)?;
        }
    }
    for (pid, server) in known.keys().filter(|key| !now.contains_key(*key)) {
        print(*pid, server, None, as_json)?;
    }
    *known = now;
    Ok(())
}

fn print(pid: u64, server: &str, what: Option<&Value>, as_json: bool) -> io::Result<()> {
    let at = rfc3339(SystemTime::now());
    if as_json {
        let mut value = json!({ "timestamp": at, "pid": pid, "server": server, "state": "gone" });
        if let (Value::Object(value), Some(Value::Object(what))) = (&mut value, what) {
            value.extend(what.clone());
        }
        let mut line = Vec::new();
        crate::wire::unseen::push_escaped(&mut line, &value.to_string());
        line.push(b'\n');
        return io::stdout().write_all(&line).and_then(|()| io::stdout().flush());
    }
    let mut line = format!("{} pid {pid}  {}", page::time(&at), one_line(server));
    match what {
        None => line.push_str("  gone"),
        Some(what) => {
            line.push_str(&format!(
                "  {}  {}  {}",
                text(what, "level"),
                one_line(text(what, "state")),
                terminal::counted(number(what, "tools") as usize, "tool")
            ));
            for why in page::failure(what) {
                line.push_str(&format!("  {why}"));
            }
        }
    }
    writeln!(io::stdout(), "{}", terminal::tame(&line)).and_then(|()| io::stdout().flush())
}
