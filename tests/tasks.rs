//! Tasks between every kind of client and every kind of server: those that know none, those of the core of 2025-11-25, and those
//! of the extension of the modern era. Whatever the cell, a call comes to an end, and nobody gets a task who has not asked for it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "support/board.rs"]
mod board;
#[path = "support/peer.rs"]
mod peer;

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use board::{DEADLINE, Message, Setup};
use peer::{House, MODERN, Peer, Question, Request, everything};
use serde_json::{Value, json};

const RELATED: &str = "io.modelcontextprotocol/related-task";

/// A server's tools; `TASK` stands for how they can be called as tasks.
const TOOLS: &str = r#"
tools:
  works: { TASK, delay: 40ms, answer: "{{nonce}}: done" }
  is_error: { TASK, delay: 20ms, is_error: true, answer: That did not work. }
  breaks: { TASK, delay: 20ms, error: { code: -32603, message: It broke, data: { id: 7 } } }
  asks:
    TASK
    steps:
      - status: "about to ask"
      - ask: { method: elicitation/create, save: reply, params: { message: "Go on, {{nonce}}?", requestedSchema: { type: object, properties: {} } } }
      - ask: { method: roots/list, save: where }
      - answer: "{{nonce}}: {{reply.action}} {{where.roots.0.uri}}"
  never: { TASK, hang: true }
"#;

/// A server called `none` that knows no tasks, and two for each form: tools that may be called as tasks, and tools that must be.
const SERVERS: [(&str, &str, &str); 5] = [
    ("none", "[ 2025-06-18 ]", ""),
    ("core", "[ 2025-11-25 ]", "optional"),
    ("core-only", "[ 2025-11-25 ]", "required"),
    ("ext", "[ 2026-07-28 ]", "optional"),
    ("ext-only", "[ 2026-07-28 ]", "required"),
];

fn script(revisions: &str, support: &str) -> String {
    let tools = match support {
        "" => TOOLS.replace("TASK, ", "").replace("    TASK\n", ""),
        _ => {
            let task = format!("task: {{ poll: 20ms, support: {support} }}");
            TOOLS.replace("TASK", &task)
        }
    };
    format!("revisions: {revisions}\n{tools}")
}

fn setup(servers: &[(&str, &str, &str)]) -> Setup {
    servers.iter().fold(Setup::new(), |setup, (name, revisions, support)| {
        setup.script(name, &script(revisions, support))
    })
}

/// A house whose servers have shown themselves, so that tasks are declared to whoever comes.
fn house(http: bool, servers: &[(&str, &str, &str)]) -> House {
    let house = House::over(http, setup(servers));
    let first = house.peer(MODERN);
    for (server, ..) in servers {
        first.list_with("tools/list", &format!("{server}__works"));
    }
    house
}

/// What a client knows of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    Nothing,
    Core,
    Extension,
}

const CLIENTS: [(&str, Knows); 4] = [
    ("2025-06-18", Knows::Nothing),
    (MODERN, Knows::Nothing),
    ("2025-11-25", Knows::Core),
    (MODERN, Knows::Extension),
];

fn peer(house: &House, revision: &'static str, knows: Knows) -> Peer {
    let mut capabilities = everything(revision);
    if knows == Knows::Extension {
        capabilities["extensions"] = json!({ "io.modelcontextprotocol/tasks": {} });
    }
    house.peer_with(revision, capabilities)
}

fn answer_to(question: &Question) -> Value {
    match question.method.as_str() {
        "roots/list" => json!({ "roots": [{ "uri": "file:///w" }] }),
        _ => {
            let message = question.params["message"].as_str().unwrap();
            assert!(message.starts_with('[') && message.contains("Go on, N?"), "{message}");
            json!({ "action": "accept", "content": {} })
        }
    }
}

/// How a call ended.
#[derive(Debug)]
struct Ended {
    result: Option<Value>,
    error: Option<Value>,
    /// The last status of its task, if it was one.
    status: Option<String>,
}

impl Ended {
    fn of(answer: &Message, status: Option<String>) -> Self {
        let error = answer.error.is_some().then(|| answer.error());
        let result = error.is_none().then(|| answer.result());
        Self { result, error, status }
    }

