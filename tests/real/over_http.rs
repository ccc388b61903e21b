//! The clients of the SDKs over HTTP: what they see of a server on pipes is what they see of it directly. The legacy ones run the
//! tables of `cases/` over Streamable HTTP and HTTP+SSE; those of the modern revision, for which much has another form, make
//! a round of what there is.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::case::Case;
use crate::clients::{Sdk, cases_of, compare, direct, inspected, inspector, scenario, steps};
use crate::servers::{self, Server};
use crate::support::real;
use crate::support::same::Mapping;
use crate::through;
use crate::world::World;

/// How long Switchboard may take to listen, on a busy machine.
const START: Duration = Duration::from_secs(20);

const SDK_1: Sdk = Sdk::Node { set: "sdk-1-new", script: "sdk-1.mjs" };
const OLD_SDK_1: Sdk = Sdk::Node { set: "sdk-1-old", script: "sdk-1.mjs" };
const CLIENT_2: Sdk = Sdk::Node { set: "client-2", script: "client-2.mjs" };
const MCP_1: Sdk = Sdk::Python { set: "mcp-1", script: "mcp_1.py" };
const MCP_2: Sdk = Sdk::Python { set: "mcp-2", script: "mcp_2.py" };
const FASTMCP: Sdk = Sdk::Python { set: "fastmcp", script: "fastmcp_4.py" };

/// The path of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Streamable,
    Sse,
}

