//! Tasks: calls that are answered at once with a handle, in the form of 2025-11-25 and in that of the extension.
//!
//! <https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/tasks>,
//! <https://modelcontextprotocol.io/seps/2663-tasks-extension>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::answers::Reply;
use super::output::Output;
use super::revision::{TASKS, meta};
use super::script::TaskPlan;
use super::template::push_quoted;

/// Which form a task has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// That of 2025-11-25; a task belongs to the session with this number.
    Core { session: u64 },
    /// That of the extension; whoever knows the id may use it.
    Extension,
}

/// How a task fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Working,
    InputRequired,
    Completed,
    Failed,
    Cancelled,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Status::Working => "working",
            Status::InputRequired => "input_required",
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        }
    }

    pub(super) fn is_final(self) -> bool {
        matches!(self, Status::Completed | Status::Failed | Status::Cancelled)
    }
}

/// One task.
pub(super) struct Task {
    pub(super) id: String,
    pub(super) form: Form,
    /// Stops the work.
    pub(super) cancel: CancellationToken,
    /// Whether the work goes on when it is cancelled, and ends as it likes.
    pub(super) stubborn: bool,
    plan: TaskPlan,
    /// Milliseconds; none means that it stays.
    ttl: Option<u64>,
    created: String,
    state: Mutex<State>,
    /// Counts the changes.
    pub(super) changed: watch::Sender<u64>,
}

struct State {
    status: Status,
    message: Option<String>,
    updated: String,
    outcome: Option<Outcome>,
    /// Questions that wait for an answer, by their keys.
    questions: BTreeMap<String, (Value, oneshot::Sender<Value>)>,
    /// How many questions were put.
    asked: u64,
    /// Where somebody waits for the result, and may be asked.
    waiting: Option<Output>,
}

/// What came of a task.
#[derive(Clone)]
pub(super) enum Outcome {
    Result(String),
    Error(String),
}

/// The tasks of a server.
#[derive(Default)]
pub(super) struct Tasks(BTreeMap<String, Arc<Task>>);

impl Tasks {
    pub(super) fn add(
        &mut self,
        plan: &TaskPlan,
        ttl: Option<u64>,
        form: Form,
        cancel: CancellationToken,
        stubborn: bool,
    ) -> Arc<Task> {
        let now = timestamp(SystemTime::now());
        let state = State {
            status: Status::Working,
            message: None,
            updated: now.clone(),
            outcome: None,
            questions: BTreeMap::new(),
            asked: 0,
            waiting: None,
        };
        let task = Arc::new(Task {
            id: format!("task-{:04}-{:016x}", self.0.len() + 1, fastrand::u64(..)),
            form,
            cancel,
            stubborn,
            plan: plan.clone(),
            ttl,
            created: now,
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
        });
        self.0.insert(task.id.clone(), Arc::clone(&task));
        task
    }

    /// The task that a request of this form may use.
    pub(super) fn find(&self, id: &str, form: Form) -> Option<Arc<Task>> {
        self.0.get(id).filter(|task| task.form == form).cloned()
    }

    pub(super) fn of(&self, form: Form) -> Vec<Arc<Task>> {
        self.0.values().filter(|task| task.form == form).cloned().collect()
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }
}

impl Task {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> bool {
        {
            let mut state = self.state();
            if state.status.is_final() {
                return false;
            }
            change(&mut state);
            state.updated = timestamp(SystemTime::now());
        }
        self.changed.send_modify(|count| *count += 1);
        true
    }

    pub(super) fn status(&self) -> Status {
        self.state().status
    }

