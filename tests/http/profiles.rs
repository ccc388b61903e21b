//! Profiles: one config, and each client sees its selection, by `--profile` or by its token.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, request};
use crate::guest::Guest;
use crate::rig::{PROGRAM, SOON, Setup};
use crate::served::Served;

const SERVER: &str = r#"
server: { instructions: "How NAME wants to be used." }
tools:
  look: { answer: looked }
  wipe: { answer: wiped }
prompts: { greet: hello }
resources: { "note://NAME": { name: A, text: text } }
record_process: HERE/NAME.starts
"#;

const ALICE: &str = "alice-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef00";
const ROOT: &str = "root-0123456789abcdef0";

/// Three servers, and what else the config says.
fn config(setup: &Setup, more: &Value) {
    let here = setup.home().display().to_string();
    let entry = |name: &str, categories: Value| {
        let script = SERVER.replace("NAME", name).replace("HERE", &here);
        std::fs::write(setup.home().join(format!("{name}.yaml")), script).unwrap();
        json!({ "command": PROGRAM, "args": ["mock", format!("{here}/{name}.yaml")], "categories": categories })
    };
    let mut config = json!({ "servers": {
        "files": entry("files", json!(["work"])),
        "notes": entry("notes", json!([])),
        "secret": entry("secret", json!(["private"])),
    }});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let new = setup.home().join("switchboard.json.new");
    std::fs::write(&new, config.to_string()).unwrap();
    std::fs::rename(new, setup.home().join("switchboard.json")).unwrap();
}

fn profiles() -> Value {
    json!({
        "work": { "categories": ["work"] },
        "reading": { "exclude": "secret", "tools": { "include": "*__look" } },
    })
}