/// A Switchboard that serves HTTP. Ended with the value.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(world: &World, servers: &[Server]) -> Self {
        let mut command = through::command(world, servers);
        let log = world.path("switchboard").join("stderr");
        command.args(["--http", "127.0.0.1:0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let until = Instant::now() + START;
        loop {
            let said = fs::read_to_string(&log).unwrap();
            let line = said.lines().find_map(|line| line.strip_prefix("serving MCP at "));
            if let Some(address) = line.and_then(|line| line.strip_suffix("/mcp")) {
                return Self { child, address: address.to_owned() };
            }
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "{command:?}: {ended:?}\n{said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The server as clients' scenario files have it.
    fn scenario_url(&self, way: Way) -> Value {
        match way {
            Way::Streamable => json!({ "url": format!("{}/mcp", self.address), "sse": false }),
            Way::Sse => json!({ "url": format!("{}/sse", self.address), "sse": true }),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It takes its servers along when it is killed, too; a test need not wait for politeness.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a legacy client's tables directly over stdio, and through Switchboard over both transports. What stands in `other` is
/// different, and is so each time.
fn equal_to_direct(sdk: &Sdk, other: &[&str]) {
    if real::skipped() {
        return;
    }
    let world = World::new();
    let behind = ["everything", "memory"].map(|name| servers::named(&world, name));
    let direct = direct(sdk, &world, &behind);
    for way in [Way::Streamable, Way::Sse] {
        world.reset();
        let through = through_http(&world, sdk, way, &behind);
        let mut differences = Vec::new();
        for ((server, direct), through) in behind.iter().zip(&direct).zip(through) {
            let (news, direct) = without_news(direct);
            let (news_through, through) = without_news(&through);
            assert_eq!(news, news_through, "{way:?}: {}", server.name);
            differences.extend(compare(server, &world, &direct, &through.iter().collect::<Vec<_>>()));
        }
        let is_known = |known: &&str, found: &String| found.starts_with(*known);
        for known in other {
            assert!(differences.iter().any(|found| is_known(known, found)), "{way:?}: {known} is equal");
        }
        differences.retain(|found| !other.iter().any(|known| is_known(known, found)));
        assert!(differences.is_empty(), "{way:?}:\n{}", differences.join("\n"));
    }
}

/// The outcomes of each server's steps.
fn through_http(world: &World, sdk: &Sdk, way: Way, behind: &[Server]) -> Vec<Vec<Value>> {
    let all_steps: Vec<Vec<Value>> = behind
        .iter()
        .map(|server| {
            let mapping = Mapping::new(server.name);
            let say = |case: &Case| mapping.params(case.method, &case.params);
            steps(&cases_of(server, world), say)
        })
        .collect();
    let prefixes: Vec<String> = behind.iter().map(|server| Mapping::new(server.name).prefix()).collect();
    let served = Served::start(world, behind);
    let url = served.scenario_url(way);
    let told = sdk.run(world, scenario(world, &url, "legacy", &prefixes, all_steps.concat()));
    let mut outcomes = told["outcomes"].as_array().unwrap().iter().cloned();
    all_steps.iter().map(|steps| outcomes.by_ref().take(steps.len()).collect()).collect()
}

/// News of resources come on a stream of their own, perhaps after the answer to the call that made them.
fn without_news(outcomes: &[Value]) -> (Vec<Value>, Vec<Value>) {
    let mut outcomes = outcomes.to_vec();
    let mut news = Vec::new();
    for outcome in &mut outcomes {
        outcome["seen"].as_array_mut().unwrap().retain(|message| {
            let is_news = message["method"] == "notifications/resources/updated";
            if is_news {
                news.push(message.clone());
            }
            !is_news
        });
    }
    (news, outcomes)
}

#[test]
fn typescript_sdk_1_sees_the_same() {
    equal_to_direct(&SDK_1, &[]);
}

#[test]
fn old_typescript_sdk_1_sees_the_same() {
    // A server for many is told that it may ask for anything; and this client breaks off at links to resources, which are
    // translated for it, because the server was told of a newer revision.
    equal_to_direct(&OLD_SDK_1, &["everything: tools/list:", "everything: tools/call: get-resource-links:"]);
}

#[test]
fn typescript_client_2_sees_the_same() {
    equal_to_direct(&CLIENT_2, &[]);
}

#[test]
fn python_sdk_1_sees_the_same() {
    equal_to_direct(&MCP_1, &[]);
}

#[test]
fn python_sdk_2_sees_the_same() {
    equal_to_direct(&MCP_2, &[]);
}

#[test]
fn fastmcp_sees_the_same() {
    equal_to_direct(&FASTMCP, &[]);
}

/// A server that says and asks everything. It pauses before an answer, because what comes in one read with it the SDK 1.x drops.
const VOICE: &str = r#"
tools:
  say: { log: { level: warning, data: mind the gap }, answer: said }
  count: { steps: [ { progress: { progress: 1, total: 3 } }, { progress: { progress: 2, total: 3 } }, { sleep: 300ms }, { answer: counted } ] }
  ask:
    ask: { method: elicitation/create, save: reply, params: { message: "Who?", requestedSchema: { type: object, properties: { name: { type: string } } } } }
    answer: "{{reply.content.name}}"
  think:
    ask: { method: sampling/createMessage, save: reply, params: { maxTokens: 10, messages: [ { role: user, content: { type: text, text: "Hm?" } } ] } }
    answer: "{{reply.content.text}}"
"#;

/// A client makes a round of a legacy server on pipes: it lists, calls, hears progress and logs, answers questions.
fn makes_a_round(sdk: &Sdk, way: Way, mode: &str, revision: &str) {
    if real::skipped() {
        return;
    }
    let world = World::new();
    let behind = [servers::mock(&world, "voice", VOICE)];
    let served = Served::start(&world, &behind);
    let call = |tool: &str| {
        let mut meta = json!({ "progressToken": "mine" });
        if mode != "legacy" {
            // Not all clients of this revision have an option for it.
            meta["io.modelcontextprotocol/logLevel"] = json!("info");
        }
        json!({ "method": "tools/call", "params": { "name": format!("voice__{tool}"), "arguments": {}, "_meta": meta } })
    };
    let mut steps = vec![json!({ "method": "tools/list" })];
    steps.extend(["say", "count", "ask", "think"].map(call));
    let told =
        sdk.run(&world, scenario(&world, &served.scenario_url(way), mode, &["voice__".to_owned()], steps));
    let outcomes = told["outcomes"].as_array().unwrap();
    let text = |step: usize| &outcomes[step]["answer"]["result"]["content"][0]["text"];
    for (step, expected) in [(1, "said"), (2, "counted"), (3, "Ada ä"), (4, "a fixed answer ☃")] {
        assert_eq!(text(step), expected, "{}", outcomes[step]);
    }
    let seen = |step: usize, method: &str| {
        let seen = outcomes[step]["seen"].as_array().unwrap();
        seen.iter().filter(|message| message["method"] == method).count()
    };
    assert_eq!(seen(2, "notifications/progress"), 2, "{}", outcomes[2]);
    assert_eq!(seen(3, "elicitation/create"), 1, "{}", outcomes[3]);
    assert_eq!(seen(4, "sampling/createMessage"), 1, "{}", outcomes[4]);
    assert_eq!(told["about"]["logs"], json!(["mind the gap"]));
    // Whether they even ask for the modern revision over HTTP+SSE, which that revision does not know, is the clients' business.
    if let (Some(negotiated), Way::Streamable) = (told["about"]["revision"].as_str(), way) {
        assert_eq!(negotiated, revision);
    }
}

#[test]
fn clients_of_the_legacy_revisions_make_a_round() {
    for sdk in [&SDK_1, &CLIENT_2, &MCP_1, &MCP_2, &FASTMCP] {
        for way in [Way::Streamable, Way::Sse] {
            makes_a_round(sdk, way, "legacy", "2025-11-25");
        }
    }
}

#[test]
fn clients_of_the_modern_revision_make_a_round() {
    for sdk in [&CLIENT_2, &MCP_2, &FASTMCP] {
        for way in [Way::Streamable, Way::Sse] {
            makes_a_round(sdk, way, "auto", "2026-07-28");
        }
    }
}

#[test]
fn the_inspector_lists_and_calls() {
    if real::skipped() {
        return;
    }
    let world = World::new();
    let served = Served::start(&world, &[servers::mock(&world, "voice", VOICE)]);
    for way in [Way::Streamable, Way::Sse] {
        let inspect = |arguments: &[&str]| {
            let (url, transport) = match way {
                Way::Streamable => (format!("{}/mcp", served.address), "http"),
                Way::Sse => (format!("{}/sse", served.address), "sse"),
            };
            let mut command = inspector();
            command.arg(url).args(["--transport", transport]).args(arguments);
            inspected(&world, command)
        };
        let listed = inspect(&["--method", "tools/list"]);
        let tools = listed["tools"].as_array().unwrap();
        assert!(tools.iter().any(|tool| tool["name"] == "voice__say"), "{way:?}: {listed}");
        let called = inspect(&["--method", "tools/call", "--tool-name", "voice__count"]);
        assert_eq!(called["content"][0]["text"], "counted", "{way:?}");
    }
}
