//! `subscriptions/listen`: who wants to hear of which changes, in the modern era.
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions>

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::output::{Kind, Output};
use super::revision::meta;
use super::script::List;

/// The open streams.
#[derive(Default)]
pub(super) struct Listeners {
    open: Vec<Listener>,
    next: u64,
}

/// One open stream.
#[derive(Clone)]
pub(super) struct Listener {
    number: u64,
    session: u64,
    /// The id of the request that opened the stream, as it was written.
    pub(super) id: String,
    filter: Filter,
    pub(super) out: Output,
    /// Cancelled when the server ended the stream.
    pub(super) ended: CancellationToken,
}

/// What a stream brings: the subset of the wishes that the server can fulfil.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter(Map<String, Value>);

impl Filter {
    /// The wishes that a server of these capabilities grants.
    pub(super) fn granted(wishes: &Map<String, Value>, capabilities: &Value) -> Self {
        let can = |pointer: &str| capabilities.pointer(pointer).is_some_and(|can| can != &json!(false));
        let granted = wishes.iter().filter(|(wish, value)| match wish.as_str() {
            "toolsListChanged" => can("/tools/listChanged") && **value == json!(true),
            "promptsListChanged" => can("/prompts/listChanged") && **value == json!(true),
            "resourcesListChanged" => can("/resources/listChanged") && **value == json!(true),
            "resourceSubscriptions" => can("/resources/subscribe") && value.is_array(),
            "taskIds" => can("/extensions/io.modelcontextprotocol~1tasks") && value.is_array(),
            _ => false,
        });
        Self(granted.map(|(wish, value)| (wish.clone(), value.clone())).collect())
    }

    /// What a stream says first.
    pub(super) fn acknowledgement(&self, id: &str) -> String {
        let granted = Value::Object(self.0.clone()).to_string();
        message("notifications/subscriptions/acknowledged", id, &format!(r#","notifications":{granted}"#))
    }

    fn names(&self, wish: &str, name: &str) -> bool {
        let names = self.0.get(wish).and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|known| known == name))
    }
}

/// What happened that a stream may bring.
pub(super) enum Change<'c> {
    List(List),
    /// A resource, by its URI.
    Resource(&'c str),
    /// A task, by its id.
    Task(&'c str),
}

impl Listeners {
    /// Opens a stream; gives its number, and what tells of its end.
    pub(super) fn open(
        &mut self,
        session: u64,
        id: &str,
        filter: Filter,
        out: Output,
    ) -> (u64, CancellationToken) {
        self.next += 1;
        let ended = CancellationToken::new();
        let (number, id) = (self.next, id.to_owned());
        self.open.push(Listener { number, session, id, filter, out, ended: ended.clone() });
        (number, ended)
    }

    pub(super) fn close(&mut self, number: u64) {
        self.open.retain(|listener| listener.number != number);
    }

    /// Takes the streams of a session, or all, so that they can be ended.
    pub(super) fn take(&mut self, session: Option<u64>) -> Vec<Listener> {
        self.open
            .extract_if(.., |listener| session.is_none_or(|session| listener.session == session))
            .collect()
    }

    /// The streams that want to hear of this.
    pub(super) fn who_want(&self, change: &Change<'_>) -> Vec<Listener> {
        let wants = |listener: &&Listener| match change {
            Change::List(list) => listener.filter.0.contains_key(match list {
                List::Tools => "toolsListChanged",
                List::Prompts => "promptsListChanged",
                List::Resources | List::Templates => "resourcesListChanged",
            }),
            Change::Resource(uri) => listener.filter.names("resourceSubscriptions", uri),
            Change::Task(id) => listener.filter.names("taskIds", id),
        };
        self.open.iter().filter(wants).cloned().collect()
    }
}

impl Listener {
    /// Sends a notification on the stream. `params` are members of an object, each with a comma before it.
    pub(super) async fn tell(&self, method: &str, params: &str) {
        self.out.message(message(method, &self.id, params), Kind::Other).await;
    }
}

fn message(method: &str, id: &str, params: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"_meta":{{"{}":{id}}}{params}}}}}"#,
        meta::SUBSCRIPTION
    )
}
