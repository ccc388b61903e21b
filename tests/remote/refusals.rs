//! Servers that refuse: want a login, want patience, point elsewhere.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::board::{DEADLINE, Setup};
use crate::mock::Mock;
use crate::{serve, serve_with, setup};

const ECHO: &str = "tools: { echo: '{{input}}' }\n";
/// Refuses who has no token, and says where tokens are to be had.
const LOCKED: &str = "\nhttp:\n  bearer: secret\n  challenge: 'Bearer resource_metadata=\"{{mock.url}}/meta\"'\n  \
    paths: { /meta: { status: 200, body: { resource: '{{mock.url}}/mcp', authorization_servers: ['{{mock.url}}'] } } }\n";

/// Runs a command beside the Switchboard that serves; its exit code and all that it says.
fn run(setup: &Setup, arguments: &[&str]) -> (Option<i32>, String) {
    let config = setup.home().join("config.yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.arg("--config").arg(config).args(arguments).env("SWITCHBOARD_HOME", setup.home());
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_server_that_wants_a_login_is_shown_with_what_it_had_and_everything_says_how() {
    let mut mock = Mock::http(ECHO);
    let setup = setup(&mock, "");
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    assert_eq!(board.tool("a__echo", r#"{"input":"x"}"#).text(), "x");
    board.until("tools/list", "", |list| list.raw.contains("a__echo"));
    board.close();

    mock.start_again(Some(&format!("{ECHO}{LOCKED}")));
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    let listed = board.call("tools/list", "");
    assert!(listed.raw.contains("a__echo"), "{}", listed.raw);
    let refused = board.tool("a__echo", "{}");
    for part in ["isError", "SB-AUTH-001", "switchboard auth login a"] {
        assert!(refused.raw.contains(part), "{}", refused.raw);
    }
    let status = board.tool("switchboard__status", "{}").text();
    assert!(status.contains("needs-login") && status.contains("switchboard auth login a"), "{status}");
    board.close();

    let (code, said) = run(&setup, &["check"]);
    assert_eq!((code, said.contains("switchboard auth login a")), (Some(4), true), "{said}");
    let (code, said) = run(&setup, &["call", "a__echo"]);
    assert_eq!((code, said.contains("switchboard auth login a")), (Some(4), true), "{said}");
}

#[test]
fn a_token_in_the_config_is_shown_and_a_wrong_one_is_told() {
    let mock = Mock::http(&format!("{ECHO}{LOCKED}"));
    let mut board = serve_with(&mock, r#", headers: { Authorization: "Bearer secret" }"#);
    assert_eq!(board.tool("a__echo", r#"{"input":"x"}"#).text(), "x");
    board.close();
    assert!(mock.requests().iter().all(|seen| seen.header("authorization") == "Bearer secret"));

    let setup = setup(&mock, r#", headers: { Authorization: "Bearer wrong-token" }"#);
    drop(setup.command());
    let (code, said) = run(&setup, &["check"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("SB-AUTH-003") && said.contains("`Authorization` header"), "{said}");
    assert!(!said.contains("wrong-token"), "{said}");
}

/// One server where token, authorization server and resource are one: it gives a token that soon ends.
#[test]
fn calls_that_meet_the_end_of_a_token_renew_it_once() {
    let paths = json!({
        "/meta": { "body": { "resource": "{{mock.url}}/mcp", "authorization_servers": ["{{mock.url}}"] } },
        "/.well-known/oauth-authorization-server": { "body": {
            "issuer": "{{mock.url}}",
            "authorization_endpoint": "{{mock.url}}/authorize",
            "token_endpoint": "{{mock.url}}/token",
            "response_types_supported": ["code"],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
        } },
        "/token": { "body": { "access_token": "secret", "token_type": "Bearer", "expires_in": 2 } },
    });
    let mock = Mock::http(&format!(
        "{ECHO}\nhttp:\n  bearer: secret\n  challenge: 'Bearer resource_metadata=\"{{{{mock.url}}}}/meta\"'\n  paths: {paths}\n"
    ));
    let mut board =
        serve_with(&mock, ", auth: { type: client_credentials, client_id: me, client_secret: geheim }");
    assert_eq!(board.tool("a__echo", r#"{"input":"first"}"#).text(), "first");
    let tokens = || mock.requests().into_iter().filter(|seen| seen.path == "/token").count();
    let before = tokens();
    assert!(before >= 1);
    std::thread::sleep(std::time::Duration::from_secs(3));
    let ask = |input: usize| format!(r#"{{"name":"a__echo","arguments":{{"input":"{input}"}}}}"#);
    let ids: Vec<String> = (0..10).map(|input| board.ask("tools/call", &ask(input))).collect();
    for (input, id) in ids.iter().enumerate() {
        assert_eq!(board.answer(id).text(), input.to_string());
    }
    assert_eq!(tokens(), before + 1, "one renewal for all");
    board.close();
}

#[test]
fn a_server_that_asks_for_patience_is_quoted() {
    let faults = "[ { on: tools/call, calls: 1, status: 429, headers: { Retry-After: 7, Content-Type: text/plain }, body: slow down }, \
                    { on: tools/call, calls: 2, status: 503, headers: { Retry-After: 9 } } ]";
    let mock = Mock::http(&format!("{ECHO}\nhttp:\n  faults: {faults}\n"));
    let mut board = serve(&mock);
    let text = board.tool("a__echo", "{}").text();
    for part in ["did not run", "429", "slow down", "wait 7 s", "Call again later", "SB-NET-005"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // It may have begun before it said so.
    let text = board.tool("a__echo", "{}").text();
    assert!(text.contains("unknown") && text.contains("wait 9 s"), "{text}");
    assert_eq!(board.tool("a__echo", r#"{"input":"x"}"#).text(), "x");
    board.close();
}

/// K5: lists are asked for again, not before the server wants to hear of it.
#[test]
fn a_list_is_fetched_when_the_server_has_had_its_pause() {
    let faults = "[ { on: tools/list, calls: 1, status: 429, headers: { Retry-After: 4 } } ]";
    let mock = Mock::http(&format!("{ECHO}\nhttp:\n  faults: {faults}\n"));
    let begin = Instant::now();
    let mut board = serve(&mock);
    while !board.call("tools/list", "").names().contains(&"a__echo".to_owned()) {
        assert!(begin.elapsed() < DEADLINE, "{}", board.call("tools/list", "").raw);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(begin.elapsed() >= Duration::from_secs(4), "after {:?}", begin.elapsed());
    board.close();
}

#[test]
fn a_redirect_to_another_origin_is_refused_and_nothing_is_shown_there() {
    let elsewhere = Mock::http(ECHO);
    let faults = format!("[ {{ on: tools/call, calls: 1, redirect: {:?} }} ]", elsewhere.url);
    let mock = Mock::http(&format!("{ECHO}\nhttp:\n  faults: {faults}\n"));
    let mut board = serve_with(&mock, ", headers: { X-Key: s3cret }");
    let refused = board.tool("a__echo", "{}");
    assert!(refused.raw.contains("SB-NET-007") && refused.raw.contains(&elsewhere.url), "{}", refused.raw);
    assert_eq!(board.tool("a__echo", r#"{"input":"x"}"#).text(), "x");
    board.close();
    assert!(elsewhere.requests().is_empty(), "{:?}", elsewhere.requests());
}

#[test]
fn an_event_stream_that_names_another_origin_is_refused() {
    let elsewhere = Mock::http(ECHO);
    let mock = Mock::start("--sse", &format!("{ECHO}\nhttp:\n  endpoint: {:?}\n", elsewhere.url));
    let setup = setup(&mock, ", type: sse, headers: { X-Key: s3cret }");
    drop(setup.command());
    let (code, said) = run(&setup, &["check"]);
    assert_eq!((code, said.contains("SB-NET-007")), (Some(3), true), "{said}");
    assert!(elsewhere.requests().is_empty(), "{:?}", elsewhere.requests());
}
