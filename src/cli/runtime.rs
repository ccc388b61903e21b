//! The runtime of a command: one thread, like that of `serve`.

use tokio::runtime::{Builder, Runtime};

use crate::cli::exit::{self, Exit};

/// A runtime for what a command waits for.
///
/// # Errors
/// The system gives none: it is said on stderr, and this is how the command ends.
pub(super) fn start() -> Result<Runtime, Exit> {
    Builder::new_current_thread().enable_all().build().map_err(|error| {
        exit::print_err(&format!("error: the runtime could not be started: {error}"));
        exit::FAILED
    })
}
