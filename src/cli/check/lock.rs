//! `check --write-lock` and `check --locked`: what servers show, against the file that a repository keeps.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::changes;
use crate::cli::check::finding::Finding;
use crate::cli::exit::{self, Exit};
use crate::cli::terminal::{Paint, counted, one_line};
use crate::failure::{Code, Failure};
use crate::trust::diff;
use crate::trust::lock::{Difference, FILE, Lock, MAX_FILE, What};

/// What to do with the lock file.
pub(super) enum Plan {
    /// Nothing.
    None,
    /// Write it. What it said before is kept of servers that are not looked at.
    Write(PathBuf, Lock),
    /// Compare with it.
    Compare(PathBuf, Lock),
}

/// What came of it.
#[derive(Default)]
pub(super) struct Outcome {
    differences: Vec<Difference>,
    /// Servers that could not be compared or written: they have not shown all they have.
    missing: Vec<String>,
    path: Option<PathBuf>,
}

/// Where the lock file is: as said, else beside the config.
fn path(said: Option<PathBuf>, config: Option<&Path>) -> PathBuf {
    said.unwrap_or_else(|| {
        config.and_then(Path::parent).map(|folder| folder.join(FILE)).unwrap_or_else(|| FILE.into())
    })
}

impl Plan {
    /// Reads the file before any server is started.
    ///
    /// # Errors
    /// It is missing or damaged; it was said on stderr.
    pub(super) fn new(
        write: Option<Option<PathBuf>>,
        compare: Option<Option<PathBuf>>,
        config: Option<&Path>,
    ) -> Result<Self, Exit> {
        if let Some(said) = write {
            let path = path(said, config);
            // A damaged one is replaced.
            let lock = read(&path).ok().flatten().unwrap_or_default();
            return Ok(Self::Write(path, lock));
        }
        let Some(said) = compare else { return Ok(Self::None) };
        let path = path(said, config);
        let problem = match read(&path) {
            Ok(Some(lock)) => return Ok(Self::Compare(path, lock)),
            Ok(None) => format!("there is no lock file `{}`", path.display()),
            Err(reason) => format!("the lock file `{}` cannot be used: {reason}", path.display()),
        };
        let failure =
            Failure::new(Code::TrustLock, problem).remedy("`switchboard check --write-lock` makes it");
        exit::print_err(&format!("error: {failure}"));
        Err(exit::FAILED)
    }

    /// Compares or writes. `all` says that every server was looked at.
    ///
    /// # Errors
    /// The file cannot be written; it was said on stderr.
    pub(super) fn carry_out(self, findings: &[Finding], all: bool) -> Result<Outcome, Exit> {
        let mut now = Lock::default();
        let mut outcome = Outcome::default();
        for finding in findings {
            match &finding.locked {
                Some(server) => drop(now.servers.insert(finding.report.server.clone(), server.clone())),
                None if finding.is_off() => {}
                None => outcome.missing.push(finding.report.server.clone()),
            }
        }
        let is_asked = |server: &str| {
            let known = findings.iter().find(|finding| finding.report.server == server);
            // One that is not well is told as such, and one that is switched off is not missed.
            known.map_or(all, |finding| !finding.is_off() && finding.locked.is_some())
        };
        match self {
            Plan::None => return Ok(Outcome::default()),
            Plan::Compare(path, lock) => {
                outcome.differences = lock.compare(&now, is_asked);
                outcome.path = Some(path);
            }
            Plan::Write(path, mut lock) => {
                let is_known = |name: &String| findings.iter().any(|finding| finding.report.server == *name);
                lock.servers.retain(|name, _| !all || is_known(name));
                lock.servers.extend(now.servers);
                if let Err(error) = write(&path, &lock.to_text()) {
                    exit::print_err(&format!("error: `{}` cannot be written: {error}", path.display()));
                    return Err(exit::FAILED);
                }
                exit::print_err(&format!("wrote {}", path.display()));
                outcome.path = Some(path);
            }
        }
        Ok(outcome)
    }
}

impl Outcome {
    /// Whether all is as it should be.
    pub(super) fn is_well(&self) -> bool {
        self.differences.is_empty() && self.missing.is_empty()
    }

    pub(super) fn render(&self, paint: Paint) -> String {
        let Some(path) = &self.path else { return String::new() };
        let mut lines = Vec::new();
        for server in &self.missing {
            let what = "has not shown all it has, so the lock file says nothing new about it";
            lines.push(format!("{} {what}", paint.bold(&one_line(server))));
        }
        for difference in &self.differences {
            lines.extend(describe(difference, paint));
        }
        if !self.differences.is_empty() {
            let count = counted(self.differences.len(), "difference");
            let file = path.display();
            lines.push(paint.red(&format!("{count} to {file} ({})", Code::TrustLock)));
            lines.push("If they are wanted: switchboard check --write-lock, and commit the file".to_owned());
        }
        lines.join("\n")
    }

    pub(super) fn to_json(&self) -> Value {
        let Some(path) = &self.path else { return Value::Null };
        let difference = |one: &Difference| {
            let (word, members, description) = match &one.what {
                What::New => ("new", None, None),
                What::Gone => ("gone", None, None),
                What::Changed { members, description } => ("changed", Some(members), description.as_ref()),
            };
            json!({
                "server": one.server,
                "kind": one.item.as_ref().map(|(kind, _)| kind.noun()),
                "name": one.item.as_ref().map(|(_, name)| name),
                "what": word,
                "members": members,
                "description": description.map(|(before, after)| json!({ "before": before, "after": after })),
            })
        };
        json!({
            "file": path,
            "differences": self.differences.iter().map(difference).collect::<Vec<_>>(),
            "missing": self.missing,
        })
    }
}

fn describe(difference: &Difference, paint: Paint) -> Vec<String> {
    let name = match &difference.item {
        Some((kind, name)) => {
            format!("{} {}", kind.noun(), paint.bold(&one_line(&format!("{}/{name}", difference.server))))
        }
        None => format!("server {}", paint.bold(&one_line(&difference.server))),
    };
    match &difference.what {
        What::New => vec![format!("{name} is {}: the lock file does not have it", paint.green("new"))],
        What::Gone => vec![format!("{name} is {}: only the lock file has it", paint.red("gone"))],
        What::Changed { members, description } => {
            let members: Vec<String> = members.iter().map(|member| one_line(member)).collect();
            let mut lines = vec![format!("{name} {}: {}", paint.yellow("changed"), members.join(", "))];
            if let Some((before, after)) = description {
                let text = changes::text(&diff::pieces(before, after), paint);
                lines.extend(text.lines().map(|line| format!("    {line}")));
            }
            lines
        }
    }
}

fn read(path: &Path) -> Result<Option<Lock>, String> {
    match fs::metadata(path) {
        Ok(data) if data.len() > MAX_FILE => return Err(format!("it has {} bytes", data.len())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    }
    let text = fs::read(path).map_err(|error| error.to_string())?;
    Lock::parse(&text).map(Some)
}

/// Replaces the file as a whole.
fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("lock.{}.tmp", std::process::id()));
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
