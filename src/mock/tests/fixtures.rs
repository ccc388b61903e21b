//! What stands in `fixtures/mock`, `examples/mock` and `docs/mock.md` works.

use super::*;

/// The scripts of a folder, by path.
fn scripts(folder: &str) -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.iter().all(|path| path.extension().is_some_and(|extension| extension == "yaml")));
    paths
}

#[test]
fn every_fixture_and_example_is_a_script() {
    for path in [scripts("fixtures/mock"), scripts("examples/mock")].concat() {
        load(&path).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

#[test]
fn every_fixture_says_which_case_it_is() {
    for path in scripts("fixtures/mock") {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{} starts with a comment", path.display());
    }
}

#[test]
fn every_script_of_the_guide_is_a_script() {
    let guide = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mock.md")).unwrap();
    let examples: Vec<_> = guide
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split_once("```").expect("a closed block").0)
        .collect();
    assert!(examples.len() > 5);
    for example in examples {
        parse(example).unwrap_or_else(|error| panic!("{error}\nin\n{example}"));
    }
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mock").join(name).with_extension("yaml");
    std::fs::read_to_string(path).unwrap()
}

/// Calls a tool of a fixture and compares the first line it writes.
async fn check(name: &str, tool: &str, expected: &[u8]) {
    let mut client = Client::of(&fixture(name));
    client.begin(tool).await;
    let line = client.line().await.unwrap_or_default();
    assert!(line == expected, "{name}, {tool}: {}", String::from_utf8_lossy(&line));
}

#[tokio::test]
async fn broken_responses_are_broken_as_they_say() {
    let ok = |rest: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[]{rest}}}}}"#);
    check("b11-broken-json", "nan", ok(r#","structuredContent":{"n":NaN}"#).as_bytes()).await;
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":""#;
    check("b11-broken-json", "invalid_utf8", &[text.as_bytes(), b"\xff\xfe\"}]}}"].concat()).await;
    check("b11-broken-json", "lone_surrogate", format!("{text}\\ud800\"}}]}}}}").as_bytes()).await;
    check("b11-broken-json", "truncated", br#"{"jsonrpc":"2.0","id":1,"result":{"content":["#).await;
    check(
        "b10-numbers",
        "numbers",
        ok(concat!(
            r#","structuredContent":{"big":12345678901234567890123,"money":1.10,"huge":1e400,"tiny":-0.0,"#,
            r#""exponent":1E+2}"#
        ))
        .as_bytes(),
    )
    .await;
    check("b10-strange-results", "duplicate_keys", ok(r#","a":1,"a":2"#).as_bytes()).await;
    check(
        "b10-strange-results",
        "escapes",
        br#"{"jsonrpc":"2.0","id":1,"result": { "content" : [{"type":"text","text":"\u0041\/"}] }}"#,
    )
    .await;
    check("b11-bad-responses", "neither", br#"{"jsonrpc":"2.0","id":1}"#).await;
    check("b11-bad-responses", "result_null", br#"{"jsonrpc":"2.0","id":1,"result":null}"#).await;
    check(
        "b11-bad-responses",
        "code_fraction",
        br#"{"jsonrpc":"2.0","id":1,"error":{"code":-1.5,"message":"fraction code"}}"#,
    )
    .await;
    check("b12-id-spelling", "as_text", br#"{"jsonrpc":"2.0","id":"1","result":{"content":[]}}"#).await;
    check("b12-id-spelling", "as_float", br#"{"jsonrpc":"2.0","id":1.0,"result":{"content":[]}}"#).await;
    check("b14-pretty-printed", "pretty", b"{").await;
    check("b16-line-ends", "crlf", [ok("").as_bytes(), b"\r"].concat().as_slice()).await;
    check("b16-line-ends", "bom", ["\u{feff}".as_bytes(), ok("").as_bytes()].concat().as_slice()).await;
    check("b16-line-ends", "split", ok("").as_bytes()).await;
    check("b16-line-ends", "unterminated", ok("").as_bytes()).await;
}

#[tokio::test]
async fn every_fixture_that_lives_answers_what_it_should() {
    for path in scripts("fixtures/mock") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // These end, or are silent, or print before they answer: that is their case.
        const SILENT: &[&str] = &["d01-", "d05-crash-loop", "d10-not-mcp", "b01-"];
        // These have no handshake.
        if fixture(&name).contains("revisions: 2026-07-28\n") {
            continue;
        }
        if SILENT.iter().any(|silent| name.starts_with(silent)) {
            continue;
        }
        // Each fixture is one server per start; the last start is the one that is well.
        let mut client = Client::with(&fixture(&name), |hooks| hooks.start = 99);
        client.request("initialize", json!({"protocolVersion": "2025-06-18"})).await;
        let mut hello = client.json().await;
        while hello.get("method").is_some() {
            hello = client.json().await;
        }
        assert!(
            hello["result"]["protocolVersion"].is_string() || name == "d10-initialize-error",
            "{name}: {hello}"
        );
        if name.starts_with("h11-") {
            continue;
        }
        let list = client.ask("tools/list", json!({})).await;
        let tools: Vec<_> =
            list["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
        if tools.contains(&&json!("echo")) {
            let echo = client.call("echo", json!({"input": "hi"})).await;
            assert!(said(&echo).starts_with("hi"), "{name}: {echo}");
        }
    }
}

#[tokio::test]
async fn the_sample_servers_please() {
    let example = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/mock").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    let mut notes = Client::of(&example("notes.yaml"));
    assert_eq!(said(&notes.call("add", json!({"text": "Buy milk"})).await), "Noted on page 1: Buy milk");
    assert!(said(&notes.call("list", json!({})).await).contains("sourdough"));
    let read = notes.ask("resources/read", json!({"uri": "note://page/7"})).await;
    assert!(read["result"]["contents"][0]["text"].as_str().unwrap().starts_with("# Page 7"));

    let mut weather = Client::of(&example("weather.yaml"));
    assert!(said(&weather.call("now", json!({"place": "Oslo"})).await).starts_with("Oslo: 18 °C"));
    weather
        .request(
            "tools/call",
            json!({"name": "forecast", "arguments": {"place": "Oslo"}, "_meta": {"progressToken": 0}}),
        )
        .await;
    for step in 1..=3 {
        assert_eq!(weather.json().await["params"]["progress"], step);
    }
    assert_eq!(weather.json().await["method"], "notifications/message");
    assert!(said(&weather.json().await).starts_with("Oslo tomorrow"));
}

/// A client that nobody here wrote gets along with the healthy server.
#[tokio::test]
async fn the_sdk_s_client_understands_the_healthy_server() {
    use rmcp::ServiceExt as _;
    use rmcp::model::{CallToolRequestParams, GetPromptRequestParams, ReadResourceRequestParams};

    let (input, reader) = tokio::io::duplex(1 << 16);
    let (output, writer) = tokio::io::duplex(1 << 16);
    let server = tokio::spawn(serve(parse(&fixture("healthy")).unwrap(), reader, writer, Hooks::in_memory()));
    let client = ().serve((output, input)).await.unwrap();
    let tools = client.list_all_tools().await.unwrap();
    assert_eq!(tools.len(), 6);
    let call = CallToolRequestParams::new("mock_tool")
        .with_arguments(serde_json::from_value(json!({"input": "test"})).unwrap());
    let answer = serde_json::to_value(client.call_tool(call).await.unwrap()).unwrap();
    assert_eq!(answer["content"][0]["text"], "Mock result: test");
    let done = serde_json::to_value(client.call_tool(CallToolRequestParams::new("progress")).await.unwrap())
        .unwrap();
    assert_eq!(done["content"][0]["text"], "done");
    let greet = GetPromptRequestParams::new("greet")
        .with_arguments(serde_json::from_value(json!({"who": "Ada"})).unwrap());
    let prompt = serde_json::to_value(client.get_prompt(greet).await.unwrap()).unwrap();
    assert_eq!(prompt["messages"][0]["content"]["text"], "Greet Ada.");
    let read = client.read_resource(ReadResourceRequestParams::new("note://7")).await.unwrap();
    assert_eq!(serde_json::to_value(read).unwrap()["contents"][0]["text"], "note 7");
    client.cancel().await.unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(20), server).await.expect("an end in time");
    assert_eq!(outcome.unwrap(), Outcome::Ended);
}

/// The same client, in the words of the modern era.
#[tokio::test]
async fn the_sdk_s_client_understands_the_modern_servers() {
    use rmcp::ServiceExt as _;
    use rmcp::model::{CallToolRequestParams, ProtocolVersion, ReadResourceRequestParams};
    use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _};

    for name in ["modern", "dual"] {
        let (input, reader) = tokio::io::duplex(1 << 16);
        let (output, writer) = tokio::io::duplex(1 << 16);
        let script = parse(&fixture(name)).unwrap();
        let server = tokio::spawn(serve(script, reader, writer, Hooks::in_memory()));
        let version: ProtocolVersion = serde_json::from_value(json!("2026-07-28")).unwrap();
        let mode = ClientLifecycleMode::Discover { preferred_versions: vec![version] };
        let client = ().into_dyn().serve_with_lifecycle((output, input), mode).await.unwrap();
        assert!(client.list_all_tools().await.unwrap().len() > 10, "{name}");
        let call = CallToolRequestParams::new("echo")
            .with_arguments(serde_json::from_value(json!({"input": "test"})).unwrap());
        let answer = serde_json::to_value(client.call_tool(call).await.unwrap()).unwrap();
        assert_eq!(answer["content"][0]["text"], "test", "{name}");
        let read = client.read_resource(ReadResourceRequestParams::new("note://7")).await.unwrap();
        assert_eq!(serde_json::to_value(read).unwrap()["contents"][0]["text"], "note 7");
        client.cancel().await.unwrap();
        let outcome = tokio::time::timeout(Duration::from_secs(20), server).await.expect("an end in time");
        assert_eq!(outcome.unwrap(), Outcome::Ended);
    }
}
