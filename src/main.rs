//! The `switchboard` binary: hands its arguments to the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchboard::cli::main()
}