    /// How long the task is kept.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        self.ttl.map(Duration::from_millis)
    }

    /// Whether questions are put without waiting for `tasks/result`.
    pub(super) fn asks_directly(&self) -> bool {
        self.plan.direct
    }

    /// Says how the work goes. Whether that is news: what ended has ended.
    pub(super) fn say(&self, message: String) -> bool {
        self.change(|state| state.message = Some(message))
    }

    /// Ends the task with a response. A result that says it is an error is a failure in the older form alone.
    pub(super) fn finish(&self, reply: &Reply) -> bool {
        #[derive(Deserialize)]
        struct ToolResult {
            #[serde(default, rename = "isError")]
            is_error: bool,
        }
        let (status, outcome) = match reply {
            Reply::Result(body) => {
                let is_error = serde_json::from_str::<ToolResult>(body).is_ok_and(|result| result.is_error);
                let failed = is_error && self.form != Form::Extension;
                (if failed { Status::Failed } else { Status::Completed }, Outcome::Result(body.clone()))
            }
            Reply::Error(body) | Reply::Refusal(body) => (Status::Failed, Outcome::Error(body.clone())),
        };
        self.change(|state| {
            state.status = status;
            state.outcome = Some(outcome);
            state.questions.clear();
        })
    }

    pub(super) fn cancelled(&self) -> bool {
        self.change(|state| {
            state.status = Status::Cancelled;
            state.message = Some("The task was cancelled.".into());
            let error = json!({"code": -32603, "message": "The task was cancelled"});
            state.outcome = Some(Outcome::Error(error.to_string()));
            state.questions.clear();
        })
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.state().outcome.clone()
    }

    /// Puts a question; gives where its answer comes. Its key is used once in the life of a task.
    pub(super) fn question(&self, key: &str, request: Value) -> oneshot::Receiver<Value> {
        let (sender, receiver) = oneshot::channel();
        self.change(|state| {
            state.asked += 1;
            state.status = Status::InputRequired;
            state.questions.insert(format!("{key}-{}", state.asked), (request, sender));
        });
        receiver
    }

    /// Takes answers. Those to no open question are ignored, as the extension asks. Whether that is news.
    pub(super) fn answer(&self, answers: &Map<String, Value>) -> bool {
        self.change(|state| {
            for (key, answer) in answers {
                if let Some((_, waiting)) = state.questions.remove(key) {
                    // The work may have been cancelled meanwhile.
                    let _ = waiting.send(answer.clone());
                }
            }
            if state.questions.is_empty() && state.status == Status::InputRequired {
                state.status = Status::Working;
            }
        })
    }

    /// Sets the status while the client is asked in the older form.
    pub(super) fn asking(&self, asking: bool) -> bool {
        self.change(|state| state.status = if asking { Status::InputRequired } else { Status::Working })
    }

    pub(super) fn wait_here(&self, out: Output) {
        self.state().waiting = Some(out);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Where the client can be asked now: where it waits for the result.
    pub(super) fn waiting(&self) -> Option<Output> {
        self.state().waiting.clone().filter(|out| !out.is_gone())
    }

    /// The task as its form has it: members of an object, without braces.
    pub(super) fn members(&self, detailed: bool) -> String {
        let state = self.state();
        let core = self.form != Form::Extension;
        let mut members = Map::new();
        members.insert("taskId".into(), json!(self.id));
        members.insert("status".into(), json!(state.status.word()));
        if let Some(message) = &state.message {
            members.insert("statusMessage".into(), json!(message));
        }
        members.insert("createdAt".into(), json!(self.created));
        members.insert("lastUpdatedAt".into(), json!(state.updated));
        members.insert(if core { "ttl" } else { "ttlMs" }.into(), json!(self.ttl));
        if let Some(poll) = self.plan.poll {
            let name = if core { "pollInterval" } else { "pollIntervalMs" };
            members.insert(name.into(), json!(poll.as_millis() as u64));
        }
        if detailed && !core && state.status == Status::InputRequired {
            let questions = state.questions.iter().map(|(key, (request, _))| (key.clone(), request.clone()));
            members.insert("inputRequests".into(), Value::Object(questions.collect()));
        }
        let mut text = Value::Object(members).to_string();
        text.pop();
        if detailed && !core {
            match (&state.outcome, state.status) {
                (Some(Outcome::Result(body)), _) => text.push_str(&format!(r#","result":{body}"#)),
                (Some(Outcome::Error(body)), Status::Failed) => text.push_str(&format!(r#","error":{body}"#)),
                _ => {}
            }
        }
        text.split_off(1)
    }

    /// The member of `_meta` that ties a message to the task, in the older form.
    pub(super) fn related(&self) -> String {
        let mut id = String::new();
        push_quoted(&self.id, &mut id);
        format!(r#"{{"{}":{{"taskId":{id}}}}}"#, meta::RELATED_TASK)
    }
}

/// What a client must declare to be given tasks of the extension.
pub(super) fn extension() -> Value {
    json!({"extensions": {TASKS: {}}})
}

/// The time as ISO 8601 has it, in UTC, to the millisecond.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days are counted from 1 March of year 0, so that the odd day of a leap year comes last.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps() {
        let at = |seconds: u64| timestamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_795_357_036), "2026-11-22T14:17:16.000Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59.000Z");
    }
}
