//! The same tables through the clients of the official SDKs: each scenario program runs the steps against every
//! server directly and against one Switchboard with all servers behind it, and the outcomes must be the same.
//! The clients with two eras run the direct side in their legacy mode and the other one in mode `auto`, so the
//! probe that comes before `initialize` is part of the test.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::case::Case;
use crate::cases;
use crate::newer;
use crate::scenes::LISTS;
use crate::servers::{self, Server};
use crate::side::{REVISION, roots};
use crate::support::real;
use crate::support::same::{Mapping, difference};
use crate::through;
use crate::world::World;

/// A client that is longer about connecting than this has waited for a timeout of its own.
const LONGEST_CONNECT: Duration = Duration::from_secs(3);

/// A scenario program and how it is started.
pub(crate) enum Sdk {
    Node { set: &'static str, script: &'static str },
    Python { set: &'static str, script: &'static str },
}

impl Sdk {
    /// Runs the scenario and gives what is told of it.
    pub(crate) fn run(&self, world: &World, scenario: Value) -> Value {
        self.run_all(world, vec![scenario]).remove(0)
    }

    /// Runs the scenarios one after the other, in one process: some SDKs need seconds to be loaded.
    pub(crate) fn run_all(&self, world: &World, scenarios: Vec<Value>) -> Vec<Value> {
        let file = world.path("scenario.json");
        fs::write(&file, Value::from(scenarios).to_string()).unwrap();
        let mut command = match self {
            Sdk::Node { set, script } => {
                let mut command = Command::new(real::node());
                command.arg(node_folder(world, set).join(script));
                command
            }
            Sdk::Python { set, script } => {
                let mut command = Command::new(real::python(set));
                command.arg("-B").arg(real::source_folder().join("clients").join(script));
                command
            }
        };
        command.arg(&file).env_clear().envs(servers::base_variables(world)).stdin(Stdio::null());
        let output = command.output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?} ended with {}\n{stdout}\n{stderr}", output.status);
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error} in {stdout}\n{stderr}"))
    }
}

/// A folder with the scenario scripts and, beside them, the set's `node_modules`: that is where Node looks.
fn node_folder(world: &World, set: &str) -> std::path::PathBuf {
    let folder = world.path(&format!("client-{set}"));
    if !folder.exists() {
        fs::create_dir_all(&folder).unwrap();
        for script in ["scenario.mjs", "sdk-1.mjs", "client-2.mjs"] {
            fs::copy(real::source_folder().join("clients").join(script), folder.join(script)).unwrap();
        }
        symlink(real::npm(set).join("node_modules"), folder.join("node_modules")).unwrap();
    }
    folder
}

pub(crate) fn scenario(
    world: &World,
    server: &Value,
    mode: &str,
    prefixes: &[String],
    steps: Vec<Value>,
) -> Value {
    json!({
        "server": server,
        "mode": mode,
        "prefixes": prefixes,
        "steps": steps,
        "roots": roots(world, &["files"]),
        "replies": {
            "sampling": {
                "role": "assistant",
                "content": { "type": "text", "text": "a fixed answer ☃" },
                "model": "fixed-model",
                "stopReason": "endTurn",
            },
            "elicitation": { "action": "accept", "content": { "name": "Ada ä", "check": true, "integer": 7 } },
        },
    })
}

/// The cases that a typed client can say, with those that need one more flag at the end.
pub(crate) fn cases_of(server: &Server, world: &World) -> Vec<(Case, bool)> {
    let mut cases: Vec<(Case, bool)> = cases::of(server.name, world)
        .into_iter()
        .filter(|case| !case.raw_only)
        .map(|case| (case, false))
        .collect();
    match server.name {
        "everything" => cases.push((cases::cancelled("trigger-long-running-operation"), true)),
        "everything-old" => cases.push((cases::cancelled("longRunningOperation"), true)),
        "memory" => cases.extend(cases::graph_subscription().into_iter().map(|case| (case, false))),
        _ => {}
    }
    cases
}

pub(crate) fn steps(cases: &[(Case, bool)], say: impl Fn(&Case) -> Value) -> Vec<Value> {
    let lists = LISTS.iter().map(|(method, _)| json!({ "method": method }));
    let ping = json!({ "method": "ping" });
    let asked = cases
        .iter()
        .map(|(case, cancel)| json!({ "method": case.method, "params": say(case), "cancel": cancel }));
    lists.chain([ping]).chain(asked).collect()
}

