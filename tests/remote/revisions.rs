//! Which words a server is spoken to in, and what headers say besides.

use crate::mock::Mock;
use crate::{serve, serve_with, setup};

#[test]
fn a_revision_in_the_config_is_the_one_that_is_spoken() {
    let mock = Mock::http(
        "revisions: [2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28]\ntools: { spoken: '{{mock.revision}}' }\n",
    );
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] {
        let mut board = serve_with(&mock, &format!(", protocol: {revision:?}"));
        assert_eq!(board.tool("a__spoken", "{}").text(), revision);
        board.close();
    }
}

#[test]
fn a_server_of_one_era_is_found_out() {
    for (revision, greeting) in [("2025-06-18", "initialize"), ("2026-07-28", "server/discover")] {
        let mock =
            Mock::http(&format!("revisions: [{revision}]\ntools: {{ spoken: '{{{{mock.revision}}}}' }}\n"));
        let setup = setup(&mock, "");
        for run in 0..2 {
            let mut board = setup.launch();
            board.initialize("2025-11-25");
            assert_eq!(board.tool("a__spoken", "{}").text(), revision);
            board.close();
            // The second time it is known.
            assert_eq!(mock.messages(greeting).len(), run + 1, "{revision}");
        }
    }
}

const MARKED: &str = "
tools:
  send:
    input_schema: { type: object, properties: { region: { type: string, x-mcp-header: Region } } }
    answer: \"{{mock.header.mcp-param-region}}\"
  wrong:
    input_schema: { type: object, properties: { region: { type: object, x-mcp-header: Region } } }
    answer: never
";

#[test]
fn arguments_stand_in_headers_where_tools_ask_for_it() {
    let mock = Mock::http(&format!("revisions: [2026-07-28]{MARKED}"));
    let setup = setup(&mock, "");
    for _ in 0..2 {
        // The first call of the second run comes before the list: what is known of the tool is enough.
        let mut board = setup.launch();
        board.initialize("2025-11-25");
        assert_eq!(board.tool("a__send", r#"{"region":"eu-west"}"#).text(), "eu-west");
        assert_eq!(board.tool("a__send", r#"{"region":"Zürich"}"#).text(), "=?base64?WsO8cmljaA==?=");
        assert_eq!(board.tool("a__send", "{}").text(), "");
        let listed = board.until("tools/list", "", |list| list.raw.contains("a__send"));
        assert!(!listed.raw.contains("a__wrong"), "{}", listed.raw);
        assert!(listed.raw.contains("x-mcp-header"), "the mark is the client's to see");
        board.close();
    }
}

/// The rule is one of the newest revision over HTTP; everywhere else the mark is a word like any other.
#[test]
fn a_tool_with_a_wrong_mark_is_left_out_nowhere_else() {
    let legacy = Mock::http(MARKED);
    let socket = Mock::start("--websocket", &format!("revisions: [2026-07-28]{MARKED}"));
    for mock in [legacy, socket] {
        let mut board = serve(&mock);
        board.until("tools/list", "", |list| list.raw.contains("a__send") && list.raw.contains("a__wrong"));
        board.close();
    }
    let mut board =
        crate::board::Setup::new().script("a", &format!("revisions: [2026-07-28]{MARKED}")).start();
    board.initialize("2025-11-25");
    board.until("tools/list", "", |list| list.raw.contains("a__send") && list.raw.contains("a__wrong"));
    board.close();
}
