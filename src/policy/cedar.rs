//! A set of policies, evaluated by `cedar-policy`.

mod arguments;
mod entities;
mod read;
mod schema;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as Answer, Policy, PolicyId, PolicySet, Request,
    RestrictedExpression,
};

use super::question::{Action, Client, Decision, Rule, Ruling, Thing};
use crate::config::Problem;
use crate::effect::Effect;
use crate::failure::{Code, Failure};
use entities::{Names, Parties};

/// So many questions are remembered; then all are forgotten. Clients choose their names and the URIs that they read.
const MANY: usize = 1024;

/// See the module.
pub(super) struct Set {
    text: String,
    policies: PolicySet,
    /// Those of them whose answer holds as long as client and tool are the same.
    lasting: PolicySet,
    /// Those that look at the arguments, the time, or whatever else a call brings with it.
    by_call: PolicySet,
    rules: HashMap<PolicyId, Arc<Rule>>,
    authorizer: Authorizer,
    names: Names,
    hasher: ahash::RandomState,
    known: Mutex<HashMap<Key, Arc<Known>, ahash::RandomState>>,
}

/// All that tells one question from another, but for what a call brings with it.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    client: Client,
    action: Action,
    server: String,
    name: String,
    original: String,
    categories: Vec<String>,
    effect: Effect,
    is_template: bool,
    definition: u64,
}

/// A question that was asked before.
struct Known {
    parties: Parties,
    /// What the lasting policies say.
    lasting: OnceLock<Said>,
}

/// What some of the policies say. Cedar's rule makes a decision of it: one that forbids is enough, and otherwise one that permits;
/// so what parts of a set say can be put together.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    forbid: Vec<Arc<Rule>>,
    /// Only told if nothing forbids.
    permit: Vec<Arc<Rule>>,
    errors: Vec<(Arc<Rule>, String)>,
}

impl Said {
    fn and(&self, other: Self) -> Self {
        let both = |one: &[Arc<Rule>], other: Vec<Arc<Rule>>| [one, &other].concat();
        Self {
            forbid: both(&self.forbid, other.forbid),
            permit: both(&self.permit, other.permit),
            errors: [&self.errors[..], &other.errors].concat(),
        }
    }

    fn decision(self) -> Decision {
        let (ruling, by) = match (self.forbid.is_empty(), self.permit.is_empty()) {
            (false, _) => (Ruling::Refused, self.forbid),
            (true, false) => (Ruling::Permitted, self.permit),
            (true, true) => (Ruling::Refused, Vec::new()),
        };
        Decision::new(ruling, in_order(by), self.errors)
    }
}

/// The rules in the order of the file.
fn in_order(mut rules: Vec<Arc<Rule>>) -> Vec<Arc<Rule>> {
    rules.sort_by_key(|rule| (rule.place.line, rule.place.column));
    rules
}

impl Set {
    /// Reads policies and checks them. None if anything is wrong with them.
    pub(super) fn read(path: &Path, text: &str) -> (Option<Self>, Vec<Problem>) {
        read::read(path, text)
    }

    pub(super) fn count(&self) -> usize {
        self.rules.len()
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.text == other.text
    }

