//! A Switchboard with all servers behind it, and the taps that show what each server was sent.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::cases;
use crate::scenes;
use crate::servers::{self, Server};
use crate::side::{OLDER_REVISIONS, REVISION, Side, Way, all_pages, capabilities, script};
use crate::support::raw::Client;
use crate::support::real;
use crate::support::same::{Mapping, difference};
use crate::world::World;

/// How long the servers together may take to start, on a small machine that does more than this.
const START: Duration = Duration::from_secs(120);

/// The command that serves a config with these servers. `SWITCHBOARD_TEST_PROGRAM` puts another program in
/// Switchboard's place, to try the tests themselves or to compare versions.
pub(crate) fn command(world: &World, servers: &[Server]) -> Command {
    let home = world.path("switchboard");
    let entries: Map<String, Value> =
        servers.iter().map(|server| (server.name.to_owned(), server.entry(world))).collect();
    let config = home.join("switchboard.json");
    fs::write(&config, json!({ "servers": entries }).to_string()).unwrap();

    let program = std::env::var_os("SWITCHBOARD_TEST_PROGRAM")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_switchboard")), PathBuf::from);
    let mut command = Command::new(program);
    command.args(["serve", "--config"]).arg(config);
    command.env_clear().envs(servers::base_variables(world)).env("SWITCHBOARD_HOME", &home);
    command.env("CANARY_TOKEN", "must-not-reach-a-server");
    command
}

/// The same command as clients' scenario files have it.
pub(crate) fn scenario_command(world: &World, servers: &[Server]) -> Value {
    let command = command(world, servers);
    let text = |text: &std::ffi::OsStr| text.to_str().unwrap().to_owned();
    let variables = command.get_envs().map(|(name, value)| (text(name), text(value.unwrap()))).collect();
    json!({
        "command": text(command.get_program()),
        "args": command.get_args().map(text).collect::<Vec<_>>(),
        "env": servers::object(variables),
        "cwd": world.path("home"),
    })
}

/// Starts Switchboard and waits until every server's tools are listed.
pub(crate) fn connect(world: &World, servers: &[Server], revision: &str) -> Client {
    let client = Client::spawn(&mut command(world, servers));
    client.answer_with(script(world));
    client.initialize(revision, capabilities());
    wait_until_complete(&client, servers);
    client
}

fn wait_until_complete(client: &Client, servers: &[Server]) {
    let end = Instant::now() + START;
    loop {
        let mark = client.mark();
        let tools = all_pages(client, "tools/list", "tools");
        let shows = |server: &&Server| {
            let prefix = Mapping::new(server.name).prefix();
            tools.iter().any(|tool| tool["name"].as_str().unwrap().starts_with(&prefix))
        };
        let missing: Vec<_> =
            servers.iter().filter(|server| !shows(server)).map(|server| server.name).collect();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "never listed: {missing:?}\n{}", client.transcript());
        // A changed list is announced; asking again after a while helps where a server is only slow.
        client.try_wait_for(mark, Duration::from_millis(500), |message| {
            message.method() == Some("notifications/tools/list_changed")
        });
    }
}

/// What a server was sent, line by line.
pub(crate) struct Tap {
    path: PathBuf,
}

impl Tap {
    /// The tap of a server in the config.
    pub(crate) fn of(server: &Server, world: &World) -> Self {
        Self { path: server.tap(world) }
    }

