//! The administration interface, as programs and people use it: the program itself, over HTTP and its sockets, with mock servers.
//! Every answer is compared with the OpenAPI document on its way.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

#[path = "admin/client.rs"]
mod client;
#[path = "admin/document.rs"]
mod document;
#[path = "admin/explain.rs"]
mod explain;
#[path = "admin/fuzz.rs"]
mod fuzz;
#[path = "admin/local.rs"]
mod local;
#[path = "admin/mission.rs"]
mod mission;
#[path = "support/real.rs"]
#[allow(dead_code, reason = "this crate uses a part of it")]
mod real;
#[path = "admin/refusals.rs"]
mod refusals;
#[path = "admin/servers.rs"]
mod servers;
#[path = "admin/status.rs"]
mod status;
#[path = "admin/streams.rs"]
mod streams;
#[path = "admin/tools.rs"]
mod tools;
#[path = "admin/world.rs"]
mod world;
