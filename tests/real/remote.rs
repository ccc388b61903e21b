//! Servers behind an address instead of a pipe: what a client sees of them is what it would see of the same server on
//! stdio, driven directly.

use std::process::Command;
use std::slice;

use serde_json::{Value, json};

use crate::blur;
use crate::cases;
use crate::direct;
use crate::servers::{self, Server};
use crate::side::{OLDER_REVISIONS, REVISION, Side, Way};
use crate::support::real;
use crate::through::{self, Tap};
use crate::world::World;

mod listener;
mod tap;

use listener::Listener;

/// How a server at an address is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Streamable,
    EventStream,
}

impl Transport {
    fn path(self) -> &'static str {
        match self {
            Transport::Streamable => "/mcp",
            Transport::EventStream => "/sse",
        }
    }
}

/// Runs the table and the scenes of `server` on stdio, directly, and of the same server at an address, through Switchboard,
/// and compares; anew for each of `entries`, which are the server's further keys in the config.
fn compare(
    server: &Server,
    transport: Transport,
    revision: &str,
    entries: &[Value],
    command: impl Fn(&World, u16) -> Command,
) {
    let world = World::new();
    let direct = direct::outcomes(&world, server, revision);

    for keys in entries {
        world.reset();
        let listener = Listener::start(&world, |port| command(&world, port));
        let tapped = tap::before(listener.address, &server.tap(&world));
        let mut entry = keys.clone();
        entry["url"] = json!(format!("http://{tapped}{}", transport.path()));
        let server = server.clone().at(entry, transport == Transport::Streamable);
        let client = through::connect(&world, slice::from_ref(&server), revision);
        let side = Side { client: &client, server: &server, way: Way::Through(Tap::of(&server, &world)) };
        let (mut direct, mut through) = (direct.clone(), cases::outcomes(&world, &side));
        for (_, outcome) in &mut through {
            blur::sessions(outcome);
        }
        if keys["protocol"] == "2026-07-28" {
            direct.iter_mut().chain(&mut through).for_each(|(_, outcome)| blur::key_order(outcome));
        }
        cases::assert_all_same(&direct, &through);
    }
}

// === server-everything ===

/// `server-everything`, as it listens for one transport.
fn everything(world: &World, transport: Transport, port: u16) -> Command {
    let mode = match transport {
        Transport::Streamable => "streamableHttp",
        Transport::EventStream => "sse",
    };
    let server = servers::named(world, "everything").instead(&[], &[mode]);
    server.with_variable("PORT", &port.to_string()).command(world)
}

/// Where how it speaks is found out, and where it is said.
fn everything_is_equal(transport: Transport, kind: &str) {
    if real::skipped() {
        return;
    }
    let server = servers::named(&World::new(), "everything");
    let entries = [json!({}), json!({ "type": kind })];
    compare(&server, transport, REVISION, &entries, |world, port| everything(world, transport, port));
}

#[test]
fn everything_over_http_is_equal() {
    everything_is_equal(Transport::Streamable, "http");
}

#[test]
fn everything_over_event_streams_is_equal() {
    everything_is_equal(Transport::EventStream, "sse");
}

/// It has one session for all and ends with its first client. It speaks 2024-11-05, and so does the client: a newer one would be
/// asked in newer words.
#[test]
fn old_everything_over_event_streams_is_equal() {
    if real::skipped() {
        return;
    }
    let server = servers::named(&World::new(), "everything-old");
    compare(&server, Transport::EventStream, "2024-11-05", &[json!({})], |world, port| {
        let file = real::npm_file("servers-old", "@modelcontextprotocol/server-everything/dist/sse.js");
        let mut command = Command::new(real::node());
        command.arg(file).env_clear().envs(servers::base_variables(world)).env("PORT", port.to_string());
        command
    });
}

// === the Python SDKs ===

/// The ways in which `remote/server.py` can be reached, with the name whose table holds there.
const PYTHON: [(&str, Transport, &[&str]); 4] = [
    ("python", Transport::Streamable, &[]),
    ("python", Transport::EventStream, &[]),
    ("python-stateless", Transport::Streamable, &["stateless"]),
    ("python-json", Transport::Streamable, &["json"]),
];

fn python_is_equal(sdk: &'static str) {
    for (name, transport, style) in PYTHON {
        one_python_is_equal(name, sdk, transport, style, REVISION, &json!({}));
    }
}

fn one_python_is_equal(
    name: &'static str,
    sdk: &'static str,
    transport: Transport,
    style: &[&str],
    revision: &str,
    keys: &Value,
) {
    if real::skipped() {
        return;
    }
    eprintln!("{sdk}: {name} {transport:?} {style:?} {revision} {keys}");
    let server = servers::python_sdk(name, sdk);
    let mode = match transport {
        Transport::Streamable => "http",
        Transport::EventStream => "sse",
    };
    compare(&server, transport, revision, slice::from_ref(keys), |world, port| {
        let port = port.to_string();
        let arguments = [&[mode, &port], style].concat();
        servers::python_sdk(name, sdk).instead(&["stdio"], &arguments).command(world)
    });
}

#[test]
fn python_sdk_1_at_an_address_is_equal() {
    python_is_equal("mcp-1");
}

#[test]
fn python_sdk_2_at_an_address_is_equal() {
    python_is_equal("mcp-2");
}

#[test]
fn fastmcp_at_an_address_is_equal() {
    python_is_equal("fastmcp");
}

#[test]
fn older_clients_see_the_same_of_servers_at_an_address() {
    for revision in OLDER_REVISIONS {
        one_python_is_equal("python-stateless", "mcp-1", Transport::Streamable, &[], revision, &json!({}));
    }
}

/// The same table, which was run in words of a legacy revision directly, with a server that is spoken to in the newest one.
#[test]
fn servers_of_both_eras_say_the_same_in_the_newer_one() {
    for sdk in ["mcp-2", "fastmcp"] {
        let keys = json!({ "protocol": "2026-07-28" });
        one_python_is_equal("python-modern", sdk, Transport::Streamable, &[], REVISION, &keys);
    }
}
