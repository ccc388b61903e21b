//! How servers are: what is known, and what is found by asking them now.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::code::ApiCode;
use super::desk::{Asked, Desk};
use super::fields::Fields;
use super::refusal::{Refusal, Success};
use super::view;
use crate::failure::Code;
use crate::manager::ServerInfo;

pub(super) fn show(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let infos = match asked.query.text("server_id") {
        Some(server) => vec![desk.manager.info(server)?],
        None => desk.manager.list(),
    };
    let one = |info: &ServerInfo| (info.name.to_string(), view::health(desk, info));
    let health: Map<String, Value> = infos.iter().map(one).collect();
    Ok(Success::new(health.into(), "health"))
}

pub(super) async fn check(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let mut fields = Fields::read_or_empty(&asked.body, ApiCode::InvalidRequest)?;
    let server = fields.text("server_id");
    fields.finish()?;
    // Nobody may have needed a server yet.
    desk.front.open_doors();
    let found = desk.manager.check(server.as_deref()).await.map_err(|fault| match fault.code() {
        Code::ManageUnknown => Refusal::from(fault),
        _ => Refusal::new(StatusCode::CONFLICT, ApiCode::HealthCheckFailed, fault.to_string()),
    })?;
    let healthy = found.iter().filter(|health| health.healthy).count();
    let mut servers = Map::new();
    for health in &found {
        let failure = health.failure.as_ref();
        let value = json!({
            "healthy": health.healthy,
            "response_time": health.healthy.then_some(health.took.as_secs_f64()),
            "uptime": view::seconds(health.uptime),
            "error": failure.map(ToString::to_string),
        });
        servers.insert(health.server.to_string(), value);
    }
    let data = json!({
        "checked_servers": found.len(),
        "healthy_servers": healthy,
        "unhealthy_servers": found.len() - healthy,
        "servers": servers,
    });
    Ok(Success::new(data, format!("{healthy} of {} servers are healthy", found.len())))
}