    /// Every message so far that has this method.
    pub(crate) fn received(&self, method: &str) -> Vec<Value> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        messages.filter(|message| message["method"] == method).collect()
    }

    /// Waits until the last message with this method satisfies `fits`.
    pub(crate) fn wait_for(&self, method: &str, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let last = self.received(method).pop();
            if last.as_ref().is_some_and(&fits) || Instant::now() >= end {
                return last.filter(fits);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The server got the client's params as the client said them, but for its own name of the tool and
    /// for the progress token, which is each hop's own.
    pub(crate) fn assert_received(&self, what: &str, method: &str, params: &Value) {
        let wanted = without_token(params);
        let fits = |message: &Value| difference(&wanted, &without_token(&message["params"])).is_none();
        if self.wait_for(method, fits).is_none() {
            let last = self.received(method).pop();
            panic!("{what}: the server should have got {wanted}, the last it got was {last:?}");
        }
    }
}

/// Params without the progress token and what each hop says of itself, and without a `_meta` that held nothing else.
fn without_token(params: &Value) -> Value {
    let mut params = params.clone();
    if let Some(map) = params.as_object_mut() {
        if let Some(meta) = map.get_mut("_meta").and_then(Value::as_object_mut) {
            meta.retain(|key, _| key != "progressToken" && !key.starts_with("io.modelcontextprotocol/"));
        }
        if map.get("_meta") == Some(&json!({})) {
            map.shift_remove("_meta");
        }
    }
    params
}

fn compare(world: &World, behind: &[Server], name: &str, revision: &str) {
    let server = servers::named(world, name);
    let direct = crate::direct::outcomes(world, &server, revision);

    world.reset();
    let client = connect(world, behind, revision);
    let side = Side { client: &client, server: &server, way: Way::Through(Tap::of(&server, world)) };
    cases::assert_all_same(&direct, &cases::outcomes(world, &side));
}

/// Servers say the same to clients of every revision, so a client of an older one loses and gains nothing either.
#[test]
fn older_clients_see_the_same() {
    if real::skipped() {
        return;
    }
    let world = World::new();
    for revision in OLDER_REVISIONS {
        for name in ["everything", "time"] {
            compare(&world, &[servers::named(&world, name)], name, revision);
        }
    }
}

/// Every server's table and scenes, run directly and through one Switchboard with all servers, where those of one come after those
/// of the other.
#[test]
fn all_servers_are_equal() {
    if real::skipped() {
        return;
    }
    let world = World::new();
    let all = servers::all(&world);
    let outcomes = |server| crate::direct::outcomes(&world, server, REVISION);
    let direct: Vec<_> = all.iter().map(outcomes).collect();
    world.reset();
    let client = connect(&world, &all, REVISION);
    for (server, direct) in all.iter().zip(&direct) {
        eprintln!("{}", server.name);
        let side = Side { client: &client, server, way: Way::Through(Tap::of(server, &world)) };
        cases::assert_all_same(direct, &cases::outcomes(&world, &side));
    }
}

/// A server gets its own variables and a few of everybody's, not what else stands in Switchboard's environment.
#[test]
fn a_server_does_not_get_the_environment() {
    if real::skipped() {
        return;
    }
    let world = World::new();
    let everything = servers::named(&world, "everything");
    let client = connect(&world, std::slice::from_ref(&everything), REVISION);
    let side = Side { client: &client, server: &everything, way: Way::Through(Tap::of(&everything, &world)) };
    let answer = side.call("get-env", json!({})).to_string();
    assert!(answer.contains("DEMO_SETTING"), "{answer}");
    assert!(!answer.contains("CANARY_TOKEN"), "{answer}");
}

/// When the client goes, Switchboard ends in time and takes every server along, also the one that does not mind
/// the end of its stdin (`server-everything` 0.6.2).
#[test]
fn no_server_outlives_switchboard() {
    if real::skipped() {
        return;
    }
    let world = World::new();
    let client = connect(&world, &servers::all(&world), REVISION);
    let processes = client.pid().descendants();
    assert!(processes.len() >= 7, "only {processes:?}");
    client.close_stdin();
    let status = client.wait_exit(Duration::from_millis(1800));
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", client.transcript());
    let end = Instant::now() + Duration::from_secs(1);
    while let Some(pid) = processes.iter().find(|pid| pid.is_alive()) {
        assert!(Instant::now() < end, "still alive: {:?}", pid.command_line());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The merged lists are the servers' lists one after the other in config order; only tools of Switchboard's own
/// stand among them.
#[test]
fn lists_are_the_servers_lists_in_config_order() {
    if real::skipped() {
        return;
    }
    let world = World::new();
    let all = servers::all(&world);
    let client = connect(&world, &all, REVISION);
    let direct: Vec<Client> =
        all.iter().map(|server| crate::direct::connect(&world, server, REVISION)).collect();
    for (method, key) in scenes::LISTS {
        let mut wanted = Vec::new();
        for (server, client) in all.iter().zip(&direct) {
            wanted.extend(Side { client, server, way: Way::Direct }.list(method, key));
        }
        let own = |item: &Value| item["name"].as_str().is_some_and(|name| name.starts_with("switchboard__"));
        let mut shown = all_pages(&client, method, key);
        if method == "tools/list" {
            assert!(shown.iter().any(|tool| tool["name"] == "switchboard__status"), "no switchboard__status");
        }
        shown.retain(|item| !own(item));
        if let Some(found) = difference(&json!(wanted), &json!(shown)) {
            panic!("{method}: {found}");
        }
    }
}
