//! Calls of modern clients that wait for an answer: the client got an interim result and is to come again.
//!
//! The mock keeps the call itself and finds it by the `requestState`, so that the steps after the question go on where
//! they stopped. It trusts nothing of the retry and says in words what is wrong with it.
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr>

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::ask::{Ask, AskState, wrong_answer};
use super::modern::Caller;
use super::output::Output;
use super::run::Request;
use super::template::Scope;

/// The waiting calls.
#[derive(Default)]
pub(super) struct Rounds {
    waiting: Vec<Parked>,
    /// States that were answered already.
    spent: HashSet<String>,
    /// How many states were made.
    made: u64,
}

/// A call that waits.
pub(super) struct Parked {
    pub(super) method: String,
    /// The params that the retry must repeat.
    pub(super) params: Value,
    /// The ids that this call had so far.
    pub(super) ids: Vec<String>,
    pub(super) ask: Arc<Ask>,
    /// None where the interim result carried none.
    pub(super) state: Option<String>,
    pub(super) resume: oneshot::Sender<Resume>,
    /// Cancels the call.
    pub(super) cancel: CancellationToken,
}

/// A waiting call that a request goes on with.
pub(super) struct Continued {
    pub(super) call: Parked,
    /// The answers to its questions, by their keys.
    pub(super) answers: Map<String, Value>,
}

/// What the retry brings to the waiting call.
pub(super) struct Resume {
    pub(super) request: Request,
    pub(super) caller: Caller,
    pub(super) out: Output,
    pub(super) scope: Scope,
    pub(super) answers: Map<String, Value>,
    /// Dropped when the retry was answered.
    pub(super) done: oneshot::Sender<()>,
}

/// What a request says about an earlier round, if anything.
#[derive(Default, Deserialize)]
struct Retry {
    #[serde(rename = "requestState")]
    state: Option<Value>,
    #[serde(rename = "inputResponses")]
    answers: Option<Value>,
}

/// The params without what differs between the rounds of one call.
pub(super) fn comparable(params: &str) -> Value {
    let mut params: Value = serde_json::from_str(params).unwrap_or(Value::Null);
    if let Value::Object(members) = &mut params {
        for key in ["_meta", "requestState", "inputResponses"] {
            members.shift_remove(key);
        }
    }
    params
}

impl Rounds {
    /// A state that nobody had before. It is meant to be hard to carry: quotes, a backslash, other scripts, spaces.
    pub(super) fn make_state(&mut self) -> String {
        self.made += 1;
        format!("mock \"{}\" \\ é日🙂 {:016x}=", self.made, fastrand::u64(..))
    }

    pub(super) fn park(&mut self, parked: Parked) {
        // Whoever gave up is no longer waited for.
        self.waiting.retain(|parked| !parked.resume.is_closed());
        self.waiting.push(parked);
    }

    /// Lets every waiting call end.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Takes the call that this request goes on with, and the answers to its questions. None means that the request
    /// is no retry.
    ///
    /// # Errors
    /// What is wrong with the retry; the call waits on.
    pub(super) fn take(&mut self, method: &str, id: &str, params: &str) -> Option<Result<Continued, String>> {
        let retry: Retry = serde_json::from_str(params).unwrap_or_default();
        if retry.state.is_none() && retry.answers.is_none() {
            return None;
        }
        Some(self.find(method, id, &comparable(params), retry).map(|(at, answers)| {
            let parked = self.waiting.remove(at);
            self.spent.extend(parked.state.clone());
            Continued { call: parked, answers }
        }))
    }

    fn find(
        &self,
        method: &str,
        id: &str,
        params: &Value,
        retry: Retry,
    ) -> Result<(usize, Map<String, Value>), String> {
        let answers = match retry.answers {
            None => Map::new(),
            Some(Value::Object(answers)) => answers,
            Some(other) => return Err(format!("`inputResponses` is no object but {other}")),
        };
        let at = match &retry.state {
            Some(Value::String(state)) => self.by_state(state)?,
            Some(other) => return Err(format!("`requestState` is no text but {other}")),
            None => self.by_params(method, params, &answers)?,
        };
        let parked = &self.waiting[at];
        if parked.ask.check {
            parked.examine(method, id, params, &answers)?;
        }
        Ok((at, answers))
    }

    fn by_state(&self, state: &str) -> Result<usize, String> {
        let found = self.waiting.iter().position(|parked| parked.state.as_deref() == Some(state));
        found.ok_or_else(|| match self.spent.contains(state) {
            true => format!("this `requestState` was used before: {state}"),
            false => format!("unknown `requestState`: {state}"),
        })
    }

    /// Without a state, the call is the first waiting one that looks the same.
    fn by_params(&self, method: &str, params: &Value, answers: &Map<String, Value>) -> Result<usize, String> {
        let alike = |parked: &&Parked| parked.method == method && parked.params == *params;
        let keys =
            |parked: &Parked| parked.ask.questions.iter().all(|question| answers.contains_key(&question.key));
        let stateless = |parked: &Parked| parked.state.is_none() && keys(parked);
        if let Some(at) = self.waiting.iter().position(|parked| alike(&parked) && stateless(parked)) {
            return Ok(at);
        }
        Err(match self.waiting.iter().find(alike) {
            Some(Parked { state: Some(_), .. }) => "`requestState` is missing".into(),
            Some(parked) => parked.wrong_keys(answers).unwrap_or_default(),
            None => "`inputResponses` without a question".into(),
        })
    }
}

impl Parked {
    fn examine(
        &self,
        method: &str,
        id: &str,
        params: &Value,
        answers: &Map<String, Value>,
    ) -> Result<(), String> {
        if self.method != method {
            return Err(format!("this `requestState` belongs to {}, not to {method}", self.method));
        }
        if self.ids.iter().any(|earlier| earlier == id) {
            return Err(format!("the retry has the id {id} of an earlier round"));
        }
        if self.params != *params {
            return Err(format!("the retry has other params: {params} instead of {}", self.params));
        }
        if let Some(wrong) = self.wrong_keys(answers) {
            return Err(wrong);
        }
        for question in &self.ask.questions {
            let answer = answers.get(&question.key).unwrap_or(&Value::Null);
            if let Some(wrong) = wrong_answer(&question.method, answer) {
                return Err(format!(
                    "the answer `{}` does not fit {}: {wrong}",
                    question.key, question.method
                ));
            }
        }
        Ok(())
    }

    fn wrong_keys(&self, answers: &Map<String, Value>) -> Option<String> {
        let asked: Vec<_> = match self.ask.state {
            AskState::Alone => Vec::new(),
            _ => self.ask.questions.iter().map(|question| question.key.as_str()).collect(),
        };
        let same = asked.len() == answers.len() && asked.iter().all(|key| answers.contains_key(*key));
        let answered: Vec<_> = answers.keys().map(String::as_str).collect();
        (!same).then(|| {
            format!("the questions were [{}], the answers are [{}]", asked.join(", "), answered.join(", "))
        })
    }
}
