//! What needs more than one request: subscriptions, log levels, cancellation, changing roots. A scene runs on
//! either side and gives an outcome; both outcomes must be the same text.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::blur;
use crate::side::{Side, Way, reply, roots};
use crate::world::World;

/// The lists that a server can have, and the key of their items.
pub(crate) const LISTS: [(&str, &str); 4] = [
    ("tools/list", "tools"),
    ("prompts/list", "prompts"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resourceTemplates"),
];

/// A scene: acts on a side and tells the outcome.
pub(crate) type Scene = fn(&Side<'_>, &World) -> Value;

const LOG: &[&str] = &["notifications/message"];
const UPDATED: &[&str] = &["notifications/resources/updated"];

/// The scenes of a server, in the order in which they run.
pub(crate) fn of(server: &str) -> Vec<(&'static str, Scene)> {
    let mut scenes: Vec<(&'static str, Scene)> = vec![("ping", ping)];
    match server {
        "everything" => scenes.extend([
            ("log level", log_level as Scene),
            ("simulated logging", simulated_logging),
            ("subscription", subscription),
            ("resource of the session", session_resource),
            ("roots", changing_roots),
            ("cancellation", cancellation),
        ]),
        "everything-old" => scenes.push(("cancellation", old_cancellation)),
        "memory" => scenes.push(("subscription", graph_subscription)),
        "filesystem" => scenes.push(("roots", changing_allowed_directories)),
        _ => {}
    }
    scenes
}

fn ping(side: &Side<'_>, _: &World) -> Value {
    side.ask("ping", Value::Null)
}

/// A level keeps lower messages away, and lowering it lets them through again. `everything` logs each
/// subscription at level `info`.
fn log_level(side: &Side<'_>, _: &World) -> Value {
    let mut outcome = Vec::new();
    for (level, logs) in [("emergency", 0), ("debug", 1), ("warning", 0), ("info", 1)] {
        let answer = side.ask("logging/setLevel", json!({ "level": level }));
        let mark = side.client.mark();
        let uri = "demo://resource/static/document/features.md";
        let id = side.request("resources/subscribe", &json!({ "uri": uri }));
        let subscribed = side.client.answer(&id, Duration::from_secs(20));
        let seen = side.seen_with(mark, LOG, &id, logs);
        let mark = side.client.mark();
        let id = side.request("resources/unsubscribe", &json!({ "uri": uri }));
        side.client.answer(&id, Duration::from_secs(20));
        side.seen_with(mark, LOG, &id, logs);
        outcome
            .push(json!({ "level": level, "answer": answer, "seen": seen, "result": subscribed["result"] }));
    }
    json!(outcome)
}

fn simulated_logging(side: &Side<'_>, _: &World) -> Value {
    side.ask("logging/setLevel", json!({ "level": "debug" }));
    let mark = side.client.mark();
    let started = side.call("toggle-simulated-logging", json!({}));
    let message = side.wait_for("notifications/message", mark);
    let stopped = side.call("toggle-simulated-logging", json!({}));
    let mut outcome = json!({ "started": started, "stopped": stopped, "seen": [message] });
    blur::random_log(&mut outcome);
    outcome
}

/// Updates come for what is subscribed, before the answer of the call that causes them, and for nothing else.
fn subscription(side: &Side<'_>, _: &World) -> Value {
    let toggled = |updates: usize| {
        let mark = side.client.mark();
        let id = side.request("tools/call", &json!({ "name": "toggle-subscriber-updates", "arguments": {} }));
        let answer = side.client.answer(&id, Duration::from_secs(20));
        json!({ "seen": side.seen_with(mark, UPDATED, &id, updates), "result": answer["result"] })
    };
    let uri = |name: &str| json!({ "uri": format!("demo://resource/static/document/{name}.md") });
    let template = json!({ "uri": "demo://resource/dynamic/text/1" });
    let mut outcome = vec![
        side.ask("resources/subscribe", uri("startup")),
        side.ask("resources/subscribe", template.clone()),
        side.ask("resources/subscribe", uri("structure")),
        side.ask("resources/unsubscribe", uri("structure")),
    ];
    outcome.extend([toggled(2), toggled(0)]);
    outcome.extend([
        side.ask("resources/unsubscribe", uri("startup")),
        side.ask("resources/unsubscribe", template),
    ]);
    outcome.extend([toggled(0), toggled(0)]);
    json!(outcome)
}

/// A resource that a call makes is announced, listed and readable. Between the announcement and the moment in
/// which Switchboard knows the new list it may be unknown, so reading is tried until it is known.
fn session_resource(side: &Side<'_>, _: &World) -> Value {
    let mark = side.client.mark();
    let arguments =
        json!({ "name": "made.gz", "data": "data:text/plain,hello", "outputType": "resourceLink" });
    let made = side.call("gzip-file-as-resource", arguments);
    side.wait_for("notifications/resources/list_changed", mark);
    let uri = json!({ "uri": "demo://resource/session/made.gz" });
    let read = until(|| side.ask("resources/read", uri.clone()), |read| read.get("result").is_some());
    let listed = side.list("resources/list", "resources");
    json!({ "made": made, "read": read, "listed": listed })
}

fn changing_roots(side: &Side<'_>, world: &World) -> Value {
    let before =
        until(|| side.call("get-roots-list", json!({})), |answer| answer.to_string().contains("(1 total)"));
    let mark = side.client.mark();
    change_roots(side, world, &["files", "repository"]);
    let seen = side.wait_for("notifications/message", mark);
    let after =
        until(|| side.call("get-roots-list", json!({})), |answer| answer.to_string().contains("(2 total)"));
    change_roots(side, world, &["files"]);
    json!({ "before": before, "seen": seen, "after": after })
}

fn changing_allowed_directories(side: &Side<'_>, world: &World) -> Value {
    let ask = || side.call("list_allowed_directories", json!({}));
    let before = until(ask, |answer| answer.to_string().contains("/files"));
    change_roots(side, world, &["repository", "home"]);
    let after = until(ask, |answer| answer.to_string().contains("/repository"));
    change_roots(side, world, &["files"]);
    let again = until(ask, |answer| !answer.to_string().contains("/repository"));
    json!({ "before": before, "after": after, "again": again })
}

fn change_roots(side: &Side<'_>, world: &World, folders: &[&str]) {
    let roots = roots(world, folders);
    side.client.answer_with(move |request| reply(request, &roots));
    side.client.notify("notifications/roots/list_changed", Value::Null);
}

fn graph_subscription(side: &Side<'_>, _: &World) -> Value {
    let uri = json!({ "uri": "memory://knowledge-graph" });
    let changed = |name: &str| {
        let entity = json!({ "name": name, "entityType": "thing", "observations": [] });
        let mark = side.client.mark();
        let params = json!({ "name": "create_entities", "arguments": { "entities": [entity] } });
        let id = side.request("tools/call", &params);
        side.client.answer(&id, Duration::from_secs(20));
        json!(side.seen(mark, UPDATED, Some(&id)))
    };
    let mut outcome =
        vec![changed("before"), side.ask("resources/subscribe", uri.clone()), changed("meanwhile")];
    outcome.extend([side.ask("resources/unsubscribe", uri), changed("after")]);
    json!(outcome)
}

fn cancellation(side: &Side<'_>, _: &World) -> Value {
    cancel(side, "trigger-long-running-operation")
}

fn old_cancellation(side: &Side<'_>, _: &World) -> Value {
    cancel(side, "longRunningOperation")
}

/// A call that is cancelled after its first progress is never answered, though the server would have answered
/// long since, and the server is told. Progress after the cancellation is not compared: `everything` goes on
/// reporting it, which nobody needs.
fn cancel(side: &Side<'_>, tool: &str) -> Value {
    let mark = side.client.mark();
    let params = json!({
        "name": tool,
        "arguments": { "duration": 1, "steps": 4 },
        "_meta": { "progressToken": "to be cancelled" },
    });
    let id = side.request("tools/call", &params);
    let progress = side.wait_for("notifications/progress", mark);
    side.client.notify("notifications/cancelled", json!({ "requestId": id, "reason": "changed my mind ☃" }));
    let answered = side.client.try_answer(&id, Duration::from_millis(2500)).is_some();
    if let Way::Through(tap) = &side.way {
        let call = tap.received("tools/call").pop().unwrap();
        let told = tap.wait_for("notifications/cancelled", |message| {
            message["params"]["requestId"] == call["id"] && message["params"]["reason"] == "changed my mind ☃"
        });
        assert!(told.is_some(), "the server was not told of the cancellation of its request {}", call["id"]);
    }
    json!({ "progress": progress, "answered": answered, "alive": side.call("echo", json!({ "message": "still" })) })
}

/// Repeats a question until the answer fits, at most ten seconds; the last answer either way.
fn until(ask: impl Fn() -> Value, fits: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = ask();
        if fits(&answer) || Instant::now() >= end {
            return answer;
        }
        thread::sleep(Duration::from_millis(50));
    }
}
