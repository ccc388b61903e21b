//! Questions while a call runs: real requests in the legacy era, interim results in the modern one; and the streams of
//! `subscriptions/listen`, which are calls that end when somebody ends them.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::answers::{self, Reply};
use super::ask::{Ask, AskState, UrlRequired, input_requests};
use super::listen::Filter;
use super::modern;
use super::output::{Kind, Output};
use super::revision::code;
use super::rounds::{Continued, Parked, Resume, comparable};
use super::run::Job;
use super::server::Server;
use super::tasks::extension;

impl Job {
    pub(super) async fn ask(&mut self, ask: &Arc<Ask>) {
        if let Some(task) = self.task.clone() {
            self.ask_in_task(ask, &task).await;
        } else if self.is_modern() {
            self.ask_by_result(ask).await;
        } else if self.session.may_speak() {
            self.ask_by_requests(ask).await;
        }
    }

    async fn ask_by_requests(&mut self, ask: &Ask) {
        let mut waiting = Vec::new();
        for question in &ask.questions {
            let receiver = self.put(question, &self.out).await;
            waiting.push((question, receiver));
        }
        if !ask.wait {
            return;
        }
        for (question, receiver) in waiting {
            // The session keeps the sender until the answer comes, so this waits for nothing else.
            let answer = receiver.await.unwrap_or(Value::Null);
            if let Some(save) = &question.save {
                self.scope.saved.insert(save.clone(), answer);
            }
        }
    }

    async fn ask_by_result(&mut self, ask: &Arc<Ask>) {
        let lacks = self.lacks(&ask.questions);
        if let Some(lacks) = lacks.filter(|_| ask.check) {
            self.over = true;
            return self.reply(modern::missing_capability(&lacks)).await;
        }
        let Some(resume) = self.park(ask).await else {
            self.over = true;
            return;
        };
        self.request = Some(resume.request);
        self.caller = Some(resume.caller);
        self.out = resume.out;
        self.round = Some(resume.done);
        let before = std::mem::replace(&mut self.scope, resume.scope);
        (self.scope.saved, self.scope.call, self.scope.turn) = (before.saved, before.call, before.turn);
        for question in &ask.questions {
            if let (Some(save), Some(answer)) = (&question.save, resume.answers.get(&question.key)) {
                self.scope.saved.insert(save.clone(), answer.clone());
            }
        }
    }

    /// Answers with the questions and waits for the client to come again. None means that it never does.
    async fn park(&mut self, ask: &Arc<Ask>) -> Option<Resume> {
        let server = Arc::clone(&self.session.server);
        let request = self.request.as_ref()?;
        let state = match &ask.state {
            AskState::Absent => None,
            AskState::Sent(Some(own)) => Some(self.scope.text(own)),
            AskState::Sent(None) | AskState::Alone => Some(server.state().rounds.make_state()),
        };
        let mut result = Map::new();
        result.insert("resultType".into(), json!(ask.result_type.as_deref().unwrap_or("input_required")));
        let mut text = json!(result).to_string();
        text.pop();
        if ask.state != AskState::Alone {
            text.push_str(r#","inputRequests":"#);
            text.push_str(&self.scope.json(&input_requests(&ask.questions)));
        }
        if let Some(state) = &state {
            text.push_str(r#","requestState":"#);
            super::template::push_quoted(state, &mut text);
        }
        text.push('}');
        let (sender, receiver) = oneshot::channel();
        self.ids.push(request.id.clone());
        server.state().rounds.park(Parked {
            method: request.method.clone(),
            params: comparable(&request.params),
            ids: self.ids.clone(),
            ask: Arc::clone(ask),
            state,
            resume: sender,
            cancel: self.cancel.clone(),
        });
        self.session.state().running.remove(&request.id);
        self.reply(Reply::Result(text)).await;
        // The round is answered; whoever waited for it goes.
        (self.out, self.request, self.round) = (Output::nowhere(), None, None);
        self.give_turn();
        let resume = receiver.await.ok()?;
        self.take_turn().await;
        Some(resume)
    }

    /// Hands this request to the call that waits for it, and stays until that is done with it.
    pub(super) async fn resume(&mut self, continued: Continued) {
        let Continued { call: parked, answers } = continued;
        let (Some(request), Some(caller)) = (self.request.take(), self.caller.take()) else { return };
        // Whoever cancels this request cancels the call.
        let cancel = parked.cancel.drop_guard();
        let (done, finished) = oneshot::channel();
        let out = std::mem::replace(&mut self.out, Output::nowhere());
        let scope = self.scope.clone();
        if parked.resume.send(Resume { request, caller, out, scope, answers, done }).is_ok() {
            // An error is the news: nothing is ever sent, the sender is dropped.
            let _ = finished.await;
        }
        cancel.disarm();
    }

    /// Makes sure that somebody went to a page first: the first time, an older caller gets an error that says so and
    /// a newer one is asked.
    pub(super) async fn require_url(&mut self, wanted: &UrlRequired) {
        let id = self.scope.text(&wanted.id);
        let server = Arc::clone(&self.session.server);
        if !server.state().visited.insert(id.clone()) && !wanted.always {
            return;
        }
        let mut params = wanted.params.clone();
        if self.is_modern() {
            let ask = Ask::of_url(Value::Object(params));
            return Box::pin(self.ask(&Arc::new(ask))).await;
        }
        params.insert("elicitationId".into(), json!(id));
        let error = json!({
            "code": code::URL_ELICITATION_REQUIRED,
            "message": "This request requires more information.",
            "data": {"elicitations": [params]},
        });
        self.reply(Reply::Error(self.scope.json(&error))).await;
        if let Some(after) = wanted.complete {
            tokio::time::sleep(after).await;
            self.complete_elicitation(&id).await;
        }
        self.over = true;
    }

    /// Tells an older client that somebody did what a page asked.
    pub(super) async fn complete_elicitation(&self, id: &str) {
        if self.session.may_speak() {
            let line = json!({
                "jsonrpc": "2.0",
                "method": "notifications/elicitation/complete",
                "params": {"elicitationId": id},
            });
            self.session.output.message(line.to_string(), Kind::Other).await;
        }
    }

    /// Opens a stream of `subscriptions/listen` and keeps it until client or server end it.
    pub(super) async fn listen(&mut self) {
        let Some(request) = &self.request else { return };
        let Some(wishes) = self.scope.args.get("notifications").and_then(Value::as_object) else {
            let message = "Invalid params: `notifications` is missing";
            return self.reply(Reply::error(code::INVALID_PARAMS, message)).await;
        };
        if let Some(caller) = &self.caller
            && wishes.contains_key("taskIds")
            && let Some(lacks) = modern::lacking(&extension(), &caller.capabilities)
        {
            return self.reply(modern::missing_capability(&lacks)).await;
        }
        let server = Arc::clone(&self.session.server);
        let filter = Filter::granted(wishes, &answers::capabilities(&server.plan, None));
        // First, so that no change can be told before it.
        self.out.message(filter.acknowledgement(&request.id), Kind::Other).await;
        let (session, out) = (self.session.number, self.out.clone());
        let (number, ended) = server.state().listeners.open(session, &request.id, filter, out);
        let _close = Close { server, number };
        tokio::select! {
            () = ended.cancelled() => {}
            () = self.out.gone() => {}
        }
    }
}

/// Closes a stream, whatever ends it.
struct Close {
    server: Arc<Server>,
    number: u64,
}

impl Drop for Close {
    fn drop(&mut self) {
        self.server.state().listeners.close(self.number);
    }
}
