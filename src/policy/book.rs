//! The policies in force, and the file that they come from.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::cedar::Set;
use super::question::{Client, Decision, Ruling, Thing};
use crate::config::{Config, Problem, Severity};
use crate::failure::{Code, Failure};

/// The largest file of policies that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// A file that was changed so short a time ago may change again without looking different.
const FRESH: Duration = Duration::from_secs(2);

/// What is in force: a set of policies, or nothing but refusals.
#[derive(Debug)]
struct Book {
    /// Counts the sets that were in force.
    number: u64,
    set: Result<Set, Failure>,
}

/// See the module.
#[derive(Debug)]
pub struct Policies {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    book: Arc<Book>,
    seen: Option<Stamp>,
    /// What is wrong with the file as it is now.
    problems: Vec<Problem>,
}

/// How a file looked when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    is_fresh: bool,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let data = std::fs::metadata(path).ok()?;
        let modified = data.modified().ok();
        let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        Some(Self { modified, length: data.len(), is_fresh: age.is_none_or(|age| age < FRESH) })
    }
}

impl Policies {
    /// The policies that the config asks for; `None` if it asks for none.
    pub fn open(config: &Config) -> Option<Arc<Self>> {
        match &config.policy {
            Ok(None) => None,
            Ok(Some(file)) => Some(Self::at(file.path.clone())),
            Err(problem) => {
                let failure = broken(problem);
                let book = Arc::new(Book { number: 0, set: Err(failure) });
                // Reported with the config already.
                let state = State { book, seen: None, problems: Vec::new() };
                Some(Arc::new(Self { path: None, state: Mutex::new(state) }))
            }
        }
    }

