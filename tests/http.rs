//! `serve --http` as its clients see it: the real program on a port of its own, mock servers behind it, and raw HTTP.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "face/client.rs"]
mod client;
#[path = "support/rig.rs"]
mod rig;

#[path = "http/alone.rs"]
mod alone;
#[path = "http/end.rs"]
mod end;
#[path = "http/eras.rs"]
mod eras;
#[path = "http/guest.rs"]
mod guest;
#[path = "http/many.rs"]
mod many;
#[path = "http/profiles.rs"]
mod profiles;
#[path = "http/reload.rs"]
mod reload;
#[path = "http/served.rs"]
mod served;
