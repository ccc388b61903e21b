//! What is known of servers: their config, how they are, and where they come from.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::SystemTime;

use super::{Fault, Health, Keep, Manager};
use crate::config::{Entry, ServerConfig, nearest};
use crate::names::ServerName;
use crate::registry::Servers;
use crate::status::{self, Report};

/// Everything about one server.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// Its name: the stable id.
    pub name: ServerName,
    /// How it is.
    pub report: Report,
    /// What its entry means; `None` if it is switched off or cannot be used.
    pub config: Option<ServerConfig>,
    /// Where its entry stands: in the config file, or nowhere but in this run.
    pub keep: Keep,
    /// When it was registered, or Switchboard started.
    pub since: SystemTime,
    /// When its config was changed last.
    pub changed: SystemTime,
    /// What the last [`check`](Manager::check) found, if there was one.
    pub checked: Option<Health>,
}

/// What the manager itself keeps of servers.
#[derive(Debug)]
pub(super) struct Memory {
    began: SystemTime,
    servers: HashMap<ServerName, Remembered>,
    /// Those whose entry stands in no file.
    running: Vec<ServerName>,
}

#[derive(Clone, Debug, Default)]
struct Remembered {
    since: Option<SystemTime>,
    changed: Option<SystemTime>,
    checked: Option<Health>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { began: SystemTime::now(), servers: HashMap::new(), running: Vec::new() }
    }

    pub(super) fn registered(&mut self, server: &ServerName) {
        let now = Some(SystemTime::now());
        self.servers.insert(server.clone(), Remembered { since: now, changed: now, checked: None });
    }

    pub(super) fn changed(&mut self, server: &ServerName) {
        self.servers.entry(server.clone()).or_default().changed = Some(SystemTime::now());
    }

    pub(super) fn removed(&mut self, server: &ServerName) {
        self.servers.remove(server);
    }

    pub(super) fn set_running(&mut self, running: Vec<ServerName>) {
        self.running = running;
    }
}

impl Manager {
    /// Every server, in the order of the config; those that were registered while we run come last.
    pub fn list(&self) -> Vec<ServerInfo> {
        let servers = self.registry().servers();
        let reports = status::reports(self.registry());
        let find = |name: &ServerName| servers.entries().iter().find(|entry| entry.name() == name);
        let known = reports.into_iter().filter_map(|report| {
            let name = ServerName::from(report.server.as_str());
            find(&name).is_some().then(|| self.describe(&servers, name, report))
        });
        known.collect()
    }

    /// One server.
    ///
    /// # Errors
    /// [`ManageUnknown`](crate::failure::Code::ManageUnknown): there is no such server.
    pub fn info(&self, name: &str) -> Result<ServerInfo, Fault> {
        let servers = self.registry().servers();
        let name = self.entry(&servers, name)?.name().clone();
        let report =
            status::reports(self.registry()).into_iter().find(|report| report.server == name.as_str());
        let report = report.ok_or_else(|| Fault::unknown(name.as_str(), None))?;
        Ok(self.describe(&servers, name, report))
    }

    fn describe(&self, servers: &Servers, name: ServerName, report: Report) -> ServerInfo {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let Remembered { since, changed, checked } = memory.servers.get(&name).cloned().unwrap_or_default();
        let keep = if memory.running.contains(&name) { Keep::Running } else { Keep::Config };
        ServerInfo {
            report,
            config: servers.config().ready().find(|config| config.name == name).cloned(),
            keep,
            since: since.unwrap_or(memory.began),
            changed: changed.or(since).unwrap_or(memory.began),
            checked,
            name,
        }
    }

    /// The entry of this name.
    pub(super) fn entry<'a>(&self, servers: &'a Servers, name: &str) -> Result<&'a Entry, Fault> {
        let entries = servers.entries();
        entries.iter().find(|entry| entry.name().as_str() == name).ok_or_else(|| {
            let near = nearest(name, entries.iter().map(|entry| entry.name().as_str()));
            Fault::unknown(name, near.map(ServerName::from).as_ref())
        })
    }

    /// Keeps what checks have found.
    pub(super) fn remember(&self, found: &[Health]) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        for health in found {
            memory.servers.entry(health.server.clone()).or_default().checked = Some(health.clone());
        }
    }
}