/// In the revisions with a handshake.
fn equal_to_direct(sdk: &Sdk) {
    equal_in(sdk, &["legacy"]);
}

/// There, and in 2026-07-28, which the client chooses by itself when it finds that Switchboard speaks it. The servers are of the
/// revisions with a handshake; what the client sees of them directly it sees in those.
fn equal_to_direct_in_both_eras(sdk: &Sdk) {
    equal_in(sdk, &["legacy", "auto"]);
}

fn equal_in(sdk: &Sdk, modes: &[&str]) {
    if real::skipped() {
        return;
    }
    let world = World::new();
    let all = servers::all(&world);
    let direct = direct(sdk, &world, &all);
    for mode in modes {
        world.reset();
        let differences = differences(sdk, &world, &all, &direct, mode);
        let count = differences.len();
        assert!(differences.is_empty(), "{mode}: {count} outcomes differ\n{}", differences.join("\n"));
    }
}

/// The outcomes of each server's steps, without Switchboard.
pub(crate) fn direct(sdk: &Sdk, world: &World, servers: &[Server]) -> Vec<Vec<Value>> {
    let scenarios = servers.iter().map(|server| {
        let steps = steps(&cases_of(server, world), |case| case.params.clone());
        scenario(world, &server.scenario_command(world), "legacy", &[], steps)
    });
    let told = sdk.run_all(world, scenarios.collect());
    told.iter().map(|told| told["outcomes"].as_array().unwrap().clone()).collect()
}

fn differences(sdk: &Sdk, world: &World, all: &[Server], direct: &[Vec<Value>], mode: &str) -> Vec<String> {
    let mut all_steps = Vec::new();
    for server in all {
        let mapping = Mapping::new(server.name);
        let cases = cases_of(server, world);
        all_steps.extend(steps(&cases, |case| mapping.params(case.method, &case.params)));
    }
    let prefixes: Vec<String> = all.iter().map(|server| Mapping::new(server.name).prefix()).collect();
    let command = through::scenario_command(world, all);
    let told = sdk.run(world, scenario(world, &command, mode, &prefixes, all_steps));
    let connect = Duration::from_millis(told["about"]["connectMs"].as_u64().unwrap());
    eprintln!("connected in {connect:?}: {}", told["about"]);
    assert!(connect < LONGEST_CONNECT, "connecting took {connect:?}");
    let is_modern = told["about"]["revision"] == "2026-07-28";
    assert_eq!(is_modern, mode == "auto", "{}", told["about"]);

    let mut through = told["outcomes"].as_array().unwrap().iter();
    let mut differences = Vec::new();
    for (server, direct) in all.iter().zip(direct) {
        let mut part: Vec<Value> = through.by_ref().take(direct.len()).cloned().collect();
        let mut direct = direct.clone();
        if is_modern {
            part.iter_mut().for_each(newer::outcome);
            direct.iter_mut().for_each(newer::outcome);
            let cases = cases_of(server, world);
            // The newer revision has the lists, and no `ping`.
            let has = LISTS.iter().map(|_| true).chain([false]);
            let has = has.chain(cases.iter().map(|(case, _)| newer::has(case)));
            for ((has, direct), through) in has.zip(&mut direct).zip(&mut part) {
                if !has {
                    (*direct, *through) = (newer::gone(), newer::gone());
                }
            }
        }
        differences.extend(compare(server, world, &direct, &part.iter().collect::<Vec<_>>()));
    }
    differences
}

/// Every difference between the outcomes of one server's steps.
pub(crate) fn compare(server: &Server, world: &World, direct: &[Value], through: &[&Value]) -> Vec<String> {
    let mapping = Mapping::new(server.name);
    let mut found = Vec::new();
    let mut note = |name: &str, direct: &Value, through: &Value| {
        found.extend(difference(direct, through).map(|found| format!("{}: {name}: {found}", server.name)));
    };
    for (index, (method, key)) in LISTS.iter().enumerate() {
        let wanted = mapping.items(method, &items(&direct[index], key));
        let mut shown = items(through[index], key);
        shown.retain(|item| server.owns(item));
        note(method, &json!(wanted), &json!(shown));
    }
    note("ping", &direct[LISTS.len()], through[LISTS.len()]);

    let tools = items(&direct[0], "tools");
    let knows = |case: &Case| {
        case.method != "tools/call" || tools.iter().any(|tool| tool["name"] == case.params["name"])
    };
    let rest = LISTS.len() + 1;
    for (index, (case, _)) in cases_of(server, world).into_iter().enumerate() {
        // A tool that needs an ability which this client lacks does not exist on either side.
        let case = if knows(&case) { case } else { case.refused_here() };
        let mut wanted = direct[rest + index].clone();
        for message in wanted["seen"].as_array_mut().unwrap() {
            *message = mapping.message(message);
        }
        note(&case.name, &case.comparable(wanted), &case.comparable(through[rest + index].clone()));
    }
    found
}

