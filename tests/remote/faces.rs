//! The same conversation over every transport.

use crate::board::Board;
use crate::mock::Mock;
use crate::{serve_with, setup};

const SCRIPT: &str = "
tools:
  tour:
    steps:
    - progress: { progress: 1, total: 2 }
    - ask: { method: elicitation/create, params: { message: Go?, requestedSchema: { type: object, properties: {} } }, save: r }
    - log: { level: warning, logger: guide, data: mind the gap }
    - answer: \"said {{r.action}}\"
  wait: { progress: 1, wait_cancel: 10s, answer: too late }
  grow: { set_tools: [tour, wait, grow, new], answer: grown }
  new: novel
  tell: { updated: 'n://1', answer: told }
prompts: { review: { arguments: [ kind ], answer: \"Review {{kind}}.\" } }
resources: { 'n://1': { name: n, text: the note } }
templates: { 'n://by/{author}': { name: by, text: \"by {{author}}\" } }
completions: { review: { kind: [strict, kind] } }
on: { initialized: { set_tools: [tour, wait, grow, tell] } }
";

fn everything_works(board: &mut Board) {
    board.until("tools/list", "", |list| list.raw.contains("a__grow"));
    let id = board.ask("tools/call", r#"{"name":"a__tour","arguments":{},"_meta":{"progressToken":"t"}}"#);
    let progress = board.notification("notifications/progress");
    assert_eq!(
        (progress.params()["progressToken"].as_str(), progress.params()["total"].as_u64()),
        (Some("t"), Some(2))
    );
    let question = board.asked("elicitation/create");
    assert_eq!(question.params()["message"], "[a] Go?");
    board.reply(&question, r#"{"action":"accept","content":{}}"#);
    assert_eq!(board.answer(&id).text(), "said accept");
    assert_eq!(board.notification("notifications/message").params()["logger"], "a/guide");

    assert!(
        board
            .call("prompts/get", r#"{"name":"a__review","arguments":{"kind":"x"}}"#)
            .raw
            .contains("Review x.")
    );
    assert!(board.call("resources/read", r#"{"uri":"n://1"}"#).raw.contains("the note"));
    assert!(board.call("resources/read", r#"{"uri":"n://by/Ada"}"#).raw.contains("by Ada"));
    let reference =
        r#"{"ref":{"type":"ref/prompt","name":"a__review"},"argument":{"name":"kind","value":"s"}}"#;
    assert!(board.call("completion/complete", reference).raw.contains("strict"));

    let id = board.ask("tools/call", r#"{"name":"a__wait","arguments":{},"_meta":{"progressToken":1}}"#);
    board.notification("notifications/progress");
    board.cancel(&id);

    assert_eq!(board.call("resources/subscribe", r#"{"uri":"n://1"}"#).result.as_deref(), Some("{}"));
    board.tool("a__tell", "{}");
    assert_eq!(board.notification("notifications/resources/updated").params()["uri"], "n://1");

    board.call("tools/list", "");
    assert_eq!(board.tool("a__grow", "{}").text(), "grown");
    board.until("tools/list", "", |list| list.raw.contains("a__new"));
    assert_eq!(board.tool("a__new", "{}").text(), "novel");
}

#[test]
fn a_conversation_over_every_transport() {
    for (face, keys) in [
        ("--http", ""),
        ("--http", ", type: http"),
        ("--http", ", type: streamable-http"),
        ("--sse", ""),
        ("--sse", ", type: sse"),
        ("--websocket", ""),
        ("--websocket", ", type: websocket"),
        ("--unix", ""),
    ] {
        eprintln!("{face}{keys}");
        let mock = Mock::start(face, SCRIPT);
        let mut board = setup(&mock, keys).start();
        board.initialize_with("2025-11-25", r#"{"elicitation":{}}"#);
        everything_works(&mut board);
        board.close();
    }
}

/// Streamable HTTP over a socket has no face of the mock's own: the socket is carried to one.
#[test]
fn http_over_a_unix_socket() {
    let mock = Mock::http(SCRIPT);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("http.sock");
    crate::network::carry_socket(&socket, &mock.url);
    let place = socket.display().to_string().replace('/', "%2F");
    let mut board =
        crate::board::Setup::new().entry("a", &format!("{{ url: \"http+unix://{place}/mcp\" }}")).start();
    board.initialize_with("2025-11-25", r#"{"elicitation":{}}"#);
    everything_works(&mut board);
    board.close();
}

#[test]
fn a_server_that_speaks_another_transport_than_the_config_says_is_told() {
    let mock = Mock::start("--sse", SCRIPT);
    let mut board = serve_with(&mock, ", type: http");
    board.call("tools/list", "");
    let status = board.until("tools/call", r#"{"name":"switchboard__status","arguments":{}}"#, |status| {
        status.text().contains("SB-")
    });
    assert!(status.text().contains("SB-NET-005"), "{}", status.text());
    board.close();
}