fn names(answer: &Value, list: &str, key: &str) -> Vec<String> {
    let items = answer["result"][list].as_array().unwrap_or_else(|| panic!("{answer}"));
    items.iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

/// A client with a token, of either era.
enum Holder {
    Legacy(Box<Guest>),
    Modern(std::net::SocketAddr, &'static str),
}

impl Holder {
    async fn of(served: &Served, token: &'static str, is_modern: bool) -> Self {
        match is_modern {
            true => Holder::Modern(served.address, token),
            false => Holder::Legacy(Box::new(Guest::of(served, token, false).await)),
        }
    }

    async fn ask(&mut self, method: &str, mut params: Value) -> Value {
        let (address, token) = match self {
            Holder::Legacy(guest) => return guest.request(method, &params).await,
            Holder::Modern(address, token) => (*address, *token),
        };
        let meta = &mut params["_meta"];
        meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
        meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
        let bearer = format!("Bearer {token}");
        let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        let mut headers =
            vec![("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method), ("Authorization", &bearer)];
        headers.extend(name.as_deref().map(|name| ("Mcp-Name", name)));
        let answer = Client::connect(address).await.post(&headers, &request(1, method, &params)).await;
        if answer.is_events() {
            return answer.events().iter().rfind(|event| !event.comment).unwrap().json();
        }
        answer.json()
    }

    async fn tools(&mut self) -> Vec<String> {
        names(&self.ask("tools/list", json!({})).await, "tools", "name")
    }

    /// The text of a tool's answer; `None` if it is refused.
    async fn call(&mut self, tool: &str) -> Option<String> {
        let answer = self.ask("tools/call", json!({ "name": tool, "arguments": {} })).await;
        let text = answer["result"]["content"][0]["text"].as_str().map(str::to_owned);
        text.filter(|_| answer["result"]["isError"] != true)
    }
}

fn bound() -> Value {
    json!({
        "profiles": profiles(),
        "http": {
            "tokens": { "alice": ALICE, "bob": BOB, "root": ROOT },
            "profiles": { "alice": "work", "bob": "reading" },
        },
    })
}

#[tokio::test]
async fn each_token_sees_its_profile_and_reaches_nothing_else() {
    let setup = Setup::unwritten("switchboard.json");
    config(&setup, &bound());
    let served = Served::new(setup);
    for is_modern in [false, true] {
        let mut alice = Holder::of(&served, ALICE, is_modern).await;
        let mut bob = Holder::of(&served, BOB, is_modern).await;
        let mut root = Holder::of(&served, ROOT, is_modern).await;
        assert_eq!(alice.tools().await, ["files__look", "files__wipe", "switchboard__status"]);
        assert_eq!(bob.tools().await, ["files__look", "notes__look", "switchboard__status"]);
        assert_eq!(root.tools().await.len(), 7);

        for (who, tool, expected) in [
            (0, "files__wipe", true),
            (0, "notes__look", false),
            (0, "secret.look", false),
            (1, "notes__look", true),
            (1, "notes__wipe", false),
            (1, "secret__look", false),
            (2, "secret__look", true),
        ] {
            let holder = [&mut alice, &mut bob, &mut root].into_iter().nth(who).unwrap();
            let answer = holder.call(tool).await;
            assert_eq!(answer.is_some(), expected, "{who} {tool} {is_modern}: {answer:?}");
        }
        // What is refused is refused like what does not exist, and nobody is told what there is.
        let refused = alice.ask("tools/call", json!({ "name": "notes__look", "arguments": {} })).await;
        assert!(!refused.to_string().contains("secret"), "{refused}");
        assert!(!refused.to_string().contains("did you mean"), "{refused}");

        let prompts = names(&alice.ask("prompts/list", json!({})).await, "prompts", "name");
        assert_eq!(prompts, ["files__greet"]);
        assert!(alice.ask("prompts/get", json!({ "name": "notes__greet" })).await["error"].is_object());
        assert!(alice.ask("prompts/get", json!({ "name": "files__greet" })).await["result"].is_object());
        let uris = names(&alice.ask("resources/list", json!({})).await, "resources", "uri");
        assert_eq!(uris, ["note://files"]);
        assert!(alice.ask("resources/read", json!({ "uri": "note://secret" })).await["error"].is_object());
        assert!(alice.ask("resources/read", json!({ "uri": "note://files" })).await["result"].is_object());

        let status = alice.call("switchboard__status").await.unwrap();
        assert!(status.contains("1 of 1 servers usable, 2 tools, profile `work`"), "{status}");
        assert!(!status.contains("notes") && !status.contains("secret"), "{status}");
        assert!(root.call("switchboard__status").await.unwrap().contains("secret"));
    }
}

#[tokio::test]
async fn a_profile_of_a_token_follows_the_config() {
    let setup = Setup::unwritten("switchboard.json");
    config(&setup, &bound());
    let served = Served::new(setup);
    let mut alice = Guest::of(&served, ALICE, false).await;
    let tools =
        async |alice: &mut Guest| names(&alice.request("tools/list", &json!({})).await, "tools", "name");
    assert_eq!(tools(&mut alice).await.len(), 3);
    let mut wider = bound();
    wider["profiles"]["work"] = json!({ "include": ["files", "notes"] });
    config(&served.setup, &wider);
    // The client is told, over its standing stream.
    while alice.told().await["method"] != "notifications/tools/list_changed" {}
    assert_eq!(tools(&mut alice).await.len(), 5);
    // A config in which the profile is gone is refused: its holder would see everything.
    let mut lost = bound();
    lost["profiles"] = json!({ "reading": {} });
    config(&served.setup, &lost);
    let until = Instant::now() + SOON;
    loop {
        let status = alice.call("switchboard__status", &json!({})).await;
        if status.contains("there is no profile `work`") {
            break;
        }
        assert!(Instant::now() < until, "{status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(tools(&mut alice).await.len(), 5);
}

#[tokio::test]
async fn policies_know_the_profile() {
    let setup = Setup::unwritten("switchboard.json");
    let policies = r#"
        permit (principal, action, resource);
        @id("no-wiping-at-work")
        forbid (principal, action == Action::"call_tool", resource)
          when { principal has profile && principal.profile == "work" && resource.original == "wipe" };
    "#;
    std::fs::write(setup.home().join("policy.cedar"), policies).unwrap();
    let mut more = bound();
    more["policy"] = json!({ "file": "policy.cedar" });
    config(&setup, &more);
    let served = Served::new(setup);
    for is_modern in [false, true] {
        let mut alice = Holder::of(&served, ALICE, is_modern).await;
        assert_eq!(alice.tools().await, ["files__look", "switchboard__status"]);
        assert_eq!(alice.call("files__wipe").await, None);
        assert_eq!(alice.call("files__look").await.as_deref(), Some("looked"));
        let mut root = Holder::of(&served, ROOT, is_modern).await;
        assert_eq!(root.call("files__wipe").await.as_deref(), Some("wiped"));
    }
}

#[test]
fn a_whole_switchboard_is_one_profile_and_starts_no_other_server() {
    let setup = Setup::unwritten("switchboard.json").arg("--profile").arg("reading");
    config(&setup, &json!({ "profiles": profiles() }));
    let mut rig = setup.start();
    rig.hello();
    assert_eq!(rig.tools(), ["files__look", "notes__look", "switchboard__status"]);
    let call = rig.call("notes__wipe", json!({}));
    assert!(rig.answer(&call).value()["error"].is_object() || rig.answer(&call).is_tool_error());
    let call = rig.call("files__look", json!({}));
    rig.answer(&call).expect_text("looked");
    let call = rig.call("switchboard__status", json!({}));
    let status = rig.answer(&call).text();
    assert!(status.contains("2 of 2 servers usable, 2 tools, profile `reading`"), "{status}");
    assert!(!status.contains("secret"), "{status}");
    assert!(!rig.home().join("secret.starts").exists(), "a server that is left out is not started");

    // The profile stays, whatever else changes.
    let text = std::fs::read_to_string(rig.home().join("switchboard.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["profiles"]["reading"] = json!({ "include": ["secret"] });
    rig.configure_text(&config.to_string());
    let until = Instant::now() + SOON;
    while rig.tools() != ["secret__look", "secret__wipe", "switchboard__status"] {
        assert!(Instant::now() < until, "{:?} {}", rig.tools(), rig.stderr());
        std::thread::sleep(Duration::from_millis(50));
    }
    config["profiles"] = json!({ "other": {} });
    rig.configure_text(&config.to_string());
    let until = Instant::now() + SOON;
    loop {
        let call = rig.call("switchboard__status", json!({}));
        let status = rig.answer(&call).text();
        if status.contains("there is no profile `reading`; known are `other`") {
            break;
        }
        assert!(Instant::now() < until, "{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(rig.tools().len(), 3, "what was in force stays");
    rig.finish();
}

#[test]
fn nobody_is_served_by_a_profile_that_there_is_not() {
    let setup = Setup::unwritten("switchboard.json").arg("--profile").arg("wrok");
    config(&setup, &json!({ "profiles": profiles() }));
    let mut rig = setup.start();
    rig.hello();
    assert_eq!(rig.tools(), ["switchboard__status"]);
    let call = rig.call("switchboard__status", json!({}));
    let status = rig.answer(&call).text();
    assert!(status.contains("SB-CFG-009") && status.contains("did you mean `work`?"), "{status}");
    assert!(status.contains("known are `work`, `reading`"), "{status}");
    for server in ["files", "notes", "secret"] {
        assert!(!rig.home().join(format!("{server}.starts")).exists(), "{server}");
    }
    rig.finish();
}
