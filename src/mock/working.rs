//! Running calls that are tasks, and the requests about them.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::answers::{self, Reply};
use super::ask::{Ask, AskState, Question, needs, request_of};
use super::listen::Change;
use super::members::Members;
use super::modern;
use super::output::{Kind, Output};
use super::revision::code;
use super::run::Job;
use super::script::TaskPlan;
use super::tasks::{Form, Outcome, Task, extension};

/// A task that a request is to become.
pub(super) struct NewTask {
    pub(super) plan: TaskPlan,
    /// How long the caller wants it kept, in milliseconds.
    pub(super) ttl: Option<u64>,
}

impl Job {
    fn form(&self) -> Form {
        match &self.caller {
            Some(_) => Form::Extension,
            None => Form::Core { session: self.session.number },
        }
    }

    /// Answers with a handle and goes on as a task.
    pub(super) async fn become_task(&mut self, new: NewTask) {
        let server = Arc::clone(&self.session.server);
        let ttl = new.plan.ttl.map(|ttl| ttl.as_millis() as u64).or(new.ttl);
        let task =
            server.state().work.add(&new.plan, ttl, self.form(), self.cancel.clone(), self.is_stubborn());
        let handle = match task.form {
            Form::Core { .. } => format!(r#"{{"task":{{{}}}}}"#, task.members(false)),
            Form::Extension => format!(r#"{{"resultType":"task",{}}}"#, task.members(false)),
        };
        if let Some(id) = self.id() {
            // The request is answered, so that its cancellation means nothing any more.
            self.session.state().running.remove(id);
        }
        self.reply(Reply::Result(handle)).await;
        self.out = match task.form {
            Form::Core { .. } => self.session.output.clone(),
            Form::Extension => Output::nowhere(),
        };
        if let Some(lifetime) = task.lifetime() {
            let task = Arc::clone(&task);
            tokio::spawn(async move {
                tokio::time::sleep(lifetime).await;
                task.cancel.cancel();
                server.state().work.remove(&task.id);
            });
        }
        self.task = Some(task);
    }

    /// Tells whoever may hear it how the task fares.
    pub(super) async fn announce_task(&self, task: &Task) {
        match task.form {
            Form::Core { .. } => {
                let params = task.members(false);
                let line = format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{{{params}}}}}"#
                );
                self.session.output.message(line, Kind::Other).await;
            }
            Form::Extension => {
                let listeners = self.session.server.state().listeners.who_want(&Change::Task(&task.id));
                for listener in listeners {
                    listener.tell("notifications/tasks", &format!(",{}", task.members(true))).await;
                }
            }
        }
    }

    /// Puts questions as a task does, and waits for the answers.
    pub(super) async fn ask_in_task(&mut self, ask: &Ask, task: &Arc<Task>) {
        if ask.state == AskState::Alone {
            return;
        }
        let mut waiting = Vec::new();
        match task.form {
            Form::Extension => {
                if let Some(lacks) = self.lacks(&ask.questions).filter(|_| ask.check) {
                    self.over = true;
                    return self.reply(modern::missing_capability(&lacks)).await;
                }
                for question in &ask.questions {
                    let request = request_of(question);
                    let request = serde_json::from_str(&self.scope.json(&request)).unwrap_or(Value::Null);
                    waiting.push((question, task.question(&question.key, request)));
                }
                self.announce_task(task).await;
            }
            Form::Core { .. } => {
                task.asking(true);
                self.announce_task(task).await;
                let out = if task.asks_directly() { self.session.output.clone() } else { side(task).await };
                for question in &ask.questions {
                    waiting.push((question, self.put(question, &out).await));
                }
            }
        }
        for (question, receiver) in waiting {
            let answer = receiver.await.unwrap_or(Value::Null);
            if let Some(save) = &question.save {
                self.scope.saved.insert(save.clone(), answer);
            }
        }
        if task.form != Form::Extension {
            task.asking(false);
        }
        self.announce_task(task).await;
    }

    /// What the caller did not declare and these questions need.
    pub(super) fn lacks(&self, questions: &[Question]) -> Option<Value> {
        let caller = self.caller.as_ref()?;
        let mut needed = json!({});
        for question in questions {
            answers::merge(&mut needed, &needs(&question.method, question.params.as_ref()));
        }
        modern::lacking(&needed, &caller.capabilities)
    }

    /// Sends a question as a request; gives where its answer comes.
    pub(super) async fn put(&self, question: &Question, out: &Output) -> oneshot::Receiver<Value> {
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut state = self.session.state();
            state.asked += 1;
            let id = state.asked.to_string();
            state.asks.insert(id.clone(), sender);
            id
        };
        let method = self.scope.text(&question.method);
        let line = self.message(Some(&id), &method, question.params.as_ref());
        out.message(line, Kind::Other).await;
        receiver
    }

    /// Answers a request about tasks.
    pub(super) async fn about_tasks(&mut self) {
        let Some(request) = &self.request else { return };
        let method = request.method.clone();
        if let Some(caller) = &self.caller
            && let Some(lacks) = modern::lacking(&extension(), &caller.capabilities)
        {
            return self.reply(modern::missing_capability(&lacks)).await;
        }
        let server = Arc::clone(&self.session.server);
        let form = self.form();
        if method == "tasks/list" {
            let tasks = server.state().work.of(form);
            let tasks: Vec<_> = tasks.iter().map(|task| format!("{{{}}}", task.members(false))).collect();
            return self.reply(Reply::Result(format!(r#"{{"tasks":[{}]}}"#, tasks.join(",")))).await;
        }
        let id = self.scope.args.get("taskId").and_then(Value::as_str).unwrap_or_default();
        let task = server.state().work.find(id, form);
        let Some(task) = task else {
            return self.reply(Reply::error(code::INVALID_PARAMS, "Task not found")).await;
        };
        match method.as_str() {
            "tasks/get" => self.reply(Reply::Result(format!("{{{}}}", task.members(true)))).await,
            "tasks/cancel" => self.cancel_task(&task).await,
            "tasks/update" => {
                let answers = self.scope.args.get("inputResponses").and_then(Value::as_object).cloned();
                let Some(answers) = answers else {
                    let message = "Invalid params: `inputResponses` is missing";
                    return self.reply(Reply::error(code::INVALID_PARAMS, message)).await;
                };
                task.answer(&answers);
                self.reply(Reply::Result("{}".into())).await;
            }
            _ => self.task_result(&task).await,
        }
    }

    async fn cancel_task(&mut self, task: &Task) {
        let core = task.form != Form::Extension;
        if core && task.status().is_final() {
            let message = "Cannot cancel task: it has ended already";
            return self.reply(Reply::error(code::INVALID_PARAMS, message)).await;
        }
        // In the newer form a wish is all that it is.
        if (core || !task.stubborn) && task.cancelled() {
            self.announce_task(task).await;
        }
        task.cancel.cancel();
        let answer = if core { format!("{{{}}}", task.members(false)) } else { "{}".into() };
        self.reply(Reply::Result(answer)).await;
    }

    /// Waits for the end of a task and gives what came of it. Meanwhile the task may ask here.
    async fn task_result(&mut self, task: &Task) {
        let mut changes = task.changed.subscribe();
        if !task.status().is_final() {
            task.wait_here(self.out.clone());
        }
        let outcome = loop {
            if let Some(outcome) = task.outcome() {
                break outcome;
            }
            // The task keeps the sender.
            if changes.changed().await.is_err() {
                return;
            }
        };
        let reply = match outcome {
            Outcome::Error(body) => Reply::Error(body),
            Outcome::Result(body) => Reply::Result(with_meta(&body, &task.related())),
        };
        self.reply(reply).await;
    }
}

/// Waits until the client waits for the result, which is where it can be asked.
async fn side(task: &Task) -> Output {
    let mut changes = task.changed.subscribe();
    loop {
        if let Some(out) = task.waiting() {
            return out;
        }
        if changes.changed().await.is_err() {
            return Output::nowhere();
        }
    }
}

/// The object with these members added to its `_meta`.
pub(super) fn with_meta(object: &str, added: &str) -> String {
    let added: Map<String, Value> = serde_json::from_str(added).unwrap_or_default();
    let Some(mut members) = Members::of(object) else { return object.to_owned() };
    let old = members.get("_meta").unwrap_or("{}").to_owned();
    let Some(mut inner) = Members::of(&old) else { return object.to_owned() };
    for (key, value) in &added {
        inner.offer(key, &value.to_string());
    }
    let inner = inner.to_json();
    members.set_unless_null("_meta", &inner);
    members.to_json()
}
