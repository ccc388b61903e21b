//! Looking for servers, and what was found.

use http::StatusCode;
use serde_json::{Value, json};

use super::code::ApiCode;
use super::desk::{Asked, Desk};
use super::refusal::{Refusal, Success};
use crate::discovery::{FoundServer, Status, Wishes};
use crate::wire::time::rfc3339;

/// The words for what became of what was found.
const STATUSES: [&str; 3] = ["discovered", "registered", "failed"];

/// Looks now, as the body says. Whoever hangs up ends the search.
pub(super) async fn discover(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let body = if asked.body.trim_ascii().is_empty() { &b"{}"[..] } else { &asked.body };
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::request(format!("the body is not valid JSON: {error}")))?;
    let wishes = Wishes::from_json(&body).map_err(|error| {
        let errors = json!([{ "field": error.field, "problem": error.message }]);
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, ApiCode::DiscoveryFailed, error.to_string())
            .details(json!({ "errors": errors }))
    })?;
    desk.manager.note(&asked.who, "discover", "", Ok(()));
    let run = desk.scout.look(&wishes, |_| {}).await;
    let message = format!("{} servers found", run.findings.servers.len());
    Ok(Success::new(run.to_json(), message))
}

pub(super) fn list(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let status = asked.query.word("status", &STATUSES)?.and_then(Status::parse);
    let found: Vec<Value> = desk.scout.found().list(status).iter().map(shown).collect();
    let message = format!("{} servers", found.len());
    Ok(Success::new(found.into(), message))
}

fn shown(server: &FoundServer) -> Value {
    let mut value = server.to_json();
    value["discovered_at"] = rfc3339(server.discovered_at).into();
    value
}

pub(super) fn clear(desk: &Desk) -> Success {
    let count = desk.scout.found().clear();
    Success::new(json!({ "cleared_count": count }), "what was found is forgotten")
}

/// What is told of it among the numbers.
pub(super) fn stats(desk: &Desk) -> Value {
    let last = desk.scout.last_run();
    json!({
        "last_run": last.map(|last| rfc3339(last.at)),
        "discovered_count": last.map_or(0, |last| last.discovered),
        "auto_registered": last.map_or(0, |last| last.auto_registered),
    })
}
