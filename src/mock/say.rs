//! What a running reaction says besides its answer: progress, logs, other notifications, noise.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::answers::LEVELS;
use super::output::Kind;
use super::run::Job;
use super::session::Gate;
use super::step::{Amount, Noise};
use super::working::with_meta;

/// How much noise is handed to the writer at a time, in bytes.
const NOISE_PIECE: usize = 64 * 1024;

impl Job {
    pub(super) async fn progress(&self, params: &Map<String, Value>) {
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

    pub(super) async fn log(&self, params: &Map<String, Value>) {
        let level = params.get("level").and_then(Value::as_str).unwrap_or("info");
        let rank = LEVELS.iter().position(|known| *known == level).unwrap_or(LEVELS.len());
        let least = match &self.caller {
            // A modern caller says in the request itself what it wants to read.
            Some(caller) => caller.log_level,
            None if self.session.may_speak() => Some(self.session.state().log_level),
            None => None,
        };
        if least.is_some_and(|least| rank >= least) {
            self.notify("notifications/message", Some(&Value::Object(params.clone()))).await;
        }
    }

    pub(super) async fn notify(&self, method: &str, params: Option<&Value>) {
        self.out.message(self.message(None, method, params), Kind::Other).await;
    }

    pub(super) fn message(&self, id: Option<&str>, method: &str, params: Option<&Value>) -> String {
        let mut line = String::from(r#"{"jsonrpc":"2.0","#);
        if let Some(id) = id {
            line.push_str(&format!(r#""id":{id},"#));
        }
        line.push_str(r#""method":"#);
        super::template::push_quoted(method, &mut line);
        if let Some(params) = params {
            line.push_str(r#","params":"#);
            let params = self.scope.json(params);
            match &self.task {
                Some(task) => line.push_str(&with_meta(&params, &task.related())),
                None => line.push_str(&params),
            }
        } else if let Some(task) = &self.task {
            line.push_str(&format!(r#","params":{{"_meta":{}}}"#, task.related()));
        }
        line.push('}');
        line
    }

    pub(super) async fn noise(&self, noise: &Noise) {
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
                self.session.server.write_stderr(&piece[..now]);
                tokio::task::yield_now().await;
            } else {
                self.out.bytes(piece[..now].to_vec()).await;
            }
            left -= now as u64;
        }
    }

    pub(super) fn stop_reading(&self, time: Option<Duration>) {
        self.session.gate.send_replace(Gate::Stopped);
        if let Some(time) = time {
            let session = Arc::clone(&self.session);
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                session.gate.send_if_modified(|gate| {
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
