//! The config: is there one, is it valid, who may read and change it, is anything missing in the environment?

use std::path::Path;

use super::Patient;
use super::finding::{Area, Finding, Level};
use crate::cli::terminal::counted;
use crate::config::edit::{ConfigFile, plain_secrets};
use crate::config::{Entry, Problem, Severity};
use crate::failure::Code;

pub(super) fn examine(patient: &Patient) -> Vec<Finding> {
    let finding = |level, what: String| Finding::new(Area::Config, level, what);
    let Some(path) = &patient.locations.config else {
        let what = format!("no config file: {}", patient.locations.config_reason);
        return vec![finding(Level::Warning, what).remedy("switchboard add NAME -- COMMAND begins one")];
    };
    let config = &patient.loaded.config;
    let mut findings = Vec::new();
    let errors = patient.loaded.has_errors();
    if !errors {
        let servers = counted(config.servers.len(), "server");
        findings.push(finding(
            Level::Well,
            format!("{} ({}); {servers}", path.display(), patient.locations.config_reason),
        ));
    }
    findings.extend(patient.loaded.problems.iter().map(told));
    for entry in &config.servers {
        if let Entry::Disabled { name } = entry {
            findings.push(finding(Level::Note, "switched off".to_owned()).of(name.as_str()));
        }
    }
    findings.extend(readers(path));
    findings
}

fn told(problem: &Problem) -> Finding {
    let level = match problem.severity {
        Severity::Error if problem.code == Code::ConfigUnset => Level::Warning,
        Severity::Error => Level::Error,
        // Others can change what runs as this user.
        Severity::Warning if problem.code == Code::ConfigFile => Level::Warning,
        Severity::Warning => Level::Note,
    };
    let place = problem.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    let mut finding =
        Finding::new(Area::Config, level, format!("{}{place}, {}", problem.message, problem.code));
    if let Some(server) = &problem.server {
        finding = finding.of(server.as_str());
    }
    match &problem.suggestion {
        Some(suggestion) => finding.remedy(suggestion),
        None => finding.remedy(format!("switchboard explain {}", problem.code)),
    }
}

/// Secrets in a file that others may read, and folders in which others may put another file in its place.
#[cfg(unix)]
fn readers(path: &Path) -> Vec<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).map(|it| it.permissions().mode()).unwrap_or_default();
    let mut findings = Vec::new();
    if let Ok(file) = ConfigFile::open(path) {
        let secrets = plain_secrets(file.text(), file.syntax());
        let (level, who) = match mode(path) & 0o044 {
            0 => (Level::Note, ""),
            0o040 => (Level::Warning, ", which its group may read"),
            _ => (Level::Warning, ", which every user of this machine may read"),
        };
        if let Some(first) = secrets.first() {
            let what = format!("{} in the config{who}: {first}", counted(secrets.len(), "plain secret"));
            let remedy = match level {
                Level::Warning => format!("write `${{VAR}}` instead, or: chmod 600 {}", path.display()),
                _ => "`${VAR}` keeps them out of the file".to_owned(),
            };
            findings.push(Finding::new(Area::Config, level, what).remedy(remedy));
        }
    }
    let folder = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
    if let Some(folder) = folder.filter(|folder| mode(folder) & 0o1002 == 0o002) {
        let what = format!("every user of this machine may replace files in {}", folder.display());
        findings.push(
            Finding::new(Area::Config, Level::Error, what).remedy(format!("chmod o-w {}", folder.display())),
        );
    }
    findings
}

#[cfg(not(unix))]
fn readers(_: &Path) -> Vec<Finding> {
    Vec::new()
}