/// The items of a list's outcome; a server that does not know the list has none.
fn items(outcome: &Value, key: &str) -> Vec<Value> {
    outcome["answer"]["result"][key].as_array().cloned().unwrap_or_default()
}

#[test]
fn typescript_sdk_1_sees_the_same() {
    equal_to_direct(&Sdk::Node { set: "sdk-1-new", script: "sdk-1.mjs" });
}

#[test]
fn old_typescript_sdk_1_sees_the_same() {
    equal_to_direct(&Sdk::Node { set: "sdk-1-old", script: "sdk-1.mjs" });
}

#[test]
fn typescript_client_2_sees_the_same_in_both_eras() {
    equal_to_direct_in_both_eras(&Sdk::Node { set: "client-2", script: "client-2.mjs" });
}

#[test]
fn python_sdk_1_sees_the_same() {
    equal_to_direct(&Sdk::Python { set: "mcp-1", script: "mcp_1.py" });
}

#[test]
fn python_sdk_2_sees_the_same_in_both_eras() {
    equal_to_direct_in_both_eras(&Sdk::Python { set: "mcp-2", script: "mcp_2.py" });
}

#[test]
fn fastmcp_sees_the_same_in_both_eras() {
    equal_to_direct_in_both_eras(&Sdk::Python { set: "fastmcp", script: "fastmcp_4.py" });
}

/// The Inspector's command line lists and calls what the server behind it has.
#[test]
fn inspector_lists_and_calls() {
    if real::skipped() {
        return;
    }
    let world = World::new();
    let memory = servers::named(&world, "memory");
    let mapping = Mapping::new("memory");
    let direct = memory.command(&world);
    let through = through::command(&world, std::slice::from_ref(&memory));

    let listed = inspect(&world, &direct, &["--method", "tools/list"]);
    let wanted = mapping.items("tools/list", listed["tools"].as_array().unwrap());
    // The Inspector asks once, right after the handshake. A client that came before has filled the catalogue.
    drop(through::connect(&world, std::slice::from_ref(&memory), REVISION));
    let mut shown =
        inspect(&world, &through, &["--method", "tools/list"])["tools"].as_array().unwrap().clone();
    shown.retain(|tool| memory.owns(tool));
    assert_eq!(difference(&json!(wanted), &json!(shown)), None);

    let call = |command: &Command, name: &str| {
        inspect(&world, command, &["--method", "tools/call", "--tool-name", name])
    };
    let wanted = call(&direct, "read_graph");
    assert_eq!(difference(&wanted, &call(&through, &mapping.exposed("read_graph"))), None);
}

fn inspect(world: &World, server: &Command, arguments: &[&str]) -> Value {
    let mut command = inspector();
    for (name, value) in server.get_envs() {
        let pair = format!("{}={}", name.to_str().unwrap(), value.unwrap_or_default().to_str().unwrap());
        command.arg("-e").arg(pair);
    }
    command.args(arguments).arg("--").arg(server.get_program()).args(server.get_args());
    inspected(world, command)
}

/// The Inspector's command line, without a server and what to do there.
pub(crate) fn inspector() -> Command {
    let script = real::npm_file("inspector", "@modelcontextprotocol/inspector");
    let package: Value =
        serde_json::from_str(&fs::read_to_string(script.join("package.json")).unwrap()).unwrap();
    let mut command = Command::new(real::node());
    command.arg(script.join(package["bin"]["mcp-inspector"].as_str().unwrap())).arg("--cli");
    command
}

/// What it prints.
pub(crate) fn inspected(world: &World, mut command: Command) -> Value {
    command.env_clear().envs(servers::base_variables(world)).stdin(Stdio::null());
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}\n{stdout}\n{stderr}", output.status);
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error} in {stdout}\n{stderr}"))
}
