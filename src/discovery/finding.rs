//! What was found.

use std::fmt;

use serde_json::{Value, json};

use crate::config::hide_secrets;
use crate::failure::Failure;
use crate::wire::unseen::{Unseen, unseen};

/// The longest text of a stranger that is kept, in characters.
const LONGEST: usize = 500;

/// A server that was found.
#[derive(Clone, PartialEq)]
pub struct Finding {
    /// Its name in the config, if it is taken as it is: unique among the findings and the servers of the config, made of
    /// `[a-z0-9-]`, and the same as long as the same is found.
    pub name: String,
    /// Stands for the way in which it is reached: two servers with the same key are the same.
    pub key: String,
    /// One value of the config's `servers:`. It may hold secrets: show [`Finding::shown_entry`].
    pub entry: Value,
    /// Where it was found.
    pub source: Source,
    /// Further places where the same server was found.
    pub also: Vec<Source>,
    /// Its address, or its command line, without what may be secret.
    pub endpoint: String,
    /// How it is reached.
    pub transport: Transport,
    /// The server of the config that is reached in the same way.
    pub known_as: Option<String>,
    /// What it says of itself, in one line.
    pub description: Option<String>,
    /// The revision of MCP that it spoke, if it was asked.
    pub revision: Option<String>,
    /// Its tools, if it was asked.
    pub tools: Option<Vec<FoundTool>>,
    /// Why it cannot be used as it is, and what would mend that.
    pub problem: Option<String>,
}

/// A tool of a server that was found. Its texts are the server's own.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundTool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its arguments.
    pub input_schema: Value,
}

/// Where a server was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// At an address that was tried.
    Network,
    /// In a card or catalog that this host publishes.
    Card(String),
    /// In this service registry.
    Service(String),
    /// In the config of this program, or in this file alone.
    File {
        /// The program, if it is one that is known.
        client: Option<&'static str>,
        /// The file.
        path: String,
    },
}

impl Source {
    /// Whether strangers say there what they have: whoever is in the network, or publishes in an MCP registry.
    pub(super) fn is_strangers(&self) -> bool {
        matches!(self, Source::Service(place) if place == "mdns" || place.starts_with("http"))
    }
}

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// As a child process.
    Stdio,
    /// Streamable HTTP, or what the address turns out to speak.
    Http,
    /// HTTP with SSE.
    Sse,
    /// WebSocket.
    WebSocket,
    /// Lines on a Unix socket.
    Unix,
}

/// Somebody is there, but no server that could be used; or a place could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The address, without what may be secret, or the path.
    pub place: String,
    /// What was looked for there.
    pub source: Source,
    /// Why.
    pub failure: Failure,
}

/// Everything that one search has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// The servers: those of the network first, then services, then files, each in the order of the wishes.
    pub servers: Vec<Finding>,
    /// What was looked at in vain. Ports that nobody listens on and files that are not there are none.
    pub failed: Vec<Failed>,
    /// How many places were looked at.
    pub looked_at: usize,
    /// Whether something was left out because there was too much, or the time was over.
    pub is_partial: bool,
}

impl Finding {
    /// The entry with `***` in the place of what may be secret.
    pub fn shown_entry(&self) -> Value {
        hide_secrets(&self.entry)
    }

    /// Whether taking it means to run a program.
    pub fn is_command(&self) -> bool {
        self.transport == Transport::Stdio
    }

    /// Everything that may be shown, for programs. `status` is `registered` for a server that the config has.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "endpoint": self.endpoint,
            "transport": self.transport.word(),
            "status": if self.known_as.is_some() { "registered" } else { "discovered" },
            "known_as": self.known_as,
            "source": self.source.to_string(),
            "also_in": self.also.iter().map(Source::to_string).collect::<Vec<_>>(),
            "description": self.description,
            "protocol_version": self.revision,
            "tools": self.tools.iter().flatten().map(FoundTool::to_json).collect::<Vec<_>>(),
            "asked": self.tools.is_some(),
            "problem": self.problem,
            "entry": self.shown_entry(),
        })
    }
}

/// Entries may hold secrets.
impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finding")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .field("source", &self.source)
            .field("known_as", &self.known_as)
            .field("tools", &self.tools.as_ref().map(Vec::len))
            .field("problem", &self.problem)
            .finish_non_exhaustive()
    }
}

impl Failed {
    /// Everything about it, for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "endpoint": self.place,
            "source": self.source.to_string(),
            "code": self.failure.code.id(),
            "error": self.failure.cause,
            "remedy": self.failure.remedy,
        })
    }
}

impl FoundTool {
    /// As the mission's API has it.
    pub fn to_json(&self) -> Value {
        json!({ "name": self.name, "description": self.description, "input_schema": self.input_schema })
    }
}

impl Transport {
    /// The word of the config's `type`.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Stdio => "stdio",
            Transport::Http => "http",
            Transport::Sse => "sse",
            Transport::WebSocket => "websocket",
            Transport::Unix => "unix",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Network => f.write_str("network"),
            Source::Card(host) => write!(f, "card of {host}"),
            Source::Service(endpoint) => f.write_str(endpoint),
            Source::File { client: Some(client), path } => write!(f, "{client} ({path})"),
            Source::File { client: None, path } => f.write_str(path),
        }
    }
}

/// A stranger's text as one line of bounded length, without anything that steers a terminal; `None` if nothing is left.
pub(super) fn one_line(text: &str) -> Option<String> {
    let mut line = text.trim_start().lines().next().unwrap_or_default().replace('\t', " ");
    line.retain(|letter| !unseen(letter).is_some_and(Unseen::misleads));
    let line: String = line.trim().chars().take(LONGEST).collect();
    (!line.is_empty()).then_some(line)
}
