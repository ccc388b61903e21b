//! Definitions that wait for somebody: which, why, and their release.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::{Value, json};

use super::code::ApiCode;
use super::desk::{Asked, Desk};
use super::fields::Fields;
use super::refusal::{Refusal, Success, excerpt};
use crate::config::DefinitionRules;
use crate::names::ServerName;
use crate::trust::{self, Case, Finding, Found, PinStore};

/// A server whose definitions are watched.
struct Watched {
    server: ServerName,
    identity: String,
    rules: DefinitionRules,
}

pub(super) async fn list(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let wanted = asked.query.text("server_id");
    if let Some(server) = wanted {
        desk.manager.info(server)?;
    }
    let cases = waiting(desk).await?;
    let cases: Vec<Value> = cases
        .iter()
        .map(|(_, case)| case)
        .filter(|case| wanted.is_none_or(|server| case.server.as_str() == server))
        .map(shown)
        .collect();
    let message = format!("{} definitions wait", cases.len());
    Ok(Success::new(cases.into(), message))
}

/// `{definitions: ["SERVER/NAME" or "SERVER", …]}`, or `{all: true}`.
pub(super) async fn approve(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let mut fields = Fields::read(&asked.body, ApiCode::InvalidRequest)?;
    let names = fields.texts("definitions").unwrap_or_default();
    let all = fields.flag("all").unwrap_or(false);
    if all && !names.is_empty() {
        fields.wrong("definitions", "cannot stand beside `all: true`");
    }
    fields.finish()?;
    let waiting = waiting(desk).await?;
    let is_meant = |case: &Case, name: &str| {
        let whole = format!("{}/{}", case.server, case.definition.name);
        name == case.server.as_str() || name == whole
    };
    if let Some(name) = names.iter().find(|name| !waiting.iter().any(|(_, case)| is_meant(case, name))) {
        let message = format!("nothing called `{}` waits; GET /proxy/approve lists what does", excerpt(name));
        return Err(Refusal::new(StatusCode::NOT_FOUND, ApiCode::NotFound, message));
    }
    let chosen: Vec<(String, Case)> = waiting
        .into_iter()
        .filter(|(_, case)| all || names.iter().any(|name| is_meant(case, name)))
        .collect();
    let approved: Vec<Value> = chosen.iter().map(|(_, case)| shown(case)).collect();
    let servers: BTreeSet<String> = chosen.iter().map(|(_, case)| case.server.to_string()).collect();
    let store = store(desk)?;
    let kept = tokio::task::spawn_blocking(move || keep(&store, &chosen)).await;
    match kept {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(Refusal::internal(format!("the approval could not be kept: {error}"))),
        Err(error) => return Err(Refusal::internal(format!("the approval could not be kept: {error}"))),
    }
    for server in servers {
        desk.manager.note(&asked.who, "approve", &server, Ok(()));
    }
    desk.registry().look_for_approvals();
    let message = format!("{} definitions approved", approved.len());
    Ok(Success::new(approved.into(), message))
}

fn store(desk: &Desk) -> Result<PinStore, Refusal> {
    let state = desk.around.state.as_deref();
    let none = || Refusal::internal("nothing is kept on disk, so nothing can be approved");
    state.map(PinStore::new).ok_or_else(none)
}

fn keep(store: &PinStore, chosen: &[(String, Case)]) -> std::io::Result<()> {
    let mut left: Vec<&(String, Case)> = chosen.iter().collect();
    while let Some((identity, first)) = left.first().copied() {
        let (same, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|(_, case)| case.server == first.server);
        let cases: Vec<&Case> = same.into_iter().map(|(_, case)| case).collect();
        store.approve(&first.server, identity, &cases)?;
        left = others;
    }
    Ok(())
}

/// Everything that waits, each with what its server is.
async fn waiting(desk: &Desk) -> Result<Vec<(String, Case)>, Refusal> {
    let watched: Vec<Watched> = desk
        .manager
        .list()
        .into_iter()
        .filter_map(|info| {
            let config = info.config?;
            Some(Watched {
                rules: config.definitions?,
                identity: trust::identity(&config),
                server: info.name,
            })
        })
        .collect();
    if watched.is_empty() {
        return Ok(Vec::new());
    }
    let (store, neighbours) = (store(desk)?, desk.registry().neighbours());
    let read = tokio::task::spawn_blocking(move || {
        let cases = watched.into_iter().flat_map(|Watched { server, identity, rules }| {
            let cases = match store.load(&server, &identity) {
                Found::Pins(pins) => trust::cases(&server, rules, &pins, &neighbours),
                Found::Nothing | Found::Unknown(_) => Vec::new(),
            };
            cases.into_iter().map(move |case| (identity.clone(), case))
        });
        cases.collect()
    });
    read.await.map_err(|error| Refusal::internal(format!("the pins cannot be read: {error}")))
}

fn shown(case: &Case) -> Value {
    json!({
        "server_id": case.server.as_str(),
        "kind": case.definition.kind.noun(),
        "name": case.definition.name,
        "reason": case.reason.word(),
        "held": case.holds,
        "digest": case.definition.digest,
        "definition": case.definition.members,
        "before": case.before,
        "findings": case.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
    })
}
