//! What arrives: one message, or a batch, of any transport.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::output::{Kind, Output};
use super::run::Job;
use super::session::{Session, start};

/// What is read of a message.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'l> {
    #[serde(borrow)]
    pub(super) id: Option<&'l RawValue>,
    #[serde(borrow)]
    pub(super) method: Option<Cow<'l, str>>,
    #[serde(borrow)]
    params: Option<&'l RawValue>,
    #[serde(borrow)]
    result: Option<&'l RawValue>,
    #[serde(borrow)]
    error: Option<&'l RawValue>,
}

impl Envelope<'_> {
    pub(super) fn params(&self) -> &str {
        self.params.map_or("{}", RawValue::get)
    }
}

/// How a message came.
#[derive(Clone)]
pub(super) struct Origin {
    /// Where the answer goes, and what is said on the way to it.
    pub(super) out: Output,
    pub(super) headers: Arc<Vec<(String, String)>>,
}

impl Origin {
    /// A message of a connection that carries everything.
    pub(super) fn of(session: &Session) -> Self {
        Self { out: session.output.clone(), headers: Arc::default() }
    }
}

/// Deals with a line.
pub(super) async fn receive(session: &Arc<Session>, line: &[u8]) {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return;
    }
    let origin = Origin::of(session);
    if line.first() == Some(&b'[') {
        // 2025-03-26 lets a line be a batch; the answers need not be one.
        if let Ok(batch) = serde_json::from_slice::<Vec<&RawValue>>(line) {
            for message in batch {
                receive_one(session, &origin, message.get().as_bytes()).await;
            }
            return;
        }
    }
    receive_one(session, &origin, line).await;
}

/// The error for what is no JSON.
pub(super) fn parse_error(error: &serde_json::Error) -> String {
    let mut text = String::from(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"#);
    super::template::push_quoted(&format!("Parse error: {error}"), &mut text);
    text + "}}"
}

async fn receive_one(session: &Arc<Session>, origin: &Origin, message: &[u8]) {
    let envelope = match serde_json::from_slice::<Envelope<'_>>(message) {
        Ok(envelope) => envelope,
        Err(error) => {
            return origin.out.message(parse_error(&error), Kind::Response { status: 400 }).await;
        }
    };
    match (envelope.id, &envelope.method) {
        (Some(id), Some(method)) => {
            let job = Job::request(session, origin.clone(), id.get(), method, envelope.params());
            start(session, job).await;
        }
        _ => receive_quiet(session, origin, &envelope).await,
    }
}

/// Deals with a message that gets no answer: a notification, or the answer to a question.
pub(super) async fn receive_quiet(session: &Arc<Session>, origin: &Origin, envelope: &Envelope<'_>) {
    match (envelope.id, &envelope.method) {
        (None, Some(method)) => notified(session, origin, method, envelope.params()).await,
        (Some(id), None) => answered(session, id.get(), envelope.result, envelope.error),
        _ => {}
    }
}

async fn notified(session: &Arc<Session>, origin: &Origin, method: &str, params: &str) {
    let values: Value = serde_json::from_str(params).unwrap_or(Value::Null);
    if method == "notifications/cancelled"
        && let Some(id) = values.get("requestId")
        && let Some(cancel) = session.state().running.get(&id.to_string())
    {
        cancel.cancel();
    }
    if let Some(reaction) = session.server.plan.on.get(method) {
        let mut scope = session.scope();
        scope.target = method.to_owned();
        scope.args_text = params.to_owned();
        scope.args = values;
        scope.headers = Arc::clone(&origin.headers);
        let job = Job::event(session, Arc::clone(reaction), origin.out.clone(), scope);
        start(session, job).await;
    }
}

/// The client answered a question. An error is kept as `{"error": …}`.
fn answered(session: &Session, id: &str, result: Option<&RawValue>, error: Option<&RawValue>) {
    let Some(waiting) = session.state().asks.remove(id) else { return };
    let parse = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or(Value::Null);
    let answer = match (result, error) {
        (_, Some(error)) => serde_json::json!({"error": parse(error)}),
        (Some(result), None) => parse(result),
        (None, None) => Value::Null,
    };
    // The asker may have been cancelled meanwhile.
    let _ = waiting.send(answer);
}
