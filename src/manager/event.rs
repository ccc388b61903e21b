//! What changes, for whoever wants to follow it.

use serde_json::{Value, json};

use crate::config::Problem;
use crate::names::ServerName;
use crate::registry::Changes;
use crate::status::Level;

/// Something has changed.
#[derive(Clone, Debug)]
pub enum Event {
    /// There is a new server.
    Registered {
        /// The server.
        server: ServerName,
    },
    /// A server's config is another one.
    Changed {
        /// The server.
        server: ServerName,
        /// Whether it is started anew for that.
        restarts: bool,
    },
    /// A server that was known is served from now on.
    Enabled {
        /// The server.
        server: ServerName,
    },
    /// A server is not served any more, and is still known.
    Disabled {
        /// The server.
        server: ServerName,
    },
    /// A server is gone; what it has under way may still be answered.
    Removed {
        /// The server.
        server: ServerName,
    },
    /// Somebody has had a server started anew.
    Restarted {
        /// The server.
        server: ServerName,
    },
    /// A server is in another state, or as well as it was not before.
    State {
        /// The server.
        server: ServerName,
        /// What it is doing, in one word.
        state: &'static str,
        /// How well it is.
        level: Level,
    },
    /// The config file was read anew, and this has changed.
    Reloaded {
        /// What has changed.
        changes: Changes,
    },
    /// The config file cannot be used as it is now; what was in force stays.
    Refused {
        /// What is wrong with it.
        problems: Vec<Problem>,
    },
}

impl Event {
    /// Its stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Registered { .. } => "server.registered",
            Event::Changed { .. } => "server.changed",
            Event::Enabled { .. } => "server.enabled",
            Event::Disabled { .. } => "server.disabled",
            Event::Removed { .. } => "server.removed",
            Event::Restarted { .. } => "server.restarted",
            Event::State { .. } => "server.state",
            Event::Reloaded { .. } => "config.reloaded",
            Event::Refused { .. } => "config.refused",
        }
    }

    /// The server that it is about, if it is about one.
    pub fn server(&self) -> Option<&ServerName> {
        match self {
            Event::Registered { server }
            | Event::Changed { server, .. }
            | Event::Enabled { server }
            | Event::Disabled { server }
            | Event::Removed { server }
            | Event::Restarted { server }
            | Event::State { server, .. } => Some(server),
            Event::Reloaded { .. } | Event::Refused { .. } => None,
        }
    }

    /// The event as a JSON object: `event`, `server` where there is one, and what belongs to it.
    pub fn to_json(&self) -> Value {
        let mut json = match self {
            Event::Registered { .. }
            | Event::Enabled { .. }
            | Event::Disabled { .. }
            | Event::Removed { .. }
            | Event::Restarted { .. } => json!({}),
            Event::Changed { restarts, .. } => json!({ "restarts": restarts }),
            Event::State { state, level, .. } => json!({ "state": state, "level": level.word() }),
            Event::Reloaded { changes } => json!({ "changes": changes.to_json() }),
            Event::Refused { problems } => {
                json!({ "problems": problems.iter().map(Problem::one_line).collect::<Vec<_>>() })
            }
        };
        json["event"] = self.name().into();
        if let Some(server) = self.server() {
            json["server"] = server.as_str().into();
        }
        json
    }
}
