//! Servers that are there and not in the config: found, looked at, proposed.
//!
//! In come [`Wishes`]; out go [`Findings`]: servers with the entry of the config that would take them, their tools where they
//! were asked, and what was looked at in vain. Three places are searched. *Network*: hosts and ports that the user names are
//! greeted as a client greets a server, in either era, over Streamable HTTP and HTTP with SSE; server cards and catalogs that
//! a host publishes are followed. *Services*: Consul, etcd, MCP registries and DNS-SD. *Files*: the configs of other programs.
//!
//! Everything that is found is a stranger's word: sizes and counts are bounded, no redirect leads to another origin, no tool is
//! called, and a command is never run: whoever takes it decides that. The room changes nothing but its own store, [`Found`];
//! what may be served without asking is [`Scout`]'s to hand to whoever registers servers.

mod card;
mod entry;
mod fetch;
mod files;
mod finder;
mod finding;
mod found;
mod identity;
mod names;
mod network;
mod probe;
mod progress;
mod rule;
mod scout;
mod server_json;
mod services;
mod wishes;

pub use finder::Finder;
pub use finding::{Failed, Finding, Findings, FoundTool, Source, Transport};
pub use found::{Found, FoundServer, Status};
pub use progress::{Outcome, Progress};
pub use scout::{LastRun, Register, Run, Scout};
pub use wishes::{WishError, Wishes};