    fn known(&self, client: &Client, thing: &Thing<'_>) -> Result<Arc<Known>, Failure> {
        let key = Key {
            client: client.clone(),
            action: thing.action,
            server: thing.server.to_owned(),
            name: thing.name.to_owned(),
            original: thing.original.to_owned(),
            categories: thing.categories.to_vec(),
            effect: thing.effect,
            is_template: thing.is_template,
            definition: self.hasher.hash_one(thing.definition),
        };
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return Ok(Arc::clone(known));
        }
        let parties = self.names.parties(client, thing).map_err(|error| undecided(thing, &error))?;
        let known = Arc::new(Known { parties, lasting: OnceLock::new() });
        let mut all = lock();
        if all.len() >= MANY {
            all.clear();
        }
        all.insert(key, Arc::clone(&known));
        Ok(known)
    }

    /// Decides a call.
    ///
    /// # Errors
    /// Its arguments cannot be looked at.
    pub(super) fn decide(
        &self,
        client: &Client,
        thing: &Thing<'_>,
        arguments: &[u8],
        now: SystemTime,
    ) -> Result<Decision, Failure> {
        let known = self.known(client, thing)?;
        self.decided(&known, thing, arguments, now).map_err(|error| undecided(thing, &error))
    }

    fn decided(
        &self,
        known: &Known,
        thing: &Thing<'_>,
        arguments: &[u8],
        now: SystemTime,
    ) -> Result<Decision, String> {
        let lasting = match known.lasting.get() {
            Some(lasting) => lasting,
            None => {
                let said = self.ask(&self.lasting, &known.parties, Context::empty())?;
                known.lasting.get_or_init(|| said)
            }
        };
        if self.by_call.is_empty() {
            return Ok(lasting.clone().decision());
        }
        let context = self.context(thing, arguments, now)?;
        Ok(lasting.and(self.ask(&self.by_call, &known.parties, context)?).decision())
    }

    fn ask(&self, policies: &PolicySet, parties: &Parties, context: Context) -> Result<Said, String> {
        let Parties { principal, action, resource, entities } = parties;
        let request = Request::new(principal.clone(), action.clone(), resource.clone(), context, None)
            .map_err(|error| error.to_string())?;
        let response = self.authorizer.is_authorized(&request, policies, entities);
        let by = self.rules(response.diagnostics().reason());
        let (forbid, permit) = match response.decision() {
            Answer::Allow => (Vec::new(), by),
            Answer::Deny => (by, Vec::new()),
        };
        let errors =
            response.diagnostics().errors().filter_map(|AuthorizationError::PolicyEvaluationError(error)| {
                Some((Arc::clone(self.rules.get(error.policy_id())?), error.inner().to_string()))
            });
        Ok(Said { forbid, permit, errors: errors.collect() })
    }

    /// Decides as much as can be decided before the arguments and the time are known. Nothing of it is remembered: whoever makes
    /// lists keeps them.
    pub(super) fn foresee(&self, client: &Client, thing: &Thing<'_>) -> Decision {
        self.foreseen(client, thing)
            .unwrap_or_else(|_| Decision::new(Ruling::Refused, Vec::new(), Vec::new()))
    }

    fn foreseen(&self, client: &Client, thing: &Thing<'_>) -> Result<Decision, String> {
        let parties = self.names.parties(client, thing)?;
        if self.by_call.is_empty() && !thing.is_template {
            return Ok(self.ask(&self.lasting, &parties, Context::empty())?.decision());
        }
        let unknown = |name: &str| (name.to_owned(), RestrictedExpression::new_unknown(name));
        let mut members = vec![unknown("time"), effect(thing)];
        if thing.action != Action::ReadResource {
            members.push(unknown("arguments"));
        }
        let context = Context::from_pairs(members).map_err(|error| error.to_string())?;
        let Parties { principal, action, resource, entities } = parties;
        let request = Request::builder()
            .principal(principal)
            .action(action)
            .resource(resource)
            .context(context)
            .build();
        let response = self.authorizer.is_authorized_partial(&request, &self.policies, &entities);
        let ruling = match response.decision() {
            Some(Answer::Allow) => Ruling::Permitted,
            Some(Answer::Deny) => Ruling::Refused,
            None => Ruling::Depends,
        };
        let by: Vec<Policy> = match ruling {
            Ruling::Depends => response.may_be_determining().collect(),
            Ruling::Permitted | Ruling::Refused => response.must_be_determining().collect(),
        };
        let errors = response.definitely_errored().filter_map(|id| self.rules.get(id));
        let errors = errors.map(|rule| (Arc::clone(rule), "what it looks at is not there".to_owned()));
        Ok(Decision::new(ruling, self.rules(by.iter().map(Policy::id)), errors.collect()))
    }

    fn context(&self, thing: &Thing<'_>, raw: &[u8], now: SystemTime) -> Result<Context, String> {
        let time =
            RestrictedExpression::new_record(entities::time(now)).map_err(|error| error.to_string())?;
        let mut members = vec![("time".to_owned(), time), effect(thing)];
        if thing.action != Action::ReadResource {
            members.push(("arguments".to_owned(), arguments::record(raw)?));
        }
        Context::from_pairs(members).map_err(|error| error.to_string())
    }

    /// The rules of these policies, in the order of the file.
    fn rules<'a>(&self, ids: impl IntoIterator<Item = &'a PolicyId>) -> Vec<Arc<Rule>> {
        in_order(ids.into_iter().filter_map(|id| self.rules.get(id).cloned()).collect())
    }
}

fn effect(thing: &Thing<'_>) -> (String, RestrictedExpression) {
    ("effect".to_owned(), RestrictedExpression::new_string(thing.effect.word().to_owned()))
}

/// What policies cannot look at they do not permit.
fn undecided(thing: &Thing<'_>, why: &str) -> Failure {
    let cause = format!("`{}` was refused, because policies cannot judge the call: {why}", thing.name);
    Failure::new(Code::PolicyDenied, cause).of(&thing.server.into()).not_run()
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Set").field("policies", &self.rules.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
