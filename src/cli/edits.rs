//! What `add` and `remove` share: the config file, and what they say when it cannot be changed.

use crate::cli::Global;
use crate::cli::exit::{self, Exit};
use crate::cli::suggest::did_you_mean;
use crate::cli::terminal::Paint;
use crate::config::edit::{ConfigFile, EditError, Saved};
use crate::config::{self, Environment};

/// The config file that the command line means, which need not exist yet.
pub(super) fn open(global: &Global) -> Result<ConfigFile, Exit> {
    let locations = config::locate(global.config.as_deref(), &Environment::process());
    ConfigFile::open(&locations.config_or_new()).map_err(|problem| {
        exit::print_err(&problem.render(Paint::stderr().is_on()));
        exit::BAD_CONFIG
    })
}

/// Says why the config was not changed.
pub(super) fn refused(file: &ConfigFile, error: &EditError) -> Exit {
    let near = match error {
        EditError::NotFound { nearest: Some(nearest), .. } => did_you_mean(std::slice::from_ref(nearest)),
        _ => String::new(),
    };
    exit::print_err(&format!("error[{}]: {}: {error}{near}", error.code(), file.path().display()));
    match error {
        EditError::NotFound { .. } => exit::NOT_FOUND,
        EditError::Syntax { .. } | EditError::Section { .. } | EditError::Entry => exit::BAD_CONFIG,
        EditError::Twice { .. } | EditError::ByHand { .. } => exit::FAILED,
    }
}

/// Writes the file.
pub(super) fn save(file: &ConfigFile) -> Result<Saved, Exit> {
    file.save().map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        exit::print_err(&format!("error[{}]: {error}{cause}", error.code()));
        exit::FAILED
    })
}

/// Where the old text is, as a part of a sentence.
pub(super) fn backup(saved: &Saved) -> String {
    saved
        .backup
        .as_ref()
        .map(|path| format!("; what was there before is in {}", path.display()))
        .unwrap_or_default()
}
