//! Runs a reaction: one step after the other, in the order of the script.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::answers::{self, LEVELS, Reply};
use super::script::{Amount, Answer, Noise, Part, Reaction, Step};
use super::serve::{Gate, Outcome, Server};
use super::template::Scope;

/// How much noise is handed to the writer at a time, in bytes.
const NOISE_PIECE: usize = 64 * 1024;

/// One message or moment that the server deals with.
pub(super) struct Job {
    server: Arc<Server>,
    request: Option<Request>,
    /// What the script says under `on`, if anything.
    before: Option<Arc<Reaction>>,
    /// What the called item does; none means what every server does.
    own: Option<Arc<Reaction>>,
    scope: Scope,
    cancel: CancellationToken,
    last_answer: Option<String>,
}

struct Request {
    /// As it was written.
    id: String,
    method: String,
}

impl Job {
    /// A moment that nobody waits for.
    pub(super) fn event(server: Arc<Server>, reaction: Arc<Reaction>, scope: Scope) -> Self {
        Self {
            server,
            request: None,
            before: Some(reaction),
            own: None,
            scope,
            cancel: CancellationToken::new(),
            last_answer: None,
        }
    }

    /// A request; `params` as they were written.
    pub(super) fn request(server: Arc<Server>, id: String, method: String, params: &str) -> Self {
        let mut scope = Scope::new(Arc::clone(&server.environment), server.start);
        scope.id.clone_from(&id);
        scope.target.clone_from(&method);
        let before = answers::moment(&server.plan, &method);
        let own = answers::resolve(&server, &method, params, &mut scope);
        let request = Some(Request { id, method });
        Self { server, request, before, own, scope, cancel: CancellationToken::new(), last_answer: None }
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.request.as_ref().map(|request| request.id.as_str())
    }

    /// The token by which the client cancels this job.
    pub(super) fn cancellation(&self) -> CancellationToken {
        self.cancel.clone()
    }

    pub(super) fn is_immediate(&self) -> bool {
        self.reactions().all(|reaction| reaction.is_immediate())
    }

    fn reactions(&self) -> impl Iterator<Item = &Arc<Reaction>> {
        self.before.iter().chain(&self.own)
    }

    /// Runs to the end, or until the client cancels where the script does not say otherwise.
    pub(super) async fn run_until_cancelled(self) {
        if self.reactions().any(|reaction| reaction.ignore_cancel) {
            return self.run().await;
        }
        let cancel = self.cancel.clone();
        tokio::select! {
            () = self.run() => {}
            () = cancel.cancelled() => {}
        }
    }

    /// Runs to the end.
    pub(super) async fn run(mut self) {
        match self.before.clone() {
            Some(reaction) => self.steps(&reaction.steps).await,
            None => self.default().await,
        }
    }

    /// What the server does when `on` says nothing: the called item's steps, or what every server does.
    async fn default(&mut self) {
        if let Some(own) = self.own.clone() {
            // Boxed, since steps may ask for the default again.
            return Box::pin(self.steps(&own.steps)).await;
        }
        let Some(request) = &self.request else { return };
        let reply = answers::builtin(&self.server, &request.method, &self.scope);
        self.reply(reply).await;
    }

