//! Runs a reaction: one step after the other, in the order of the script.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio_util::sync::CancellationToken;

use super::answers::{self, Reply};
use super::listen::Change;
use super::modern::{self, Caller, Era};
use super::output::{Kind, Output};
use super::receive::Origin;
use super::revision::code;
use super::serve::Outcome;
use super::session::{Gate, Session};
use super::step::{Answer, Part, Reaction, Step};
use super::tasks::Task;
use super::template::Scope;
use super::work::Work;

/// One message or moment that the server deals with.
pub(super) struct Job {
    pub(super) session: Arc<Session>,
    /// Where the answer goes, and what is said on the way to it.
    pub(super) out: Output,
    pub(super) request: Option<Request>,
    /// Who asks, where that is a client of the modern era.
    pub(super) caller: Option<Caller>,
    pub(super) scope: Scope,
    pub(super) cancel: CancellationToken,
    /// Dropped when the round that this job goes on with is answered.
    pub(super) round: Option<oneshot::Sender<()>>,
    /// The ids under which earlier rounds of this call came.
    pub(super) ids: Vec<String>,
    /// The task that this job became.
    pub(super) task: Option<Arc<Task>>,
    /// Whether the rest of the steps is left out.
    pub(super) over: bool,
    work: Work,
    turn: Option<OwnedMutexGuard<()>>,
    last_answer: Option<(String, Kind)>,
}

/// A request that waits for its answer.
pub(super) struct Request {
    /// As it was written.
    pub(super) id: String,
    pub(super) method: String,
    /// As they were written.
    pub(super) params: String,
}

impl Job {
    /// A moment that nobody waits for.
    pub(super) fn event(session: &Arc<Session>, reaction: Arc<Reaction>, out: Output, scope: Scope) -> Self {
        Self {
            session: Arc::clone(session),
            out,
            request: None,
            caller: None,
            scope,
            cancel: CancellationToken::new(),
            round: None,
            ids: Vec::new(),
            task: None,
            over: false,
            work: Work::Script { before: Some(reaction), own: None, task: None },
            turn: None,
            last_answer: None,
        }
    }

    /// A request; id and params as they were written.
    pub(super) fn request(
        session: &Arc<Session>,
        origin: Origin,
        id: &str,
        method: &str,
        params: &str,
    ) -> Self {
        let mut scope = session.scope();
        id.clone_into(&mut scope.id);
        method.clone_into(&mut scope.target);
        scope.headers = origin.headers;
        let (caller, refusal) = match modern::era(&session.server.plan, method, params) {
            Era::Legacy => (None, None),
            Era::Modern(caller) => (Some(caller), None),
            Era::Refused(reply) => (Some(Caller::default()), Some(reply)),
        };
        if let Some(caller) = &caller {
            scope.revision.clone_from(&caller.version);
            scope.capabilities.clone_from(&caller.capabilities);
        }
        let work = match refusal {
            Some(reply) => Work::Refuse(reply),
            None => Work::of(session, caller.as_ref(), id, method, params, &mut scope),
        };
        Self {
            session: Arc::clone(session),
            out: origin.out,
            request: Some(Request {
                id: id.to_owned(),
                method: method.to_owned(),
                params: params.to_owned(),
            }),
            caller,
            scope,
            cancel: CancellationToken::new(),
            round: None,
            ids: Vec::new(),
            task: None,
            over: false,
            work,
            turn: None,
            last_answer: None,
        }
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.request.as_ref().map(|request| request.id.as_str())
    }

    pub(super) fn is_modern(&self) -> bool {
        self.caller.is_some()
    }

    /// The token by which the client cancels this job.
    pub(super) fn cancellation(&self) -> CancellationToken {
        self.cancel.clone()
    }

    pub(super) fn is_immediate(&self) -> bool {
        self.work.is_immediate()
    }

    /// Whether the job goes on when it is cancelled.
    pub(super) fn is_stubborn(&self) -> bool {
        self.work.ignores_cancel()
    }

    /// Waits for this job's turn where the script says that there is only one at a time.
    pub(super) async fn take_turn(&mut self) {
        // A call that waits for this request has its own turn.
        if self.session.server.plan.serial && matches!(self.work, Work::Script { .. }) {
            self.turn = Some(Arc::clone(&self.session.server.turn).lock_owned().await);
        }
    }

    /// Lets others have their turn.
    pub(super) fn give_turn(&mut self) {
        self.turn = None;
    }

    /// Runs to the end, or until the client cancels where the script does not say otherwise.
    pub(super) async fn run_until_cancelled(self) {
        if self.work.ignores_cancel() {
            return self.run().await;
        }
        let cancel = self.cancel.clone();
        tokio::select! {
            // What was received is begun, so that a retry reaches its call even if its cancellation came at once.
            biased;
            () = self.run() => {}
            () = cancel.cancelled() => {}
        }
    }

    /// Runs to the end.
    pub(super) async fn run(mut self) {
        match std::mem::replace(&mut self.work, Work::Done) {
            Work::Refuse(reply) => self.reply(reply).await,
            Work::Resume(continued) => self.resume(*continued).await,
            Work::Listen => self.listen().await,
            Work::Tasks => self.about_tasks().await,
            Work::Done => {}
            Work::Script { before, own, task } => {
                self.work = Work::Script { before: None, own, task: None };
                if let Some(task) = task {
                    self.become_task(task).await;
                }
                match before {
                    Some(reaction) => self.steps(&reaction.steps).await,
                    None => self.default().await,
                }
            }
        }
    }

