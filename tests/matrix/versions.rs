//! How each revision begins, and what it refuses.

use serde_json::{Value, json};

use super::board::Setup;
use super::peer::{EVERY_LEGACY, HOP, House, LEGACY, MODERN, everything, speaking};

fn setup() -> Setup {
    Setup::new().script("a", &speaking(EVERY_LEGACY, "matrix"))
}

/// Checks 10, 11: a legacy revision is echoed, anything else is answered with the newest legacy one.
#[test]
fn initialize_is_answered_with_a_legacy_revision() {
    for http in [false, true] {
        for asked in [&LEGACY[..], &["2023-01-01", "9999-01-01", MODERN, ""]].concat() {
            let house = House::over(http, setup());
            let peer = house.stranger("2025-11-25", json!({}), None);
            let answer = peer.call(
                "initialize",
                json!({ "protocolVersion": asked, "capabilities": {}, "clientInfo": { "name": "p", "version": "1" } }),
            );
            let expected = if LEGACY.contains(&asked) { asked } else { "2025-11-25" };
            assert_eq!(answer.result()["protocolVersion"], expected, "{asked}");
            assert!(answer.result().get("resultType").is_none());
            drop(peer);
            house.close();
        }
    }
}

/// Checks 12, 15, 38: `server/discover` works as a first message and after `initialize`, and binds nobody to an era.
#[test]
fn discovery_works_before_and_after_a_handshake() {
    let house = House::stdio(setup());
    let modern = house.stranger(MODERN, everything(MODERN), None);
    let legacy = house.stranger("2025-06-18", json!({}), None);
    let check = || {
        let discovered = modern.call("server/discover", json!({})).result();
        assert_eq!(discovered["resultType"], "complete");
        assert_eq!(discovered["supportedVersions"], json!([MODERN]));
        assert!(discovered["capabilities"]["tools"].is_object());
        assert!(discovered["capabilities"].get("tasks").is_none(), "check 82");
        assert!(discovered["ttlMs"].is_u64() && discovered["cacheScope"].is_string());
        assert_eq!(discovered["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "switchboard");
    };
    check();
    assert_eq!(legacy.initialize().result()["protocolVersion"], "2025-06-18");
    check();
    legacy.list_with("tools/list", "a__echo");
    for peer in [&modern, &legacy, &modern] {
        let answer = peer.tool("a__echo", json!({ "input": "hi" }));
        assert_eq!(answer.text(), "hi");
        assert_eq!(answer.result().get("resultType").is_some(), peer.is_modern());
    }
    drop((modern, legacy));
    house.close();
}

/// Checks 13, 14, 21: a version that is not spoken and metadata that are missing, with what the specification wants said.
#[test]
fn requests_without_their_metadata_are_refused() {
    for http in [false, true] {
        let house = House::over(http, setup());
        let modern = house.stranger(MODERN, json!({}), None);
        let send = |meta: Value, version: &str| {
            let id = modern.fresh_id();
            let body = json!({ "jsonrpc": "2.0", "id": serde_json::from_str::<Value>(&id).unwrap(), "method": "tools/list", "params": { "_meta": meta } });
            let headers: Vec<(String, String)> = [
                ("Accept", "application/json, text/event-stream"),
                ("MCP-Protocol-Version", version),
                ("Mcp-Method", "tools/list"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
            modern.send(Some(&id), &body.to_string(), headers);
            modern.answer(&id)
        };
        let version = format!("{HOP}protocolVersion");
        let capabilities = format!("{HOP}clientCapabilities");
        for unknown in ["2025-11-25", "2099-01-01", "nonsense"] {
            let error = send(json!({ &version: unknown, &capabilities: {} }), unknown).error();
            assert_eq!(error["code"], -32022, "{error}");
            assert_eq!(error["data"]["supported"], json!([MODERN]));
            assert_eq!(error["data"]["requested"], unknown);
        }
        for wrong in [json!({ &version: MODERN }), json!({ &version: MODERN, &capabilities: [] })] {
            let error = send(wrong.clone(), MODERN).error();
            assert_eq!(error["code"], -32602, "{wrong}: {error}");
            assert!(error["message"].as_str().unwrap().contains("clientCapabilities"), "{error}");
        }
        let error = send(json!({ &capabilities: {} }), MODERN).error();
        assert_eq!(error["code"], -32602, "{error}");
        drop(modern);
        house.close();
    }
}

/// Checks 17, 43, 57, 82: what the modern era removed is unknown there, and so is what nobody knows.
#[test]
fn what_the_modern_era_removed_is_unknown() {
    let removed = [
        ("ping", json!({})),
        ("logging/setLevel", json!({ "level": "info" })),
        ("resources/subscribe", json!({ "uri": "note://one" })),
        ("resources/unsubscribe", json!({ "uri": "note://one" })),
        ("tasks/result", json!({ "taskId": "x" })),
        ("tasks/list", json!({})),
        ("notifications/initialized", json!({})),
        ("sampling/createMessage", json!({})),
        ("no/such", json!({})),
    ];
    for http in [false, true] {
        let house = House::over(http, setup());
        let modern = house.stranger(MODERN, everything(MODERN), None);
        for (method, params) in &removed {
            let answer = modern.call(method, params.clone());
            assert_eq!(answer.code(), -32601, "{method}: {}", answer.raw);
        }
        let legacy = house.peer("2025-11-25");
        for method in ["server/discover", "subscriptions/listen", "no/such"] {
            let answer = legacy.call(method, json!({}));
            assert_eq!(answer.code(), -32601, "{method}: {}", answer.raw);
        }
        assert_eq!(legacy.call("ping", json!({})).result(), json!({}));
        drop((modern, legacy));
        house.close();
    }
}

/// Check 16: what one request declares is not true of the next one.
#[test]
fn what_a_request_declares_holds_for_it_alone() {
    for http in [false, true] {
        let house = House::over(http, Setup::new().script("a", &speaking(EVERY_LEGACY, "matrix-asks")));
        let able = house.stranger(MODERN, everything(MODERN), None);
        let mute = house.stranger(MODERN, json!({}), None);
        able.list_with("tools/list", "a__roots");
        for _ in 0..2 {
            let asked = able.call("tools/call", json!({ "name": "a__roots" }));
            assert_eq!(asked.result()["resultType"], "input_required", "{}", asked.raw);
            // It has nobody to ask: the server hears so, or its client that it should be able to.
            let answer = mute.call("tools/call", json!({ "name": "a__roots" }));
            match &answer.error {
                Some(_) => {
                    assert_eq!(answer.code(), -32021, "{}", answer.raw);
                    assert_eq!(answer.error()["data"]["requiredCapabilities"], json!({ "roots": {} }));
                }
                None => assert!(answer.text().contains("error"), "{}", answer.raw),
            }
        }
        drop((able, mute));
        house.close();
    }
}

/// Check 20: a server that asks right after the handshake does not make us ask the client before it is ready; check 61: roots are
/// answered without a call under way.
#[test]
fn nothing_is_asked_before_the_client_is_ready() {
    let script = "
on: { initialized: [ { ask: { method: roots/list, save: roots } }, { ask: ping }, { stderr: 'roots: {{json roots}}' } ] }
tools: { echo: { answer: \"{{input}}\" } }
";
    let house = House::stdio(Setup::new().script("a", script).keys("start: eager"));
    let peer = house.stranger("2025-11-25", json!({ "roots": {} }), None);
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": { "roots": {} }, "clientInfo": { "name": "p", "version": "1" } });
    peer.call("initialize", params);
    house.await_received("a", 1, |line| line["method"] == "notifications/initialized");
    // The mock asks before it reads on: whatever it said has been read when it answers.
    assert!(
        peer.hear_within(std::time::Duration::from_millis(150), |message| message.id.is_some()).is_none()
    );
    peer.notify("notifications/initialized", Value::Null);
    let question = peer.hear("a question", |message| message.id.is_some());
    assert_eq!(question.method.as_deref(), Some("roots/list"));
    peer.respond(&question.id.unwrap(), &json!({ "roots": [{ "uri": "file:///r" }] }));
    house.await_received("a", 1, |line| line["result"]["roots"][0]["uri"] == "file:///r");
    house.await_received("a", 1, |line| line["result"] == json!({}));
    drop(peer);
    house.close();
    let house = House::http(Setup::new().script("a", script));
    let peer = house.peer(MODERN);
    peer.list_with("tools/list", "a__echo");
    house.await_received("a", 1, |line| line["result"]["roots"] == json!([]));
    house.await_received("a", 1, |line| line["result"] == json!({}));
    drop(peer);
    house.close();
}