    fn text(&self) -> &str {
        let text = self.result.as_ref().and_then(|result| result["content"][0]["text"].as_str());
        text.unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// The params of a call as this client makes it.
fn call(knows: Knows, tool: &str) -> Value {
    let mut params = json!({ "name": tool, "arguments": { "nonce": "N" } });
    if knows == Knows::Core {
        params["task"] = json!({ "ttl": 60_000 });
    }
    params
}

fn status_of(task: &Value) -> String {
    task["status"].as_str().unwrap_or_else(|| panic!("{task}")).to_owned()
}

/// Looks at a task until it is in a state that fits.
#[track_caller]
fn watch(peer: &Peer, task: &Value, fits: impl Fn(&str, &Value) -> bool) -> Value {
    let until = Instant::now() + DEADLINE;
    loop {
        let told = peer.call("tasks/get", json!({ "taskId": task }));
        assert!(told.error.is_none(), "{}", told.raw);
        let told = told.result();
        assert_eq!(&told["taskId"], task, "a name stays the same");
        if fits(&status_of(&told), &told) {
            return told;
        }
        assert!(Instant::now() < until, "{told}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Calls a tool as the client does that knows so much, and follows the task, if it becomes one, to its end.
#[track_caller]
fn follow(peer: &Peer, knows: Knows, tool: &str) -> Ended {
    let params = call(knows, tool);
    let begun = peer.converse("tools/call", params, answer_to);
    if begun.error.is_some() {
        return Ended::of(&begun, None);
    }
    let result = begun.result();
    match knows {
        Knows::Core if result.get("task").is_some() => {
            let task = &result["task"];
            assert!(task["ttl"].is_u64() && task["createdAt"].is_string(), "{task}");
            assert!(task.get("ttlMs").is_none() && result.get("resultType").is_none(), "{result}");
            let id = &task["taskId"];
            let told = watch(peer, id, |status, _| status != "working");
            assert!(told.get("result").is_none() && told.get("ttlMs").is_none(), "{told}");
            let end = peer.converse("tasks/result", json!({ "taskId": id }), |question| {
                assert_eq!(&question.params["_meta"][RELATED]["taskId"], id, "{:?}", question.params);
                answer_to(question)
            });
            if end.error.is_none() {
                assert_eq!(&end.result()["_meta"][RELATED]["taskId"], id, "{}", end.raw);
            }
            let status =
                status_of(&watch(peer, id, |status, _| status != "working" && status != "input_required"));
            Ended::of(&end, Some(status))
        }
        Knows::Extension if result["resultType"] == "task" => {
            assert!(result["ttlMs"].is_u64() || result["ttlMs"].is_null(), "{result}");
            assert!(result.get("ttl").is_none() && result.get("task").is_none(), "{result}");
            let id = &result["taskId"];
            let mut answered: HashSet<String> = HashSet::new();
            loop {
                let told = watch(peer, id, |status, told| {
                    let requests = told["inputRequests"].as_object();
                    let is_new = requests.is_some_and(|all| all.keys().any(|key| !answered.contains(key)));
                    !matches!(status, "working" | "input_required") || is_new
                });
                assert_eq!(told["resultType"], "complete", "{told}");
                let Some(requests) = told["inputRequests"].as_object() else {
                    let (result, error) = (told.get("result").cloned(), told.get("error").cloned());
                    return Ended { result, error, status: Some(status_of(&told)) };
                };
                for (key, request) in requests.iter().filter(|(key, _)| answered.insert(key.to_string())) {
                    let method = request["method"].as_str().unwrap().to_owned();
                    let question = Question { key: key.clone(), method, params: request["params"].clone() };
                    let responses = json!({ key.as_str(): answer_to(&question) });
                    let update = json!({ "taskId": id, "inputResponses": responses });
                    let done = peer.call("tasks/update", update);
                    assert_eq!(done.result()["resultType"], "complete", "{}", done.raw);
                }
            }
        }
        Knows::Nothing | Knows::Core | Knows::Extension => {
            assert!(result.get("task").is_none() && result["resultType"] != "task", "{}", begun.raw);
            Ended::of(&begun, None)
        }
    }
}

/// Whether the call becomes a task, as the client sees it.
fn becomes_task(knows: Knows, server: &str) -> bool {
    knows != Knows::Nothing && server != "none"
}

/// Runs a test in every cell, over stdio and over HTTP.
fn in_every_cell(test: impl Fn(&House, &Peer, Knows, &str)) {
    for http in [false, true] {
        let house = house(http, &SERVERS);
        for (revision, knows) in CLIENTS {
            // On stdio there is one legacy client.
            if !http && revision == "2025-06-18" {
                continue;
            }
            let peer = peer(&house, revision, knows);
            for (server, ..) in SERVERS {
                test(&house, &peer, knows, server);
            }
        }
        house.close();
    }
}

fn refused(ended: &Ended) -> bool {
    ended.error.as_ref().is_some_and(|error| error["code"] == -32601)
}

#[test]
fn a_call_completes() {
    in_every_cell(|_, peer, knows, server| {
        let ended = follow(peer, knows, &format!("{server}__works"));
        if (knows, server) == (Knows::Core, "none") {
            return assert!(refused(&ended), "{ended:?}");
        }
        assert_eq!(ended.text(), "N: done", "{knows:?} {server}");
        let expected = becomes_task(knows, server).then_some("completed");
        assert_eq!(ended.status.as_deref(), expected, "{knows:?} {server}");
    });
}

#[test]
fn a_call_fails() {
    in_every_cell(|_, peer, knows, server| {
        if (knows, server) == (Knows::Core, "none") {
            return;
        }
        let is_task = becomes_task(knows, server);
        let ended = follow(peer, knows, &format!("{server}__is_error"));
        assert_eq!(ended.text(), "That did not work.", "{knows:?} {server}");
        assert_eq!(ended.result.as_ref().unwrap()["isError"], true, "{knows:?} {server}: {ended:?}");
        // In the core a tool that says it failed has failed.
        let expected = if knows == Knows::Core { "failed" } else { "completed" };
        assert_eq!(ended.status.as_deref(), is_task.then_some(expected), "{knows:?} {server}");

        let ended = follow(peer, knows, &format!("{server}__breaks"));
        let error = ended.error.as_ref().unwrap_or_else(|| panic!("{knows:?} {server}: {ended:?}"));
        assert_eq!(error["code"], -32603, "{knows:?} {server}");
        assert!(error["message"].as_str().unwrap().contains("It broke"), "{error}");
        assert_eq!(error["data"], json!({ "id": 7 }), "{knows:?} {server}");
        assert_eq!(ended.status.as_deref(), is_task.then_some("failed"), "{knows:?} {server}");
    });
}

#[test]
fn a_call_asks_in_between() {
    in_every_cell(|_, peer, knows, server| {
        if (knows, server) == (Knows::Core, "none") {
            return;
        }
        let ended = follow(peer, knows, &format!("{server}__asks"));
        assert_eq!(ended.text(), "N: accept file:///w", "{knows:?} {server}");
        assert_eq!(ended.status.as_deref(), becomes_task(knows, server).then_some("completed"));
    });
}

#[test]
fn a_call_is_cancelled() {
    in_every_cell(|house, peer, knows, server| {
        if (knows, server) == (Knows::Core, "none") {
            return;
        }
        let told =
            |line: &Value| line["method"] == "tasks/cancel" || line["method"] == "notifications/cancelled";
        let before = house.received(server).iter().filter(|line| told(line)).count();
        let tool = format!("{server}__never");
        let calls = house.received(server).iter().filter(|line| line["params"]["name"] == "never").count();
        let id = peer.ask("tools/call", call(knows, &tool));
        house.await_received(server, calls + 1, |line| line["params"]["name"] == "never");
        if !becomes_task(knows, server) {
            if server.ends_with("only") {
                let looks =
                    house.received(server).iter().filter(|line| line["method"] == "tasks/get").count();
                house.await_received(server, looks + 1, |line| line["method"] == "tasks/get");
            }
            peer.cancel(&id);
            house.await_received(server, before + 1, told);
            return;
        }
        let begun = peer.answer(&id).result();
        let task = if knows == Knows::Core { &begun["task"]["taskId"] } else { &begun["taskId"] };
        watch(peer, task, |status, _| status == "working");
        let waits = (knows == Knows::Core).then(|| peer.ask("tasks/result", json!({ "taskId": task })));
        let cancelled = peer.call("tasks/cancel", json!({ "taskId": task }));
        match knows {
            Knows::Core => assert_eq!(cancelled.result()["status"], "cancelled", "{}", cancelled.raw),
            _ => assert_eq!(cancelled.result()["resultType"], "complete", "{}", cancelled.raw),
        }
        watch(peer, task, |status, _| status == "cancelled");
        house.await_received(server, before + 1, told);
        if let Some(waits) = waits {
            assert!(peer.answer(&waits).error.is_some());
            let again = peer.call("tasks/cancel", json!({ "taskId": task }));
            assert_eq!(again.error()["code"], -32602, "{}", again.raw);
        }
    });
}

#[test]
fn an_unknown_task_is_refused() {
    for http in [false, true] {
        let house = house(http, &SERVERS);
        let (core, extension) =
            (peer(&house, "2025-11-25", Knows::Core), peer(&house, MODERN, Knows::Extension));
        let plain = peer(&house, MODERN, Knows::Nothing);
        for server in ["core", "ext"] {
            let tool = format!("{server}__works");
            let cores = core.call("tools/call", call(Knows::Core, &tool)).result();
            let extensions = extension.call("tools/call", call(Knows::Extension, &tool)).result();
            // The name of a task in the other form means nothing, and nobody else's tasks can be guessed.
            for (peer, foreign) in [
                (&core, &extensions["taskId"]),
                (&extension, &cores["task"]["taskId"]),
                (&plain, &cores["task"]["taskId"]),
                (&core, &json!("task-0001")),
                (&extension, &json!("task-0001")),
                (&core, &json!(7)),
            ] {
                for method in ["tasks/get", "tasks/cancel"] {
                    let answer = peer.call(method, json!({ "taskId": foreign }));
                    assert_eq!(answer.error()["code"], -32602, "{server} {method} {foreign}: {}", answer.raw);
                }
            }
        }
        let answer = core.call("tasks/result", json!({ "taskId": "x" }));
        assert_eq!(answer.error()["code"], -32602, "{}", answer.raw);
        let answer = extension.call("tasks/update", json!({ "taskId": "x", "inputResponses": {} }));
        assert_eq!(answer.error()["code"], -32602, "{}", answer.raw);
        for (peer, method) in
            [(&core, "tasks/update"), (&extension, "tasks/result"), (&extension, "tasks/list")]
        {
            let answer = peer.call(method, json!({ "taskId": "x", "inputResponses": {} }));
            assert_eq!(answer.error()["code"], -32601, "{method}: {}", answer.raw);
        }
        drop((core, extension, plain));
        house.close();
    }
}

#[test]
fn tasks_are_declared_where_a_server_has_them() {
    for (server, declares) in [("none", false), ("core", true), ("ext", true)] {
        let chosen: Vec<_> = SERVERS.into_iter().filter(|(name, ..)| *name == server).collect();
        let house = house(false, &chosen);
        let modern = peer(&house, MODERN, Knows::Extension);
        let capabilities = modern.call("server/discover", json!({})).result()["capabilities"].clone();
        let extension = &capabilities["extensions"]["io.modelcontextprotocol/tasks"];
        assert_eq!(extension.is_object(), declares, "{server}: {capabilities}");
        let legacy = house.stranger("2025-11-25", everything("2025-11-25"), None);
        let capabilities = legacy.initialize().result()["capabilities"].clone();
        let expected = json!({ "list": {}, "cancel": {}, "requests": { "tools": { "call": {} } } });
        assert_eq!(capabilities.get("tasks") == Some(&expected), declares, "{server}: {capabilities}");
        let tools = legacy.call("tools/list", json!({})).result();
        let works = format!("{server}__works");
        let tool = tools["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == works.as_str());
        let support = tool.unwrap()["execution"]["taskSupport"].clone();
        assert_eq!(support == "optional", declares, "{server}: {support}");
        if !declares {
            // A server that declares no tasks ignores the demand for one.
            assert_eq!(follow(&legacy, Knows::Core, &works).text(), "N: done");
        }
        drop((modern, legacy));
        house.close();
    }
}

#[test]
fn a_session_lists_the_tasks_that_it_has_begun() {
    let house = house(true, &SERVERS);
    let peers = [peer(&house, "2025-11-25", Knows::Core), peer(&house, "2025-11-25", Knows::Core)];
    let listed = |peer: &Peer| {
        let mut names = Vec::new();
        let mut params = json!({});
        loop {
            let page = peer.call("tasks/list", params).result();
            names.extend(page["tasks"].as_array().unwrap().iter().map(|task| task["taskId"].to_string()));
            let Some(cursor) = page.get("nextCursor") else { return names };
            params = json!({ "cursor": cursor });
        }
    };
    let mut begun: [Vec<String>; 2] = Default::default();
    for number in 0..61 {
        let (owner, server) = (number % 2, ["core", "ext"][number / 2 % 2]);
        let tool = format!("{server}__works");
        let task = peers[owner].call("tools/call", call(Knows::Core, &tool)).result();
        begun[owner].push(task["task"]["taskId"].to_string());
    }
    for _ in 0..40 {
        let task = peers[0].call("tools/call", call(Knows::Core, "ext__works")).result();
        begun[0].push(task["task"]["taskId"].to_string());
    }
    for (peer, begun) in peers.iter().zip(&mut begun) {
        let mut names = listed(peer);
        names.sort();
        begun.sort();
        assert_eq!(&names, begun);
    }
    let bad = peers[0].call("tasks/list", json!({ "cursor": "x" }));
    assert_eq!(bad.error()["code"], -32602, "{}", bad.raw);
    drop(peers);
    house.close();
}

#[test]
fn news_of_a_task_reach_its_session_alone() {
    let house = house(true, &SERVERS);
    let (owner, other) = (peer(&house, "2025-11-25", Knows::Core), peer(&house, "2025-11-25", Knows::Core));
    for server in ["core", "ext"] {
        let begun = owner.call("tools/call", call(Knows::Core, &format!("{server}__works"))).result();
        let task = begun["task"]["taskId"].clone();
        let news = owner.hear("the end of the task", |message| {
            message.method.as_deref() == Some("notifications/tasks/status")
                && message.params()["status"] == "completed"
        });
        assert_eq!(news.params()["taskId"], task, "{server}: {}", news.raw);
        assert!(
            news.params().get("ttlMs").is_none() && news.params().get("result").is_none(),
            "{}",
            news.raw
        );
    }
    other.call("tools/list", json!({}));
    let overheard = other.heard_of(|message| message.raw.contains("tasks/"));
    assert!(overheard.is_empty(), "{overheard:?}");
    drop((owner, other));
    house.close();
}

#[test]
fn news_of_a_task_reach_those_who_listen_to_it() {
    for http in [false, true] {
        let house = house(http, &SERVERS);
        let peer = peer(&house, MODERN, Knows::Extension);
        for server in ["core", "ext"] {
            let begun = peer.call("tools/call", call(Knows::Extension, &format!("{server}__asks"))).result();
            let task = begun["taskId"].clone();
            let wanted = json!({ "notifications": { "taskIds": [task, "nobodys"] } });
            let id = peer.ask("subscriptions/listen", wanted);
            let first = peer.notification("notifications/subscriptions/acknowledged");
            assert_eq!(first.params()["notifications"], json!({ "taskIds": [task] }), "{server}");
            if server == "ext" {
                house.await_received(server, 1, |line| line["params"]["notifications"]["taskIds"].is_array());
            }
            let mut answered: HashSet<String> = HashSet::new();
            for _ in 0..2 {
                let told = watch(&peer, &task, |_, told| {
                    let requests = told["inputRequests"].as_object();
                    requests.is_some_and(|all| all.keys().any(|key| !answered.contains(key)))
                });
                for (key, request) in told["inputRequests"].as_object().unwrap() {
                    let method = request["method"].as_str().unwrap().to_owned();
                    let question = Question { key: key.clone(), method, params: request["params"].clone() };
                    let responses = json!({ key.as_str(): answer_to(&question) });
                    peer.call("tasks/update", json!({ "taskId": task, "inputResponses": responses }));
                    answered.insert(key.clone());
                }
            }
            let news = peer.hear("the end of the task", |message| {
                message.method.as_deref() == Some("notifications/tasks")
                    && message.params()["status"] == "completed"
            });
            let params = news.params();
            assert_eq!(params["taskId"], task, "{server}: {}", news.raw);
            assert_eq!(params["result"]["content"][0]["text"], "N: accept file:///w", "{}", news.raw);
            let subscription = &params["_meta"]["io.modelcontextprotocol/subscriptionId"];
            assert_eq!(subscription.to_string(), id, "{server}: {}", news.raw);
            peer.cancel(&id);
            peer.heard();
        }
        let other = house.peer(MODERN);
        let refused = other.call("subscriptions/listen", json!({ "notifications": { "taskIds": ["x"] } }));
        assert_eq!(refused.error()["code"], -32021, "{}", refused.raw);
        drop((peer, other));
        house.close();
    }
}

#[test]
fn a_session_that_leaves_ends_its_tasks() {
    let house = house(true, &SERVERS);
    let peer = peer(&house, "2025-11-25", Knows::Core);
    let begun = peer.call("tools/call", call(Knows::Core, "ext__never")).result();
    watch(&peer, &begun["task"]["taskId"], |status, _| status == "working");
    house.await_received("ext", 1, |line| line["method"] == "tasks/get");
    let goodbye = Request { method: "DELETE", body: String::new(), headers: peer.headers(None) };
    assert_eq!(goodbye.send(house.address(), drop, |_| {}).unwrap().status, 204);
    house.await_received("ext", 1, |line| line["method"] == "tasks/cancel");
    drop(peer);
    house.close();
}

/// Check 79: whose question it is, the task says.
#[test]
fn a_task_stands_in_nobodys_way_and_asks_nobody_else() {
    let script = r#"
revisions: [ 2025-11-25 ]
tools:
  asks:
    task: { poll: 20ms, asks: direct }
    steps:
      - sleep: 150ms
      - ask: { method: elicitation/create, save: reply, params: { message: "Go on, N?", requestedSchema: { type: object, properties: {} } } }
      - answer: "{{reply.action}}"
  never: { task: { poll: 20ms }, hang: true }
  works: { delay: 400ms, answer: worked }
"#;
    let house = House::http(Setup::new().script("a", script));
    house.peer(MODERN).list_with("tools/list", "a__works");
    let (owner, other) = (peer(&house, "2025-11-25", Knows::Core), peer(&house, "2025-11-25", Knows::Core));
    let endless = owner.call("tools/call", call(Knows::Core, "a__never")).result();
    let waits = owner.ask("tasks/result", json!({ "taskId": endless["task"]["taskId"] }));
    house.await_received("a", 1, |line| line["method"] == "tasks/result");
    let asks = owner.call("tools/call", call(Knows::Core, "a__asks")).result();
    let works = other.ask("tools/call", json!({ "name": "a__works", "arguments": {} }));
    let question =
        owner.hear("a question", |message| message.method.as_deref() == Some("elicitation/create"));
    assert_eq!(question.params()["_meta"][RELATED]["taskId"], asks["task"]["taskId"], "{}", question.raw);
    owner.respond(&question.id.clone().unwrap(), &json!({ "action": "accept", "content": {} }));
    watch(&owner, &asks["task"]["taskId"], |status, _| status == "completed");
    assert_eq!(other.answer(&works).text(), "worked");
    let heard = other.heard_of(|message| message.id.is_some());
    assert!(heard.is_empty(), "{heard:?}");
    owner.cancel(&waits);
    house.await_received("a", 1, |line| line["method"] == "notifications/cancelled");
    drop((owner, other));
    house.close();
}

/// What says how a tool can be called as a task in the older form is nothing for clients of the newer one.
#[test]
fn modern_clients_see_no_task_support() {
    let house = house(false, &SERVERS);
    let modern = peer(&house, MODERN, Knows::Extension);
    let tools = modern.call("tools/list", json!({}));
    assert!(!tools.raw.contains("taskSupport") && tools.raw.contains("core-only__works"), "{}", tools.raw);
    drop(modern);
    house.close();
}

/// A task may take longer than a call may be silent.
#[test]
fn who_waits_for_a_task_waits_longer_than_for_a_call() {
    for server in ["core", "ext"] {
        let revisions = if server == "core" { "2025-11-25" } else { MODERN };
        let script = format!(
            "revisions: [ {revisions} ]\ntools:\n  works: {{ task: {{ poll: 20ms }}, delay: 1200ms, answer: done }}\n"
        );
        let house = House::stdio(Setup::new().script("a", &script).keys("timeouts: { call: 300ms }"));
        house.peer(MODERN).list_with("tools/list", "a__works");
        for (revision, knows) in [("2025-11-25", Knows::Core), (MODERN, Knows::Extension)] {
            let peer = peer(&house, revision, knows);
            assert_eq!(follow(&peer, knows, "a__works").text(), "done", "{knows:?} {server}");
        }
        house.close();
    }
}
