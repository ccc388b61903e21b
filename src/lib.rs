//! Switchboard: one MCP server in front of all of yours.
//!
//! `ARCHITECTURE.md` tells the rooms of this house and the way of a call through them. Every module of this
//! crate is one room; its first paragraph says what it is for and what it never does.

pub mod admin;
pub mod app;
pub mod audit;
pub mod auth;
pub mod backend;
pub mod bridge;
pub mod call;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod discovery;
pub mod effect;
pub mod failure;
pub mod frontend;
pub mod interceptor;
pub mod manager;
pub mod meter;
pub mod mock;
pub mod names;
pub mod pipeline;
pub mod policy;
pub mod protocol;
pub mod registry;
pub mod status;
pub mod supervisor;
pub mod telemetry;
pub mod trace;
pub mod transport;
pub mod trust;
mod web;
pub mod wire;
