//! Exit codes, and printing that survives a closed pipe.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::terminal::printable;
use crate::wire::unseen::push_escaped;

/// An exit code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

/// All is well.
pub const OK: Exit = Exit(0);
/// The operation failed.
pub const FAILED: Exit = Exit(1);
/// The arguments make no sense.
pub const USAGE: Exit = Exit(2);
/// Some servers are not well.
pub const PARTLY: Exit = Exit(3);
/// Somebody has to log in first.
pub const NEEDS_LOGIN: Exit = Exit(4);
/// There is no server or tool of this name.
pub const NOT_FOUND: Exit = Exit(5);
/// It took too long, or may go better next time.
pub const TRANSIENT: Exit = Exit(6);
/// The config is wrong.
pub const BAD_CONFIG: Exit = Exit(78);
/// The user pressed Ctrl-C.
pub const INTERRUPTED: Exit = Exit(130);

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.0)
    }
}

/// Prints a result on stdout, with a line end. A reader that has seen enough (`| head`) is no failure. Whatever else the
/// text holds, only colours steer the terminal.
pub fn print_out(text: &str) {
    let _ = writeln!(io::stdout(), "{}", printable(text));
}

/// Prints JSON for programs on stdout, with a line end.
pub fn print_json(value: &serde_json::Value) {
    print_raw_json(format!("{value:#}").as_bytes());
}

/// Prints JSON text on stdout, with a line end. What could steer a terminal is escaped; nothing is lost.
pub fn print_raw_json(text: &[u8]) {
    match std::str::from_utf8(text) {
        Ok(text) => {
            let mut escaped = Vec::with_capacity(text.len());
            push_escaped(&mut escaped, text);
            print_bytes(&escaped);
        }
        Err(_) => print_bytes(text),
    }
}

/// Prints a result on stdout as it is, with a line end.
pub fn print_bytes(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(bytes).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush());
}

/// Prints chatter on stderr, with a line end. Only colours steer the terminal.
pub fn print_err(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}
