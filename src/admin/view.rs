//! Servers in the words of the API. What they are is read from the manager and from `status`, and computed nowhere else.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::desk::Desk;
use crate::config::{
    AuthConfig, Launch, Problem, RemoteKind, RemoteLaunch, SecurityLevel, ServerConfig, hide_in_text,
};
use crate::manager::{Keep, ServerInfo};
use crate::protocol::VERSION;
use crate::status::{self, Level, Report};
use crate::wire::time::rfc3339;

/// The words for how well a server is, as the mission has them.
pub(super) const STATUSES: [&str; 3] = ["healthy", "unhealthy", "unknown"];
/// The words for how it is reached.
pub(super) const TRANSPORTS: [&str; 5] = ["http", "sse", "websocket", "stdio", "unix"];

/// How well it is in one of the mission's three words. Unknown is one that is switched off, and one that nobody has asked for
/// anything yet.
pub(super) fn status(report: &Report, is_known: bool) -> &'static str {
    match report.level {
        Level::Disabled => "unknown",
        Level::Unhealthy => "unhealthy",
        Level::Healthy | Level::Degraded if is_known => "healthy",
        // It has never been reached.
        Level::Degraded if report.failure.is_some() => "unhealthy",
        Level::Healthy | Level::Degraded => "unknown",
    }
}

/// A server in a list.
pub(super) fn brief(desk: &Desk, info: &ServerInfo) -> Value {
    let config = info.config.as_ref();
    json!({
        "server_id": info.name.as_str(),
        "name": info.name.as_str(),
        "endpoint": config.map(endpoint),
        "transport": config.map(transport),
        "status": status(&info.report, is_known(desk, info)),
        "last_seen": time(info.report.times.last_seen),
        "tool_count": info.report.shown.tools,
        "categories": config.map(|config| config.categories.clone()).unwrap_or_default(),
        "security_level": config.map(level),
        "level": info.report.level.word(),
        "state": info.report.state,
    })
}

/// Everything about a server.
pub(super) fn full(desk: &Desk, info: &ServerInfo) -> Value {
    let mut value = brief(desk, info);
    let config = info.config.as_ref();
    let mut add = |key: &str, more: Value| value[key] = more;
    add("auth_required", config.is_some_and(shows_credentials).into());
    add("timeout", config.map(|config| config.timeouts.call.as_secs_f64()).into());
    add(
        "retry_attempts",
        config.map(|config| config.stages.retry.map_or(1, |retry| retry.max_attempts)).into(),
    );
    add("description", config.and_then(|config| config.description.clone()).into());
    add("metadata", config.map(|config| config.metadata.clone()).unwrap_or_default().into());
    add("persisted", (info.keep == Keep::Config).into());
    add("registered_at", rfc3339(info.since).into());
    add("changed_at", rfc3339(info.changed).into());
    add("report", status::to_json(&info.report));
    value
}

/// How a server is, for health.
pub(super) fn health(desk: &Desk, info: &ServerInfo) -> Value {
    let report = &info.report;
    let checked = info.checked.as_ref();
    let status = status(report, is_known(desk, info));
    let response_time = report.times.response_time.or(checked.map(|health| health.took));
    json!({
        "server_id": info.name.as_str(),
        "status": status,
        "last_seen": time(report.times.last_seen),
        "healthy": report.level <= Level::Degraded && status != "unhealthy",
        "error": report.failure.as_ref().map(ToString::to_string),
        "response_time": seconds(response_time),
        "uptime": seconds(report.times.uptime),
        "state": report.state,
        "since": time(report.times.since),
    })
}

/// All of this Switchboard.
pub(super) fn whole(desk: &Desk) -> Value {
    let registry = desk.registry();
    let reports = status::reports(registry);
    let on = || reports.iter().filter(|report| report.level != Level::Disabled);
    let servers = registry.servers();
    let of_file = servers.problems().iter().filter(|problem| problem.server.is_none());
    let problems: Vec<Value> = registry.refused().iter().chain(of_file).map(problem).collect();
    json!({
        "version": VERSION,
        "pid": std::process::id(),
        "started_at": rfc3339(desk.started),
        "uptime": desk.since.elapsed().as_secs_f64(),
        "config": desk.around.config.as_ref().map(|path| path.display().to_string()),
        "usable": on().filter(|report| report.level <= Level::Degraded).count(),
        "of": on().count(),
        "tools": registry.catalog().counts().tools,
        "profile": servers.config().profile.as_ref().map(|profile| profile.name.to_string()),
        "servers": reports.iter().map(status::to_json).collect::<Vec<_>>(),
        "problems": problems,
        "audit": registry.audit_trouble(),
    })
}

/// What is wrong with the config.
pub(super) fn problem(problem: &Problem) -> Value {
    json!({
        "code": problem.code.id(),
        "message": problem.message,
        "remedy": problem.suggestion,
        "place": problem.place.as_ref().map(ToString::to_string),
    })
}

/// Whether anything is known of a server but its config: it has answered, or has shown something, now or in an earlier run.
fn is_known(desk: &Desk, info: &ServerInfo) -> bool {
    info.report.times.last_seen.is_some() || desk.registry().offering(&info.name).is_some()
}

pub(super) fn time(time: Option<SystemTime>) -> Value {
    time.map(rfc3339).into()
}

pub(super) fn seconds(duration: Option<Duration>) -> Value {
    duration.map(|duration| duration.as_secs_f64()).into()
}

/// Where a server is reached, without what may be secret. Of a program only its name is told: its arguments may hold anything.
fn endpoint(config: &ServerConfig) -> String {
    match &config.launch {
        Launch::Stdio(launch) => hide_in_text(&launch.command),
        Launch::Remote(launch) => hide_in_text(&launch.url),
    }
}

/// How it is reached.
pub(super) fn transport(config: &ServerConfig) -> &'static str {
    match &config.launch {
        Launch::Stdio(_) => "stdio",
        Launch::Remote(RemoteLaunch { kind, .. }) => match kind {
            RemoteKind::Auto | RemoteKind::Http => "http",
            RemoteKind::Sse => "sse",
            RemoteKind::WebSocket => "websocket",
            RemoteKind::Unix => "unix",
        },
    }
}

fn level(config: &ServerConfig) -> &'static str {
    match config.stages.level {
        SecurityLevel::Low => "low",
        SecurityLevel::Medium => "medium",
        SecurityLevel::High => "high",
    }
}

/// Whether we show it credentials.
fn shows_credentials(config: &ServerConfig) -> bool {
    let Launch::Remote(launch) = &config.launch else { return false };
    let by_header = launch.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let by_login = match &config.auth {
        AuthConfig::ClientCredentials(_) => true,
        AuthConfig::Oauth(oauth) => oauth.client.is_some(),
        AuthConfig::None => false,
    };
    by_header || by_login
}
