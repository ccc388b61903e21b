//! What stands in the place of policies in a Switchboard that was built without them: nobody may call anything.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::question::{Client, Decision, Thing};
use crate::config::{Problem, Severity};
use crate::failure::{Code, Failure};

/// There is none.
#[derive(Debug)]
pub(super) enum Set {}

impl Set {
    pub(super) fn read(_: &Path, _: &str) -> (Option<Self>, Vec<Problem>) {
        let message = "this Switchboard was built without policies, so `policy` cannot be obeyed";
        let problem = Problem::new(Severity::Error, Code::PolicyBroken, message);
        (None, vec![problem.suggest("use a build with the feature `policy`, or remove `policy`")])
    }

    pub(super) fn is_same(&self, _: &Self) -> bool {
        match *self {}
    }

    pub(super) fn count(&self) -> usize {
        match *self {}
    }

    pub(super) fn decide(
        &self,
        _: &Client,
        _: &Thing<'_>,
        _: &[u8],
        _: SystemTime,
    ) -> Result<Arc<Decision>, Failure> {
        match *self {}
    }

    pub(super) fn foresee(&self, _: &Client, _: &Thing<'_>) -> Decision {
        match *self {}
    }
}
