//! The SDK as a server, behind Switchboard, before clients of every revision.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::board::{DEADLINE, Setup};
use super::peer::{House, MODERN, Peer, REVISIONS};

/// The server's program, see `server.rs`. Where only this test was built, it is built first.
fn program() -> PathBuf {
    let program =
        PathBuf::from(env!("CARGO_BIN_EXE_switchboard")).with_file_name("examples").join("rmcp_server");
    if !program.exists() {
        let build = ["build", "--quiet", "--example", "rmcp_server"];
        let built =
            Command::new(env!("CARGO")).args(build).current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        assert!(built.success(), "the server cannot be built");
    }
    program
}

fn note(server: &str) -> String {
    format!("s{}://one", server.replace('-', ""))
}

/// Servers at an address; they are killed with the value.
struct Listeners(Vec<Child>);

impl Drop for Listeners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a server speaks: one revision, or `all`.
const SERVERS: [&str; 6] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN, "all"];

/// One server for each of `SERVERS`, named `v…`.
fn setup(http: bool) -> (Setup, Listeners) {
    let program = program();
    let mut listeners = Listeners(Vec::new());
    let mut setup = Setup::new();
    for server in SERVERS {
        let mut variables = vec![("RMCP_SERVER_NOTE", note(server))];
        if server != "all" {
            variables.push(("RMCP_SERVER_REVISIONS", server.to_owned()));
        }
        let entry = if http {
            let mut command = Command::new(&program);
            let child = command.arg("http").envs(variables).stderr(Stdio::piped()).spawn().unwrap();
            listeners.0.push(child);
            let errors = listeners.0.last_mut().and_then(|child| child.stderr.take()).unwrap();
            let mut url = String::new();
            BufReader::new(errors).read_line(&mut url).unwrap();
            json!({ "url": url.trim() })
        } else {
            let variables: Value =
                variables.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
            json!({ "command": program, "env": variables })
        };
        setup = setup.entry(&format!("v{server}"), &entry.to_string());
    }
    (setup, listeners)
}

struct Cell<'a> {
    peer: &'a Peer,
    server: &'static str,
}

