//! One side of a comparison: a server as it is, or the same server seen through Switchboard. Both take requests
//! in the server's own words and give outcomes as a client of Switchboard should see them, so that two outcomes
//! of the same request are the same text.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::case::Case;
use crate::servers::Server;
use crate::support::raw::{Client, PATIENCE, Reply};
use crate::support::same::{Mapping, content, outcome};
use crate::through::Tap;
use crate::world::{World, file_uri};

/// The revision that the raw client offers where a test does not say another.
pub(crate) const REVISION: &str = "2025-11-25";

/// The revisions with a handshake that came before.
pub(crate) const OLDER_REVISIONS: [&str; 3] = ["2024-11-05", "2025-03-26", "2025-06-18"];

/// A conversation, and which server's part of it is looked at.
pub(crate) struct Side<'a> {
    pub(crate) client: &'a Client,
    pub(crate) server: &'a Server,
    pub(crate) way: Way,
}

/// Where the requests go.
pub(crate) enum Way {
    /// To the server.
    Direct,
    /// To Switchboard; the tap shows what the server gets of it.
    Through(Tap),
}

impl Side<'_> {
    /// Runs a case: `{"seen": [messages], "answer": {"result" or "error": ...}}`, comparable.
    pub(crate) fn run(&self, case: &Case) -> Value {
        let mark = self.client.mark();
        let id = self.request(case.method, &case.params);
        let answer = self.client.answer(&id, PATIENCE);
        if let Way::Through(tap) = &self.way
            && !case.refused_here
        {
            tap.assert_received(&case.name, case.method, &case.params);
        }
        let seen = self.seen(mark, case.watch, Some(&id));
        case.comparable(json!({ "seen": seen, "answer": outcome(&answer) }))
    }

    /// Sends a request in the server's words; returns its id.
    pub(crate) fn request(&self, method: &str, params: &Value) -> Value {
        self.client.request(method, self.params(method, params))
    }

    /// Sends a request and waits for its outcome.
    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        let id = self.request(method, &params);
        outcome(&self.client.answer(&id, PATIENCE))
    }

    /// Calls a tool and waits for its outcome.
    pub(crate) fn call(&self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Everything in one of the server's lists, all pages.
    pub(crate) fn list(&self, method: &str, key: &str) -> Vec<Value> {
        let items = all_pages(self.client, method, key);
        match &self.way {
            Way::Direct => self.mapping().items(method, &items),
            Way::Through(_) => items.into_iter().filter(|item| self.server.owns(item)).collect(),
        }
    }

    /// The server's messages of these methods since `mark`, up to the answer to `id` if one is given.
    pub(crate) fn seen(&self, mark: usize, methods: &[&str], id: Option<&Value>) -> Vec<Value> {
        let mut seen = Vec::new();
        for message in self.client.since(mark) {
            if message.method().is_none() && id.is_some_and(|id| message.value.get("id") == Some(id)) {
                break;
            }
            if message.method().is_some_and(|method| methods.contains(&method))
                && self.is_mine(&message.value)
            {
                seen.push(self.message(&message.value));
            }
        }
        seen
    }

    /// The server's `count` messages of these methods that come with the answer to `id`: before it, unless they have a
    /// stream of their own and have to be waited for.
    pub(crate) fn seen_with(&self, mark: usize, methods: &[&str], id: &Value, count: usize) -> Vec<Value> {
        if !self.server.has_streams || matches!(self.way, Way::Direct) {
            return self.seen(mark, methods, Some(id));
        }
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let seen = self.seen(mark, methods, None);
            if seen.len() >= count || Instant::now() >= end {
                return seen;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// One message of the server as a client of Switchboard should see it.
    pub(crate) fn message(&self, message: &Value) -> Value {
        match self.way {
            Way::Direct => self.mapping().message(message),
            Way::Through(_) => content(message),
        }
    }

    /// Whether a message is of the server that is looked at.
    pub(crate) fn is_mine(&self, message: &Value) -> bool {
        matches!(self.way, Way::Direct) || self.mapping().is_mine(message)
    }

    /// Waits for a message of the server and gives its content.
    pub(crate) fn wait_for(&self, method: &str, mark: usize) -> Value {
        let message = self.client.wait_for(method, mark, Duration::from_secs(20), |message| {
            message.method() == Some(method) && self.is_mine(&message.value)
        });
        self.message(&message.value)
    }

    fn params(&self, method: &str, params: &Value) -> Value {
        match self.way {
            Way::Direct => params.clone(),
            Way::Through(_) => self.mapping().params(method, params),
        }
    }

    fn mapping(&self) -> Mapping {
        Mapping::new(self.server.name)
    }
}

/// Follows the cursors of a list to its end. A method that is not known lists nothing.
pub(crate) fn all_pages(client: &Client, method: &str, key: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut params = Value::Null;
    loop {
        let answer = client.call(method, params);
        if answer["error"]["code"] == -32601 {
            return items;
        }
        let page = answer["result"][key].as_array();
        items.extend(page.unwrap_or_else(|| panic!("{method} answered {answer}")).iter().cloned());
        let Some(cursor) = answer["result"].get("nextCursor") else { return items };
        params = json!({ "cursor": cursor });
        assert!(items.len() < 10_000, "{method} has no end");
    }
}

/// What the raw client can do: everything that the servers here ask for.
pub(crate) fn capabilities() -> Value {
    json!({ "roots": { "listChanged": true }, "sampling": {}, "elicitation": { "form": {}, "url": {} } })
}

/// Answers the servers' questions, always in the same way: the world's files are the only root, the model says
/// one fixed sentence, the user fills in one fixed form.
pub(crate) fn script(world: &World) -> impl FnMut(&Value) -> Reply + Send + 'static {
    let roots = roots(world, &["files"]);
    move |request| reply(request, &roots)
}

/// The roots that these folders of the world are.
pub(crate) fn roots(world: &World, folders: &[&str]) -> Value {
    let root = |folder: &&str| json!({ "uri": file_uri(&world.path(folder)), "name": folder });
    json!({ "roots": folders.iter().map(root).collect::<Vec<_>>() })
}

/// The fixed answers, with these roots.
pub(crate) fn reply(request: &Value, roots: &Value) -> Reply {
    match request["method"].as_str().unwrap_or_default() {
        "ping" => Reply::Result(json!({})),
        "roots/list" => Reply::Result(roots.clone()),
        "sampling/createMessage" => Reply::Result(json!({
            "role": "assistant",
            "content": { "type": "text", "text": "a fixed answer ☃" },
            "model": "fixed-model",
            "stopReason": "endTurn",
            "_meta": { "vendor.test/cost": 1.50 },
        })),
        "elicitation/create" if request["params"]["mode"] == "url" => {
            Reply::Result(json!({ "action": "accept" }))
        }
        "elicitation/create" => Reply::Result(json!({
            "action": "accept",
            "content": { "name": "Ada ä", "check": true, "integer": 7, "number": 2.50 },
        })),
        _ => Reply::Error(json!({ "code": -32601, "message": "Method not found" })),
    }
}
