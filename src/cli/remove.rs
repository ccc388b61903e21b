//! `switchboard remove`: servers out of the config, whose comments and layout stay.

use crate::cli::exit::{self, Exit};
use crate::cli::{Global, edits};

/// Arguments of `remove`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 removed, 5 no such server (nothing is removed then), 78 the config cannot be read."
)]
pub struct RemoveArgs {
    /// The servers
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

/// Removes servers: all that are named, or none.
pub fn run(global: &Global, args: RemoveArgs) -> Exit {
    remove(global, args).unwrap_or_else(|exit| exit)
}

fn remove(global: &Global, args: RemoveArgs) -> Result<Exit, Exit> {
    let mut file = edits::open(global)?;
    let mut names = args.names;
    names.sort();
    names.dedup();
    for name in &names {
        file.remove(name).map_err(|error| edits::refused(&file, &error))?;
    }
    let saved = edits::save(&file)?;
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    exit::print_err(&format!(
        "removed {} from {}{}",
        names.join(", "),
        saved.path.display(),
        edits::backup(&saved)
    ));
    Ok(exit::OK)
}
