//! The servers of the last searches, for whoever asks later.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::finding::{Failed, Finding, FoundTool};
use crate::config::hide_in_text;
use crate::wire::time::rfc3339;

/// More servers than this are not kept; the oldest go.
const MOST: usize = 1000;

/// What became of a server that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It waits for somebody to take it.
    Discovered,
    /// It is served: the config had it, or it was taken.
    Registered,
    /// Somebody is there, but no server that could be used.
    Failed,
}

impl Status {
    /// The word of the mission's API.
    pub fn word(self) -> &'static str {
        match self {
            Status::Discovered => "discovered",
            Status::Registered => "registered",
            Status::Failed => "failed",
        }
    }

    /// The status that this word means.
    pub fn parse(word: &str) -> Option<Self> {
        [Status::Discovered, Status::Registered, Status::Failed]
            .into_iter()
            .find(|status| status.word() == word)
    }
}

/// A server of an earlier search.
#[derive(Clone, Debug)]
pub struct FoundServer {
    /// What became of it.
    pub status: Status,
    /// When it was found first.
    pub discovered_at: SystemTime,
    /// Its name: that of the config once it is registered, and of a place that failed the place itself.
    pub name: String,
    /// What was found; `None` for a place that failed.
    pub finding: Option<Finding>,
    /// What was tried in vain.
    pub failed: Option<Failed>,
}

/// A bounded store of what searches found. Cheap to ask; shared behind an `Arc`.
#[derive(Debug, Default)]
pub struct Found {
    servers: Mutex<Vec<FoundServer>>,
}

impl Found {
    fn servers(&self) -> MutexGuard<'_, Vec<FoundServer>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a search found. What was found before at the same place is replaced and keeps its time.
    pub(super) fn keep(&self, servers: &[Finding], failed: &[Failed], now: SystemTime) {
        let found = servers.iter().map(|finding| FoundServer {
            status: if finding.known_as.is_some() { Status::Registered } else { Status::Discovered },
            discovered_at: now,
            name: finding.name.clone(),
            finding: Some(finding.clone()),
            failed: None,
        });
        let failed = failed.iter().map(|failed| FoundServer {
            status: Status::Failed,
            discovered_at: now,
            name: failed.place.clone(),
            finding: None,
            failed: Some(failed.clone()),
        });
        let mut servers = self.servers();
        for mut new in found.chain(failed) {
            if let Some(at) = servers.iter().position(|old| old.key() == new.key()) {
                new.discovered_at = servers.remove(at).discovered_at;
            }
            servers.push(new);
        }
        let surplus = servers.len().saturating_sub(MOST);
        servers.drain(..surplus);
    }

    /// Notes that the server with this [`Finding::key`] is served now, under this name.
    pub fn registered(&self, key: &str, name: &str) {
        if let Some(server) = self.servers().iter_mut().find(|server| server.key() == key) {
            server.status = Status::Registered;
            name.clone_into(&mut server.name);
        }
    }

    /// The servers, oldest finding last seen first; only those of this status, if one is named.
    pub fn list(&self, status: Option<Status>) -> Vec<FoundServer> {
        self.servers()
            .iter()
            .filter(|server| status.is_none_or(|status| server.status == status))
            .cloned()
            .collect()
    }

    /// How many servers there are of this status.
    pub fn count(&self, status: Status) -> usize {
        self.servers().iter().filter(|server| server.status == status).count()
    }

    /// The finding of this name that waits to be taken.
    pub fn get(&self, name: &str) -> Option<FoundServer> {
        self.servers().iter().find(|server| server.name == name).cloned()
    }

    /// Forgets everything; says how much that was.
    pub fn clear(&self) -> usize {
        std::mem::take(&mut *self.servers()).len()
    }
}

impl FoundServer {
    fn key(&self) -> &str {
        self.finding.as_ref().map_or(&self.name, |finding| &finding.key)
    }

    /// The address, the command line or the path, without what may be secret.
    pub fn endpoint(&self) -> &str {
        match (&self.finding, &self.failed) {
            (Some(finding), _) => &finding.endpoint,
            (None, Some(failed)) => &failed.place,
            (None, None) => &self.name,
        }
    }

    /// As the mission's API has it: `{name, endpoint, transport, status, tools, discovered_at}` and what else is known.
    /// `discovered_at` is in the form of RFC 3339.
    pub fn to_json(&self) -> Value {
        let finding = self.finding.as_ref();
        let source =
            finding.map(|finding| &finding.source).or(self.failed.as_ref().map(|failed| &failed.source));
        let error = self.failed.as_ref().map(|failed| failed.failure.to_string());
        json!({
            "name": self.name,
            "endpoint": hide_in_text(self.endpoint()),
            "transport": finding.map(|finding| finding.transport.word()),
            "status": self.status.word(),
            "tools": finding.iter().flat_map(|finding| finding.tools.iter().flatten()).map(FoundTool::to_json).collect::<Vec<_>>(),
            "discovered_at": rfc3339(self.discovered_at),
            "source": source.map(ToString::to_string),
            "description": finding.and_then(|finding| finding.description.clone()),
            "problem": finding.and_then(|finding| finding.problem.clone()).or(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::discovery::{Source, Transport};
    use crate::failure::{Code, Failure};

    fn finding(number: usize) -> Finding {
        Finding {
            name: format!("s{number}"),
            key: format!("k{number}"),
            entry: json!({ "url": format!("http://h:{number}/mcp") }),
            source: Source::Network,
            also: Vec::new(),
            endpoint: format!("http://h:{number}/mcp"),
            transport: Transport::Http,
            known_as: None,
            description: None,
            revision: None,
            tools: Some(Vec::new()),
            problem: None,
        }
    }

    #[test]
    fn what_is_found_again_keeps_its_time_and_what_is_registered_its_name() {
        let found = Found::default();
        let (first, later) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(60));
        let failed = Failed {
            place: "http://h:9".to_owned(),
            source: Source::Network,
            failure: Failure::new(Code::NetTimeout, "silent"),
        };
        found.keep(&[finding(1), finding(2)], std::slice::from_ref(&failed), first);
        found.keep(&[finding(2)], &[failed], later);
        found.registered("k2", "two");
        let list = found.list(None);
        assert!(list.iter().all(|server| server.discovered_at == first));
        let states: Vec<(&str, &str)> =
            list.iter().map(|server| (server.name.as_str(), server.status.word())).collect();
        assert_eq!(states, [("s1", "discovered"), ("two", "registered"), ("http://h:9", "failed")]);
        assert_eq!(found.list(Some(Status::Registered))[0].to_json()["status"], "registered");
        assert_eq!(found.list(Some(Status::Failed))[0].to_json()["endpoint"], "http://h:9");
        assert_eq!((found.count(Status::Discovered), found.clear(), found.clear()), (1, 3, 0));
    }

    #[test]
    fn the_store_is_bounded() {
        let found = Found::default();
        let many: Vec<Finding> = (0..MOST + 5).map(finding).collect();
        found.keep(&many, &[], SystemTime::UNIX_EPOCH);
        assert_eq!(found.list(None).len(), MOST);
        assert!(found.get("s0").is_none() && found.get("s5").is_some());
    }
}
