//! Reads policies: into a [`Set`], or into what is wrong with them, with the place.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use cedar_policy::{
    Authorizer, Effect, Policy, PolicyId, PolicySet, ValidationMode, ValidationWarning, Validator,
};
use miette::Diagnostic;

use super::Set;
use super::entities::Names;
use super::schema::{Arguments, schema};
use super::wanted::Wanted;
use crate::config::{Problem, Severity};
use crate::failure::Code;
use crate::policy::question::Rule;

/// A file of policies that is being looked at.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

pub(super) fn read(path: &Path, text: &str) -> (Option<Set>, Vec<Problem>) {
    let mut file = File { path, text, problems: Vec::new() };
    let set = file.set();
    let is_wrong = file.problems.iter().any(|problem| problem.severity == Severity::Error);
    (set.filter(|_| !is_wrong), file.problems)
}

impl File<'_> {
    fn report(&mut self, severity: Severity, message: String, found: Found) {
        let problem = Problem::new(severity, Code::PolicyBroken, message);
        let problem = problem.in_file(self.path, self.text, found.span);
        self.problems.push(match found.help {
            Some(help) => problem.suggest(help),
            None => problem,
        });
    }

    /// Something that is wrong with us and not with the file.
    fn fault(&mut self, message: String) {
        self.report(Severity::Error, message, Found::at(0..0));
    }

    fn set(&mut self) -> Option<Set> {
        let policies: PolicySet = match self.text.parse() {
            Ok(policies) => policies,
            Err(errors) => {
                let errors: cedar_policy::ParseErrors = errors;
                for error in errors.iter() {
                    self.report(Severity::Error, format!("not valid Cedar: {error}"), Found::of(error, 0..0));
                }
                return None;
            }
        };
        let places = self.places(&policies);
        let rules = self.rules(&policies, &places);
        self.validate(&policies, &places, &rules);
        if let Some(template) = policies.templates().next() {
            let message = format!("`{}` has a slot that nobody fills, so it never applies", template.id());
            let help = Some("name the principal or the resource itself".to_owned());
            self.report(Severity::Warning, message, Found { span: 0..0, help });
        }
        if !rules.values().any(|rule| !rule.forbids) {
            let help = Some("what no policy permits is refused: write a `permit`".to_owned());
            self.report(
                Severity::Warning,
                "no policy permits anything".to_owned(),
                Found { span: 0..0, help },
            );
        }
        let (by_call, lasting): (Vec<Policy>, Vec<Policy>) =
            policies.policies().cloned().partition(looks_at_context);
        let wanted = Wanted::by(&by_call);
        let part =
            |policies: Vec<Policy>| PolicySet::from_policies(policies).map_err(|error| error.to_string());
        let parts = part(lasting).and_then(|lasting| Ok((lasting, part(by_call)?, Names::new()?)));
        match parts {
            Ok((lasting, by_call, names)) => Some(Set {
                text: self.text.to_owned(),
                policies,
                lasting,
                by_call,
                wanted,
                rules,
                authorizer: Authorizer::new(),
                names,
                hasher: ahash::RandomState::new(),
                count: AtomicU64::new(0),
                known: Mutex::default(),
                answers: Mutex::default(),
            }),
            Err(error) => {
                self.fault(error);
                None
            }
        }
    }

    /// Where each policy stands. Cedar keeps their texts and numbers them as they come.
    fn places(&self, policies: &PolicySet) -> HashMap<PolicyId, Range<usize>> {
        let mut numbered: Vec<&Policy> = policies.policies().collect();
        numbered.sort_by_key(|policy| number(policy.id()));
        let mut from = 0;
        let mut places = HashMap::new();
        for policy in numbered {
            let text = policy.to_cedar().unwrap_or_default();
            let start = self.text[from..].find(&text).map_or(from, |at| from + at);
            from = (start + text.len()).min(self.text.len());
            places.insert(policy.id().clone(), start..from);
        }
        places
    }

    fn rules(
        &mut self,
        policies: &PolicySet,
        places: &HashMap<PolicyId, Range<usize>>,
    ) -> HashMap<PolicyId, Arc<Rule>> {
        let mut numbered: Vec<&Policy> = policies.policies().collect();
        numbered.sort_by_key(|policy| number(policy.id()));
        let mut rules: HashMap<PolicyId, Arc<Rule>> = HashMap::new();
        for policy in numbered {
            let span = places.get(policy.id()).cloned().unwrap_or(0..0);
            let text = |name| policy.annotation(name).filter(|text| !text.is_empty()).map(str::to_owned);
            let id = text("id").unwrap_or_else(|| policy.id().to_string());
            if rules.values().any(|rule| rule.id == id) {
                let message = format!("two policies have the id `{id}`");
                self.report(Severity::Error, message, Found::at(span.clone()));
            }
            let placed =
                Problem::new(Severity::Warning, Code::PolicyBroken, "").in_file(self.path, self.text, span);
            let Some(place) = placed.place else { continue };
            let forbids = policy.effect() == Effect::Forbid;
            let rule = Rule { id, forbids, reason: text("reason"), place };
            rules.insert(policy.id().clone(), Arc::new(rule));
        }
        rules
    }

    /// Compares the policies with what they can speak of, in two views: that without arguments finds whoever looks at one that may
    /// be absent, but does not look at what stands behind the question whether it is there; that with any arguments does.
    fn validate(
        &mut self,
        policies: &PolicySet,
        places: &HashMap<PolicyId, Range<usize>>,
        rules: &HashMap<PolicyId, Arc<Rule>>,
    ) {
        let (strict, open) = match (schema(Arguments::Absent), schema(Arguments::Open)) {
            (Ok(strict), Ok(open)) => (Validator::new(strict), Validator::new(open)),
            (Err(error), _) | (_, Err(error)) => {
                return self.fault(format!("the schema of Switchboard is wrong: {error}"));
            }
        };
        let strict = strict.validate(policies, ValidationMode::Strict);
        let open = open.validate(policies, ValidationMode::Partial);
        let place = |id: &PolicyId| places.get(id).cloned().unwrap_or(0..0);
        let words = |id: &PolicyId, text: String| {
            let name = rules.get(id).map_or_else(|| id.to_string(), |rule| rule.id.clone());
            let text = text.replace(&format!("for policy `{id}`, "), "");
            format!("policy `{name}`: {text}")
        };
        let mut told = Vec::new();
        for error in strict.validation_errors().chain(open.validation_errors()) {
            let id = error.policy_id();
            let found = Found::of(error, place(id));
            told.push(match absent_argument(&error.to_string()) {
                Some(argument) => {
                    let text = format!("a call may have no argument `{argument}`");
                    let help = format!("test for it first: `context.arguments has {argument} && ..`");
                    (Severity::Error, words(id, text), Found { help: Some(help), ..found })
                }
                None => (Severity::Error, words(id, error.to_string()), found),
            });
        }
        for warning in strict.validation_warnings() {
            let id = warning.policy_id();
            // What does not apply because it is wrong is only wrong.
            if strict.validation_errors().any(|error| error.policy_id() == id) {
                continue;
            }
            let is_by_arguments = policies.policy(id).is_none_or(looks_at_arguments);
            if !(is_by_arguments && matches!(warning, ValidationWarning::ImpossiblePolicy(_))) {
                told.push((Severity::Warning, words(id, warning.to_string()), Found::of(warning, place(id))));
            }
        }
        // Cedar tells them in no order.
        told.sort_by(|(_, a, at), (_, b, bt)| (at.span.start, a).cmp(&(bt.span.start, b)));
        for (severity, message, found) in told {
            self.once(severity, message, found);
        }
    }

    /// Reports what stands at a place of which nothing has been said yet: Cedar tells the same thing for every action.
    fn once(&mut self, severity: Severity, message: String, found: Found) {
        let place =
            Problem::new(severity, Code::PolicyBroken, "").in_file(self.path, self.text, found.span.clone());
        if !self.problems.iter().any(|known| known.severity == severity && known.place == place.place) {
            self.report(severity, message, found);
        }
    }
}

