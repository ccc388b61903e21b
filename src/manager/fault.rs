//! Why a change was not made.

use std::fmt;

use crate::config::{Problem, Severity};
use crate::failure::{Code, Failure};
use crate::names::ServerName;

/// See the module. Nothing has changed when one is returned.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What is wrong in one sentence, with its stable code and, if there is one, the remedy.
    pub failure: Failure,
    /// Everything that is wrong with the config that would have been, with its places.
    pub problems: Vec<Problem>,
}

impl Fault {
    /// There is a server of this name already.
    pub(super) fn exists(name: &str) -> Self {
        let cause = format!("there is a server `{name}` already");
        Failure::new(Code::ManageExists, cause).remedy("Choose another name, or update it").into()
    }

    /// There is no such server; perhaps this one was meant.
    pub(super) fn unknown(name: &str, near: Option<&ServerName>) -> Self {
        let name: String = name.chars().take(100).collect();
        let failure = Failure::new(Code::ManageUnknown, format!("there is no server `{name}`"));
        match near {
            Some(near) => failure.remedy(format!("Did you mean `{near}`?")).into(),
            None => failure.into(),
        }
    }

    /// The config that would have been cannot be used.
    pub(super) fn invalid(what: &str, problems: Vec<Problem>) -> Self {
        let first = problems.iter().find(|problem| problem.severity == Severity::Error).or(problems.first());
        let why = first.map(Problem::one_line).unwrap_or_default();
        let failure = Failure::new(Code::ManageInvalid, format!("{what} cannot be used: {why}"));
        Self { failure, problems }
    }

    /// The config file cannot be changed.
    pub(super) fn unwritable(why: impl fmt::Display) -> Self {
        Self::unedited(Code::ManageUnwritable, why)
    }

    /// The config file was not changed, because of something that has a code of its own.
    pub(super) fn unedited(code: Code, why: impl fmt::Display) -> Self {
        let failure = Failure::new(code, format!("the config file was not changed: {why}"));
        failure.remedy("Mend that, or make the change for this run alone").into()
    }

    /// We are ending.
    pub(super) fn ending() -> Self {
        Failure::new(Code::CallShutdown, "Switchboard is ending").into()
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.failure.code
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self { failure, problems: Vec::new() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl std::error::Error for Fault {}
