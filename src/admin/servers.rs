//! Servers: listed, registered, changed, taken out, switched.

use serde_json::{Value, json};

use super::desk::{Asked, Desk};
use super::entry::{self, keep};
use super::refusal::{Refusal, Success};
use super::view::{self, STATUSES, TRANSPORTS};
use crate::manager::{Keep, ServerInfo};
use crate::pipeline::Lane;

/// What clients are told with everything that is done for this run alone.
const FOR_NOW: &str = "until Switchboard ends; `persist: true` keeps it";

pub(super) fn list(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let status = asked.query.word("status", &STATUSES)?;
    let transport = asked.query.word("transport", &TRANSPORTS)?;
    let category = asked.query.text("category");
    let fits = |info: &ServerInfo, value: &Value| {
        status.is_none_or(|status| value["status"] == status)
            && transport.is_none_or(|transport| value["transport"] == transport)
            && category.is_none_or(|category| has_category(info, category))
    };
    let servers: Vec<Value> = desk
        .manager
        .list()
        .iter()
        .map(|info| (info, view::brief(desk, info)))
        .filter(|(info, value)| fits(info, value))
        .map(|(_, value)| value)
        .collect();
    let message = format!("{} servers", servers.len());
    Ok(Success::new(servers.into(), message))
}

/// Whether its owner has put a server into this category.
pub(super) fn has_category(info: &ServerInfo, category: &str) -> bool {
    info.config.as_ref().is_some_and(|config| config.categories.iter().any(|known| known == category))
}

pub(super) fn show(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let info = desk.manager.info(&asked.name)?;
    Ok(Success::new(view::full(desk, &info), "server"))
}

pub(super) async fn register(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let wanted = entry::read(&asked.body, None, desk.around.allow_stdio_register)?;
    let name = desk.manager.register(&asked.who, &wanted.name, wanted.entry, wanted.keep).await?;
    Ok(done(name.as_str(), "registered", wanted.keep))
}

pub(super) async fn update(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    desk.manager.info(&asked.name)?;
    let wanted = entry::read(&asked.body, Some(&asked.name), desk.around.allow_stdio_register)?;
    let name = desk.manager.update(&asked.who, &wanted.name, wanted.entry, wanted.keep).await?;
    Ok(done(name.as_str(), "updated", wanted.keep))
}

pub(super) async fn unregister(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let keep = keep(Some(asked.query.flag("persist")?));
    desk.manager.unregister(&asked.who, &asked.name, keep).await?;
    Ok(Success { data: Value::Null, ..done(&asked.name, "unregistered", keep) })
}

pub(super) async fn switch(desk: &Desk, asked: &Asked, on: bool) -> Result<Success, Refusal> {
    let keep = keep(Some(asked.query.flag("persist")?));
    match on {
        true => desk.manager.enable(&asked.who, &asked.name, keep).await?,
        false => desk.manager.disable(&asked.who, &asked.name, keep).await?,
    }
    Ok(done(&asked.name, if on { "enabled" } else { "disabled" }, keep))
}

pub(super) async fn restart(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    desk.manager.restart(&asked.who, &asked.name).await?;
    Ok(Success::new(json!({ "server_id": asked.name }), format!("`{}` is started anew", asked.name)))
}

pub(super) async fn reload(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let changes = desk.manager.reload(&asked.who).await?;
    Ok(Success::new(changes.to_json(), "the config has been read"))
}

pub(super) fn reset_breaker(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let was_open = lane(desk, asked)?.reset_breakers();
    let message = match was_open {
        None => format!("`{}` has no breaker", asked.name),
        Some(true) => format!("the breaker of `{}` is closed", asked.name),
        Some(false) => format!("the breaker of `{}` was closed already", asked.name),
    };
    desk.manager.note(&asked.who, "reset_breaker", &asked.name, Ok(()));
    Ok(Success::new(json!({ "server_id": asked.name, "was_open": was_open.unwrap_or(false) }), message))
}

pub(super) fn clear_cache(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let lane = lane(desk, asked)?;
    let answers = lane.cache().map_or(0, |cache| cache.answers);
    lane.clear_cache();
    desk.manager.note(&asked.who, "clear_cache", &asked.name, Ok(()));
    Ok(Success::new(
        json!({ "server_id": asked.name, "cleared": answers }),
        format!("the cache of `{}` is empty", asked.name),
    ))
}

fn lane(desk: &Desk, asked: &Asked) -> Result<Lane, Refusal> {
    let info = desk.manager.info(&asked.name)?;
    desk.registry().lane(&info.name).ok_or_else(|| {
        Refusal::no_server(&asked.name)
            .details(json!({ "server_id": asked.name, "state": info.report.state }))
    })
}

fn done(server: &str, what: &str, keep: Keep) -> Success {
    let message = match keep {
        Keep::Config => format!("`{server}` is {what}, and the config file says so"),
        Keep::Running => format!("`{server}` is {what} {FOR_NOW}"),
    };
    Success::new(json!({ "server_id": server }), message)
}
