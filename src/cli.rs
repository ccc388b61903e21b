//! The command line: parses arguments, calls one room, prints its answer.

pub mod config;

use std::process::ExitCode;

/// Runs the program with the arguments of the process and returns its exit code.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
