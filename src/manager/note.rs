//! Every change is told to the log, and to the audit log if there is one.

use std::time::{Duration, SystemTime};

use super::{Actor, Fault, Manager};
use crate::audit::{Decision, Entry, Result as Ending};
use crate::effect::Effect;

impl Manager {
    /// Notes what was done to a server (`""` for all of them), and what came of it.
    pub(crate) fn note(&self, who: &Actor, action: &'static str, server: &str, done: Result<(), &Fault>) {
        match done {
            Ok(()) => tracing::info!(
                event = "servers.changed",
                actor = who.name,
                via = who.via,
                action,
                server,
                "servers were changed"
            ),
            Err(fault) => {
                tracing::warn!(event = "servers.unchanged", actor = who.name, via = who.via, action, server, %fault, "servers were not changed");
            }
        }
        let Some(audit) = self.registry().audit() else { return };
        audit.journal().note(Entry {
            time: SystemTime::now(),
            client: Some(format!("{} ({})", who.name, who.via).into()),
            method: method(action),
            server: server.into(),
            name: "".into(),
            original: "".into(),
            effect: Effect::Unknown.word(),
            arguments: None,
            decision: if done.is_ok() { Decision::Allowed } else { Decision::Refused },
            result: done.map_or_else(|fault| Ending::Failed(fault.code().id()), |()| Ending::Ok),
            took: Duration::ZERO,
        });
    }
}

/// The name of an action where methods of MCP stand otherwise.
fn method(action: &'static str) -> &'static str {
    match action {
        "register" => "switchboard/register",
        "update" => "switchboard/update",
        "unregister" => "switchboard/unregister",
        "enable" => "switchboard/enable",
        "disable" => "switchboard/disable",
        "restart" => "switchboard/restart",
        "reset_breaker" => "switchboard/reset_breaker",
        "clear_cache" => "switchboard/clear_cache",
        "approve" => "switchboard/approve",
        "discover" => "switchboard/discover",
        _ => "switchboard/reload",
    }
}
