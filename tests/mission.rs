//! The examples of the mission's development guide, component by component: each test carries the name of the thing that the guide
//! promises. They are short on purpose; what each part does beyond that is tested where the part is.
//!
//! A whole Switchboard runs in this process, with servers of the test behind it ([`world::Mock`]) and a clock that does not wait.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "mission/circuit_breaker.rs"]
mod circuit_breaker;
#[path = "mission/connection_pool.rs"]
mod connection_pool;
#[path = "mission/custom.rs"]
mod custom;
#[path = "mission/load_balancer.rs"]
mod load_balancer;
#[path = "mission/measures.rs"]
mod measures;
#[path = "mission/retry_handler.rs"]
mod retry_handler;
#[path = "mission/table.rs"]
mod table;
#[path = "mission/tool_cache.rs"]
mod tool_cache;
#[path = "mission/tool_call_interceptor.rs"]
mod tool_call_interceptor;
#[path = "mission/world.rs"]
mod world;