impl Cell<'_> {
    fn name(&self, original: &str) -> String {
        format!("v{}__{original}", self.server)
    }

    fn since(&self, revision: &str) -> bool {
        self.peer.revision >= revision && self.server >= revision
    }

    fn text(&self, tool: &str) -> String {
        self.peer.tool(&self.name(tool), json!({})).text()
    }

    fn calls(&self) {
        assert_eq!(self.peer.tool(&self.name("echo"), json!({ "input": "hi" })).text(), "hi");
        let sum = self.peer.tool(&self.name("add"), json!({ "a": 2, "b": 40 }));
        assert_eq!(sum.text(), r#"{"sum":42}"#);
        if self.since("2025-06-18") {
            assert_eq!(sum.result()["structuredContent"], json!({ "sum": 42 }), "{}", sum.raw);
        }
        let wrong = self.peer.tool(&self.name("add"), json!({ "a": "x" }));
        assert_eq!((wrong.code(), &wrong.error()["data"]), (-32602, &json!({ "id": 7 })), "{}", wrong.raw);
        let failed = self.peer.tool(&self.name("fail"), json!({}));
        assert_eq!(failed.result()["isError"], true);
    }

    fn prompts_and_resources(&self) {
        let greet = json!({ "name": self.name("greet"), "arguments": { "who": "Ada" } });
        let prompt = self.peer.call("prompts/get", greet).result();
        assert_eq!(prompt["messages"][0]["content"]["text"], "Greet Ada.");
        let names = json!({ "ref": { "type": "ref/prompt", "name": self.name("greet") },
                            "argument": { "name": "who", "value": "A" } });
        let names = self.peer.call("completion/complete", names).result();
        assert_eq!(names["completion"]["values"], json!(["Ada", "Alan"]));
        let uri = note(self.server);
        assert!(self.peer.list_with("resources/list", &uri).contains(&uri));
        let read = self.peer.call("resources/read", json!({ "uri": uri })).result();
        assert_eq!(read["contents"][0]["text"], "first");
    }

    /// The SDK writes whole numbers as fractions.
    fn progress(&self) {
        self.peer.heard();
        let call = json!({ "name": self.name("slow"), "arguments": {}, "_meta": { "progressToken": "p" } });
        assert_eq!(self.peer.call("tools/call", call).text(), "done");
        let steps = self.peer.heard_of(|message| message.method.as_deref() == Some("notifications/progress"));
        let steps: Vec<f64> = steps.iter().map(|step| step.params()["progress"].as_f64().unwrap()).collect();
        assert_eq!(steps, [1.0, 2.0, 3.0]);
    }

    fn logs(&self) {
        let mut call = json!({ "name": self.name("log"), "arguments": {} });
        if self.peer.is_modern() {
            call["_meta"]["io.modelcontextprotocol/logLevel"] = json!("warning");
        } else {
            assert_eq!(self.peer.call("logging/setLevel", json!({ "level": "warning" })).result(), json!({}));
        }
        self.peer.heard();
        assert_eq!(self.peer.call("tools/call", call).text(), "logged");
        let log = self.peer.notification("notifications/message").params();
        assert_eq!((&log["level"], &log["data"]), (&json!("warning"), &json!({ "mind": "the gap" })));
    }

    fn questions(&self) {
        let call = json!({ "name": self.name("ask"), "arguments": {} });
        let accept = json!({ "action": "accept", "content": { "name": "Ada" } });
        let mut asked = 0;
        let answer = self.peer.converse("tools/call", call.clone(), |question| {
            asked += 1;
            assert_eq!(question.method, "elicitation/create");
            assert_eq!(question.params["message"], format!("[v{}] Who?", self.server));
            accept.clone()
        });
        // The SDK's server asks in whatever revision it speaks; who has no forms is not asked.
        if self.peer.revision >= "2025-06-18" {
            assert_eq!((answer.text().as_str(), asked), ("Hello Ada", 1));
            let answer = self.peer.converse("tools/call", call, |_| json!({ "action": "decline" }));
            assert_eq!(answer.text(), "decline it is");
        } else {
            assert_eq!(asked, 0, "{}", answer.raw);
            assert!(answer.error.is_some() || answer.result()["isError"] == true, "{}", answer.raw);
        }
    }

    fn updates(&self) {
        let uri = note(self.server);
        let stream = self.peer.is_modern().then(|| {
            let wanted = json!({ "notifications": { "resourceSubscriptions": [uri] } });
            let stream = self.peer.ask("subscriptions/listen", wanted);
            self.peer.notification("notifications/subscriptions/acknowledged");
            stream
        });
        if stream.is_none() {
            self.peer.call("resources/subscribe", json!({ "uri": uri })).result();
        }
        // Nothing tells a client when a subscription of a stream has reached the server, so that it touches until it hears.
        let until = Instant::now() + DEADLINE;
        let updated = loop {
            self.text("touch");
            let is_update = |message: &super::board::Message| {
                message.method.as_deref() == Some("notifications/resources/updated")
            };
            if let Some(updated) = self.peer.hear_within(Duration::from_millis(100), is_update) {
                break updated;
            }
            assert!(Instant::now() < until, "no update of {uri}");
        };
        assert_eq!(updated.params()["uri"], uri);
        match stream {
            Some(stream) => self.peer.cancel(&stream),
            None => {
                assert_eq!(self.peer.call("resources/unsubscribe", json!({ "uri": uri })).result(), json!({}))
            }
        }
    }

    fn cancellation(&self) {
        let before: usize = self.text("cancelled").parse().unwrap();
        let call = json!({ "name": self.name("wait"), "arguments": {}, "_meta": { "progressToken": "w" } });
        let id = self.peer.ask("tools/call", call);
        self.peer.notification("notifications/progress");
        self.peer.cancel(&id);
        let until = Instant::now() + DEADLINE;
        while self.text("cancelled").parse::<usize>().unwrap() == before {
            assert!(Instant::now() < until, "the server was not told");
        }
    }

    fn all(&self) {
        self.calls();
        self.prompts_and_resources();
        self.progress();
        self.logs();
        self.questions();
        self.cancellation();
        self.updates();
    }
}

/// Every revision on both sides.
fn every_pair(client_http: bool, server_http: bool) {
    let mut failures = Vec::new();
    for client in REVISIONS {
        let (setup, _listeners) = setup(server_http);
        let house = House::over(client_http, setup);
        let peer = house.peer(client);
        for server in SERVERS {
            let cell = Cell { peer: &peer, server };
            let run = std::panic::AssertUnwindSafe(|| {
                peer.list_with("tools/list", &cell.name("echo"));
                cell.all();
            });
            if let Err(panic) = std::panic::catch_unwind(run) {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                failures.push(format!("client {client}, server {server}: {}", text.unwrap_or_default()));
            }
        }
        drop(peer);
        if failures.is_empty() {
            house.close();
        } else {
            failures.extend(house.faults());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_sdk_s_server_on_pipes() {
    every_pair(false, false);
}

#[test]
fn the_sdk_s_server_on_pipes_for_clients_over_http() {
    every_pair(true, false);
}

#[test]
fn the_sdk_s_server_over_http() {
    every_pair(false, true);
}

#[test]
fn the_sdk_s_server_over_http_for_clients_over_http() {
    every_pair(true, true);
}
