//! A set of policies, evaluated by `cedar-policy`.

mod arguments;
mod entities;
mod read;
mod schema;
mod wanted;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
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
use wanted::{Picked, Wanted};

/// So many questions are remembered; then all are forgotten. Clients choose their names and the URIs that they read.
const MANY: usize = 1024;
/// So many decisions are remembered that depend on more than the question; then all are forgotten.
const MANY_ANSWERS: usize = 4096;

/// See the module.
pub(super) struct Set {
    text: String,
    policies: PolicySet,
    /// Those of them whose answer holds as long as client and tool are the same.
    lasting: PolicySet,
    /// Those that look at the arguments, the time, or whatever else a call brings with it.
    by_call: PolicySet,
    /// What those look at.
    wanted: Wanted,
    rules: HashMap<PolicyId, Arc<Rule>>,
    authorizer: Authorizer,
    names: Names,
    hasher: ahash::RandomState,
    /// How many questions were new.
    count: AtomicU64,
    /// By the hash of the question, which nobody can foresee.
    known: Mutex<HashMap<u64, Arc<Known>, ahash::RandomState>>,
    answers: Mutex<HashMap<wanted::Key, Arc<Decision>, ahash::RandomState>>,
}

/// A question that was asked before: all that tells it from another one, but for what a call brings with it.
struct Known {
    client: Client,
    action: Action,
    server: String,
    name: String,
    original: String,
    categories: Vec<String>,
    effect: Effect,
    is_template: bool,
    /// The hash of the question, with the definition.
    hash: u64,
    /// Nobody else's number.
    number: u64,
    parties: Parties,
    /// What the lasting policies say.
    lasting: OnceLock<Said>,
    /// The decision, if there are no others.
    answer: OnceLock<Arc<Decision>>,
}

impl Known {
    fn is(&self, hash: u64, client: &Client, thing: &Thing<'_>) -> bool {
        let Thing { action, name, original, server, categories, definition: _, effect, is_template } = *thing;
        self.hash == hash
            && self.client == *client
            && (self.action, self.effect, self.is_template) == (action, effect, is_template)
            && (&*self.name, &*self.original, &*self.server) == (name, original, server)
            && self.categories == categories
    }
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
        let Thing { action, name, original, server, categories, definition, effect, is_template } = *thing;
        let hash = self.hasher.hash_one((
            client,
            action,
            name,
            original,
            server,
            categories,
            definition,
            effect,
            is_template,
        ));
        let known = lock(&self.known).get(&hash).map(Arc::clone);
        if let Some(known) = known.filter(|known| known.is(hash, client, thing)) {
            return Ok(known);
        }
        let parties = self.names.parties(client, thing).map_err(|error| undecided(thing, &error))?;
        let known = Arc::new(Known {
            client: client.clone(),
            action,
            server: server.to_owned(),
            name: name.to_owned(),
            original: original.to_owned(),
            categories: categories.to_vec(),
            effect,
            is_template,
            hash,
            number: self.count.fetch_add(1, Ordering::Relaxed),
            parties,
            lasting: OnceLock::new(),
            answer: OnceLock::new(),
        });
        let mut all = lock(&self.known);
        if all.len() >= MANY {
            all.clear();
        }
        all.insert(hash, Arc::clone(&known));
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
    ) -> Result<Arc<Decision>, Failure> {
        let known = self.known(client, thing)?;
        self.decided(&known, thing, arguments, now).map_err(|error| undecided(thing, &error))
    }

    fn decided(
        &self,
        known: &Known,
        thing: &Thing<'_>,
        arguments: &[u8],
        now: SystemTime,
    ) -> Result<Arc<Decision>, String> {
        if let Some(answer) = known.answer.get() {
            return Ok(Arc::clone(answer));
        }
        let picked = self.wanted.pick(arguments)?;
        let key = (!self.by_call.is_empty()).then(|| self.wanted.key(known.number, &picked, now)).flatten();
        let answer = key.as_ref().and_then(|key| lock(&self.answers).get(key).map(Arc::clone));
        if let Some(answer) = answer {
            return Ok(answer);
        }
        let lasting = match known.lasting.get() {
            Some(lasting) => lasting,
            None => {
                let said = self.ask(&self.lasting, &known.parties, Context::empty())?;
                known.lasting.get_or_init(|| said)
            }
        };
        if self.by_call.is_empty() {
            return Ok(Arc::clone(known.answer.get_or_init(|| Arc::new(lasting.clone().decision()))));
        }
        let context = context(thing, &picked, &self.wanted, now)?;
        let said = self.ask(&self.by_call, &known.parties, context)?;
        let answer = Arc::new(lasting.and(said).decision());
        if let Some(key) = key {
            let mut answers = lock(&self.answers);
            if answers.len() >= MANY_ANSWERS {
                answers.clear();
            }
            answers.insert(key, Arc::clone(&answer));
        }
        Ok(answer)
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

    /// The rules of these policies, in the order of the file.
    fn rules<'a>(&self, ids: impl IntoIterator<Item = &'a PolicyId>) -> Vec<Arc<Rule>> {
        in_order(ids.into_iter().filter_map(|id| self.rules.get(id).cloned()).collect())
    }
}

/// What a call brings with it, as far as it is wanted.
fn context(
    thing: &Thing<'_>,
    picked: &Picked<'_>,
    wanted: &Wanted,
    now: SystemTime,
) -> Result<Context, String> {
    let mut members: Vec<_> = wanted.effect.then(|| effect(thing)).into_iter().collect();
    if wanted.time {
        let time = RestrictedExpression::new_record(entities::time(now));
        members.push(("time".to_owned(), time.map_err(|error| error.to_string())?));
    }
    if thing.action != Action::ReadResource {
        members.push(("arguments".to_owned(), arguments::record(picked)?));
    }
    Context::from_pairs(members).map_err(|error| error.to_string())
}

fn effect(thing: &Thing<'_>) -> (String, RestrictedExpression) {
    ("effect".to_owned(), RestrictedExpression::new_string(thing.effect.word().to_owned()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
