//! Writing servers that were found into the config.

use std::path::PathBuf;

use crate::cli::exit::{self, Exit};
use crate::cli::suggest::{did_you_mean, near};
use crate::cli::terminal;
use crate::config::edit::ConfigFile;
use crate::config::{ConfigReason, Locations};
use crate::discovery::{Finding, Findings};
use crate::failure::Code;

/// A server that is in the config now.
pub(in crate::cli) struct Taken {
    /// Its name there.
    pub(in crate::cli) name: String,
    /// The file.
    pub(in crate::cli) file: String,
    /// Its entry, without what may be secret.
    pub(in crate::cli) entry: String,
}

/// The findings that are to be taken.
///
/// # Errors
/// A name that nothing has.
pub(super) fn chosen<'a>(
    names: &[String],
    all: bool,
    findings: &'a Findings,
) -> Result<Vec<&'a Finding>, Exit> {
    if all {
        let is_plain = |finding: &&Finding| finding.known_as.is_none() && finding.problem.is_none();
        return Ok(findings.servers.iter().filter(is_plain).collect());
    }
    let mut chosen: Vec<&Finding> = Vec::new();
    let mut unknown = false;
    for name in names {
        match findings.servers.iter().find(|finding| finding.name == *name) {
            Some(finding) if finding.known_as.is_some() => {
                let known = finding.known_as.as_deref().unwrap_or_default();
                exit::print_err(&format!("note: `{name}` is in the config already, as `{known}`"));
            }
            Some(finding) => chosen.push(finding),
            None => {
                let found = findings.servers.iter().map(|finding| finding.name.as_str());
                let near = did_you_mean(&near(name, found));
                exit::print_err(&format!("error: no server `{name}` was found{near}"));
                unknown = true;
            }
        }
    }
    if unknown { Err(exit::NOT_FOUND) } else { Ok(chosen) }
}

/// Writes them, all or none.
///
/// # Errors
/// The config cannot be changed.
pub(in crate::cli) fn write(chosen: &[&Finding], locations: &Locations) -> Result<Vec<Taken>, Exit> {
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |code: Code, why: &dyn std::fmt::Display| {
        exit::print_err(&format!("error[{code}]: nothing was added: {why}"));
        exit::FAILED
    };
    let path = config_path(locations);
    let mut file = ConfigFile::open(&path).map_err(|problem| failed(problem.code, &problem.message))?;
    for finding in chosen {
        file.put(&finding.name, &finding.entry).map_err(|error| failed(error.code(), &error))?;
    }
    let saved = file.save().map_err(|error| failed(error.code(), &error))?;
    let place = saved.path.display().to_string();
    let taken = chosen.iter().map(|finding| {
        if let Some(problem) = &finding.problem {
            exit::print_err(&format!("note: `{}`: {}", finding.name, terminal::one_line(problem)));
        }
        Taken { name: finding.name.clone(), file: place.clone(), entry: finding.shown_entry().to_string() }
    });
    Ok(taken.collect())
}

/// The config file, or where it is looked for.
fn config_path(locations: &Locations) -> PathBuf {
    match (&locations.config, &locations.config_reason) {
        (Some(path), _) => path.clone(),
        (None, ConfigReason::Missing(folder) | ConfigReason::Folder(folder)) => {
            folder.join("switchboard.json")
        }
        (None, _) => PathBuf::from("switchboard.json"),
    }
}