/// Where something stands, and what Cedar advises.
struct Found {
    span: Range<usize>,
    help: Option<String>,
}

impl Found {
    /// `about` is where it is, if Cedar does not say.
    fn of(diagnostic: &dyn Diagnostic, about: Range<usize>) -> Self {
        let label = diagnostic.labels().and_then(|mut labels| labels.next());
        let span = label.map_or(about, |label| label.offset()..label.offset() + label.len());
        Self { span, help: diagnostic.help().map(|help| help.to_string()) }
    }

    fn at(span: Range<usize>) -> Self {
        Self { span, help: None }
    }
}

/// The argument of which Cedar says that it does not exist.
fn absent_argument(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("attribute `arguments.")?;
    let (path, _) = rest.split_once('`')?;
    Some(path.split('.').next().unwrap_or(path).to_owned())
}

/// The number of a policy in its file.
fn number(id: &PolicyId) -> usize {
    id.to_string().trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

/// Whether a policy speaks of `context`. One whose form cannot be told is taken for one that does.
fn looks_at_context(policy: &Policy) -> bool {
    policy.to_json().map_or(true, |json| holds(&json, "Var", "context"))
}

fn looks_at_arguments(policy: &Policy) -> bool {
    policy.to_json().map_or(true, |json| holds(&json, "attr", "arguments"))
}

/// Whether the tree of a policy has this pair anywhere.
fn holds(json: &serde_json::Value, name: &str, value: &str) -> bool {
    match json {
        serde_json::Value::Object(members) => {
            members.get(name).is_some_and(|found| found == value)
                || members.values().any(|below| holds(below, name, value))
        }
        serde_json::Value::Array(values) => values.iter().any(|below| holds(below, name, value)),
        _ => false,
    }
}