    /// The policies of this file.
    pub fn at(path: PathBuf) -> Arc<Self> {
        let seen = Stamp::of(&path);
        let (set, problems) = read(&path);
        let set = set.ok_or_else(|| first_error(&problems));
        let state = State { book: Arc::new(Book { number: 0, set }), seen, problems };
        Arc::new(Self { path: Some(path), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> Arc<Book> {
        Arc::clone(&self.state().book)
    }

    /// Looks whether the file has changed. New policies are put in force as a whole; if they cannot be used, those that were
    /// stay. Whether others are in force now.
    pub fn refresh(&self) -> bool {
        let Some(path) = &self.path else { return false };
        let stamp = Stamp::of(path);
        let mut state = self.state();
        if state.seen == stamp && !stamp.as_ref().is_some_and(|stamp| stamp.is_fresh) {
            return false;
        }
        state.seen = stamp;
        let (set, problems) = read(path);
        let says = |problems: &[Problem]| problems.iter().map(Problem::one_line).collect::<Vec<_>>();
        let is_news = says(&problems) != says(&state.problems);
        state.problems = problems;
        match set {
            Some(set) => {
                let is_same = state.book.set.as_ref().is_ok_and(|old| old.is_same(&set));
                if !is_same {
                    tracing::info!(event = "policy.reloaded", file = %path.display(), policies = set.count(), "other policies are in force");
                    state.book = Arc::new(Book { number: state.book.number + 1, set: Ok(set) });
                }
                !is_same
            }
            None => {
                let failure = first_error(&state.problems);
                if is_news {
                    tracing::error!(event = "policy.refused", %failure, "the policies cannot be used; those that were in force stay");
                }
                if state.book.set.is_err() {
                    state.book = Arc::new(Book { number: state.book.number + 1, set: Err(failure) });
                }
                false
            }
        }
    }

    /// Grows whenever other policies are in force.
    pub fn number(&self) -> u64 {
        self.state().book.number
    }

    /// What is wrong with the file, or worth knowing.
    pub fn problems(&self) -> Vec<Problem> {
        self.state().problems.clone()
    }

    /// One line for the status: how many policies are in force, and what is wrong with the file.
    pub fn line(&self) -> String {
        let state = self.state();
        let error = state.problems.iter().any(|problem| problem.severity == Severity::Error);
        let file = self.path.as_deref().map_or_else(|| "policy".into(), |path| path.to_string_lossy());
        match &state.book.set {
            Ok(set) if error => {
                let failure = first_error(&state.problems);
                format!(
                    "policies: {} in force, but not those of the file as it is now: {failure}",
                    set.count()
                )
            }
            Ok(set) => format!("policies: {} in force ({file})", set.count()),
            Err(failure) => format!("policies: nobody may call anything: {failure}"),
        }
    }

    /// Whether a client may do this now, with these arguments (a JSON object, or nothing).
    ///
    /// # Errors
    /// The refusal.
    pub fn admit(
        &self,
        client: &Client,
        thing: &Thing<'_>,
        arguments: &[u8],
        now: SystemTime,
    ) -> Result<(), Failure> {
        let book = self.book();
        let set = book.set.as_ref().map_err(|failure| failure.clone().not_run())?;
        let decision = set.decide(client, thing, arguments, now)?;
        for (rule, error) in &decision.errors {
            tracing::warn!(policy = %rule, error, thing = thing.name, "a policy could not be evaluated");
        }
        match decision.ruling {
            Ruling::Permitted => Ok(()),
            Ruling::Refused | Ruling::Depends => Err(decision.failure(client, thing)),
        }
    }

    /// What can be said before the arguments and the time are known.
    ///
    /// # Errors
    /// No policies are in force.
    pub fn foresee(&self, client: &Client, thing: &Thing<'_>) -> Result<Decision, Failure> {
        let book = self.book();
        let set = book.set.as_ref().map_err(Failure::clone)?;
        Ok(set.foresee(client, thing))
    }

    /// Whether a client is shown this: unless it may not use it whatever the arguments and the time are.
    pub fn shows(&self, client: &Client, thing: &Thing<'_>) -> bool {
        self.foresee(client, thing).is_ok_and(|decision| decision.ruling != Ruling::Refused)
    }

    /// Why something that [`foresee`](Self::foresee) refuses is refused, as its client is told.
    ///
    /// # Errors
    /// The refusal.
    pub fn admit_any(&self, client: &Client, thing: &Thing<'_>) -> Result<(), Failure> {
        let decision = self.foresee(client, thing).map_err(Failure::not_run)?;
        match decision.ruling {
            Ruling::Refused => Err(decision.failure(client, thing)),
            Ruling::Permitted | Ruling::Depends => Ok(()),
        }
    }
}

fn read(path: &Path) -> (Option<Set>, Vec<Problem>) {
    let failed = |why: String| {
        let message = format!("the file of policies {} {why}", path.display());
        let problem = Problem::new(Severity::Error, Code::PolicyBroken, message);
        (None, vec![problem.suggest("`policy.file` is relative to the folder of the config")])
    };
    match std::fs::metadata(path) {
        Err(error) => return failed(format!("cannot be opened: {error}")),
        Ok(data) if !data.is_file() => return failed("is not a file".to_owned()),
        Ok(data) if data.len() > MAX_FILE => return failed("is larger than 1 MiB".to_owned()),
        Ok(_) => {}
    }
    match std::fs::read_to_string(path) {
        Ok(text) => Set::read(path, &text),
        Err(error) => failed(format!("cannot be read: {error}")),
    }
}

fn first_error(problems: &[Problem]) -> Failure {
    let error = problems.iter().find(|problem| problem.severity == Severity::Error);
    error.map_or_else(|| Failure::new(Code::PolicyBroken, "the policies cannot be used"), broken)
}

/// The same problem as what refuses every call.
fn broken(problem: &Problem) -> Failure {
    Failure { code: Code::PolicyBroken, ..problem.failure() }.not_run()
}

#[cfg(test)]
#[cfg(feature = "policy")]
mod tests {
    use super::*;
    use crate::effect::Effect;
    use crate::policy::Action;

    fn ruling(policies: &Policies) -> Result<(), Code> {
        let thing = Thing {
            action: Action::CallTool,
            name: "a__x",
            original: "x",
            server: "a",
            categories: &[],
            definition: b"",
            effect: Effect::Unknown,
            is_template: false,
        };
        let admitted = policies.admit(&Client::default(), &thing, b"", SystemTime::now());
        admitted.map_err(|failure| failure.code)
    }

    #[test]
    fn a_broken_file_refuses_everything_until_it_is_mended_and_later_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.cedar");
        let policies = Policies::at(path.clone());
        assert_eq!(ruling(&policies), Err(Code::PolicyBroken), "there is no file");
        std::fs::write(&path, "permit(principal, action, resource").unwrap();
        assert!(!policies.refresh());
        assert_eq!(ruling(&policies), Err(Code::PolicyBroken));
        assert!(policies.line().contains("nobody may call anything"), "{}", policies.line());
        assert!(policies.line().contains("policy.cedar:1:"), "{}", policies.line());
        std::fs::write(&path, "permit(principal, action, resource);").unwrap();
        assert!(policies.refresh());
        assert_eq!((ruling(&policies), policies.number()), (Ok(()), 2));
        assert!(!policies.refresh());
        assert!(policies.line().starts_with("policies: 1 in force ("), "{}", policies.line());
        // From now on the last good ones stay.
        for bad in [Some("forbid(principal"), None] {
            match bad {
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            assert!(!policies.refresh());
            assert_eq!(ruling(&policies), Ok(()));
            assert!(policies.line().contains("1 in force, but not those of the file"), "{}", policies.line());
        }
        std::fs::write(&path, "forbid(principal, action, resource);").unwrap();
        assert!(policies.refresh());
        assert_eq!((ruling(&policies), policies.number()), (Err(Code::PolicyDenied), 3));
    }
}