    /// What the server does when `on` says nothing: the called item's steps, or what every server does.
    async fn default(&mut self) {
        if let Work::Script { own: Some(own), .. } = &self.work {
            let own = Arc::clone(own);
            // Boxed, since steps may ask for the default again.
            return Box::pin(self.steps(&own.steps)).await;
        }
        let Some(request) = &self.request else { return };
        if self.is_modern() && request.method == "subscriptions/listen" {
            return self.listen().await;
        }
        if answers::is_about_tasks(&self.session, &request.method, self.is_modern()) {
            return Box::pin(self.about_tasks()).await;
        }
        let reply = answers::builtin(&self.session, &request.method, self.caller.as_ref(), &self.scope);
        self.reply(reply).await;
    }

    pub(super) async fn reply(&mut self, reply: Reply) {
        if let Some(task) = self.task.clone() {
            if task.finish(&reply) {
                self.announce_task(&task).await;
            }
            return;
        }
        let Some(request) = &self.request else { return };
        let status = reply.status(self.is_modern());
        let (member, body) = match reply {
            Reply::Result(body) if self.is_modern() => {
                ("result", modern::dress(&self.session.server.plan, &request.method, &body, None))
            }
            Reply::Result(body) => ("result", body),
            Reply::Error(body) | Reply::Refusal(body) => ("error", body),
        };
        let line = format!(r#"{{"jsonrpc":"2.0","id":{},"{member}":{body}}}"#, request.id);
        let kind = Kind::Response { status };
        self.last_answer = Some((line.clone(), kind));
        self.out.message(line, kind).await;
    }

    async fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            if self.over {
                return;
            }
            self.step(step).await;
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Answer(Answer::Result(result)) => self.reply(Reply::Result(self.scope.json(result))).await,
            Step::Answer(Answer::Structured { structured, is_error }) => {
                let structured = self.scope.json(structured);
                let mut result = String::from(r#"{"content":[{"type":"text","text":"#);
                super::template::push_quoted(&structured, &mut result);
                result.push_str(r#"}],"structuredContent":"#);
                result.push_str(&structured);
                result.push_str(if *is_error { r#","isError":true}"# } else { "}" });
                self.reply(Reply::Result(result)).await;
            }
            Step::Answer(Answer::Error(error)) => self.reply(Reply::Error(self.scope.json(error))).await,
            Step::Answer(Answer::Again) => {
                if let Some((line, kind)) = self.last_answer.clone() {
                    self.out.message(line, kind).await;
                }
            }
            Step::Default => Box::pin(self.default()).await,
            Step::Sleep(time) => tokio::time::sleep(*time).await,
            Step::Progress(params) => self.progress(params).await,
            Step::Log(params) => self.log(params).await,
            Step::Notify { method, params } => self.notify(&self.scope.text(method), params.as_ref()).await,
            Step::Ask(ask) => self.ask(ask).await,
            Step::UrlRequired(wanted) => self.require_url(wanted).await,
            Step::ElicitationComplete(id) => self.complete_elicitation(&self.scope.text(id)).await,
            Step::Status(text) => {
                let text = self.scope.text(text);
                if let Some(task) = self.task.clone().filter(|task| task.say(text)) {
                    self.announce_task(&task).await;
                }
            }
            Step::EndSubscriptions => self.session.server.end_subscriptions(None).await,
            Step::Raw(parts) => {
                let bytes = parts.iter().flat_map(|part| match part {
                    Part::Text(text) => self.scope.text(text).into_bytes(),
                    Part::Bytes(bytes) => bytes.clone(),
                });
                self.out.bytes(bytes.collect()).await;
            }
            Step::Noise(noise) => self.noise(noise).await,
            Step::Stderr(text) => {
                let mut text = self.scope.text(text);
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                self.session.server.write_stderr(text.as_bytes());
            }
            Step::Exit(code) => self.out.end(Outcome::Exit(*code)).await,
            Step::Crash(signal) => self.out.end(Outcome::Crash(*signal)).await,
            Step::Hang => std::future::pending().await,
            Step::CloseStdout => self.out.close().await,
            Step::CloseStdin => {
                self.session.gate.send_replace(Gate::Closed);
            }
            Step::StopReading(time) => self.stop_reading(*time),
            Step::Show { list, names } => {
                let names = names.iter().map(|name| self.scope.text(name)).collect();
                self.session.server.state().shown.insert(*list, names);
                self.session.server.announce(&Change::List(*list)).await;
            }
            Step::Updated(uri) => {
                let uri = self.scope.text(uri);
                self.session.server.announce(&Change::Resource(&uri)).await;
            }
            Step::WaitCancel(time) => {
                let came = tokio::time::timeout(*time, self.cancel.cancelled()).await.is_ok();
                self.scope.saved.insert("cancelled".into(), Value::Bool(came));
            }
            Step::Repeat { times, every, steps } => self.repeat(*times, *every, steps).await,
        }
    }

    async fn repeat(&mut self, times: u64, every: Duration, steps: &[Step]) {
        let outer = self.scope.turn;
        for turn in 1..=times {
            self.scope.turn = turn;
            if turn > 1 && !every.is_zero() {
                tokio::time::sleep(every).await;
            }
            Box::pin(self.steps(steps)).await;
            // A long loop without a pause leaves room for the reader.
            if turn % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.scope.turn = outer;
    }
}

impl Reply {
    /// The status under which an HTTP server answers this. Only the modern era has rules for it.
    fn status(&self, modern: bool) -> u16 {
        #[derive(Deserialize)]
        struct Coded {
            code: i32,
        }
        let body = match self {
            Reply::Refusal(_) => return 400,
            Reply::Error(body) if modern => body,
            Reply::Result(_) | Reply::Error(_) => return 200,
        };
        match serde_json::from_str::<Coded>(body).map(|error| error.code) {
            Ok(code::METHOD_NOT_FOUND) => 404,
            Ok(code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION) => 400,
            _ => 200,
        }
    }
}