    async fn reply(&mut self, reply: Reply) {
        let Some(request) = &self.request else { return };
        let (member, body) = match reply {
            Reply::Result(body) => ("result", body),
            Reply::Error(body) => ("error", body),
        };
        let line = format!(r#"{{"jsonrpc":"2.0","id":{},"{member}":{body}}}"#, request.id);
        self.last_answer = Some(line.clone());
        self.server.output.line(line).await;
    }

    async fn steps(&mut self, steps: &[Step]) {
        for step in steps {
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
                if let Some(line) = self.last_answer.clone() {
                    self.server.output.line(line).await;
                }
            }
            Step::Default => Box::pin(self.default()).await,
            Step::Sleep(time) => tokio::time::sleep(*time).await,
            Step::Progress(params) => self.progress(params).await,
            Step::Log(params) => self.log(params).await,
            Step::Notify { method, params } => self.notify(&self.scope.text(method), params.as_ref()).await,
            Step::Ask { method, params, save, wait } => {
                self.ask(method, params.as_ref(), save.as_deref(), *wait).await;
            }
            Step::Raw(parts) => {
                let bytes = parts.iter().flat_map(|part| match part {
                    Part::Text(text) => self.scope.text(text).into_bytes(),
                    Part::Bytes(bytes) => bytes.clone(),
                });
                self.server.output.bytes(bytes.collect()).await;
            }
            Step::Noise(noise) => self.noise(noise).await,
            Step::Stderr(text) => {
                let mut text = self.scope.text(text);
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                self.server.write_stderr(text.as_bytes());
            }
            Step::Exit(code) => self.server.output.end(Outcome::Exit(*code)).await,
            Step::Crash(signal) => self.server.output.end(Outcome::Crash(*signal)).await,
            Step::Hang => std::future::pending().await,
            Step::CloseStdout => self.server.output.close().await,
            Step::CloseStdin => {
                self.server.gate.send_replace(Gate::Closed);
            }
            Step::StopReading(time) => self.stop_reading(*time),
            Step::Show { list, names } => {
                let names = names.iter().map(|name| self.scope.text(name)).collect();
                self.server.state().shown.insert(*list, names);
                self.notify(list.changed(), None).await;
            }
            Step::Updated(uri) => {
                let uri = self.scope.text(uri);
                if self.server.state().subscriptions.contains(&uri) {
                    self.notify("notifications/resources/updated", Some(&json!({"uri": uri}))).await;
                }
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

    async fn progress(&self, params: &Map<String, Value>) {
        let mut params = params.clone();
        if !params.contains_key("progressToken") {
            // A caller that gave no token wants no progress.
            if self.scope.token.is_none() {
                return;
            }
            params.shift_insert(0, "progressToken".into(), json!("{{json mock.token}}"));
        }
        self.notify("notifications/progress", Some(&Value::Object(params))).await;
    }

    async fn log(&self, params: &Map<String, Value>) {
        let level = params.get("level").and_then(Value::as_str).unwrap_or("info");
        let rank = LEVELS.iter().position(|known| *known == level).unwrap_or(LEVELS.len());
        if rank >= self.server.state().log_level {
            self.notify("notifications/message", Some(&Value::Object(params.clone()))).await;
        }
    }

    async fn notify(&self, method: &str, params: Option<&Value>) {
        self.server.output.line(self.message(None, method, params)).await;
    }

    async fn ask(&mut self, method: &str, params: Option<&Value>, save: Option<&str>, wait: bool) {
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut state = self.server.state();
            state.asked += 1;
            let id = state.asked.to_string();
            state.asks.insert(id.clone(), sender);
            id
        };
        let line = self.message(Some(&id), &self.scope.text(method), params);
        self.server.output.line(line).await;
        if wait {
            // The server keeps the sender until the answer comes, so this waits for nothing else.
            let answer = receiver.await.unwrap_or(Value::Null);
            if let Some(save) = save {
                self.scope.saved.insert(save.to_owned(), answer);
            }
        }
    }

    fn message(&self, id: Option<&str>, method: &str, params: Option<&Value>) -> String {
        let mut line = String::from(r#"{"jsonrpc":"2.0","#);
        if let Some(id) = id {
            line.push_str(&format!(r#""id":{id},"#));
        }
        line.push_str(r#""method":"#);
        super::template::push_quoted(method, &mut line);
        if let Some(params) = params {
            line.push_str(r#","params":"#);
            line.push_str(&self.scope.json(params));
        }
        line.push('}');
        line
    }

    async fn noise(&self, noise: &Noise) {
        let mut unit = self.scope.text(&noise.text).into_bytes();
        if noise.newline {
            unit.push(b'\n');
        }
        if unit.is_empty() {
            return;
        }
        let size = unit.len() as u64;
        let mut left = match noise.amount {
            Amount::Lines(lines) => lines.saturating_mul(size),
            Amount::Bytes(bytes) => bytes,
        };
        // Whole units, so that every piece starts where a unit starts.
        let piece = unit.repeat((NOISE_PIECE / unit.len()).max(1));
        while left > 0 {
            let now = left.min(piece.len() as u64) as usize;
            if noise.to_stderr {
                self.server.write_stderr(&piece[..now]);
                tokio::task::yield_now().await;
            } else {
                self.server.output.bytes(piece[..now].to_vec()).await;
            }
            left -= now as u64;
        }
    }

    fn stop_reading(&self, time: Option<Duration>) {
        self.server.gate.send_replace(Gate::Stopped);
        if let Some(time) = time {
            let server = Arc::clone(&self.server);
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                server.gate.send_if_modified(|gate| {
                    let stopped = *gate == Gate::Stopped;
                    if stopped {
                        *gate = Gate::Open;
                    }
                    stopped
                });
            });
        }
    }
}
